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

// ErrInboxFull is returned by Put of a MemoryInbox that holds as many items as it may, none of
// which is done.
var ErrInboxFull = errors.New("webhook: the inbox is full of items that are not done")

// MemoryInbox is an Inbox in memory, for tests and for small services that can lose it: when the
// process ends, events that were answered with 200 and not worked off are lost with it, and it no
// longer knows which events it has seen. It holds 65,536 items and forgets those first that were
// done first, or dismissed; an event that is forgotten would be taken for a new one. Package
// sqlinbox has one that keeps everything. The zero value is not usable; make it with
// NewMemoryInbox. It may be shared by goroutines, and must not be copied.
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
	place  int       // in due, -1 if it is done or held or is being settled
}

// memoryTransaction is the recorded state of a transaction.
type memoryTransaction struct {
	locked bool // an item of it is being settled
	known  TransactionState
	items  int // in the inbox
}

const memoryLimit = 1 << 16

// NewMemoryInbox returns an empty inbox.
func NewMemoryInbox() *MemoryInbox {
	return &MemoryInbox{limit: memoryLimit, items: map[string]*memoryItem{}, known: map[string]*memoryTransaction{}}
}

// staged are the items that were put while an item was settled, in the context of which they are
// found.
type staged struct {
	inbox *MemoryInbox
	items []*memoryItem
	over  bool // it is settled, or was not
}

type stagedKey struct{}

// Put keeps an item. See Inbox.
func (m *MemoryInbox) Put(ctx context.Context, item Item) (*Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	step, _ := ctx.Value(stagedKey{}).(*staged)
	if step != nil && (step.inbox != m || step.over) {
		step = nil
	}
	earlier := m.items[item.Key]
	if earlier == nil && step != nil {
		earlier = step.find(item.Key)
	}
	switch {
	case earlier != nil:
		digest := earlier.digest
		return &digest, nil
	case len(m.items) >= m.limit && len(m.done) == 0:
		return nil, ErrInboxFull
	}
	kept := &memoryItem{Claim: Claim{Item: item}, digest: sha256.Sum256(item.Body), due: time.Now().Add(item.Wait()), place: -1}
	if step != nil {
		step.items = append(step.items, kept)
	} else {
		m.keepLocked(kept)
	}
	return nil, nil
}

func (s *staged) find(key string) *memoryItem {
	for _, item := range s.items {
		if item.Key == key {
			return item
		}
	}
	return nil
}

// keepLocked takes an item in, and forgets the oldest that is done if there are too many.
func (m *MemoryInbox) keepLocked(item *memoryItem) {
	full := len(m.items) >= m.limit && len(m.done) > 0
	m.items[item.Key] = item
	if m.known[item.Transaction] == nil {
		m.known[item.Transaction] = &memoryTransaction{}
	}
	m.known[item.Transaction].items++
	if full { // only now: the oldest may be of the same transaction
		m.forget(m.done[0])
		m.done = m.done[1:]
	}
	if item.Held == "" {
		heap.Push(&m.due, item)
	}
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

// Complete ends an item. See Inbox. It locks the transaction while change runs, and nothing else.
func (m *MemoryInbox) Complete(ctx context.Context, claim *Claim, change func(context.Context, TransactionState) (Result, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, err := m.ours(claim)
	if err != nil {
		return err
	}
	transaction := m.known[item.Transaction]
	if transaction.locked {
		return ErrLocked
	}
	transaction.locked = true
	heap.Remove(&m.due, item.place) // so that nobody claims it, also when its lease ends
	item.place = -1
	step := &staged{inbox: m}
	settled := false
	defer func() {
		transaction.locked, step.over = false, true
		if !settled {
			heap.Push(&m.due, item)
		}
	}()

	result, err := func() (Result, error) {
		m.mu.Unlock()
		defer m.mu.Lock()
		return change(context.WithValue(ctx, stagedKey{}, step), transaction.known)
	}()
	if err != nil {
		return err
	}
	settled = true
	transaction.known = result.State
	item.Token = ""
	if result.RetryAt.IsZero() {
		m.done = append(m.done, item.Key)
	} else {
		item.Attempts, item.due = 0, result.RetryAt
		heap.Push(&m.due, item)
	}
	for _, added := range step.items {
		if m.items[added.Key] == nil { // else another was put meanwhile
			m.keepLocked(added)
		}
	}
	return nil
}

// Postpone gives an item back. See Inbox.
func (m *MemoryInbox) Postpone(_ context.Context, claim *Claim, due time.Time, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, err := m.ours(claim)
	if err == nil {
		item.Token, item.Attempts, item.due = "", claim.Attempts, due
		heap.Fix(&m.due, item.place)
	}
	return err
}

// Hold keeps an item for a person. See Inbox.
func (m *MemoryInbox) Hold(_ context.Context, claim *Claim, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, err := m.ours(claim)
	if err == nil {
		heap.Remove(&m.due, item.place)
		item.Token, item.place, item.Held = "", -1, cmp.Or(reason, "for no reason that is known")
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

// Retry makes an item that is kept for a person due now, as if it had never been tried. It reports
// whether there is one.
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

// Dismiss ends an item that is kept for a person, who has seen to it: it has no effect any more. It
// reports whether there is one.
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

// ours returns the item of a claim, if the claim still holds and is not being settled. The lock is
// held.
func (m *MemoryInbox) ours(claim *Claim) (*memoryItem, error) {
	item := m.items[claim.Key]
	if item == nil || item.Token != claim.Token || item.place < 0 {
		return nil, ErrClaimLost
	}
	return item, nil
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
