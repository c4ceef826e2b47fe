package webhook

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// pollSchedule has the times at which a watched transaction is read, counted from the start of the
// watch. The provider does not publish for how long it repeats a webhook, and a payment may stay
// PROCESSING for hours without a fault.
var pollSchedule = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// chargePollSchedule is the schedule for charges. An unpaid charge is open until it expires: a day
// after it was created, or when the request said.
var chargePollSchedule = append(slices.Clip(pollSchedule), 25*time.Hour, 3*day, 8*day, 31*day)

const day = 24 * time.Hour

// readMark begins the keys of items that are transactions to be read. No event type begins with it.
const readMark = "READ#"

// The kinds of watches, as they appear in keys.
const (
	watchPayment = "PAYMENT/"
	watchRefund  = "REFUND/"
	watchDue     = "DUE/"
)

// WatchCashIn polls a charge until it is paid or can no longer be paid, so that a payment is found
// whose webhook never comes. The poll schedule is 1, 5, 15 and 60 minutes, 6, 24 and 25 hours, 3, 8
// and 31 days from now. A change that a read finds makes the same [Transition] as an event, through
// the same [Inbox]. If the charge is not final after the last read, its item is held for manual
// review.
//
// Call WatchCashIn when the charge is accepted, with its transactionId. A second call for the same
// charge does nothing, also after the first watch has ended. The error is a
// [connectpsp.ValidationError] for an empty id, and otherwise the Inbox's.
func (w *Worker) WatchCashIn(ctx context.Context, transactionID string) error {
	return w.watch(ctx, watchPayment, KindCashIn, transactionID)
}

// WatchCashOut polls a payment as [Worker.WatchCashIn] does a charge, until it has completed or
// failed, for at most 24 hours.
func (w *Worker) WatchCashOut(ctx context.Context, transactionID string) error {
	return w.watch(ctx, watchPayment, KindCashOut, transactionID)
}

// WatchRefund polls a charge whose refund was accepted, or may have been, as [Worker.WatchCashIn]
// does, until it is REFUNDED, for at most 24 hours.
func (w *Worker) WatchRefund(ctx context.Context, transactionID string) error {
	return w.watch(ctx, watchRefund, KindCashIn, transactionID)
}

// WatchDueBy looks at a payment at its due time, such as that of [connectpsp.WithDueBy]. If no step
// has ended it by then, the Worker reads it from the gateway. An end that it finds is a step like
// any other. If the payment is still under way your function gets a [Transition] that is Late,
// once, and the log the event payment.late. If the gateway cannot be read, the log gets the event,
// and the read is repeated like an event that fails.
//
// Being late is no outcome: the end of the payment comes as a step of its own. A payment that ended
// before the Worker looked is not Late, also if the Worker was not running at the due time: compare
// CompletedAt of its step.
//
// Call it when the payment is accepted, with its transactionId, beside [Worker.WatchCashOut]. A due
// time that has passed is looked at now. A second call for the same payment does nothing, also with
// another time. The error is a [connectpsp.ValidationError] for an empty id or a zero time, and
// otherwise the Inbox's.
func (w *Worker) WatchDueBy(ctx context.Context, transactionID string, due time.Time) error {
	if due.IsZero() {
		return &connectpsp.ValidationError{Field: "due", Reason: "must be set", Code: connectpsp.InvalidEmpty}
	}
	return w.watchFrom(ctx, due, watchDue, KindCashOut, transactionID)
}

// WatchRecovered watches the payments that [connectpsp.Client.Recover] reports as accepted, their
// due times included, and the charges whose refund has an unknown outcome. Other payments whose
// outcome is unknown cannot be polled, because their transactionId is not known.
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
			if err == nil && !payment.DueBy.IsZero() {
				err = w.WatchDueBy(ctx, payment.TransactionID, payment.DueBy)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) watch(ctx context.Context, watched string, kind Kind, id string) error {
	return w.watchFrom(ctx, time.Now().Add(pollSchedule[0]), watched, kind, id)
}

