package webhook

import "time"

// turn lets one goroutine of a Run work at a time, while others wait for the gateway. Nil stands
// for a caller that works alone and waits itself.
type turn struct {
	free   chan struct{} // holds one element while nobody works
	asking chan struct{} // holds one for each goroutine that waits for the gateway
	slow   bool          // the gateway has left a goroutine without a slot; guarded by the turn
}

func newTurn() *turn {
	t := &turn{free: make(chan struct{}, 1), asking: make(chan struct{}, mostAsking)}
	t.give()
	return t
}

func (t *turn) take() { <-t.free }
func (t *turn) give() { t.free <- struct{}{} }

// await calls ask and lets another goroutine work meanwhile. It returns the error of ask, or
// errCrowded if so many wait for the gateway already that ask was not called.
func (t *turn) await(ask func() error) error {
	if t == nil {
		return ask()
	}
	if !t.slot() {
		return errCrowded
	}
	t.give()
	begun := time.Now()
	err := func() error {
		defer t.take() // also if ask ends the goroutine, or panics
		defer func() { <-t.asking }()
		defer func() { begun = time.Now() }()
		return ask()
	}()
	t.slow = err != nil
	if err == nil && time.Since(begun) > askTimeout {
		return errCrowded // so long it waited for its turn that the function would lack the time
	}
	return err
}

// slot takes a slot for the gateway and reports whether there was one. Other items wait behind this
// one, so it waits for a moment only, which is enough while the gateway is quick. Once that was in
// vain it does not wait at all, until a response has come.
func (t *turn) slot() bool {
	select {
	case t.asking <- struct{}{}:
		return true
	default:
	}
	if t.slow {
		return false
	}
	moment := time.NewTimer(pollInterval)
	defer moment.Stop()
	select {
	case t.asking <- struct{}{}:
		return true
	case <-moment.C:
		t.slow = true
		return false
	}
}
