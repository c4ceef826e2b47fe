package integration

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/webhook"
	"github.com/connectpsp/connectpsp-go/webhook/sqlinbox"
)

type gatewayFunc func(id string) string

func (g gatewayFunc) RoundTrip(r *http.Request) (*http.Response, error) {
	body := g(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// old makes the tables as the version before did.
func old(t *testing.T, s server, db *sql.DB) {
	all := sqlinbox.Migrations(s.dialect)
	for _, statement := range all[:2+4] {
		execute(t, db, statement)
	}
	execute(t, db, `UPDATE connectpsp_schema SET version = 4`)
}

const upper = "0B0C5C8E-6A55-4F3F-9F0D-6F7B0A0C2C11"

// A payout in capitals is being watched while the service is updated.
func TestAnUpdateRepeatsNothingOfATransactionInCapitals(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		old(t, s, db)
		longAgo := time.Now().Add(-2 * time.Minute).UnixMicro()
		execute(t, db, `INSERT INTO connectpsp_inbox (key, "transaction", body, body_sha256, delivery_id, received_at, state, due_at)
VALUES ($1, $2, $3, $4, '', $5, 'PENDING', $6)`, "READ#PAYMENT/CASHOUT/"+upper, "CASHOUT/"+upper, []byte{}, []byte{}, longAgo, time.Now().Add(time.Hour).UnixMicro())
		execute(t, db, `INSERT INTO connectpsp_transaction (key, status, returns, centavos, reference, changed_at) VALUES ($1, 'PROCESSING', '', 5000, 'w1', 0)`, "CASHOUT/"+upper)

		inbox := openInbox(t, s, db)
		data := fmt.Sprintf(`{"transactionId":%q,"externalReference":"w1","status":"FAILED","amount":50.00}`, upper)
		client, err := connectpsp.New(connectpsp.Config{ClientID: "1024", ClientSecret: auth.NewSecret("client-secret"),
			ApplicationToken: auth.NewSecret("0d8a5c0e-8f0f-4c62-9b8b-4b6f1f7c2a11"), BaseURL: "https://gateway.example"},
			connectpsp.WithHTTPClient(&http.Client{Transport: gatewayFunc(func(string) string { return data })}), connectpsp.WithTokenSource(fixedToken{}))
		require.NoError(t, err)
		givenBack := 0
		worker := webhook.NewWorker(inbox, client, func(_ context.Context, step webhook.Transition) error {
			if step.To == webhook.StatusFailed {
				givenBack++
			}
			return nil
		})
		handler, err := webhook.NewHandler(inbox, auth.NewSecret(currentSecret))
		require.NoError(t, err)
		require.Equal(t, 200, post(handler, currentSecret, `{"eventType":"CASHOUT_FAILED","eventAt":"2026-03-10T11:22:18Z","data":`+data+`}`))
		execute(t, db, `UPDATE connectpsp_inbox SET due_at = 1`) // an hour later
		for range 5 {
			_, err := worker.Work(t.Context())
			require.NoError(t, err)
			execute(t, db, `UPDATE connectpsp_inbox SET due_at = 1 WHERE state = 'PENDING'`)
		}
		assert.Equal(t, 1, givenBack)
	})
}

// What was paid before the update is paid a second time after it.
func TestASecondPaymentOfAChargeThatWasPaidBeforeTheUpdateIsHeld(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		old(t, s, db)
		execute(t, db, `INSERT INTO connectpsp_inbox (key, "transaction", body, body_sha256, delivery_id, received_at, state, due_at)
VALUES ('CASHIN_PAID/t1/E1', 'CASHIN/t1', $1, $2, '', 1, 'DONE', 1)`, []byte{}, make([]byte, 32))
		execute(t, db, `INSERT INTO connectpsp_transaction (key, status, returns, centavos, reference, changed_at) VALUES ('CASHIN/t1', 'PAID', '', 5000, 'w1', 0)`)
		inbox := openInbox(t, s, db)
		st := &storm{t: t}
		st.receive(inbox, func(context.Context, webhook.Transition) error { return nil })
		require.Equal(t, 200, post(st.handler, currentSecret, `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":`+
			`{"transactionId":"t1","externalReference":"w1","endToEndId":"E2","status":"PAID","amount":50.00}}`))
		_, err := st.worker.Work(t.Context())
		require.NoError(t, err)
		held, err := inbox.Held(t.Context(), 10)
		require.NoError(t, err)
		assert.Len(t, held, 1)
	})
}

// A program of the version before is started again while one of this version runs, as in a rolling
// update.
func TestTwoAtOnceForOneTransactionIfTheFunctionOverrunsItsTime(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		put(t, inbox, item("a"), item("b"))
		one := claim(t, inbox)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun, end := make(chan struct{}), make(chan struct{})
		go func() {
			_ = inbox.Complete(ctx, one, func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
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
		other, err := inbox.Claim(within, time.Minute) // SQLite: the writer is busy
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
			tx := sqlinbox.Tx(ctx)
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
			number(t, db, `SELECT count(*) FROM connectpsp_inbox WHERE state = 'HELD'`)
		assert.NotZero(t, seen, "R$ 40 stayed in the account, and no person is told")
	})
}
