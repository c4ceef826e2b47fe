package connectpsp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// fault is what becomes of one attempt on its way.
type fault struct {
	name     string
	reads    bool // the transport takes the request
	executes bool // it reaches the gateway, which does what it does
	late     bool // it reaches the gateway only after the call has ended
	status   int  // what is answered in place of the gateway's own answer; 0 for a broken connection
	body     string
	own      bool // the gateway's own answer comes through
	half     bool // but only half of it
}

var faults = []fault{
	{name: "no fault", reads: true, executes: true, own: true},
	{name: "no connection"},
	{name: "lost on the way", reads: true},
	{name: "lost on the way back", reads: true, executes: true},
	{name: "late", reads: true, late: true},
	{name: "cut", reads: true, executes: true, own: true, half: true},
	{name: "500 before", reads: true, status: 500},
	{name: "500 after", reads: true, executes: true, status: 500},
	{name: "504 and still running", reads: true, late: true, status: 504},
	{name: "page", reads: true, status: 200, body: "<html>"},
	{name: "redirect", reads: true, status: 303},
	{name: "redirect after", reads: true, executes: true, status: 303},
	{name: "expired token", reads: true, status: 401, body: `{"code":"TOKEN_EXPIRED"}`},
	{name: "application token", reads: true, status: 401, body: `{"code":"INVALID_APPLICATION_TOKEN"}`},
	{name: "signature", reads: true, status: 422, body: `{"code":"INVALID_SIGNATURE"}`},
	{name: "firewall", reads: true, status: 403},
	{name: "rate limit", reads: true, status: 429},
	{name: "key in use", reads: true, late: true, status: 409, body: `{"code":"IDEMPOTENCY_KEY_IN_USE"}`},
}

// model is a gateway that remembers references, and keys unless it is forgetful.
type model struct {
	forgetful, poor bool
	keys            map[string]bool
	references      bool
	executed        int
}

// serve does what the gateway does with the one payment of a test, and answers.
func (m *model) serve(key string) (status int, body string) {
	switch {
	case m.keys[key] && !m.forgetful:
		return 202, cashOutAccepted
	case m.references:
		return 409, `{"code":"DUPLICATE_EXTERNAL_REFERENCE"}`
	case m.poor:
		return 422, `{"code":"INSUFFICIENT_FUNDS"}`
	}
	m.keys[key], m.references = true, true
	m.executed++
	return 202, cashOutAccepted
}

// roundTrip carries one request through a fault. Those that arrive late are added to pending.
func (m *model) roundTrip(f fault, r *http.Request, pending *[]func()) (*http.Response, error) {
	if !f.reads {
		return nil, errors.New("no connection")
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	key := r.Header.Get("X-Idempotency-Key")
	status, body := f.status, f.body
	if f.executes {
		if ownStatus, ownBody := m.serve(key); f.own {
			status, body = ownStatus, ownBody
		}
	}
	if f.late {
		*pending = append(*pending, func() { m.serve(key) })
	}
	if status == 0 {
		return nil, errors.New("broken connection")
	}
	var reader io.Reader = bytes.NewReader([]byte(body))
	if f.half {
		reader = io.MultiReader(bytes.NewReader([]byte(body[:len(body)/2])), brokenReader{})
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Length": {strconv.Itoa(len(body))}}, Body: io.NopCloser(reader)}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestEveryShortSequenceOfFaultsEndsInTheRightOutcome tries every sequence of three faults on every kind of gateway. Whatever
// happens, the payment is made at most once, nothing that was or will be made is called rejected, and nothing that was not
// is called accepted.
func TestEveryShortSequenceOfFaultsEndsInTheRightOutcome(t *testing.T) {
	checker := inMemory{contract.New(t).Requests(http.NotFoundHandler())}
	outcomes := map[string]int{}
	for kind := range 4 {
		for n := range len(faults) * len(faults) * len(faults) {
			m := &model{forgetful: kind&1 != 0, poor: kind&2 != 0, keys: map[string]bool{}}
			var pending []func()
			rest, name := n, fmt.Sprintf("gateway %d:", kind)
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				if n == 0 { // those of the other sequences are alike
					body := must(io.ReadAll(r.Body))
					check := r.Clone(r.Context())
					check.Body, r.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
					must(checker.RoundTrip(check))
				}
				f := faults[rest%len(faults)]
				rest /= len(faults)
				name += " " + f.name + ","
				return m.roundTrip(f, r, &pending)
			})
			client, err := connectpsp.New(config("https://gateway.example"), connectpsp.WithHTTPClient(&http.Client{Transport: transport}),
				connectpsp.WithTokenSource(&changingTokens{}),
				connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Nanosecond, MaxDelay: time.Nanosecond}))
			require.NoError(t, err)
			_, err = client.CreateCashOut(t.Context(), cashOutRequest())
			for _, arrive := range pending {
				arrive()
			}
			outcome := outcomeOf(err)
			outcomes[outcome]++
			switch {
			case m.executed > 1:
				t.Errorf("%s paid %d times", name, m.executed)
			case outcome == rejected && m.executed > 0:
				t.Errorf("%s paid, and reported %v", name, err)
			case outcome == accepted && m.executed == 0:
				t.Errorf("%s not paid, and reported as accepted", name)
			case outcome != accepted && outcome != rejected && outcome != unknown && outcome != conflict:
				t.Errorf("%s: %s", name, outcome)
			}
		}
	}
	for _, outcome := range []string{accepted, rejected, unknown} {
		assert.NotZero(t, outcomes[outcome], "the test never saw: %s", outcome)
	}
	t.Logf("outcomes of %d sequences: %v", 4*len(faults)*len(faults)*len(faults), outcomes)
}
