package connectpsp

import (
	"context"
	"slices"
)

// RefundOrigin says whether a charge came back by a refund of yours; see [Client.RefundOrigin].
type RefundOrigin string

const (
	// RefundRequested says that the journal has a refund of the charge that was sent and not
	// rejected.
	RefundRequested RefundOrigin = "REQUESTED"
	// RefundUnrequested says that the journal has the charge and no refund for it: the payer's
	// bank took the money back, most likely by MED, the Mecanismo Especial de Devolução.
	RefundUnrequested RefundOrigin = "UNREQUESTED"
	// RefundUnclear says that the journal cannot tell: it does not know the charge any more, or
	// cashIn lacks one of its ids.
	RefundUnclear RefundOrigin = "UNCLEAR"
)

// RefundOrigin looks into the journal for a refund that you requested, for a charge that is
// REFUNDED. It sends nothing. The provider reports every return by the same status and the same
// event, so the journal alone tells a refund of yours from a return that you did not request.
//
// A refund is found under each id of the charge. A charge without one is [RefundUnrequested] only
// if the journal still has its creation, because it forgets in the order in which payments end: it
// would have the refund too. A journal in a file or in memory remembers what ended for about an
// hour, so it knows little of a return that comes after days. The journal of package sqlstore
// remembers until you delete the rows. A refund that was made without the journal counts as
// unrequested: by the provider's portal, or by a process that has another journal.
//
// The error is the journal's, and RefundOrigin is then [RefundUnclear]. A nil cashIn is unclear.
func (c *Client) RefundOrigin(ctx context.Context, cashIn *CashIn) (RefundOrigin, error) {
	if cashIn == nil {
		return RefundUnclear, nil
	}
	for _, id := range cashIn.ids() {
		if id == "" {
			continue
		}
		refund, err := c.known(ctx, Intent{Operation: OperationRefundCashIn, ChargeID: id})
		if err != nil {
			return RefundUnclear, err
		}
		if refund != nil {
			return RefundRequested, nil
		}
	}
	if slices.Contains(cashIn.ids(), "") || cashIn.ExternalReference == "" {
		return RefundUnclear, nil // a refund may have been asked for by the id that is missing
	}
	charge, err := c.known(ctx, Intent{Operation: OperationCreateCashIn, ExternalReference: cashIn.ExternalReference})
	if err != nil || charge == nil || charge.TransactionID != "" && charge.TransactionID != cashIn.TransactionID {
		return RefundUnclear, err
	}
	return RefundUnrequested, nil
}

// known returns the intent of a payment of this client that was sent and not rejected, nil if the
// journal has none.
func (c *Client) known(ctx context.Context, payment Intent) (*Intent, error) {
	found, err := c.journal.Find(ctx, payment)
	if err != nil || found == nil || found.Payment() != payment.Payment() || !found.maybeMade() || !c.owns(found.ClientID, found.BaseURL) {
		return nil, err
	}
	return found, nil
}
