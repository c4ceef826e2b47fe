package main

import (
	"context"
	"database/sql"
	"errors"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// settle is the function of the [webhook.Worker]: it books how a payment has ended. Its writes are
// committed together with the end of the event, or not at all.
func settle(ctx context.Context, step webhook.Transition) error {
	if step.Kind != webhook.KindCashOut {
		return nil
	}
	return settleIn(ctx, sqlstore.Tx(ctx), step)
}

// settleIn is settle in a transaction of the books.
func settleIn(ctx context.Context, tx *sql.Tx, step webhook.Transition) error {
	payment := step.CashOut
	r, err := lock(ctx, tx, payment.ExternalReference)
	link(ctx, r.traceparent)
	switch {
	case errors.Is(err, sql.ErrNoRows): // after a restore from a backup, say
		return raiseAlarm(ctx, tx, payment.ExternalReference, "transaction %s is %s, and the books have no such withdrawal",
			step.TransactionID, step.To)
	case err != nil:
		return err
	case step.Contradiction:
		return raiseAlarm(ctx, tx, r.reference, "transaction %s was %s and is now %s", step.TransactionID, step.From, step.To)
	case !payment.Amount.IsZero() && payment.Amount != r.amount:
		return raiseAlarm(ctx, tx, r.reference, "transaction %s is %s with an amount of R$ %v, and the withdrawal is of R$ %v",
			step.TransactionID, step.To, payment.Amount, r.amount)
	}
	switch step.To {
	case webhook.StatusCompleted:
		return r.confirm(ctx, tx, statePosted, step, "")
	case webhook.StatusFailed, webhook.StatusCancelled:
		return r.confirm(ctx, tx, stateVoided, step, failureOf(payment))
	case webhook.StatusRefunded:
		if err := r.confirm(ctx, tx, statePosted, step, ""); err != nil {
			return err
		}
		// How much came back is not published, so a person reads the account's statement.
		return raiseAlarm(ctx, tx, r.reference, "transaction %s was paid and came back: give back what the statement tells", step.TransactionID)
	default:
		return nil
	}
}

// confirm ends a withdrawal as the gateway tells. It raises an alarm if the withdrawal has ended
// otherwise, or through another transaction, and moves nothing then.
func (r *record) confirm(ctx context.Context, tx *sql.Tx, to state, step webhook.Transition, reason string) error {
	isOther := r.transactionID != "" && r.transactionID != step.TransactionID
	switch {
	case r.state == to && !isOther:
		return nil
	case r.state != statePending || isOther:
		return raiseAlarm(ctx, tx, r.reference, "transaction %s is %s, and the withdrawal is %s with transaction %q", step.TransactionID, step.To,
			r.state, r.transactionID)
	case to == statePosted:
		return r.post(ctx, tx, step.TransactionID)
	default:
		return r.void(ctx, tx, step.TransactionID, reason)
	}
}

// failureOf returns why a payment was not made, without personal data.
func failureOf(payment *connectpsp.CashOut) string {
	if payment.Failure == nil {
		return string(payment.Status)
	}
	return string(payment.Failure.Code)
}
