// Package observe calls observers, which are the user's code: one that blocks, panics or returns
// another context than it should never delays, loses or changes a payment.
package observe

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Observer has the methods of connectpsp.Observer.
type Observer interface {
	Begin(ctx context.Context, activity any) context.Context
	End(ctx context.Context, activity any)
}

const (
	patience      = 100 * time.Millisecond // that an activity has with an observer
	mostObservers = 64                     // of one Guard, as many as missed has bits
)

// Guard calls observers. Nil calls none. Goroutines may share it.
type Guard struct {
	logger    *slog.Logger
	observers []guarded
}

// guarded is an observer, and how many of its calls are late by now.
type guarded struct {
	observer Observer
	late     atomic.Int64
	panicked atomic.Bool
}

// New returns a Guard that calls observers in their order, nil if there are none. It skips those
// that are nil, and those after the 64th. Logger receives, at level warning, that an observer is
// late or panics.
func New(logger *slog.Logger, observers ...Observer) *Guard {
	g := &Guard{logger: logger}
	for _, observer := range observers {
		if observer != nil && len(g.observers) < mostObservers {
			g.observers = append(g.observers, guarded{observer: observer})
		}
	}
	if len(g.observers) == 0 {
		return nil
	}
	return g
}

// Span is an activity that has begun. The zero Span is of no Guard.
type Span struct {
	guard  *Guard
	ctx    context.Context
	begun  time.Time
	missed uint64 // a bit for each observer, set if it has not seen the begin
}

// Begin tells the observers of a Guard that an activity begins, and returns the context that it
// goes on in. With a nil Guard it allocates nothing. An activity of an observer itself is not
// observed.
func Begin[A any](ctx context.Context, g *Guard, activity A) (context.Context, Span) {
	if g == nil || ctx.Value(insideKey{}) != nil {
		return ctx, Span{}
	}
	return g.begin(ctx, activity)
}

// End tells the observers that have seen an activity begin that it has ended.
func End[A any](s Span, activity A) {
	if s.guard != nil {
		s.guard.end(s, activity)
	}
}

// IsObserved reports whether somebody sees the activity end.
func (s Span) IsObserved() bool { return s.guard != nil }

// Duration returns the time since Begin, zero if nobody observes.
func (s Span) Duration() time.Duration {
	if s.guard == nil {
		return 0
	}
	return time.Since(s.begun)
}

func (g *Guard) begin(ctx context.Context, activity any) (context.Context, Span) {
	s := Span{guard: g, begun: time.Now()}
	for n := range g.observers {
		o, begun, inside := &g.observers[n], make(chan context.Context, 1), markInside(ctx)
		if !g.call(inside, o, func() { begun <- derivedFrom(inside, o.observer.Begin(inside, activity)) }) {
			s.missed |= 1 << n
		} else if derived := <-begun; derived != nil {
			ctx = &valued{ctx, derived}
		}
	}
	s.ctx = ctx
	return ctx, s
}

func (g *Guard) end(s Span, activity any) {
	inside := markInside(s.ctx)
	for n := range g.observers {
		if o := &g.observers[n]; s.missed&(1<<n) == 0 {
			g.call(inside, o, func() { o.observer.End(inside, activity) })
		}
	}
}

// call calls a method of an observer in a goroutine, and reports whether it returned in time. While
// a call of the observer is late no other is made, so no more than the activities of that moment
// wait for it.
func (g *Guard) call(ctx context.Context, o *guarded, method func()) bool {
	if o.late.Load() > 0 {
		return false
	}
	done := make(chan bool, 1)
	go func() {
		returned := false
		defer func() { done <- returned }()
		defer func() {
			if recover() != nil && o.panicked.CompareAndSwap(false, true) {
				g.warn(ctx, "connectpsp: an observer panicked; the payments go on", "event", "observer.panicked")
			}
		}()
		method()
		returned = true
	}()
	if returned, ended := wait(done); ended {
		return returned
	}
	if o.late.Add(1) == 1 {
		g.warn(ctx, "connectpsp: an observer is late, and is skipped until it returns; the payments go on", "event", "observer.late")
	}
	go func() {
		<-done
		o.late.Add(-1)
	}()
	return false
}

// wait waits for an observer. If the process stood still meanwhile, as one that is throttled does,
// the observer had no time either, and gets the same once more.
func wait(done <-chan bool) (returned, ended bool) {
	begun, timer := time.Now(), time.NewTimer(patience)
	defer timer.Stop()
	for range 2 {
		select {
		case returned = <-done:
			return returned, true
		case <-timer.C:
		}
		select { // both may have come during a standstill
		case returned = <-done:
			return returned, true
		default:
		}
		if time.Since(begun) < 3*patience/2 {
			break
		}
		timer.Reset(patience)
	}
	return false, false
}

// warn logs a fault of an observer. The logger is the user's code too.
func (g *Guard) warn(ctx context.Context, message string, attributes ...any) {
	defer func() { _ = recover() }()
	g.logger.WarnContext(ctx, message, attributes...)
}
