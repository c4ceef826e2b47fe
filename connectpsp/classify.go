package connectpsp

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/internal/answer"
)

// outcome is the proof that one attempt gives about itself, and about no attempt before it.
type outcome uint8

const (
	accepted outcome = iota
	rejected         // the gateway said no
	notSent          // it provably never reached the gateway
	inDoubt          // it may have been executed
)

// verdict is the judgement of one attempt.
type verdict struct {
	outcome outcome
	again   bool          // sending the same once more may help
	renew   bool          // another access token may help
	pause   time.Duration // the least to wait before sending again
	refusal *APIError     // the gateway's error response, nil if it accepted or did not respond
	err     error         // any other error
	// transactionID is that of the transaction that an accepted response names.
	transactionID string
	result        any // of a 2xx response, nil if there was none
}

// word is the outcome that an attempt proves. A conflict proves none: it may be about this very
// payment.
func (v verdict) word() CallOutcome {
	if v.refusal != nil && errors.Is(v.refusal, ErrUnknownOutcome) {
		return CallUnknown
	}
	return [...]CallOutcome{accepted: CallAccepted, rejected: CallRejected, notSent: CallNotSent, inDoubt: CallUnknown}[v.outcome]
}

// classify judges an attempt. It holds the truth about responses, row by row, and knows nothing of
// earlier attempts.
func classify(call *call, a attempt) verdict {
	if a.status == 0 {
		return classifyNoAnswer(call, a)
	}
	if a.status/100 == 2 {
		return classifySuccess(call, a)
	}
	refusal := newAPIError(call, a)
	v := verdict{outcome: rejected, refusal: refusal}
	switch {
	case call.operation.Money && needsProblem(a.status) && !isProblem(a):
		// A firewall may put a page of its own in the place of a response to a payment that was
		// made, and a problem that broke off may have named a conflict. The same key brings the
		// whole response, from the gateway.
		v.outcome, v.again, v.err = inDoubt, true, cmp.Or(a.err, error(errNotTheGateway))
	case a.status/100 == 4 && a.status != http.StatusConflict && a.err != nil && !errors.Is(a.err, answer.ErrTooLarge):
		// The response broke off, and its code, which may have named a conflict, with it. The same
		// key brings the whole response.
		v.outcome, v.again, v.err = inDoubt, true, a.err
		v.renew = a.status == http.StatusUnauthorized
	case a.status == http.StatusUnauthorized:
		// A new access token does not mend the other two.
		v.renew = refusal.Code != CodeInvalidApplicationToken && refusal.Code != CodeInvalidCredentials
	case a.status == http.StatusConflict && refusal.Code.speaksOf("IDEMPOT"):
		// The key is in use: a request with it is running just now, and will have a response soon.
		v.outcome, v.again = inDoubt, true
	case a.status == http.StatusTooManyRequests:
		v.again = true
	case a.status == http.StatusRequestTimeout, a.status == http.StatusTooEarly, a.status == 499:
		// 499 is a proxy's word for a client that went away: the request may still be running
		// behind it.
		v.outcome, v.again = inDoubt, true
	case a.status/100 == 4:
		v.renew = refusal.Code == CodeInvalidSignature
	case a.status/100 == 5:
		v.outcome, v.again = inDoubt, true
		if a.status >= 502 && a.status <= 504 {
			v.pause = time.Second // these come from a proxy: give the backend a second
		}
	default:
		// A redirect after a POST may mean that it was done. It is never followed, and asking again
		// would lead here again.
		v.outcome = inDoubt
	}
	return v
}

func classifyNoAnswer(call *call, a attempt) verdict {
	v := verdict{outcome: inDoubt, again: true, err: a.err}
	if a.sent {
		return v
	}
	v.outcome = notSent
	var noToken *auth.Error
	switch {
	case errors.As(a.err, &noToken):
		v.again = noToken.Temporary()
		v.refusal = newTokenError(call, noToken)
	case !errors.As(a.err, new(interface{ Timeout() bool })) && !errors.Is(a.err, context.Canceled):
		// Neither the network nor the clock: an editor refused, and would again.
		v.again = false
	}
	return v
}

func classifySuccess(call *call, a attempt) verdict {
	var result any
	var transactionID string
	err := a.err
	if err == nil {
		result, transactionID, err = call.row.decode(call, a.body)
	}
	if err == nil {
		return verdict{outcome: accepted, transactionID: transactionID, result: result}
	}
	var mismatch *mismatchError
	var declined *declinedError
	switch {
	case errors.As(err, &mismatch):
		return verdict{outcome: inDoubt, err: err}
	case errors.As(err, &declined):
		refusal := newAPIError(call, a)
		refusal.Detail = declined.message
		return verdict{outcome: rejected, refusal: refusal}
	default:
		// Almost surely executed. The same key again brings the whole response.
		return verdict{outcome: inDoubt, again: true, err: err}
	}
}

// newAPIError describes a response.
func newAPIError(call *call, a attempt) *APIError {
	problem := answer.Problem(a.body)
	return &APIError{
		Operation:         call.operation.ID,
		StatusCode:        a.status,
		Type:              problem.Type,
		Title:             problem.Title,
		Detail:            problem.Detail,
		Code:              ErrorCode(problem.Code),
		IdempotencyKey:    call.payment.IdempotencyKey,
		ExternalReference: call.payment.ExternalReference,
		RetryAfter:        answer.RetryAfter(a.header),
	}
}

var errNotTheGateway = errors.New(
	"the response is not the gateway's problem: something in between responded; check BaseURL, proxies and firewalls")

// needsProblem reports whether a status rejects a payment only in the gateway's own words. 401 and
// 429 mean that nothing was done, also where a proxy says so; a 409 is no rejection, and the others
// leave doubt by themselves.
func needsProblem(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusConflict,
		http.StatusRequestTimeout, http.StatusTooEarly, 499:
		return false
	}
	return status/100 == 4
}

// isProblem reports whether a response is a whole problem of the gateway: one of its published
// codes, or any code in a problem of RFC 7807. A proxy's JSON may have a code or be a problem, and
// seldom is both. The status, if stated, is that of the response.
func isProblem(a attempt) bool {
	problem := answer.Problem(a.body)
	described := problem.Title != "" || problem.Type != "" || problem.Status != 0 || advice[ErrorCode(problem.Code)] != ""
	return a.err == nil && problem.Code != "" && described && (problem.Status == 0 || problem.Status == a.status)
}

// newTokenError describes why there was no access token for a call, which was therefore not sent.
func newTokenError(call *call, e *auth.Error) *APIError {
	return &APIError{
		Operation:         OperationAuthToken,
		StatusCode:        e.StatusCode,
		Type:              e.Type,
		Title:             e.Title,
		Detail:            e.Detail,
		Code:              ErrorCode(e.Code),
		IdempotencyKey:    call.payment.IdempotencyKey,
		ExternalReference: call.payment.ExternalReference,
		RetryAfter:        e.RetryAfter,
		Err:               &notSentError{cmp.Or(e.Err, ErrNotSent)},
	}
}
