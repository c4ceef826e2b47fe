package integration

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/connectpsp/journaltest"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
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

func TestOverPgBouncerAllIsSettledAndPaidOrOpenNamesTheSetting(t *testing.T) {
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
				settleAll(t, store, db)
				payAll(t, store, db)
				namespaces := 0
				journaltest.Run(t, func(t *testing.T) connectpsp.Journal {
					namespaces++
					return openStore(t, servers[0], db, sqlstore.WithNamespace(fmt.Sprint("journal", namespaces))).Journal()
				})
			})
		}
	}
}

// inParallel calls do for the numbers below all, in eight goroutines.
func inParallel(all int, do func(n int)) {
	var working sync.WaitGroup
	for first := range 8 {
		working.Go(func() {
			for n := first; n < all; n += 8 {
				do(n)
			}
		})
	}
	working.Wait()
}

func settleAll(t *testing.T, store *sqlstore.Store, db *sql.DB) {
	const events = 400
	inParallel(events, func(n int) {
		event := item(fmt.Sprint(n))
		event.Transaction = "CASHIN/" + event.Key
		_, err := store.Inbox().Put(t.Context(), event)
		assert.NoError(t, err)
	})
	assert.Equal(t, events, drain(t, store.Inbox()))
	assert.Zero(t, number(t, db, `SELECT count(*) FROM connectpsp_queue`))
}

func payAll(t *testing.T, store *sqlstore.Store, db *sql.DB) {
	const payments = 80
	gateway, err := sandbox.Start(sandbox.WithBalance(pix.Centavos(payments*100), pix.Centavos(0)))
	require.NoError(t, err)
	defer gateway.Close()
	source, err := connectpsp.NewTokenSource(gateway.Config())
	require.NoError(t, err)
	client, err := connectpsp.New(gateway.Config(), connectpsp.WithJournal(store.Journal()),
		connectpsp.WithTokenSource(store.Tokens(source, tokenKey)))
	require.NoError(t, err)
	inParallel(payments, func(n int) {
		_, err := client.CreateCashOut(t.Context(), connectpsp.CashOutRequest{
			Amount: pix.Centavos(100), ExternalReference: fmt.Sprint("withdrawal-", n),
			Payee: connectpsp.Payee{
				Name: "Maria Silva", Document: "12345678909", Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
			},
		})
		assert.NoError(t, err)
	})
	assert.Equal(t, payments, number(t, db, `SELECT count(*) FROM connectpsp_payment WHERE outcome = 'ACCEPTED'`))
	balance, err := client.GetBalance(t.Context())
	require.NoError(t, err)
	assert.Zero(t, balance.Consolidated.TotalBalance.Centavos(), "each was paid, and once")
}

// On a busy server the sessions that two connections meet are a matter of chance.
func TestOpenNamesTheSettingHoweverBusyTheServerIs(t *testing.T) {
	busy := overPgBouncer(t, "TRANSACTION", "exec")
	var stop atomic.Bool // no context ends: to cancel a query may end PgBouncer 1.18 (pgbouncer#801)
	var others sync.WaitGroup
	defer others.Wait()
	defer stop.Store(true)
	for n := range 8 {
		others.Go(func() {
			for !stop.Load() {
				_, err := busy.ExecContext(t.Context(), `SELECT pg_sleep($1)`, float64(n)/4000)
				assert.NoError(t, err)
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
