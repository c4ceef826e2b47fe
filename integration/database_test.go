package integration

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// server is a kind of database that a test runs on.
type server struct {
	name    string
	dialect sqlstore.Dialect
	open    func(t testing.TB) *sql.DB // a new database, empty
}

var databases atomic.Int64

var servers = []server{
	{"PostgreSQL", sqlstore.PostgreSQL, func(t testing.TB) *sql.DB {
		address := os.Getenv("CONNECTPSP_TEST_POSTGRES")
		if address == "" {
			t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
		}
		db, err := sql.Open("pgx", newPostgres(t, address))
		require.NoError(t, err)
		db.SetMaxOpenConns(24)
		db.SetMaxIdleConns(24)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}},
	{"SQLite", sqlstore.SQLite, func(t testing.TB) *sql.DB {
		file := filepath.Join(t.TempDir(), "test.db")
		db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}},
}

// newPostgres makes a new database on a server and returns its address.
func newPostgres(t testing.TB, address string) string {
	admin, err := sql.Open("pgx", address)
	require.NoError(t, err)
	defer admin.Close()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	return strings.Replace(address, "dbname=postgres", "dbname="+name, 1)
}

// onServers runs a test on each kind of database.
func onServers(t *testing.T, test func(t *testing.T, s server, db *sql.DB)) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) { test(t, s, s.open(t)) })
	}
}

func openStore(t testing.TB, s server, db *sql.DB, options ...sqlstore.Option) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), db, s.dialect, options...)
	require.NoError(t, err)
	return store
}

func openInbox(t testing.TB, s server, db *sql.DB) *sqlstore.Inbox {
	t.Helper()
	return openStore(t, s, db).Inbox()
}

// one returns the item of a claim of one, nil if none was due.
func one(claims []*webhook.Claim, err error) (*webhook.Claim, error) {
	if len(claims) == 0 {
		return nil, err
	}
	return claims[0], err
}

func execute(t testing.TB, db *sql.DB, statement string, arguments ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

func number(t testing.TB, db *sql.DB, query string, arguments ...any) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query, arguments...).Scan(&n))
	return n
}
