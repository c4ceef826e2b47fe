package webhook

import (
	"context"
	"errors"
	"time"
)

// docs/logs.md lists the events of the log and their attributes.

const itemHeld = "webhook: an item is held for manual review"

// logHeld records that an item is held.
func (w *Worker) logHeld(ctx context.Context, claim *Claim, held *heldError) {
	if held.isAlarm() {
		w.logger.ErrorContext(ctx, itemHeld, claim.describe("event", "item.alarm", "reason", held.reason, "attempt", claim.Attempts)...)
	} else {
		w.logger.ErrorContext(ctx, itemHeld, claim.describe("event", "item.held", "reason", held.reason, "attempt", claim.Attempts)...)
	}
}

// logRetried records that an item has failed and will be due again.
func (w *Worker) logRetried(ctx context.Context, claim *Claim, due time.Time, err error) {
	if errors.As(err, new(*panicError)) {
		w.logger.ErrorContext(ctx, "webhook: the function panicked, and its item will be retried",
			claim.describe("event", "item.panicked", "attempt", claim.Attempts, "due", due, "error", err)...)
	} else {
		w.logger.WarnContext(ctx, "webhook: an item will be retried",
			claim.describe("event", "item.retried", "attempt", claim.Attempts, "due", due, "error", err)...)
	}
}

// logLate records that no step has ended a payment by its due time.
func (w *Worker) logLate(ctx context.Context, claim *Claim) {
	w.logger.ErrorContext(ctx, "webhook: a payment is not known to have ended at its due time",
		claim.describe("event", "payment.late", "attempt", claim.Attempts)...)
}

// describe returns the attributes of a line about the item, after others.
func (i Item) describe(attributes ...any) []any {
	attributes = append(attributes, "key", i.Key)
	if _, id, ok := splitTransactionKey(i.Transaction); ok {
		attributes = append(attributes, "transaction_id", id)
	}
	if i.DeliveryID != "" {
		attributes = append(attributes, "delivery_id", i.DeliveryID)
	}
	return attributes
}
