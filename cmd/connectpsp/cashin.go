package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func (a *app) cashIn() *cobra.Command {
	return family("cash-in", "Charge a payer, and return the money", "cash-in get "+charges.exampleID,
		a.cashInCreate(), a.getCommand(charges), a.cashInRefund(), a.resolveCommand(charges))
}

// cashInFlags are those of cash-in create.
type cashInFlags struct {
	amount      string
	request     connectpsp.CashInRequest
	openFinance bool
	redirectURL string
	attempt     int
	journal     journalFlags
}

func (a *app) cashInCreate() *cobra.Command {
	var f cashInFlags
	command := leaf("create", "Make a charge and show its QR code",
		"cash-in create --reference order-7 --amount 10.50 --name 'Maria Silva' --document 12345678909",
		func(ctx context.Context, _ []string) error { return a.createCashIn(ctx, &f) })
	command.Long = `Make a charge, and show its QR code if the terminal is wide enough.

The charge is written to the journal first, and its idempotency key derives from --reference. If the
command is killed, or its outcome is unknown, run it again unchanged, or run cash-in resolve.

The same reference again shows the present state of the charge. The exit status is 3 once it is
EXPIRED, CANCELLED or REFUNDED: another charge needs a new reference. With another amount, payer or
text it is 2, and nothing is sent.` + attemptHelp
	flags := command.Flags()
	flags.StringVar(&f.request.ExternalReference, "reference", "", "your own identifier of the charge: unique, and the same when the command is repeated")
	flags.StringVar(&f.amount, "amount", "", "the amount in `REAIS`, such as 10.50")
	flags.StringVar(&f.request.Payer.Name, "name", "", "the full name of the payer")
	flags.StringVar(&f.request.Payer.Document, "document", "", "the CPF or CNPJ of the payer, digits only")
	flags.IntVar(&f.request.ExpirationInMinutes, "expires-in", 0, "the `MINUTES` in which the charge can be paid (the gateway's default is 1440)")
	flags.StringVar(&f.request.WebhookURL, "webhook-url", "", "the `URL` that receives the events of the charge")
	flags.BoolVar(&f.openFinance, "open-finance", false, "use the OpenFinance flow in place of a QR code")
	flags.StringVar(&f.redirectURL, "redirect-url", "", "the `URL` where the payer comes back to, with --open-finance")
	addAttempt(command, &f.attempt)
	f.journal.add(command)
	return required(command, "reference", "amount", "name", "document")
}

func (a *app) createCashIn(ctx context.Context, f *cashInFlags) (err error) {
	request := f.request
	if request.Amount, err = parseAmount("--amount", f.amount); err != nil {
		return err
	}
	switch {
	case f.openFinance:
		request.OpenFinance = &connectpsp.OpenFinance{RedirectURL: f.redirectURL}
	case f.redirectURL != "":
		return usage("--redirect-url has no effect without --open-finance: give both or neither")
	}
	g, err := a.gateway()
	if err != nil {
		return err
	}
	return a.create(ctx, g, &f.journal, order{
		charges, request.ExternalReference, request.Amount, request, f.attempt,
		sending((*connectpsp.Client).CreateCashIn, request, ofCashIn),
	})
}

func ofCashIn(c *connectpsp.CashIn) transaction {
	t := transaction{id: c.TransactionID, requested: c.RequestedAt.Time, pending: c.Status == connectpsp.CashInAwaitingPayment}
	switch c.Status {
	case connectpsp.CashInExpired:
		t.outcome, t.why = outcomeUndone, "has expired unpaid: another charge needs a new --reference"
	case connectpsp.CashInCancelled:
		t.outcome, t.why = outcomeUndone, "was cancelled unpaid: another charge needs a new --reference"
	case connectpsp.CashInRefunded:
		t.outcome, t.why = outcomeReturned, "was paid, and the money went back to the payer, all or a part: another charge needs a new --reference"
	}
	if c.PIXData != nil {
		t.qrCode = c.PIXData.CopyAndPaste
	}
	masked := maskCashIn(*c)
	t.result.CashIn = &masked
	t.rows = []row{
		{"status", string(c.Status)},
		{"amount", amountOf(c.Amount)},
		{"payer", person(c.Payer.Name, c.Payer.Document)},
		{"copy and paste", t.qrCode},
		{"payment page", c.PaymentURL},
		{"reference", c.ExternalReference},
		{"transaction", c.TransactionID},
		{"internal code", c.InternalCode},
		{"end-to-end id", c.EndToEndID},
		{"returns", c.OriginalEndToEndID},
		{"requested", timeOf(c.RequestedAt.Time)},
		{"paid", timeOf(c.PaidAt.Time)},
		{"refunded", timeOf(c.RefundedAt.Time)},
		{"expired", timeOf(c.ExpiredAt.Time)},
	}
	return t
}
