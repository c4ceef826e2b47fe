package sandbox

import (
	"encoding/binary"
	"fmt"
)

// recurrence is a fault that befalls requests or webhooks again and again, see
// [Sandbox.FailEvery] and [Sandbox.FailWithProbability].
type recurrence struct {
	Fault       Fault   `json:"fault"`
	Every       uint64  `json:"every,omitzero"` // 0 if Probability decides
	Probability float64 `json:"probability,omitzero"`
	Seen        uint64  `json:"seen,omitzero"` // requests or webhooks that Every has counted
}

// FailEvery makes every nth request of an operation fail, or every nth webhook of an event type,
// counted from this call, until [Sandbox.ClearFaults]. With 1 all of them fail. Requests and
// webhooks count like those of [Sandbox.FailNext], whose faults come first. If two recurring faults
// fall on one request, it gets the one that was set first.
//
// The error wraps [ErrInvalid] if n is not positive, there is no such operation, or the fault does
// not apply to it.
func (s *Sandbox) FailEvery(operation string, n int, fault Fault) error {
	if n < 1 {
		return fmt.Errorf("%w: every nth request fails for an n of at least 1", ErrInvalid)
	}
	return s.addRecurrence(operation, recurrence{Fault: fault, Every: uint64(n)})
}

// FailWithProbability makes each request of an operation fail with a probability above 0 and up to
// 1, or each webhook of an event type, until [Sandbox.ClearFaults]. It is otherwise like
// [Sandbox.FailEvery]. With [WithSeed] the same ones fail each time.
func (s *Sandbox) FailWithProbability(operation string, probability float64, fault Fault) error {
	if !isProbability(probability) {
		return fmt.Errorf("%w: a probability is above 0 and at most 1", ErrInvalid)
	}
	return s.addRecurrence(operation, recurrence{Fault: fault, Probability: probability})
}

// ClearFaults ends all faults that wait or recur, and the refusals of [Sandbox.RefuseNext]. A
// latency and a rate limit stay, and so do webhooks that [HoldWebhook] holds back.
func (s *Sandbox) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.failures)
	clear(s.recurrences)
}

func (s *Sandbox) addRecurrence(operation string, r recurrence) error {
	if r.Fault == 0 {
		return fmt.Errorf("%w: %v is no fault that recurs", ErrInvalid, r.Fault)
	}
	if err := checkFault(operation, r.Fault); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recurrences[operation] = append(s.recurrences[operation], r)
	return nil
}

// isWhole reports whether a recurrence of a snapshot is one that can be set.
func (r recurrence) isWhole(operation string) bool {
	return r.Fault != 0 && checkFault(operation, r.Fault) == nil && (r.Every > 0 && r.Probability == 0 || r.Every == 0 && isProbability(r.Probability))
}

// isProbability is false for NaN too.
func isProbability(p float64) bool { return p > 0 && p <= 1 }

// nextRecurrenceLocked counts a request of an operation or a webhook of an event type, and returns
// the recurring fault that befalls it, or 0.
func (s *Sandbox) nextRecurrenceLocked(operation string) (fault Fault) {
	for i := range s.recurrences[operation] {
		r := &s.recurrences[operation][i]
		befalls := false
		if r.Every > 0 {
			r.Seen = (r.Seen + 1) % r.Every
			befalls = r.Seen == 0
		} else {
			purpose := "fault of " + operation
			befalls = s.chance.fraction(purpose, s.drawLocked(purpose)) < r.Probability
		}
		if befalls && fault == 0 {
			fault = r.Fault
		}
	}
	return fault
}

// fraction returns a number from 0 up to, but not including, 1.
func (c chance) fraction(purpose string, number uint64) float64 {
	var random [8]byte
	_, _ = c.source(purpose, number).Read(random[:]) // never fails
	const bits = 53                                  // of the mantissa of a float64
	return float64(binary.BigEndian.Uint64(random[:])>>(64-bits)) / (1 << bits)
}
