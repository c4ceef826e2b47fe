package webhook

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// pollSchedule says when a watched transaction is read, counted from when the watch began. For how
// long the gateway repeats a webhook is not published, and a payment may stay PROCESSING for hours
// without a fault.
var pollSchedule = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// chargePollSchedule is for charges: one that nobody pays is open until it expires, a day after it
// was made or whenever the request said.
var chargePollSchedule = append(slices.Clip(pollSchedule), 25*time.Hour, 3*day, 8*day, 31*day)

const day = 24 * time.Hour

// readMark begins the keys of items that are transactions to be read. No type of an event does.
const readMark = "READ#"

// The kinds of watches, in keys.
const (
	watchPayment = "PAYMENT/"
	watchRefund  = "REFUND/"
)

// WatchCashIn has a charge read 1, 5, 15 and 60 minutes, 6, 24 and 25 hours, 3, 8 and 31 days from
// now, until it is paid or will not be, so that a payment is noticed of which no webhook tells. A
// change that is found makes the same Transition as an event, through the same Inbox. If it is not
// final after that it is kept for a person. Call it when the charge is accepted, with its
// transactionId; a second time does nothing, also after the first watch has ended. The error is the
// Inbox's.
func (w *Worker) WatchCashIn(ctx context.Context, transactionID string) error {
	return w.watch(ctx, watchPayment, KindCashIn, transactionID)
}

// WatchCashOut has a payment read in the same way, but no longer than 24 hours, until it has
// completed or failed.
func (w *Worker) WatchCashOut(ctx context.Context, transactionID string) error {
	return w.watch(ctx, watchPayment, KindCashOut, transactionID)
}

// WatchRefund has a charge whose refund was accepted, or may have been, read in the same way, but
// no longer than 24 hours, until it is REFUNDED.
func (w *Worker) WatchRefund(ctx context.Context, transactionID string) error {
	return w.watch(ctx, watchRefund, KindCashIn, transactionID)
}

// WatchRecovered watches the payments that [connectpsp.Client.Recover] reports as accepted, and the
// charges whose refund it could not settle. Of other payments that are unknown there is nothing to
// read: no transactionId is known.
func (w *Worker) WatchRecovered(ctx context.Context, recovered []connectpsp.Recovered) error {
	for _, payment := range recovered {
		var err error
		switch unknown := errors.Is(payment.Err, connectpsp.ErrUnknownOutcome); {
		case payment.Operation == connectpsp.OperationRefundCashIn && (payment.Err == nil || unknown):
			err = w.WatchRefund(ctx, payment.TransactionID)
		case payment.Err != nil:
		case payment.Operation == connectpsp.OperationCreateCashIn:
			err = w.WatchCashIn(ctx, payment.TransactionID)
		case payment.Operation == connectpsp.OperationCreateCashOut:
			err = w.WatchCashOut(ctx, payment.TransactionID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) watch(ctx context.Context, what string, kind Kind, id string) error {
	if id == "" {
		return &connectpsp.ValidationError{Field: "transactionID", Reason: "must be set"}
	}
	now, key := time.Now(), transactionKey(kind, id)
	_, err := w.inbox.Put(ctx, Item{Key: readMark + what + key, Transaction: key, ReceivedAt: now, Due: now.Add(pollSchedule[0])})
	return err
}

var errUnknownWatch = &heldError{"the gateway does not know the transaction: watch it by its transactionId"}

// readAgain reads a watched transaction, unless its end is known by now.
func (w *Worker) readAgain(ctx context.Context, claim *Claim, turn *turn) error {
	kind, id, ok := splitTransactionKey(claim.Transaction)
	if !ok {
		return &heldError{"its transaction cannot be read"}
	}
	ends := func(known TransactionState) bool {
		if claim.Key == readMark+watchRefund+claim.Transaction {
			return known.Status == StatusRefunded
		}
		return kind.rank(known.Status) > 1
	}
	err := w.inbox.Complete(ctx, claim, func(_ context.Context, known TransactionState) (Result, error) {
		if !ends(known) {
			return Result{}, errAsk
		}
		return Result{State: known}, nil
	})
	if err != errAsk {
		return err
	}
	answered, err := w.ask(ctx, turn, kind, id, id)
	if err := w.believed(claim, err, errUnknownWatch); err != nil { // of a transaction that only the caller told of
		return err
	}
	again := nextPoll(pollScheduleOf(claim.Key), claim.ReceivedAt, time.Now())
	return w.inbox.Complete(ctx, claim, func(ctx context.Context, known TransactionState) (Result, error) {
		ruling, next := rule(known, answered)
		switch {
		case ruling == behind:
			return Result{}, errBehind
		case ruling == differs:
			return Result{}, errToldOtherwise
		case ruling == second:
			return Result{}, errSecond(kind)
		case ruling == apply:
			if err := w.call(ctx, transition(known, answered)); err != nil {
				return Result{}, err
			}
		case !ends(next) && again.IsZero():
			return Result{}, &heldError{"it is still not final: ask the provider"}
		}
		result := Result{State: next}
		if !ends(next) {
			result.RetryAt = again
			if again.IsZero() {
				result.RetryAt = time.Now() // to be held
			}
		}
		return result, nil
	})
}

func pollScheduleOf(key string) []time.Duration {
	if strings.HasPrefix(key, readMark+watchPayment+string(KindCashIn)+"/") {
		return chargePollSchedule
	}
	return pollSchedule
}

// nextPoll returns when a transaction is read again that was watched since a time, zero if it was
// read for the last time.
func nextPoll(pollSchedule []time.Duration, since, now time.Time) time.Time {
	for _, rung := range pollSchedule {
		if due := since.Add(rung); due.After(now) {
			return due
		}
	}
	return time.Time{}
}
