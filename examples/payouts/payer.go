package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/riverqueue/river"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// How long a withdrawal waits until River gives it to a worker again.
const (
	soon        = 5 * time.Second   // payouts are stopped, or the rate limit is reached
	later       = 30 * time.Second  // nothing was sent, or an outcome could not be recorded
	whenDoubted = 125 * time.Second // the outcome is unknown; the process that called has the payment for two minutes
	whenLost    = 10 * time.Minute  // the outcome is unknown, and only a webhook can tell it
)

// replayWindow is for how long a payment of unknown outcome is sent again, with the same
// idempotency key. For how long the gateway remembers the key is not published; this is the SDK's
// default.
const replayWindow = 20 * time.Minute

// payer pays withdrawals. It is the worker of the job [payout].
//
// Its jobs end when the gateway has accepted or rejected the payment for certain. Everything else
// is snoozed, which counts no attempt: a job that fails is discarded some day, and a cancelled one
// at once, while the money may have moved.
type payer struct {
	river.WorkerDefaults[payout]
	client     *connectpsp.Client
	books      *books
	stop       *stopSwitch
	rate       *rateLimiter
	timeouts   timeouts
	webhookURL string
	logger     *slog.Logger
}

// Work implements [river.Worker].
func (p *payer) Work(ctx context.Context, job *river.Job[payout]) error {
	reference := job.Args.Reference
	again, err := p.pay(ctx, reference)
	if err != nil {
		p.logger.WarnContext(ctx, "the withdrawal is tried again", "external_reference", reference, "in", again, "error", err)
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// pay pays a withdrawal, and returns when to try again: zero if there is nothing left to do.
func (p *payer) pay(ctx context.Context, reference string) (again time.Duration, err error) {
	if err := p.await(ctx); err != nil {
		return soon, err
	}
	c, err := p.books.claim(ctx, reference)
	switch {
	case errors.Is(err, errDone):
		return 0, nil
	case err != nil:
		return later, err
	case c.doubtFor > replayWindow:
		return whenLost, errors.New("the outcome is unknown and the gateway may have forgotten the idempotency key: " +
			"wait for the webhook, or ask the provider")
	}
	c.request.WebhookURL = p.webhookURL
	payment, err := p.send(ctx, c)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeouts.book) // the job may have ended by now
	defer cancel()
	return p.book(ctx, c, payment, err)
}

// await waits until payouts are not stopped and the rate limit lets one more pass.
func (p *payer) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeouts.wait)
	defer cancel()
	if err := p.stop.wait(ctx); err != nil {
		return err
	}
	return p.rate.wait(ctx)
}

// send makes the call. The idempotency key is derived from the reference, so that a further call,
// by any process, is the same payment.
func (p *payer) send(ctx context.Context, c *claim) (*connectpsp.CashOut, error) {
	ctx, end := p.stop.guard(ctx)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, p.timeouts.call)
	defer cancel()
	return p.client.CreateCashOut(withClaim(ctx, c), c.request, connectpsp.WithDueBy(c.dueBy))
}

// book records the outcome of a call.
func (p *payer) book(ctx context.Context, c *claim, payment *connectpsp.CashOut, outcome error) (again time.Duration, err error) {
	switch {
	case outcome == nil && c.accepted: // it may still end as FAILED
	case outcome == nil: // the journal could not record it
		err = p.books.accepted(ctx, c.reference, payment.TransactionID)
	case errors.Is(outcome, connectpsp.ErrUnknownOutcome): // not failed: the money stays debited
		return whenDoubted, errors.Join(outcome, p.books.doubted(ctx, c.reference, sinceFirstSent(outcome)))
	case !concernsWithdrawal(outcome):
		return later, outcome
	default: // certain: nothing was paid, and nothing will be
		err = p.books.rejected(ctx, c, reasonOf(outcome))
	}
	if err != nil {
		return later, err // the next call has the same outcome
	}
	return 0, nil
}

// sinceFirstSent returns how long ago a payment of unknown outcome was first sent.
func sinceFirstSent(outcome error) time.Duration {
	var unknown *connectpsp.UnknownOutcomeError
	if errors.As(outcome, &unknown) && !unknown.FirstSentAt.IsZero() {
		return time.Since(unknown.FirstSentAt)
	}
	return 0
}

// concernsWithdrawal reports whether a certain rejection is about this withdrawal. One that was not
// sent, that is not authorised or that came too fast is not: the same request may be accepted
// later.
func concernsWithdrawal(rejection error) bool {
	var refusal *connectpsp.APIError
	if !errors.As(rejection, &refusal) {
		return true // a ValidationError
	}
	return !errors.Is(refusal, connectpsp.ErrNotSent) && !errors.Is(refusal, connectpsp.CodeInvalidSignature) &&
		refusal.StatusCode != http.StatusUnauthorized && refusal.StatusCode != http.StatusTooManyRequests
}

// reasonOf returns why a payment was rejected, without personal data.
func reasonOf(rejection error) string {
	var refusal *connectpsp.APIError
	if errors.As(rejection, &refusal) {
		return cmp.Or(string(refusal.Code), fmt.Sprintf("status %d", refusal.StatusCode))
	}
	return rejection.Error()
}
