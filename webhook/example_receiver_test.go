package webhook_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// A charge is paid, and the gateway tells it three times.
func ExampleNewWorker() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	ctx := context.Background()
	client, err := connectpsp.New(gateway.Config())
	if err != nil {
		log.Fatal(err)
	}

	inbox := webhook.NewMemoryInbox() // a service that must lose nothing has a database: see package sqlinbox
	handler, err := webhook.NewHandler(inbox, gateway.Config().CryptoToken)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(handler) // http.Handle("/webhooks/connectpsp", handler)
	defer server.Close()
	worker := webhook.NewWorker(inbox, client, func(_ context.Context, step webhook.Transition) error {
		if step.Kind == webhook.KindCashIn && step.To == webhook.StatusPaid {
			fmt.Println("credit", step.CashIn.ExternalReference, step.CashIn.Amount, "confirmed:", step.Confirmed)
		}
		return nil
	}, webhook.WithConfirmation(pix.Centavos(0)))

	charge, err := client.CreateCashIn(ctx, connectpsp.CashInRequest{
		Amount:            pix.Centavos(1050),
		ExternalReference: "order-1",
		WebhookURL:        server.URL,
		Payer:             connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.PayCashIn(charge.TransactionID); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		if err := gateway.Redeliver(charge.TransactionID); err != nil {
			log.Fatal(err)
		}
	}
	if err := gateway.WaitWebhooks(ctx); err != nil {
		log.Fatal(err)
	}
	// go worker.Run(ctx) does this all the time.
	for worked := true; worked; {
		if worked, err = worker.Work(ctx); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(handler.Counts().Stored, handler.Counts().Duplicates)
	// Output:
	// credit order-1 10.50 confirmed: true
	// 1 2
}
