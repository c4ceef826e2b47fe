package webhook

import (
	"context"
	"fmt"
)

// findOrigin finds out whether a refund of the user's caused the return of a charge, if the fact is
// about one. It runs before the step: on a database with a single connection, the journal would
// wait for the step's transaction.
func (w *Worker) findOrigin(ctx context.Context, f *fact) (err error) {
	if f.kind != KindCashIn || f.status != StatusRefunded {
		return nil
	}
	if f.origin, err = w.client.RefundOrigin(ctx, f.cashIn); err != nil {
		return fmt.Errorf("webhook: the client's journal could not say whether the return was requested, the item is retried: %w", err)
	}
	return nil
}
