// Quickstart receives a PIX payment, refunds it, sends a payment and verifies the webhook of each
// step.
//
// Without set-up it runs against the sandbox in this process: no account, no network, no money.
// With the CONNECTPSP_* variables set it runs against staging, and names the steps that it cannot
// make happen there. It refuses to run against production.
//
// The exit status is 0 if every step was verified, 1 if a step failed, and 2 if no step failed but
// some could not be made to happen.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// errNotAllVerified ends a run without a failure in which some steps could not be made to happen.
var errNotAllVerified = errors.New("not every step could be verified")

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	err := run(ctx, os.Stdout)
	switch {
	case errors.Is(err, errNotAllVerified):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	gateway, err := openGateway(out)
	if err != nil {
		return err
	}
	defer gateway.close()
	client, err := connectpsp.New(gateway.config)
	if err != nil {
		return err
	}
	t := tour{out: out, client: client, gateway: gateway, name: "quickstart-" + uuid.NewString()[:8]}
	for _, step := range []func(context.Context) error{
		t.readBalance, t.receive, t.refund, t.send, t.sendThroughAnOutage, t.compareBalance,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if gateway.sandbox == nil {
		t.say("\nNo step failed. Steps marked – could not be made to happen on staging and were not verified.")
		return errNotAllVerified
	}
	t.say("\nEverything was verified.")
	return nil
}

// tour is one run through the API.
type tour struct {
	out     io.Writer
	client  *connectpsp.Client
	gateway *gateway
	name    string // begins every externalReference of this run

	balance  pix.Amount // at the beginning
	charge   *connectpsp.CashIn
	payments pix.Amount // sent out
}

func (t *tour) say(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

func (t *tour) readBalance(ctx context.Context) error {
	balance, err := t.client.GetBalance(ctx)
	if err != nil {
		return err
	}
	t.balance = balance.Consolidated.TransactionalBalance
	t.say("1. Balance\n   R$ %v transactional, R$ %v proprietary", t.balance, balance.Consolidated.ProprietaryBalance)
	return nil
}

func (t *tour) receive(ctx context.Context) error {
	t.say("\n2. Cash-in: a charge of R$ 10.50")
	charge, err := t.client.CreateCashIn(ctx, connectpsp.CashInRequest{
		Amount:              pix.Centavos(1050),
		ExternalReference:   t.name + "-order",
		ExpirationInMinutes: 30,
		WebhookURL:          t.gateway.webhookURL,
		Payer:               connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	})
	if err != nil {
		return err
	}
	t.charge = charge
	t.say("   %s  transaction %s", charge.Status, charge.TransactionID)
	if err := t.showCode(charge.PIXData); err != nil {
		return err
	}
	if t.gateway.sandbox == nil {
		t.say("   – nobody pays it here: CASHIN_PAID, PAID")
		return nil
	}
	if err := t.gateway.sandbox.PayCashIn(charge.TransactionID); err != nil {
		return err
	}
	t.say("   the payer pays")
	if err := t.expectEvent(ctx, webhook.CashInPaid, charge.TransactionID); err != nil {
		return err
	}
	paid, err := t.client.WaitCashIn(ctx, charge.TransactionID)
	if err != nil {
		return err
	}
	t.say("   %s  end-to-end id %s", paid.Status, paid.EndToEndID)
	return expect("the charge", paid.Status, connectpsp.CashInPaid)
}

// showCode prints the code that the payer would scan or paste, and checks its amount.
func (t *tour) showCode(data *connectpsp.PIXData) error {
	if data == nil {
		return errors.New("the charge has no QR code")
	}
	code, err := pix.ParseBRCode(data.CopyAndPaste)
	if err != nil {
		return err
	}
	t.say("   copy and paste: %s", data.CopyAndPaste)
	t.say("   its checksum is right, its amount is R$ %v, the QR code's PNG has %d characters of base64", code.Amount, len(data.QRCodeImageBase64))
	if t.gateway.sandbox == nil {
		return nil // a dynamic code need not state its amount
	}
	return expect("the amount in the QR code", code.Amount, pix.Centavos(1050))
}

func (t *tour) refund(ctx context.Context) error {
	t.say("\n3. Refund of that charge")
	if t.gateway.sandbox == nil {
		t.say("   – it is not paid: CASHIN_REFUNDED, REFUNDED")
		return nil
	}
	refund, err := t.client.RefundCashIn(ctx, t.charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundCustomerRequest})
	if err != nil {
		return err
	}
	t.say("   accepted  end-to-end id %s", refund.EndToEndID)
	if err := t.gateway.sandbox.SettleRefund(t.charge.TransactionID); err != nil {
		return err
	}
	t.say("   the banking network returns the money")
	if err := t.expectEvent(ctx, webhook.CashInRefunded, t.charge.TransactionID); err != nil {
		return err
	}
	refunded, err := t.client.GetCashIn(ctx, t.charge.TransactionID)
	if err != nil {
		return err
	}
	t.say("   %s", refunded.Status)
	return expect("the charge", refunded.Status, connectpsp.CashInRefunded)
}

func (t *tour) send(ctx context.Context) error {
	t.say("\n4. Cash-out: R$ 50.00 to a PIX key")
	payment, err := t.pay(ctx, "-withdrawal-1")
	if err != nil {
		return err
	}
	if t.gateway.sandbox == nil {
		t.say("   – nobody receives webhooks here: CASHOUT_COMPLETED, COMPLETED")
		return nil
	}
	return t.complete(ctx, payment.TransactionID)
}

// sendThroughAnOutage sends a payment whose response is lost. The client retries with the same key,
// and the response says that the payment was made.
func (t *tour) sendThroughAnOutage(ctx context.Context) error {
	t.say("\n5. Cash-out again, and the connection breaks after the gateway has done it")
	if t.gateway.sandbox == nil {
		t.say("   – staging does not break on request")
		return nil
	}
	t.gateway.loseNextResponse()
	payment, err := t.pay(ctx, "-withdrawal-2")
	if err != nil {
		return err
	}
	t.say("   the client retried with the same idempotency key: paid once, not twice")
	return t.complete(ctx, payment.TransactionID)
}

func (t *tour) pay(ctx context.Context, reference string) (*connectpsp.CashOut, error) {
	amount := pix.Centavos(5000)
	payment, err := t.client.CreateCashOut(ctx, connectpsp.CashOutRequest{
		Amount:            amount,
		ExternalReference: t.name + reference,
		Description:       "User withdrawal",
		WebhookURL:        t.gateway.webhookURL,
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909"),
		},
	})
	if errors.Is(err, connectpsp.ErrUnknownOutcome) {
		return nil, fmt.Errorf("the payment may have been made, so it stays open: %w", err)
	}
	if err != nil {
		return nil, err
	}
	t.payments = pix.Centavos(t.payments.Centavos() + amount.Centavos())
	t.say("   %s  transaction %s", payment.Status, payment.TransactionID)
	return payment, expect("the payment", payment.Status, connectpsp.CashOutProcessing)
}

