package integration

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
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
