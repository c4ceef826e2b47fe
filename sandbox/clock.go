package sandbox

import (
	"fmt"
	"sync/atomic"
	"time"
)

// The clock never leaves these years: their times can be written everywhere.
var (
	earliestTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	latestTime   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).Add(-1)
)

// clock is the real clock plus an offset, or a clock that stands still. At latestTime it stops.
type clock struct {
	fixed  time.Time // the time at which it stands still with an offset of zero; zero if it runs
	offset atomic.Int64
}

func (c *clock) now() time.Time {
	now := c.base().Add(time.Duration(c.offset.Load()))
	if now.After(latestTime) {
		return latestTime
	}
	return now
}

// base returns the time with an offset of zero.
func (c *clock) base() time.Time {
	if c.runs() {
		return time.Now()
	}
	return c.fixed
}

func (c *clock) runs() bool { return c.fixed.IsZero() }

// moveTo moves the clock to a time, unless that has passed.
func (c *clock) moveTo(t time.Time) {
	if t.After(c.now()) {
		c.set(t)
	}
}

// set sets the clock to a time, which may have passed.
func (c *clock) set(t time.Time) { c.offset.Store(int64(t.Sub(c.base()))) }

// Now returns the time on the sandbox's clock, in UTC. It is the real time until [Sandbox.Advance]
// or a method like it is called, or the time of [WithTime]. At the end of the year 2199 it stops.
func (s *Sandbox) Now() time.Time { return s.clock.now().UTC().Round(0) }

// SetTime moves the sandbox's clock forward to t, as [Sandbox.Advance] does. The error wraps
// [ErrInvalid] if t is in the past, or after the year 2199.
func (s *Sandbox) SetTime(t time.Time) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	if err := s.checkMove(t); err != nil {
		return err
	}
	s.moveTo(t)
	return nil
}

// JumpTo moves the sandbox's clock forward to t and does not wait for webhooks, as if the gateway
// had been down until then: those that are due go out in the background afterwards, at the new
// time. The error is that of [Sandbox.SetTime].
func (s *Sandbox) JumpTo(t time.Time) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	if err := s.checkMove(t); err != nil {
		return err
	}
	s.clock.moveTo(t)
	s.expireCashIns()
	s.dispatcher.wake()
	return nil
}

// checkMove returns an error if the clock cannot go forward to t.
func (s *Sandbox) checkMove(t time.Time) error {
	if t.After(latestTime) {
		return fmt.Errorf("%w: the clock goes to the end of the year 2199", ErrInvalid)
	}
	if t.Before(s.clock.now()) {
		return fmt.Errorf("%w: the clock only goes forward: to go back, restore an earlier snapshot or reset the sandbox", ErrInvalid)
	}
	return nil
}

// Advance moves the sandbox's clock forward by d. What is due until then happens in the order of
// its times, and Advance returns when it has happened: each webhook whose next attempt is due goes
// out at that time, which the [Delivery] states, and its response or the end of its five seconds is
// waited for before the clock goes on. Charges that are due are EXPIRED, without a webhook. Access
// tokens and idempotency keys that are due are gone.
//
// The error wraps [ErrInvalid] if d is negative, or the time after the year 2199. Do not call
// Advance, SetTime, JumpTo, Restore or Reset from a receiver of webhooks: they would wait for the
// receiver.
//
// The clocks of a client and of a webhook.Worker do not move. To move all clocks at once, run the
// test in a bubble of [testing/synctest], start the sandbox with [WithMemoryNetwork], and sleep.
func (s *Sandbox) Advance(d time.Duration) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	now := s.clock.now()
	switch {
	case d < 0:
		return fmt.Errorf("%w: the clock only goes forward: to go back, restore an earlier snapshot or reset the sandbox", ErrInvalid)
	case d > latestTime.Sub(now):
		return fmt.Errorf("%w: the clock goes to the end of the year 2199", ErrInvalid)
	}
	s.moveTo(now.Add(d))
	return nil
}

// moveTo moves the clock from one attempt of a webhook to the next one.
func (s *Sandbox) moveTo(target time.Time) {
	for {
		next, some := s.dispatcher.settle()
		if !some || next.After(target) {
			break
		}
		s.clock.moveTo(next)
		s.dispatcher.wake()
	}
	s.clock.moveTo(target)
	s.expireCashIns()
	s.dispatcher.wake()
	s.dispatcher.settle()
}
