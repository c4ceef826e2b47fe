package redact

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// Panic describes a panic of the user's function by its place, and by its text only if that is the
// Go runtime's, such as an index out of range: any other value may contain personal data. Call it
// in the deferred function that recovers.
func Panic(panicked any) Text {
	text := fmt.Sprintf("a %T", panicked)
	if own, ok := panicked.(runtime.Error); ok {
		text = own.Error()
	}
	return Text("it panicked at " + PanicPlace() + ": " + text)
}

// PanicPlace returns the function and the line that panicked. Call it in the deferred function that
// recovers.
func PanicPlace() string {
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
