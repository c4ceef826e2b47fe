package observe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptrace"
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

// odd is a context that cannot be compared, and whose values may panic.
type odd struct {
	context.Context
	_      []int
	panics bool
}

func (o odd) Value(key any) any {
	if o.panics {
		panic("a bug")
	}
	return o.Context.Value(key)
}

func TestAContextOfAnyKindIsTaken(t *testing.T) {
	wraps := &recorder{begin: func(ctx context.Context) context.Context {
		return odd{Context: context.WithValue(ctx, key("b"), 2)}
	}}
	g, _ := guard(wraps, &recorder{}, wraps)
	ctx, span := observe.Begin[any](odd{Context: context.WithValue(t.Context(), key("a"), 1)}, g, "activity")
	observe.End[any](span, "activity")
	assert.Equal(t, 1, ctx.Value(key("a")))
	assert.Equal(t, 2, ctx.Value(key("b")))
}

func TestAContextWhoseValuesPanicIsPassedOver(t *testing.T) {
	late := &odd{}
	g, _ := guard(&recorder{begin: func(ctx context.Context) context.Context { late.Context = ctx; return late }},
		&recorder{begin: func(ctx context.Context) context.Context { return odd{Context: ctx, panics: true} }})
	ctx, _ := observe.Begin(context.WithValue(t.Context(), key("a"), 1), g, "activity")
	assert.Equal(t, 1, ctx.Value(key("a")))
	late.panics = true
	assert.Equal(t, 1, ctx.Value(key("a")))
}

func TestAContextThatIsNotDerivedIsPassedOver(t *testing.T) {
	for name, other := range map[string]context.Context{"none": nil, "another": context.WithValue(context.Background(), key("a"), 2)} {
		g, _ := guard(&recorder{begin: func(context.Context) context.Context { return other }})
		ctx, _ := observe.Begin(context.WithValue(t.Context(), key("a"), 1), g, "activity")
		assert.Equal(t, 1, ctx.Value(key("a")), name)
	}
}

func TestAValueIsLookedUpOnceForEachObserver(t *testing.T) {
	adds := &recorder{begin: func(ctx context.Context) context.Context { return context.WithValue(ctx, key("b"), 2) }}
	g, _ := guard(adds, adds, adds)
	lookups := &counting{Context: t.Context()}
	var ctx context.Context = lookups
	for range 5 {
		ctx, _ = observe.Begin(ctx, g, "activity")
	}
	lookups.n = 0
	assert.Nil(t, ctx.Value(key("none")))
	assert.Equal(t, 1, lookups.n)
}

type counting struct {
	context.Context
	n int
}

func (c *counting) Value(key any) any {
	c.n++
	return c.Context.Value(key)
}

type panickyLogger struct{ slog.Handler }

func (panickyLogger) Handle(context.Context, slog.Record) error { panic("a bug") }

func TestALoggerThatPanicsChangesNothing(t *testing.T) {
	g := observe.New(slog.New(panickyLogger{slog.NewTextHandler(io.Discard, nil)}), &recorder{end: func() { panic("a bug") }})
	_, span := observe.Begin(t.Context(), g, "activity")
	observe.End(span, "activity")
}

func TestOnlyTheFirst64ObserversAreCalled(t *testing.T) {
	all := make([]observe.Observer, 70)
	for n := range all {
		all[n] = &recorder{}
	}
	g, _ := guard(all...)
	_, span := observe.Begin(t.Context(), g, "activity")
	observe.End(span, "activity")
	assert.Len(t, all[63].(*recorder).told, 4)
	assert.Empty(t, all[64].(*recorder).told)
}

func TestADetachedContextHasTheValuesWithoutTheEndAndTheTrace(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key("a"), 1))
	cancel()
	hooks := &httptrace.ClientTrace{DNSStart: func(httptrace.DNSStartInfo) {}}
	detached := observe.Detach(httptrace.WithClientTrace(ctx, hooks))
	assert.NoError(t, detached.Err())
	assert.Equal(t, 1, detached.Value(key("a")))
	assert.Nil(t, httptrace.ContextClientTrace(detached))
	assert.Nil(t, detached.Value(nil))
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
