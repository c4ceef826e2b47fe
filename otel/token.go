package connectpspotel

import (
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// tokenSpans has the spans of the last requests for tokens, for links from the calls that waited
// for one. The zero value is ready. Goroutines may share it.
type tokenSpans struct {
	mu   sync.Mutex
	last [64]struct { // by number, modulo its length
		number int64
		span   tokenSpan
	}
}

// tokenSpan is the span of a request for a token, and that of the call that caused it.
type tokenSpan struct{ cause, own trace.SpanContext }

// add adds the span of a request. One that is not sampled is exported nowhere, and gets no links.
func (t *tokenSpans) add(number int64, span tokenSpan) {
	if !span.own.IsSampled() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := &t.last[number%int64(len(t.last))]
	slot.number, slot.span = number, span
}

// of returns the span of a request, if it is one of the last and number is not 0.
func (t *tokenSpans) of(number int64) (tokenSpan, bool) {
	if number == 0 {
		return tokenSpan{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := t.last[number%int64(len(t.last))]
	return slot.span, slot.number == number
}
