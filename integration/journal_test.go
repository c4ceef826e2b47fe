package integration

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/connectpsp/journaltest"
	"github.com/connectpsp/connectpsp-go/sqlstore"
)

func TestAJournalInADatabaseKeepsThePromisesOfAJournal(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		journaltest.Run(t, func(t *testing.T) connectpsp.Journal { return openStore(t, s, s.open(t)).Journal() })
	})
}

// Each process has a Store of its own.
func TestAJournalInADatabaseIsSharedByProcesses(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		journaltest.RunShared(t, func(t *testing.T) journaltest.Shared {
			db := s.open(t)
			return journaltest.Shared{
				Open:   func() connectpsp.Journal { return openStore(t, s, db).Journal() },
				Expire: func() { execute(t, db, `UPDATE connectpsp_payment SET leased_until = 0`) },
			}
		})
	})
}

// alongside writes a row of the user's in the transactions of a journal, until it refuses to.
type alongside struct {
	t       *testing.T
	db      *sql.DB
	refuses error
}

func newAlongside(t *testing.T, db *sql.DB) *alongside {
	execute(t, db, `CREATE TABLE claims (n integer)`)
	return &alongside{t: t, db: db}
}

func (a *alongside) write(tx *sql.Tx) error {
	_, err := tx.ExecContext(a.t.Context(), `INSERT INTO claims VALUES (1)`)
	require.NoError(a.t, err)
	return a.refuses
}

// requireRows checks how often the user's row was committed, and the outcomes in the journal.
func (a *alongside) requireRows(claims int, outcomes string) {
	a.t.Helper()
	require.Equal(a.t, claims, number(a.t, a.db, `SELECT count(*) FROM claims`))
	var found string
	require.NoError(a.t, a.db.QueryRowContext(a.t.Context(), `SELECT coalesce(max('<' || outcome || '>'), '') FROM connectpsp_payment`).Scan(&found))
	require.Equal(a.t, outcomes, found)
}

var errNotAnyMore = errors.New("not any more")

func TestWhatIsWrittenWithAStepOfAPaymentIsCommittedWithIt(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		a := newAlongside(t, db)
		journal, other := openStore(t, s, db).Journal(), openStore(t, s, db).Journal()
		intent := connectpsp.Intent{IdempotencyKey: "key", Operation: connectpsp.OperationCreateCashOut, ExternalReference: "payment"}
		sent := func() error { return journal.SentWith(t.Context(), intent.IdempotencyKey, time.Now(), a.write) }
		finish := func(outcome connectpsp.Outcome) error {
			return journal.FinishWith(t.Context(), intent.IdempotencyKey, outcome, "", a.write)
		}
		_, err := journal.Begin(t.Context(), intent)
		require.NoError(t, err)

		a.refuses = errNotAnyMore
		require.Equal(t, errNotAnyMore, sent())
		a.requireRows(0, "")
		a.refuses = nil
		require.NoError(t, sent())
		a.requireRows(1, "<>")
		require.NoError(t, sent(), "it renews the lease")
		a.requireRows(2, "<>")

		a.refuses = errNotAnyMore
		require.Equal(t, errNotAnyMore, finish(connectpsp.OutcomeRejected))
		require.Equal(t, errNotAnyMore, finish(connectpsp.OutcomeAccepted))
		a.requireRows(2, "<>")
		a.refuses = nil
		require.NoError(t, finish(connectpsp.OutcomeRejected))
		a.requireRows(3, "<REJECTED>")

		_, err = journal.Begin(t.Context(), intent)
		require.NoError(t, err)
		require.NoError(t, sent())
		a.requireRows(4, "<>")
		require.NoError(t, other.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeAccepted, "")) // after a webhook
		require.NoError(t, sent())
		require.NoError(t, finish(connectpsp.OutcomeAccepted))
		a.requireRows(6, "<ACCEPTED>")
		require.Error(t, finish(connectpsp.OutcomeRejected))
		a.requireRows(6, "<ACCEPTED>")
	})
}

func TestAPaymentThatAnotherProcessHasIsNotSentWithAnything(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		intent := connectpsp.Intent{IdempotencyKey: "key", Operation: connectpsp.OperationCreateCashOut, ExternalReference: "payment"}
		first, second := openStore(t, s, db).Journal(), openStore(t, s, db).Journal()
		for _, journal := range []*sqlstore.Journal{first, second} {
			_, err := journal.Begin(t.Context(), intent)
			require.NoError(t, err)
		}
		require.NoError(t, first.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
		require.NoError(t, first.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""))
		require.Error(t, second.SentWith(t.Context(), intent.IdempotencyKey, time.Now(), func(*sql.Tx) error {
			t.Error("it is called")
			return nil
		}))
	})
}

// PostgreSQL plans a statement when few payments are open, and keeps the plan when the gateway has
// been away and many are.
func TestAPaymentDoesNotReadAllOthersThatAreOpen(t *testing.T) {
	const payments, others = 20, 2000
	s := servers[0]
	db := s.open(t)
	db.SetMaxOpenConns(1) // plans are of a session
	journal := openStore(t, s, db).Journal()
	insert := func(outcome connectpsp.Outcome) {
		execute(t, db, `INSERT INTO connectpsp_payment (payment, key, operation, external_reference, charge_id, transaction_id, centavos,
				body_sha256, client_id, base_url, outcome, begun_at, owner, leased_until, epoch)
			SELECT $1 || n, $1 || n, 'createCashOut', $1 || n, '', '', 1, '', '', '', $1, n, '', 0, 1 FROM generate_series(1, $2::int) n`, outcome, others)
	}
	insert(connectpsp.OutcomeAccepted)
	execute(t, db, `VACUUM ANALYZE`)
	for n := range payments {
		if n == payments/2 {
			insert("")
		}
		intent := connectpsp.Intent{IdempotencyKey: fmt.Sprint("key", n), Operation: connectpsp.OperationCreateCashOut, ExternalReference: fmt.Sprint("payment", n)}
		_, err := journal.Begin(t.Context(), intent)
		require.NoError(t, err)
		for range 2 { // the second renews the lease
			require.NoError(t, journal.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
		}
		outcome := []connectpsp.Outcome{connectpsp.OutcomeAccepted, connectpsp.OutcomeRejected}[n%2]
		require.NoError(t, journal.Finish(t.Context(), intent.IdempotencyKey, outcome, ""))
	}
	db.SetMaxIdleConns(0) // a session reports when it ends
	db.SetMaxIdleConns(1)
	require.Eventually(t, func() bool {
		return number(t, db, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()`) == 1
	}, time.Minute, 10*time.Millisecond)
	assert.Less(t, number(t, db, `SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'connectpsp_payment'`), others)
}
