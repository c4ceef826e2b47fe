package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/idempotency"
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
	s.mu.Lock()
	defer s.mu.Unlock()
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

// plainHeaders are headers that have neither secrets nor personal data.
var plainHeaders = []string{
	"Accept", "Accept-Encoding", "Content-Length", "Content-Type", "Traceparent", "User-Agent", idempotency.Header,
}

// plainMembers are members of requests that have neither secrets nor personal data.
var plainMembers = []string{
	"amount", "externalReference", "expirationInMinutes", "targetAmount", "reason", "type", "pixKeyType", "accountType", "ispb",
}

// maskBody returns a body with masks for all but the plain members.
func maskBody(body []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil || decoder.More() {
		return fmt.Sprintf("[%d bytes that are not JSON]", len(body))
	}
	masked, _ := json.Marshal(mask(value, false)) // what was decoded can be encoded
	return string(masked)
}

// mask returns a value with masks for its texts and numbers, unless it is plain. Objects and arrays
// keep their form.
func mask(value any, plain bool) any {
	switch value := value.(type) {
	case map[string]any:
		masked := make(map[string]any, len(value))
		for name, member := range value {
			masked[maskDigits(name)] = mask(member, slices.Contains(plainMembers, name))
		}
		return masked
	case []any:
		masked := make([]any, len(value))
		for i, element := range value {
			masked[i] = mask(element, false)
		}
		return masked
	case nil, bool:
		return value
	}
	if plain {
		return value
	}
	return "[redacted]"
}

var elevenDigits = regexp.MustCompile(`(^|[^0-9A-Za-z])([0-9]{11}|[0-9]{14})($|[^0-9A-Za-z])`)

// maskDigits masks what may be a CPF or a CNPJ.
func maskDigits(text string) string { return elevenDigits.ReplaceAllString(text, "$1[redacted]$3") }

// admitted is a request with what befalls it.
type admitted struct {
	request Request
	failure failure
	latency time.Duration
	wait    time.Duration // until the rate limit admits the request, 0 if it does
	status  int           // of the response; only the goroutine that serves it uses this
}

// admit records a request, and decides how it is served.
func (s *Sandbox) admit(r *http.Request, body []byte) *admitted {
	header := r.Header.Clone()
	a := &admitted{request: Request{
		Method:         r.Method,
		Path:           r.URL.Path,
		IdempotencyKey: header.Get(idempotency.Header),
		content:        func() (http.Header, []byte) { return header, body },
	}}
	var named struct {
		ExternalReference string `json:"externalReference"`
	}
	if json.Unmarshal(body, &named) == nil {
		a.request.ExternalReference = named.ExternalReference
	}
	op, _, err := route(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	a.request.Time, a.latency = s.Now(), s.latency
	if err == nil {
		a.request.Operation = op.ID
		a.failure = s.nextFailureLocked(op.ID)
		a.request.Fault = a.failure.Fault
	}
	if a.failure == (failure{}) {
		a.wait = s.limit.take(a.request.Time)
	}
	if len(s.requests) == 2*maxRequests { // rarely, because it moves all
		s.requests = slices.Delete(s.requests, 0, maxRequests)
	}
	s.requests = append(s.requests, a)
	return a
}

// finish records the status of the response.
func (s *Sandbox) finish(a *admitted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.request.StatusCode = a.status
}
