package simulation

import (
	"context"
	"errors"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// recover calls [connectpsp.Client.Recover] in a process, unless such a call is under way there.
func (s *schedule) recover(p *process) {
	if p.recovering {
		return
	}
	p.recovering = true
	s.counters.add("call", "recovers")
	c := &call{action: "recovers", process: p, handle: s.handleRecovered}
	s.begin(c, func(ctx context.Context, client *connectpsp.Client) { c.recovered, c.err = client.Recover(ctx) })
}

// recoverMeanwhile calls Recover in every process while other calls are made, as a program does
// that calls it regularly.
func (s *schedule) recoverMeanwhile() {
	generation := s.generation
	pauses := [...]time.Duration{time.Millisecond, time.Second + time.Millisecond, 3 * time.Second, 35 * time.Second}
	s.later(pauses[s.choices.choose(len(pauses), 60)], func() {
		if s.generation != generation {
			return
		}
		for _, p := range s.ready() {
			s.recover(p)
		}
	})
}

// handleRecovered acts upon the report of Recover, by the loop of docs/money-safety.md. The orders
// of a process that starts continue after it.
func (s *schedule) handleRecovered(c *call) {
	p := c.process
	p.recovering = false
	if s.tracing {
		s.note("%v ends with %d payments%s", c, len(c.recovered), reason(c.err))
	}
	for _, recovered := range c.recovered {
		s.handleRecoveredPayment(c, recovered)
	}
	if c.err == nil {
		s.checker.recovered(p)
	}
	if !p.starting {
		for _, o := range s.orders {
			if o.started && !o.closed {
				o.decideNext()
			}
		}
		return
	}
	if c.err != nil {
		s.later(time.Second, func() { // as a program that is started again
			if !p.dead {
				s.recover(p)
			}
		})
		return
	}
	p.starting = false
	for _, o := range s.orders {
		o.resume()
	}
}

func (s *schedule) handleRecoveredPayment(c *call, r connectpsp.Recovered) {
	reference := r.ExternalReference
	if r.Operation == connectpsp.OperationRefundCashIn {
		reference = chargeOf(r.ChargeID)
	}
	o := s.orderOf(reference)
	outcome := outcomeOf(r.Err)
	if s.isFleet() {
		s.checker.recovers(c, s.disk.rowOf(r.IdempotencyKey))
	}
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
		if !o.forgotten && current && !o.isOvertaken(c) {
			o.handleRejection(reference, notSent, true)
		}
	default:
		s.violate("Recover reports %s for %s", outcome, reference)
	}
}
