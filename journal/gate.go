package journal

import (
	"context"
	"fmt"
)

// gate is a mutex for which one may wait no longer than a context lasts. It has a capacity of one.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) take()  { g <- struct{}{} }
func (g gate) leave() { <-g }

// takeFor takes the gate unless ctx ends first.
func (g gate) takeFor(ctx context.Context) error {
	if ctx.Err() != nil {
		return contextEnded(ctx)
	}
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return contextEnded(ctx)
	}
}

// await waits for work, which leaves the gate when it is done, but no longer than ctx lasts. The
// work goes on then: nobody can take a system call back. Others stay outside until it is done.
func await(ctx context.Context, g gate, work func() error) error {
	done := make(chan error, 1)
	go func() {
		defer g.leave()
		done <- work()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return contextEnded(ctx)
	}
}

func contextEnded(ctx context.Context) error {
	return fmt.Errorf("journal: the call's context ended before the record was known to be written: %w",
		context.Cause(ctx))
}
