package connectpsp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	errUnderWay     = errors.New("another call with this idempotency key is under way in this client, and its outcome is the payment's")
	errEarlierCall  = errors.New("an earlier call with this idempotency key was sent")
	errOtherRequest = errors.New("this call was not sent: an earlier one with this idempotency key is open, and it had another request")
	errSettled      = errors.New("another call has settled it")
	errOtherGateway = errors.New("this call was not sent: the journal holds this idempotency key for another ClientID or BaseURL")
)

// pay makes a call that carries an idempotency key, after any other with the same key, and keeps the journal.
func (c *Client) pay(ctx context.Context, p *progress) error {
	key := p.call.key
	if p.call.doubted != nil && c.left(p.first) <= 0 {
		return p.unknown(errTooLate)
	}
	for {
		own, others := c.turns.take(key)
		switch {
		case own != nil:
			return c.payInTurn(ctx, p, own)
		case p.call.recovering:
			return errSettled
		}
		if err := others.wait(ctx); err != nil {
			if !p.doubt {
				p.first = c.turns.firstSent(others)
			}
			p.doubtErr = errUnderWay
			return p.unknown(err)
		}
		if others.refusal != nil && !p.doubt {
			refusal := *others.refusal
			return &refusal
		}
	}
}

// left is for how much longer a payment may be sent again on the SDK's own account: as long as the gateway surely knows its
// key. A first sending in the future says that the clock was set back, and that nothing is known.
func (c *Client) left(first time.Time) time.Duration {
	now := time.Now()
	// The monotonic clock stands still while a machine sleeps, and the other may be set.
	age := max(now.Sub(first), now.Round(0).Sub(first.Round(0)))
	if age < -time.Minute {
		return 0
	}
	return c.window - age
}

// payInTurn makes the call while its key is nobody else's, and gives the turn back.
func (c *Client) payInTurn(ctx context.Context, p *progress, own *turn) error {
	var refusal *APIError
	defer func() { c.turns.end(p.call.key, own, refusal) }()
	earlier, err := c.begin(ctx, p)
	c.turns.inherit(own, p.first)
	if err != nil {
		return err
	}
	switch {
	case !p.call.recovering:
	case earlier == nil:
		// Begin has written anew what was rejected since. If it cannot be taken out it is found again.
		_ = c.journal.Finish(ctx, p.call.key, OutcomeRejected, "")
		return errSettled
	case earlier.Outcome != "":
		return errSettled
	}
	if p.call.doubted != nil {
		left := c.left(p.first)
		if left <= 0 {
			return p.unknown(errTooLate)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, left)
		defer cancel()
	}
	err = c.finish(ctx, p, c.persist(ctx, p))
	if !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrNotSent) {
		errors.As(err, &refusal)
	}
	return err
}

// begin records the intent, and takes over what is known of an earlier call with the same key.
func (c *Client) begin(ctx context.Context, p *progress) (earlier *Intent, err error) {
	call := p.call
	intent := c.intentOf(call, p.begun)
	if call.doubted != nil && !call.recovering {
		intent.SentAt = p.first.UTC() // the journal may not know of the earlier call; whoever finds this must not call it unsent
	}
	earlier, err = c.journal.Begin(ctx, intent)
	earlier = ifSent(earlier)
	if err != nil && earlier == nil {
		var failure error
		if earlier, failure = c.find(ctx, c.intentOf(call, p.begun)); failure != nil {
			p.doubtErr = notRecorded(err)
			return nil, p.unknown(fmt.Errorf("this call was not sent, and whether an earlier one was is not known: %w", failure))
		}
	}
	if earlier != nil {
		p.recorded = true
		p.inherit(earlier)
		switch {
		case earlier.ClientID != c.clientID || earlier.BaseURL != c.baseURL:
			return nil, p.about(earlier).unknown(errOtherGateway)
		case !call.isAgain(earlier):
			return nil, p.about(earlier).unknown(errOtherRequest)
		}
	}
	if err != nil {
		p.verdict = verdict{outcome: unsent, err: notRecorded(err)}
		return nil, p.report(nil)
	}
	return earlier, nil
}

// intentOf describes a call for the journal.
func (c *Client) intentOf(call call, begun time.Time) Intent {
	return Intent{
		Operation:         call.operation.id,
		IdempotencyKey:    call.key,
		ExternalReference: call.externalReference,
		ChargeID:          call.transactionID,
		TransactionID:     call.transactionID,
		Amount:            call.amount,
		Body:              call.body,
		BodySHA256:        sumOf(call.body),
		ClientID:          c.clientID,
		BaseURL:           c.baseURL,
		BegunAt:           begun.UTC(),
	}
}

