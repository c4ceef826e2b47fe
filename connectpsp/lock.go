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
	mu    sync.Mutex
	taken map[lockName]*paymentLock
}

// lockName names a payment, or an idempotency key, of a journal.
type lockName struct {
	journal      any
	payment, key string
}

// paymentLock belongs to one call. Those that wait for it share the outcome if that is a rejection:
// the caller that was told may already pay in some other way.
type paymentLock struct {
	name     lockName
	intent   *Intent       // of the call that holds it, nil for the lock of a key
	waiting  bool          // whether it is a refund that may not begin yet; guarded by paymentLocks.mu
	first    time.Time     // when the payment was first sent, or the lock was taken; guarded by paymentLocks.mu
	released chan struct{} // made by the first that waits; guarded by paymentLocks.mu
	rejected error         // how the call was rejected, nil if it was not; set before released is closed

	// accepted says that the payment was read as accepted meanwhile, and transactionID as which
	// transaction, if its id is readable; guarded by paymentLocks.mu.
	accepted      bool
	transactionID string
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

// lockPayment takes the lock of the call's payment, after the calls that are at work on it. Its
// error is the one to report: a rejection of the call that it waited for is this call's too.
func (c *Client) lockPayment(ctx context.Context, p *callState) (err error) {
	intent := &p.call.payment
	name := lockName{journal: c.scope, payment: p.payment}
	if p.call.recovering {
		if p.lock, _ = locks.take(name, intent); p.lock == nil {
			return errSettled // or it will be
		}
		locks.sentAt(p.lock, p.first)
		return nil
	}
	var rejected error
	own, others, err := locks.wait(ctx, name, intent, func(heard error) bool {
		if !p.doubt {
			rejected = heard
		}
		return !p.doubt
	})
	switch {
	case err != nil:
		if !p.doubt {
			p.first = locks.firstSent(others)
			if others.intent.IdempotencyKey != "" {
				p.about(others.intent)
			}
		}
		p.doubtErr = errUnderWay
		return p.unknown(err)
	case own == nil:
		return copyOf(rejected)
	}
	p.lock = own
	if p.doubt {
		locks.sentAt(own, p.first)
	}
	return nil
}

// copyOf returns a rejection for another caller, who may change it.
func copyOf(rejected error) error {
	if refusal, ok := rejected.(*APIError); ok {
		copied := *refusal
		return &copied
	}
	return rejected
}

// lockKey takes the lock of the call's idempotency key: two payments may have one, and the journal
// holds one intent for each key.
func (c *Client) lockKey(ctx context.Context, p *callState) (err error) {
	p.keyLock, _, err = locks.wait(ctx, lockName{journal: c.scope, key: p.call.payment.IdempotencyKey}, nil, nil)
	if err != nil {
		return c.notBegun(ctx, p, err)
	}
	return nil
}

// unlock releases the locks of a call that ends with err.
func (p *callState) unlock(err error) {
	if p.keyLock != nil {
		locks.release(p.keyLock, nil)
	}
	locks.release(p.lock, err)
}

// take returns the lock if it is free, else the one that another call holds.
func (l *paymentLocks) take(name lockName, intent *Intent) (own, others *paymentLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.taken[name]; other != nil {
		if other.released == nil {
			other.released = make(chan struct{})
		}
		return nil, other
	}
	if l.taken == nil {
		l.taken = map[lockName]*paymentLock{}
	}
	own = &paymentLock{name: name, intent: intent, first: time.Now()}
	l.taken[name] = own
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
	for name, other := range l.taken {
		if name.journal == journal && other.intent != nil && other.intent.Operation == OperationRefundCashIn &&
			(waiting || !other.waiting) {
			refunds = append(refunds, *other.intent)
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

// noteAccepted tells a call that works on a payment that this was read as accepted.
func (c *Client) noteAccepted(payment Intent, transactionID string) {
	locks.mu.Lock()
	defer locks.mu.Unlock()
	other := locks.taken[c.lockOf(payment)]
	if other != nil && c.owns(other.intent.ClientID, other.intent.BaseURL) &&
		(payment.Amount.IsZero() || payment.Amount == other.intent.Amount) {
		other.accepted, other.transactionID = true, readable(transactionID)
	}
}

// acceptedMeanwhile reports whether noteAccepted was told of the payment, and as which transaction.
func (l *paymentLocks) acceptedMeanwhile(own *paymentLock) (transactionID string, accepted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return own.transactionID, own.accepted
}

// release gives the lock back. The error of the call is shared with those that wait if it is a
// rejection.
func (l *paymentLocks) release(own *paymentLock, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.taken, own.name)
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
