package contract

import (
	"bytes"
	"io"
	"net/http"
)

// Transport returns a transport that sends with base and checks each request and each answer. It changes neither.
func (c *Checker) Transport(base http.RoundTripper) http.RoundTripper { return transport{c, base} }

type transport struct {
	checker *Checker
	base    http.RoundTripper
}

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body == nil {
		request.Body = http.NoBody
	}
	input, restored := t.checker.request(request)
	restored.GetBody = nil
	answer, err := t.base.RoundTrip(restored)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
	if input != nil && err == nil {
		t.checker.answer(input, answer.StatusCode, answer.Header, body)
	}
	return answer, nil
}

// failing is what comes after the part of a body that arrived.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}
