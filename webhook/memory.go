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

	"github.com/connectpsp/connectpsp-go/internal/observe"
)

// ErrInboxFull is returned by [MemoryInbox.Put] if the inbox has reached its limit and no item is
// done.
var ErrInboxFull = errors.New("webhook: the inbox is full of items that are not done")

// MemoryInbox is an [Inbox] in memory, for tests and for small services that can afford to lose
// it. When the process ends, events that the gateway got a 200 for and that were not processed yet
// are lost, and so is the record for deduplication. A MemoryInbox has at most 65,536 items. Beyond
// that it forgets the items that were done or dismissed first; a forgotten event that comes again
// is a new one. Package sqlstore has an Inbox that keeps everything. The zero value is not usable;
// use [NewMemoryInbox]. Goroutines may share a MemoryInbox. It must not be copied.
type MemoryInbox struct {
	mu           sync.Mutex
	limit        int
	items        map[string]*memoryItem
	due          dueItems // the pending items
	done         []string // keys, oldest first
	transactions map[string]*memoryTransaction
	added        chan struct{}
}

type memoryItem struct {
	Claim
	digest Digest
	due    time.Time // the end of the lease while the item is claimed
	since  time.Time // when the item is or was due, whether it is claimed or not
	place  int       // in MemoryInbox.due, -1 if the item is done, held or being completed
}

// memoryTransaction is the recorded state of a transaction.
type memoryTransaction struct {
	locked bool // an item of the transaction is being completed
	state  TransactionState
	items  int // in the inbox
}

const memoryLimit = 1 << 16

// NewMemoryInbox returns an empty inbox.
func NewMemoryInbox() *MemoryInbox {
	return &MemoryInbox{
		limit: memoryLimit, items: map[string]*memoryItem{}, transactions: map[string]*memoryTransaction{},
		added: make(chan struct{}, 1),
	}
}

// Added returns a channel that receives after a Put has stored an item. See [Inbox].
func (m *MemoryInbox) Added() <-chan struct{} { return m.added }

// staged collects the items that are put while an item is being completed. The context of change
// carries it. The items enter the inbox if the completion succeeds.
type staged struct {
	inbox *MemoryInbox
	items []*memoryItem
	over  bool // the completion has ended
}

type stagedKey struct{ observe.Own }

// Put stores an item. See [Inbox].
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
	kept := &memoryItem{Claim: Claim{Item: item}, digest: sha256.Sum256(item.Body), place: -1}
	kept.dueAt(time.Now().Add(item.Wait()))
	if step != nil {
		step.items = append(step.items, kept)
	} else {
		m.keepLocked(kept)
	}
	return nil, nil
}

// dueAt makes an item due at a time.
func (i *memoryItem) dueAt(due time.Time) { i.due, i.since = due, due }

// isPending reports whether an item is neither done nor held.
func (i *memoryItem) isPending() bool { return i.place >= 0 || i.Token != "" }

func (s *staged) find(key string) *memoryItem {
	for _, item := range s.items {
		if item.Key == key {
			return item
		}
	}
	return nil
}

// keepLocked adds an item, and forgets the oldest done item if the inbox is full.
func (m *MemoryInbox) keepLocked(item *memoryItem) {
	full := len(m.items) >= m.limit && len(m.done) > 0
	m.items[item.Key] = item
	if m.transactions[item.Transaction] == nil {
		m.transactions[item.Transaction] = &memoryTransaction{}
	}
	m.transactions[item.Transaction].items++
	if full { // only now: the oldest may be of the same transaction
		m.forgetLocked(m.done[0])
		m.done = m.done[1:]
	}
	if item.Held == "" {
		heap.Push(&m.due, item)
	}
	select {
	case m.added <- struct{}{}:
	default: // the worker that will receive finds this item too
	}
}

// forgetLocked removes an item. It removes the transaction with its last item.
func (m *MemoryInbox) forgetLocked(key string) {
	transaction := m.items[key].Transaction
	delete(m.items, key)
	if m.transactions[transaction].items--; m.transactions[transaction].items == 0 {
		delete(m.transactions, transaction)
	}
}

