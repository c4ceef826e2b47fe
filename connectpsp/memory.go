package connectpsp

import (
	"context"
	"slices"
	"sync"
	"time"
)

// memory is the journal of a client without one: it remembers what is open as long as the process lives, up to a bound. The
// zero value is ready.
type memory struct {
	mu sync.Mutex
	// New intents go into young. When that is full it becomes old, and what was old is forgotten.
	young, old map[string]*Intent
}

const memoryGeneration = 1 << 15

func (m *memory) Begin(_ context.Context, intent Intent) (*Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if earlier := m.sent(intent.IdempotencyKey); earlier != nil {
		return earlier, nil
	}
	if m.young == nil || len(m.young) >= memoryGeneration {
		m.young, m.old = map[string]*Intent{}, m.young
	}
	m.young[intent.IdempotencyKey] = &intent
	return nil, nil
}

func (m *memory) Find(_ context.Context, key string) (*Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent(key), nil
}

// sent returns a copy of the intent if it was sent.
func (m *memory) sent(key string) *Intent {
	found := m.find(key)
	if found == nil || found.SentAt.IsZero() {
		return nil
	}
	intent := *found
	return &intent
}

func (m *memory) find(key string) *Intent {
	if intent := m.young[key]; intent != nil {
		return intent
	}
	return m.old[key]
}

func (m *memory) Sent(_ context.Context, key string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if intent := m.find(key); intent != nil && intent.SentAt.IsZero() {
		intent.SentAt = at
	}
	return nil
}

// Finish forgets accepted intents too: those who make the same call again in the same process have its outcome.
func (m *memory) Finish(_ context.Context, key string, _ Outcome, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.young, key)
	delete(m.old, key)
	return nil
}

func (m *memory) Pending(context.Context) ([]Intent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var pending []Intent
	for _, generation := range []map[string]*Intent{m.young, m.old} {
		for _, intent := range generation {
			pending = append(pending, *intent)
		}
	}
	slices.SortFunc(pending, func(a, b Intent) int { return a.BegunAt.Compare(b.BegunAt) })
	return pending, nil
}
