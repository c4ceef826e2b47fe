package connectpsp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	errUnderWay     = errors.New("another call for this payment is under way, and its outcome is the payment's")
	errEarlierCall  = errors.New("an earlier call for this payment was sent")
	errSettled      = errors.New("another call has settled it")
	errOtherRequest = &openError{"an earlier call for this payment, or with this idempotency key, had another request", nextSameRequest}
	errOtherKey     = &openError{"an earlier call for this payment had another idempotency key or attempt number", nextSameRequest}
	errOtherGateway = &openError{"an earlier call for this payment had another ClientID or BaseURL", nextItsClient}
)

// pay makes a call that carries an idempotency key: after any other for the same payment, and with
// the same key, and keeps the journal.
func (c *Client) pay(ctx context.Context, p *callState) (err error) {
	intent := c.intentOf(p.call, p.begun)
	if p.call.recovering {
		own, _ := locks.take(c.lockOf(intent), &intent)
		if own == nil {
			return errSettled // or it will be
		}
		return c.payLocked(ctx, p, own)
	}
	own, err := c.lock(ctx, p, &intent)
	if own == nil {
		return err
	}
	return c.payLocked(ctx, p, own)
}

// lock waits for the calls of the same payment. Without the lock it returns the error to report: a
// rejection of the call that it waited for is this call's too.
func (c *Client) lock(ctx context.Context, p *callState, intent *Intent) (*paymentLock, error) {
	var rejected error
	own, others, err := locks.wait(ctx, c.lockOf(*intent), intent, func(heard error) bool {
		if !p.doubt {
			rejected = heard
		}
		return !p.doubt
	})
	switch {
	case err != nil:
		if !p.doubt {
			p.first = locks.firstSent(others)
			if others.intent.IdempotencyKey != "" {
				p.about(others.intent)
			}
		}
		p.doubtErr = errUnderWay
		return nil, p.unknown(err)
	case own == nil:
		return nil, copyOf(rejected)
	}
	return own, nil
}

// copyOf returns a rejection for another caller, who may change it.
func copyOf(rejected error) error {
	if refusal, ok := rejected.(*APIError); ok {
		copied := *refusal
		return &copied
	}
	return rejected
}

// left is for how much longer a payment may be sent again on the SDK's own account: as long as the
// gateway surely knows its key. A first sending in the future says that the clock was set back, and
// that nothing is known.
func (c *Client) left(first time.Time) time.Duration {
	now := time.Now()
	// The monotonic clock stands still while a machine sleeps, and the other may be set.
	age := max(now.Sub(first), now.Round(0).Sub(first.Round(0)))
	if age < -time.Minute {
		return 0
	}
	return c.window - age
}

// payLocked makes the call under the lock of its payment, which it releases.
func (c *Client) payLocked(ctx context.Context, p *callState, own *paymentLock) (err error) {
	defer func() { locks.release(own, err) }() // also if a journal or a transport panics
	err = c.attemptLocked(ctx, p, own)
	if isRejection(err) && p.call.operation.ID == OperationRefundCashIn && !p.compared {
		err = c.checkOtherName(ctx, p, err)
	}
	return err
}

// notBegun returns the error of a call that ended before the journal was asked to begin it: it was
// not sent, and an earlier one may have been.
func (c *Client) notBegun(ctx context.Context, p *callState, err error) error {
	earlier, failure := c.find(ctx, c.intentOf(p.call, p.begun))
	p.verdict = verdict{outcome: notSent, err: err}
	switch {
	case failure != nil:
		p.doubtErr = journalSilent(failure)
	case earlier != nil:
		p.inherit(earlier)
		p.about(earlier)
	}
	p.doubt = p.doubt || failure != nil
	return p.report(nil)
}

// journalSilent is why nobody knows whether an earlier call was sent.
func journalSilent(err error) error {
	return fmt.Errorf("the journal cannot say whether an earlier call was sent: %w", err)
}

