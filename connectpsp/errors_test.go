package connectpsp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func TestErrorsSayWhatHappenedWhatItMeansForTheMoneyAndTheNextStep(t *testing.T) {
	const settle = "wait for its webhook, or call again with the same request and idempotency key, and never pay it under a new externalReference"
	for name, c := range map[string]struct {
		step http.HandlerFunc
		want string
	}{
		"business rule": {problem(422, "INSUFFICIENT_FUNDS"),
			"connectpsp: createCashOut: 422 INSUFFICIENT_FUNDS: refused, this call moved no money: raise the balance; if no earlier call for this payment is open, try it again with WithAttempt"},
		"unknown rule": {problem(422, "NEW_RULE"),
			"connectpsp: createCashOut: 422 NEW_RULE: refused, this call moved no money: correct the cause; if no earlier call for this payment is open, try it again with WithAttempt"},
		"firewall": {html(403),
			"connectpsp: createCashOut: the last response was 403 Forbidden, which settles nothing (the response is not the gateway's problem: " +
				"something in between responded; check BaseURL, proxies and firewalls), so the outcome is unknown: the payment may have been made; " + settle},
		"conflict": {problem(409, "DUPLICATE_EXTERNAL_REFERENCE"),
			"connectpsp: createCashOut: 409 DUPLICATE_EXTERNAL_REFERENCE: the gateway says that this exists already, perhaps made by " +
				"this very payment: it may have been made; wait for its webhook, and do not pay again under another reference"},
		"limit": {retryAfter("60", problem(429, "RATE_LIMITED")),
			"connectpsp: createCashOut: 429 RATE_LIMITED: refused, this call moved no money: call again in 1m0s"},
		"unknown": {html(502),
			"connectpsp: createCashOut: the last response was 502 Bad Gateway, which settles nothing, so the outcome is unknown: " +
				"the payment may have been made; " + settle},
		"another payment": {replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":5.00}`),
			"connectpsp: createCashOut: the last response was 202 Accepted, which settles nothing (the response is about another amount: " +
				"the idempotency key was used before), so the outcome is unknown: the payment may have been made; " + settle},
	} {
		_, err := newGateway(t, c.step).client().CreateCashOut(t.Context(), cashOutRequest())
		assert.EqualError(t, err, c.want, name)
	}
	_, err := newGateway(t, problem(404, "X")).client().GetCashIn(t.Context(), cashInID)
	assert.EqualError(t, err, "connectpsp: getCashIn: 404 X: refused: this application has no such transaction")
	_, err = newGateway(t, html(503)).client().GetCashIn(t.Context(), cashInID)
	assert.EqualError(t, err, "connectpsp: getCashIn: 503 Service Unavailable: refused: call again later")
	_, err = newGateway(t, html(451)).client().GetCashIn(t.Context(), cashInID)
	assert.EqualError(t, err, "connectpsp: getCashIn: 451 Unavailable For Legal Reasons: refused: the response is not the gateway's problem: "+
		"something in between responded; check BaseURL, proxies and firewalls")
}

// The page of a login portal is a 200.
func TestAPageInPlaceOfATokenPointsAtTheAddressAndTheProxies(t *testing.T) {
	portal := inMemory{reply(200, "text/html", "<html>Welcome</html>")}
	client := must(connectpsp.New(config(memoryURL), connectpsp.WithHTTPClient(&http.Client{Transport: portal}),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	assert.EqualError(t, err, "connectpsp: authToken: 200 OK: this call sent nothing: the response is not the gateway's problem: "+
		"something in between responded; check BaseURL, proxies and firewalls")
}

func TestErrorsCanBeMadeByHandInTests(t *testing.T) {
	for name, c := range map[string]struct {
		err              error
		unknown, notSent bool
	}{
		"conflict":                  {&connectpsp.APIError{StatusCode: 409}, true, false},
		"refund done before":        {&connectpsp.APIError{Code: connectpsp.CodeCashInAlreadyRefunded}, true, false},
		"rejection":                 {&connectpsp.APIError{StatusCode: 422, Code: connectpsp.CodeInsufficientFunds}, false, false},
		"not sent":                  {&connectpsp.APIError{Err: connectpsp.ErrNotSent}, false, true},
		"not sent, with its reason": {&connectpsp.APIError{Err: errors.Join(connectpsp.ErrNotSent, context.Canceled)}, false, true},
		"invalid":                   {&connectpsp.ValidationError{Field: "amount", Reason: "must be set"}, false, true},
		"unknown":                   {&connectpsp.UnknownOutcomeError{}, true, false},
		"a read's conflict":         {&connectpsp.APIError{Operation: "getCashOut", StatusCode: 409}, false, false},
	} {
		assert.Equal(t, c.unknown, errors.Is(c.err, connectpsp.ErrUnknownOutcome), name)
		assert.Equal(t, c.notSent, errors.Is(c.err, connectpsp.ErrNotSent), name)
		assert.NotEmpty(t, c.err.Error(), name)
	}
}

// The page of a proxy has no code, and a code that the caller reads from a configuration may be
// empty.
func TestAnEmptyErrorCodeMatchesNoError(t *testing.T) {
	_, err := newGateway(t, html(403)).client().GetCashIn(t.Context(), cashInID)
	require.ErrorAs(t, err, new(*connectpsp.APIError))
	assert.NotErrorIs(t, err, connectpsp.ErrorCode(""))
}

func TestARejectionIsPrintedAndEncodedWithoutTheGatewaysText(t *testing.T) {
	const name = "Maria Silva"
	refusal := connectpsp.APIError{Operation: "createCashOut", StatusCode: 422, Code: "NEW_RULE", Title: name, Detail: name, Type: name, Err: errors.New(name)}
	written, err := json.Marshal(&refusal)
	require.NoError(t, err)
	texts := []string{string(written)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		texts = append(texts, fmt.Sprintf(verb, refusal), fmt.Sprintf(verb, &refusal), fmt.Sprintf(verb, []any{refusal}))
	}
	for _, text := range texts {
		assert.NotContains(t, text, name)
		assert.Contains(t, text, "NEW_RULE")
	}
	var read connectpsp.APIError
	require.NoError(t, json.Unmarshal(written, &read))
	assert.Equal(t, refusal.StatusCode, read.StatusCode)
	assert.ErrorIs(t, &read, connectpsp.ErrorCode("NEW_RULE"))
	assert.Error(t, json.Unmarshal([]byte(`{"statusCode":"many"}`), &read))
}

func TestAConflictSurvivesJSON(t *testing.T) {
	for _, code := range []string{"DUPLICATE_REFERENCE", "duplicate_reference", "ALREADY-EXISTS", "DUPLICATE_40912"} {
		_, err := newGateway(t, problem(422, code)).client().CreateCashOut(t.Context(), cashOutRequest())
		require.Equal(t, conflict, outcomeOf(err))
		read := new(connectpsp.APIError)
		require.NoError(t, json.Unmarshal(must(json.Marshal(err)), read))
		assert.ErrorIs(t, read, connectpsp.ErrUnknownOutcome, "%s: %v", code, read)
	}
}

func TestA409OfAnUnknownOperationIsAConflict(t *testing.T) {
	assert.ErrorIs(t, &connectpsp.APIError{Operation: "createPixAutomatico", StatusCode: 409}, connectpsp.ErrUnknownOutcome)
}