// Claim claims items that are due. See [Inbox].
func (m *MemoryInbox) Claim(_ context.Context, lease time.Duration, limit int) (claims []*Claim, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for len(claims) < limit && len(m.due) > 0 && !m.due[0].due.After(now) {
		item := m.due[0]
		item.Attempts++
		item.Token = uuid.NewString()
		item.due = now.Add(lease)
		heap.Fix(&m.due, item.place)
		claim := item.Claim
		claims = append(claims, &claim)
	}
	return claims, nil
}

// Complete ends an item. See [Inbox]. It locks only the transaction while change runs.
func (m *MemoryInbox) Complete(ctx context.Context, claim *Claim, change func(context.Context, TransactionState) (Result, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, err := m.claimedLocked(claim)
	if err != nil {
		return err
	}
	transaction := m.transactions[item.Transaction]
	if transaction.locked {
		return ErrLocked
	}
	transaction.locked = true
	heap.Remove(&m.due, item.place) // so that no caller claims the item, even after the lease
	item.place = -1
	step := &staged{inbox: m}
	completed := false
	defer func() {
		transaction.locked, step.over = false, true
		if !completed {
			heap.Push(&m.due, item)
		}
	}()

	result, err := func() (Result, error) {
		m.mu.Unlock()
		defer m.mu.Lock()
		return change(context.WithValue(ctx, stagedKey{}, step), transaction.state)
	}()
	if err != nil {
		return err
	}
	completed = true
	transaction.state = result.State
	item.Token = ""
	if result.RetryAt.IsZero() {
		m.done = append(m.done, item.Key)
	} else {
		item.Attempts = 0
		item.dueAt(result.RetryAt)
		heap.Push(&m.due, item)
	}
	for _, added := range step.items {
		if m.items[added.Key] == nil { // else an item with this key was put meanwhile
			m.keepLocked(added)
		}
	}
	return nil
}

// Postpone releases an item. See [Inbox].
func (m *MemoryInbox) Postpone(_ context.Context, claim *Claim, due time.Time, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, err := m.claimedLocked(claim)
	if err == nil {
		item.Token, item.Attempts = "", claim.Attempts
		item.dueAt(due)
		heap.Fix(&m.due, item.place)
	}
	return err
}

// Hold puts an item aside for manual review. See [Inbox].
func (m *MemoryInbox) Hold(_ context.Context, claim *Claim, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, err := m.claimedLocked(claim)
	if err == nil {
		heap.Remove(&m.due, item.place)
		item.Token, item.place, item.Held = "", -1, cmp.Or(reason, "no reason was given")
	}
	return err
}

// Held returns the items that are held for manual review: the dead letters, in no order.
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

// State counts the items that are due, and those that are held. The error is nil.
func (m *MemoryInbox) State(context.Context) (state InboxState, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, item := range m.items {
		switch {
		case item.Held != "":
			state.Held++
		case item.isPending() && !item.since.After(now):
			state.Due++
			if state.OldestDue.IsZero() || item.since.Before(state.OldestDue) {
				state.OldestDue = item.since
			}
		}
	}
	return state, nil
}

// Retry makes a held item due now, with no attempts counted. It reports whether the inbox holds an
// item with this key.
func (m *MemoryInbox) Retry(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	item := m.items[key]
	if item == nil || item.Held == "" {
		return false
	}
	item.Held, item.Attempts = "", 0
	item.dueAt(time.Now())
	heap.Push(&m.due, item)
	return true
}

// Dismiss ends a held item without any effect, after somebody has dealt with it. It reports whether
// the inbox holds an item with this key.
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

// claimedLocked returns the item of a claim. The error is ErrClaimLost if the claim is not the
// item's latest, or the item is being completed.
func (m *MemoryInbox) claimedLocked(claim *Claim) (*memoryItem, error) {
	item := m.items[claim.Key]
	if item == nil || item.Token != claim.Token || item.place < 0 {
		return nil, ErrClaimLost
	}
	return item, nil
}

// dueItems is a heap of items by due time.
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
