package journal

import (
	"context"
	"fmt"
)

// mutex is a mutex that a goroutine can stop waiting for when a context ends.
type mutex chan struct{}

func newMutex() mutex { return make(mutex, 1) }

func (m mutex) lock()   { m <- struct{}{} }
func (m mutex) unlock() { <-m }

// lockContext locks the mutex unless ctx ends first.
func (m mutex) lockContext(ctx context.Context) error {
	if ctx.Err() != nil {
		return contextEnded(ctx)
	}
	select {
	case m <- struct{}{}:
		return nil
	case <-ctx.Done():
		return contextEnded(ctx)
	}
}

// await runs work, which owns the mutex, and unlocks the mutex when work returns. If ctx ends
// before that, await returns and work goes on, because a system call cannot be cancelled.
func await(ctx context.Context, m mutex, work func() error) error {
	done := make(chan error, 1)
	go func() {
		defer m.unlock()
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
