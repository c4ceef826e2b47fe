package connectpsp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// RefundRequest says why a paid charge is returned; see [Client.RefundCashIn]. A refund is always
// of the full amount. It prints without the description.
type RefundRequest struct {
	// Description is for your own records. The payer does not see it. It may be empty.
	Description string `json:"description,omitzero"`

	// Reason must be one of the constants.
	Reason RefundReason `json:"reason"`
}

// Refund is a refund that was accepted. The money is not back yet: CASHIN_REFUNDED or
// [Client.GetCashIn] tells when the money is back. Only the identifiers up to EndToEndID are
// published; any other field may be zero. Times are as in [CashIn]. It prints as ids, status and
// amount.
type Refund struct {
	// TransactionID is that of the charge.
	TransactionID string `json:"transactionId"`

	// InternalCode is that of the charge.
	InternalCode string `json:"internalCode,omitzero"`

	// ExternalReference is that of the charge.
	ExternalReference string `json:"externalReference,omitzero"`

	// EndToEndID is the refund's own (D…).
	EndToEndID string `json:"endToEndId,omitzero"`

	// OriginalEndToEndID is that of the payment which is returned (E…).
	OriginalEndToEndID string `json:"originalEndToEndId,omitzero"`

	// Status is the state of the charge, empty if the gateway does not tell it.
	Status CashInStatus `json:"status,omitzero"`

	// Amount is how much is returned, in BRL. Zero means that the gateway does not tell it.
	Amount pix.Amount `json:"amount,omitzero"`

	// RequestedAt is when the refund was accepted.
	RequestedAt pix.Time `json:"requestedAt,omitzero"`

	// RefundedAt is when the money was back with the payer. It is zero before.
	RefundedAt pix.Time `json:"refundedAt,omitzero"`
}

// RefundReason is why a charge is returned. A request must have one of the constants.
type RefundReason string

const (
	// RefundFraud returns a payment that was a fraud.
	RefundFraud RefundReason = "FRAUD"
	// RefundDuplicatedPayment returns a payment that was made twice.
	RefundDuplicatedPayment RefundReason = "DUPLICATED_PAYMENT"
	// RefundCustomerRequest returns a payment because the customer asks for it.
	RefundCustomerRequest RefundReason = "CUSTOMER_REQUEST"
	// RefundMerchantError returns a payment because of a mistake of yours.
	RefundMerchantError RefundReason = "MERCHANT_ERROR"
)

// RefundCashIn returns a paid charge to its payer, always in full (a PIX devolution). The refund is
// accepted, and the money is not back yet: the event CASHIN_REFUNDED or [Client.GetCashIn] tells
// when the money is back. Id is as for [Client.GetCashIn].
//
// Its error is a [*ValidationError] or ValidationErrors (nothing was sent), an [*APIError]
// (rejected for certain), or unknown: an [*UnknownOutcomeError], or an [*APIError] that is a
// conflict. The refusal CASH_IN_ALREADY_REFUNDED is a conflict; if it follows an attempt of unknown
// outcome and the charge reads REFUNDED, the refund is reported as accepted.
//
// The idempotency key is derived from id: name the charge by the same id whenever the refund is
// repeated. While a refund of the charge is open or remembered, one that is asked for by another of
// its ids sends nothing and is unknown; to tell, the charge is read while there are other refunds.
// After the replay window (see [WithReplayWindow]) a refund is only looked up, not sent again.
// After a certain rejection, such as CASH_IN_NOT_PAID, use [WithAttempt]. POST
// /cash-in/{id}/refund, signed.
func (c *Client) RefundCashIn(ctx context.Context, id string, request RefundRequest, options ...CallOption) (refund *Refund, err error) {
	charge := Intent{ChargeID: id, TransactionID: id}
	ctx, observed := c.beginCall(ctx, Call{Operation: OperationRefundCashIn, TransactionID: id})
	var call *call
	defer func() { c.endCall(ctx, observed, call, refund != nil, err) }()
	call, err = c.prepare(ctx, refundCashIn.Operation, charge, request, checkRefund(id, request), options)
	if err != nil {
		return nil, err
	}
	return c.refund(ctx, call)
}

