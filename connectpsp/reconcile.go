package connectpsp

import "context"

// ReconcileCashOut ends the open payment of a cash-out in the journal, with its personal data, if
// cashOut says how it ended: COMPLETED, FAILED, REFUNDED or CANCELLED. Call it with the transaction
// of a verified webhook, or one that another process read. A webhook.Worker and [Client.GetCashOut]
// do so by themselves.
//
// It does nothing for nil, another status, another reference or amount, or a payment that is not
// open. Its error is the journal's; calling again is safe.
func (c *Client) ReconcileCashOut(ctx context.Context, cashOut *CashOut) error {
	if cashOut == nil {
		return nil
	}
	switch cashOut.Status {
	case CashOutCompleted, CashOutFailed, CashOutRefunded, CashOutCancelled:
	default:
		return nil
	}
	return c.reconcile(ctx, Intent{Operation: OperationCreateCashOut, ExternalReference: cashOut.ExternalReference, Amount: cashOut.Amount},
		cashOut.TransactionID)
}

// ReconcileCashIn ends the open charge of a cash-in in the journal, with its personal data, if
// cashIn says how it ended: PAID, EXPIRED, REFUNDED or CANCELLED. If it was REFUNDED, its open
// refund ends too, under whichever of the charge's ids it was asked for. Otherwise it is like
// [Client.ReconcileCashOut].
func (c *Client) ReconcileCashIn(ctx context.Context, cashIn *CashIn) error {
	if cashIn == nil {
		return nil
	}
	switch cashIn.Status {
	case CashInPaid, CashInExpired, CashInRefunded, CashInCancelled:
	default:
		return nil
	}
	charge := Intent{Operation: OperationCreateCashIn, ExternalReference: cashIn.ExternalReference, Amount: cashIn.Amount}
	if err := c.reconcile(ctx, charge, cashIn.TransactionID); err != nil || cashIn.Status != CashInRefunded {
		return err
	}
	for _, id := range []string{cashIn.TransactionID, cashIn.InternalCode, cashIn.EndToEndID, cashIn.OriginalEndToEndID} {
		if err := c.reconcile(ctx, Intent{Operation: OperationRefundCashIn, ChargeID: id}, cashIn.TransactionID); err != nil {
			return err
		}
	}
	return nil
}

// reconcile ends the open intent of a payment, if it is of this client. It takes no lock: a call
// that works on the payment may take long, and the journal refuses a rejection of a payment that
// was accepted.
func (c *Client) reconcile(ctx context.Context, payment Intent, transactionID string) error {
	if payment.ExternalReference == "" && payment.ChargeID == "" {
		return nil
	}
	open, err := c.journal.Find(ctx, payment)
	switch {
	case err != nil:
		return err
	case ifSent(open) == nil, open.Outcome != "", open.Payment() != payment.Payment(), !c.owns(open.ClientID, open.BaseURL),
		!payment.Amount.IsZero() && payment.Amount != open.Amount:
		return nil
	}
	return c.journal.Finish(ctx, open.IdempotencyKey, OutcomeAccepted, readable(transactionID))
}
