package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Delivery is one attempt to deliver a webhook.
type Delivery struct {
	// EventType is that of the body, such as "CASHIN_PAID".
	EventType string

	// TransactionID is the transactionId in the body.
	TransactionID string

	// URL is where the webhook was sent.
	URL string

	// EventID is the X-Event-Id of this attempt. It is empty if nothing was sent.
	EventID string

	// Attempt counts from 1, anew for each Redeliver. It is 0 if the URL is not on this machine:
	// nothing was sent then, nor will be.
	Attempt int

	// StatusCode is the status of the receiver's answer, 0 if there was none. Only 200 ends the
	// attempts.
	StatusCode int

	// Error says why there was no answer. It is empty if there was one, whatever its status.
	Error string

	// Time is when the attempt began, on the sandbox's clock and in UTC.
	Time time.Time
}

// Deliveries returns all attempts that have ended, in the order in which they ended. The slice is
// the caller's.
func (s *Sandbox) Deliveries() []Delivery {
	s.dispatcher.mu.Lock()
	defer s.dispatcher.mu.Unlock()
	return slices.Clone(s.dispatcher.deliveries)
}

// WaitWebhooks waits until no webhook is under way or waits for its next attempt. A receiver that
// never answers 200 keeps it waiting for minutes, unless Advance moves the clock. It returns
// ctx.Err() if ctx ends first and http.ErrServerClosed if the sandbox is closed first.
func (s *Sandbox) WaitWebhooks(ctx context.Context) error {
	s.dispatcher.mu.Lock()
	quiet := s.dispatcher.quiet
	s.dispatcher.mu.Unlock()
	select {
	case <-quiet:
		return nil
	default:
	}
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.dispatcher.ctx.Done():
		return http.ErrServerClosed
	}
}

// Redeliver sends the last webhook of a transaction again: the same bytes to the same URL, with a
// new X-Event-Id and all its attempts. The error wraps ErrNotFound if there is no such transaction
// or if it has sent none.
func (s *Sandbox) Redeliver(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last *event
	if charge := s.cashIns[id]; charge != nil {
		last = charge.last
	} else if payment := s.cashOuts[id]; payment != nil {
		last = payment.last
	} else {
		return ErrNotFound
	}
	if last == nil {
		return fmt.Errorf("%w: the transaction has sent no webhook", ErrNotFound)
	}
	s.dispatcher.send(last)
	return nil
}
