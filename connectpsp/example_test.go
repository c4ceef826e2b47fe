package connectpsp_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// open starts a sandbox and makes a client of it. A real program has connectpsp.New(config) in its
// place.
func open() (*sandbox.Sandbox, *connectpsp.Client) {
	gateway := must(sandbox.Start())
	return gateway, must(connectpsp.New(gateway.Config()))
}

func withdrawal(reference string) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount:            pix.Centavos(5000),
		ExternalReference: reference,
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	}
}

func order(reference string) connectpsp.CashInRequest {
	return connectpsp.CashInRequest{
		Amount:            pix.Centavos(1050),
		ExternalReference: reference,
		Payer:             connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	}
}

// Receive a payment: make a charge, show its QR code, wait until it is paid.
func Example() {
	gateway, err := sandbox.Start() // the gateway in memory
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	client, err := connectpsp.New(gateway.Config()) // connectpsp.ConfigFromEnv() in a program of yours
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	charge, err := client.CreateCashIn(ctx, connectpsp.CashInRequest{
		Amount:            pix.Centavos(1050), // R$ 10.50
		ExternalReference: "order-1",
		Payer:             connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(charge.Status, charge.Amount) // charge.PIXData.CopyAndPaste is the text of the QR code

	if err := gateway.PayCashIn(charge.TransactionID); err != nil { // the payer's part
		log.Fatal(err)
	}
	paid, err := client.WaitCashIn(ctx, charge.TransactionID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(paid.Status)
	// Output:
	// AWAITING_PAYMENT 10.50
	// PAID
}

func ExampleNew() {
	client, err := connectpsp.New(connectpsp.Config{
		ClientID:         "1024",
		ClientSecret:     auth.NewSecret(os.Getenv("CONNECTPSP_CLIENT_SECRET")),
		ApplicationToken: auth.NewSecret(os.Getenv("CONNECTPSP_APPLICATION_TOKEN")),
		CryptoToken:      auth.NewSecret(os.Getenv("CONNECTPSP_CRYPTO_TOKEN")),
		Environment:      connectpsp.Production,
	}, connectpsp.WithLogger(slog.Default()))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = client // share it between goroutines
	// Output: connectpsp: nothing was sent: ClientSecret: must be set, in visible ASCII characters without spaces; ApplicationToken: must be set, in visible ASCII characters without spaces
}

func ExampleConfigFromEnv() {
	defer environment("CONNECTPSP_CLIENT_ID=1024", "CONNECTPSP_CLIENT_SECRET=7d8f1c5e-2a31-4f0b-9c55-0f6f3f1f8a10",
		"CONNECTPSP_APPLICATION_TOKEN=a99b1c3e-1111-4111-8111-0a99110ca710", "CONNECTPSP_ENVIRONMENT=production")()

	config, err := connectpsp.ConfigFromEnv()
	if err != nil {
		log.Fatal(err) // names every variable that is missing
	}
	client, err := connectpsp.New(config)
	if err != nil {
		log.Fatal(err)
	}
	_ = client // share it between goroutines
	fmt.Println(config.ClientID, config.ClientSecret, config.Environment)
	// Output: 1024 [redacted] production
}

// environment sets variables, each given as name=value, until unset is called.
func environment(variables ...string) (unset func()) {
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		_ = os.Setenv(name, value)
	}
	return func() {
		for _, variable := range variables {
			name, _, _ := strings.Cut(variable, "=")
			_ = os.Unsetenv(name)
		}
	}
}

func ExampleClient_CreateCashIn() {
	gateway, client := open()
	defer gateway.Close()

	charge, err := client.CreateCashIn(context.Background(), connectpsp.CashInRequest{
		Amount:              pix.Centavos(1050),
		ExternalReference:   "order-1",
		ExpirationInMinutes: 30,
		Payer:               connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	})
	if err != nil {
		log.Fatal(err)
	}
	code, err := pix.ParseBRCode(charge.PIXData.CopyAndPaste)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(charge.Status, code.Amount)
	// Output: AWAITING_PAYMENT 10.50
}

// The three outcomes of a payment, and the step that a wallet takes on each.
func ExampleClient_CreateCashOut() {
	gateway, client := open()
	defer gateway.Close()
	gateway.FailNext("createCashOut", sandbox.LoseAnswer) // the client retries with the same key

	payment, err := client.CreateCashOut(context.Background(), withdrawal("withdrawal-42"))
	switch {
	case err == nil:
		fmt.Println("accepted:", payment.Status)
	case errors.Is(err, connectpsp.ErrUnknownOutcome):
		fmt.Println("keep it open, call again with the same request or wait for the webhook")
	default:
		fmt.Println("not paid, give the money back:", err)
	}
	// Output: accepted: PROCESSING
}

// Store the error of an unknown outcome as JSON with the order, and resolve it later, in another
// process if need be.
func ExampleClient_ResolveCashOut() {
	gateway, _ := open()
	defer gateway.Close()
	client := must(connectpsp.New(gateway.Config(), connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})))
	ctx := context.Background()

	gateway.FailNext("createCashOut", sandbox.LoseAnswer)
	_, err := client.CreateCashOut(ctx, withdrawal("withdrawal-42"))
	var doubt *connectpsp.UnknownOutcomeError
	fmt.Println(errors.As(err, &doubt))
	stored, err := json.Marshal(doubt)
	if err != nil {
		log.Fatal(err)
	}

	var kept connectpsp.UnknownOutcomeError
	if err := json.Unmarshal(stored, &kept); err != nil {
		log.Fatal(err)
	}
	payment, err := client.ResolveCashOut(ctx, &kept, withdrawal(kept.ExternalReference))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(payment.Status)
	// Output:
	// true
	// PROCESSING
}

