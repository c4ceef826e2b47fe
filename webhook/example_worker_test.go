package webhook_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// platform is a sandbox with a client, an inbox, and a handler that fills it.
type platform struct {
	gateway *sandbox.Sandbox
	client  *connectpsp.Client
	inbox   *webhook.MemoryInbox
	handler *httptest.Server
}

func startPlatform(options ...connectpsp.Option) *platform {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	client, err := connectpsp.New(gateway.Config(), options...)
	if err != nil {
		log.Fatal(err)
	}
	inbox := webhook.NewMemoryInbox()
	handler, err := webhook.NewHandler(inbox, gateway.Config().CryptoToken)
	if err != nil {
		log.Fatal(err)
	}
	return &platform{gateway, client, inbox, httptest.NewServer(handler)}
}

func (p *platform) Close() error {
	p.handler.Close()
	return p.gateway.Close()
}

func (p *platform) withdrawal(reference string) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount:            pix.Centavos(5000),
		ExternalReference: reference,
		WebhookURL:        p.handler.URL,
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	}
}

// fail makes a withdrawal fail, and waits until its event is in the inbox.
func (p *platform) fail(ctx context.Context, reference string) {
	payment, err := p.client.CreateCashOut(ctx, p.withdrawal(reference))
	if err != nil {
		log.Fatal(err)
	}
	if err := p.gateway.FailCashOut(payment.TransactionID, "PIX_KEY_NOT_FOUND", ""); err != nil {
		log.Fatal(err)
	}
	if err := p.gateway.WaitWebhooks(ctx); err != nil {
		log.Fatal(err)
	}
}

// A withdrawal fails, and its amount goes back to the wallet.
func ExampleNewWorker() {
	p := startPlatform()
	defer p.Close()
	ctx := context.Background()

	worker := webhook.NewWorker(p.inbox, p.client, func(_ context.Context, step webhook.Transition) error {
		if step.Kind == webhook.KindCashOut && step.To == webhook.StatusFailed {
			fmt.Println("give back", step.CashOut.ExternalReference, step.CashOut.Amount, step.CashOut.Failure.Code)
		}
		return nil
	})
	p.fail(ctx, "withdrawal-42")
	if _, err := worker.Work(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: give back withdrawal-42 50.00 PIX_KEY_NOT_FOUND
}

// A service runs the worker in a goroutine, and ends it with a context.
func ExampleWorker_Run() {
	p := startPlatform()
	defer p.Close()
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext in a service
	defer stop()

	worker := webhook.NewWorker(p.inbox, p.client, func(_ context.Context, step webhook.Transition) error {
		fmt.Println(step.CashOut.ExternalReference, step.To)
		stop() // only in this example
		return nil
	})
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()
	p.fail(context.Background(), "withdrawal-42")
	fmt.Println(<-ended)
	// Output:
	// withdrawal-42 FAILED
	// context canceled
}

// A test processes the items one by one.
func ExampleWorker_Work() {
	p := startPlatform()
	defer p.Close()
	ctx := context.Background()

	worker := webhook.NewWorker(p.inbox, p.client, func(context.Context, webhook.Transition) error { return nil })
	p.fail(ctx, "withdrawal-42")
	for range 2 {
		worked, err := worker.Work(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("an item was due:", worked)
	}
	// Output:
	// an item was due: true
	// an item was due: false
}

// After a restart the worker polls the payments that Recover has settled, because their events may
// be lost.
func ExampleWorker_WatchRecovered() {
	p := startPlatform(connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}))
	defer p.Close()
	ctx := context.Background()
	worker := webhook.NewWorker(p.inbox, p.client, func(context.Context, webhook.Transition) error { return nil })

	if err := p.gateway.FailNext("createCashOut", sandbox.LoseAnswer); err != nil {
		log.Fatal(err)
	}
	_, err := p.client.CreateCashOut(ctx, p.withdrawal("withdrawal-42"))
	fmt.Println("unknown:", errors.Is(err, connectpsp.ErrUnknownOutcome))

	recovered, err := p.client.Recover(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.WatchRecovered(ctx, recovered); err != nil {
		log.Fatal(err)
	}
	fmt.Println(recovered[0].ExternalReference, "is polled until it is final")
	// Output:
	// unknown: true
	// withdrawal-42 is polled until it is final
}

// A body with a valid signature that is no event is held for manual review: a dead letter.
func ExampleNewMemoryInbox() {
	secret := auth.NewSecret("b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11")
	inbox := webhook.NewMemoryInbox()
	handler, err := webhook.NewHandler(inbox, secret)
	if err != nil {
		log.Fatal(err)
	}
	handler.Logger = slog.New(slog.DiscardHandler)

	const body = "<html>"
	delivery := httptest.NewRequest(http.MethodPost, "/webhooks/connectpsp", strings.NewReader(body))
	delivery.Header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(secret.Reveal(), []byte(body))))
	handler.ServeHTTP(httptest.NewRecorder(), delivery)

	for _, item := range inbox.Held() {
		fmt.Println(item.Held)
		fmt.Println("dismissed:", inbox.Dismiss(item.Key))
	}
	// Output:
	// webhook: malformed event: it is not one JSON value
	// dismissed: true
}