// isAgain reports whether a call is the same as an earlier one. Of one that was accepted the body may be forgotten, and its
// transaction is the gateway's.
func (call call) isAgain(earlier *Intent) bool {
	switch {
	case earlier.Operation != call.operation.id || earlier.Amount != call.amount:
		return false
	case earlier.Outcome == "":
		return bytes.Equal(earlier.Body, call.body) && earlier.TransactionID == call.transactionID
	default:
		return earlier.BodySHA256 == "" || earlier.BodySHA256 == sumOf(call.body)
	}
}

// ifSent drops an intent that was never sent: a journal need not tell of it.
func ifSent(intent *Intent) *Intent {
	if intent != nil && intent.SentAt.IsZero() && intent.Outcome == "" {
		return nil
	}
	return intent
}

// about makes an error tell of an earlier call, which is what has to be settled, and not of this one.
func (p *progress) about(earlier *Intent) *progress {
	p.call.operation.id, p.call.externalReference, p.call.amount = earlier.Operation, earlier.ExternalReference, earlier.Amount
	p.call.body, p.bodySHA256 = nil, earlier.BodySHA256
	if earlier.Body != nil {
		p.bodySHA256 = sumOf(earlier.Body)
	}
	p.clientID, p.baseURL = earlier.ClientID, earlier.BaseURL
	return p
}

// inherit makes the doubt about an earlier call that of this one.
func (p *progress) inherit(earlier *Intent) {
	if !p.doubt {
		p.doubt, p.doubtErr = true, errEarlierCall
	}
	if p.first.IsZero() || earlier.SentAt.Before(p.first) {
		p.first = earlier.SentAt
	}
	if p.last.IsZero() {
		p.last = earlier.SentAt
	}
	if earlier.TransactionID != "" {
		p.transactionID = earlier.TransactionID
	}
}

// invalid returns the error of a call that was found faulty before it was made: err, unless an earlier call with its key may
// have made the payment. A fault of this request says nothing about that.
func (c *Client) invalid(ctx context.Context, call call, err error) error {
	if call.key == "" {
		return err
	}
	earlier, failure := c.find(ctx, c.intentOf(call, time.Now()))
	if earlier == nil && failure == nil {
		return err
	}
	p := c.newProgress(call)
	if earlier != nil {
		p.inherit(earlier)
		p.about(earlier)
	}
	return p.unknown(&unsentError{both(err, failure)})
}

// find looks for an earlier call of the same payment, also when ctx has ended.
func (c *Client) find(ctx context.Context, intent Intent) (*Intent, error) {
	earlier, err := c.journal.Find(ctx, intent)
	return ifSent(earlier), err
}

// unsentError tells why a call was not sent, and hides that from errors.Is and errors.As: the payment may have been, earlier.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return "this call was not sent: " + e.err.Error() }

// announce records that the call is about to be sent. Only the first attempt does.
func (c *Client) announce(ctx context.Context, p *progress) error {
	if p.recorded || !p.call.operation.keyed {
		return nil
	}
	if err := c.journal.Sent(ctx, p.call.key, time.Now().UTC()); err != nil {
		return notRecorded(err)
	}
	p.recorded = true
	return nil
}

func notRecorded(err error) error {
	return fmt.Errorf("the journal could not record the payment: %w", err)
}

// finish records the outcome of a call, and returns the error to report: err, unless that is a rejection that could not be
// recorded. The intent stays then, and Recover could still send it, or report what was told long ago.
func (c *Client) finish(ctx context.Context, p *progress, err error) error {
	outcome := OutcomeRejected
	switch {
	case err == nil:
		outcome = OutcomeAccepted
	case errors.Is(err, ErrUnknownOutcome):
		return err
	}
	failure := c.journal.Finish(ctx, p.call.key, outcome, p.transactionID)
	if failure == nil || err == nil {
		return err
	}
	p.doubtErr = fmt.Errorf("the journal could not record the rejection, so that it may be sent again: %w", failure)
	return p.unknown(nil)
}

// accept records that a payment was found to be accepted, and since when it was open. It waits for others that work on it. If
// it fails the payment stays open, and is found again.
func (c *Client) accept(ctx context.Context, call call, first time.Time, transactionID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	for {
		own, others := c.turns.take(call.key)
		if own == nil {
			if others.wait(ctx) != nil {
				return
			}
			continue
		}
		defer c.turns.end(call.key, own, nil)
		intent := c.intentOf(call, first)
		intent.SentAt = first.UTC()
		if earlier, err := c.journal.Begin(ctx, intent); err == nil && (earlier == nil || earlier.Outcome == "") {
			_ = c.journal.Finish(ctx, call.key, OutcomeAccepted, transactionID)
		}
		return
	}
}
