package connectpsp

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// callState is the knowledge about the attempts of a call so far, and about an earlier call for the
// same payment.
type callState struct {
	call     *call
	payment  string // Payment of the call's intent
	begun    time.Time
	attempts int
	tries    int  // attempts that count against the policy: all but the one with a renewed token
	renewed  bool // the access token was replaced once already
	ended    bool // an earlier call was accepted: the journal has nothing more to record

	lock, keyLock *paymentLock // of the payment and of the idempotency key, nil until they are taken

	chargeIDs    []string // of the charge that is refunded, nil if it was not read
	chargeUnread bool     // it could not be read
	compared     bool     // a rejection was compared with refunds under other ids of the charge

	sent          int       // attempts that may have reached the gateway
	first, last   time.Time // of these, or of the earlier call's
	status        int       // of the last response
	doubt         bool      // sticky, see leavesDoubt
	doubtErr      error
	subject       *Intent   // the payment that an error is about: this call's, or an earlier one's
	transactionID string    // of the subject
	refusal       *APIError // the last one, such as for too many requests
	verdict       verdict   // of the last attempt
}

func (c *Client) newCallState(call *call) *callState {
	p := &callState{call: call, begun: time.Now()}
	call.payment = c.identify(call)
	call.payment.BegunAt = p.begun.UTC()
	p.payment = call.payment.Payment()
	p.subject, p.transactionID = &call.payment, call.payment.TransactionID
	if doubted := call.doubted; doubted != nil {
		p.doubt, p.doubtErr = true, errEarlierCall
		p.sent, p.first, p.last = doubted.Attempts, doubted.FirstSentAt, doubted.LastSentAt
		p.transactionID = doubted.TransactionID
	}
	return p
}

// note adds an attempt to the state.
func (p *callState) note(a attempt, v verdict) {
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
	if v.outcome == rejected {
		p.refusal = v.refusal
	}
	if leavesDoubt(a, v) {
		p.doubt, p.doubtErr = true, v.err
	}
	if checkID(v.transactionID) == nil { // else it cannot be read by it, and may be anything
		p.transactionID = v.transactionID
	}
}

// leavesDoubt reports whether the payment may have been made although this attempt was not
// accepted. Doubt is sticky: a rejection of a later attempt does not remove it.
func leavesDoubt(a attempt, v verdict) bool {
	switch {
	case v.outcome == accepted:
		return false
	case v.outcome == inDoubt:
		return true // the attempt may have been executed
	case a.replayed:
		return true // the transport sent it twice, and only one response was seen
	default:
		// A conflict proves that something exists under the reference or the key. If there is to be
		// another attempt, its response does not take that back.
		return v.refusal != nil && v.refusal.conflict() && (v.again || v.renew)
	}
}

// inherit takes over the doubt about an earlier call for the payment.
func (p *callState) inherit(earlier *Intent) {
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

// about lets the error of this call describe an earlier one, which is the call to settle.
func (p *callState) about(earlier *Intent) *callState {
	p.subject, p.transactionID = earlier, earlier.TransactionID
	return p
}

// report turns the state into the error of the call. Ended says why no further attempt was
// made, nil if the last one left no reason for another.
func (p *callState) report(ended error) error {
	refusal := p.verdict.refusal
	switch {
	case p.doubt && p.call.operation.Money:
		return p.unknown(ended)
	case p.verdict.outcome == notSent && p.refusal != nil:
		// Report the rejection of the earlier attempt; that the retry was not sent is secondary.
		p.refusal.Err = joinCauses(ended, p.verdict.err)
		return p.refusal
	case refusal != nil:
		if refusal.Err == nil {
			refusal.Err = ended
		}
		return refusal
	case p.verdict.outcome == notSent:
		return newNotSent(p.call, joinCauses(ended, p.verdict.err))
	default:
		return fmt.Errorf("connectpsp: %s: no readable response after %d attempts; it is safe to read again: %w",
			p.call.operation.ID, p.sent, joinCauses(ended, p.verdict.err))
	}
}

// notSent returns the error of a call that was not sent, because of err.
func (p *callState) notSent(err error) error {
	p.verdict = verdict{outcome: notSent, err: err}
	return p.report(nil)
}

// open returns the error of a payment that stays open because of err.
func (p *callState) open(err error) *UnknownOutcomeError {
	p.doubtErr = err
	return p.unknown(nil)
}

// unknown returns the error of a payment whose outcome is unknown. Ended says why the call ended,
// and may be nil.
func (p *callState) unknown(ended error) *UnknownOutcomeError {
	e := &UnknownOutcomeError{
		Operation:         p.subject.Operation,
		IdempotencyKey:    p.subject.IdempotencyKey,
		ExternalReference: p.subject.ExternalReference,
		Amount:            p.subject.Amount,
		BodySHA256:        cmp.Or(sumOf(p.subject.Body), p.subject.BodySHA256),
		ClientID:          p.subject.ClientID,
		BaseURL:           p.subject.BaseURL,
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
	if refusal := p.verdict.refusal; refusal != nil {
		e.RetryAfter = refusal.RetryAfter
		if p.verdict.outcome == rejected || refusal.conflict() {
			e.Refusal = refusal
		}
	}
	if p.verdict.outcome == notSent {
		e.Err = joinCauses(e.Err, p.verdict.err)
	}
	return e
}

// joinCauses joins two causes. Either may be nil.
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
