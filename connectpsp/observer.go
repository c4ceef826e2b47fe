package connectpsp

import (
	"context"
	"time"
)

// Observer sees the activities of the SDK begin and end, for traces, metrics and alarms. Give it to
// a client with [WithObserver], and to the Handler and the Worker of package webhook and to the
// stores of packages sqlstore and journal with their options. Package metrics has one for
// Prometheus, and the module otel one for OpenTelemetry.
//
// An activity is a [Call], an [Attempt], a [TokenRequest] or a [JournalWrite], or a Delivery or a
// Processing of package webhook. Later versions may have more types: ignore those you do not know.
// Activities hold no secret and no personal data. Their ids are in fields of their own, which say
// so: leave those out of metrics.
//
// Begin gets the activity as far as it is known, and returns the context that the activity goes on
// in: ctx, or one derived from it, such as ctx with a span. Activities within it, the HTTP request
// and the journal get its values. Its deadline and its end have no effect, and any other context is
// ignored. End gets that context and the whole activity. Calls of the SDK with the context of Begin
// or End are not observed.
//
// Goroutines call an Observer concurrently, and each method in a goroutine of its own. An activity
// waits for a method for a tenth of a second. Then it goes on without, and until that method has
// returned the Observer is skipped: it misses activities, so its counts are too low. An activity
// whose Begin was missed has no End. A panic is recovered. The client logs both at level warning.
type Observer interface {
	Begin(ctx context.Context, activity any) context.Context
	End(ctx context.Context, activity any)
}

// Call is the activity of a method of a [Client] that makes requests: its checks, its attempts and
// the waits between them. [Client.Recover] makes one for each payment that it settles. Methods that
// read a transaction on the way make a Call within theirs.
type Call struct {
	Operation Operation
	// Recovering is true for a payment that [Client.Recover] settles.
	Recovering bool

	// Outcome is empty at Begin.
	Outcome CallOutcome
	// Code is the gateway's code for a refusal if it is a published one, "OTHER" if it is not, and
	// empty if there was none.
	Code ErrorCode
	// Attempts counts the requests that were handed to the HTTP client.
	Attempts int
	// Token is the Number of the TokenRequest that the call waited for, also if another call caused
	// it, and 0 if it waited for none.
	Token int64
	// Duration is the time since Begin.
	Duration time.Duration

	// ExternalReference, IdempotencyKey and TransactionID identify the payment, or the transaction
	// to read. They are ids: leave them out of metrics. At Begin the last two may be empty.
	ExternalReference, IdempotencyKey, TransactionID string
}

// CallOutcome is the outcome of a [Call].
type CallOutcome string

const (
	// CallAccepted says that the call returned a result.
	CallAccepted CallOutcome = "accepted"
	// CallInvalid says that the request was not valid, and nothing was sent: a [*ValidationError].
	CallInvalid CallOutcome = "invalid"
	// CallNotSent says that nothing was sent for another reason: no connection, token, time or
	// journal.
	CallNotSent CallOutcome = "not_sent"
	// CallRejected says that the gateway refused it: an [*APIError].
	CallRejected CallOutcome = "rejected"
	// CallUnknown says that the money may have moved. See [ErrUnknownOutcome].
	CallUnknown CallOutcome = "unknown"
	// CallFailed says that a read got no response of the gateway's.
	CallFailed CallOutcome = "failed"
	// CallSettled says that [Client.Recover] left a payment to another call, which settles it.
	CallSettled CallOutcome = "settled"
)

// Attempt is the activity of one HTTP request of a [Call], from the moment when it is complete to
// the end of its response.
type Attempt struct {
	Operation Operation
	// Method, Server and Path are those of the request: the method, the host with a port if it has
	// one, and the description's path template, such as /cash-in/{id}.
	Method, Server, Path string
	// Number counts the requests of the call, from 1.
	Number int
	// Reason says why the request repeats an earlier one. It is empty for the first.
	Reason RetryReason

	// Status is the status of the response, 0 if none came.
	Status int
	// Outcome is what the attempt proves about itself: CallAccepted, CallRejected, CallNotSent or
	// CallUnknown, the last also for a read without a readable response. It is empty at Begin.
	Outcome CallOutcome
	// Code is like that of a [Call].
	Code ErrorCode
	// Error is the kind of failure if there was no whole response: timeout, canceled, dns, connect,
	// tls, connection or other. It is empty if there was one.
	Error string
	// Deviation says how the response deviates from the description: status, body, code or
	// transaction (it is about another one). It is empty if it does not.
	Deviation string
	// Duration is the time since Begin.
	Duration time.Duration
}

// RetryReason says why an [Attempt] repeats an earlier one.
type RetryReason string

const (
	// RetryToken is for a request with another access token, after a 401 or a refused signature.
	RetryToken RetryReason = "token_refused"
	// RetryRateLimited follows a 429.
	RetryRateLimited RetryReason = "rate_limited"
	// RetryNotSent follows a request that was not sent, for want of a connection or a token.
	RetryNotSent RetryReason = "not_sent"
	// RetryNoResponse follows a request that got no response.
	RetryNoResponse RetryReason = "no_response"
	// RetryUnreadable follows a response that could not be read.
	RetryUnreadable RetryReason = "unreadable_response"
	// RetryGatewayFailed follows a 5xx.
	RetryGatewayFailed RetryReason = "gateway_failed"
	// RetryUnderWay follows a response that says that the same request is still running.
	RetryUnderWay RetryReason = "under_way"
)

// TokenRequest is the activity of one POST /auth/token, up to the header of its response. It begins
// in the context of the call that caused it. A renewal ahead of time is not waited for by that
// call.
type TokenRequest struct {
	// Number counts the requests for tokens of this process, from 1.
	Number int64
	// Server is like that of an [Attempt].
	Server string

	// Status is the status of the response, 0 if none came.
	Status int
	// Error is like that of an [Attempt].
	Error string
	// Duration is the time since Begin.
	Duration time.Duration
}

// JournalWrite is the activity of one write to a [Journal] of package journal or sqlstore.
type JournalWrite struct {
	// Step is begin, sent or finish.
	Step string

	// Failed is true if the journal could not write: the payment was not sent, or its outcome stays
	// unknown. It is false for a write that the journal refused, as for a payment that another
	// process has, and for one whose caller has cancelled it.
	Failed bool
	// Duration is the time since Begin.
	Duration time.Duration
}

// WithObserver shows the activities of the client to observer. Given more than once, all observers
// see them, in this order. See [Observer]. Nil is like no observer.
func WithObserver(observer Observer) Option {
	return func(s *settings) {
		if observer != nil {
			s.observers = append(s.observers, observer)
		}
	}
}
