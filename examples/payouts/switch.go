package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	switchInterval = 500 * time.Millisecond
	switchTimeout  = time.Second
)

// stopSwitch stops all payouts of all processes: within two seconds of [books.stop] no request to
// pay is sent, because each process reads the switch every half second. If it cannot be read within
// a second, payouts are stopped too. Calls that are under way are cut short; their payments stay
// pending.
type stopSwitch struct {
	db *sql.DB

	mu      sync.Mutex
	running context.Context // ends when payouts are stopped
	end     context.CancelCauseFunc
	changed chan struct{} // closed when running has changed
}

var errStopped = errors.New("payouts are stopped")

// newStopSwitch returns a switch that is at stop until run has read it.
func newStopSwitch(db *sql.DB) *stopSwitch {
	s := &stopSwitch{db: db, changed: make(chan struct{})}
	s.running, s.end = context.WithCancelCause(context.Background())
	s.end(errStopped)
	return s
}

// run reads the switch until ctx ends, and stops payouts then.
func (s *stopSwitch) run(ctx context.Context) {
	ticker := time.NewTicker(switchInterval)
	defer ticker.Stop()
	for {
		s.set(s.read(ctx))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			s.set(errStopped)
			return
		}
	}
}

// read returns nil if payouts are to be made.
func (s *stopSwitch) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	var stopped string
	switch err := s.db.QueryRowContext(ctx, `SELECT stopped FROM control`).Scan(&stopped); {
	case err != nil:
		return fmt.Errorf("%w: the switch cannot be read: %w", errStopped, err)
	case stopped != "":
		return fmt.Errorf("%w: %s", errStopped, stopped)
	default:
		return nil
	}
}

func (s *stopSwitch) set(stopped error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch isRunning := s.running.Err() == nil; {
	case stopped != nil && isRunning:
		s.end(stopped)
	case stopped == nil && !isRunning:
		s.running, s.end = context.WithCancelCause(context.Background())
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

func (s *stopSwitch) current() (running context.Context, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running, s.changed
}

// wait waits until payouts are made, or ctx ends.
func (s *stopSwitch) wait(ctx context.Context) error {
	for {
		running, changed := s.current()
		if running.Err() == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(running)
		}
	}
}

// guard returns a context that ends with ctx and when payouts are stopped. Call end when it is no
// longer needed.
func (s *stopSwitch) guard(ctx context.Context) (guarded context.Context, end func()) {
	running, _ := s.current()
	guarded, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(running, func() { cancel(context.Cause(running)) })
	return guarded, func() { stop(); cancel(nil) }
}

// stop stops all payouts. The reason is for people and must not be empty.
func (b *books) stop(ctx context.Context, reason string) error {
	_, err := b.db.ExecContext(ctx, `UPDATE control SET stopped = $1`, reason)
	return err
}

// resume lets payouts be made again.
func (b *books) resume(ctx context.Context) error {
	_, err := b.db.ExecContext(ctx, `UPDATE control SET stopped = ''`)
	return err
}
