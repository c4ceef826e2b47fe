package connectpsp

import (
	"context"
	"encoding/json"

	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/api"
)

var (
	errNoDoubt          = &openError{"there is no UnknownOutcomeError of a createCashOut to resolve", nextAskProvider}
	errAnotherRequest   = &openError{"the request is not the one that the UnknownOutcomeError is about, byte for byte", nextSameRequest}
	errTooLate          = &openError{"it was first sent so long ago that the gateway may have forgotten the idempotency key", nextAskProvider}
	errOtherOperation   = &openError{"this version of the SDK does not know the operation", nextAskProvider}
	errNoIdempotencyKey = &openError{"its idempotency key is no UUID", nextAskProvider}
)

// ResolveCashOut settles a cash-out whose outcome is unknown. Unknown is the error of
// [Client.CreateCashOut] or of an earlier [Client.ResolveCashOut], also after it went through JSON;
// request is the one it is about, which the error does not hold because it is personal data.
//
// If unknown.TransactionID is known, the payment is read. Otherwise, or if that does not settle it,
// it is sent again with the same key and the same bytes, within the replay window (see
// [WithReplayWindow]) from unknown.FirstSentAt.
//
// A nil error says that the payment was accepted; its Status tells how it ended, as far as it has,
// and may be FAILED. Every other outcome is an [*UnknownOutcomeError], never a rejection: a
// response now proves nothing about an earlier request. It holds the facts known by now. Keep that
// one, try again later, or wait for the webhook.
func (c *Client) ResolveCashOut(ctx context.Context, unknown *UnknownOutcomeError, request CashOutRequest) (cashOut *CashOut, err error) {
	ctx, observed := c.beginCall(ctx, Call{Operation: OperationCreateCashOut, ExternalReference: request.ExternalReference})
	var settling *call
	defer func() { c.endCall(ctx, observed, settling, cashOut != nil, err) }()
	if unknown == nil || unknown.Operation != OperationCreateCashOut {
		return nil, &UnknownOutcomeError{
			Operation:         OperationCreateCashOut,
			ExternalReference: request.ExternalReference,
			Amount:            request.Amount,
			Err:               errNoDoubt,
		}
	}
	still := func(reason error) (*CashOut, error) {
		unresolved := *unknown
		unresolved.Err, unresolved.next = reason, ""
		return nil, &unresolved
	}
	body, err := json.Marshal(request)
	switch {
	case !c.owns(unknown.ClientID, unknown.BaseURL):
		return still(errOtherGateway)
	case err != nil || sumOf(body) != unknown.BodySHA256:
		return still(errAnotherRequest)
	}
	key, err := idempotency.ParseKey(unknown.IdempotencyKey)
	if err != nil {
		return still(errNoIdempotencyKey)
	}
	payment := Intent{
		Operation: OperationCreateCashOut, IdempotencyKey: key,
		ExternalReference: request.ExternalReference, Amount: request.Amount,
	}
	settling = &call{operation: api.CreateCashOut, payment: payment, body: body, doubted: unknown}
	if unknown.TransactionID != "" {
		cashOut, err := c.GetCashOut(ctx, unknown.TransactionID)
		if err == nil && cashOut.ExternalReference == request.ExternalReference &&
			(cashOut.Amount == request.Amount || cashOut.Amount.IsZero()) {
			c.accept(ctx, settling, unknown.FirstSentAt, cashOut.TransactionID)
			settling.transactionID = cashOut.TransactionID
			return cashOut, nil
		}
	}
	return run(ctx, c, createCashOut, settling)
}

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
	payment := Intent{
		Operation: OperationCreateCashOut, ExternalReference: cashOut.ExternalReference, Amount: cashOut.Amount,
	}
	return c.reconcile(ctx, payment, cashOut.TransactionID)
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
	for _, id := range cashIn.ids() {
		if err := c.reconcile(ctx, Intent{Operation: OperationRefundCashIn, ChargeID: id}, cashIn.TransactionID); err != nil {
			return err
		}
	}
	return nil
}

// reconcile ends the open intent of a payment, if it is of this client. It takes no lock: a call
// that works on the payment may take long. That call reports no rejection any more: noteAccepted
// tells it, and the journal refuses a rejection of a payment that was accepted.
func (c *Client) reconcile(ctx context.Context, payment Intent, transactionID string) error {
	if payment.ExternalReference == "" && payment.ChargeID == "" {
		return nil
	}
	c.noteAccepted(payment, transactionID)
	open, err := c.journal.Find(ctx, payment)
	switch {
	case err != nil:
		return err
	case open == nil, open.Outcome != "", open.Payment() != payment.Payment(), !c.owns(open.ClientID, open.BaseURL),
		!payment.Amount.IsZero() && payment.Amount != open.Amount:
		return nil
	}
	return c.journal.Finish(ctx, open.IdempotencyKey, OutcomeAccepted, readable(transactionID))
}
