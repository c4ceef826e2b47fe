package sandbox

import (
	"fmt"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// ReturnCashIn returns the payment of a charge without a request for a refund, as the payer's bank
// does after a fraud (the Mecanismo Especial de Devolução): the charge becomes REFUNDED, its amount
// leaves the transactional account, and CASHIN_REFUNDED is sent. After [Sandbox.ReturnCashInPart]
// it returns the rest. The error wraps [ErrNotFound], or [ErrTransition] if nothing is left to
// return, a refund is on its way, or the transactional balance is too low.
func (s *Sandbox) ReturnCashIn(id string) error { return s.returnCashIn(id, pix.Amount{}) }

// ReturnCashInPart returns a part of a payment like [Sandbox.ReturnCashIn]. Each part has an
// endToEndId and a webhook of its own, in which amount is that of the part. The error also wraps
// [ErrInvalid], if the amount is not from R$ 0.01 to what is left of the payment.
func (s *Sandbox) ReturnCashInPart(id string, amount pix.Amount) error {
	if err := validatePart(amount); err != nil {
		return err
	}
	return s.returnCashIn(id, amount)
}

// returnCashIn returns an amount of a charge, or all that is left for zero.
func (s *Sandbox) returnCashIn(id string, amount pix.Amount) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	charge := s.findCashInLocked(id)
	switch {
	case charge == nil:
		return ErrNotFound
	case charge.refundUnderWay():
		return fmt.Errorf("%w: a refund of the cash-in is on its way", ErrTransition)
	}
	amount, left, err := takePart(amount, charge.Left)
	if err != nil {
		return err
	}
	if amount.Centavos() > s.transactional {
		return fmt.Errorf("%w: the transactional balance is too low for a return", ErrTransition)
	}
	charge.Left = left
	s.addTransactionalLocked(-amount.Centavos())
	s.finishReturnLocked(charge, s.newEndToEndIDLocked("D"), amount)
	return nil
}

// finishReturnLocked makes a charge REFUNDED by a return with an id and an amount.
func (s *Sandbox) finishReturnLocked(charge *cashIn, id string, amount pix.Amount) {
	payment := charge.EndToEndID
	if charge.Status == connectpsp.CashInRefunded {
		charge.Movements[charge.EndToEndID] = charge.CashIn
		payment = charge.OriginalEndToEndID
	}
	charge.Status, charge.Amount = connectpsp.CashInRefunded, amount
	charge.OriginalEndToEndID, charge.EndToEndID = payment, id
	charge.RefundedAt = s.timestamp()
	s.cashIns[id] = charge
	s.publishCashInLocked(charge, cashInRefunded)
}

// ReturnCashOut returns a payment, as the payee's bank does: the payment becomes REFUNDED, its
// amount comes back, and CASHOUT_REFUNDED is sent. After [Sandbox.ReturnCashOutPart] it returns the
// rest. The error wraps [ErrNotFound], or [ErrTransition] if the payment is not COMPLETED and
// nothing is left to return.
func (s *Sandbox) ReturnCashOut(id string) error { return s.returnCashOut(id, pix.Amount{}) }

// ReturnCashOutPart returns a part of a payment like [Sandbox.ReturnCashOut]. Each part has an
// endToEndId and a webhook of its own, in which amount is that of the part. The error also wraps
// [ErrInvalid], if the amount is not from R$ 0.01 to what is left of the payment.
func (s *Sandbox) ReturnCashOutPart(id string, amount pix.Amount) error {
	if err := validatePart(amount); err != nil {
		return err
	}
	return s.returnCashOut(id, amount)
}

// returnCashOut returns an amount of a payment, or all that is left for zero.
func (s *Sandbox) returnCashOut(id string, amount pix.Amount) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	payment := s.cashOuts[id]
	if payment == nil {
		return ErrNotFound
	}
	amount, left, err := takePart(amount, payment.Left)
	if err != nil {
		return err
	}
	payment.Left = left
	original := payment.EndToEndID
	if payment.Status == connectpsp.CashOutRefunded {
		payment.Movements[payment.EndToEndID] = payment.CashOut
		original = payment.OriginalEndToEndID
	}
	payment.Status, payment.Amount = connectpsp.CashOutRefunded, amount
	payment.OriginalEndToEndID, payment.EndToEndID = original, s.newEndToEndIDLocked("D")
	payment.RefundedAt = s.timestamp()
	s.cashOuts[payment.EndToEndID] = payment
	s.addTransactionalLocked(amount.Centavos())
	s.publishCashOutLocked(payment, cashOutRefunded)
	return nil
}

// Returned returns how much of a transaction has been returned: of the last payment of a charge, or
// of a payment. It is zero unless the transaction is REFUNDED. The error wraps [ErrNotFound].
func (s *Sandbox) Returned(id string) (pix.Amount, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if charge := s.cashIns[id]; charge != nil {
		return returned(charge.Status == connectpsp.CashInRefunded, charge.Paid, charge.Left), nil
	}
	if payment := s.cashOuts[id]; payment != nil {
		return returned(payment.Status == connectpsp.CashOutRefunded, payment.Paid, payment.Left), nil
	}
	return pix.Amount{}, ErrNotFound
}

func returned(isRefunded bool, paid, left pix.Amount) pix.Amount {
	if !isRefunded {
		return pix.Amount{}
	}
	return pix.Centavos(paid.Centavos() - left.Centavos())
}

func validatePart(amount pix.Amount) error {
	if amount.Centavos() < 1 {
		return fmt.Errorf("%w: the amount of a part must be at least R$ 0.01", ErrInvalid)
	}
	return nil
}

// takePart takes an amount, or all of it for zero, from what is left of a payment.
func takePart(amount, left pix.Amount) (part, rest pix.Amount, err error) {
	switch {
	case left.IsZero():
		return part, rest, fmt.Errorf("%w: there is nothing to return", ErrTransition)
	case amount.IsZero():
		return left, rest, nil
	case amount.Centavos() > left.Centavos():
		return part, rest, fmt.Errorf("%w: only R$ %v of the payment are left to return", ErrInvalid, left)
	}
	return amount, pix.Centavos(left.Centavos() - amount.Centavos()), nil
}
