package simulation

import (
	"context"
	"errors"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// recover calls [connectpsp.Client.Recover], unless such a call is under way.
func (s *schedule) recover() {
	if s.recovering {
		return
	}
	s.recovering = true
	s.counters.add("call", "recovers")
	c := &call{action: "recovers", handle: s.handleRecovered}
	s.begin(c, func(ctx context.Context, client *connectpsp.Client) { c.recovered, c.err = client.Recover(ctx) })
}

// recoverMeanwhile calls Recover while other calls are made, as a program does that calls it
// regularly.
func (s *schedule) recoverMeanwhile() {
	p := s.process
	pauses := [...]time.Duration{time.Millisecond, time.Second + time.Millisecond, 3 * time.Second, 35 * time.Second}
	s.later(pauses[s.choices.choose(len(pauses), 60)], func() {
		if !p.dead {
			s.recover()
		}
	})
}

// handleRecovered acts upon the report of Recover, by the loop of docs/money-safety.md. The orders
// of a process that starts continue after it.
func (s *schedule) handleRecovered(c *call) {
	s.recovering = false
	if s.tracing {
		s.note("%v ends with %d payments%s", c, len(c.recovered), reason(c.err))
	}
	for _, recovered := range c.recovered {
		s.handleRecoveredPayment(recovered)
	}
	if c.err == nil {
		s.checker.recovered()
	}
	if !s.process.starting {
		for _, o := range s.orders {
			if o.started && !o.closed {
				o.decideNext()
			}
		}
		return
	}
	if c.err != nil {
		p := s.process
		s.later(time.Second, func() { // as a program that is started again
			if !p.dead {
				s.recover()
			}
		})
		return
	}
	s.process.starting = false
	for _, o := range s.orders {
		o.resume()
	}
}

func (s *schedule) handleRecoveredPayment(r connectpsp.Recovered) {
	reference := r.ExternalReference
	if r.Operation == connectpsp.OperationRefundCashIn {
		reference = chargeOf(r.ChargeID)
	}
	o := s.orderOf(reference)
	outcome := outcomeOf(r.Err)
	if s.tracing {
		s.note("recovered %s (key %.4s): %s%s", reference, r.IdempotencyKey, outcome, reason(r.Err))
	}
	// The key tells which attempt of the payment it is.
	current := r.IdempotencyKey == o.key && !o.closed
	switch outcome {
	case accepted:
		s.counters.add("recovered", accepted)
		s.checker.accepted(o, reference, r.TransactionID)
		o.closed = o.closed || reference == o.reference()
	case unknown:
		s.counters.add("recovered", unknown)
		journalFailed := s.isJournalFailure(r.Err)
		s.checker.unknown(&call{
			action: "recovers", order: o, key: r.IdempotencyKey, reference: reference, err: r.Err, mismatched: r.IdempotencyKey != o.key,
		}, journalFailed)
		if current && !journalFailed {
			o.keepUnknownOutcome(r.Err)
		}
	case rejected:
		notSent := errors.Is(r.Err, connectpsp.ErrNotSent)
		s.counters.add("recovered", map[bool]string{true: "never sent", false: rejected}[notSent])
		if !o.forgotten && current {
			o.handleRejection(reference, notSent, true)
		}
	default:
		s.violate("Recover reports %s for %s", outcome, reference)
	}
}
