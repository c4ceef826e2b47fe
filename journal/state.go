package journal

import (
	"cmp"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// retention is the time for which an open journal remembers a payment that ended.
const retention = time.Hour

// state is the result of all records. Its times are counted from Open by the monotonic clock, so a
// change of the machine's clock makes the journal forget nothing.
type state struct {
	byKey map[string]*entry // the pending and accepted entries, by idempotency key
	// byPayment has all entries by a hash of the payment, linked through entry.next.
	byPayment map[uint64]*entry
	seed      maphash.Seed
	pending   map[*entry]struct{}
	ended     []*entry // in the order in which they ended, with some that are gone
	stale     int      // number of requests of ended payments that the file may still contain
	names     map[string]string
}

// entry is an intent and its place in the state. The values that now and past point to never
// change, because a compaction may be reading them.
type entry struct {
	now  *intent // nil after the end
	past *ended  // nil before the end
	next *entry
	at   time.Duration // of the end
	gone bool
}

func newState() *state {
	return &state{
		byKey:     map[string]*entry{},
		byPayment: map[uint64]*entry{},
		seed:      maphash.MakeSeed(),
		pending:   map[*entry]struct{}{},
		names:     map[string]string{},
	}
}

// apply adds a record that was read or written at a time. Its error says why the record cannot
// follow the records before it.
func (s *state) apply(r record, now time.Duration) error {
	switch {
	case r.Intent != nil:
		return s.begin(r.Intent, now)
	case r.Sent != nil:
		return s.send(r.Sent)
	case r.Finished != nil:
		return s.finish(r.Finished, now)
	case r.Pending != nil:
		return unpack(r.Pending, func(i *intent) error { return s.begin(i, now) })
	case r.Ended != nil:
		return unpack(r.Ended, func(e *ended) error { return s.remember(e, now) })
	case r.Durable != nil:
		return nil
	default:
		return errors.New("it is of an unknown kind")
	}
}

func (s *state) begin(i *intent, now time.Duration) error {
	if i.Operation == connectpsp.OperationRefundCashIn {
		i.ChargeID = cmp.Or(i.ChargeID, i.TransactionID) // version 1 had the charge in TransactionID
	}
	switch i.Outcome {
	case "":
		return s.add(&entry{now: i})
	case connectpsp.OutcomeAccepted: // of version 1
		return s.remember(endedOf(i, i.Outcome, i.TransactionID, i.EndedAt), now)
	default:
		return errors.New("it is an intent with an outcome that this version does not know")
	}
}

func (s *state) remember(past *ended, now time.Duration) error {
	s.intern(past)
	return s.add(&entry{past: past, at: now})
}

// intern makes equal texts of payments share one copy.
func (s *state) intern(past *ended) {
	for _, text := range []*string{&past.Operation, &past.ClientID, &past.BaseURL} {
		if _, known := s.names[*text]; !known {
			s.names[*text] = *text
		}
		*text = s.names[*text]
	}
}

// add adds an entry. It replaces a rejected attempt of the payment, and an ended entry with the
// key.
func (s *state) add(e *entry) error {
	earlier := s.byKey[e.key()]
	switch {
	case e.key() == "":
		return errors.New("it is an intent without a key")
	case earlier != nil && earlier.open():
		return errors.New("it begins a payment that is open")
	case earlier != nil:
		s.drop(earlier)
	}
	payment := e.payment()
	for old := range s.entriesOf(payment) {
		if old.outcome() == connectpsp.OutcomeRejected {
			s.drop(old)
		}
	}
	hash := maphash.String(s.seed, payment)
	e.next = s.byPayment[hash]
	s.byPayment[hash] = e
	if e.past == nil {
		s.pending[e] = struct{}{}
	} else {
		s.ended = append(s.ended, e)
	}
	if e.outcome() != connectpsp.OutcomeRejected {
		s.byKey[e.key()] = e
	}
	return nil
}

// entriesOf yields the entries of a payment, the latest first. A file of version 1 may have several
// open ones.
func (s *state) entriesOf(payment string) func(func(*entry) bool) {
	return func(yield func(*entry) bool) {
		for e := s.byPayment[maphash.String(s.seed, payment)]; e != nil; e = e.next {
			if e.payment() == payment && !yield(e) {
				return
			}
		}
	}
}

func (s *state) send(r *sent) error {
	e := s.byKey[r.Key]
	if e == nil || !e.unsent() || r.At.IsZero() {
		return errors.New("it marks a payment as sent that has no unsent intent")
	}
	changed := *e.now
	changed.SentAt = r.At
	e.now = &changed
	return nil
}

func (s *state) finish(r *finished, now time.Duration) error {
	e := s.byKey[r.Key]
	switch {
	case e == nil || e.past != nil:
		return errors.New("it ends a payment that has no pending intent")
	case r.Outcome == connectpsp.OutcomeRejected:
		delete(s.byKey, r.Key)
	case r.Outcome != connectpsp.OutcomeAccepted:
		return errors.New("it ends a payment with an outcome that this version does not know")
	}
	s.countStale(e)
	delete(s.pending, e)
	past := endedOf(e.now, r.Outcome, r.TransactionID, r.At)
	s.intern(past)
	e.now, e.past, e.at = nil, past, now
	s.ended = append(s.ended, e)
	return nil
}

// countStale counts the request of a payment that is no longer pending: the file still contains it.
func (s *state) countStale(e *entry) {
	if e.now != nil && len(e.now.Body) > 0 {
		s.stale++
	}
}

// drop removes an entry.
func (s *state) drop(e *entry) {
	s.countStale(e)
	e.gone = true
	delete(s.pending, e)
	if s.byKey[e.key()] == e {
		delete(s.byKey, e.key())
	}
	hash := maphash.String(s.seed, e.payment())
	before := s.byPayment[hash]
	switch {
	case before != e:
		for before.next != e {
			before = before.next
		}
		before.next = e.next
	case e.next == nil:
		delete(s.byPayment, hash)
	default:
		s.byPayment[hash] = e.next
	}
}

// forget drops intents that ended more than retention ago.
func (s *state) forget(now time.Duration) {
	for len(s.ended) > 0 && (s.ended[0].gone || now-s.ended[0].at >= retention) {
		if !s.ended[0].gone {
			s.drop(s.ended[0])
		}
		s.ended[0] = nil
		s.ended = s.ended[1:]
	}
}

// lookUp returns a copy of the recorded intent that i collides with: the open one of the same
// payment, else an accepted one, else a sent or accepted one with the same key, else nil.
func (s *state) lookUp(i connectpsp.Intent) *connectpsp.Intent {
	var found *entry
	for e := range s.entriesOf(i.Payment()) {
		accepted := e.outcome() == connectpsp.OutcomeAccepted
		if e.open() || accepted && (found == nil || !found.open()) {
			found = e
		}
	}
	if e := s.byKey[i.IdempotencyKey]; found == nil && e != nil && !e.unsent() {
		found = e
	}
	if found == nil {
		return nil
	}
	earlier := found.public()
	return &earlier
}

// replaced returns the keys of unsent intents of the same payment that i, with another key,
// replaces.
func (s *state) replaced(i connectpsp.Intent) []string {
	var keys []string
	for e := range s.entriesOf(i.Payment()) {
		if e.unsent() && e.key() != i.IdempotencyKey {
			keys = append(keys, e.key())
		}
	}
	return keys
}

// allPending returns the intents without an outcome, oldest first.
func (s *state) allPending() []*intent {
	all := make([]*intent, 0, len(s.pending))
	for e := range s.pending {
		all = append(all, e.now)
	}
	slices.SortFunc(all, func(a, b *intent) int {
		return cmp.Or(a.BegunAt.Compare(b.BegunAt), strings.Compare(a.Key, b.Key))
	})
	return all
}

// countPending counts the intents without an outcome.
func (s *state) countPending() (open connectpsp.OpenPayments) {
	now := time.Now()
	for e := range s.pending {
		sent, due := e.now.SentAt, e.now.DueBy
		if sent.IsZero() {
			open.Begun++
			continue
		}
		open.Sent++
		if open.OldestSentAt.IsZero() || sent.Before(open.OldestSentAt) {
			open.OldestSentAt = sent
		}
		if !due.IsZero() && now.After(due) {
			open.Overdue++
		}
	}
	return open
}

// allEnded returns the remembered intents with an outcome, in the order in which they ended.
func (s *state) allEnded() []*ended {
	all := make([]*ended, 0, len(s.ended))
	for _, e := range s.ended {
		if !e.gone {
			all = append(all, e.past)
		}
	}
	return all
}

func (e *entry) key() string {
	if e.past != nil {
		return e.past.Key
	}
	return e.now.Key
}

func (e *entry) payment() string {
	if e.past != nil {
		return e.past.public().Payment()
	}
	withoutBody := connectpsp.Intent{
		Operation:         e.now.Operation,
		ExternalReference: e.now.ExternalReference,
		ChargeID:          e.now.ChargeID,
		TransactionID:     e.now.TransactionID,
	}
	return withoutBody.Payment()
}

func (e *entry) outcome() connectpsp.Outcome {
	if e.past != nil {
		return e.past.outcome()
	}
	return ""
}

// open reports whether the payment was sent and its outcome is unknown.
func (e *entry) open() bool { return e.now != nil && !e.now.SentAt.IsZero() }

func (e *entry) unsent() bool { return e.now != nil && e.now.SentAt.IsZero() }

func (e *entry) public() connectpsp.Intent {
	if e.past != nil {
		return e.past.public()
	}
	return e.now.public()
}
