package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func (a *app) cashOut() *cobra.Command {
	return family("cash-out", "Send money to a PIX key or a bank account", "cash-out get "+payments.exampleID,
		a.cashOutCreate(), a.getCommand(payments), a.resolveCommand(payments))
}

// cashOutFlags are those of cash-out create.
type cashOutFlags struct {
	amount, keyType, key string
	request              connectpsp.CashOutRequest
	account              connectpsp.BankAccount
	attempt              int
	yes                  bool
	journal              journalFlags
}

func (a *app) cashOutCreate() *cobra.Command {
	var f cashOutFlags
	command := leaf("create", "Send a payment, once for each reference",
		"cash-out create --reference withdrawal-42 --amount 50.00 --name 'Maria Silva' --document 12345678909 --key-type CPF --key 12345678909",
		func(ctx context.Context, _ []string) error { return a.createCashOut(ctx, &f) })
	command.Long = `Send a payment to a PIX key, or to a bank account with --ispb, --branch and --account.

The payment is written to the journal first, and its idempotency key derives from --reference. If
the command is killed, or its outcome is unknown, run it again unchanged, or run cash-out resolve:
the payment is made once. Do not send it under another reference then.

The same reference again shows the present state of the payment. The exit status is 3 once it is
FAILED, CANCELLED or REFUNDED: to pay again, use a new reference. With another amount, payee or text
it is 2, and nothing is sent.` + attemptHelp
	flags := command.Flags()
	flags.StringVar(&f.request.ExternalReference, "reference", "", "your own identifier of the payment: unique, and the same when the command is repeated")
	flags.StringVar(&f.amount, "amount", "", "the amount in `REAIS`, such as 50.00")
	flags.StringVar(&f.request.Payee.Name, "name", "", "the full name of the payee")
	flags.StringVar(&f.request.Payee.Document, "document", "", "the CPF or CNPJ of the payee, digits only")
	flags.StringVar(&f.keyType, "key-type", "", "the `TYPE` of the key: CPF, CNPJ, EMAIL, PHONE or EVP; it is never guessed")
	flags.StringVar(&f.key, "key", "", "the PIX key")
	flags.StringVar(&f.account.ISPB, "ispb", "", "the 8 digits of the bank, to pay to an account")
	flags.StringVar(&f.account.Branch, "branch", "", "the branch of the account")
	flags.StringVar(&f.account.Account, "account", "", "the number of the account, with its check digit")
	flags.StringVar((*string)(&f.account.AccountType), "account-type", string(connectpsp.AccountTypePayment), "the `TYPE` of the account")
	flags.StringVar(&f.request.Description, "description", "", "a text that the payee may see")
	flags.StringVar(&f.request.WebhookURL, "webhook-url", "", "the `URL` that receives the events of the payment")
	addAttempt(command, &f.attempt)
	addYes(command, &f.yes)
	f.journal.add(command)
	return required(command, "reference", "amount", "name", "document")
}

func (f *cashOutFlags) complete() (err error) {
	if f.request.Amount, err = parseAmount("--amount", f.amount); err != nil {
		return err
	}
	account := f.account.ISPB + f.account.Branch + f.account.Account
	switch {
	case account != "" && f.key+f.keyType != "":
		return usage("--key and --account name two destinations: give one")
	case account != "":
		f.request.Payee.Destination = connectpsp.ToBankAccount(f.account)
	case f.key == "" || f.keyType == "":
		return usage("give --key-type and --key, or --ispb, --branch and --account")
	default:
		f.request.Payee.Destination = connectpsp.ToPIXKey(pix.KeyType(f.keyType), f.key)
	}
	return nil
}

func (a *app) createCashOut(ctx context.Context, f *cashOutFlags) error {
	if err := f.complete(); err != nil {
		return err
	}
	g, err := a.gateway()
	if err != nil {
		return err
	}
	if err := a.mayConfirm(f.yes); err != nil {
		return err
	}
	request := f.request
	err = a.confirm(ctx, f.yes, "Send this payment?",
		row{"amount", request.Amount.BRL()},
		row{"to", joined(request.Payee.Name, request.Payee.Document)},
		row{"", typed(request.Payee.Destination)},
		row{"reference", request.ExternalReference},
		row{"gateway", g.String()})
	if err != nil {
		return err
	}
	return a.create(ctx, g, &f.journal, order{
		payments, request.ExternalReference, request.Amount, request, f.attempt,
		sending((*connectpsp.Client).CreateCashOut, request, ofCashOut),
	})
}

// typed names a destination in full, for the person who has typed it and is asked. No log and no
// other output has it.
func typed(to connectpsp.Destination) string {
	if account := to.BankAccount; account != nil {
		return joined("bank", account.ISPB, "branch", account.Branch, "account", account.Account)
	}
	return joined(string(to.PIXKeyType), "key", to.PIXKey)
}

func ofCashOut(c *connectpsp.CashOut) transaction {
	t := transaction{id: c.TransactionID, requested: c.RequestedAt.Time, pending: c.Status == connectpsp.CashOutProcessing}
	failure := ""
	if c.Failure != nil {
		failure = string(c.Failure.Code)
	}
	switch c.Status {
	case connectpsp.CashOutFailed:
		t.outcome, t.why = outcomeUndone, "failed later, so the money came back: correct the cause, then pay again under a new --reference"
	case connectpsp.CashOutCancelled:
		t.outcome, t.why = outcomeUndone, "was cancelled later, so the money came back: to pay again, use a new --reference"
	case connectpsp.CashOutRefunded:
		t.outcome, t.why = outcomeReturned, "was returned later, so the money came back, all or a part: book only what came back, and pay that again under a new --reference"
	}
	masked := maskCashOut(*c)
	t.result.CashOut = &masked
	t.rows = []row{
		{"status", string(c.Status)},
		{"failure", failure},
		{"amount", amountOf(c.Amount)},
		{"payee", person(c.Payee.Name, c.Payee.Document)},
		{"to", destination(c.Payee.Destination)},
		{"reference", c.ExternalReference},
		{"transaction", c.TransactionID},
		{"internal code", c.InternalCode},
		{"end-to-end id", c.EndToEndID},
		{"returns", c.OriginalEndToEndID},
		{"requested", timeOf(c.RequestedAt.Time)},
		{"completed", timeOf(c.CompletedAt.Time)},
		{"failed", timeOf(c.FailedAt.Time)},
		{"refunded", timeOf(c.RefundedAt.Time)},
		{"cancelled", timeOf(c.CancelledAt.Time)},
	}
	return t
}
