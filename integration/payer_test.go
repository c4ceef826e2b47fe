package integration

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/mortal"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// casino is a service on a database that takes money only from its player, and may die.
type casino struct {
	*mortal.Process
	client  *connectpsp.Client
	handler *webhook.Handler
	worker  *webhook.Worker
}

const stepsTable = `CREATE TABLE steps (charge text NOT NULL, step text NOT NULL, marked boolean NOT NULL)`

// openCasino starts a process that dies at an event, see [mortal.New]. The payer check reads the
// players in the transaction of the step, and the steps are written in it.
func openCasino(t *testing.T, gateway *sandbox.Sandbox, s server, db *sql.DB, diesAt int) *casino {
	t.Helper()
	c := &casino{Process: mortal.New(diesAt)}
	store := openStore(t, s, db)
	silent := slog.New(slog.DiscardHandler)
	var err error
	c.client, err = connectpsp.New(gateway.Config(), connectpsp.WithJournal(c.Journal(store.Journal())), connectpsp.WithLogger(silent),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}), connectpsp.WithHTTPClient(c.HTTPClient(gateway.HTTPClient())))
	require.NoError(t, err)
	inbox := c.Inbox(store.Inbox())
	c.handler, err = webhook.NewHandler(inbox, gateway.Config().CryptoToken)
	require.NoError(t, err)
	c.handler.Logger = silent
	check := func(ctx context.Context, charge *connectpsp.CashIn) (holder connectpsp.Holder, err error) {
		err = sqlstore.Tx(ctx).QueryRowContext(ctx, `SELECT document FROM players WHERE reference = $1`, charge.ExternalReference).Scan(&holder.Document)
		return holder, err
	}
	apply := func(ctx context.Context, step webhook.Transition) error {
		_, err := sqlstore.Tx(ctx).ExecContext(ctx, `INSERT INTO steps VALUES ($1, $2, $3)`, step.TransactionID,
			fmt.Sprint(step.From, ">", step.To), step.Unrequested || step.ReturnUnclear)
		return err
	}
	c.worker = webhook.NewWorker(inbox, c.client, apply, webhook.WithPayerCheck(check), webhook.WithLogger(silent),
		webhook.WithPayerRefund(connectpsp.RefundRequest{Reason: connectpsp.RefundMerchantError}))
	return c
}

// work processes the items that are due, until none is or the process has died.
func (c *casino) work(ctx context.Context) {
	for worked := true; worked && !c.IsDead(); {
		worked, _ = c.worker.Work(ctx)
	}
}

func deposit(reference, webhookURL string) connectpsp.CashInRequest {
	return connectpsp.CashInRequest{
		Amount: pix.Centavos(1050), ExternalReference: reference, WebhookURL: webhookURL,
		Payer: connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
	}
}

var byStranger = sandbox.Payment{Payer: connectpsp.Payer{Document: "52998224725"}}

// leasesEnd ends the leases of items, those of the watches excepted, and of payments.
func leasesEnd(t *testing.T, s server, db *sql.DB) {
	execute(t, db, leasesOver)
	now := `(extract(epoch FROM now()) * 1000000)::bigint`
	if s.dialect == sqlstore.SQLite {
		now = `CAST(unixepoch('subsec') * 1000000 AS integer)`
	}
	execute(t, db, `UPDATE connectpsp_queue SET due_at = `+now+` - 1, leased_until = 0 WHERE due_at IS NOT NULL AND key NOT LIKE 'READ#%'`)
}

