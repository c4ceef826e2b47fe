package connectpsp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	firstPoll   = 250 * time.Millisecond
	longestPoll = 10 * time.Second
	readLag     = time.Minute // a transaction may take as long until it can be read
)

// WaitCashIn reads a charge until it is no longer waiting for payment: PAID, EXPIRED, REFUNDED or
// CANCELLED. A status that the SDK does not know is waited through. It reads at once, then at
// intervals that grow from a quarter of a second to ten seconds, and goes on through failures that
// may pass, until ctx ends: give it a deadline, and prefer webhooks where many are to be watched. A
// 404 is returned once the transaction has been missing for a minute: one that was just made may
// not be readable yet. Its error is that of [Client.GetCashIn], or the context's.
func (c *Client) WaitCashIn(ctx context.Context, id string, options ...CallOption) (*CashIn, error) {
	return wait(ctx, func() (*CashIn, error) { return c.GetCashIn(ctx, id, options...) },
		func(cashIn *CashIn) (string, bool) {
			switch cashIn.Status {
			case CashInPaid, CashInExpired, CashInRefunded, CashInCancelled:
				return string(cashIn.Status), true
			default:
				return string(cashIn.Status), false
			}
		})
}

// WaitCashOut reads a payment until it has ended: COMPLETED, FAILED, REFUNDED or CANCELLED.
// Otherwise it is like [Client.WaitCashIn]. A payment may be PROCESSING for long: banks may hold a
// suspicious one for an hour, and the payee's bank for days.
func (c *Client) WaitCashOut(ctx context.Context, id string, options ...CallOption) (*CashOut, error) {
	return wait(ctx, func() (*CashOut, error) { return c.GetCashOut(ctx, id, options...) },
		func(cashOut *CashOut) (string, bool) {
			switch cashOut.Status {
			case CashOutCompleted, CashOutFailed, CashOutRefunded, CashOutCancelled:
				return string(cashOut.Status), true
			default:
				return string(cashOut.Status), false
			}
		})
}

// wait reads until the transaction is final, the error is, or ctx ends.
func wait[T any](ctx context.Context, read func() (*T, error), state func(*T) (status string, final bool)) (*T, error) {
	last := "not read yet"
	var failure error     // of the last reading
	var missing time.Time // since when the transaction is not found
	for interval := firstPoll; ; interval = min(interval*3/2, longestPoll) {
		transaction, err := read()
		failure = err
		switch {
		case err == nil:
			status, final := state(transaction)
			if final {
				return transaction, nil
			}
			last, missing = status, time.Time{}
		case ctx.Err() != nil, isTransient(err):
		case !notFound(err):
			return nil, err
		case missing.IsZero():
			missing = time.Now()
		case time.Since(missing) >= readLag:
			return nil, err
		}
		if err := sleep(ctx, interval/2+rand.N(interval/2)); err != nil {
			return nil, fmt.Errorf("connectpsp: still waiting, last status %q: %w", last, joinCauses(err, failure))
		}
	}
}

// isTransient reports whether a failure to read may be gone the next time.
func isTransient(err error) bool {
	var refusal *APIError
	if errors.As(err, &refusal) {
		return refusal.StatusCode == 0 || refusal.StatusCode >= 500 || refusal.StatusCode == http.StatusTooManyRequests ||
			refusal.StatusCode == http.StatusRequestTimeout || refusal.StatusCode == http.StatusTooEarly
	}
	return !errors.As(err, new(*ValidationError))
}

func notFound(err error) bool {
	var refusal *APIError
	return errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound
}
