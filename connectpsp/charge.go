package connectpsp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

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
func (c *Client) lockCharge(ctx context.Context, p *callState, payment *paymentLock) (release func(), err error) {
	locks.setWaiting(payment, true)
	for {
		release, others, err := c.lockRefunds(ctx, p, payment)
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
func (c *Client) lockRefunds(
	ctx context.Context, p *callState, payment *paymentLock,
) (release func(), others []Intent, err error) {
	own, _, err := locks.wait(ctx, lockName{journal: c.scope, key: OperationRefundCashIn}, nil, nil) // no key looks like that
	if err != nil {
		return nil, nil, c.notBegun(ctx, p, err)
	}
	defer func() {
		if release == nil { // also if the journal panics
			locks.release(own, nil)
		}
	}()
	intent := c.intentOf(p.call, p.begun)
	earlier, err := c.find(ctx, intent)
	if earlier == nil && err == nil { // else Begin returns it
		others, err = c.otherRefunds(ctx, intent, locks.refundsUnderWay(c.scope, false))
	}
	if err != nil {
		p.doubtErr = journalSilent(err)
		return nil, nil, p.unknown(nil)
	}
	compared := p.chargeIDs != nil && sameCharge(p.chargeIDs, others) == nil
	unread := p.chargeUnread && !slices.ContainsFunc(others, Intent.isOpen)
	if len(others) == 0 || compared || unread {
		locks.setWaiting(payment, false)
		return func() { locks.release(own, nil) }, nil, nil
	}
	return nil, others, nil
}

// checkOtherName returns the error of a refund that was rejected: err, unless another refund of the
// charge may have been made that was asked for by another of its ids.
func (c *Client) checkOtherName(ctx context.Context, p *callState, err error) error {
	p.compared = true
	others, failure := c.otherRefunds(ctx, c.intentOf(p.call, p.begun), locks.refundsUnderWay(c.scope, true))
	if failure != nil {
		p.doubtErr = journalSilent(failure)
		return p.unknown(nil)
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
	ids := append([]string{p.call.transactionID}, p.chargeIDs...)
	same := sameCharge(ids, others)
	if same == nil && len(others) > 0 && p.chargeIDs == nil {
		var err error
		if p.chargeIDs, err = c.readChargeIDs(ctx, p.call.transactionID); err != nil {
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
		return []string{charge.TransactionID, charge.InternalCode, charge.EndToEndID, charge.OriginalEndToEndID}, nil
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
			if id != "" && (strings.EqualFold(id, refunds[i].ChargeID) || strings.EqualFold(id, refunds[i].TransactionID)) {
				return &refunds[i]
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

// isOpen reports whether the outcome of the payment is not certain.
func (i Intent) isOpen() bool { return i.Outcome == "" }

// maybeMade reports whether the payment was sent and not rejected.
func (i Intent) maybeMade() bool { return !i.SentAt.IsZero() && i.Outcome != OutcomeRejected }
