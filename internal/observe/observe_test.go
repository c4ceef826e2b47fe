package observe_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/internal/observe"
)

type key string

// recorder is an Observer that keeps what it is told, and does something first.
type recorder struct {
	begin func(context.Context) context.Context
	end   func()

	mu   sync.Mutex
	told []any
}

func (r *recorder) Begin(ctx context.Context, activity any) context.Context {
	r.note("begin", activity)
	if r.begin == nil {
		return ctx
	}
	return r.begin(ctx)
}

func (r *recorder) End(_ context.Context, activity any) {
	if r.end != nil {
		r.end()
	}
	r.note("end", activity)
}

func (r *recorder) note(all ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, all...)
}

func guard(observers ...observe.Observer) (*observe.Guard, *bytes.Buffer) {
	log := new(bytes.Buffer)
	return observe.New(slog.New(slog.NewTextHandler(log, nil)), observers...), log
}

func TestWithoutObserversThereIsNoGuard(t *testing.T) {
	g, _ := guard(nil, nil)
	assert.Nil(t, g)
	begun := context.WithValue(t.Context(), key("a"), 1)
	ctx, span := observe.Begin(begun, g, "activity")
	assert.Equal(t, begun, ctx)
	assert.False(t, span.IsObserved())
	assert.Zero(t, span.Duration())
	observe.End(span, "activity")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, span := observe.Begin(begun, g, [9]int{1})
		observe.End(span, [9]int{2})
	}))
}

func TestEachObserverSeesTheContextOfTheOneBefore(t *testing.T) {
	one := &recorder{begin: func(ctx context.Context) context.Context { return context.WithValue(ctx, key("a"), 1) }}
	other := &recorder{begin: func(ctx context.Context) context.Context {
		return context.WithValue(ctx, key("b"), ctx.Value(key("a")).(int)+1)
	}}
	g, _ := guard(one, other)
	ctx, span := observe.Begin(t.Context(), g, "begun")
	observe.End(span, "ended")
	assert.Equal(t, 1, ctx.Value(key("a")))
	assert.Equal(t, 2, ctx.Value(key("b")))
	assert.Equal(t, []any{"begin", "begun", "end", "ended"}, one.told)
	assert.Equal(t, one.told, other.told)
	assert.True(t, span.IsObserved())
	assert.Positive(t, span.Duration())
}

func TestAContextKeepsItsEndAndItsValues(t *testing.T) {
	g, _ := guard(&recorder{begin: func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancelCause(context.WithValue(ctx, key("b"), 2))
		cancel(errors.New("the observer's"))
		return ctx
	}})
	begun, cancel := context.WithCancel(context.WithValue(t.Context(), key("a"), 1))
	ctx, _ := observe.Begin(begun, g, "activity")
	assert.Equal(t, 1, ctx.Value(key("a")))
	assert.Equal(t, 2, ctx.Value(key("b")))
	assert.NoError(t, context.Cause(ctx))
	below, stop := context.WithCancel(ctx)
	defer stop()
	cancel()
	<-below.Done()
	assert.ErrorIs(t, context.Cause(ctx), context.Canceled)
}

func TestAnObserverThatFailsIsLoggedOnce(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("a bug") }, "nil": func() { panic(nil) }, "exit": runtime.Goexit} {
		failing := &recorder{end: fail}
		g, log := guard(failing)
		for range 2 {
			_, span := observe.Begin(t.Context(), g, "activity")
			observe.End(span, "activity")
		}
		assert.Equal(t, 4, len(failing.told), name)
		assert.LessOrEqual(t, bytes.Count(log.Bytes(), []byte("event=observer.panicked")), 1, name)
	}
}

func TestALateObserverIsSkippedUntilItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &recorder{begin: func(ctx context.Context) context.Context { time.Sleep(time.Minute); return ctx }}
		g, log := guard(slow)
		begun := time.Now()
		for range 3 {
			_, span := observe.Begin(t.Context(), g, "activity")
			observe.End(span, "activity")
		}
		assert.Equal(t, 100*time.Millisecond, time.Since(begun))
		synctest.Wait()
		assert.Equal(t, []any{"begin", "activity"}, slow.told, "what has not begun does not end")
		assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("event=observer.late")))
		time.Sleep(time.Hour)
		synctest.Wait()
		slow.begin = nil
		_, span := observe.Begin(t.Context(), g, "activity")
		observe.End(span, "activity")
		assert.Equal(t, []any{"begin", "activity", "begin", "activity", "end", "activity"}, slow.told)
	})
}

func TestACallLearnsTheNumberOfTheTokenRequestThatItWaitedFor(t *testing.T) {
	var flight observe.TokenFlight
	var wait observe.TokenWait
	observe.NumberTokenRequest(t.Context(), 6) // of no flight
	observe.NumberTokenRequest(observe.WithFlight(t.Context(), &flight), 7)
	observe.WaitedFor(t.Context(), &flight) // of no call
	assert.Zero(t, wait.Number())
	observe.WaitedFor(observe.WithTokenWait(t.Context(), &wait), &flight)
	assert.Equal(t, int64(7), wait.Number())
}
