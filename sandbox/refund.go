package sandbox

import (
	"fmt"
	"net/http"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// SettleRefund completes the refund of a charge that the gateway has accepted: the charge becomes
// REFUNDED, and CASHIN_REFUNDED is sent. The error wraps [ErrNotFound], or [ErrTransition] if no
// refund is on its way.
func (s *Sandbox) SettleRefund(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	charge := s.findCashInLocked(id)
	if charge == nil {
		return ErrNotFound
	}
	if !charge.refundUnderWay() {
		return fmt.Errorf("%w: the cash-in is %s and no refund of it is on its way", ErrTransition, charge.Status)
	}
	charge.Left = pix.Amount{}
	s.finishReturnLocked(charge, charge.RefundID, charge.Amount)
	return nil
}

// RefundUnderWay reports whether a refund of a charge was accepted and has not arrived, so that
// [Sandbox.SettleRefund] completes it. The error wraps [ErrNotFound].
func (s *Sandbox) RefundUnderWay(id string) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	charge := s.cashIns[id]
	if charge == nil {
		return false, ErrNotFound
	}
	return charge.refundUnderWay(), nil
}

func (s *Sandbox) refundCashIn(req request) (any, error) {
	req.body.oneOf("reason", string(connectpsp.RefundFraud), string(connectpsp.RefundDuplicatedPayment),
		string(connectpsp.RefundCustomerRequest), string(connectpsp.RefundMerchantError))
	req.body.optionalText("description")
	if err := req.body.err(); err != nil {
		return nil, err
	}
	charge := s.findCashInLocked(req.id)
	if charge == nil {
		return nil, transactionNotFound()
	}
	if err := charge.checkRefund(); err != nil {
		return nil, err
	}
	if err := s.spendLocked(charge.Amount); err != nil {
		return nil, err
	}
	charge.RefundID = s.newEndToEndIDLocked("D")
	s.cashIns[charge.RefundID] = charge
	return connectpsp.Refund{
		TransactionID:      charge.TransactionID,
		InternalCode:       charge.InternalCode,
		ExternalReference:  charge.ExternalReference,
		EndToEndID:         charge.RefundID,
		OriginalEndToEndID: charge.EndToEndID,
		Status:             charge.Status,
		Amount:             charge.Amount,
		RequestedAt:        s.timestamp(),
	}, nil
}

func (c *cashIn) checkRefund() error {
	code, detail := "", ""
	switch {
	case c.Status == connectpsp.CashInAwaitingPayment:
		code, detail = "CASH_IN_NOT_PAID", "The cash-in has not been paid."
	case c.Status == connectpsp.CashInExpired:
		code, detail = "CASH_IN_EXPIRED", "The cash-in has expired."
	case c.Status == connectpsp.CashInCancelled:
		code, detail = "CASH_IN_CANCELLED", "The cash-in was cancelled."
	case c.RefundID != "", c.Status == connectpsp.CashInRefunded:
		code, detail = "CASH_IN_ALREADY_REFUNDED", "A refund of the cash-in was accepted before."
	default:
		return nil
	}
	return refuse(http.StatusUnprocessableEntity, code, "%s", detail)
}
