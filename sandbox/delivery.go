package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Delivery is one attempt to deliver a webhook.
type Delivery struct {
	// EventType is the eventType in the body, such as "CASHIN_PAID".
	EventType string

	// TransactionID is the transactionId in the body.
	TransactionID string

	// URL is the webhookUrl of the transaction.
	URL string

	// EventID is the X-Event-Id of this attempt. It is empty if nothing was sent.
	EventID string

	// Attempt counts from 1, and again from 1 for each [Sandbox.Redeliver]. It is 0 if the URL is
	// not on this machine: then no attempt is ever made.
	Attempt int

	// StatusCode is the status of the receiver's response, 0 if there was none. Only 200 ends the
	// attempts.
	StatusCode int

	// Error says why there was no response. It is empty if there was one, of any status.
	Error string

	// Time is the start of the attempt, on the sandbox's clock and in UTC.
	Time time.Time
}

// content is what was sent in an attempt. It is immutable.
type content struct {
	header http.Header
	body   []byte
}

// Deliveries returns all attempts that have ended, in the order in which they ended. The caller
// owns the slice.
func (s *Sandbox) Deliveries() []Delivery {
	s.dispatcher.mu.RLock()
	defer s.dispatcher.mu.RUnlock()
	return slices.Clone(s.dispatcher.deliveries)
}

// Sent returns the header and the body of the attempt with an X-Event-Id, the body with its
// personal data. The caller owns both. They are nil if this sandbox has made no such attempt.
func (s *Sandbox) Sent(eventID string) (header http.Header, body []byte) {
	s.dispatcher.mu.RLock()
	defer s.dispatcher.mu.RUnlock()
	sent := s.dispatcher.sent[eventID]
	return sent.header.Clone(), bytes.Clone(sent.body)
}

// WaitWebhooks waits until no webhook is under way or waits for its next attempt. If the receiver
// never responds with 200, that takes minutes, unless [Sandbox.Advance] moves the clock.
// WaitWebhooks returns the error of ctx if ctx ends first, and [http.ErrServerClosed] if the
// sandbox is closed first.
func (s *Sandbox) WaitWebhooks(ctx context.Context) error {
	s.dispatcher.mu.RLock()
	idle := s.dispatcher.idle
	s.dispatcher.mu.RUnlock()
	select {
	case <-idle:
		return nil
	default:
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.dispatcher.ctx.Done():
		return http.ErrServerClosed
	}
}

// Redeliver sends the last webhook of a transaction again: the same bytes to the same URL, with a
// new X-Event-Id and a new series of attempts. The error wraps [ErrNotFound] if there is no such
// transaction or it has sent no webhook.
func (s *Sandbox) Redeliver(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last *event
	if charge := s.cashIns[id]; charge != nil {
		last = charge.Last
	} else if payment := s.cashOuts[id]; payment != nil {
		last = payment.Last
	} else {
		return ErrNotFound
	}
	if last == nil {
		return fmt.Errorf("%w: the transaction has sent no webhook", ErrNotFound)
	}
	s.dispatcher.send(last)
	return nil
}
