package sandbox

import (
	"fmt"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// cashIn is a charge as getCashIn returns it, with the fields that no response shows. A
// [Sandbox.Snapshot] has all of them.
type cashIn struct {
	connectpsp.CashIn `json:"cashIn"`

	Requested  pix.Amount                   `json:"requested"`
	Paid       pix.Amount                   `json:"paid"` // by the last payment; what was requested before that
	Left       pix.Amount                   `json:"left"` // of the last payment: how much has not been returned
	ExpiresAt  time.Time                    `json:"expiresAt"`
	RefundID   string                       `json:"refundId,omitzero"` // the endToEndId of an accepted refund
	Movements  map[string]connectpsp.CashIn `json:"movements"`         // by endToEndId: payments and returns before the last one
	WebhookURL string                       `json:"webhookUrl,omitzero"`
	Last       *event                       `json:"last,omitzero"` // the last event that was published, nil before the first
}

// ExpireCashIn makes a charge EXPIRED ahead of its time. No webhook is sent. The error wraps
// [ErrNotFound], or [ErrTransition] if the charge is not AWAITING_PAYMENT.
func (s *Sandbox) ExpireCashIn(id string) error {
	return s.moveCashIn(id, connectpsp.CashInExpired, func(charge *cashIn) { charge.ExpiredAt = s.timestamp() })
}

// CancelCashIn makes a charge CANCELLED. No webhook is sent. The error wraps [ErrNotFound], or
// [ErrTransition] if the charge is not AWAITING_PAYMENT.
func (s *Sandbox) CancelCashIn(id string) error {
	return s.moveCashIn(id, connectpsp.CashInCancelled, func(*cashIn) {})
}

// moveCashIn moves a charge from AWAITING_PAYMENT to another status.
func (s *Sandbox) moveCashIn(id string, status connectpsp.CashInStatus, change func(*cashIn)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	charge := s.findCashInLocked(id)
	if charge == nil {
		return ErrNotFound
	}
	if charge.Status != connectpsp.CashInAwaitingPayment {
		return fmt.Errorf("%w: the cash-in is %s and cannot become %s", ErrTransition, charge.Status, status)
	}
	charge.Status = status
	change(charge)
	return nil
}

func (s *Sandbox) createCashIn(req request) (any, error) {
	body := req.body
	payer := body.object("payer")
	charge := &cashIn{CashIn: connectpsp.CashIn{
		Amount:            body.amount("amount", pix.Centavos(1)),
		ExternalReference: body.text("externalReference"),
		Payer:             connectpsp.Payer{Name: payer.text("name"), Document: payer.document("document")},
		Status:            connectpsp.CashInAwaitingPayment,
		RequestedAt:       s.timestamp(),
	}}
	charge.Requested, charge.Paid, charge.Movements = charge.Amount, charge.Amount, make(map[string]connectpsp.CashIn)
	minutes := body.count("expirationInMinutes", 24*60)
	charge.WebhookURL = body.optionalURL("webhookUrl")
	if body.has("openFinance") {
		body.object("openFinance").optionalURL("redirectUrl")
	}
	if err := body.err(); err != nil {
		return nil, err
	}
	if s.uniqueReferences && s.cashInReferences[charge.ExternalReference] {
		return nil, duplicateReference()
	}

	charge.TransactionID = s.newChargeIDLocked()
	charge.InternalCode = s.newInternalCodeLocked()
	// Long enough that no charge expires in a test, and short enough for a time.Duration.
	const century = 100 * 366 * 24 * 60
	charge.ExpiresAt = s.clock.now().Add(time.Duration(min(minutes, century)) * time.Minute)
	created := charge.CashIn
	if body.has("openFinance") {
		created.PaymentURL = "https://sandbox.connectpsp.example/open-finance/" + charge.TransactionID
	} else {
		var err error
		if created.PIXData, err = newPIXData(charge.TransactionID, charge.Amount); err != nil {
			return nil, err
		}
	}
	s.cashInReferences[charge.ExternalReference] = true
	s.charges = append(s.charges, charge)
	s.expectExpiryLocked(charge.ExpiresAt)
	s.cashIns[charge.TransactionID] = charge
	s.cashIns[charge.InternalCode] = charge
	return created, nil
}

func (s *Sandbox) getCashIn(req request) (any, error) {
	charge := s.findCashInLocked(req.id)
	if charge == nil {
		return nil, transactionNotFound()
	}
	if earlier, isEarlier := charge.Movements[req.id]; isEarlier {
		return earlier, nil
	}
	return charge.CashIn, nil
}

// findCashInLocked returns a charge with its present status, or nil.
func (s *Sandbox) findCashInLocked(id string) *cashIn {
	charge := s.cashIns[id]
	if charge != nil {
		charge.expireIfDue(s.clock.now())
	}
	return charge
}

func (c *cashIn) expireIfDue(now time.Time) {
	if c.Status == connectpsp.CashInAwaitingPayment && !now.Before(c.ExpiresAt) {
		c.Status = connectpsp.CashInExpired
		c.ExpiredAt = pix.Time{Time: c.ExpiresAt.In(brasilia).Truncate(time.Second)}
	}
}

// timestamp returns the present time as transactions show it: in whole seconds, three hours behind
// UTC.
func (s *Sandbox) timestamp() pix.Time {
	return pix.Time{Time: s.clock.now().In(brasilia).Truncate(time.Second)}
}

func (s *Sandbox) publishCashInLocked(charge *cashIn, eventType string) {
	charge.Last = s.publishLocked(charge.WebhookURL, eventType, charge.TransactionID, charge.CashIn)
}

func transactionNotFound() error {
	return refuse(http.StatusNotFound, "TRANSACTION_NOT_FOUND", "There is no such transaction.")
}

func duplicateReference() error {
	return refuse(http.StatusConflict, "DUPLICATE_EXTERNAL_REFERENCE", "The externalReference was used before.")
}
