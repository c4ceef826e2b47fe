package webhook

import (
	"fmt"
	"runtime"
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
