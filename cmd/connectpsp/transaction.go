package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// kind holds the words and the calls of one kind of transaction: charges or payments.
type kind struct {
	family    string // of the commands
	noun      string
	paid      string // what an accepted one has done with its amount
	operation connectpsp.Operation
	exampleID string
	get, wait readFunc
}

// readFunc reads a transaction, at once or when it has ended.
type readFunc func(ctx context.Context, client *connectpsp.Client, id string) (transaction, error)

var (
	charges = &kind{
		"cash-in", "charge", "charged", connectpsp.OperationCreateCashIn, "kk6g232xel65a0daee4dd13kk2912714964",
		reading((*connectpsp.Client).GetCashIn, ofCashIn), reading((*connectpsp.Client).WaitCashIn, ofCashIn),
	}
	payments = &kind{
		"cash-out", "payment", "paid", connectpsp.OperationCreateCashOut, "0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e",
		reading((*connectpsp.Client).GetCashOut, ofCashOut), reading((*connectpsp.Client).WaitCashOut, ofCashOut),
	}
)

func reading[T any](
	read func(*connectpsp.Client, context.Context, string, ...connectpsp.CallOption) (*T, error), of func(*T) transaction,
) readFunc {
	return func(ctx context.Context, client *connectpsp.Client, id string) (transaction, error) {
		one, err := read(client, ctx, id)
		if err != nil {
			return transaction{}, err
		}
		return of(one), nil
	}
}

// transaction is a charge or a payment as the commands show it.
type transaction struct {
	id        string
	requested time.Time
	result    transactionResult
	rows      []row
	qrCode    string // its text, if it has one
	pending   bool   // it was accepted and has not ended
	outcome   string // outcomeUndone or outcomeReturned, empty if an accepted one stands
	why       string // how it was undone or returned, and what another one needs
}

// transactionResult is the JSON of the commands about a charge or a payment.
type transactionResult struct {
	Outcome   string              `json:"outcome"`        // accepted, undone or returned
	Error     string              `json:"error,omitzero"` // how it was undone or returned
	CashIn    *connectpsp.CashIn  `json:"cashIn,omitzero"`
	CashOut   *connectpsp.CashOut `json:"cashOut,omitzero"`
	Recovered []recovered         `json:"recovered,omitzero"`
}

// show prints a transaction that was accepted, with the payments that an earlier command left open.
// Its error says that the transaction was undone or returned. So each command that shows a
// transaction says the same of the same state of the money, and has the same exit status.
func (a *app) show(k *kind, t transaction, settled []recovered) error {
	var undone error
	outcome, next := cmp.Or(t.outcome, outcomeAccepted), ""
	switch {
	case outcome != outcomeAccepted:
		undone = &undoneError{outcome, k.ended(t)}
		t.result.Error = undone.Error()
	case t.pending:
		next = "connectpsp wait " + k.family + " " + quote(t.id)
	}
	t.result.Outcome, t.result.Recovered = outcome, settled
	if t.qrCode != "" && !a.json {
		if err := drawQR(a.stdout, t.qrCode, a.columns); err != nil {
			return errors.Join(undone, written(err))
		}
	}
	rows := slices.Concat([]row{{"outcome", outcome}}, t.rows, []row{{"next", next}})
	return errors.Join(undone, a.print(t.result, rows...))
}

// order is a charge or a payment that a command makes, once for each reference.
type order struct {
	*kind
	reference string
	amount    pix.Amount
	request   any // its JSON is the body
	attempt   int
	send      func(context.Context, *connectpsp.Client, ...connectpsp.CallOption) (transaction, error)
}

func sending[R, T any](
	send func(*connectpsp.Client, context.Context, R, ...connectpsp.CallOption) (*T, error), request R, of func(*T) transaction,
) func(context.Context, *connectpsp.Client, ...connectpsp.CallOption) (transaction, error) {
	return func(ctx context.Context, client *connectpsp.Client, options ...connectpsp.CallOption) (transaction, error) {
		one, err := send(client, ctx, request, options...)
		if err != nil {
			return transaction{}, err
		}
		return of(one), nil
	}
}

