package connectpsp

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/internal/answer"
)

// outcome is what one attempt proves about itself. It says nothing about the attempts before it.
type outcome uint8

const (
	accepted outcome = iota
	refused          // the gateway said no
	unsent           // it provably never reached the gateway
	doubtful         // it may have been executed
)

func (o outcome) String() string {
	return [...]string{"accepted", "refused", "not sent", "doubtful"}[o]
}

// verdict is what to make of one attempt.
type verdict struct {
	outcome outcome
	again   bool          // sending the same once more may help
	renew   bool          // another access token may help
	pause   time.Duration // the least to wait before sending again
	answer  *APIError     // what the gateway answered, unless it accepted or there was no answer
	err     error         // what else went wrong
	// transactionID is that of the transaction that an accepted answer names.
	transactionID string
	result        any // what an accepted answer says, nil if it was not accepted
}

// classify judges an attempt. It holds the truth about answers, row by row, and knows nothing of earlier attempts.
func classify(call call, a attempt) verdict {
	if a.status == 0 {
		return classifyNoAnswer(call, a)
	}
	if a.status/100 == 2 {
		return classifySuccess(call, a)
	}
	refusal := newAPIError(call, a)
	v := verdict{outcome: refused, answer: refusal}
	switch {
	case a.status/100 == 4 && a.status != http.StatusConflict && a.err != nil && !errors.Is(a.err, answer.ErrTooLarge):
		// The answer broke off, and its code, which may have named a conflict, with it. The same key brings the whole answer.
		v.outcome, v.again, v.err = doubtful, true, a.err
		v.renew = a.status == http.StatusUnauthorized
	case a.status == http.StatusUnauthorized:
		// A new access token does not mend the other two.
		v.renew = refusal.Code != CodeInvalidApplicationToken && refusal.Code != CodeInvalidCredentials
	case a.status == http.StatusConflict && refusal.speaksOf("IDEMPOT"):
		// The key is in use: a request with it is running just now, and will have an answer soon.
		v.outcome, v.again = doubtful, true
	case a.status == http.StatusTooManyRequests:
		v.again = true
	case a.status == http.StatusRequestTimeout, a.status == http.StatusTooEarly, a.status == 499:
		// 499 is a proxy's word for a client that went away: the request may still be running behind it.
		v.outcome, v.again = doubtful, true
	case a.status/100 == 4:
		v.renew = refusal.Code == CodeInvalidSignature
	case a.status/100 == 5:
		v.outcome, v.again = doubtful, true
		if a.status >= 502 && a.status <= 504 {
			v.pause = time.Second // a gateway in front; what runs behind it wants a moment
		}
	default:
		// A redirect after a POST may mean that it was done. It is never followed, and asking again would lead here again.
		v.outcome = doubtful
	}
	return v
}

func classifyNoAnswer(call call, a attempt) verdict {
	v := verdict{outcome: doubtful, again: true, err: a.err}
	if a.sent {
		return v
	}
	v.outcome = unsent
	var noToken *auth.Error
	switch {
	case errors.As(a.err, &noToken):
		v.again = noToken.Temporary()
		v.answer = newTokenError(call, noToken)
	case !errors.As(a.err, new(interface{ Timeout() bool })) && !errors.Is(a.err, context.Canceled):
		// Neither the network nor the clock: an editor refused, and would again.
		v.again = false
	}
	return v
}

func classifySuccess(call call, a attempt) verdict {
	var result any
	var transactionID string
	err := a.err
	if err == nil {
		result, transactionID, err = call.decode(a.body)
	}
	if err == nil {
		return verdict{outcome: accepted, transactionID: transactionID, result: result}
	}
	var mismatch *mismatchError
	var declined *declinedError
	switch {
	case errors.As(err, &mismatch):
		return verdict{outcome: doubtful, err: err, transactionID: transactionID}
	case errors.As(err, &declined):
		refusal := newAPIError(call, a)
		refusal.Detail = declined.message
		return verdict{outcome: refused, answer: refusal}
	default:
		// Almost surely executed. The same key again brings the whole answer.
		return verdict{outcome: doubtful, again: true, err: err}
	}
}

// newAPIError describes an answer.
func newAPIError(call call, a attempt) *APIError {
	problem := answer.Problem(a.body)
	e := &APIError{
		Operation:         call.operation.id,
		StatusCode:        a.status,
		Type:              problem.Type,
		Title:             problem.Title,
		Detail:            problem.Detail,
		Code:              ErrorCode(problem.Code),
		IdempotencyKey:    call.key,
		ExternalReference: call.externalReference,
		RetryAfter:        answer.RetryAfter(a.header),
		money:             call.operation.money,
	}
	e.conflict = e.money && a.status/100 == 4 &&
		(a.status == http.StatusConflict || e.speaksOf("IDEMPOT", "DUPLIC", "ALREADY_EXIST"))
	return e
}

// speaksOf reports whether the code has one of the words in it. No code for a conflict is published, so all that sound like
// one count. That can only make an outcome less certain.
func (e *APIError) speaksOf(words ...string) bool {
	code := strings.ToUpper(string(e.Code))
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(code, word) })
}

// newTokenError describes why there was no access token for a call, which was therefore not sent.
func newTokenError(call call, e *auth.Error) *APIError {
	return &APIError{
		Operation:         authToken.id,
		StatusCode:        e.StatusCode,
		Type:              e.Type,
		Title:             e.Title,
		Detail:            e.Detail,
		Code:              ErrorCode(e.Code),
		IdempotencyKey:    call.key,
		ExternalReference: call.externalReference,
		RetryAfter:        e.RetryAfter,
		Err:               e.Err,
		money:             call.operation.money,
		notSent:           true,
	}
}
