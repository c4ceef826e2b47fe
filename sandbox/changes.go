package sandbox

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// Changes returns a number that is greater after each change of what other methods return, but for
// the time of a clock that runs. A viewer that polls it reads the rest only when it differs. It may
// also grow without a change.
func (s *Sandbox) Changes() uint64 {
	s.mu.RLock()
	isDue := !s.clock.now().Before(s.nextExpiry)
	s.mu.RUnlock()
	if isDue {
		s.expireCashIns()
	}
	return s.mu.changes.Load() + s.dispatcher.mu.changes.Load()
}

// guard is a mutex that counts how often the fields that it guards may have changed.
type guard struct {
	sync.RWMutex
	changes atomic.Uint64
}

// Unlock counts a change. What changes nothing uses RLock.
func (g *guard) Unlock() {
	g.changes.Add(1)
	g.RWMutex.Unlock()
}

// expireCashIns makes charges EXPIRED that are due.
func (s *Sandbox) expireCashIns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.now()
	s.nextExpiry = never
	for _, charge := range s.charges {
		charge.expireIfDue(now)
		if charge.Status == connectpsp.CashInAwaitingPayment {
			s.expectExpiryLocked(charge.ExpiresAt)
		}
	}
}

// never is a time that the clock does not reach.
var never = latestTime.Add(time.Hour)

// expectExpiryLocked makes sure that [Sandbox.Changes] looks at the charges at a time.
func (s *Sandbox) expectExpiryLocked(t time.Time) {
	if t.Before(s.nextExpiry) {
		s.nextExpiry = t
	}
}