// Resolve open payments. With WithJournal these include the payments of a process that was killed.
func ExampleClient_Recover() {
	gateway, _ := open()
	defer gateway.Close()
	client := must(connectpsp.New(gateway.Config(), connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})))
	ctx := context.Background()

	gateway.FailNext("createCashOut", sandbox.LoseAnswer)
	_, err := client.CreateCashOut(ctx, withdrawal("withdrawal-42"))
	fmt.Println(errors.Is(err, connectpsp.ErrUnknownOutcome))

	recovered, err := client.Recover(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, payment := range recovered {
		switch {
		case payment.Err == nil:
			fmt.Println(payment.ExternalReference, "was accepted")
		case errors.Is(payment.Err, connectpsp.ErrNotSent):
			fmt.Println(payment.ExternalReference, "was never sent")
		default:
			fmt.Println(payment.ExternalReference, "is still open")
		}
	}
	// Output:
	// true
	// withdrawal-42 was accepted
}

func ExampleClient_GetCashIn() {
	gateway, client := open()
	defer gateway.Close()
	charge, err := client.CreateCashIn(context.Background(), order("order-1"))
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.ExpireCashIn(charge.TransactionID); err != nil {
		log.Fatal(err)
	}
	read, err := client.GetCashIn(context.Background(), charge.InternalCode)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(read.Status, read.PaidAt.IsZero())
	// Output: EXPIRED true
}

func ExampleClient_RefundCashIn() {
	gateway, client := open()
	defer gateway.Close()
	ctx := context.Background()
	charge, err := client.CreateCashIn(ctx, order("order-1"))
	if err != nil {
		log.Fatal(err)
	}
	refund := connectpsp.RefundRequest{Reason: connectpsp.RefundCustomerRequest}

	_, err = client.RefundCashIn(ctx, charge.TransactionID, refund)
	fmt.Println(errors.Is(err, connectpsp.CodeCashInNotPaid))

	if err := gateway.PayCashIn(charge.TransactionID); err != nil {
		log.Fatal(err)
	}
	// The first attempt was rejected. Under its key the gateway would replay the rejection.
	accepted, err := client.RefundCashIn(ctx, charge.TransactionID, refund, connectpsp.WithAttempt(1))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(accepted.EndToEndID[:1])
	// Output:
	// true
	// D
}

