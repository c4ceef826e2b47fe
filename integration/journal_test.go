package integration

import (
	"database/sql"
	"database/sql/driver"
	"os"
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
