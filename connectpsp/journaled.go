package connectpsp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// begin records the intent of a call in the journal. Its error says that the call must not be sent.
func (c *Client) begin(ctx context.Context, p *callState) error {
	call := p.call
	refund := call.operation.ID == OperationRefundCashIn
	if refund && call.doubted == nil {
		begun, err := c.lockCharge(ctx, p)
		if err != nil {
			return err
		}
		defer begun()
	}
	earlier, err := c.record(ctx, p)
	switch {
	case err != nil:
		return err
	case call.recovering && earlier == nil:
		// Begin has replaced a rejected attempt. If it cannot be taken out it is found again.
		_ = c.journal.Finish(ctx, call.payment.IdempotencyKey, OutcomeRejected, "")
		return errSettled
	case call.recovering && earlier.Outcome != "":
		return errSettled
	case (call.doubted != nil || refund && earlier != nil) && c.left(p.first) <= 0:
		return p.unknown(errTooLate) // no reference of the gateway keeps a second refund from being made
	}
	return nil
}

// record records the intent, and takes over the doubt about an earlier call for the same payment.
func (c *Client) record(ctx context.Context, p *callState) (earlier *Intent, err error) {
	call, intent := p.call, p.call.payment
	if call.doubted != nil && !call.recovering {
		// The journal may not know of the earlier call, and Recover must not call this one unsent.
		intent.SentAt = p.first.UTC()
	}
	earlier, err = c.journal.Begin(ctx, intent)
	if err != nil && earlier == nil {
		var failure error
		if earlier, failure = c.find(ctx, intent); failure != nil {
			if err.Error() != failure.Error() { // else the cause is said once
				p.doubtErr = notRecorded(err)
			}
			return nil, p.unknown(journalSilent(failure))
		}
	}
	if earlier != nil && earlier.Outcome == OutcomeRejected {
		return nil, p.rejectedElsewhere(earlier)
	}
	if earlier != nil {
		if differs := c.follow(p, earlier); differs != nil {
			return nil, differs
		}
	}
	if err != nil {
		if earlier != nil || p.doubt {
			return nil, p.notSent(notRecorded(err))
		}
		// The intent may have been written all the same, or be written later, and another process may
		// have sent the payment since Find.
		if failure := c.journal.Finish(ctx, intent.IdempotencyKey, OutcomeRejected, ""); failure != nil {
			return nil, p.open(joinCauses(notRecorded(err), failure))
		}
		return nil, p.notSent(notRecorded(err))
	}
	return earlier, nil
}

// rejectedElsewhere returns the error of a call that waited for another process, which got a
// rejection for the payment: the same rejection, unless there is doubt about an earlier call.
func (p *callState) rejectedElsewhere(earlier *Intent) error {
	switch {
	case p.call.recovering:
		return errSettled
	case p.doubt:
		return p.unknown(errUnderWay)
	default:
		return rejectedBefore(*earlier)
	}
}

