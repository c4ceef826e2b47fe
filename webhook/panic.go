package webhook

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// panicError is a panic of the user's function. Its text is logged and stored, so it shows the
// value of the panic only if that is the Go runtime's, such as an index out of range: any other
// value may contain personal data.
type panicError struct {
	panicked any
	place    string
}

func (e *panicError) Error() string {
	text := fmt.Sprintf("a %T", e.panicked)
	if own, ok := e.panicked.(runtime.Error); ok {
		text = own.Error()
	}
	return "webhook: the function panicked at " + e.place + ": " + text
}

// panicPlace returns the function and the line that panicked. Call it in the deferred function that
// recovers.
func panicPlace() string {
	var counters [64]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(1, counters[:])])
	for panicking, more := false, true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		switch {
		case strings.HasPrefix(frame.Function, "runtime."):
			panicking = true
		case panicking:
			return fmt.Sprintf("%s (%s:%d)", frame.Function, filepath.Base(frame.File), frame.Line)
		}
	}
	return "an unknown place"
}
