package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func (a *app) cashIn() *cobra.Command {
	return family("cash-in", "Charge a payer, and return the money", "cash-in get kk6g232xel65a0daee4dd13kk2912714964",
		a.cashInCreate(), a.cashInGet(), a.cashInRefund(), a.cashInResolve())
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
command is killed, or its outcome is unknown, run it again unchanged, or run cash-in resolve.`
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
		return usage("--redirect-url has no effect without --open-finance")
	}
	g, err := a.gateway()
	if err != nil {
		return err
	}
	s, err := a.openSession(ctx, g, &f.journal)
	if err != nil {
		return err
	}
	defer s.close(a)
	charge, err := s.CreateCashIn(ctx, request, options(f.attempt)...)
	if err != nil {
		return a.unsettled(err, &f.journal, "cash-in", "resolve", "--reference", request.ExternalReference)
	}
	return a.printCashIn(charge, "accepted", s.settled)
}

// cashInResult is the JSON of commands about a charge.
type cashInResult struct {
	Outcome   string            `json:"outcome,omitzero"`
	CashIn    connectpsp.CashIn `json:"cashIn"`
	Recovered []recovered       `json:"recovered,omitzero"`
}

func (a *app) printCashIn(c *connectpsp.CashIn, outcome string, settled []recovered) error {
	code, next := "", ""
	if c.PIXData != nil {
		code = c.PIXData.CopyAndPaste
	}
	if outcome != "" && c.Status == connectpsp.CashInAwaitingPayment {
		next = "connectpsp wait cash-in " + quote(c.TransactionID)
	}
	if code != "" && !a.json {
		if err := drawQR(a.stdout, code, a.columns); err != nil {
			return written(err)
		}
	}
	return a.print(cashInResult{outcome, maskCashIn(*c), settled},
		row{"outcome", outcome},
		row{"status", string(c.Status)},
		row{"amount", amountOf(c.Amount)},
		row{"payer", person(c.Payer.Name, c.Payer.Document)},
		row{"copy and paste", code},
		row{"payment page", c.PaymentURL},
		row{"reference", c.ExternalReference},
		row{"transaction", c.TransactionID},
		row{"internal code", c.InternalCode},
		row{"end-to-end id", c.EndToEndID},
		row{"returns", c.OriginalEndToEndID},
		row{"requested", timeOf(c.RequestedAt)},
		row{"paid", timeOf(c.PaidAt)},
		row{"refunded", timeOf(c.RefundedAt)},
		row{"expired", timeOf(c.ExpiredAt)},
		row{"next", next},
	)
}

func (a *app) cashInGet() *cobra.Command {
	return leaf("get ID", "Read a charge by its transaction id, internal code or end-to-end id",
		"cash-in get kk6g232xel65a0daee4dd13kk2912714964",
		func(ctx context.Context, args []string) error {
			client, err := a.reader()
			if err != nil {
				return err
			}
			charge, err := client.GetCashIn(ctx, args[0])
			if err != nil {
				return err
			}
			return a.printCashIn(charge, "", nil)
		})
}

func (a *app) cashInResolve() *cobra.Command {
	var reference string
	var flags journalFlags
	command := leaf("resolve", "Settle a charge whose outcome is unknown", "cash-in resolve --reference order-7",
		func(ctx context.Context, _ []string) error {
			return a.resolve(ctx, connectpsp.OperationCreateCashIn, reference, &flags, []string{"cash-in", "resolve"})
		})
	return resolveFlags(command, &reference, &flags)
}

// refundFlags are those of cash-in refund.
type refundFlags struct {
	request connectpsp.RefundRequest
	attempt int
	yes     bool
	journal journalFlags
}

func (a *app) cashInRefund() *cobra.Command {
	var f refundFlags
	command := leaf("refund ID", "Return a paid charge to its payer, in full",
		"cash-in refund kk6g232xel65a0daee4dd13kk2912714964 --reason CUSTOMER_REQUEST",
		func(ctx context.Context, args []string) error { return a.refund(ctx, args[0], &f) })
	command.Long = `Return a paid charge to its payer, in full.

The idempotency key derives from ID: when the command is repeated, name the charge by the same id.`
	flags := command.Flags()
	flags.StringVar((*string)(&f.request.Reason), "reason", "", "FRAUD, DUPLICATED_PAYMENT, CUSTOMER_REQUEST or MERCHANT_ERROR")
	flags.StringVar(&f.request.Description, "description", "", "a text for your own records")
	addAttempt(command, &f.attempt)
	addYes(command, &f.yes)
	f.journal.add(command)
	return required(command, "reason")
}

func (a *app) refund(ctx context.Context, id string, f *refundFlags) error {
	g, err := a.gateway()
	if err != nil {
		return err
	}
	if err := a.mayConfirm(f.yes); err != nil {
		return err
	}
	if !f.yes {
		if err := a.confirmRefund(ctx, g, id, f.request.Reason); err != nil {
			return err
		}
	}
	s, err := a.openSession(ctx, g, &f.journal)
	if err != nil {
		return err
	}
	defer s.close(a)
	refund, err := s.RefundCashIn(ctx, id, f.request, options(f.attempt)...)
	if err != nil {
		return a.unsettled(err, &f.journal, f.words(id)...)
	}
	return a.print(refundResult{"accepted", *refund, s.settled},
		row{"outcome", "accepted"},
		row{"status", string(refund.Status)},
		row{"amount", amountOf(refund.Amount)},
		row{"reference", refund.ExternalReference},
		row{"transaction", refund.TransactionID},
		row{"end-to-end id", refund.EndToEndID},
		row{"returns", refund.OriginalEndToEndID},
		row{"next", "connectpsp cash-in get " + quote(refund.TransactionID)},
	)
}

// confirmRefund reads the charge, to show how much goes back to whom, and asks.
func (a *app) confirmRefund(ctx context.Context, g gateway, id string, reason connectpsp.RefundReason) error {
	client, err := a.newClient(g)
	if err != nil {
		return err
	}
	charge, err := client.GetCashIn(ctx, id)
	if err != nil {
		return err
	}
	return a.confirm(ctx, false, "Refund this charge?",
		row{"amount", reais(charge.Amount)},
		row{"to", person(charge.Payer.Name, charge.Payer.Document)},
		row{"reason", string(reason)},
		row{"reference", charge.ExternalReference},
		row{"gateway", g.String()})
}

// words are the command that settles a refund: the same again.
func (f *refundFlags) words(id string) []string {
	words := []string{"cash-in", "refund", id, "--reason", string(f.request.Reason)}
	if f.request.Description != "" {
		words = append(words, "--description", f.request.Description)
	}
	if f.attempt != 0 {
		words = append(words, "--attempt", strconv.Itoa(f.attempt))
	}
	if f.yes {
		words = append(words, "--yes")
	}
	return words
}

// refundResult is the JSON of a refund.
type refundResult struct {
	Outcome   string            `json:"outcome"`
	Refund    connectpsp.Refund `json:"refund"`
	Recovered []recovered       `json:"recovered,omitzero"`
}
