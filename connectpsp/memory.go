package connectpsp

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// memory is the journal of a client without one: it remembers what is open, and what was accepted lately, as long as the process
// lives and up to a bound. The zero value is ready.
type memory struct {
	mu             sync.Mutex
	open, accepted generations
}

func (m *memory) Begin(_ context.Context, intent Intent) (*Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if earlier := m.sent(intent.IdempotencyKey); earlier != nil {
		return earlier, nil
	}
	m.open.add(&intent)
	return nil, nil
}

func (m *memory) Find(_ context.Context, key string) (*Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent(key), nil
}

// sent returns a copy of the intent if it was sent.
func (m *memory) sent(key string) *Intent {
	found := m.open.find(key)
	if found == nil {
		found = m.accepted.find(key)
	}
	if found == nil || found.SentAt.IsZero() {
		return nil
	}
	intent := *found
	return &intent
}

func (m *memory) Sent(_ context.Context, key string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if intent := m.open.find(key); intent != nil && intent.SentAt.IsZero() {
		intent.SentAt = at
	}
	return nil
}

func (m *memory) Finish(_ context.Context, key string, outcome Outcome, transactionID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	intent := m.open.find(key)
	m.open.remove(key)
	if intent != nil && outcome == OutcomeAccepted {
		intent.Outcome, intent.Body = outcome, nil
		intent.compact(transactionID)
		m.accepted.add(intent)
	}
	return nil
}

// compact puts the intent's own texts into one piece of memory, which holds on to no request and no answer.
func (i *Intent) compact(transactionID string) {
	texts := i.IdempotencyKey + i.ExternalReference + i.BodySHA256 + transactionID
	for _, text := range []*string{&i.IdempotencyKey, &i.ExternalReference, &i.BodySHA256} {
		*text, texts = texts[:len(*text)], texts[len(*text):]
	}
	i.TransactionID = texts
}

func (m *memory) Pending(context.Context) ([]Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var pending []Intent
	for _, generation := range []map[string]*Intent{m.open.young, m.open.old} {
		for _, intent := range generation {
			pending = append(pending, *intent)
		}
	}
	slices.SortFunc(pending, func(a, b Intent) int {
		return cmp.Or(a.BegunAt.Compare(b.BegunAt), strings.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	return pending, nil
}

// generations holds intents, one to two generations of the latest. New ones are young. When those are enough they become old,
// and those that were old are forgotten.
type generations struct{ young, old map[string]*Intent }

const generationSize = 1 << 15

func (g *generations) add(intent *Intent) {
	if g.young == nil || len(g.young) >= generationSize {
		g.young, g.old = map[string]*Intent{}, g.young
	}
	g.young[intent.IdempotencyKey] = intent
}

func (g *generations) find(key string) *Intent {
	if intent := g.young[key]; intent != nil {
		return intent
	}
	return g.old[key]
}

func (g *generations) remove(key string) {
	delete(g.young, key)
	delete(g.old, key)
}