// follow takes over the doubt about an earlier call for the payment. Its error says that this call
// is no repetition of that one.
func (c *Client) follow(p *callState, earlier *Intent) error {
	if p.call.recovering && earlier.IdempotencyKey != p.call.payment.IdempotencyKey {
		return errSettled // by the attempt that came after it
	}
	p.ended = earlier.Outcome != ""
	p.inherit(earlier)
	locks.sentAt(p.lock, p.first)
	if differs := c.differs(p.call, earlier); differs != nil {
		return p.about(earlier).unknown(differs)
	}
	return nil
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

// announce records that the call is about to be sent. Each attempt does, because another process
// may have the payment by now.
func (c *Client) announce(ctx context.Context, p *callState) error {
	if p.ended || !p.call.operation.Keyed {
		return nil
	}
	if err := c.journal.Sent(ctx, p.call.payment.IdempotencyKey, time.Now().UTC()); err != nil {
		return notRecorded(err)
	}
	return nil
}

// finish records the outcome of a call, and returns the error to report: err, unless that is a
// rejection that could not be recorded. The intent stays then, and [Client.Recover] could still
// send it, or report it a second time.
func (c *Client) finish(ctx context.Context, p *callState, err error) error {
	key, outcome := p.call.payment.IdempotencyKey, OutcomeRejected
	switch {
	case err == nil:
		outcome = OutcomeAccepted
	case errors.Is(err, ErrUnknownOutcome):
		return err
	default:
		if err = c.checkRejection(ctx, p, err); errors.Is(err, errOtherID) {
			// This attempt was rejected. If it cannot be recorded it is found again.
			_ = c.journal.Finish(ctx, key, outcome, "")
		}
		if errors.Is(err, ErrUnknownOutcome) {
			return err
		}
	}
	failure := c.journal.Finish(ctx, key, outcome, p.transactionID)
	if failure == nil || err == nil {
		return err
	}
	what := "the rejection, so Recover may send it again"
	if errors.Is(err, ErrNotSent) {
		what = "that, so Recover may still send it"
	}
	if strings.Contains(err.Error(), failure.Error()) { // the cause is said once
		return p.open(errors.New("the journal could not record " + what))
	}
	return p.open(fmt.Errorf("the journal could not record %s: %w", what, failure))
}

// checkRejection returns the error of a call that was rejected: err, unless the payment may have
// been made by another call.
func (c *Client) checkRejection(ctx context.Context, p *callState, err error) error {
	if err = c.checkOtherName(ctx, p, err); !isRejection(err) {
		return err
	}
	id, accepted := locks.acceptedMeanwhile(p.lock)
	if !accepted {
		return err
	}
	p.transactionID = id
	if p.keyLock != nil { // else the key may be that of another payment, which is under way
		// A journal forgets a payment that ends and was not sent.
		intent := p.call.payment
		intent.SentAt = p.begun.UTC()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
		defer cancel()
		c.recordAccepted(ctx, intent, id)
	}
	return p.unknown(errReadAsAccepted)
}

// notBegun returns the error of a call that ended before the journal was asked to begin it: it was
// not sent, and an earlier one may have been.
func (c *Client) notBegun(ctx context.Context, p *callState, err error) error {
	earlier, failure := c.find(ctx, p.call.payment)
	switch {
	case failure != nil:
		p.doubt, p.doubtErr = true, journalSilent(failure)
	case earlier != nil:
		p.inherit(earlier)
		p.about(earlier)
	}
	return p.notSent(err)
}

// invalid returns the error of a call that was found faulty before it was made: err, unless another
// call may have made the payment. A fault of this request says nothing about that.
func (c *Client) invalid(ctx context.Context, call *call, err error) (reported error) {
	if !call.operation.Keyed || call.payment.reference() == "" {
		return err
	}
	p := c.newCallState(call)
	if failure := c.lockPayment(ctx, p); failure != nil {
		return failure
	}
	defer func() { p.unlock(reported) }()
	earlier, failure := c.find(ctx, p.call.payment)
	if earlier == nil && failure == nil {
		if checkID(call.id()) == nil {
			err = c.checkRejection(ctx, p, err)
		}
		return err
	}
	if earlier != nil {
		p.inherit(earlier)
		p.about(earlier)
	}
	p.doubtErr = nil // the fault says more
	if notSent := (*notSentError)(nil); errors.As(err, &notSent) {
		err = notSent.cause // without the advice to call again
	}
	return p.unknown(&faultError{err, failure})
}

// find looks for an earlier call for the same payment, also when ctx has ended: an open payment
// must be found then, too.
func (c *Client) find(ctx context.Context, payment Intent) (*Intent, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	return c.journal.Find(ctx, payment)
}

// accept records that a payment was found to be accepted, and since when it was open. It waits for
// a call that works on it, which may not report a rejection any more. If it fails the payment stays
// open, and is found again.
func (c *Client) accept(ctx context.Context, call *call, first time.Time, transactionID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	intent := c.identify(call)
	intent.BegunAt, intent.SentAt = first.UTC(), first.UTC()
	c.noteAccepted(intent, transactionID)
	own, _, err := locks.wait(ctx, c.lockOf(intent), &intent, nil)
	if err != nil {
		return
	}
	defer locks.release(own, nil)
	c.recordAccepted(ctx, intent, transactionID)
}

// recordAccepted ends the open intent of a payment as accepted, or records intent as such if there
// is none. The caller has the lock of the payment.
func (c *Client) recordAccepted(ctx context.Context, intent Intent, transactionID string) {
	earlier, err := c.journal.Begin(ctx, intent)
	if err == nil && earlier != nil && earlier.Outcome == OutcomeRejected {
		// Another process was rejected while Begin waited for it. The next Begin replaces that.
		earlier, err = c.journal.Begin(ctx, intent)
	}
	key := intent.IdempotencyKey
	switch {
	case err != nil, earlier != nil && (earlier.Outcome != "" || earlier.Payment() != intent.Payment()):
		return
	case earlier != nil:
		key = earlier.IdempotencyKey
	}
	_ = c.journal.Finish(ctx, key, OutcomeAccepted, readable(transactionID))
}

// readable returns an id that a transaction can be read by, or nothing: a response may hold
// anything.
func readable(id string) string {
	if checkID(id) != nil {
		return ""
	}
	return id
}

func notRecorded(err error) error {
	return fmt.Errorf("the journal could not record the payment: %w", err)
}

// journalSilent is the doubt about an earlier call that the journal cannot remove.
func journalSilent(err error) error {
	return fmt.Errorf("the journal cannot say whether an earlier call was sent: %w", err)
}

// faultError is the fault of a call for a payment that may have been made. It hides the fault from
// [errors.Is] and [errors.As], which would find [ErrNotSent], and leaves the journal's failure, if
// any, to be found.
type faultError struct{ fault, journal error }

func (e *faultError) Error() string {
	text := strings.TrimPrefix(e.fault.Error(), ErrNotSent.Error()+": ")
	if e.journal != nil {
		text += "; the journal cannot say whether an earlier call was sent: " + e.journal.Error()
	}
	return text
}

func (e *faultError) Unwrap() error { return e.journal }
