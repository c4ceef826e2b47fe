package connectpspotel_test

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

const (
	personName     = "Mariana Canario"
	personDocument = "12345678909"
	personKey      = "mariana@canario.example"
	webhookAddress = "127.0.0.1:8080"
)

// service is a client, a journal in a file, a webhook handler and a worker, all with one observer
// and on the memory network of a sandbox.
type service struct {
	*testing.T
	gateway *sandbox.Sandbox
	client  *connectpsp.Client
	journal *journal.File
	apply   func(context.Context, webhook.Transition) error
	close   func() // stops all of it, but not the gateway
}

// startService starts a service in a bubble. The server of its webhooks has spans of otelhttp. The
// worker reads every transaction before it calls apply.
func startService(t *testing.T, tel *telemetry) *service {
	t.Helper()
	s := &service{T: t, gateway: startSandbox(t, sandbox.WithMemoryNetwork(), sandbox.WithSeed(1))}
	s.apply = func(context.Context, webhook.Transition) error { return nil }
	quiet := slog.New(slog.DiscardHandler)
	var err error
	s.journal, err = journal.Open(filepath.Join(t.TempDir(), "payments.journal"), journal.WithObserver(tel))
	require.NoError(t, err)
	s.client = newClient(t, s.gateway, connectpsp.WithObserver(tel), connectpsp.WithJournal(s.journal))
	inbox := webhook.NewMemoryInbox()
	handler, err := webhook.NewHandler(inbox, s.gateway.Config().CryptoToken)
	require.NoError(t, err)
	handler.Observer, handler.Logger = tel, quiet
	worker := webhook.NewWorker(inbox, s.client, func(ctx context.Context, step webhook.Transition) error { return s.apply(ctx, step) },
		webhook.WithConfirmation(pix.Centavos(1)), webhook.WithObserver(tel), webhook.WithLogger(quiet))
	tel.WatchPayments(s.client)
	tel.WatchInbox(inbox)

	listener, err := s.gateway.Listen(webhookAddress)
	require.NoError(t, err)
	server := &http.Server{Handler: otelhttp.NewHandler(handler, "webhooks", otelhttp.WithTracerProvider(tel.tracers)), ErrorLog: slog.NewLogLogger(quiet.Handler(), 0)}
	go func() { _ = server.Serve(listener) }()
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		_ = worker.Run(ctx)
		close(stopped)
	}()
	s.close = sync.OnceFunc(func() {
		stop()
		<-stopped
		assert.NoError(t, server.Close())
		assert.NoError(t, s.journal.Close())
	})
	t.Cleanup(s.close) // also after a failure: a bubble must not end before its goroutines
	return s
}

func (s *service) charge(reference string) connectpsp.CashInRequest {
	return connectpsp.CashInRequest{
		Amount: pix.Centavos(9876543), ExternalReference: reference, WebhookURL: "http://" + webhookAddress,
		Payer: connectpsp.Payer{Name: personName, Document: personDocument},
	}
}

func (s *service) withdrawal(reference string) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount: pix.Centavos(9876543), ExternalReference: reference, WebhookURL: "http://" + webhookAddress,
		Payee: connectpsp.Payee{Name: personName, Document: personDocument, Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, personKey)},
	}
}

// settle waits until the webhooks are delivered and the worker has nothing to do.
func (s *service) settle() {
	s.Helper()
	require.NoError(s, s.gateway.WaitWebhooks(s.Context()))
	synctest.Wait()
}

func TestTheJournalAndTheWebhooksHaveSpansWhereTheyBelong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, connectpspotel.WithURLTemplate())
		s := startService(t, tel)
		s.apply = func(ctx context.Context, step webhook.Transition) error {
			_, own := tel.tracers.Tracer("test").Start(ctx, "the user's function")
			own.End()
			return nil
		}
		payment, err := s.client.CreateCashOut(t.Context(), s.withdrawal("w-1"))
		require.NoError(t, err)
		require.NoError(t, s.gateway.CompleteCashOut(payment.TransactionID))
		s.settle()
		s.close()

		assert.ElementsMatch(t, []string{
			"connectpsp.createCashOut > connectpsp.journal.begin",
			"connectpsp.createCashOut > POST /auth/token",
			"connectpsp.createCashOut > connectpsp.journal.sent",
			"connectpsp.createCashOut > POST /cash-out",
			"connectpsp.createCashOut > connectpsp.journal.finish",
			"connectpsp.createCashOut",
			"POST > connectpsp.webhook.delivery",
			"POST", // of otelhttp
			"connectpsp.webhook.processing > connectpsp.getCashOut > GET /cash-out/{id}",
			"connectpsp.webhook.processing > connectpsp.getCashOut",
			"connectpsp.webhook.processing > the user's function",
			"connectpsp.webhook.processing",
		}, tel.tree())
		delivery := attributesOf(tel.named("connectpsp.webhook.delivery")[0])
		assert.Equal(t, map[string]any{"connectpsp.result": "stored", "connectpsp.event_type": "CASHOUT_COMPLETED", "http.response.status_code": int64(200)}, delivery)
		processing := tel.named("connectpsp.webhook.processing")[0]
		assert.Equal(t, map[string]any{
			"connectpsp.kind": "CASHOUT", "connectpsp.result": "applied", "connectpsp.to": "COMPLETED",
			"connectpsp.attempt": int64(1), "connectpsp.lag": 1e-9,
		}, attributesOf(processing))
		assert.Equal(t, trace.SpanKindInternal, processing.SpanKind)
		counts := tel.collect(t)
		for _, series := range []string{
			`webhook.deliveries{result="stored"}`, `webhook.events{type="CASHOUT_COMPLETED"}`, `webhook.delivery.duration`,
			`webhook.processed{kind="CASHOUT",result="applied"}`, `webhook.steps{kind="CASHOUT",to="COMPLETED"}`,
			`journal.write.duration{step="begin"}`, `journal.write.duration{step="sent"}`, `journal.write.duration{step="finish"}`,
		} {
			assert.Equal(t, 1.0, counts[series], series)
		}
	})
}