// refund returns a charge, by a request whose body is made.
func (c *Client) refund(ctx context.Context, call *call) (*Refund, error) {
	refund, err := run(ctx, c, refundCashIn, call)
	var unknown *UnknownOutcomeError
	if !errors.As(err, &unknown) {
		return refund, err
	}
	refusal := unknown.Refusal
	mayBeDone := call.doubted != nil || errors.Is(err, errTooLate) || errors.Is(err, errReadAsAccepted) ||
		refusal != nil && refusal.Code == CodeCashInAlreadyRefunded
	if mayBeDone {
		if done := c.readRefund(ctx, call, unknown.FirstSentAt); done != nil {
			return done, nil
		}
	}
	return nil, err
}

// readRefund looks whether a refund whose outcome is unknown was done. It returns nil if that
// cannot be seen.
func (c *Client) readRefund(ctx context.Context, call *call, first time.Time) *Refund {
	cashIn, err := c.GetCashIn(ctx, call.id())
	if err != nil || cashIn.Status != CashInRefunded {
		return nil
	}
	c.accept(ctx, call, first, cashIn.TransactionID)
	refund := &Refund{
		TransactionID:      cashIn.TransactionID,
		InternalCode:       cashIn.InternalCode,
		ExternalReference:  cashIn.ExternalReference,
		OriginalEndToEndID: cashIn.OriginalEndToEndID,
		Status:             cashIn.Status,
		Amount:             cashIn.Amount,
		RefundedAt:         cashIn.RefundedAt,
	}
	if strings.HasPrefix(cashIn.EndToEndID, "D") {
		refund.EndToEndID = cashIn.EndToEndID
	}
	return refund
}

// A charge has three ids, and a refund may be asked for by any of them. The client knows that two
// ids name one charge only if it has read the charge: it does so if a refund is open, or was
// accepted, that could be the same.

var (
	errOtherID     = &openError{"an earlier refund of this charge was asked for by another of its ids", nextSameRequest}
	errWhichCharge = &openError{
		"there are other refunds, and the charge could not be read to see whether this is one of them",
		"call again when the charge can be read",
	}
)

// lockCharge keeps refunds of one charge that is named by two of its ids apart. It returns how to
// let others begin theirs. Of several that wait the first to get here begins, and the others see
// it.
func (c *Client) lockCharge(ctx context.Context, p *callState) (release func(), err error) {
	locks.setWaiting(p.lock, true)
	for {
		release, others, err := c.lockRefunds(ctx, p)
		if release != nil || err != nil {
			return release, err
		}
		if err := c.compare(ctx, p, others, false); err != nil {
			return nil, err
		}
	}
}

// lockRefunds lets no other refund begin, if this one may. Otherwise it returns the refunds that it
// is to be compared with, for which the charge may have to be read, without the lock: that may take
// long.
func (c *Client) lockRefunds(ctx context.Context, p *callState) (release func(), others []Intent, err error) {
	everyRefund := lockName{journal: c.scope, key: OperationRefundCashIn} // no key looks like that
	own, _, err := locks.wait(ctx, everyRefund, nil, nil)
	if err != nil {
		return nil, nil, c.notBegun(ctx, p, err)
	}
	defer func() {
		if release == nil { // also if the journal panics
			locks.release(own, nil)
		}
	}()
	earlier, err := c.find(ctx, p.call.payment)
	if earlier == nil && err == nil { // else Begin returns it
		others, err = c.otherRefunds(ctx, p.call.payment, locks.refundsUnderWay(c.scope, false))
	}
	if err != nil {
		return nil, nil, p.open(journalSilent(err))
	}
	compared := p.chargeIDs != nil && sameCharge(p.chargeIDs, others) == nil
	unread := p.chargeUnread && !slices.ContainsFunc(others, Intent.isOpen)
	if len(others) == 0 || compared || unread {
		locks.setWaiting(p.lock, false)
		return func() { locks.release(own, nil) }, nil, nil
	}
	return nil, others, nil
}

