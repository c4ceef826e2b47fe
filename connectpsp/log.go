package connectpsp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
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
		slog.String("operation", call.operation.ID),
		slog.String("method", call.operation.Method),
		slog.String("path", strings.Replace(call.operation.Path, "{id}", call.id(), 1)),
		slog.Int("status", a.status),
		slog.Int("attempt", p.attempts),
		slog.Duration("duration", a.duration),
		slog.String("outcome", wordOf(v)),
	}
	line.add("idempotencyKey", call.payment.IdempotencyKey)
	line.add("externalReference", call.payment.ExternalReference)
	if v.refusal != nil {
		line.add("code", string(v.refusal.Code.printable()))
	}
	line.add("error", kindOf(a, v))
	line.add("retry", c.retryReason(p, a))
	c.logger.LogAttrs(ctx, slog.LevelDebug, "connectpsp: attempt", line...)
}

// logUnknown records a call that ends with an unknown outcome. Methods defer it, so that it sees
// the error they return.
func (c *Client) logUnknown(ctx context.Context, err *error) {
	if errors.Is(*err, ErrUnknownOutcome) && c.logger.Enabled(ctx, slog.LevelError) {
		var line attributes
		line.describe(*err)
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
		outcome := "rejected"
		switch {
		case one.Err == nil:
			outcome = "accepted"
		case errors.Is(one.Err, ErrUnknownOutcome):
			outcome = "unknown"
		case errors.Is(one.Err, ErrNotSent):
			outcome = "not sent"
		}
		line := attributes{slog.String("outcome", outcome)}
		if one.Err != nil {
			line.describe(one.Err)
		} else {
			line.add("operation", one.Operation)
			line.add("idempotencyKey", one.IdempotencyKey)
			line.add("externalReference", one.ExternalReference)
			line.add("transactionId", one.TransactionID)
		}
		c.logger.LogAttrs(ctx, level, "connectpsp: recovered", line...)
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
		l.add("idempotencyKey", unknown.IdempotencyKey)
		l.add("externalReference", unknown.ExternalReference)
		l.add("transactionId", unknown.TransactionID)
		*l = append(*l, slog.Time("firstSentAt", unknown.FirstSentAt), slog.Int("status", unknown.StatusCode))
		refusal = unknown.Refusal
	case errors.As(err, &refusal):
		l.add("operation", refusal.Operation)
		l.add("idempotencyKey", refusal.IdempotencyKey)
		l.add("externalReference", refusal.ExternalReference)
		*l = append(*l, slog.Int("status", refusal.StatusCode))
	}
	if refusal != nil {
		l.add("code", string(refusal.Code.printable()))
	}
}

// wordOf returns the outcome that an attempt proves. A conflict proves none: it may be about this
// very payment.
func wordOf(v verdict) string {
	if v.refusal != nil && errors.Is(v.refusal, ErrUnknownOutcome) {
		return inDoubt.String()
	}
	return v.outcome.String()
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
func (c *Client) retryReason(p *callState, a attempt) string {
	switch v := p.verdict; {
	case v.renew && !p.renewed:
		return "token refused"
	case !v.again || p.tries >= c.retry.MaxAttempts:
		return ""
	case a.status == http.StatusTooManyRequests:
		return "rate limited"
	case a.status == 0 && !a.sent:
		return "not sent"
	case a.status == 0:
		return "no response"
	case v.err != nil:
		return "unreadable response"
	case a.status/100 == 5:
		return "gateway failed"
	default:
		return "still under way"
	}
}

// loggedTokens sends the requests for tokens and records them. The gateway's code is logged with
// the attempt that needed the token.
type loggedTokens struct {
	gen.HttpRequestDoer
	logger *slog.Logger
}

func (l loggedTokens) Do(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	if !l.logger.Enabled(ctx, slog.LevelDebug) {
		return l.HttpRequestDoer.Do(request)
	}
	begun := time.Now()
	response, err := l.HttpRequestDoer.Do(request)
	line := attributes{slog.String("operation", OperationAuthToken), slog.Duration("duration", time.Since(begun))}
	if err != nil {
		line.add("error", redact.Error(err).Error())
	} else {
		line = append(line, slog.Int("status", response.StatusCode))
	}
	l.logger.LogAttrs(ctx, slog.LevelDebug, "connectpsp: token request", line...)
	return response, err
}
