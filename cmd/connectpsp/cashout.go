package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func (a *app) cashOut() *cobra.Command {
	return family("cash-out", "Send money to a PIX key or a bank account", "cash-out get 0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e",
		a.cashOutCreate(), a.cashOutGet(), a.cashOutResolve())
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
the payment is made once. Never send it under another reference.`
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

func addAttempt(command *cobra.Command, attempt *int) {
	command.Flags().IntVar(attempt, "attempt", 0, "the `NUMBER` of certain rejections that the payment has had, to try it again")
}

func addYes(command *cobra.Command, yes *bool) {
	command.Flags().BoolVar(yes, "yes", false, "do not ask for confirmation")
}

// options returns the options of a call with an attempt number.
func options(attempt int) []connectpsp.CallOption {
	if attempt == 0 {
		return nil
	}
	return []connectpsp.CallOption{connectpsp.WithAttempt(attempt)}
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
		row{"amount", reais(request.Amount)},
		row{"to", person(request.Payee.Name, request.Payee.Document)},
		row{"", destination(request.Payee.Destination)},
		row{"reference", request.ExternalReference},
		row{"gateway", g.String()})
	if err != nil {
		return err
	}
	s, err := a.openSession(ctx, g, &f.journal)
	if err != nil {
		return err
	}
	defer s.close(a)
	payment, err := s.CreateCashOut(ctx, request, options(f.attempt)...)
	if err != nil {
		return a.unsettled(err, &f.journal, "cash-out", "resolve", "--reference", request.ExternalReference)
	}
	return a.printCashOut(payment, "accepted", s.settled)
}

// cashOutResult is the JSON of commands about a payment.
type cashOutResult struct {
	Outcome   string             `json:"outcome,omitzero"`
	CashOut   connectpsp.CashOut `json:"cashOut"`
	Recovered []recovered        `json:"recovered,omitzero"`
}

func (a *app) printCashOut(c *connectpsp.CashOut, outcome string, settled []recovered) error {
	failure := ""
	if c.Failure != nil {
		failure = string(c.Failure.Code)
	}
	next := ""
	if outcome != "" && c.Status == connectpsp.CashOutProcessing {
		next = "connectpsp wait cash-out " + quote(c.TransactionID)
	}
	return a.print(cashOutResult{outcome, maskCashOut(*c), settled},
		row{"outcome", outcome},
		row{"status", string(c.Status)},
		row{"failure", failure},
		row{"amount", amountOf(c.Amount)},
		row{"payee", person(c.Payee.Name, c.Payee.Document)},
		row{"to", destination(c.Payee.Destination)},
		row{"reference", c.ExternalReference},
		row{"transaction", c.TransactionID},
		row{"internal code", c.InternalCode},
		row{"end-to-end id", c.EndToEndID},
		row{"returns", c.OriginalEndToEndID},
		row{"requested", timeOf(c.RequestedAt)},
		row{"completed", timeOf(c.CompletedAt)},
		row{"failed", timeOf(c.FailedAt)},
		row{"refunded", timeOf(c.RefundedAt)},
		row{"cancelled", timeOf(c.CancelledAt)},
		row{"next", next},
	)
}

func (a *app) cashOutGet() *cobra.Command {
	return leaf("get ID", "Read a payment by its transaction id, internal code or end-to-end id",
		"cash-out get 0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e",
		func(ctx context.Context, args []string) error {
			client, err := a.reader()
			if err != nil {
				return err
			}
			payment, err := client.GetCashOut(ctx, args[0])
			if err != nil {
				return err
			}
			return a.printCashOut(payment, "", nil)
		})
}

func (a *app) cashOutResolve() *cobra.Command {
	var reference string
	var flags journalFlags
	command := leaf("resolve", "Settle a payment whose outcome is unknown", "cash-out resolve --reference withdrawal-42",
		func(ctx context.Context, _ []string) error {
			return a.resolve(ctx, connectpsp.OperationCreateCashOut, reference, &flags, []string{"cash-out", "resolve"})
		})
	return resolveFlags(command, &reference, &flags)
}

func resolveFlags(command *cobra.Command, reference *string, flags *journalFlags) *cobra.Command {
	command.Long = `Settle a payment of the journal whose outcome is unknown.

Within 20 minutes of its first attempt the payment is sent again, with the same idempotency key and
the same bytes, which makes it at most once. Later it is only reported. The command does not ask:
the payment was confirmed before.`
	command.Flags().StringVar(reference, "reference", "", "the reference of the payment")
	flags.add(command)
	return required(command, "reference")
}

var errNotInJournal = errors.New("the journal has no open payment with this reference, and none that ended within the last hour: " +
	"check --reference and --journal; nothing was sent")

// resolve settles the payment of a reference.
func (a *app) resolve(ctx context.Context, operation, reference string, flags *journalFlags, words []string) error {
	g, err := a.gateway()
	if err != nil {
		return err
	}
	s, err := a.openSession(ctx, g, flags)
	if err != nil {
		return err
	}
	defer s.close(a)
	payment, err := s.find(operation, reference)
	if err != nil {
		return a.unsettled(err, flags, append(words, "--reference", reference)...)
	}
	if operation == connectpsp.OperationCreateCashIn {
		charge := payment.CashIn
		if charge == nil {
			if charge, err = s.GetCashIn(ctx, payment.TransactionID); err != nil {
				return accepted(payment.TransactionID, err)
			}
		}
		return a.printCashIn(charge, "accepted", nil)
	}
	cashOut := payment.CashOut
	if cashOut == nil {
		if cashOut, err = s.GetCashOut(ctx, payment.TransactionID); err != nil {
			return accepted(payment.TransactionID, err)
		}
	}
	return a.printCashOut(cashOut, "accepted", nil)
}

// find returns what Recover has reported last about a payment.
func (s *session) find(operation, reference string) (found connectpsp.Recovered, err error) {
	err = errNotInJournal
	for _, one := range s.all {
		if one.Operation == operation && one.ExternalReference == reference {
			found, err = one, one.Err
		}
	}
	return found, err
}

// accepted says that a payment was accepted, though it cannot be read. It hides the type of err,
// which would say that the payment was rejected.
func accepted(transactionID string, err error) error {
	return fmt.Errorf("the payment was accepted, transaction %s, and cannot be read: %v", transactionID, err)
}
