package sandbox

import (
	"fmt"
	"time"
)

// SetLatency makes the gateway wait before it executes each request, for d of real time. Zero ends
// that. The error wraps [ErrInvalid] if d is negative.
func (s *Sandbox) SetLatency(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%w: a latency must not be negative", ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
	return nil
}
