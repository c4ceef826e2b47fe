package connectpsp

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// memoryOpen bounds the payments that are open at a time without a journal. Beyond it nothing
	// is sent: an open payment that was forgotten could be reported as rejected.
	memoryOpen = 1 << 16
	// memoryAccepted is how many accepted payments are remembered at least. Up to twice as many
	// are.
	memoryAccepted = 1 << 15
)

var (
	errMemoryFull = errors.New("too many payments of this client are open: settle them, or use a journal")
	errPaid       = errors.New("a payment that was accepted cannot be rejected")
)

// memoryJournal is the journal of a client without one: it remembers the open payments, and the
// latest accepted ones, as long as the process lives. The zero value is ready.
type memoryJournal struct {
	mu sync.Mutex
	// An accepted payment is in young until that is full; then young becomes old, and the old ones
	// are forgotten.
	open, young, old intents
}

func (m *memoryJournal) Begin(_ context.Context, intent Intent) (*Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	payment := intent.Payment()
	if earlier := m.earlierLocked(payment, intent.IdempotencyKey); earlier != nil {
		return earlier, nil
	}
	m.open.remove(payment)
	if len(m.open.byPayment) >= memoryOpen {
		return nil, errMemoryFull
	}
	m.open.add(&remembered{intent, payment})
	return nil, nil
}

func (m *memoryJournal) Find(_ context.Context, intent Intent) (*Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.earlierLocked(intent.Payment(), intent.IdempotencyKey), nil
}

// earlierLocked returns a copy of the intent of the same payment, or else with the same key, that
// was sent.
func (m *memoryJournal) earlierLocked(payment, key string) *Intent {
	known := [...]*intents{&m.open, &m.young, &m.old}
	for _, all := range known {
		if found := all.byPayment[payment]; found != nil && !found.SentAt.IsZero() {
			earlier := found.Intent
			return &earlier
		}
	}
	for _, all := range known {
		if found := all.byKey[key]; found != nil && !found.SentAt.IsZero() {
			earlier := found.Intent
			return &earlier
		}
	}
	return nil
}

func (m *memoryJournal) Sent(_ context.Context, key string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if intent := m.open.byKey[key]; intent != nil && intent.SentAt.IsZero() {
		intent.SentAt = at
	}
	return nil
}

func (m *memoryJournal) Finish(_ context.Context, key string, outcome Outcome, transactionID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	intent := m.open.byKey[key]
	if intent == nil {
		if outcome == OutcomeRejected && (m.young.byKey[key] != nil || m.old.byKey[key] != nil) {
			return errPaid
		}
		return nil
	}
	m.open.remove(intent.payment)
	if outcome == OutcomeAccepted {
		if len(m.young.byPayment) >= memoryAccepted {
			m.young, m.old = intents{}, m.young
		}
		intent.Outcome, intent.Body, intent.EndedAt = outcome, nil, time.Now().UTC()
		// A clone keeps no response in memory.
		intent.TransactionID = cmp.Or(strings.Clone(transactionID), intent.TransactionID)
		m.young.add(intent)
	}
	return nil
}

func (m *memoryJournal) Pending(context.Context) ([]Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var pending []Intent
	for _, intent := range m.open.byPayment {
		pending = append(pending, intent.Intent)
	}
	slices.SortFunc(pending, func(a, b Intent) int {
		return cmp.Or(a.BegunAt.Compare(b.BegunAt), strings.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	return pending, nil
}

func (m *memoryJournal) Ended(context.Context) ([]Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ended []Intent
	for _, accepted := range []*intents{&m.old, &m.young} {
		for _, intent := range accepted.byPayment {
			ended = append(ended, intent.Intent)
		}
	}
	slices.SortFunc(ended, func(a, b Intent) int {
		return cmp.Or(a.EndedAt.Compare(b.EndedAt), strings.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	return ended, nil
}

// remembered is an intent with its Payment.
type remembered struct {
	Intent
	payment string
}

// intents holds intents by payment and by idempotency key. The zero value is ready.
type intents struct{ byPayment, byKey map[string]*remembered }

func (s *intents) add(intent *remembered) {
	if s.byPayment == nil {
		s.byPayment, s.byKey = map[string]*remembered{}, map[string]*remembered{}
	}
	s.byPayment[intent.payment], s.byKey[intent.IdempotencyKey] = intent, intent
}

func (s *intents) remove(payment string) {
	if intent := s.byPayment[payment]; intent != nil {
		delete(s.byPayment, payment)
		delete(s.byKey, intent.IdempotencyKey)
	}
}
