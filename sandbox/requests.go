package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxRequests is how many requests a sandbox remembers.
const maxRequests = 10_000

// Request is a request that the gateway has received. Package fmt, log/slog and encoding/json print
// no secret and nobody's name, document, key or account of it; Header and Body return all as it
// came.
type Request struct {
	// Time is when it came, on the sandbox's clock and in UTC.
	Time time.Time

	// Operation is the operationId, empty if the API has no such operation.
	Operation string

	// Method and Path are those of the request line, the path without the query.
	Method, Path string

	// IdempotencyKey is the X-Idempotency-Key, as it came.
	IdempotencyKey string

	// ExternalReference is that of the body, empty if it has none.
	ExternalReference string

	// StatusCode is the status of the response, 0 if none was sent or the request is still served.
	StatusCode int

	// Fault is the fault of [Sandbox.FailNext] that befell the request, 0 for none.
	Fault Fault

	// Neither fmt nor a dumper that uses reflection can look into a func.
	content func() (http.Header, []byte)
}

// Requests are requests in the order in which they came.
type Requests []Request

// Requests returns the latest 10,000 requests that the gateway has received, refused and lost ones
// too. The caller owns the slice.
func (s *Sandbox) Requests() Requests {
	s.mu.RLock()
	defer s.mu.RUnlock()
	latest := s.requests[max(0, len(s.requests)-maxRequests):]
	requests := make(Requests, len(latest))
	for i, admitted := range latest {
		requests[i] = admitted.request
	}
	return requests
}

// ByOperation returns the requests of an operationId, such as "createCashOut".
func (r Requests) ByOperation(operationID string) Requests {
	return filter(r, func(request Request) bool { return request.Operation == operationID })
}

// ByReference returns the requests whose body has an externalReference.
func (r Requests) ByReference(externalReference string) Requests {
	return filter(r, func(request Request) bool { return request.ExternalReference == externalReference })
}

// filter returns the elements for which keep returns true, in a slice of its own.
func filter[S ~[]E, E any](all S, keep func(E) bool) (kept S) {
	for _, element := range all {
		if keep(element) {
			kept = append(kept, element)
		}
	}
	return kept
}

// Header returns a copy of the request's header, with its secrets.
func (r Request) Header() http.Header {
	if r.content == nil {
		return nil
	}
	header, _ := r.content()
	return header.Clone()
}

// Body returns a copy of the request's body, with its secrets and personal data, up to 64 KiB of
// it.
func (r Request) Body() []byte {
	if r.content == nil {
		return nil
	}
	_, body := r.content()
	return bytes.Clone(body)
}

// String returns the request with its header and body in several lines. Everything that may be a
// secret or personal data is masked.
func (r Request) String() string {
	header, body := r.Header(), r.Body()
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s -> %d", r.Method, maskDigits(r.Path), r.StatusCode)
	if r.Fault != 0 {
		fmt.Fprintf(&text, " (%v)", r.Fault)
	}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		value := "[redacted]"
		if slices.Contains(plainHeaders, name) {
			value = strings.Join(header[name], ", ")
		}
		fmt.Fprintf(&text, "\n%s: %s", name, value)
	}
	if len(body) > 0 {
		text.WriteString("\n\n" + maskBody(body))
	}
	return text.String()
}

// Format prints String under every verb.
func (r Request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue logs String.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalJSON returns the fields, with Header and Body masked as by String.
func (r Request) MarshalJSON() ([]byte, error) {
	type fields Request
	r.Path = maskDigits(r.Path)
	return json.Marshal(struct {
		fields
		Text string
	}{fields(r), r.String()})
}
