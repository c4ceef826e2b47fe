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

// remembered is for how long a payment that ended is known, while the journal is open.
const remembered = time.Hour

// state is the result of the records. Its times are counted from when the journal was opened, by
// the monotonic clock: setting the other clock makes the journal forget nothing.
type state struct {
	byKey map[string]*entry // those that are pending or accepted, by idempotency key
	// byPayment has all, by a hash of the payment, linked through entry.next.
	byPayment map[uint64]*entry
	seed      maphash.Seed
	pending   map[*entry]struct{}
	ended     []*entry // in the order in which they ended; those that are gone are passed over
	stale     int      // how many requests the file may hold of payments that are not pending
	names     map[string]string
}

// entry is an intent and its place in the state. What it points to is not changed: a compaction may
// be reading it.
type entry struct {
	now  *intent // nil once it has ended
	past *ended  // nil before
	next *entry
	at   time.Duration // when it ended
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

// apply adds a record that was read or written at a time. Its error says why the record cannot be
// one of this journal's at this place.
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
		i.ChargeID = cmp.Or(i.ChargeID, i.TransactionID) // version 1 had the charge there
	}
	switch i.Outcome {
	case "":
		return s.add(&entry{now: i})
	case connectpsp.OutcomeAccepted: // of version 1
		return s.remember(endedOf(i, i.Outcome, i.TransactionID, i.EndedAt), now)
	default:
		return errors.New("it is an intent of an unknown outcome")
	}
}

func (s *state) remember(past *ended, now time.Duration) error {
	s.share(past)
	return s.add(&entry{past: past, at: now})
}

// share makes payments that have a text in common have one copy of it.
func (s *state) share(past *ended) {
	for _, text := range []*string{&past.Operation, &past.ClientID, &past.BaseURL} {
		if _, known := s.names[*text]; !known {
			s.names[*text] = *text
		}
		*text = s.names[*text]
	}
}

// add takes in an entry, in the place of a rejected attempt of its payment, or had its key.
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
	for old := range s.of(payment) {
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

// of yields the entries of a payment, the latest first. Files of version 1 may have several that
// are open.
func (s *state) of(payment string) func(func(*entry) bool) {
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
		return errors.New("it tells of the sending of a payment that was not about to be sent")
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
		return errors.New("it ends a payment that was not under way")
	case r.Outcome == connectpsp.OutcomeRejected:
		delete(s.byKey, r.Key)
	case r.Outcome != connectpsp.OutcomeAccepted:
		return errors.New("it ends a payment with an unknown outcome")
	}
	s.leavesRequest(e)
	delete(s.pending, e)
	past := endedOf(e.now, r.Outcome, r.TransactionID, r.At)
	s.share(past)
	e.now, e.past, e.at = nil, past, now
	s.ended = append(s.ended, e)
	return nil
}

// leavesRequest counts the request of a payment that is no longer pending: the file still holds it.
func (s *state) leavesRequest(e *entry) {
	if e.now != nil && len(e.now.Body) > 0 {
		s.stale++
	}
}

// drop takes an entry out.
func (s *state) drop(e *entry) {
	s.leavesRequest(e)
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

// forget drops intents that ended too long ago.
func (s *state) forget(now time.Duration) {
	for len(s.ended) > 0 && (s.ended[0].gone || now-s.ended[0].at >= remembered) {
		if !s.ended[0].gone {
			s.drop(s.ended[0])
		}
		s.ended[0] = nil
		s.ended = s.ended[1:]
	}
}

// known returns a copy of the intent that is open, or else was accepted, of the same payment, or
// else with the same key.
func (s *state) known(i connectpsp.Intent) *connectpsp.Intent {
	var found *entry
	for e := range s.of(i.Payment()) {
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

// replaced returns the keys of the intents that were never sent and that a new one, with another
// key, takes the place of.
func (s *state) replaced(i connectpsp.Intent) []string {
	var keys []string
	for e := range s.of(i.Payment()) {
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

// allEnded returns the intents that ended and are remembered, in that order.
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

// open reports whether the payment may have been made, and the outcome is not known.
func (e *entry) open() bool { return e.now != nil && !e.now.SentAt.IsZero() }

func (e *entry) unsent() bool { return e.now != nil && e.now.SentAt.IsZero() }

func (e *entry) public() connectpsp.Intent {
	if e.past != nil {
		return e.past.public()
	}
	return e.now.public()
}
