package connectpsp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	longestRetryAfter = 30 * time.Second // a gateway that asks for more is not waited for
	longestCall       = 90 * time.Second // no attempt begins later than this after the first
)

// persist makes attempts until one is accepted, none may follow or ctx ends, and reports the
// outcome of all of them.
func (c *Client) persist(ctx context.Context, p *callState) error {
	retried := int32(0) // taken from the budget by the last retry
	for {
		a := c.attempt(ctx, p)
		v := classify(p.call, a)
		a.release() // v has the content
		p.note(a, v)
		c.log(ctx, p, a)
		if v.outcome == accepted || v.outcome == rejected && !v.again {
			c.retries.put(max(1, retried)) // the gateway is well
		}
		if v.outcome == accepted {
			return nil
		}
		if v.renew && !p.renewed && c.changeToken(ctx, a, v) {
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
	if v.answer.Code != CodeInvalidSignature {
		c.tokens.Invalidate(a.token)
		return true
	}
	token, err := c.tokens.Token(ctx)
	return err == nil && token.Reveal() != a.token.Reveal()
}

// fullJitter draws a wait of at most bound at random.
func fullJitter(bound time.Duration) time.Duration { return rand.N(bound + 1) }

// wait returns how long to wait before the next attempt, or an error if it would come too late to
// be made.
func (c *Client) wait(ctx context.Context, p *callState) (time.Duration, error) {
	bound := c.retry.BaseDelay
	for n := 1; n < p.tries && bound < c.retry.MaxDelay; n++ {
		bound = min(2*bound, c.retry.MaxDelay)
	}
	wait := max(c.jitter(bound), min(p.verdict.pause, c.retry.MaxDelay))
	if answer := p.verdict.answer; answer != nil {
		if answer.RetryAfter > longestRetryAfter {
			return 0, fmt.Errorf("the gateway asks to wait %v", answer.RetryAfter)
		}
		wait = max(wait, answer.RetryAfter)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return 0, fmt.Errorf("the next attempt would come too late: %w", context.DeadlineExceeded)
	}
	if time.Since(p.begun)+wait > longestCall {
		return 0, fmt.Errorf("no answer that settles it within %v", longestCall)
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