func ExampleClient_GetCashOut() {
	gateway, client := open()
	defer gateway.Close()
	payment, err := client.CreateCashOut(context.Background(), withdrawal("withdrawal-42"))
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.FailCashOut(payment.TransactionID, "PIX_KEY_NOT_FOUND", "No such key."); err != nil {
		log.Fatal(err)
	}
	read, err := client.GetCashOut(context.Background(), payment.TransactionID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(read.Status, read.Failure.Code == connectpsp.FailurePIXKeyNotFound)
	// Output: FAILED true
}

func ExampleClient_GetBalance() {
	gateway, client := open()
	defer gateway.Close()
	balance, err := client.GetBalance(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(balance.Consolidated.TransactionalBalance, balance.Currency)
	// Output: 500000.00 BRL
}

func ExampleClient_RebalanceAccount() {
	gateway, client := open()
	defer gateway.Close()
	if _, err := client.RebalanceAccount(context.Background(), pix.Centavos(250_000_00)); err != nil {
		log.Fatal(err)
	}
	balance, err := client.GetBalance(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(balance.Consolidated.TransactionalBalance)
	// Output: 250000.00
}

func ExampleClient_WaitCashIn() {
	gateway, client := open()
	defer gateway.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute) // always give it an end
	defer cancel()
	charge, err := client.CreateCashIn(ctx, order("order-1"))
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.CancelCashIn(charge.TransactionID); err != nil {
		log.Fatal(err)
	}
	ended, err := client.WaitCashIn(ctx, charge.TransactionID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ended.Status)
	// Output: CANCELLED
}

func ExampleClient_WaitCashOut() {
	gateway, client := open()
	defer gateway.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	payment, err := client.CreateCashOut(ctx, withdrawal("withdrawal-42"))
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.CompleteCashOut(payment.TransactionID); err != nil {
		log.Fatal(err)
	}
	ended, err := client.WaitCashOut(ctx, payment.TransactionID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ended.Status)
	// Output: COMPLETED
}

// After a rejection a payment is tried again under its own reference.
func ExampleWithAttempt() {
	gateway := must(sandbox.Start(sandbox.WithBalance(pix.Amount{}, pix.Centavos(100_00))))
	defer gateway.Close()
	client := must(connectpsp.New(gateway.Config()))
	ctx := context.Background()

	_, err := client.CreateCashOut(ctx, withdrawal("withdrawal-42"))
	fmt.Println(errors.Is(err, connectpsp.CodeInsufficientFunds))

	if _, err := client.RebalanceAccount(ctx, pix.Centavos(60_00)); err != nil {
		log.Fatal(err)
	}
	payment, err := client.CreateCashOut(ctx, withdrawal("withdrawal-42"), connectpsp.WithAttempt(1))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(payment.Status)
	// Output:
	// true
	// PROCESSING
}

// Store a key of your own with the payment, and pass it to every call for that payment.
func ExampleWithIdempotencyKey() {
	gateway, client := open()
	defer gateway.Close()
	key := idempotency.NewKey() // store it before the first call
	var first, second *connectpsp.CashOut
	for _, payment := range []**connectpsp.CashOut{&first, &second} {
		var err error
		*payment, err = client.CreateCashOut(context.Background(), withdrawal("withdrawal-42"), connectpsp.WithIdempotencyKey(key))
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(first.TransactionID == second.TransactionID)
	// Output: true
}

func ExampleWithRawResponse() {
	gateway, client := open()
	defer gateway.Close()
	var raw connectpsp.RawResponse
	if _, err := client.GetBalance(context.Background(), connectpsp.WithRawResponse(&raw)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(raw.StatusCode, raw.Header.Get("Content-Type"))
	// Output: 200 application/json
}

func ExampleToBankAccount() {
	destination := connectpsp.ToBankAccount(connectpsp.BankAccount{
		ISPB:        "18236120",
		Branch:      "0001", // leading zeros count
		Account:     "947710840",
		AccountType: connectpsp.AccountTypePayment,
	})
	fmt.Println(destination.Type, destination.BankAccount.Branch)
	// Output: BANK_ACCOUNT 0001
}

func ExampleToPIXKey() {
	destination := connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, " Maria@Example.com ")
	fmt.Println(destination.Type, destination.PIXKeyType, destination.PIXKey)
	// Output: PIX EMAIL maria@example.com
}

// All invalid fields are reported before anything is sent.
func ExampleValidationError() {
	gateway, client := open()
	defer gateway.Close()
	_, err := client.CreateCashOut(context.Background(), connectpsp.CashOutRequest{Amount: pix.Centavos(-1)})
	var faults connectpsp.ValidationErrors
	if errors.As(err, &faults) {
		for _, fault := range faults {
			fmt.Println(fault.Field, fault.Code)
		}
	}
	// Output:
	// amount AMOUNT_TOO_SMALL
	// externalReference EMPTY
	// payee.name EMPTY
	// payee.document EMPTY
	// payee.destination.type CHOICE
}

// A form shows the person what to correct beside the field.
func ExampleValidationError_UserMessage() {
	gateway, client := open()
	defer gateway.Close()
	request := withdrawal("withdrawal-42")
	request.Payee.Destination = connectpsp.ToPIXKey(connectpsp.PIXKeyPhone, "11987654321")
	_, err := client.CreateCashOut(context.Background(), request)
	var fault *connectpsp.ValidationError
	if errors.As(err, &fault) {
		fmt.Println(fault.Field, fault.Code)
		fmt.Println(fault.UserMessage())
	}
	// Output:
	// payee.destination.pixKey PHONE_COUNTRY
	// Comece o telefone com + e o código do país, como em +5511987654321.
}

// A transport of your own keeps the SDK's settings, wrapped or changed: here it trusts another
// certificate authority.
func ExampleNewTransport() {
	gateway, _ := open()
	defer gateway.Close()

	transport := connectpsp.NewTransport()
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	client, err := connectpsp.New(gateway.Config(), connectpsp.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		log.Fatal(err)
	}
	balance, err := client.GetBalance(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(balance.Currency)
	// Output: BRL
}

// outcomes is an Observer that counts the outcomes of calls. Goroutines call it.
type outcomes struct{ counts sync.Map }

func (*outcomes) Begin(ctx context.Context, _ any) context.Context { return ctx }

func (o *outcomes) End(_ context.Context, activity any) {
	if call, ok := activity.(connectpsp.Call); ok {
		count, _ := o.counts.LoadOrStore(call.Outcome, new(atomic.Int64))
		count.(*atomic.Int64).Add(1)
	}
}

func ExampleWithObserver() {
	gateway, _ := open()
	defer gateway.Close()

	seen := new(outcomes)
	client, err := connectpsp.New(gateway.Config(), connectpsp.WithObserver(seen))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.CreateCashOut(context.Background(), withdrawal("withdrawal-42")); err != nil {
		log.Fatal(err)
	}
	count, _ := seen.counts.Load(connectpsp.CallAccepted)
	fmt.Println(count.(*atomic.Int64).Load(), connectpsp.CallAccepted)
	// Output: 1 accepted
}

// Two clients that share one token.
func ExampleNewTokenSource() {
	gateway, _ := open()
	defer gateway.Close()

	source, err := connectpsp.NewTokenSource(gateway.Config())
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		client, err := connectpsp.New(gateway.Config(), connectpsp.WithTokenSource(source))
		if err != nil {
			log.Fatal(err)
		}
		balance, err := client.GetBalance(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(balance.Currency)
	}
	// Output:
	// BRL
	// BRL
}
