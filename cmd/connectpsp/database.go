package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/connectpsp/connectpsp-go/sqlstore"
)

// openDatabase opens the database of DATABASE_URL, without connecting. No error has the URL, which
// may have a password.
func (a *app) openDatabase() (*sql.DB, sqlstore.Dialect, error) {
	address := a.variable("DATABASE_URL")
	driver, dialect := "pgx", sqlstore.PostgreSQL
	switch scheme, rest, _ := strings.Cut(address, ":"); scheme {
	case "":
		return nil, 0, usage("DATABASE_URL is not set: it names the database, such as postgres://localhost/wallet or sqlite:wallet.db")
	case "postgres", "postgresql":
	case "sqlite":
		driver, dialect = "sqlite", sqlstore.SQLite
		path, _, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil, 0, databaseError(fmt.Errorf("there is no file %s: correct the path; a service creates the file when it starts", path))
		}
		// mode=rw: the file must be there.
		address = "file:" + strings.TrimPrefix(rest, "//") + "?mode=rw&_pragma=busy_timeout(10000)"
	default:
		if !strings.Contains(scheme, "=") { // host=… user=… is an address of PostgreSQL, too
			return nil, 0, usage("DATABASE_URL must begin with postgres:// or sqlite:")
		}
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		return nil, 0, usage("DATABASE_URL is not a valid address of a database")
	}
	db.SetMaxOpenConns(4)
	return db, dialect, nil
}

// openStore opens the store of a service. It changes no tables: those of another version are the
// service's to change. The caller closes the database.
func (a *app) openStore(ctx context.Context, namespace string) (*sqlstore.Store, *sql.DB, error) {
	db, dialect, err := a.openDatabase()
	if err != nil {
		return nil, nil, err
	}
	store, err := storeOf(ctx, db, dialect, namespace)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return store, db, nil
}

var errNoTables = errors.New("the database has no tables of sqlstore for this namespace, or older ones: check DATABASE_URL and --namespace; " +
	"the service creates and updates the tables when it starts, this program does not")

func storeOf(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect, namespace string) (*sqlstore.Store, error) {
	if strings.Trim(namespace, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return nil, usage("--namespace must have up to 30 small letters, digits and underscores")
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, databaseError(err)
	}
	table := "connectpsp_version"
	if namespace != "" {
		table = "connectpsp_" + namespace + "_version"
	}
	var how []any
	if dialect == sqlstore.PostgreSQL {
		how = []any{pgx.QueryExecModeSimpleProtocol} // a pooler may lose a prepared statement
	}
	var version int
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM "+table, how...).Scan(&version); isMissing(err) {
		return nil, errNoTables
	} else if err != nil {
		return nil, databaseError(err)
	}
	if version < len(sqlstore.Migrations(dialect)) {
		return nil, errNoTables
	}
	return sqlstore.Open(ctx, db, dialect, sqlstore.WithNamespace(namespace))
}

// isMissing reports whether a table, or its row, is not there.
func isMissing(err error) bool {
	var failure *pgconn.PgError
	if errors.As(err, &failure) {
		return failure.Code == "42P01" // undefined_table
	}
	return errors.Is(err, sql.ErrNoRows) || err != nil && strings.Contains(err.Error(), "no such table")
}

// databaseError is an error of connecting. Drivers name the host and the user in it, and neither
// the password nor the URL.
func databaseError(err error) error { return fmt.Errorf("the database of DATABASE_URL: %w", err) }
