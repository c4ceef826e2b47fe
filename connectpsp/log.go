package connectpsp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/observe"
	"github.com/connectpsp/connectpsp-go/internal/redact"
)

// The log holds only the attributes that [WithLogger] lists: headers, bodies and the texts of
// errors may hold secrets or personal data.

// log records an attempt.
func (c *Client) log(ctx context.Context, p *callState, a attempt) {
	if !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	call, v := p.call, p.verdict
	line := attributes{
		slog.String("event", "attempt"),
		slog.String("operation", call.operation.ID),
		slog.String("method", call.operation.Method),
		slog.String("path", strings.Replace(call.operation.Path, "{id}", call.id(), 1)),
		slog.Int("status", a.status),
		slog.Int("attempt", p.attempts),
		slog.Duration("duration", a.duration),
		slog.String("outcome", string(v.word())),
	}
	line.add("idempotency_key", call.payment.IdempotencyKey)
	line.add("external_reference", call.payment.ExternalReference)
	if v.refusal != nil {
		line.add("code", string(v.refusal.Code.printable()))
	}
	line.add("error", kindOf(a, v))
	line.add("retry", string(c.retryReason(p, a)))
	c.logger.LogAttrs(ctx, slog.LevelDebug, "connectpsp: attempt", line...)
}

// logUnknown records a call that ends with an unknown outcome.
func (c *Client) logUnknown(ctx context.Context, err error) {
	if errors.Is(err, ErrUnknownOutcome) && c.logger.Enabled(ctx, slog.LevelError) {
		line := attributes{slog.String("event", "call.unknown")}
		line.describe(err)
		c.logger.LogAttrs(ctx, slog.LevelError, "connectpsp: unknown outcome", line...)
	}
}

// logRecovered records payments that [Client.Recover] reports, one line each. An element may be
// nil.
func (c *Client) logRecovered(ctx context.Context, level slog.Level, recovered []*Recovered) {
	if !c.logger.Enabled(ctx, level) {
		return
	}
	for _, one := range recovered {
		if one == nil {
			continue
		}
		outcome, _ := outcomeOf(one.Operation, one.Err == nil, one.Err)
		line := attributes{slog.String("event", "payment.recovered"), slog.String("outcome", string(outcome))}
		if one.Err != nil {
			line.describe(one.Err)
		} else {
			line.add("operation", one.Operation)
			line.add("idempotency_key", one.IdempotencyKey)
			line.add("external_reference", one.ExternalReference)
			line.add("transaction_id", one.TransactionID)
		}
		c.logger.LogAttrs(ctx, level, "connectpsp: recovered", line...)
	}
}

// logOverdue records payments that [Client.Recover] leaves open after they were due. An element may
// be nil.
func (c *Client) logOverdue(ctx context.Context, recovered []*Recovered) {
	now := time.Now()
	for _, one := range recovered {
		if one == nil || !errors.Is(one.Err, ErrUnknownOutcome) || !isOverdue(one.DueBy, now) {
			continue
		}
		line := attributes{slog.String("event", "payment.overdue"), slog.Time("due_by", one.DueBy)}
		line.describe(one.Err)
		c.logger.LogAttrs(ctx, slog.LevelError, "connectpsp: an open payment is overdue", line...)
	}
}

// attributes collects the attributes of a line.
type attributes []slog.Attr

// add appends an attribute unless its value is empty.
func (l *attributes) add(name, value string) {
	if value != "" {
		*l = append(*l, slog.String(name, value))
	}
}

// describe appends the facts about the payment in a call's error.
func (l *attributes) describe(err error) {
	var unknown *UnknownOutcomeError
	var refusal *APIError
	switch {
	case errors.As(err, &unknown):
		l.add("operation", unknown.Operation)
		l.add("idempotency_key", unknown.IdempotencyKey)
		l.add("external_reference", unknown.ExternalReference)
		l.add("transaction_id", unknown.TransactionID)
		*l = append(*l, slog.Time("first_sent_at", unknown.FirstSentAt), slog.Int("status", unknown.StatusCode))
		refusal = unknown.Refusal
	case errors.As(err, &refusal):
		l.add("operation", refusal.Operation)
		l.add("idempotency_key", refusal.IdempotencyKey)
		l.add("external_reference", refusal.ExternalReference)
		*l = append(*l, slog.Int("status", refusal.StatusCode))
	}
	if refusal != nil {
		l.add("code", string(refusal.Code.printable()))
	}
}

// kindOf describes a failed attempt by safe text: the SDK's own for a response that was read, else
// the kind of the error. The errors of a caller's token source or journal may hold anything.
func kindOf(a attempt, v verdict) string {
	var noToken *auth.Error
	switch {
	case v.err == nil:
		return ""
	case a.err == nil:
		return v.err.Error()
	case errors.As(a.err, &noToken) && noToken.Err == nil:
		return noToken.Error()
	default:
		return redact.Error(a.err).Error()
	}
}

// retryReason returns why another attempt follows if time and budget allow, or "" if none may
// follow.
func (c *Client) retryReason(p *callState, a attempt) RetryReason {
	switch v := p.verdict; {
	case v.renew && !p.renewed:
		return RetryToken
	case !v.again || p.tries >= c.retry.MaxAttempts:
		return ""
	case a.status == http.StatusTooManyRequests:
		return RetryRateLimited
	case a.status == 0 && !a.sent:
		return RetryNotSent
	case a.status == 0:
		return RetryNoResponse
	case v.err != nil:
		return RetryUnreadable
	case a.status/100 == 5:
		return RetryGatewayFailed
	default:
		return RetryUnderWay
	}
}

// loggedTokens sends the requests for tokens and records them. The gateway's code is logged with
// the attempt that needed the token.
type loggedTokens struct {
	gen.HttpRequestDoer
	logger    *slog.Logger
	observers *observe.Guard
}

func (l loggedTokens) Do(request *http.Request) (*http.Response, error) {
	begun := time.Now()
	number := tokenRequests.Add(1)
	activity := TokenRequest{Number: number, Server: request.URL.Host}
	ctx, span := observe.Begin(request.Context(), l.observers, activity)
	if span.IsObserved() {
		observe.NumberTokenRequest(ctx, number)
		request = request.WithContext(ctx)
	}
	response, err := l.HttpRequestDoer.Do(request)
	if err == nil {
		activity.Status = response.StatusCode
	}
	activity.Error, activity.Duration = failureOf(err), time.Since(begun)
	observe.End(span, activity)
	l.log(ctx, activity, err)
	return response, err
}

// tokenRequests counts the requests for tokens of the process.
var tokenRequests atomic.Int64

func (l loggedTokens) log(ctx context.Context, activity TokenRequest, err error) {
	if !l.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	line := attributes{slog.String("event", "token.request"), slog.String("operation", OperationAuthToken), slog.Duration("duration", activity.Duration)}
	if err != nil {
		line.add("error", redact.Error(err).Error())
	} else {
		line = append(line, slog.Int("status", activity.Status))
	}
	l.logger.LogAttrs(ctx, slog.LevelDebug, "connectpsp: token request", line...)
}
