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

// patience is how long an activity waits for an observer.
const patience = 100 * time.Millisecond

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
// that are nil. Logger receives, at level warning, that an observer is late or panics.
func New(logger *slog.Logger, observers ...Observer) *Guard {
	g := &Guard{logger: logger}
	for _, observer := range observers {
		if observer != nil {
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
	missed uint64 // a bit for each of the first 64 observers, set if it has not seen the begin
}

// Begin tells the observers of a Guard that an activity begins, and returns the context that it goes
// on in. With a nil Guard it allocates nothing.
func Begin[A any](ctx context.Context, g *Guard, activity A) (context.Context, Span) {
	if g == nil {
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
		o, began := &g.observers[n], make(chan context.Context, 1)
		parent := ctx
		if !g.call(parent, o, func() { began <- o.observer.Begin(parent, activity) }) {
			s.missed |= 1 << n
			continue
		}
		ctx = withValues(parent, <-began)
	}
	s.ctx = ctx
	return ctx, s
}

func (g *Guard) end(s Span, activity any) {
	for n := range g.observers {
		if o := &g.observers[n]; s.missed&(1<<n) == 0 {
			g.call(s.ctx, o, func() { o.observer.End(s.ctx, activity) })
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
		defer func() {
			if recover() != nil && o.panicked.CompareAndSwap(false, true) {
				g.logger.WarnContext(ctx, "connectpsp: an observer panicked; the payments go on", "event", "observer.panicked")
			}
			done <- returned
		}()
		method()
		returned = true
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case returned := <-done:
		return returned
	case <-timer.C:
	}
	if o.late.Add(1) == 1 {
		g.logger.WarnContext(ctx, "connectpsp: an observer is late, and is skipped until it returns; the payments go on", "event", "observer.late")
	}
	go func() {
		<-done
		o.late.Add(-1)
	}()
	return false
}

// valued has the values of a context that an observer returned. Its end and deadline are those of
// the activity's own: an observer cannot take a payment's time away, or give it more.
type valued struct {
	context.Context
	values context.Context
}

// withValues returns ctx with the values of another context.
func withValues(ctx, values context.Context) context.Context {
	if values == nil || values == ctx {
		return ctx
	}
	return valued{ctx, values}
}

// Value returns the value of the observer's context or, if that is none of ctx's, of the activity's.
func (v valued) Value(key any) any {
	if value := v.values.Value(key); value != nil {
		return value
	}
	return v.Context.Value(key)
}
