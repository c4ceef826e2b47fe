package sandbox

import (
	"fmt"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// ContradictCashOut makes the gateway contradict what it reported about a payment:
//
//   - FAILED or CANCELLED: the payment becomes COMPLETED, its amount leaves the transactional
//     account, and CASHOUT_COMPLETED is sent.
//   - COMPLETED: the payment becomes FAILED with the code PIX_KEY_NOT_FOUND, its amount comes back,
//     and CASHOUT_FAILED is sent.
//
// The times of earlier statuses stay.
//
// The error wraps [ErrNotFound], or [ErrTransition] if the payment has another status or the
// transactional balance is too low.
func (s *Sandbox) ContradictCashOut(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	payment := s.cashOuts[id]
	if payment == nil {
		return ErrNotFound
	}
	switch payment.Status {
	case connectpsp.CashOutFailed, connectpsp.CashOutCancelled:
		if payment.Amount.Centavos() > s.transactional {
			return fmt.Errorf("%w: the transactional balance is too low for the payment", ErrTransition)
		}
		s.addTransactionalLocked(-payment.Amount.Centavos())
		payment.Failure = nil
		s.completeLocked(payment)
	case connectpsp.CashOutCompleted:
		payment.EndToEndID, payment.Left = "", pix.Amount{}
		s.failLocked(payment, string(connectpsp.FailurePIXKeyNotFound), "The PIX key was not found.")
	default:
		return fmt.Errorf("%w: the cash-out is %s, which nothing contradicts", ErrTransition, payment.Status)
	}
	return nil
}
