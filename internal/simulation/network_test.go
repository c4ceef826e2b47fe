package simulation

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fault describes how one exchange of a request and a response fails. To add one, add a line to
// faults.
type fault struct {
	name string

	neverWritten    bool       // the transport fails before it writes the request
	connectsLate    bool       // the transport writes the request only after its caller has gone
	arrives         arrival    // when the gateway receives the request
	processing      processing // how the gateway executes it
	sentTwice       bool       // the transport sends it twice, and the client sees one response
	proxyRepeats    bool       // a proxy sends it twice, if the gateway has enough funds
	revokesToken    bool       // its token is invalid when it arrives
	callerCancels   bool       // the caller's context ends before the response
	processDies     bool       // the process dies before the response
	gatewayResponds bool       // the client gets the gateway's own response, and not the one below
	response        response   // status zero is a broken connection
	truncated       bool       // the response breaks off
	slow            bool       // the response takes half a minute
}

type arrival int

const (
	never arrival = iota
	now
	late
)

// faults lists all that an exchange may meet. The first is no fault at all, and those in which the
// process dies come last.
var faults = []fault{
	{name: "no fault", arrives: now, gatewayResponds: true},
	{name: "no connection", neverWritten: true},
	{name: "request lost"},
	{name: "response lost", arrives: now},
	{name: "response lost, processing goes on", arrives: now, processing: goesOnAfter504},
	{name: "late arrival", arrives: late},
	{name: "response truncated", arrives: now, gatewayResponds: true, truncated: true},
	{name: "500 before the payment", arrives: now, gatewayResponds: true, processing: failsBeforePays},
	{name: "500 after the payment", arrives: now, gatewayResponds: true, processing: failsAfterPays},
	{name: "504, processing goes on", arrives: now, gatewayResponds: true, processing: goesOnAfter504},
	{name: "key in use, late arrival", arrives: late, response: keyInUse},
	{name: "replay by net/http", arrives: now, gatewayResponds: true, sentTwice: true},
	{name: "replay by net/http, the first late", arrives: late, gatewayResponds: true, sentTwice: true},
	{name: "replay by net/http, the second refused", arrives: now, sentTwice: true, response: problem(401, "INVALID_APPLICATION_TOKEN")},
	{name: "replay by a proxy", arrives: now, gatewayResponds: true, proxyRepeats: true},
	{name: "200 in HTML", response: html(200)},
	{name: "200 in HTML after the payment", arrives: now, response: html(200)},
	{name: "502 in HTML", response: html(502)},
	{name: "502 in HTML, late arrival", arrives: late, response: html(502)},
	{name: "403 in HTML", response: html(403)},
	{name: "403 in HTML after the payment", arrives: now, response: html(403)},
	{name: "422 truncated after the payment", arrives: now, response: response{
		status: 422, body: `{"title":"A title","status":422,"code":"DUPLIC`,
	}},
	{name: "303 after the payment", arrives: now, response: html(303)},
	{name: "307", response: html(307)},
	{name: "401 TOKEN_EXPIRED", response: tokenExpired},
	{name: "401 INVALID_APPLICATION_TOKEN", response: problem(401, "INVALID_APPLICATION_TOKEN")},
	{name: "token revoked", arrives: now, gatewayResponds: true, revokesToken: true},
	{name: "422 INVALID_SIGNATURE", response: problem(422, "INVALID_SIGNATURE")},
	{name: "429", response: problem(429, "RATE_LIMITED")},
	{name: "429 with Retry-After", response: retryAfter("4", html(429))},
	{name: "429 with a long Retry-After", response: retryAfter("60", problem(429, "RATE_LIMITED"))},
	{name: "408", response: html(408)},
	{name: "408, late arrival", arrives: late, response: html(408)},
	{name: "499 after the payment", arrives: now, response: html(499)},
	{name: "503 with Retry-After", response: retryAfter("2", html(503))},
	{name: "response about another payment", response: aboutAnotherPayment(202)},
	{name: "slow response", arrives: now, gatewayResponds: true, slow: true},
	{name: "slow connection", connectsLate: true},
	{name: "caller cancels after the arrival", arrives: now, callerCancels: true},
	{name: "caller cancels, late arrival", arrives: late, callerCancels: true},
	{name: "caller cancels while connecting", connectsLate: true, callerCancels: true},
	{name: "process dies before sending", neverWritten: true, processDies: true},
	{name: "process dies after the arrival", arrives: now, processDies: true},
	{name: "process dies, late arrival", arrives: late, processDies: true},
}

// survivableFaults is the number of faults that the process survives.
var survivableFaults = slices.IndexFunc(faults, func(f fault) bool { return f.processDies })

func html(status int) response {
	return response{status: status, html: true, body: "<html><body>proxy</body></html>"}
}

func retryAfter(seconds string, r response) response {
	r.retryAfter = seconds
	return r
}

