package contract

import (
	"bytes"
	"io"
	"net/http"
)

// Transport returns a transport that sends with base, and checks each request and each response. It
// changes neither.
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
	response, err := t.base.RoundTrip(restored)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
	if input != nil && err == nil {
		t.checker.response(input, response.StatusCode, response.Header, body)
	}
	return response, nil
}

// failing returns the error after the part of a body that arrived.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}
