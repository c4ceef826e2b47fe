package integration

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestTwoAtOnceForOneTransactionIfTheFunctionOverrunsItsTime(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		put(t, inbox, item("a"), item("b"))
		first := claim(t, inbox)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun, end := make(chan struct{}), make(chan struct{})
		go func() {
			_ = inbox.Complete(ctx, first, func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
				close(begun)
				<-end // does not heed its context
				return webhook.Result{State: known}, nil
			})
		}()
		select {
		case <-begun:
		case <-time.After(30 * time.Second):
			t.Fatal("it is waited for")
		}
		<-ctx.Done()
		time.Sleep(200 * time.Millisecond)
		within, end2 := context.WithTimeout(t.Context(), time.Second)
		defer end2()
		called := false
		other, err := one(inbox.Claim(within, time.Minute, 1)) // SQLite: the writer is busy
		if err == nil && other != nil {
			err = inbox.Complete(within, other, func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
				called = true
				return webhook.Result{State: known}, nil
			})
		}
		close(end)
		t.Log(err)
		assert.False(t, called, "the first is still running")
	})
}

// The function of docs/webhooks.md, word for word. A return of R$ 10 of 50 overtakes the payment.
func TestTheDocumentedFunctionLosesNoPaymentOfWhichAPartCameBack(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		execute(t, db, `CREATE TABLE deposits (reference text, centavos bigint, state text)`)
		execute(t, db, `CREATE TABLE alarms (reference text)`)
		execute(t, db, `INSERT INTO deposits VALUES ('w1', 5000, 'OPEN')`)
		st := &storm{t: t}
		st.receive(inbox, func(ctx context.Context, step webhook.Transition) error {
			tx := sqlstore.Tx(ctx)
			switch {
			case step.Kind == webhook.KindCashIn && step.To == webhook.StatusPaid:
				result, err := tx.ExecContext(ctx, `UPDATE deposits SET state = 'PAID' WHERE reference = $1 AND centavos = $2`,
					step.CashIn.ExternalReference, step.CashIn.Amount.Centavos())
				if err != nil {
					return err
				}
				if paid, err := result.RowsAffected(); err != nil || paid != 1 {
					return fmt.Errorf("no such deposit")
				}
				return nil
			case step.To == webhook.StatusPaidByOther, step.To == webhook.StatusPaidByUnknown:
				_, err := tx.ExecContext(ctx, `UPDATE deposits SET state = 'NOT OURS' WHERE reference = $1`, step.CashIn.ExternalReference)
				return err
			case step.Kind == webhook.KindCashIn && step.To == webhook.StatusRefunded && step.From == webhook.StatusPaidByOther:
				return nil
			case step.Kind == webhook.KindCashIn && step.To == webhook.StatusRefunded:
				_, err := tx.ExecContext(ctx, `INSERT INTO alarms (reference) VALUES ($1)`, step.CashIn.ExternalReference)
				return err
			default:
				return nil
			}
		})
		data := `{"transactionId":"t1","externalReference":"w1",%s"status":%q,"amount":%s}}`
		for _, body := range []string{
			fmt.Sprintf(`{"eventType":"CASHIN_REFUNDED","eventAt":"2026-03-10T11:23:18Z","data":`+data, `"endToEndId":"D1","originalEndToEndId":"E1",`, "REFUNDED", "10.00"),
			fmt.Sprintf(`{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":`+data, `"endToEndId":"E1",`, "PAID", "50.00"),
		} {
			require.Equal(t, 200, post(st.handler, currentSecret, body))
			_, err := st.worker.Work(t.Context())
			require.NoError(t, err)
		}
		seen := number(t, db, `SELECT count(*) FROM deposits WHERE state = 'PAID'`) + number(t, db, `SELECT count(*) FROM alarms`) +
			number(t, db, `SELECT count(*) FROM connectpsp_queue WHERE due_at IS NULL`)
		assert.NotZero(t, seen, "R$ 40 stayed in the account, and no person is told")
	})
}
