package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func (a *app) journal() *cobra.Command {
	return family("journal", "Look after the journal of payments", "journal list", a.journalList(), a.journalFinish())
}

// withJournal opens a journal that exists, and calls do with it.
func (a *app) withJournal(ctx context.Context, flags *journalFlags, do func(connectpsp.Journal) error) error {
	journal, closeJournal, err := flags.open(ctx, a, a.gateway, false)
	if err != nil {
		return err
	}
	return errors.Join(do(journal), closeJournal())
}

// intentLine is a payment of a journal as JSON. The request is left out: it is personal data.
type intentLine struct {
	State             string     `json:"state"` // open, neverSent, accepted or rejected
	Operation         string     `json:"operation"`
	ExternalReference string     `json:"externalReference,omitzero"`
	ChargeID          string     `json:"chargeId,omitzero"`
	Amount            pix.Amount `json:"amount,omitzero"`
	IdempotencyKey    string     `json:"idempotencyKey"`
	TransactionID     string     `json:"transactionId,omitzero"`
	Leased            bool       `json:"leased,omitzero"` // it is open, and another process works on it
	SentAt            time.Time  `json:"sentAt,omitzero"`
	EndedAt           time.Time  `json:"endedAt,omitzero"`
}

func newIntentLine(i connectpsp.Intent) intentLine {
	line := intentLine{"open", i.Operation, i.ExternalReference, i.ChargeID, i.Amount, i.IdempotencyKey, i.TransactionID, i.Leased && i.Outcome == "", i.SentAt, i.EndedAt}
	switch {
	case i.Outcome != "":
		line.State = strings.ToLower(string(i.Outcome))
	case i.SentAt.IsZero():
		line.State = "neverSent"
	}
	return line
}

// intentsResult is the JSON of journal list.
type intentsResult struct {
	Journal string       `json:"journal"` // its file, or DATABASE_URL and the namespace
	Open    []intentLine `json:"open"`
	Ended   []intentLine `json:"ended"` // within the last hour
}

func (a *app) journalList() *cobra.Command {
	var flags journalFlags
	command := leaf("list", "List the payments that are open, and those that ended within the last hour", "journal list",
		func(ctx context.Context, _ []string) error {
			return a.withJournal(ctx, &flags, func(journal connectpsp.Journal) error { return a.listIntents(ctx, journal, flags.opened) })
		})
	command.Long = `List the payments that are open, and those that ended within the last hour.

An open payment may have been made. In a file, cash-out resolve and cash-in resolve settle it. The
journal in a file cannot be read while another process has it open.

With --database it is the journal of a service, in DATABASE_URL. The service settles its payments,
by the same call or by Recover.`
	flags.add(command)
	flags.addDatabase(command)
	return command
}

func (a *app) listIntents(ctx context.Context, journal connectpsp.Journal, name string) error {
	pending, err := journal.Pending(ctx)
	if err != nil {
		return err
	}
	ended, err := journal.Ended(ctx)
	if err != nil {
		return err
	}
	result := intentsResult{name, []intentLine{}, []intentLine{}}
	for _, intent := range pending {
		result.Open = append(result.Open, newIntentLine(intent))
	}
	for _, intent := range ended {
		result.Ended = append(result.Ended, newIntentLine(intent))
	}
	var lines [][]string
	for _, i := range slices.Concat(result.Open, result.Ended) {
		at := i.SentAt
		if !i.EndedAt.IsZero() {
			at = i.EndedAt
		}
		state := i.State
		if i.Leased {
			state += ", leased"
		}
		lines = append(lines, []string{state, i.Operation, cmp.Or(i.ExternalReference, i.ChargeID), amountOf(i.Amount), timeOf(at), i.IdempotencyKey})
	}
	switch {
	case a.json:
		return a.printJSON(result)
	case len(lines) == 0:
		return printRows(a.stdout, []row{{"journal", name}, {"payments", "none is open, and none ended within the last hour"}})
	default:
		if err := printRows(a.stdout, []row{{"journal", name}}); err != nil {
			return err
		}
		return printTable(a.stdout, []string{"STATE", "OPERATION", "REFERENCE", "AMOUNT", "TIME", "IDEMPOTENCY KEY"}, lines)
	}
}

func (a *app) journalFinish() *cobra.Command {
	var flags journalFlags
	var outcome, transactionID string
	var yes bool
	command := leaf("finish KEY", "End an open payment whose outcome the provider's support has named",
		"journal finish 0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e --outcome accepted", func(ctx context.Context, args []string) error {
			if err := a.mayConfirm(yes); err != nil {
				return err
			}
			wanted := connectpsp.Outcome(strings.ToUpper(outcome))
			if wanted != connectpsp.OutcomeAccepted && wanted != connectpsp.OutcomeRejected {
				return usage("--outcome must be accepted or rejected")
			}
			return a.withJournal(ctx, &flags, func(journal connectpsp.Journal) error {
				return a.finishIntent(ctx, journal, flags.opened, args[0], wanted, transactionID, yes)
			})
		})
	command.Long = `End an open payment by its idempotency key, when the provider's support has said how it ended.

Try cash-out resolve or cash-in resolve first; for a payment of a service (--database), the same call
from the service. A payment that is ended as rejected can be made
again: if it was accepted, it is then made twice.`
	command.Flags().StringVar(&outcome, "outcome", "", "accepted or rejected")
	command.Flags().StringVar(&transactionID, "transaction-id", "", "the gateway's `ID` of an accepted payment")
	addYes(command, &yes)
	flags.add(command)
	flags.addDatabase(command)
	return required(command, "outcome")
}

func (a *app) finishIntent(
	ctx context.Context, journal connectpsp.Journal, name, key string, outcome connectpsp.Outcome, transactionID string, yes bool,
) error {
	pending, err := journal.Pending(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(pending, func(i connectpsp.Intent) bool { return i.IdempotencyKey == key })
	switch {
	case at < 0:
		return fmt.Errorf("the journal (%s) has no open payment with this idempotency key: see journal list", name)
	case pending[at].Leased:
		return errors.New("another process works on the payment: wait until it has ended, or until its lease expires in two minutes")
	}
	intent := newIntentLine(pending[at])
	warning := ""
	if outcome == connectpsp.OutcomeRejected {
		warning = "if the gateway has made it, it can then be paid twice"
	}
	err = a.confirm(ctx, yes, "End this payment as "+strings.ToLower(string(outcome))+"?",
		row{"journal", name}, row{"operation", intent.Operation}, row{"reference", cmp.Or(intent.ExternalReference, intent.ChargeID)},
		row{"amount", amountOf(intent.Amount)}, row{"warning", warning})
	if err != nil {
		return err
	}
	if err := journal.Finish(ctx, key, outcome, transactionID); err != nil {
		return err
	}
	return a.print(changedResult{key, strings.ToLower(string(outcome))}, row{"ended as", strings.ToLower(string(outcome))},
		row{"reference", cmp.Or(intent.ExternalReference, intent.ChargeID)}, row{"journal", name})
}