// transport is the [http.RoundTripper] of a process.
type transport struct {
	schedule *schedule
	process  *process
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	call := callOf(r.Context())
	if r.URL.Path == "/auth/token" {
		call = nil // it is for all that wait, and which of them has caused it is not the schedule's choice
	}
	result := t.schedule.park(r.Context(), &pendingStep{
		process: t.process, call: call, request: r, name: r.URL.Path + r.Header.Get("X-Idempotency-Key"),
	})
	return result.response, result.err
}

func (s *schedule) nextFault() fault {
	if s.settings.nextFault != nil {
		return faults[s.settings.nextFault()]
	}
	n := survivableFaults
	if s.settings.crashes > 0 {
		n = len(faults)
	}
	return faults[s.choices.choose(n, s.settings.faultPercent)]
}

// exchange carries out one exchange, with or without a fault.
func (s *schedule) exchange(step *pendingStep) {
	f := s.nextFault()
	s.counters.add("fault", f.name)
	if s.tracing {
		s.note("%s: %s", step.title(), f.name)
	}
	step.carriedOut = true
	switch {
	case f.neverWritten:
		s.respond(step, f, response{})
		return
	case f.connectsLate:
		s.later(50*time.Second, func() {
			if m, open := s.write(step); open {
				s.gateway.receive(m, succeeds)
			}
		})
		s.respond(step, f, response{})
		return
	}
	m, open := s.write(step)
	if !open {
		s.resume(step, stepResult{err: errBroken})
		return
	}
	if f.revokesToken {
		s.gateway.revoked = max(s.gateway.revoked, m.token)
	}
	received := f.response
	deliver := func() {
		if r := s.gateway.receive(m, f.processing); f.gatewayResponds {
			received = r
		}
	}
	switch f.arrives {
	case now:
		deliver()
	case late:
		s.later(s.drawDelay(s.maxNetworkDelay()), func() { s.gateway.receive(m, f.processing) })
	}
	if f.sentTwice {
		wroteHeaders(step.request)
		deliver()
	}
	if f.proxyRepeats && s.gateway.funds == enoughFunds {
		deliver()
	}
	s.respond(step, f, received)
}

// maxNetworkDelay is how late a request may arrive. A gateway that ignores references cannot tell a
// later one from a new payment, once it has forgotten the key.
func (s *schedule) maxNetworkDelay() time.Duration {
	if s.gateway.ignoresReferences {
		return time.Minute
	}
	return 15 * time.Minute
}

// write reads the request of a step from the client, as a transport does that writes it to a
// connection. It reports whether the client let it.
func (s *schedule) write(step *pendingStep) (message, bool) {
	r := step.request
	m := message{method: r.Method, path: r.URL.Path, key: r.Header.Get("X-Idempotency-Key"), number: s.nextNumber()}
	wroteHeaders(r)
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return m, false
		}
		m.body = string(body)
	}
	m.reference, _, _ = strings.Cut(textAfter(m.body, `"externalReference":"`), `"`)
	if id, refund := strings.CutSuffix(strings.TrimPrefix(m.path, "/cash-in/"), "/refund"); refund {
		m.reference, m.refund = chargeOf(id), true
	}
	m.amount, _, _ = strings.Cut(textAfter(m.body, `"amount":`), `,`)
	m.token, _ = strconv.Atoi(textAfter(r.Header.Get("Authorization"), "Bearer header.payload."))
	if m.key != "" {
		s.checker.written(m, step)
	}
	return m, true
}

func textAfter(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	return rest
}

// wroteHeaders calls the hook that net/http calls when it has written the headers.
func wroteHeaders(r *http.Request) {
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
}

// respond ends an exchange for the client: with a response, without one, or not at all.
func (s *schedule) respond(step *pendingStep, f fault, r response) {
	switch {
	case f.processDies:
		s.crash(step.process)
	case f.callerCancels && step.call != nil:
		step.call.cancel()
	case f.connectsLate:
		// The caller waits until its context or the client's own bound ends.
	case f.slow:
		delays := [...]time.Duration{31 * time.Second, 29 * time.Second, 10 * time.Second}
		s.later(delays[s.choices.choose(len(delays), 60)], func() { s.resume(step, resultOf(r, f.truncated)) })
	case r.status == 0:
		s.resume(step, stepResult{err: errBroken})
	default:
		s.resume(step, resultOf(r, f.truncated))
	}
}

func resultOf(r response, truncated bool) stepResult {
	header := http.Header{}
	if r.retryAfter != "" {
		header.Set("Retry-After", r.retryAfter)
	}
	return stepResult{response: &http.Response{StatusCode: r.status, Header: header, Body: bodyOf(r.body, truncated), ContentLength: -1}}
}

func bodyOf(text string, truncated bool) io.ReadCloser {
	if !truncated {
		return io.NopCloser(strings.NewReader(text))
	}
	return io.NopCloser(io.MultiReader(strings.NewReader(text[:len(text)/2]), breakingReader{}))
}

type breakingReader struct{}

func (breakingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
