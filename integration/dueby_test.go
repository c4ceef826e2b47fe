package integration

import (
	"context"
	"database/sql"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestTheDueTimeOfAProcessThatDiedIsWatchedByAnother(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		_, gateway := newLedger(t)
		once := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})
		due := time.Now().Add(-time.Minute)
		gateway.FailNext("createCashOut", sandbox.LoseAnswer)
		_, err := process(t, gateway, openStore(t, s, db), once).CreateCashOut(t.Context(), withdrawal("withdrawal-1", pix.Centavos(100)),
			connectpsp.WithDueBy(due))
		require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
		execute(t, db, `UPDATE connectpsp_payment SET leased_until = 0`)

		store := openStore(t, s, db)
		client := process(t, gateway, store, once)
		open, err := client.OpenPayments(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, open.Overdue)
		recovered, err := client.Recover(t.Context())
		require.NoError(t, err)
		require.Len(t, recovered, 1)
		require.NoError(t, recovered[0].Err)
		assert.Equal(t, due.UTC().Truncate(time.Millisecond), recovered[0].DueBy)

		execute(t, db, `CREATE TABLE effect (late boolean NOT NULL)`)
		worker := webhook.NewWorker(store.Inbox(), client, func(ctx context.Context, step webhook.Transition) error {
			assert.Equal(t, webhook.StatusProcessing, step.To)
			_, err := sqlstore.Tx(ctx).ExecContext(ctx, `INSERT INTO effect (late) VALUES ($1)`, step.Late)
			return err
		}, webhook.WithLogger(slog.New(slog.DiscardHandler)))
		for range 2 {
			require.NoError(t, worker.WatchRecovered(t.Context(), recovered))
			_, err = worker.Work(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, 1, number(t, db, `SELECT count(*) FROM effect WHERE late`), "it is told once")
		assert.Equal(t, 1, number(t, db, `SELECT count(*) FROM effect`))
		open, err = client.OpenPayments(t.Context())
		require.NoError(t, err)
		assert.Zero(t, open)
	})
}