// attemptLocked makes the call under the lock of its payment.
func (c *Client) attemptLocked(ctx context.Context, p *callState, own *paymentLock) error {
	// Two payments with one key: the journal holds one intent for each key.
	key, _, err := locks.wait(ctx, lockName{journal: c.scope, key: p.call.key}, nil, nil)
	if err != nil {
		return c.notBegun(ctx, p, err)
	}
	defer locks.release(key, nil)

	earlier, err := c.begin(ctx, p, own)
	locks.sentAt(own, p.first)
	if err != nil {
		return err
	}
	switch {
	case !p.call.recovering:
	case earlier == nil:
		// Begin has replaced a rejected attempt. If it cannot be taken out it is found
		// again.
		_ = c.journal.Finish(ctx, p.call.key, OutcomeRejected, "")
		return errSettled
	case earlier.Outcome != "":
		return errSettled
	}
	if earlier != nil && p.call.operation.ID == OperationRefundCashIn && c.left(p.first) <= 0 {
		return p.unknown(errTooLate) // no reference of the gateway keeps a second refund from being made
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
	return c.finish(ctx, p, c.persist(ctx, p))
}

// begin records the intent, and takes over the doubt about an earlier call for the same payment.
func (c *Client) begin(ctx context.Context, p *callState, own *paymentLock) (earlier *Intent, err error) {
	call := p.call
	intent := c.intentOf(call, p.begun)
	if call.doubted != nil && !call.recovering {
		intent.SentAt = p.first.UTC() // the journal may not know of the earlier call, and Recover must not call this unsent
	}
	if call.operation.ID == OperationRefundCashIn && call.doubted == nil {
		begun, err := c.lockCharge(ctx, p, own)
		if err != nil {
			return nil, err
		}
		defer begun()
	}
	earlier, err = c.journal.Begin(ctx, intent)
	earlier = ifSent(earlier)
	if err != nil && earlier == nil {
		var failure error
		if earlier, failure = c.find(ctx, intent); failure != nil {
			p.doubtErr = notRecorded(err)
			return nil, p.unknown(journalSilent(failure))
		}
	}
	if earlier != nil {
		if call.recovering && earlier.IdempotencyKey != call.key {
			return nil, errSettled // by the attempt that came after it
		}
		p.recorded = true
		p.inherit(earlier)
		if differs := c.differs(call, intent, earlier); differs != nil {
			return nil, p.about(earlier).unknown(differs)
		}
	}
	if err != nil {
		if earlier == nil && !p.doubt {
			// The intent may have been written all the same, or be written later.
			_ = c.journal.Finish(ctx, call.key, OutcomeRejected, "")
		}
		p.verdict = verdict{outcome: notSent, err: notRecorded(err)}
		return nil, p.report(nil)
	}
	return earlier, nil
}

// intentOf describes a call for the journal.
func (c *Client) intentOf(call call, begun time.Time) Intent {
	intent := c.identify(call)
	intent.Body, intent.BodySHA256, intent.BegunAt = call.body, sumOf(call.body), begun.UTC()
	return intent
}

// identify returns the identity of a call's payment. A call without a key sets a state and makes no
// payment: its body does not belong to the identity.
func (c *Client) identify(call call) Intent {
	identity := Intent{
		Operation:         call.operation.ID,
		IdempotencyKey:    call.key,
		ExternalReference: call.externalReference,
		ChargeID:          call.transactionID,
		TransactionID:     call.transactionID,
		Amount:            call.amount,
		ClientID:          c.clientID,
		BaseURL:           c.baseURL,
	}
	if call.operation.Keyed {
		identity.Body = call.body
	}
	return identity
}

// differs returns why a call cannot be a repetition of an earlier one, nil if it is one. Of an
// accepted payment the body may be forgotten.
func (c *Client) differs(call call, intent Intent, earlier *Intent) error {
	switch {
	case !c.owns(earlier.ClientID, earlier.BaseURL):
		return errOtherGateway
	case earlier.Payment() != intent.Payment() || earlier.Amount != call.amount:
		return errOtherRequest
	case earlier.IdempotencyKey != call.key:
		return errOtherKey
	case earlier.Outcome == "" && !bytes.Equal(earlier.Body, call.body):
		return errOtherRequest
	case earlier.Outcome == "" && cmp.Or(earlier.ChargeID, earlier.TransactionID) != call.transactionID:
		return errOtherRequest
	case earlier.Outcome != "" && earlier.BodySHA256 != "" && earlier.BodySHA256 != sumOf(call.body):
		return errOtherRequest
	}
	return nil
}

// owns reports whether an intent or an error of this ClientID and base URL is of this client's
// integration and gateway.
func (c *Client) owns(clientID, baseURL string) bool {
	return clientID == c.clientID && (baseURL == c.baseURL || normalURL(baseURL) == c.baseURL)
}

// ifSent drops an intent that was never sent: a journal need not tell of it.
func ifSent(intent *Intent) *Intent {
	if intent != nil && intent.SentAt.IsZero() && intent.Outcome == "" {
		return nil
	}
	return intent
}

// invalid returns the error of a call that was found faulty before it was made: err, unless another
// call may have made the payment. A fault of this request says nothing about that.
func (c *Client) invalid(ctx context.Context, call call, err error) (reported error) {
	intent := c.intentOf(call, time.Now())
	if !call.operation.Keyed || call.externalReference == "" && call.transactionID == "" {
		return err
	}
	p := c.newCallState(call)
	own, failure := c.lock(ctx, p, &intent)
	if own == nil {
		return failure
	}
	defer func() { locks.release(own, reported) }()
	earlier, failure := c.find(ctx, intent)
	if earlier == nil && failure == nil {
		if call.operation.ID == OperationRefundCashIn && checkID(call.transactionID) == nil {
			err = c.checkOtherName(ctx, p, err)
		}
		return err
	}
	if earlier != nil {
		p.inherit(earlier)
		p.about(earlier)
	}
	p.doubtErr = nil // the fault says more
	return p.unknown(&faultError{err, failure})
}

// find looks for an earlier call for the same payment, also when ctx has ended: an open payment
// must be found then, too.
func (c *Client) find(ctx context.Context, intent Intent) (*Intent, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	earlier, err := c.journal.Find(ctx, intent)
	return ifSent(earlier), err
}

// faultError is the fault of a call for a payment that may have been made. It hides the fault from
// errors.Is and errors.As, which would find [ErrNotSent], and leaves the journal's failure, if any,
// to be found.
type faultError struct{ fault, journal error }

func (e *faultError) Error() string {
	text := strings.TrimPrefix(e.fault.Error(), ErrNotSent.Error()+": ")
	if e.journal != nil {
		text += "; the journal cannot say whether an earlier call was sent: " + e.journal.Error()
	}
	return text
}

func (e *faultError) Unwrap() error { return e.journal }

// announce records that the call is about to be sent. Only the first attempt does.
func (c *Client) announce(ctx context.Context, p *callState) error {
	if p.recorded || !p.call.operation.Keyed {
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

// readable returns an id that a transaction can be read by, or nothing: a response may hold
// anything.
func readable(id string) string {
	if checkID(id) != nil {
		return ""
	}
	return id
}

// finish records the outcome of a call, and returns the error to report: err, unless that is a
// rejection that could not be recorded. The intent stays then, and [Client.Recover] could still
// send it, or report it a second time.
func (c *Client) finish(ctx context.Context, p *callState, err error) error {
	key, outcome := p.call.key, OutcomeRejected
	switch {
	case err == nil:
		outcome = OutcomeAccepted
	case errors.Is(err, ErrUnknownOutcome):
		return err
	case p.call.operation.ID == OperationRefundCashIn:
		if err = c.checkOtherName(ctx, p, err); errors.Is(err, errOtherID) {
			_ = c.journal.Finish(ctx, key, outcome, "") // this attempt was rejected; if that fails it is found again
		}
		if errors.Is(err, ErrUnknownOutcome) {
			return err
		}
	}
	failure := c.journal.Finish(ctx, key, outcome, p.subject.TransactionID)
	if failure == nil || err == nil {
		return err
	}
	p.doubtErr = fmt.Errorf("the journal could not record the rejection, so that it may be sent again: %w", failure)
	return p.unknown(nil)
}

// accept records that a payment was found to be accepted, and since when it was open. It waits for
// others that work on it. If it fails the payment stays open, and is found again.
func (c *Client) accept(ctx context.Context, call call, first time.Time, transactionID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	intent := c.intentOf(call, first)
	intent.SentAt = first.UTC()
	own, _, err := locks.wait(ctx, c.lockOf(intent), &intent, nil)
	if err != nil {
		return
	}
	defer locks.release(own, nil)
	earlier, err := c.journal.Begin(ctx, intent)
	switch {
	case err != nil, earlier != nil && (earlier.Outcome != "" || earlier.Payment() != intent.Payment()):
		return
	case earlier != nil:
		intent = *earlier
	}
	_ = c.journal.Finish(ctx, intent.IdempotencyKey, OutcomeAccepted, readable(transactionID))
}
