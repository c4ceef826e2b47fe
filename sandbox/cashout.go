package sandbox

import (
	"fmt"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/google/uuid"
)

// cashOut is a payment as getCashOut returns it, with the fields that no response shows.
type cashOut struct {
	connectpsp.CashOut
	webhookURL string
	last       *event // the last event that was sent, nil before the first
}

// CompleteCashOut completes a payment: the payment becomes COMPLETED, and CASHOUT_COMPLETED is
// sent. The error wraps [ErrNotFound], or [ErrTransition] if the payment is not PROCESSING.
func (s *Sandbox) CompleteCashOut(id string) error {
	return s.moveCashOut(id, connectpsp.CashOutProcessing, connectpsp.CashOutCompleted, func(payment *cashOut) {
		payment.EndToEndID = s.newEndToEndIDLocked("E")
		payment.CompletedAt = s.timestamp()
		s.cashOuts[payment.EndToEndID] = payment
		s.publishCashOutLocked(payment, cashOutCompleted)
	})
}

// FailCashOut makes a payment FAILED with a code, such as "PIX_KEY_NOT_FOUND", and a message. Its
// amount comes back, and CASHOUT_FAILED is sent. The error wraps [ErrNotFound], or [ErrTransition]
// if the payment is not PROCESSING.
func (s *Sandbox) FailCashOut(id, code, message string) error {
	return s.moveCashOut(id, connectpsp.CashOutProcessing, connectpsp.CashOutFailed, func(payment *cashOut) {
		payment.Failure = &connectpsp.Failure{Code: connectpsp.FailureCode(code), Message: message}
		payment.FailedAt = s.timestamp()
		s.addTransactionalLocked(payment.Amount.Centavos())
		s.publishCashOutLocked(payment, cashOutFailed)
	})
}

// CancelCashOut makes a payment CANCELLED: its amount comes back. No webhook is sent. The error
// wraps [ErrNotFound], or [ErrTransition] if the payment is not PROCESSING.
func (s *Sandbox) CancelCashOut(id string) error {
	return s.moveCashOut(id, connectpsp.CashOutProcessing, connectpsp.CashOutCancelled, func(payment *cashOut) {
		payment.CancelledAt = s.timestamp()
		s.addTransactionalLocked(payment.Amount.Centavos())
	})
}

// ReturnCashOut returns a payment, as the payee's bank does: the payment becomes REFUNDED, its
// amount comes back, and CASHOUT_REFUNDED is sent. The error wraps [ErrNotFound], or
// [ErrTransition] if the payment is not COMPLETED.
func (s *Sandbox) ReturnCashOut(id string) error {
	return s.moveCashOut(id, connectpsp.CashOutCompleted, connectpsp.CashOutRefunded, func(payment *cashOut) {
		payment.OriginalEndToEndID, payment.EndToEndID = payment.EndToEndID, s.newEndToEndIDLocked("D")
		payment.RefundedAt = s.timestamp()
		s.cashOuts[payment.EndToEndID] = payment
		s.addTransactionalLocked(payment.Amount.Centavos())
		s.publishCashOutLocked(payment, cashOutRefunded)
	})
}

func (s *Sandbox) moveCashOut(id string, from, to connectpsp.CashOutStatus, change func(*cashOut)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	payment := s.cashOuts[id]
	if payment == nil {
		return ErrNotFound
	}
	if payment.Status != from {
		return fmt.Errorf("%w: the cash-out is %s and cannot become %s", ErrTransition, payment.Status, to)
	}
	payment.Status = to
	change(payment)
	return nil
}

func (s *Sandbox) createCashOut(req request) (any, error) {
	body := req.body
	payee := body.object("payee")
	payment := &cashOut{CashOut: connectpsp.CashOut{
		Amount:            body.amount("amount", pix.Centavos(1)),
		ExternalReference: body.text("externalReference"),
		Description:       body.optionalText("description"),
		Payee: connectpsp.Payee{
			Name:        payee.text("name"),
			Document:    payee.document("document"),
			Destination: destination(payee.object("destination")),
		},
		Status:      connectpsp.CashOutProcessing,
		RequestedAt: s.timestamp(),
	}}
	payment.webhookURL = body.optionalURL("webhookUrl")
	if err := body.err(); err != nil {
		return nil, err
	}
	if s.cashOutReferences[payment.ExternalReference] {
		return nil, duplicateReference()
	}
	if err := s.spendLocked(payment.Amount); err != nil {
		return nil, err
	}
	payment.TransactionID = uuid.NewString()
	payment.InternalCode = s.newInternalCodeLocked()
	s.cashOutReferences[payment.ExternalReference] = true
	s.cashOuts[payment.TransactionID] = payment
	s.cashOuts[payment.InternalCode] = payment
	return payment.CashOut, nil
}

func (s *Sandbox) getCashOut(req request) (any, error) {
	payment := s.cashOuts[req.id]
	if payment == nil {
		return nil, transactionNotFound()
	}
	return payment.CashOut, nil
}

func (s *Sandbox) publishCashOutLocked(payment *cashOut, eventType string) {
	payment.last = s.publishLocked(payment.webhookURL, eventType, payment.TransactionID, payment.CashOut)
}
