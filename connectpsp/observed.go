package connectpsp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"

	"github.com/connectpsp/connectpsp-go/internal/observe"
)

// otherCode stands for a code that is not published: codes of a peer have no end.
const otherCode ErrorCode = "OTHER"

func (c ErrorCode) listed() ErrorCode {
	if c == "" || advice[c] != "" {
		return c
	}
	return otherCode
}

// beginCall shows that a call begins. Its method defers endCall.
func (c *Client) beginCall(ctx context.Context, activity Call) (context.Context, observedCall) {
	if c.observers == nil {
		return ctx, observedCall{}
	}
	o := observedCall{wait: new(observe.TokenWait), activity: activity}
	ctx, o.span = observe.Begin(observe.WithTokenWait(ctx, o.wait), c.observers, o.activity)
	return ctx, o
}

// observedCall is a call that has begun.
type observedCall struct {
	span     observe.Span
	wait     *observe.TokenWait
	activity Call
}

// endCall shows that a call has ended, and logs it if its outcome is unknown. Call is nil if none
// was made. Returned is false if a result is missing: after a panic there is no error either.
func (c *Client) endCall(ctx context.Context, o observedCall, call *call, returned bool, err error) {
	c.logUnknown(ctx, err)
	o.end(call, returned, err)
}

// end shows that a call has ended, if anybody observes.
func (o observedCall) end(call *call, returned bool, err error) {
	if !o.span.IsObserved() {
		return
	}
	done := o.activity
	if call != nil {
		done.Attempts = call.requests
		done.IdempotencyKey = call.payment.IdempotencyKey
		done.TransactionID = cmp.Or(call.transactionID, done.TransactionID)
	}
	done.Outcome, done.Code = outcomeOf(done.Operation, returned, err)
	done.Token, done.Duration = o.wait.Number(), o.span.Duration()
	observe.End(o.span, done)
}

// outcomeOf describes the end of a call.
func outcomeOf(operation Operation, returned bool, err error) (CallOutcome, ErrorCode) {
	var refusal *APIError
	var code ErrorCode
	if errors.As(err, &refusal) {
		code = refusal.Code.listed()
	}
	switch {
	case err == nil && returned:
		return CallAccepted, ""
	case errors.Is(err, errSettled):
		return CallSettled, ""
	case errors.Is(err, ErrUnknownOutcome):
		return CallUnknown, code
	case errors.As(err, new(*ValidationError)), errors.As(err, new(ValidationErrors)):
		return CallInvalid, ""
	case errors.Is(err, ErrNotSent):
		return CallNotSent, code
	case refusal != nil && !(isRead(operation) && (refusal.StatusCode/100 == 5 || refusal.Code == "")):
		return CallRejected, code
	case isRead(operation):
		return CallFailed, code
	default:
		return CallUnknown, code // a panic
	}
}

// observedAttempt is an attempt that has begun. Nil is one that nobody observes.
type observedAttempt struct {
	span     observe.Span
	activity Attempt
}

// beginAttempt shows that a request is complete. The request goes on in the context of the
// observers, with the SDK's trace upon it: it must count what is sent, whatever an observer has
// added.
func (c *Client) beginAttempt(t *sendTracker, request *http.Request) *observedAttempt {
	call := t.state.call
	call.requests++
	if c.observers == nil {
		return nil
	}
	o := &observedAttempt{activity: Attempt{
		Operation: call.operation.ID,
		Method:    call.operation.Method,
		Server:    request.URL.Host,
		Path:      call.operation.Path,
		Number:    call.requests,
	}}
	if call.requests > 1 { // else the call was tried before without a request, for want of a token
		o.activity.Reason = call.reason
	}
	ctx, span := observe.Begin(t.ctx, c.observers, o.activity)
	o.span = span
	*request = *request.WithContext(httptrace.WithClientTrace(ctx, &t.trace))
	return o
}

// endAttempt shows the end of an attempt, if it was handed to the HTTP client.
func (c *Client) endAttempt(a attempt, v verdict) {
	if a.observed == nil {
		return
	}
	done := a.observed.activity
	done.Status, done.Error, done.Duration = a.status, a.failure, a.observed.span.Duration()
	done.Outcome = v.word()
	if v.refusal != nil {
		done.Code = v.refusal.Code.listed()
	}
	done.Deviation = deviationOf(a, v, done.Code)
	observe.End(a.observed.span, done)
}

// deviationOf says how a response deviates from the description.
func deviationOf(a attempt, v verdict, code ErrorCode) string {
	switch {
	case errors.As(v.err, new(*mismatchError)):
		return "transaction"
	case a.status/100 == 2 && a.err == nil && v.err != nil, errors.Is(v.err, errNotTheGateway):
		return "body"
	case a.status/100 == 3:
		return "status"
	case code == otherCode:
		return "code"
	default:
		return ""
	}
}

// failureOf is the kind of a transport's error.
func failureOf(err error) string {
	if err == nil {
		return "" // before the variables, which are allocated
	}
	var network net.Error
	var operation *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, new(*net.DNSError)):
		return "dns"
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(tls.RecordHeaderError)), errors.As(err, new(tls.AlertError)):
		return "tls"
	case errors.As(err, &operation) && operation.Op == "dial":
		return "connect"
	case errors.As(err, &operation), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection"
	default:
		return "other"
	}
}
