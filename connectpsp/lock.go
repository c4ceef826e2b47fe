package connectpsp

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"
)

// locks makes the calls of one payment follow one another, so that the outcome of one is known to
// the next. It is shared by all clients of the process: those that share a journal share its
// payments.
var locks paymentLocks

// paymentLocks holds the locks that are taken. The zero value is ready.
type paymentLocks struct {
	mu   sync.Mutex
	held map[lockName]*paymentLock
}

// lockName names a payment, or an idempotency key, of a journal.
type lockName struct {
	journal      any
	payment, key string
}

// paymentLock is held by one call. Those that wait for it share the outcome if that is a rejection:
// the caller that was told may already pay in some other way.
type paymentLock struct {
	name     lockName
	intent   *Intent       // of the call that holds it, nil for the lock of a key
	waiting  bool          // whether it is a refund that may not begin yet; guarded by paymentLocks.mu
	first    time.Time     // when the payment was first sent, or the lock was taken; guarded by paymentLocks.mu
	released chan struct{} // made by the first that waits; guarded by paymentLocks.mu
	rejected error         // how the call was rejected, nil if it was not; set before released is closed
}

// lockScope names a client's payments among those of all clients: its journal, or the client itself
// if its journal cannot be compared with others.
func (c *Client) lockScope() any {
	journal := any(c.journal)
	if detached, ok := c.journal.(detachedJournal); ok {
		journal = detached.Journal
	}
	if reflect.ValueOf(journal).Comparable() {
		return journal
	}
	return c
}

// lockOf names the lock of an intent's payment.
func (c *Client) lockOf(intent Intent) lockName {
	return lockName{journal: c.scope, payment: intent.Payment()}
}

// take returns the lock if it is free, else the one that another call holds.
func (l *paymentLocks) take(name lockName, intent *Intent) (own, others *paymentLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held := l.held[name]; held != nil {
		if held.released == nil {
			held.released = make(chan struct{})
		}
		return nil, held
	}
	if l.held == nil {
		l.held = map[lockName]*paymentLock{}
	}
	own = &paymentLock{name: name, intent: intent, first: time.Now()}
	l.held[name] = own
	return own, nil
}

// wait takes the lock, or returns the error of ctx with the lock that another call holds. Heard, if
// not nil, is called after each wait with the rejection of the call that was waited for; if it
// returns true, wait ends without the lock.
func (l *paymentLocks) wait(
	ctx context.Context, name lockName, intent *Intent, heard func(rejected error) bool,
) (own, others *paymentLock, err error) {
	for {
		if own, others = l.take(name, intent); own != nil {
			return own, nil, nil
		}
		select {
		case <-others.released:
		case <-ctx.Done():
			return nil, others, ctx.Err()
		}
		if heard != nil && others.rejected != nil && heard(others.rejected) {
			return nil, others, nil
		}
	}
}

// refundsUnderWay returns the refunds of a journal that calls work on, with or without those that
// wait to begin.
func (l *paymentLocks) refundsUnderWay(journal any, waiting bool) (refunds []Intent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, held := range l.held {
		if name.journal == journal && held.intent != nil && held.intent.Operation == OperationRefundCashIn &&
			(waiting || !held.waiting) {
			refunds = append(refunds, *held.intent)
		}
	}
	return refunds
}

// setWaiting notes whether a refund waits to begin.
func (l *paymentLocks) setWaiting(own *paymentLock, waiting bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	own.waiting = waiting
}

// sentAt notes that the payment was first sent before the lock was taken. A zero time says nothing.
func (l *paymentLocks) sentAt(own *paymentLock, first time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !first.IsZero() && first.Before(own.first) {
		own.first = first
	}
}

// firstSent returns when the payment that another call works on was first sent.
func (l *paymentLocks) firstSent(others *paymentLock) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return others.first
}

// release gives the lock back. The error of the call is shared with those that wait if it is a
// rejection.
func (l *paymentLocks) release(own *paymentLock, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, own.name)
	if isRejection(err) {
		own.rejected = err
	}
	if own.released != nil {
		close(own.released)
	}
}

// isRejection reports whether an error says for certain that no money moved.
func isRejection(err error) bool {
	return err != nil && !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, errSettled)
}
