package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

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
	if err := gateway.FailNext("createCashOut", sandbox.CutAnswer); err != nil {
		log.Fatal(err)
	}
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

// The payment is made twice, because this gateway has forgotten the key and does not check the
// reference. Most gateways do check it.
func ExampleWithKeyLifetime() {
	gateway, err := sandbox.Start(sandbox.WithKeyLifetime(24*time.Hour), sandbox.WithUniqueReferences(false))
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	client, err := connectpsp.New(gateway.Config())
	if err != nil {
		log.Fatal(err)
	}
	payment := connectpsp.CashOutRequest{
		Amount:            pix.Centavos(3000),
		ExternalReference: "withdrawal-1",
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	}
	ctx := context.Background()
	for range 2 {
		if _, err := client.CreateCashOut(ctx, payment); err != nil {
			log.Fatal(err)
		}
		if err := gateway.Advance(24 * time.Hour); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(len(gateway.CashOuts().ByKey("maria@example.com").ByAmount(pix.Centavos(3000))))
	// Output: 2
}

func ExampleSandbox_PayCashInWith() {
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

	// The charge expires, and then somebody else pays it from a bank of theirs.
	if err := gateway.ExpireCashIn(charge.TransactionID); err != nil {
		log.Fatal(err)
	}
	payment := sandbox.Payment{Payer: connectpsp.Payer{
		Name:     "José Silva",
		Document: "11144477735",
		BankData: &connectpsp.BankData{ISPB: "00000000", Bank: "Banco do Pai", Branch: "0007", Account: "77-7"},
	}}
	if err := gateway.PayCashInWith(charge.TransactionID, payment); err != nil {
		log.Fatal(err)
	}
	paid, err := client.GetCashIn(ctx, charge.TransactionID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(paid.Status, paid.Payer.Name, paid.Payer.BankData.Bank)
	// Output: PAID José Silva Banco do Pai
}

// Two sandboxes of one seed whose clocks stand still make the same ids.
func ExampleWithSeed() {
	for range 2 {
		gateway, err := sandbox.Start(sandbox.WithSeed(7), sandbox.WithTime(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)))
		if err != nil {
			log.Fatal(err)
		}
		defer gateway.Close()
		client, err := connectpsp.New(gateway.Config())
		if err != nil {
			log.Fatal(err)
		}
		charge, err := client.CreateCashIn(context.Background(), connectpsp.CashInRequest{
			Amount:            pix.Centavos(15050),
			ExternalReference: "order-1",
			Payer:             connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(charge.TransactionID, charge.RequestedAt)
	}
	// Output:
	// muvwy0ixfiilmv7up2qkwdsw4ngl8ccm5bi 2026-03-10 09:00:00 -0300 -0300
	// muvwy0ixfiilmv7up2qkwdsw4ngl8ccm5bi 2026-03-10 09:00:00 -0300 -0300
}

func ExampleSandbox_Restore() {
	gateway, err := sandbox.Start(sandbox.WithBalance(pix.Centavos(100_00), pix.Centavos(0)))
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	client, err := connectpsp.New(gateway.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	rich, err := gateway.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.RebalanceAccount(ctx, pix.Centavos(0)); err != nil {
		log.Fatal(err)
	}
	if err := gateway.Restore(rich); err != nil {
		log.Fatal(err)
	}
	balance, err := client.GetBalance(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(balance.Consolidated.TransactionalBalance)
	// Output: 100.00
}

func ExampleStart() {
	gateway, err := sandbox.Start(sandbox.WithBalance(pix.Centavos(100_00), pix.Centavos(0)))
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	client, err := connectpsp.New(gateway.Config())
	if err != nil {
		log.Fatal(err)
	}
	balance, err := client.GetBalance(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(balance.Consolidated.TransactionalBalance)
	// Output: 100.00
}

// A proxy responds with 502 and the gateway never sees the request. The client cannot know that.
func ExampleStatus() {
	fmt.Println(payThrough(sandbox.Status(502)))
	// Output: unknown: true, paid: 0
}

// A proxy responds with 502 after the gateway has made the payment. The client sees the same.
func ExampleStatusAfterExecution() {
	fmt.Println(payThrough(sandbox.StatusAfterExecution(502)))
	// Output: unknown: true, paid: 1
}

// payThrough makes one attempt of a payment, through a fault.
func payThrough(fault sandbox.Fault) string {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	client, err := connectpsp.New(gateway.Config(), connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}))
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.FailNext("createCashOut", fault); err != nil {
		log.Fatal(err)
	}
	_, err = client.CreateCashOut(context.Background(), connectpsp.CashOutRequest{
		Amount:            pix.Centavos(5000),
		ExternalReference: "withdrawal-1",
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	})
	return fmt.Sprintf("unknown: %t, paid: %d", errors.Is(err, connectpsp.ErrUnknownOutcome), len(gateway.CashOuts()))
}
