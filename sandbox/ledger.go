package sandbox

import (
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// CashIns are charges as getCashIn returns them by their transactionId, in the order of their
// creation. Only the amount of a charge that was returned in parts differs: it is that of the
// payment.
type CashIns []connectpsp.CashIn

// CashIns returns all charges. The caller owns the slice, but not what its elements point to.
func (s *Sandbox) CashIns() CashIns {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make(CashIns, len(s.charges))
	for i, charge := range s.charges {
		all[i] = charge.whole(s.clock.now())
	}
	return all
}

// CashIn returns the charge with an id, which may be the endToEndId of any of its payments and
// returns. It is as [Sandbox.CashIns] returns it. The error wraps [ErrNotFound].
func (s *Sandbox) CashIn(id string) (connectpsp.CashIn, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	charge := s.cashIns[id]
	if charge == nil {
		return connectpsp.CashIn{}, ErrNotFound
	}
	return charge.whole(s.clock.now()), nil
}

// whole returns a charge with its present status and the amount of its payment.
func (c *cashIn) whole(now time.Time) connectpsp.CashIn {
	charge := *c
	charge.expireIfDue(now)
	charge.Amount = c.Paid
	return charge.CashIn
}

// ByReference returns the charges with an externalReference.
func (c CashIns) ByReference(externalReference string) CashIns {
	return filter(c, func(charge connectpsp.CashIn) bool { return charge.ExternalReference == externalReference })
}

// ByAmount returns the charges of an amount.
func (c CashIns) ByAmount(amount pix.Amount) CashIns {
	return filter(c, func(charge connectpsp.CashIn) bool { return charge.Amount == amount })
}

// ByStatus returns the charges with a status.
func (c CashIns) ByStatus(status connectpsp.CashInStatus) CashIns {
	return filter(c, func(charge connectpsp.CashIn) bool { return charge.Status == status })
}

// ByPayer returns the charges whose payer has a document, a CPF or a CNPJ of digits only.
func (c CashIns) ByPayer(document string) CashIns {
	return filter(c, func(charge connectpsp.CashIn) bool { return charge.Payer.Document == document })
}

// CashOuts are payments as getCashOut returns them by their transactionId, in the order of their
// creation. Only the amount of a payment that was returned in parts differs: it is that of the
// payment.
type CashOuts []connectpsp.CashOut

// CashOuts returns all payments that the gateway has accepted, failed ones too. The caller owns the
// slice, but not what its elements point to. This is true if one payment of R$ 30.00 was made to a
// key, and only one:
//
//	len(gateway.CashOuts().ByKey("maria@example.com").ByAmount(pix.Centavos(3000))) == 1
func (s *Sandbox) CashOuts() CashOuts {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make(CashOuts, len(s.payments))
	for i, payment := range s.payments {
		all[i] = payment.whole()
	}
	return all
}

// CashOut returns the payment with an id, which may be the endToEndId of any of its returns. It is
// as [Sandbox.CashOuts] returns it. The error wraps [ErrNotFound].
func (s *Sandbox) CashOut(id string) (connectpsp.CashOut, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	payment := s.cashOuts[id]
	if payment == nil {
		return connectpsp.CashOut{}, ErrNotFound
	}
	return payment.whole(), nil
}

// whole returns a payment with the amount that was requested.
func (c *cashOut) whole() connectpsp.CashOut {
	payment := c.CashOut
	payment.Amount = c.Paid
	return payment
}

// ByReference returns the payments with an externalReference.
func (c CashOuts) ByReference(externalReference string) CashOuts {
	return filter(c, func(payment connectpsp.CashOut) bool { return payment.ExternalReference == externalReference })
}

// ByAmount returns the payments of an amount.
func (c CashOuts) ByAmount(amount pix.Amount) CashOuts {
	return filter(c, func(payment connectpsp.CashOut) bool { return payment.Amount == amount })
}

// ByStatus returns the payments with a status.
func (c CashOuts) ByStatus(status connectpsp.CashOutStatus) CashOuts {
	return filter(c, func(payment connectpsp.CashOut) bool { return payment.Status == status })
}

// ByKey returns the payments to a PIX key.
func (c CashOuts) ByKey(pixKey string) CashOuts {
	return filter(c, func(payment connectpsp.CashOut) bool { return payment.Payee.Destination.PIXKey == pixKey })
}
