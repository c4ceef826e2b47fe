package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/connectpsp/connectpsp-go/idempotency"
)

// admitted is a request with what befalls it.
type admitted struct {
	request Request
	failure failure
	latency time.Duration
	wait    time.Duration // until the rate limit admits the request, 0 if it does
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
