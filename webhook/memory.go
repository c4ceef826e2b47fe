package webhook

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ErrInboxFull is returned by Put of a MemoryInbox that holds as many items as it may, none of which is done.
var ErrInboxFull = errors.New("webhook: the inbox is full of items that are not done")

// MemoryInbox is an Inbox in memory, for tests and for small services that can lose it: when the process ends, events that
// were answered with 200 and not worked off are lost with it, and it no longer knows which events it has seen. It holds 65,536
// items and forgets those first that were done first, or dismissed; an event that is forgotten would be taken for a new one. Package
// sqlinbox has one that keeps everything. The zero value is not usable; make it with NewMemoryInbox. It may be shared by
// goroutines, and must not be copied.
type MemoryInbox struct {
	mu    sync.Mutex
	limit int
	items map[string]*memoryItem
	due   dueItems // those that are pending; an item's place is in it
	done  []string // keys, oldest first
	known map[string]*memoryTransaction
}

type memoryItem struct {
	Claim
	digest Digest
	due    time.Time // also of the end of a lease
	place  int       // in due, -1 if it is done or held
}

// memoryTransaction is what is known of a transaction.
type memoryTransaction struct {
	settling chan struct{} // holds one element while an item is settled
	known    Known
	items    int // in the inbox
}

const memoryLimit = 1 << 16

// NewMemoryInbox returns an empty inbox.
func NewMemoryInbox() *MemoryInbox {
	return &MemoryInbox{limit: memoryLimit, items: map[string]*memoryItem{}, known: map[string]*memoryTransaction{}}
}

// Put keeps an item. See Inbox.
func (m *MemoryInbox) Put(_ context.Context, item Item) (*Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if earlier := m.items[item.Key]; earlier != nil {
		digest := earlier.digest
		return &digest, nil
	}
	full := len(m.items) >= m.limit
	if full && len(m.done) == 0 {
		return nil, ErrInboxFull
	}
	kept := &memoryItem{Claim: Claim{Item: item}, digest: sha256.Sum256(item.Body), due: item.Due, place: -1}
	m.items[item.Key] = kept
	if m.known[item.Transaction] == nil {
		m.known[item.Transaction] = &memoryTransaction{settling: make(chan struct{}, 1)}
	}
	m.known[item.Transaction].items++
	if full { // only now: the oldest may be of the same transaction
		m.forget(m.done[0])
		m.done = m.done[1:]
	}
	if item.Held == "" {
		heap.Push(&m.due, kept)
	}
	return nil, nil
}

// forget drops an item, and its transaction with the last one of it.
func (m *MemoryInbox) forget(key string) {
	transaction := m.items[key].Transaction
	delete(m.items, key)
	if m.known[transaction].items--; m.known[transaction].items == 0 {
		delete(m.known, transaction)
	}
}

// Claim takes an item that is due. See Inbox.
func (m *MemoryInbox) Claim(_ context.Context, lease time.Duration) (*Claim, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if len(m.due) == 0 || m.due[0].due.After(now) {
		return nil, nil
	}
	item := m.due[0]
	item.Attempts++
	item.Token = uuid.NewString()
	item.due = now.Add(lease)
	heap.Fix(&m.due, item.place)
	claim := item.Claim
	return &claim, nil
}

// Settle ends an item. See Inbox. It holds the transaction while change runs, and nothing else.
func (m *MemoryInbox) Settle(ctx context.Context, claim *Claim, change func(context.Context, Known) (Settlement, error)) error {
	m.mu.Lock()
	item, err := m.ours(claim)
	if err != nil {
		m.mu.Unlock()
		return err
	}
	transaction := m.known[item.Transaction]
	m.mu.Unlock()

	select {
	case transaction.settling <- struct{}{}:
		defer func() { <-transaction.settling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := m.check(claim); err != nil {
		return err // while it waited
	}
	settlement, err := change(ctx, transaction.known)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if item, err = m.ours(claim); err != nil {
		return err
	}
	transaction.known = settlement.Known
	if settlement.Again.IsZero() {
		m.finish(item)
		m.done = append(m.done, item.Key)
		return nil
	}
	m.reschedule(item, settlement.Again)
	return nil
}

// Postpone gives an item back. See Inbox.
func (m *MemoryInbox) Postpone(_ context.Context, claim *Claim, due time.Time, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, err := m.ours(claim)
	if err == nil {
		m.reschedule(item, due)
	}
	return err
}

// Hold keeps an item for a person. See Inbox.
func (m *MemoryInbox) Hold(_ context.Context, claim *Claim, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, err := m.ours(claim)
	if err == nil {
		m.finish(item)
		item.Held = cmp.Or(reason, "for no reason that is known")
	}
	return err
}

// Held returns the items that are kept for a person.
func (m *MemoryInbox) Held() []Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	var held []Item
	for _, item := range m.items {
		if item.Held != "" {
			held = append(held, item.Item)
		}
	}
	return held
}

// Retry makes an item that is kept for a person due now, as if it had never been tried. It reports whether there is one.
func (m *MemoryInbox) Retry(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	item := m.items[key]
	if item == nil || item.Held == "" {
		return false
	}
	item.Held, item.Attempts, item.due = "", 0, time.Now()
	heap.Push(&m.due, item)
	return true
}

// Dismiss ends an item that is kept for a person, who has seen to it: it has no effect any more. It reports whether there is one.
func (m *MemoryInbox) Dismiss(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	item := m.items[key]
	if item == nil || item.Held == "" {
		return false
	}
	item.Held = ""
	m.done = append(m.done, key)
	return true
}

func (m *MemoryInbox) check(claim *Claim) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.ours(claim)
	return err
}

// ours returns the item of a claim, if the claim still holds. The lock is held.
func (m *MemoryInbox) ours(claim *Claim) (*memoryItem, error) {
	item := m.items[claim.Key]
	if item == nil || item.Token != claim.Token {
		return nil, ErrClaimLost
	}
	return item, nil
}

// finish takes an item out of those that are due.
func (m *MemoryInbox) finish(item *memoryItem) {
	item.Token = ""
	heap.Remove(&m.due, item.place)
	item.place = -1
}

func (m *MemoryInbox) reschedule(item *memoryItem, due time.Time) {
	item.Token, item.due = "", due
	heap.Fix(&m.due, item.place)
}

// dueItems is a heap: the first is due first.
type dueItems []*memoryItem

func (d dueItems) Len() int           { return len(d) }
func (d dueItems) Less(i, j int) bool { return d[i].due.Before(d[j].due) }
func (d dueItems) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}
func (d *dueItems) Push(item any) {
	pushed := item.(*memoryItem)
	pushed.place = len(*d)
	*d = append(*d, pushed)
}
func (d *dueItems) Pop() any {
	last := len(*d) - 1
	item := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return item
}
