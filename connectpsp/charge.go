package connectpsp

import (
	"context"
	"slices"
	"time"
)

// A charge has three ids, and a refund may be asked for by any of them. The client knows that two ids name one charge only if it
// has read the charge: it does so if a refund is open, or was accepted, that could be the same.

var (
	errOtherID     = &openError{"an earlier refund of this charge was asked for by another of its ids", nextSameRequest}
	errWhichCharge = &openError{
		"there are other refunds, and the charge could not be read to see whether this is one of them",
		"call again when the charge can be read",
	}
)

// lockCharge keeps refunds of one charge that is named by two of its ids apart. It returns how to let others begin theirs.
func (c *Client) lockCharge(ctx context.Context, p *progress) (release func(), err error) {
	name := lockName{journal: c.scope, key: OperationRefundCashIn} // no key looks like that
	for {
		own, _, err := locks.wait(ctx, name, nil)
		if err != nil {
			return nil, c.notBegun(ctx, p, err)
		}
		others, err := c.otherRefunds(ctx, p.call, false)
		earlier := sameCharge(p.chargeIDs, others)
		if err == nil && earlier == nil && (len(others) == 0 || p.chargeIDs != nil) {
			return func() { locks.release(own, nil) }, nil
		}
		locks.release(own, nil) // reading may take long
		if err == nil && earlier == nil {
			// The reading may settle the refund that it is for. It is found among others all the same.
			earlier, p.chargeIDs, err = c.findOtherName(ctx, p.call.transactionID, others)
		}
		switch {
		case err != nil:
			p.doubtErr = errWhichCharge
			return nil, p.unknown(err)
		case earlier != nil:
			p.inherit(earlier)
			return nil, p.about(earlier).unknown(errOtherID)
		}
	}
}

// checkOtherName returns the error of a refund that was rejected: err, unless a refund of the charge was accepted that was asked
// for by another of its ids.
func (c *Client) checkOtherName(ctx context.Context, p *progress, err error) error {
	others, failure := c.otherRefunds(ctx, p.call, true)
	earlier := sameCharge(p.chargeIDs, others)
	if failure == nil && p.chargeIDs == nil {
		earlier, _, failure = c.findOtherName(ctx, p.call.transactionID, others)
	}
	switch {
	case failure != nil:
		p.doubtErr = errWhichCharge
		return p.unknown(failure)
	case earlier != nil:
		p.inherit(earlier)
		return p.about(earlier).unknown(errOtherID)
	}
	return err
}

// findOtherName looks for a refund of the charge among others, which were asked for by other ids. If there are any the charge is
// read, and its ids are returned.
func (c *Client) findOtherName(ctx context.Context, id string, others []Intent) (earlier *Intent, ids []string, err error) {
	if len(others) == 0 {
		return nil, nil, nil
	}
	charge, err := c.GetCashIn(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	ids = []string{charge.TransactionID, charge.InternalCode, charge.EndToEndID, charge.OriginalEndToEndID}
	return sameCharge(ids, others), ids, nil
}

// sameCharge returns the refund whose charge has one of the ids.
func sameCharge(ids []string, refunds []Intent) *Intent {
	for i := range refunds {
		for _, id := range ids {
			if canonicalID(id) == canonicalID(refunds[i].ChargeID) {
				return &refunds[i]
			}
		}
	}
	return nil
}

// otherRefunds returns the refunds of this client's gateway that were asked for by another id: those that are open or under way
// and, if wanted, those that were accepted. It is empty if the journal knows the refund by its own id.
func (c *Client) otherRefunds(ctx context.Context, call call, accepted bool) ([]Intent, error) {
	intent := c.intentOf(call, time.Now())
	if earlier, err := c.find(ctx, intent); earlier != nil || err != nil {
		return nil, err // Begin returns it
	}
	known, err := c.journal.Pending(ctx)
	if err == nil && accepted {
		var ended []Intent
		ended, err = c.journal.Ended(ctx)
		known = append(known, ended...)
	}
	return slices.DeleteFunc(known, func(other Intent) bool {
		sent := !other.SentAt.IsZero() && other.Outcome != OutcomeRejected || locks.isHeld(c.lockOf(other))
		return !sent || other.Operation != OperationRefundCashIn || other.Payment() == intent.Payment() || !c.owns(other.ClientID, other.BaseURL)
	}), err
}
