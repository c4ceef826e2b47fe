package integration

import (
	"context"
	"database/sql"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/pgproxy"
	"github.com/connectpsp/connectpsp-go/sqlstore"
)

func cashOutIntent(key string) connectpsp.Intent {
	return connectpsp.Intent{IdempotencyKey: key, Operation: connectpsp.OperationCreateCashOut, ExternalReference: key}
}

func beginIntent(t *testing.T, journal *sqlstore.Journal, intent connectpsp.Intent) (earlier *connectpsp.Intent) {
	t.Helper()
	earlier, err := journal.Begin(t.Context(), intent)
	require.NoError(t, err)
	return earlier
}

const leasesOver = `UPDATE connectpsp_payment SET leased_until = 0`

// The caller of a process that was frozen hears of a rejection, and may pay in another way.
func TestAProcessThatWasFrozenForLongDoesNotRejectWhatAnotherHasSent(t *testing.T) {
	db := servers[1].open(t)
	synctest.Test(t, func(t *testing.T) {
		first, second := openStore(t, servers[1], db).Journal(), openStore(t, servers[1], db).Journal()
		intent := cashOutIntent("key")
		beginIntent(t, first, intent)
		time.Sleep(time.Hour) // it is frozen
		beginIntent(t, second, intent)
		require.NoError(t, second.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
		execute(t, db, leasesOver) // the second process has died
		beginIntent(t, first, cashOutIntent("another"))
		require.Error(t, first.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
		assert.Error(t, first.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""), "it is open")
	})
}

// hole is a connection on which all is lost in silence as soon as it is open.
type hole struct {
	net.Conn
	open *atomic.Bool
}

func (h hole) Write(p []byte) (int, error) {
	if h.open.Load() {
		return len(p), nil
	}
	return h.Conn.Write(p)
}

func newHole(t *testing.T) (*sql.DB, *atomic.Bool) {
	address := os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if address == "" {
		t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
	}
	config, err := pgx.ParseConfig(newPostgres(t, address))
	require.NoError(t, err)
	open := new(atomic.Bool)
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return hole{conn, open}, err
	}
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { _ = db.Close() })
	return db, open
}

func TestAStepOfAPaymentOnANetworkThatLosesAllEnds(t *testing.T) {
	for name, early := range map[string]bool{"before the transaction begins": true, "before it is rolled back": false} {
		t.Run(name, func(t *testing.T) {
			db, lost := newHole(t)
			journal := openStore(t, servers[0], db).Journal()
			intent := cashOutIntent("key")
			beginIntent(t, journal, intent)
			lost.Store(early)
			ended := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				ended <- journal.SentWith(ctx, intent.IdempotencyKey, time.Now(), func(*sql.Tx) error {
					lost.Store(true)
					return errNotAnyMore
				})
			}()
			select {
			case err := <-ended:
				assert.Error(t, err)
			case <-time.After(20 * time.Second):
				t.Error("it waits")
			}
		})
	}
}

func TestASendingAfterALostCommitHasALease(t *testing.T) {
	var commits atomic.Int64
	lossy, direct := newLossy(t, func() pgproxy.Fate {
		if commits.Add(1) == 1 {
			return pgproxy.LoseResponse
		}
		return pgproxy.Pass
	})
	first, second := openStore(t, servers[0], lossy).Journal(), openStore(t, servers[0], direct).Journal()
	intent := cashOutIntent("key")
	beginIntent(t, first, intent)
	commits.Store(0)
	require.Error(t, first.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
	execute(t, direct, leasesOver)
	require.NoError(t, first.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
	pending, err := second.Pending(t.Context())
	require.NoError(t, err)
	require.Len(t, pending, 1)
	assert.True(t, pending[0].Leased, "else another process sends it at the same time")
}

// rejectedElsewhere lets one process send a payment, and another one take it over and be rejected.
func rejectedElsewhere(t *testing.T, s server, db *sql.DB) (frozen, other *sqlstore.Journal, intent connectpsp.Intent) {
	frozen, other, intent = openStore(t, s, db).Journal(), openStore(t, s, db).Journal(), cashOutIntent("key")
	beginIntent(t, frozen, intent)
	require.NoError(t, frozen.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
	execute(t, db, leasesOver)
	require.NotNil(t, beginIntent(t, other, intent))
	require.NoError(t, other.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
	require.NoError(t, other.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""))
	return frozen, other, intent
}

func TestAnAcceptanceAfterTheRejectionOfTheProcessThatTookThePaymentIsRecorded(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		frozen, other, intent := rejectedElsewhere(t, s, db)
		require.NoError(t, frozen.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeAccepted, "transaction"))
		found, err := other.Find(t.Context(), intent)
		require.NoError(t, err)
		require.NotNil(t, found, "else it is paid again")
		assert.Equal(t, connectpsp.OutcomeAccepted, found.Outcome)
	})
}

func TestARejectionAfterThatOfTheProcessThatTookThePaymentStopsWhoHasBegunItSince(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		frozen, other, intent := rejectedElsewhere(t, s, db)
		beginIntent(t, other, intent)
		require.NoError(t, frozen.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""))
		assert.Error(t, other.Sent(t.Context(), intent.IdempotencyKey, time.Now()), "the caller of the first may pay in another way")
	})
}

// SQLite refuses a transaction that reads first and writes after another has written.
func TestWhatIsWrittenWithAPaymentThatHasEndedMayBeReadFirst(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		execute(t, db, `CREATE TABLE claims (n integer)`)
		execute(t, db, `CREATE TABLE others (n integer)`)
		journal, intent := openStore(t, s, db).Journal(), cashOutIntent("key")
		beginIntent(t, journal, intent)
		require.NoError(t, journal.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
		require.NoError(t, journal.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeAccepted, ""))
		written := make(chan error, 1)
		require.NoError(t, journal.FinishWith(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeAccepted, "", func(tx *sql.Tx) error {
			var n int
			if err := tx.QueryRowContext(t.Context(), `SELECT count(*) FROM claims`).Scan(&n); err != nil {
				return err
			}
			go func() {
				_, err := db.ExecContext(t.Context(), `INSERT INTO others VALUES (1)`)
				written <- err
			}()
			time.Sleep(200 * time.Millisecond)
			_, err := tx.ExecContext(t.Context(), `INSERT INTO claims VALUES (1)`)
			return err
		}))
		require.NoError(t, <-written)
	})
}

func TestAPanicOfWhatIsWrittenWithAPaymentLeavesNothingBehind(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		db.SetMaxOpenConns(1)
		a := newAlongside(t, db)
		journal, intent := openStore(t, s, db).Journal(), cashOutIntent("key")
		beginIntent(t, journal, intent)
		panics := func(tx *sql.Tx) error {
			require.NoError(t, a.write(tx))
			panic("a bug")
		}
		require.Panics(t, func() { _ = journal.SentWith(t.Context(), intent.IdempotencyKey, time.Now(), panics) })
		a.requireRows(0, "")
		require.NoError(t, journal.SentWith(t.Context(), intent.IdempotencyKey, time.Now(), nil))
		require.Panics(t, func() {
			_ = journal.FinishWith(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeAccepted, "t", panics)
		})
		a.requireRows(0, "<>")
		swallows := func(tx *sql.Tx) error {
			_, _ = tx.ExecContext(t.Context(), `INSERT INTO no_such_table VALUES (1)`)
			return nil
		}
		if s.dialect == sqlstore.PostgreSQL { // SQLite goes on after a statement that fails
			require.Error(t, journal.FinishWith(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeAccepted, "t", swallows))
			a.requireRows(0, "<>")
		}
	})
}