// create makes an order, or reads its transaction if an earlier command has made it, and shows it.
func (a *app) create(ctx context.Context, g gateway, flags *journalFlags, o order) error {
	s, err := a.openSession(ctx, g, flags, task{
		intent: connectpsp.Intent{Operation: o.operation, ExternalReference: o.reference, Amount: o.amount},
		words:  o.resolveWords(o.reference),
	})
	if err != nil {
		return err
	}
	defer s.close(a)
	earlier, err := s.accepted(ctx, o.request)
	switch {
	case errors.Is(err, errDiffers):
		return o.refuse(ctx, s, *earlier)
	case err != nil:
		return err
	case earlier != nil:
		return a.showAccepted(ctx, s, o.kind, *earlier, func() (transaction, error) {
			return o.send(ctx, s.Client, connectpsp.WithIdempotencyKey(earlier.IdempotencyKey))
		})
	}
	made, err := o.send(ctx, s.Client, options(o.attempt)...)
	switch {
	case err != nil:
		return a.unsettled(err, flags, s.task.words...)
	case !made.requested.IsZero() && time.Since(made.requested).Abs() > time.Minute:
		// The gateway repeats its first response, though this journal does not know the payment.
		return a.showAccepted(ctx, s, o.kind, connectpsp.Recovered{TransactionID: made.id},
			func() (transaction, error) { return made, nil })
	default:
		return a.show(o.kind, made, s.settled)
	}
}

// refuse says what the reference of an order was used for.
func (o order) refuse(ctx context.Context, s *session, earlier connectpsp.Recovered) error {
	as := ""
	if earlier.TransactionID != "" {
		as = " as transaction " + earlier.TransactionID
		if present, err := o.get(ctx, s.Client, earlier.TransactionID); err == nil && present.outcome != "" {
			return usage("this command differs from the earlier one of its reference, and nothing was sent: %s", o.ended(present))
		}
	}
	return usage("this reference has already %s %s%s, and this command differs from that: nothing was sent; use another --reference for another %s",
		o.paid, earlier.Amount.BRL(), as, o.noun)
}

// ended says how a transaction was undone or returned.
func (k *kind) ended(t transaction) string {
	return fmt.Sprintf("the %s was accepted, transaction %s, and %s", k.noun, t.id, t.why)
}

// resolveWords are the command that settles a transaction.
func (k *kind) resolveWords(reference string) []string {
	return []string{k.family, "resolve", "--reference", reference}
}

// showAccepted reads the transaction of a payment that was accepted before, and shows its present
// state: the response to the payment may be old. First returns that response, which has the QR code
// of a charge.
func (a *app) showAccepted(
	ctx context.Context, s *session, k *kind, earlier connectpsp.Recovered, first func() (transaction, error),
) error {
	if earlier.TransactionID == "" { // it was ended by hand
		return a.show(k, transaction{rows: []row{
			{"status", "not known, because the journal has no transaction id"}, {"reference", earlier.ExternalReference},
		}}, s.settled)
	}
	present, err := k.get(ctx, s.Client, earlier.TransactionID)
	if err != nil {
		// The type of err is hidden: it would say that the payment was rejected.
		return fmt.Errorf("the %s was accepted, transaction %s, and cannot be read: %v", k.noun, earlier.TransactionID, err)
	}
	if k == charges && present.pending {
		if response, err := first(); err == nil { // without it the QR code is missing, and nothing else
			present = response
		}
	}
	return a.show(k, present, s.settled)
}

func (a *app) getCommand(k *kind) *cobra.Command {
	command := leaf("get ID", "Read a "+k.noun+" by its transaction id, internal code or end-to-end id", k.family+" get "+k.exampleID,
		func(ctx context.Context, args []string) error {
			client, err := a.reader()
			if err != nil {
				return err
			}
			found, err := k.get(ctx, client, args[0])
			if err != nil {
				return unread(k.noun, err)
			}
			return a.show(k, found, nil)
		})
	command.Long = command.Short + `.

The exit status is that of the money: 0 as long as the ` + k.noun + ` stands, and 3 once it is FAILED,
EXPIRED, CANCELLED or REFUNDED. It is 2 if the gateway does not know the id, and 1 if the ` + k.noun + `
cannot be read: that says nothing about the money.`
	return command
}

