package connectpsp

import (
	"context"
	"log/slog"
	"strings"
)

// log records an attempt. It writes only what is listed here: no header, no body and no error text, for all of those may hold
// secrets or personal data.
func (c *Client) log(ctx context.Context, p *progress, a attempt) {
	if c.logger == nil || !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	call := p.call
	attributes := []slog.Attr{
		slog.String("operation", call.operation.id),
		slog.String("method", call.operation.method),
		slog.String("path", strings.Replace(call.operation.path, "{id}", call.transactionID, 1)),
		slog.Int("status", a.status),
		slog.Int("attempt", p.attempts),
		slog.Duration("duration", a.duration),
		slog.String("outcome", p.verdict.outcome.String()),
	}
	if call.key != "" {
		attributes = append(attributes, slog.String("idempotencyKey", call.key))
	}
	if call.externalReference != "" {
		attributes = append(attributes, slog.String("externalReference", call.externalReference))
	}
	c.logger.LogAttrs(ctx, slog.LevelDebug, "connectpsp attempt", attributes...)
}
