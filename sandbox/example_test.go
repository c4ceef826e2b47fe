package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
)

// newClient returns a raw client of the sandbox. Most programs use package connectpsp, with Config as it is.
func newClient(gateway *sandbox.Sandbox) *gen.Client {
	config := gateway.Config()
	plain, err := gen.NewClient(config.BaseURL)
	if err != nil {
		log.Fatal(err)
	}
	tokens := auth.NewClientCredentials(plain, config.ClientID, config.ClientSecret)
	client, err := gen.NewClient(config.BaseURL,
		gen.WithRequestEditorFn(auth.Bearer(tokens)),
		gen.WithRequestEditorFn(auth.ApplicationToken(config.ApplicationToken)),
		gen.WithRequestEditorFn(signing.Editor(config.CryptoToken.Reveal())))
	if err != nil {
		log.Fatal(err)
	}
	return client
}

// read closes an answer and returns its body as a T.
func read[T any](response *http.Response, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var value T
	if err := json.NewDecoder(response.Body).Decode(&value); err != nil {
		log.Fatal(err)
	}
	return value
}

func Example() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	client := newClient(gateway)
	ctx := context.Background()

	charge := read[gen.CashIn](client.CreateCashIn(ctx, gen.CashInRequest{
		Amount:            pix.Centavos(15050),
		ExternalReference: "order-1",
		Payer:             gen.Payer{Name: "Maria Silva", Document: "12345678909"},
	}))
	code, err := pix.ParseBRCode(charge.PIXData.CopyAndPaste)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(charge.Status, code.Amount)

	if err := gateway.PayCashIn(charge.TransactionID); err != nil {
		log.Fatal(err)
	}
	fmt.Println(read[gen.CashIn](client.GetCashIn(ctx, charge.TransactionID)).Status)
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
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event gen.CashInEvent
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			log.Fatal(err)
		}
		fmt.Println("received", event.EventType, event.Data.ExternalReference)
	}))
	defer receiver.Close()

	ctx := context.Background()
	charge := read[gen.CashIn](newClient(gateway).CreateCashIn(ctx, gen.CashInRequest{
		Amount:            pix.Centavos(15050),
		ExternalReference: "order-1",
		WebhookURL:        receiver.URL,
		Payer:             gen.Payer{Name: "Maria Silva", Document: "12345678909"},
	}))
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
	client := newClient(gateway)
	ctx := context.Background()

	payment := gen.CashOutRequest{
		Amount:            pix.Centavos(5000),
		ExternalReference: "withdrawal-1",
		Payee: gen.Payee{Name: "Maria Silva", Document: "12345678909", Destination: gen.Destination{
			Type: gen.DestinationTypePIX, PIXKeyType: pix.KeyTypeEmail, PIXKey: "maria@example.com",
		}},
	}
	key := idempotency.Editor(idempotency.NewKey())

	// The payment is made, and its answer is lost.
	gateway.FailNext("createCashOut", sandbox.CutAnswer)
	response, err := client.CreateCashOut(ctx, payment, key)
	if err != nil {
		log.Fatal(err)
	}
	_, err = io.ReadAll(response.Body)
	response.Body.Close()
	fmt.Println(response.StatusCode, err)

	// The same key tells how it ended, and pays nothing twice.
	fmt.Println(read[gen.CashOut](client.CreateCashOut(ctx, payment, key)).Status)
	fmt.Println(read[gen.Balance](client.GetBalance(ctx, nil)).Consolidated.TransactionalBalance)
	// Output:
	// 202 unexpected EOF
	// PROCESSING
	// 499950.00
}