func TestAForeignPaymentIsReturnedOnceAlthoughTheProcessDiesAtAnyCall(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway, err := sandbox.Start()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, gateway.Close()) })
		openStore(t, s, db)
		execute(t, db, stepsTable)
		execute(t, db, `CREATE TABLE players (reference text NOT NULL, document text NOT NULL)`)
		var running atomic.Pointer[casino]
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Load().handler.ServeHTTP(w, r)
		}))
		defer receiver.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		before := balance(t, gateway)

		diesAt := 0
		for ended := false; !ended; {
			diesAt++
			require.Less(t, diesAt, 200)
			reference := fmt.Sprint("order-", diesAt)
			execute(t, db, `INSERT INTO players VALUES ($1, '12345678909')`, reference)
			running.Store(openCasino(t, gateway, s, db, 0))
			charge, err := running.Load().client.CreateCashIn(ctx, deposit(reference, receiver.URL))
			require.NoError(t, err)
			require.NoError(t, gateway.PayCashInWith(charge.TransactionID, byStranger))
			require.NoError(t, gateway.WaitWebhooks(ctx))

			first := openCasino(t, gateway, s, db, diesAt)
			first.work(ctx)
			ended = !first.IsDead()
			second := openCasino(t, gateway, s, db, 0)
			running.Store(second)
			leasesEnd(t, s, db)
			if diesAt%2 == 0 {
				_, err := second.client.Recover(ctx)
				require.NoError(t, err)
			}
			for range 20 { // an item may wait for a lease, or be postponed
				second.work(ctx)
				leasesEnd(t, s, db)
			}
			require.NoError(t, gateway.SettleRefund(charge.TransactionID), "it died at event %d", diesAt)
			require.NoError(t, gateway.WaitWebhooks(ctx))
			second.work(ctx)
			require.Equal(t, 2, number(t, db, `SELECT count(*) FROM steps WHERE charge = $1`, charge.TransactionID), "it died at event %d", diesAt)
			require.Equal(t, 1, number(t, db, `SELECT count(*) FROM steps WHERE charge = $1 AND step = '>PAID_BY_OTHER'`, charge.TransactionID))
			require.Equal(t, 1, number(t, db, `SELECT count(*) FROM steps WHERE charge = $1 AND step = 'PAID_BY_OTHER>REFUNDED'`, charge.TransactionID))
		}
		assert.Equal(t, before, balance(t, gateway), "each was returned once")
		assert.Zero(t, number(t, db, `SELECT count(*) FROM steps WHERE marked`), "the refunds were asked for")
		assert.Zero(t, number(t, db, `SELECT count(*) FROM connectpsp_queue WHERE due_at IS NULL`), "nothing is held")
		assert.Equal(t, diesAt, number(t, db, `SELECT count(*) FROM connectpsp_payment WHERE operation = 'refundCashIn' AND outcome = 'ACCEPTED'`))
		t.Log(diesAt-1, "deaths")
	})
}

// The journal is in the database of the inbox. With one connection, a look into it in the
// transaction of a step would wait for itself.
func TestASingleConnectionSufficesForForeignPaymentsAndReturns(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		db.SetMaxOpenConns(1)
		gateway, err := sandbox.Start()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, gateway.Close()) })
		openStore(t, s, db)
		execute(t, db, stepsTable)
		execute(t, db, `CREATE TABLE players (reference text NOT NULL, document text NOT NULL)`)
		execute(t, db, `INSERT INTO players VALUES ('order-1', '12345678909'), ('order-2', '12345678909')`)
		c := openCasino(t, gateway, s, db, 0)
		receiver := httptest.NewServer(c.handler)
		defer receiver.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		charge := func(reference string) *connectpsp.CashIn {
			charge, err := c.client.CreateCashIn(ctx, deposit(reference, receiver.URL))
			require.NoError(t, err)
			return charge
		}
		first, second := charge("order-1"), charge("order-2")
		require.NoError(t, gateway.PayCashIn(first.TransactionID))
		require.NoError(t, gateway.PayCashInWith(second.TransactionID, byStranger))
		require.NoError(t, gateway.WaitWebhooks(ctx))
		c.work(ctx)
		require.NoError(t, gateway.ReturnCashInPart(first.TransactionID, pix.Centavos(300)))
		require.NoError(t, gateway.SettleRefund(second.TransactionID))
		require.NoError(t, gateway.WaitWebhooks(ctx))
		c.work(ctx)
		require.NoError(t, ctx.Err())
		assert.Equal(t, 1, number(t, db, `SELECT count(*) FROM steps WHERE step = '>PAID' AND NOT marked`))
		assert.Equal(t, 1, number(t, db, `SELECT count(*) FROM steps WHERE step = 'PAID>REFUNDED' AND marked`))
		assert.Equal(t, 1, number(t, db, `SELECT count(*) FROM steps WHERE step = '>PAID_BY_OTHER' AND NOT marked`))
		assert.Equal(t, 1, number(t, db, `SELECT count(*) FROM steps WHERE step = 'PAID_BY_OTHER>REFUNDED' AND NOT marked`))
	})
}
