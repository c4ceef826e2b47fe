package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func Example() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	client, err := connectpsp.New(gateway.Config())
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	charge, err := client.CreateCashIn(ctx, connectpsp.CashInRequest{
		Amount:            pix.Centavos(15050),
		ExternalReference: "order-1",
		Payer:             connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
	})
	if err != nil {
		log.Fatal(err)
	}
	code, err := pix.ParseBRCode(charge.PIXData.CopyAndPaste)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(charge.Status, code.Amount)

	if err := gateway.PayCashIn(charge.TransactionID); err != nil {
		log.Fatal(err)
	}
	paid, err := client.GetCashIn(ctx, charge.TransactionID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(paid.Status)
	// Output:
	// AWAITING_PAYMENT 150.50
	// PAID
}

func ExampleSandbox_PayCashIn() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	client, err := connectpsp.New(gateway.Config())
	if err != nil {
		log.Fatal(err)
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			log.Fatal(err)
		}
		event, err := webhook.Parse(body, r.Header, gateway.Config().CryptoToken)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("received", event.Type, event.CashIn.ExternalReference)
	}))
	defer receiver.Close()

	ctx := context.Background()
	charge, err := client.CreateCashIn(ctx, connectpsp.CashInRequest{
		Amount:            pix.Centavos(15050),
		ExternalReference: "order-1",
		WebhookURL:        receiver.URL,
		Payer:             connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.PayCashIn(charge.TransactionID); err != nil {
		log.Fatal(err)
	}
	if err := gateway.WaitWebhooks(ctx); err != nil {
		log.Fatal(err)
	}
	for _, delivery := range gateway.Deliveries() {
		fmt.Println("attempt", delivery.Attempt, "answered", delivery.StatusCode)
	}
	// Output:
	// received CASHIN_PAID order-1
	// attempt 1 answered 200
}

func ExampleSandbox_FailNext() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	once := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})
	client, err := connectpsp.New(gateway.Config(), once)
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	payment := connectpsp.CashOutRequest{
		Amount:            pix.Centavos(5000),
		ExternalReference: "withdrawal-1",
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	}

	// The payment is made, and the response is lost.
	gateway.FailNext("createCashOut", sandbox.CutAnswer)
	_, err = client.CreateCashOut(ctx, payment)
	fmt.Println("unknown:", errors.Is(err, connectpsp.ErrUnknownOutcome))

	// The same call returns the outcome, and pays nothing twice.
	made, err := client.CreateCashOut(ctx, payment)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(made.Status)
	balance, err := client.GetBalance(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(balance.Consolidated.TransactionalBalance)
	// Output:
	// unknown: true
	// PROCESSING
	// 499950.00
}