// checkOtherName returns the error of a call that was rejected: err, unless it is a refund, and
// another of the charge may have been made that was asked for by another of its ids. It compares
// once for each call.
func (c *Client) checkOtherName(ctx context.Context, p *callState, err error) error {
	if p.call.operation.ID != OperationRefundCashIn || p.compared {
		return err
	}
	p.compared = true
	others, failure := c.otherRefunds(ctx, p.call.payment, locks.refundsUnderWay(c.scope, true))
	if failure != nil {
		return p.open(journalSilent(failure))
	}
	if unknown := c.compare(ctx, p, others, true); unknown != nil {
		return unknown
	}
	return err
}

// compare returns an unknown outcome if one of the others may be a refund of the same charge, which
// is read once. If it cannot be read, a refund that is open may be of it, and a rejection is not
// certain. Otherwise a refund that was accepted is left to the gateway, which refuses a second.
func (c *Client) compare(ctx context.Context, p *callState, others []Intent, rejected bool) error {
	ids := append([]string{p.call.id()}, p.chargeIDs...)
	same := sameCharge(ids, others)
	if same == nil && len(others) > 0 && p.chargeIDs == nil {
		var err error
		if p.chargeIDs, err = c.readChargeIDs(ctx, p.call.id()); err != nil {
			if rejected || slices.ContainsFunc(others, Intent.isOpen) {
				return p.unknown(fmt.Errorf("%w (%w)", errWhichCharge, err))
			}
			p.chargeUnread = true
		}
		// The reading may have settled the refund that it is for. It is found among others all the
		// same.
		same = sameCharge(p.chargeIDs, others)
	}
	if same != nil {
		p.inherit(same)
		return p.about(same).unknown(errOtherID)
	}
	return nil
}

// readChargeIDs reads by which ids a charge may be named. Its error hides that of the reading from
// errors.Is and errors.As, which would find [ErrNotSent].
func (c *Client) readChargeIDs(ctx context.Context, id string) ([]string, error) {
	charge, err := c.GetCashIn(ctx, id)
	var refusal *APIError
	switch {
	case err == nil:
		return charge.ids(), nil
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound && refusal.Code != "":
		return []string{id}, nil // the gateway itself knows no charge by this id, so no other id names it
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &refusal) && refusal.StatusCode != 0:
		return nil, fmt.Errorf("GET /cash-in/{id}: %d %s", refusal.StatusCode, refusal.label())
	default:
		return nil, errors.New("GET /cash-in/{id}: no readable response")
	}
}

// sameCharge returns the refund whose charge has one of the ids. Capitals are not told apart: that
// can only make an outcome less certain.
func sameCharge(ids []string, refunds []Intent) *Intent {
	for i := range refunds {
		for _, id := range ids {
			refund := &refunds[i]
			if id != "" && (strings.EqualFold(id, refund.ChargeID) || strings.EqualFold(id, refund.TransactionID)) {
				return refund
			}
		}
	}
	return nil
}

// otherRefunds returns the refunds of this client that were asked for by another id, and are open,
// under way or accepted. Those under way are looked up before the journal is read: one that ends
// meanwhile is in the journal by then.
func (c *Client) otherRefunds(ctx context.Context, intent Intent, underWay []Intent) ([]Intent, error) {
	pending, err := c.journal.Pending(ctx)
	if err != nil {
		return nil, err
	}
	ended, err := c.journal.Ended(ctx)
	others := append(c.refundsOf(pending, ended), underWay...)
	return slices.DeleteFunc(others, func(other Intent) bool { return other.Payment() == intent.Payment() }), err
}

// refundsOf returns the refunds of this client that may have been made.
func (c *Client) refundsOf(pending, ended []Intent) (refunds []Intent) {
	for _, intent := range slices.Concat(pending, ended) {
		if intent.Operation == OperationRefundCashIn && intent.maybeMade() && c.owns(intent.ClientID, intent.BaseURL) {
			refunds = append(refunds, intent)
		}
	}
	return refunds
}
