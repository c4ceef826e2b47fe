package sandbox

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// Payment is how a charge is paid, see [Sandbox.PayCashInWith]. The zero value pays like
// [Sandbox.PayCashIn]: the payer of the charge pays its amount.
type Payment struct {
	// Payer is the one who pays. An empty Name or Document is that of the charge, and a nil
	// BankData is an account of the sandbox's bank.
	Payer connectpsp.Payer

	// Amount is how much is paid. Zero is the amount of the charge.
	Amount pix.Amount
}

// PayCashIn pays a charge: the charge becomes PAID, its amount is added to the transactional
// account, and CASHIN_PAID is sent. The error wraps [ErrNotFound], or [ErrTransition] if the charge
// is not AWAITING_PAYMENT.
func (s *Sandbox) PayCashIn(id string) error {
	return s.moveCashIn(id, connectpsp.CashInPaid, func(charge *cashIn) { s.payLocked(charge, Payment{}) })
}

// PayCashInWith pays a charge in any status: as another payer, from another account, another
// amount, or too late.
//
//   - AWAITING_PAYMENT: the charge becomes PAID, as after [Sandbox.PayCashIn].
//   - EXPIRED or CANCELLED: the charge becomes PAID, too late.
//   - PAID or REFUNDED: the charge is paid a second time, with a new endToEndId. A read by
//     transactionId or internalCode then returns the second payment; a read by the endToEndId of
//     the first payment still returns the first.
//
// Each time CASHIN_PAID is sent. The error wraps [ErrNotFound], [ErrInvalid] if the payment is
// invalid, or [ErrTransition] if a refund of the charge is on its way.
func (s *Sandbox) PayCashInWith(id string, payment Payment) error {
	if err := payment.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	charge := s.findCashInLocked(id)
	switch {
	case charge == nil:
		return ErrNotFound
	case charge.refundUnderWay():
		return fmt.Errorf("%w: a refund of the cash-in is on its way", ErrTransition)
	}
	charge.keepMovement()
	charge.Status = connectpsp.CashInPaid
	s.payLocked(charge, payment)
	return nil
}

func (p Payment) validate() error {
	if document := p.Payer.Document; document != "" && !isDocument(document) {
		return fmt.Errorf("%w: the payer's document must be a CPF or a CNPJ, digits only", ErrInvalid)
	}
	if bank := p.Payer.BankData; bank != nil && !isISPB(bank.ISPB) {
		return fmt.Errorf("%w: the ISPB of the payer's bank must be eight digits", ErrInvalid)
	}
	if p.Amount.Centavos() < 0 || p.Amount.Centavos() > largestAmount {
		return fmt.Errorf("%w: the amount must be from R$ 0.01 to R$ %v", ErrInvalid, pix.Centavos(largestAmount))
	}
	return nil
}

// payLocked makes a payment of a charge whose status is PAID by now.
func (s *Sandbox) payLocked(charge *cashIn, payment Payment) {
	charge.EndToEndID, charge.OriginalEndToEndID = s.newEndToEndIDLocked("E"), ""
	charge.PaidAt, charge.RefundedAt, charge.RefundID = s.timestamp(), pix.Time{}, ""
	charge.Amount = charge.Requested
	if !payment.Amount.IsZero() {
		charge.Amount = payment.Amount
	}
	charge.Paid, charge.Left = charge.Amount, charge.Amount
	bank := connectpsp.BankData{ISPB: ispb, Bank: bankName, Branch: "0001", Account: "123456"}
	if payment.Payer.BankData != nil {
		bank = *payment.Payer.BankData
	}
	charge.Payer = connectpsp.Payer{
		Name:     cmp.Or(payment.Payer.Name, charge.Payer.Name),
		Document: cmp.Or(payment.Payer.Document, charge.Payer.Document),
		BankData: &bank,
	}
	s.cashIns[charge.EndToEndID] = charge
	s.addTransactionalLocked(charge.Amount.Centavos())
	s.publishCashInLocked(charge, cashInPaid)
}

// keepMovement keeps the last payment or return of a charge, which a read by its endToEndId
// returns.
func (c *cashIn) keepMovement() {
	for _, id := range []string{c.EndToEndID, c.OriginalEndToEndID} {
		if id != "" {
			c.Movements[id] = c.CashIn
		}
	}
}

// refundUnderWay reports whether a refund was accepted and has not arrived.
func (c *cashIn) refundUnderWay() bool { return c.Status == connectpsp.CashInPaid && c.RefundID != "" }

func isDocument(text string) bool {
	document, err := pix.ParseDocument(text)
	return err == nil && document.Text() == text && !document.IsAlphanumeric()
}

func isISPB(text string) bool { return len(text) == 8 && strings.Trim(text, digits) == "" }
