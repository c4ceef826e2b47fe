package connectpsp

import (
	"errors"
	"net/url"
	"strings"
)

// quietError is an error of the transport without what it quotes. Package net/http quotes an answer that it cannot read, and
// that may be a body with the name and the document of a person.
type quietError struct {
	text string
	err  error
}

func (e *quietError) Error() string { return e.text }

func (e *quietError) Unwrap() error { return e.err }

// quiet returns err, or its like with a text that ends where something is quoted. errors.Is and errors.As find what err holds.
func quiet(err error) error {
	var request *url.Error
	if !errors.As(err, &request) {
		return err
	}
	reason := request.Err.Error()
	end := len(reason)
	for _, mark := range []string{"malformed", `"`, "'"} {
		if at := strings.Index(reason, mark); at >= 0 {
			end = min(end, at)
		}
	}
	if end == len(reason) {
		return err
	}
	text := request.Op + " " + request.URL + ": " + strings.TrimRight(reason[:end], " :,=") + " (an answer that cannot be read)"
	return &quietError{text, err}
}
