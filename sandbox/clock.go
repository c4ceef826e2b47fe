package sandbox

import (
	"sync/atomic"
	"time"
)

// clock is the real clock plus an offset. It keeps running: a test that needs an exact time
// compares with Now.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Now returns the time on the sandbox's clock, in UTC. It is the real time until [Sandbox.Advance]
// or [Sandbox.SetTime] is called.
func (s *Sandbox) Now() time.Time { return s.clock.now().UTC().Round(0) }

// SetTime sets the sandbox's clock to t, which may be in the past. The clock runs on from there.
// The effects are those of [Sandbox.Advance].
func (s *Sandbox) SetTime(t time.Time) {
	s.clock.offset.Store(int64(time.Until(t)))
	s.timeHasMoved()
}

// Advance moves the sandbox's clock by d. Charges that are due then are EXPIRED before it returns;
// no webhook is sent for them. Access tokens that are due are refused, and webhooks whose next
// attempt is due go out at once, one attempt each. A negative d moves the clock back: pauses get
// longer, and an expired charge stays expired.
func (s *Sandbox) Advance(d time.Duration) {
	s.clock.offset.Add(int64(d))
	s.timeHasMoved()
}

func (s *Sandbox) timeHasMoved() {
	s.expireCashIns()
	s.dispatcher.wake()
}