func (a *app) resolveCommand(k *kind) *cobra.Command {
	var reference string
	var flags journalFlags
	command := leaf("resolve", "Settle a "+k.noun+" whose outcome is unknown", k.family+" resolve --reference "+k.exampleReference(),
		func(ctx context.Context, _ []string) error { return a.resolve(ctx, k, reference, &flags) })
	command.Long = `Settle a ` + k.noun + ` of the journal whose outcome is unknown, and show its present state.

Within 20 minutes of its first attempt it is sent again with the same idempotency key and the same
bytes, so that it is made once at most. Later it is only reported. The command does not ask: the
` + k.noun + ` was confirmed before.

It settles payments of this program, or of a service with the same file. A service settles those in
its database, by the same call or by Recover.`
	command.Flags().StringVar(&reference, "reference", "", "the reference of the "+k.noun)
	flags.add(command)
	return required(command, "reference")
}

func (k *kind) exampleReference() string {
	if k == charges {
		return "order-7"
	}
	return "withdrawal-42"
}

var errNotInJournal = errors.New("the journal has no open payment with this reference, and none that ended within the last hour: " +
	"check --reference and --journal; nothing was sent")

var errNoResponse = errors.New("there is no response to the request of the payment")

// resolve settles the payment of a reference.
func (a *app) resolve(ctx context.Context, k *kind, reference string, flags *journalFlags) error {
	g, err := a.gateway()
	if err != nil {
		return err
	}
	s, err := a.openSession(ctx, g, flags, task{
		connectpsp.Intent{Operation: k.operation, ExternalReference: reference}, k.resolveWords(reference), true,
	})
	if err != nil {
		return err
	}
	defer s.close(a)
	found := s.find()
	switch {
	case found == nil:
		return errNotInJournal
	case found.Err != nil:
		return a.unsettled(found.Err, flags, s.task.words...)
	default:
		return a.showAccepted(ctx, s, k, *found, func() (transaction, error) {
			if found.CashIn == nil { // the payment was not sent again
				return transaction{}, errNoResponse
			}
			return ofCashIn(found.CashIn), nil
		})
	}
}

func (a *app) wait() *cobra.Command {
	command := family("wait", "Wait until a charge or a payment has ended", "wait cash-out "+payments.exampleID,
		a.waitCommand(charges, "Wait until a charge is paid"), a.waitCommand(payments, "Wait until a payment has completed"))
	command.Long = `Wait until a charge or a payment has ended.

The exit status is 0 if it was paid or completed, and 3 if it is FAILED, EXPIRED, CANCELLED or
REFUNDED. It is 1 if it has not ended when the time is up, or cannot be read: that says nothing
about the money. It is 2 if the gateway does not know the id, which it is asked for a minute,
because a new transaction may not be readable at once.`
	return command
}

func (a *app) waitCommand(k *kind, short string) *cobra.Command {
	var timeout time.Duration
	command := leaf(k.family+" ID", short, "wait "+k.family+" "+k.exampleID, func(ctx context.Context, args []string) error {
		client, err := a.reader()
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if _, err := k.get(limited, client, args[0]); isNotFound(err) {
			a.say("the gateway does not know this %s yet: it is asked again for up to a minute, because a new one may not be readable at once", k.noun)
		}
		ended, err := k.wait(limited, client, args[0])
		switch {
		case err != nil && limited.Err() != nil:
			return errors.New(err.Error()) // also if the last read was not sent
		case err != nil:
			return unread(k.noun, err)
		}
		return a.show(k, ended, nil)
	})
	command.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "give up after this `DURATION`, such as 90s")
	return command
}

func addAttempt(command *cobra.Command, attempt *int) {
	command.Flags().IntVar(attempt, "attempt", 0, "how often this was rejected before, to try it again: the `NUMBER` is 1 after the first rejection, then 2, …")
}

// attemptHelp says when --attempt is needed.
const attemptHelp = `

--attempt is needed to try again what the gateway has rejected, once the cause is corrected: it
repeats its rejection as long as the attempt is the same. Do not use it after exit status 4 or 5:
repeat the command unchanged then.`

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
