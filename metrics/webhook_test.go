package metrics_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestAScrapeCountsWebhooks(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(*testing.T, *receiver)
		counts map[string]float64
		held   float64
	}{
		"a payment of which the event comes twice": {
			func(t *testing.T, r *receiver) {
				id := r.paidCharge(t)
				require.NoError(t, r.gateway.Redeliver(id))
				r.work(t)
			},
			map[string]float64{
				`webhook_deliveries_total{result="stored"}`: 1, `webhook_deliveries_total{result="duplicate"}`: 1,
				"webhook_delivery_duration_seconds_count": 2, `webhook_events_total{type="CASHIN_PAID"}`: 1,
				`webhook_processed_total{kind="CASHIN",result="applied"}`: 1, `webhook_steps_total{kind="CASHIN",to="PAID"}`: 1,
				"webhook_lag_seconds_count": 1,
			},
			0,
		},
		"a forged event": {
			func(_ *testing.T, r *receiver) {
				r.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"event":"Maria"}`)))
			},
			map[string]float64{
				`webhook_deliveries_total{result="invalid_signature"}`: 1, "webhook_delivery_duration_seconds_count": 1,
			},
			0,
		},
		"a second payment of a charge": {
			func(t *testing.T, r *receiver) {
				id := r.paidCharge(t)
				r.work(t)
				require.NoError(t, r.gateway.PayCashInWith(id, sandbox.Payment{}))
				r.work(t)
			},
			map[string]float64{
				`webhook_deliveries_total{result="stored"}`: 2,
				"webhook_delivery_duration_seconds_count":   2, `webhook_events_total{type="CASHIN_PAID"}`: 2,
				`webhook_processed_total{kind="CASHIN",result="applied"}`: 1, `webhook_steps_total{kind="CASHIN",to="PAID"}`: 1,
				"webhook_lag_seconds_count": 1, `webhook_processed_total{kind="CASHIN",result="held"}`: 1,
			},
			1,
		},
		"an event of a transaction that does not exist": {
			func(t *testing.T, r *receiver) {
				require.NoError(t, r.gateway.SendWebhook(receiverURL, []byte(unknownCharge)))
				r.work(t)
			},
			map[string]float64{
				`webhook_deliveries_total{result="stored"}`: 1,
				"webhook_delivery_duration_seconds_count":   1, `webhook_events_total{type="CASHIN_PAID"}`: 1,
				`webhook_processed_total{kind="CASHIN",result="retried"}`: 8, `webhook_processed_total{kind="CASHIN",result="held"}`: 1,
				`webhook_marks_total{mark="alarm"}`: 1,
			},
			1,
		},
		"a function that panics": {
			func(t *testing.T, r *receiver) {
				r.panics = 1
				r.paidCharge(t)
				r.work(t)
			},
			map[string]float64{
				`webhook_deliveries_total{result="stored"}`: 1,
				"webhook_delivery_duration_seconds_count":   1, `webhook_events_total{type="CASHIN_PAID"}`: 1,
				`webhook_processed_total{kind="CASHIN",result="retried"}`: 1, `webhook_marks_total{mark="panic"}`: 1,
				`webhook_processed_total{kind="CASHIN",result="applied"}`: 1, `webhook_steps_total{kind="CASHIN",to="PAID"}`: 1,
				"webhook_lag_seconds_count": 1,
			},
			0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t)
				c.do(t, r)
				counts := changes(t, r.metrics)
				for series := range counts {
					if !strings.HasPrefix(series, "webhook_") {
						delete(counts, series)
					}
				}
				assert.Equal(t, c.counts, counts)
				assert.Equal(t, map[string]float64{
					"connectpsp_inbox_due": 0, "connectpsp_inbox_held": c.held, "connectpsp_inbox_lag_seconds": 0,
				}, gaugesOf(t, r.metrics))
				text := scrapeText(t, r.metrics)
				for _, canary := range append(canaries, "o-1", "order-2", "kk6g232xel65a0daee4dd13kk2912714964") {
					assert.NotContains(t, text, canary)
				}
			})
		})
	}
}

func TestAScrapeCountsTheWritesToTheJournal(t *testing.T) {
	m := metrics.New()
	payments, err := journal.Open(filepath.Join(t.TempDir(), "payments"), journal.WithObserver(m))
	require.NoError(t, err)
	defer payments.Close()
	client := newClient(t, startSandbox(t), connectpsp.WithJournal(payments))
	_, err = client.CreateCashIn(t.Context(), charge("o-1"))
	require.NoError(t, err)
	assert.Equal(t, map[string]float64{
		`journal_write_duration_seconds_count{step="begin"}`: 1, `journal_write_duration_seconds_count{step="sent"}`: 1,
		`journal_write_duration_seconds_count{step="finish"}`: 1,
	}, changes(t, m))
}

const receiverURL = "http://127.0.0.1:8080"

// unknownCharge is an event that only the owner of the CryptoToken, or a thief, can sign.
const unknownCharge = `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{"transactionId":"kk6g232xel65a0daee4dd13kk2912714964",` +
	`"externalReference":"order-2","endToEndId":"E00416968202603101827cemeFscF6AG","status":"PAID","amount":10.50}}`

// receiver is a service that makes charges and receives their events. All of it is observed.
type receiver struct {
	metrics *metrics.Metrics
	gateway *sandbox.Sandbox
	client  *connectpsp.Client
	handler *webhook.Handler
	worker  *webhook.Worker
	panics  int // how often the function panics
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{metrics: metrics.New(), gateway: startSandbox(t)}
	payments, err := journal.Open(filepath.Join(t.TempDir(), "payments"), journal.WithObserver(r.metrics))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, payments.Close()) })
	r.client = newClient(t, r.gateway, connectpsp.WithJournal(payments), connectpsp.WithObserver(r.metrics))
	inbox, silent := webhook.NewMemoryInbox(), slog.New(slog.DiscardHandler)
	r.handler, err = webhook.NewHandler(inbox, r.gateway.Config().CryptoToken)
	require.NoError(t, err)
	r.handler.Observer, r.handler.Logger = r.metrics, silent
	r.worker = webhook.NewWorker(inbox, r.client, r.apply, webhook.WithObserver(r.metrics), webhook.WithLogger(silent), webhook.WithConfirmation(pix.Centavos(0)))
	r.metrics.WatchInbox(inbox)
	listener, err := r.gateway.Listen("127.0.0.1:8080")
	require.NoError(t, err)
	server := &http.Server{Handler: r.handler}
	go server.Serve(listener)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	return r
}

func (r *receiver) apply(context.Context, webhook.Transition) error {
	if r.panics > 0 {
		r.panics--
		panic("Maria")
	}
	return nil
}

func (r *receiver) paidCharge(t *testing.T) (id string) {
	t.Helper()
	request := charge("o-1")
	request.WebhookURL = receiverURL
	made, err := r.client.CreateCashIn(t.Context(), request)
	require.NoError(t, err)
	require.NoError(t, r.gateway.PayCashIn(made.TransactionID))
	return made.TransactionID
}

// work processes what the gateway has sent, also what is retried within an hour.
func (r *receiver) work(t *testing.T) {
	t.Helper()
	require.NoError(t, r.gateway.WaitWebhooks(t.Context()))
	time.Sleep(time.Second)
	for end := time.Now().Add(time.Hour); time.Now().Before(end); time.Sleep(time.Minute) {
		for worked := true; worked; {
			var err error
			worked, err = r.worker.Work(t.Context())
			require.NoError(t, err)
		}
	}
}
