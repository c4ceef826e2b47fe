package integration

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sqlstore"
)

// overPgBouncer opens a new database over PgBouncer. The mode is one in which pgx executes queries.
func overPgBouncer(t *testing.T, pool, mode string) *sql.DB {
	address := os.Getenv("CONNECTPSP_TEST_PGBOUNCER_" + pool)
	if address == "" {
		t.Skip("there is no PgBouncer: make integration starts one")
	}
	db, err := sql.Open("pgx", newPostgres(t, address)+" default_query_exec_mode="+mode)
	require.NoError(t, err)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestEveryEventIsSettledOverPgBouncerOrOpenNamesTheSetting(t *testing.T) {
	for _, pool := range []string{"SESSION", "TRANSACTION"} {
		for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
			t.Run(pool+"/"+mode, func(t *testing.T) {
				db := overPgBouncer(t, pool, mode)
				store, err := sqlstore.Open(t.Context(), db, sqlstore.PostgreSQL)
				if pool == "TRANSACTION" && (mode == "cache_statement" || mode == "describe_exec") {
					require.ErrorContains(t, err, "default_query_exec_mode=exec")
					return
				}
				require.NoError(t, err)
				inbox := store.Inbox()
				const each = 50
				var posting sync.WaitGroup
				for poster := range 8 {
					posting.Go(func() {
						for n := range each {
							event := item(fmt.Sprint(poster, "/", n))
							event.Transaction = "CASHIN/" + event.Key
							_, err := inbox.Put(t.Context(), event)
							assert.NoError(t, err)
						}
					})
				}
				posting.Wait()
				assert.Equal(t, 8*each, drain(t, inbox))
				assert.Zero(t, number(t, db, `SELECT count(*) FROM connectpsp_queue`))
			})
		}
	}
}

// On a busy server the sessions that two connections meet are a matter of chance.
func TestOpenNamesTheSettingHoweverBusyTheServerIs(t *testing.T) {
	busy := overPgBouncer(t, "TRANSACTION", "exec")
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	defer others.Wait()
	defer stop()
	for n := range 8 {
		others.Go(func() {
			for ctx.Err() == nil {
				_, _ = busy.ExecContext(ctx, `SELECT pg_sleep($1)`, float64(n)/4000)
			}
		})
	}
	name := ""
	require.NoError(t, busy.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&name))
	for _, mode := range []string{"cache_statement", "describe_exec"} {
		for range 20 {
			address := os.Getenv("CONNECTPSP_TEST_PGBOUNCER_TRANSACTION") + " default_query_exec_mode=" + mode
			db, err := sql.Open("pgx", strings.Replace(address, "dbname=postgres", "dbname="+name, 1))
			require.NoError(t, err)
			_, err = sqlstore.Open(t.Context(), db, sqlstore.PostgreSQL)
			assert.ErrorContains(t, err, "default_query_exec_mode=exec", mode)
			require.NoError(t, db.Close())
		}
	}
}