func (t *tour) complete(ctx context.Context, transactionID string) error {
	if err := t.gateway.sandbox.CompleteCashOut(transactionID); err != nil {
		return err
	}
	t.say("   the banking network completes it")
	if err := t.expectEvent(ctx, webhook.CashOutCompleted, transactionID); err != nil {
		return err
	}
	completed, err := t.client.WaitCashOut(ctx, transactionID)
	if err != nil {
		return err
	}
	t.say("   %s  end-to-end id %s", completed.Status, completed.EndToEndID)
	return expect("the payment", completed.Status, connectpsp.CashOutCompleted)
}

func (t *tour) compareBalance(ctx context.Context) error {
	t.say("\n6. Balance")
	balance, err := t.client.GetBalance(ctx)
	if err != nil {
		return err
	}
	now := balance.Consolidated.TransactionalBalance
	if t.gateway.sandbox == nil {
		t.say("   R$ %v transactional\n   – others use this account, so it is not compared", now)
		return nil
	}
	t.say("   R$ %v transactional: R$ %v less than before, the charge was refunded and each payment went out once", now, t.payments)
	return expect("the balance", now, pix.Centavos(t.balance.Centavos()-t.payments.Centavos()))
}

// expectEvent waits for a verified webhook of a transaction.
func (t *tour) expectEvent(ctx context.Context, eventType webhook.EventType, transactionID string) error {
	event, err := t.gateway.events.wait(ctx, eventType, transactionID)
	if err != nil {
		return err
	}
	t.say("   webhook %s  signature verified, event %s", event.Type, event.Key())
	return nil
}

func expect[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v and should be %v", what, got, want)
	}
	return nil
}
