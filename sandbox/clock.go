package sandbox

import (
	"sync/atomic"
	"time"
)

// clock is the real clock and an offset. It keeps running: a test that needs an exact moment
// compares with Now.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Now returns the time on the sandbox's clock, in UTC. Until Advance or SetTime is called it is the
// real time.
func (s *Sandbox) Now() time.Time { return s.clock.now().UTC().Round(0) }

// SetTime sets the sandbox's clock to t, which may also lie in the past; from there it runs on. See
// Advance for what follows.
func (s *Sandbox) SetTime(t time.Time) {
	s.clock.offset.Store(int64(time.Until(t)))
	s.timeHasMoved()
}

// Advance moves the sandbox's clock by d. Before it returns, charges that are due are EXPIRED, for
// which no webhook is sent. Access tokens that are due are refused from now on, and repetitions of
// webhooks that are due go out at once, one attempt each. A negative d moves the clock back: what
// waits then waits longer, and an expired charge stays expired.
func (s *Sandbox) Advance(d time.Duration) {
	s.clock.offset.Add(int64(d))
	s.timeHasMoved()
}

func (s *Sandbox) timeHasMoved() {
	s.expireCashIns()
	s.dispatcher.wake()
}
