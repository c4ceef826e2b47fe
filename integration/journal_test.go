package integration

import (
	"database/sql"
	"database/sql/driver"
	"os"
	"testing"
	"time"

	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

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

// A webhook tells of a payment that the journal does not know, and another process sends it just
// then.
func TestAPaymentThatIsSentWhileItsAcceptanceIsRecordedIsAccepted(t *testing.T) {
	address := os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if address == "" {
		t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
	}
	slow := &faults{Driver: stdlib.GetDefaultDriver()}
	db := sql.OpenDB(faultyConnector{slow, newPostgres(t, address)})
	defer db.Close()
	receiver, sender := openStore(t, servers[0], db).Journal(), openStore(t, servers[0], db).Journal()
	intent := connectpsp.Intent{
		Operation: connectpsp.OperationCreateCashOut, IdempotencyKey: "key-1", ExternalReference: "withdrawal-1", BegunAt: time.Now(),
	}
	for _, journal := range []*sqlstore.Journal{sender, receiver} {
		earlier, err := journal.Begin(t.Context(), intent)
		require.NoError(t, err)
		require.Nil(t, earlier)
	}
	slow.next = func(run func() (driver.Result, error)) (driver.Result, error) {
		result, err := run()
		assert.NoError(t, sender.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
		return result, err
	}
	require.NoError(t, receiver.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeAccepted, "transaction-1"))
	found, err := sender.Find(t.Context(), intent)
	require.NoError(t, err)
	require.NotNil(t, found)
	assert.Equal(t, connectpsp.OutcomeAccepted, found.Outcome)
	assert.Error(t, sender.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""), "it was accepted")
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
