package connectpsp

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/internal/jitter"
)

const (
	longestRetryAfter = 30 * time.Second // a gateway that asks for more is not waited for
	longestCall       = 90 * time.Second // no attempt begins later than this after the first
)

// sendUntilSettled makes attempts until one is accepted, none may follow or ctx ends, and reports
// the outcome of all of them.
func (c *Client) sendUntilSettled(ctx context.Context, p *callState) error {
	retried := int32(0) // taken from the budget by the last retry
	for {
		a := c.attempt(ctx, p)
		v := classify(p.call, a)
		p.note(a, v)
		c.log(ctx, p, a)
		c.endAttempt(a, v)
		p.call.reason = c.retryReason(p, a)
		if v.outcome == accepted || v.outcome == rejected && !v.again {
			c.retries.put(max(1, retried)) // the gateway is well
		}
		if v.outcome == accepted {
			return nil
		}
		if v.renew && !p.renewed && time.Since(p.begun) <= longestCall && c.changeToken(ctx, a, v) {
			p.renewed = true
			p.tries--
			continue
		}
		if !v.again || p.tries >= c.retry.MaxAttempts {
			return p.report(nil)
		}
		wait, err := c.wait(ctx, p)
		if err == nil {
			err = sleep(ctx, wait)
		}
		if err != nil {
			return p.report(err)
		}
		retried = retryCost
		if errors.Is(a.err, context.DeadlineExceeded) {
			retried = timeoutRetryCost
		}
		if !c.retries.take(retried) {
			return p.report(errBudgetSpent)
		}
	}
}

// changeToken reports whether the call should be repeated with another access token. After a 401
// exactly the token that was refused is dropped. A refused signature is right for its token by
// construction, so only a token that has changed since gives hope.
func (c *Client) changeToken(ctx context.Context, a attempt, v verdict) bool {
	if v.refusal.Code != CodeInvalidSignature {
		c.tokens.Invalidate(a.token)
		return true
	}
	token, err := c.tokens.Token(ctx)
	return err == nil && token.Reveal() != a.token.Reveal()
}

// wait returns how long to wait before the next attempt, or an error if it would come too late to
// be made.
func (c *Client) wait(ctx context.Context, p *callState) (time.Duration, error) {
	bound := c.retry.BaseDelay
	for n := 1; n < p.tries && bound < c.retry.MaxDelay; n++ {
		bound = min(2*bound, c.retry.MaxDelay)
	}
	wait := max(jitter.Draw(ctx, bound), min(p.verdict.pause, c.retry.MaxDelay))
	if refusal := p.verdict.refusal; refusal != nil {
		if refusal.RetryAfter > longestRetryAfter {
			return 0, fmt.Errorf("the gateway asks to wait %v", refusal.RetryAfter)
		}
		wait = max(wait, refusal.RetryAfter)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return 0, fmt.Errorf("the next attempt would come too late: %w", context.DeadlineExceeded)
	}
	if time.Since(p.begun)+wait > longestCall {
		return 0, fmt.Errorf("no response that settles it within %v", longestCall)
	}
	return wait, nil
}

// sleep waits for d or until ctx ends, whichever is first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// budget keeps retries from making a storm of an outage: a client that only meets failures soon
// stops repeating, and starts again as its calls succeed. It holds tokens. A retry takes some and,
// if it succeeds, puts them back; a call that succeeds at once adds one.
type budget struct{ spent atomic.Int32 }

const (
	budgetSize       = 500
	retryCost        = 5
	timeoutRetryCost = 10 // a gateway that is too slow is overloaded
)

var errBudgetSpent = errors.New("too many calls of this client fail, so it was not repeated")

// take takes the cost of a retry and reports whether the bucket held as much.
func (b *budget) take(cost int32) bool {
	for {
		spent := b.spent.Load()
		if spent+cost > budgetSize {
			return false
		}
		if b.spent.CompareAndSwap(spent, spent+cost) {
			return true
		}
	}
}

// put puts tokens back. There are never more than at first.
func (b *budget) put(tokens int32) {
	for {
		spent := b.spent.Load()
		if spent == 0 || b.spent.CompareAndSwap(spent, max(0, spent-tokens)) {
			return
		}
	}
}
