package webhook_test

import (
	"context"
	"encoding/hex"
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

// A charge is paid, and the gateway delivers the event three times.
func Example() {
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

	inbox := webhook.NewMemoryInbox() // a service that must lose nothing has a database: see package sqlstore
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

// The handler answers each delivery with its status, and counts it.
func ExampleNewHandler() {
	secret := auth.NewSecret("b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11")
	handler, err := webhook.NewHandler(webhook.NewMemoryInbox(), secret)
	if err != nil {
		log.Fatal(err)
	}
	handler.Logger = slog.Default()

	const body = `{"eventType":"CASHOUT_FAILED","data":{"transactionId":"0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11","endToEndId":null}}`
	for _, token := range []string{"not the CryptoToken", secret.Reveal(), secret.Reveal()} {
		delivery := httptest.NewRequest(http.MethodPost, "/webhooks/connectpsp", strings.NewReader(body))
		delivery.Header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(token, []byte(body))))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, delivery)
		fmt.Println(w.Code)
	}
	counts := handler.Counts()
	fmt.Println("new:", counts.Stored, "repeated:", counts.Duplicates, "forged:", counts.InvalidSignature)
	// Output:
	// 401
	// 200
	// 200
	// new: 1 repeated: 1 forged: 1
}
