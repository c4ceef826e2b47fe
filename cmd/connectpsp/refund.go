package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

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
		"cash-in refund "+charges.exampleID+" --reason CUSTOMER_REQUEST\n"+
			"cash-in refund "+charges.exampleID+" --reason DUPLICATED_PAYMENT --description 'paid twice' --yes",
		func(ctx context.Context, args []string) error { return a.refund(ctx, args[0], &f) })
	command.Long = `Return a paid charge to its payer, in full.

The idempotency key derives from ID: when the command is repeated, name the charge by the same id.
With another reason or description the exit status is 2 once the refund was accepted, and nothing is
sent.` + attemptHelp
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
	s, err := a.openSession(ctx, g, &f.journal, f.task(id))
	if err != nil {
		return err
	}
	defer s.close(a)
	id = s.nameOfCharge(ctx, id)
	s.task = f.task(id)
	earlier, err := s.accepted(ctx, f.request)
	switch {
	case errors.Is(err, errDiffers):
		return usage("an earlier command has refunded this charge for another reason or with another description: nothing was sent; "+
			"to see the charge, run: connectpsp cash-in get %s", quote(id))
	case err != nil:
		return err
	case earlier != nil:
		charge, err := s.GetCashIn(ctx, id)
		if err != nil { // its type is hidden: it would say that the refund was rejected
			return errors.New("the refund was accepted, and its charge cannot be read: " + err.Error())
		}
		return a.showRefund(refundOf(charge), s.settled)
	}
	// One that an earlier command left open was confirmed, and a read may fail: only sending it
	// again says how it ended.
	if found := s.find(); !f.yes && (found == nil || !errors.Is(found.Err, connectpsp.ErrUnknownOutcome)) {
		if err := a.confirmRefund(ctx, s, g, id, f.request.Reason); err != nil {
			return err
		}
	}
	refund, err := s.RefundCashIn(ctx, id, f.request, options(f.attempt)...)
	if err != nil {
		return a.unsettled(err, &f.journal, s.task.words...)
	}
	return a.showRefund(refund, s.settled)
}

// nameOfCharge returns the id under which an earlier command has refunded a charge, and otherwise
// id: a refund is repeated under the same id.
func (s *session) nameOfCharge(ctx context.Context, id string) string {
	others := slices.DeleteFunc(slices.Clone(s.all), func(one connectpsp.Recovered) bool {
		return one.Operation != connectpsp.OperationRefundCashIn || one.ChargeID == id
	})
	if len(others) == 0 {
		return id
	}
	charge, err := s.GetCashIn(ctx, id)
	if err != nil {
		return id // the client refuses to refund what it cannot tell apart
	}
	for _, one := range others {
		if slices.Contains([]string{charge.TransactionID, charge.InternalCode, charge.EndToEndID, charge.OriginalEndToEndID}, one.ChargeID) {
			return one.ChargeID
		}
	}
	return id
}

// refundOf returns the refund of a charge as far as the charge tells it.
func refundOf(c *connectpsp.CashIn) *connectpsp.Refund {
	refund := &connectpsp.Refund{
		TransactionID: c.TransactionID, InternalCode: c.InternalCode, ExternalReference: c.ExternalReference,
		Status: c.Status, Amount: c.Amount, RefundedAt: c.RefundedAt,
	}
	if c.OriginalEndToEndID != "" {
		refund.EndToEndID, refund.OriginalEndToEndID = c.EndToEndID, c.OriginalEndToEndID
	}
	return refund
}

// refundResult is the JSON of a refund.
type refundResult struct {
	Outcome   string             `json:"outcome"`
	Refund    *connectpsp.Refund `json:"refund"`
	Recovered []recovered        `json:"recovered,omitzero"`
}

// showRefund prints a refund that was accepted, with the payments that an earlier command left
// open.
func (a *app) showRefund(refund *connectpsp.Refund, settled []recovered) error {
	return a.print(refundResult{outcomeAccepted, refund, settled},
		row{"outcome", outcomeAccepted},
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
func (a *app) confirmRefund(ctx context.Context, s *session, g gateway, id string, reason connectpsp.RefundReason) error {
	charge, err := s.GetCashIn(ctx, id)
	if err != nil {
		return unread("charge", err)
	}
	return a.confirm(ctx, false, "Refund this charge?",
		row{"amount", charge.Amount.BRL()},
		row{"to", person(charge.Payer.Name, charge.Payer.Document)},
		row{"reason", string(reason)},
		row{"reference", charge.ExternalReference},
		row{"gateway", g.String()})
}

func (f *refundFlags) task(id string) task {
	return task{intent: connectpsp.Intent{Operation: connectpsp.OperationRefundCashIn, ChargeID: id}, words: f.words(id)}
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

// refundWords are the command that settles a refund of the journal. Its attempt is not in the
// journal, and not needed: the command settles the open attempt first.
func refundWords(intent connectpsp.Intent) []string {
	var f refundFlags
	_ = json.Unmarshal(intent.Body, &f.request) // the client has written it
	return f.words(intent.ChargeID)
}
