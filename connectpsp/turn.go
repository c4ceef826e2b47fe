package connectpsp

import (
	"context"
	"sync"
	"time"
)

// turns makes the calls with one idempotency key follow one another, so that the outcome of one is known to the next. The zero
// value is ready.
type turns struct {
	mu   sync.Mutex
	held map[string]*turn
}

// turn is the right to work on a key. Done is made by the first who waits; refusal is set before it is closed.
type turn struct {
	first   time.Time // when the payment was first sent, or the turn began; guarded by turns.mu
	done    chan struct{}
	refusal *APIError
}

// take returns a turn for key if nobody holds it, else the one that is held.
func (t *turns) take(key string) (own *turn, others *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if held := t.held[key]; held != nil {
		if held.done == nil {
			held.done = make(chan struct{})
		}
		return nil, held
	}
	if t.held == nil {
		t.held = map[string]*turn{}
	}
	own = &turn{first: time.Now()}
	t.held[key] = own
	return own, nil
}

// inherit notes that the payment was first sent before the turn began. A zero time says nothing.
func (t *turns) inherit(own *turn, first time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !first.IsZero() && first.Before(own.first) {
		own.first = first
	}
}

// firstSent tells when the payment that others work on was first sent.
func (t *turns) firstSent(others *turn) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return others.first
}

// end gives the turn back. Refusal is how the gateway refused the call for certain, nil if it did not: those who waited
// hear the same, because the caller who is told may already be paying in another way.
func (t *turns) end(key string, own *turn, refusal *APIError) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, key)
	own.refusal = refusal
	if own.done != nil {
		close(own.done)
	}
}

// wait waits for the end of another's turn or of ctx, whichever is first.
func (t *turn) wait(ctx context.Context) error {
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
