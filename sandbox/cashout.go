package sandbox

import (
	"fmt"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// cashOut is a payment as getCashOut returns it, with the fields that no response shows. A
// [Sandbox.Snapshot] has all of them.
type cashOut struct {
	connectpsp.CashOut `json:"cashOut"`

	Paid       pix.Amount                    `json:"paid"`      // what was requested: Amount may be a part
	Left       pix.Amount                    `json:"left"`      // how much of a completed payment has not been returned
	Movements  map[string]connectpsp.CashOut `json:"movements"` // by endToEndId: returns before the last one
	WebhookURL string                        `json:"webhookUrl,omitzero"`
	Last       *event                        `json:"last,omitzero"` // the last event that was published, nil before the first
}

// CompleteCashOut completes a payment: the payment becomes COMPLETED, and CASHOUT_COMPLETED is
// sent. The error wraps [ErrNotFound], or [ErrTransition] if the payment is not PROCESSING.
func (s *Sandbox) CompleteCashOut(id string) error {
	return s.moveCashOut(id, connectpsp.CashOutProcessing, connectpsp.CashOutCompleted, s.completeLocked)
}

func (s *Sandbox) completeLocked(payment *cashOut) {
	payment.Status, payment.Left = connectpsp.CashOutCompleted, payment.Amount
	payment.EndToEndID = s.newEndToEndIDLocked("E")
	payment.CompletedAt = s.timestamp()
	s.cashOuts[payment.EndToEndID] = payment
	s.publishCashOutLocked(payment, cashOutCompleted)
}

// FailCashOut makes a payment FAILED with a code, such as "PIX_KEY_NOT_FOUND", and a message. Its
// amount comes back, and CASHOUT_FAILED is sent. The error wraps [ErrNotFound], or [ErrTransition]
// if the payment is not PROCESSING.
func (s *Sandbox) FailCashOut(id, code, message string) error {
	return s.moveCashOut(id, connectpsp.CashOutProcessing, connectpsp.CashOutFailed, func(payment *cashOut) {
		s.failLocked(payment, code, message)
	})
}

func (s *Sandbox) failLocked(payment *cashOut, code, message string) {
	payment.Status = connectpsp.CashOutFailed
	payment.Failure = &connectpsp.Failure{Code: connectpsp.FailureCode(code), Message: message}
	payment.FailedAt = s.timestamp()
	s.addTransactionalLocked(payment.Amount.Centavos())
	s.publishCashOutLocked(payment, cashOutFailed)
}

// CancelCashOut makes a payment CANCELLED: its amount comes back. No webhook is sent. The error
// wraps [ErrNotFound], or [ErrTransition] if the payment is not PROCESSING.
func (s *Sandbox) CancelCashOut(id string) error {
	return s.moveCashOut(id, connectpsp.CashOutProcessing, connectpsp.CashOutCancelled, func(payment *cashOut) {
		payment.CancelledAt = s.timestamp()
		s.addTransactionalLocked(payment.Amount.Centavos())
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
	payment := &cashOut{Movements: make(map[string]connectpsp.CashOut), CashOut: connectpsp.CashOut{
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
	payment.Paid = payment.Amount
	payment.WebhookURL = body.optionalURL("webhookUrl")
	if err := body.err(); err != nil {
		return nil, err
	}
	if s.uniqueReferences && s.cashOutReferences[payment.ExternalReference] {
		return nil, duplicateReference()
	}
	if err := s.spendLocked(payment.Amount); err != nil {
		return nil, err
	}
	payment.TransactionID = s.newPaymentIDLocked()
	payment.InternalCode = s.newInternalCodeLocked()
	s.cashOutReferences[payment.ExternalReference] = true
	s.payments = append(s.payments, payment)
	s.cashOuts[payment.TransactionID] = payment
	s.cashOuts[payment.InternalCode] = payment
	return payment.CashOut, nil
}

func (s *Sandbox) getCashOut(req request) (any, error) {
	payment := s.cashOuts[req.id]
	if payment == nil {
		return nil, transactionNotFound()
	}
	if earlier, isEarlier := payment.Movements[req.id]; isEarlier {
		return earlier, nil
	}
	return payment.CashOut, nil
}

func (s *Sandbox) publishCashOutLocked(payment *cashOut, eventType string) {
	payment.Last = s.publishLocked(payment.WebhookURL, eventType, payment.TransactionID, payment.CashOut)
}
