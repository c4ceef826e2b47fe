package journal

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// remembered is for how long an accepted payment is known, while the journal is open.
const remembered = time.Hour

// state is what the records say.
type state struct {
	entries map[string]*entry // by idempotency key; a rejected one is gone
	ended   []*entry          // the accepted ones, in the order in which they ended
}

type entry struct {
	intent  connectpsp.Intent
	endedAt time.Time
}

func newState() *state { return &state{entries: map[string]*entry{}} }

// apply adds a record that was read or written. Its error says why the record cannot be one of this journal's at this place.
func (s *state) apply(r record) error {
	switch {
	case r.Intent != nil:
		return s.begin(r.Intent)
	case r.Sent != nil:
		return s.send(r.Sent)
	case r.Finished != nil:
		return s.finish(r.Finished)
	default:
		return errors.New("it is of an unknown kind")
	}
}

func (s *state) begin(i *intent) error {
	switch earlier := s.entries[i.Key]; {
	case i.Key == "":
		return errors.New("it is an intent without a key")
	case earlier != nil && earlier.open():
		return errors.New("it begins a payment that is open")
	}
	e := &entry{intent: i.public(), endedAt: i.EndedAt}
	switch i.Outcome {
	case "":
	case connectpsp.OutcomeAccepted:
		s.ended = append(s.ended, e)
	default:
		return errors.New("it is an intent of an unknown outcome")
	}
	s.entries[i.Key] = e
	return nil
}

func (s *state) send(r *sent) error {
	e := s.entries[r.Key]
	if e == nil || !e.intent.SentAt.IsZero() || r.At.IsZero() {
		return errors.New("it tells of the sending of a payment that was not about to be sent")
	}
	e.intent.SentAt = r.At
	return nil
}

func (s *state) finish(r *finished) error {
	e := s.entries[r.Key]
	if e == nil || e.intent.Outcome != "" {
		return errors.New("it ends a payment that was not under way")
	}
	switch r.Outcome {
	case connectpsp.OutcomeRejected:
		delete(s.entries, r.Key)
	case connectpsp.OutcomeAccepted:
		e.intent.Outcome, e.intent.Body, e.endedAt = r.Outcome, nil, r.At
		if r.TransactionID != "" {
			e.intent.TransactionID = r.TransactionID
		}
		s.ended = append(s.ended, e)
	default:
		return errors.New("it ends a payment with an unknown outcome")
	}
	return nil
}

// forget drops what was accepted too long ago.
func (s *state) forget(now time.Time) {
	for len(s.ended) > 0 && !now.Before(s.ended[0].endedAt.Add(remembered)) {
		e := s.ended[0]
		s.ended[0] = nil
		s.ended = s.ended[1:]
		if s.entries[e.intent.IdempotencyKey] == e {
			delete(s.entries, e.intent.IdempotencyKey)
		}
	}
}

// renew begins to count anew for how long the accepted payments are known: while the journal was closed nobody could ask.
func (s *state) renew(now time.Time) {
	for _, e := range s.ended {
		e.endedAt = now.UTC()
	}
}

// known returns a copy of the intent of the same payment, or else with the same key, that is open or was accepted.
func (s *state) known(i connectpsp.Intent) *connectpsp.Intent {
	var sameKey *connectpsp.Intent
	payment := i.Payment()
	for _, e := range s.entries {
		if !e.open() && e.intent.Outcome == "" {
			continue
		}
		intent := e.copied()
		if intent.Payment() == payment {
			return &intent
		}
		if intent.IdempotencyKey == i.IdempotencyKey {
			sameKey = &intent
		}
	}
	return sameKey
}

// finished returns copies of the intents that ended.
func (s *state) finished() []connectpsp.Intent {
	var finished []connectpsp.Intent
	for _, e := range s.ended {
		finished = append(finished, e.copied())
	}
	return finished
}

// pending returns copies of the intents without an outcome, oldest first.
func (s *state) pending() []connectpsp.Intent {
	var pending []connectpsp.Intent
	for _, e := range s.entries {
		if e.intent.Outcome == "" {
			pending = append(pending, e.copied())
		}
	}
	slices.SortFunc(pending, func(a, b connectpsp.Intent) int { return a.BegunAt.Compare(b.BegunAt) })
	return pending
}

// records returns what has to be written to tell the same again.
func (s *state) records() []record {
	records := []record{firstRecord}
	for _, e := range s.ended {
		if s.entries[e.intent.IdempotencyKey] == e {
			records = append(records, record{Intent: intentOf(e.intent, e.endedAt)})
		}
	}
	for _, open := range s.pending() {
		records = append(records, record{Intent: intentOf(open, time.Time{})})
	}
	return records
}

// open reports whether the payment may have been made, and nobody knows.
func (e *entry) open() bool { return e.intent.Outcome == "" && !e.intent.SentAt.IsZero() }

func (e *entry) copied() connectpsp.Intent {
	intent := e.intent
	intent.Body = bytes.Clone(intent.Body)
	return intent
}
