package connectpsp

import (
	"cmp"
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

// progress is what a call knows of its attempts so far, and of an earlier call with the same key.
type progress struct {
	call     call
	begun    time.Time
	attempts int
	tries    int  // attempts that count against the policy: all but the one with a renewed token
	renewed  bool // the access token was changed once already

	recorded  bool     // the journal has it that the payment is being sent
	chargeIDs []string // of the charge that is refunded, nil if it was not read
	// chargeUnread says that it could not be read, and compared that a rejection was compared with
	// refunds under other ids.
	chargeUnread, compared bool

	sent        int       // attempts that may have reached the gateway
	first, last time.Time // of these, or of the earlier call's
	status      int
	// doubt is sticky: once an attempt may have been executed, no refusal of a later one proves
	// that it was not.
	doubt         bool
	doubtErr      error
	transactionID string
	bodySHA256    string // of an earlier call, if that is what the error is about
	clientID      string // who makes the call, or made the earlier one, of which gateway
	baseURL       string
	refusal       *APIError // the last one, such as for too many requests
	verdict       verdict   // of the last attempt
}

func (c *Client) newProgress(call call) *progress {
	p := &progress{call: call, begun: time.Now(), transactionID: call.transactionID, clientID: c.clientID, baseURL: c.baseURL}
	if doubted := call.doubted; doubted != nil {
		p.doubt, p.doubtErr = true, errEarlierCall
		p.sent, p.first, p.last = doubted.Attempts, doubted.FirstSentAt, doubted.LastSentAt
		p.transactionID = doubted.TransactionID
	}
	return p
}

// persist makes attempts until one is accepted, none may follow or ctx ends, and reports the
// outcome of all of them.
func (c *Client) persist(ctx context.Context, p *progress) error {
	retried := int32(0) // what the last retry took from the budget
	for {
		a := c.attempt(ctx, p)
		v := classify(p.call, a)
		a.forget() // what it said is in v
		p.note(a, v)
		c.log(ctx, p, a)
		if v.outcome == accepted || v.outcome == refused && !v.again {
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

// note adds an attempt to what is known.
func (p *progress) note(a attempt, v verdict) {
	p.attempts++
	p.tries++
	p.verdict = v
	if a.sent {
		p.sent++
		p.last = a.begun
		if p.first.IsZero() {
			p.first = a.begun
		}
	}
	if a.status != 0 {
		p.status = a.status
	}
	if checkID(v.transactionID) == nil { // else it cannot be read by it, and may be anything
		p.transactionID = v.transactionID
	}
	if v.outcome == refused {
		p.refusal = v.answer
	}
	// Of a request that was sent twice only one answer was heard. And a conflict says that
	// something exists under the reference or key, which no later answer unsays.
	if v.outcome == doubtful || a.replayed && v.outcome != accepted || v.answer != nil && v.answer.conflict() && (v.again || v.renew) {
		p.doubt = true
		p.doubtErr = v.err
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

// upTo draws a wait of at most bound at random.
func upTo(bound time.Duration) time.Duration { return rand.N(bound + 1) }

// wait returns how long to wait before the next attempt, or an error if it would come too late to
// be made.
func (c *Client) wait(ctx context.Context, p *progress) (time.Duration, error) {
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

// report turns what is known into the error of the call. Ended says why no further attempt was
// made, nil if the last one left no reason for another.
func (p *progress) report(ended error) error {
	answer := p.verdict.answer
	switch {
	case p.doubt && p.call.operation.money:
		return p.unknown(ended)
	case p.verdict.outcome == unsent && p.refusal != nil:
		// An earlier attempt was sent and refused. That it could not be repeated is the smaller
		// news.
		p.refusal.Err = joinCauses(ended, p.verdict.err)
		return p.refusal
	case answer != nil:
		if answer.Err == nil {
			answer.Err = ended
		}
		return answer
	case p.verdict.outcome == unsent:
		return &APIError{
			Operation:         p.call.operation.id,
			IdempotencyKey:    p.call.key,
			ExternalReference: p.call.externalReference,
			Err:               &notSentError{joinCauses(ended, p.verdict.err)},
		}
	default:
		return fmt.Errorf("connectpsp: %s: no readable answer after %d attempts; it is safe to read again: %w",
			p.call.operation.id, p.sent, joinCauses(ended, p.verdict.err))
	}
}

func (p *progress) unknown(ended error) *UnknownOutcomeError {
	e := &UnknownOutcomeError{
		Operation:         p.call.operation.id,
		IdempotencyKey:    p.call.key,
		ExternalReference: p.call.externalReference,
		Amount:            p.call.amount,
		BodySHA256:        cmp.Or(p.bodySHA256, p.call.sum()),
		ClientID:          p.clientID,
		BaseURL:           p.baseURL,
		TransactionID:     p.transactionID,
		FirstSentAt:       p.first,
		LastSentAt:        p.last,
		Attempts:          p.sent,
		StatusCode:        p.status,
		Err:               joinCauses(ended, p.doubtErr),
	}
	if open := (*openError)(nil); errors.As(ended, &open) {
		e.Err = ended // says more than that an earlier call was sent
	}
	if e.FirstSentAt.IsZero() {
		e.FirstSentAt = p.begun // nothing was sent yet, and the payment is open for another reason
	}
	if answer := p.verdict.answer; answer != nil {
		e.RetryAfter = answer.RetryAfter
		if p.verdict.outcome == refused || answer.conflict() {
			e.Refusal = answer
		}
	}
	if p.verdict.outcome == unsent {
		e.Err = joinCauses(e.Err, p.verdict.err)
	}
	return e
}

// joinCauses joins two causes of which either may be nil.
func joinCauses(first, second error) error {
	switch {
	case first == nil || errors.Is(second, first):
		return second
	case second == nil:
		return first
	default:
		return fmt.Errorf("%w (%w)", first, second)
	}
}
