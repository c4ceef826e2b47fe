package webhook

import (
	"sync/atomic"
	"time"
)

// slots bounds the goroutines of a Run: as many work at a time as WithConcurrency says, and up to
// maxReads wait for the gateway meanwhile. A nil slots is for a caller that works alone: Work.
type slots struct {
	work  chan struct{} // has one element for each goroutine that works
	reads chan struct{} // has one element for each goroutine that waits for the gateway
	slow  atomic.Bool   // the gateway has left a goroutine without a slot
}

func newSlots(concurrency int) *slots {
	return &slots{work: make(chan struct{}, concurrency), reads: make(chan struct{}, maxReads)}
}

func (s *slots) acquire() { s.work <- struct{}{} }
func (s *slots) release() { <-s.work }

// releaseDuring releases the caller's slot for work while it calls read. It returns the error of
// read, or errNoSlot without a call if too many goroutines wait for the gateway already.
func (s *slots) releaseDuring(read func() error) error {
	if s == nil {
		return read()
	}
	if !s.acquireRead() {
		return errNoSlot
	}
	s.release()
	begun := time.Now()
	err := func() error {
		defer s.acquire() // also if read ends the goroutine, or panics
		defer func() { <-s.reads }()
		defer func() { begun = time.Now() }()
		return read()
	}()
	s.slow.Store(err != nil)
	if err == nil && time.Since(begun) > fetchTimeout {
		return errNoSlot // the wait for work was so long that the function would lack the time
	}
	return err
}

// acquireRead acquires a slot for a read from the gateway, and reports whether there was one. Other
// items wait for work meanwhile, so it waits for a short time only, which is enough while the
// gateway is quick. After a wait in vain it does not wait at all, until the gateway has responded.
func (s *slots) acquireRead() bool {
	select {
	case s.reads <- struct{}{}:
		return true
	default:
	}
	if s.slow.Load() {
		return false
	}
	waited := time.NewTimer(slotTimeout)
	defer waited.Stop()
	select {
	case s.reads <- struct{}{}:
		return true
	case <-waited.C:
		s.slow.Store(true)
		return false
	}
}
