package connectpspotel

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	// endPatience is how long an activity waits for the end of its span. A batch processor takes
	// microseconds, and one that exports at once to memory too: then the span is there when the
	// call returns.
	endPatience = 50 * time.Millisecond
	// maxLate bounds the spans that wait for a processor.
	maxLate = 256
)

// ender ends spans, also if their processor hangs: with a processor that exports at once, a span
// ends when its exporter and those of all spans before it have. An activity waits a moment for
// that, and none does while one that waited in vain has not ended. Beyond maxLate, spans are lost.
// The zero value is ready. Goroutines may share it.
type ender struct{ late atomic.Int64 }

// end ends a span now. It panics if the processor does in time.
func (e *ender) end(span trace.Span) {
	if !span.IsRecording() {
		return
	}
	late := e.late.Load()
	if late >= maxLate {
		return
	}
	now, ended := trace.WithTimestamp(time.Now()), make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		span.End(now)
	}()
	if late == 0 {
		select {
		case panicked := <-ended:
			if panicked != nil {
				panic(panicked) // the caller of the Observer recovers and logs it
			}
			return
		case <-time.After(endPatience):
		}
	}
	e.late.Add(1)
	go func() {
		<-ended
		e.late.Add(-1)
	}()
}