// watchFrom watches a transaction from the time of its first read on. A time that has passed stands
// for now.
func (w *Worker) watchFrom(ctx context.Context, first time.Time, watched string, kind Kind, id string) error {
	if id == "" {
		return &connectpsp.ValidationError{Field: "transactionID", Reason: "must be set", Code: connectpsp.InvalidEmpty}
	}
	now, key := time.Now(), transactionKey(kind, id)
	if first.Before(now) {
		first = now // an item that is due in the past would look like a queue that lags
	}
	_, err := w.inbox.Put(ctx, Item{Key: readMark + watched + key, Transaction: key, ReceivedAt: now, Due: first})
	return err
}

var errUnknownWatch = &heldError{"the gateway does not know the transaction, so it is no longer polled: watch it by its transactionId"}

// readAgain reads a watched transaction, unless its final status is recorded by now.
func (w *Worker) readAgain(ctx context.Context, claim *Claim, s *slots, o *observedItem) error {
	kind, id, ok := splitTransactionKey(claim.Transaction)
	if !ok {
		return &heldError{"its transaction cannot be read"}
	}
	isDue := claim.Key == readMark+watchDue+claim.Transaction
	ends := func(recorded TransactionState) bool {
		if claim.Key == readMark+watchRefund+claim.Transaction {
			return recorded.Status == StatusRefunded
		}
		return kind.rank(recorded.Status) > 1
	}
	err := w.inbox.Complete(ctx, claim, func(_ context.Context, recorded TransactionState) (Result, error) {
		if !ends(recorded) {
			return Result{}, errMustRead
		}
		return Result{State: recorded}, nil
	})
	if err != errMustRead {
		return err
	}
	fetched, err := w.fetch(ctx, s, kind, id, id)
	if isDue && err != nil {
		w.logLate(ctx, claim)
	}
	// No event has proven that the id exists, so an unknown one is no alarm.
	if err := w.holdIfMissing(claim, err, errUnknownWatch); err != nil {
		return err
	}
	o.isAbout(fetched)
	if err := w.findOrigin(ctx, &fetched); err != nil {
		return err
	}
	again := nextPoll(pollScheduleOf(claim.Key), claim.ReceivedAt, time.Now())
	return w.inbox.Complete(ctx, claim, func(ctx context.Context, recorded TransactionState) (Result, error) {
		decision, next := decide(recorded, fetched)
		if decision == ignore {
			if err := w.recheckPayer(ctx, recorded, fetched); err != nil {
				return Result{}, err
			}
		}
		switch {
		case decision == newer:
			return Result{}, newerState(claim)
		case decision == outdated:
			return Result{}, errOutdated
		case decision == mismatch:
			return Result{}, errMismatchRecorded
		case decision == secondPayment:
			return Result{}, errSecond(kind)
		case isDue && !ends(next): // the step to the status that was read is for a poll or an event
			w.logLate(ctx, claim)
			late := fetched
			late.late = true
			state, err := w.step(ctx, recorded, recorded, late, o)
			return Result{State: state}, err
		case decision == apply:
			var err error
			if next, err = w.step(ctx, recorded, next, fetched, o); err != nil {
				return Result{}, err
			}
		case !ends(next) && again.IsZero():
			return Result{}, &heldError{"it is still not final: ask the provider"}
		}
		result := Result{State: next}
		if !ends(next) {
			o.watched()
			result.RetryAt = again
			if again.IsZero() {
				result.RetryAt = time.Now() // the next read holds the item
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

// nextPoll returns the time of the next read of a transaction that is watched since the given time,
// zero after the last read.
func nextPoll(schedule []time.Duration, since, now time.Time) time.Time {
	for _, delay := range schedule {
		if due := since.Add(delay); due.After(now) {
			return due
		}
	}
	return time.Time{}
}
