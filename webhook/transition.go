package webhook

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// Transition is one step of a transaction. A [Worker] passes each step to your function once, in an
// order in which statuses only move up. Package fmt and log/slog print no personal data of it.
type Transition struct {
	Kind          Kind
	TransactionID string

	// From is the status of the previous step, empty if this is the first step. To is the new
	// status. Both are [StatusRefunded] for a further return of a payment that is returned in
	// parts.
	//
	// The SDK does not know how much a step to [StatusRefunded] returns. A payment may be returned
	// in parts, each with an EndToEndID of its own, and the provider does not publish whether
	// Amount is then that of the part or of the payment. So do not book the whole amount at the
	// first return. A refund that you requested covers the whole charge; for any other return read
	// the account's statement.
	From, To Status

	// CashIn or CashOut, depending on Kind, is the transaction as the event or the gateway reports
	// it; the other is nil. Its own Status may be later than To. Compare ExternalReference and
	// Amount with those of your order before you release money or goods.
	CashIn  *connectpsp.CashIn
	CashOut *connectpsp.CashOut

	// Event is the event that caused the step, nil if a read of the transaction did.
	Event *Event
	// Confirmed is true if the transaction was read from the gateway. CashIn or CashOut is then the
	// gateway's response.
	Confirmed bool

	// MissedPayment is true if the transaction was paid and returned, and your function gets the
	// return first: From is neither PAID nor COMPLETED, and To is REFUNDED. Your code for a payment
	// has not run and will not run: the event of the payment is stale when it comes.
	MissedPayment bool
	// LatePayment is true if a charge was paid after a step to EXPIRED or CANCELLED.
	LatePayment bool
	// Contradiction is true if this step is the opposite of an earlier one: a payment that failed
	// was made, or one that was made failed. To is the status that the Worker then read from the
	// gateway. If you paid again after the failure, you paid twice.
	Contradiction bool

	// Unrequested is true if a charge came back, in full or in part, and the client's journal has
	// no refund of yours for it: the payer's bank took the money back, most likely by MED after a
	// report of fraud. The provider has no event for MED, so this step is all that you see. Debit
	// the customer what came back by the account's statement, also below zero if the money is
	// spent, and stop the customer's payouts until a person has looked. See
	// [connectpsp.Client.RefundOrigin] for what the journal knows.
	Unrequested bool
	// ReturnUnclear is true if a charge came back, and the journal cannot tell whether by a refund
	// of yours: it does not know the charge any more, or the charge had come back before. A journal
	// in a file or in memory remembers for about an hour, so most returns by MED are unclear there,
	// and refunds of yours that take longer too. Look for a refund of yours, and treat the return
	// as Unrequested if there is none.
	ReturnUnclear bool

	// Late is true if a payment is still under way after its due time, see [Worker.WatchDueBy].
	// From and To are then equal: nothing has changed. A payment that is late has not failed, and
	// may still be made: never pay it again, and never give the money back. Its end comes as a step
	// of its own.
	Late bool
}

// String returns the transaction and the step.
func (t Transition) String() string {
	return fmt.Sprintf("%s %s: %q to %q", t.Kind, t.TransactionID, t.From, t.To)
}

// LogValue logs the transaction and the step.
func (t Transition) LogValue() slog.Value { return slog.StringValue(t.String()) }

// fact is the content of an event, or of the gateway's response to a read.
type fact struct {
	kind           Kind
	status         Status
	cashIn         *connectpsp.CashIn
	cashOut        *connectpsp.CashOut
	event          *Event
	read           bool
	eventPaymentID string                  // the payment id of the event, for a response without one
	origin         connectpsp.RefundOrigin // of the return of a charge
	late           bool                    // the payment is under way after its due time
}

func factOf(event *Event) fact {
	f := fact{event: event, cashIn: event.CashIn, cashOut: event.CashOut}
	f.kind, f.status = statusOf(event.Type)
	return f
}

func (f fact) transactionID() string {
	if f.cashIn != nil {
		return f.cashIn.TransactionID
	}
	return f.cashOut.TransactionID
}

func (f fact) amount() pix.Amount {
	if f.cashIn != nil {
		return f.cashIn.Amount
	}
	return f.cashOut.Amount
}

func (f fact) externalReference() string {
	if f.cashIn != nil {
		return f.cashIn.ExternalReference
	}
	return f.cashOut.ExternalReference
}

// matches reports whether two facts state the same amount, reference and payment. Absent fields
// are not compared, because the provider does not publish which fields are always present. The
// user's function always gets the gateway's response.
func (f fact) matches(other fact) bool {
	amounts := f.amount().IsZero() || other.amount().IsZero() || f.amount() == other.amount() ||
		f.status == StatusRefunded // the amount may be that of a part
	return amounts && same(f.externalReference(), other.externalReference()) && same(f.paymentID(), other.paymentID())
}

// matchesRecorded reports whether a fact states the recorded amount and reference. The amount of a
// return is not compared: it may be that of a part.
func (f fact) matchesRecorded(recorded TransactionState) bool {
	amounts := f.status == StatusRefunded || f.amount().IsZero() || recorded.Amount.IsZero() || f.amount() == recorded.Amount
	return amounts && same(f.externalReference(), recorded.ExternalReference)
}

// doubtful reports whether the status in the data of an event contradicts the event's type, for
// example a charge that is CANCELLED in an event CASHIN_PAID. A later status is no contradiction.
func (f fact) doubtful() bool {
	var stated Status
	if f.cashIn != nil {
		stated = reported(string(f.cashIn.Status))
	} else {
		stated = reported(string(f.cashOut.Status))
	}
	rank := f.kind.rank(stated)
	return rank != 0 && (rank < f.kind.rank(f.status) || f.kind.contradict(stated, f.status))
}

// same reports whether two texts are equal, or one is missing.
func same(one, other string) bool { return one == "" || other == "" || one == other }

// endToEndIDs returns the end-to-end id of the last movement and, if that is a return, of the
// payment that it returns.
func (f fact) endToEndIDs() (current, original string) {
	if f.cashIn != nil {
		return f.cashIn.EndToEndID, f.cashIn.OriginalEndToEndID
	}
	return f.cashOut.EndToEndID, f.cashOut.OriginalEndToEndID
}

// paymentID returns the end-to-end id of the payment, empty if the fact does not state it. An id
// that begins with D is a return's: if the gateway renders the event of a payment anew after the
// return, that may be the only id in the event.
func (f fact) paymentID() string {
	current, original := f.endToEndIDs()
	if original == "" && current != "" && f.status != StatusRefunded && !strings.HasPrefix(current, "D") {
		return current
	}
	return cmp.Or(original, f.eventPaymentID)
}

// movementID returns the end-to-end id of the return or the payment that the fact is about.
func (f fact) movementID() string { return cmp.Or(f.returnID(), f.paymentID()) }

// sameMovement reports whether two facts are about the same payment and, if both state one, the
// same return.
func (f fact) sameMovement(other fact) bool {
	return same(f.returnID(), other.returnID()) && same(f.paymentID(), other.paymentID())
}

// returnID returns the end-to-end id of the return, empty if the transaction was not returned.
func (f fact) returnID() string {
	if f.status != StatusRefunded {
		return ""
	}
	current, _ := f.endToEndIDs()
	return current
}

// decision is the result of comparing a fact with the recorded state.
type decision int

const (
	ignore        decision = iota // the fact has nothing new
	apply                         // a step up
	confirm                       // the transaction must be read from the gateway first
	outdated                      // the gateway's response is older than the recorded state
	mismatch                      // the gateway's response does not match the recorded state
	secondPayment                 // the fact is about a second payment of the same transaction
	newer                         // this version does not know the recorded status
)

// decide compares a fact with the recorded state. It returns the new state for a fact that needs no
// confirmation.
func decide(recorded TransactionState, f fact) (decision, TransactionState) {
	from, to := recorded.Status, f.status
	next := TransactionState{Status: to, Returns: recorded.Returns, Amount: recorded.Amount, ExternalReference: cmp.Or(recorded.ExternalReference, f.externalReference())}
	if next.Amount.IsZero() && to != StatusRefunded {
		next.Amount = f.amount()
	}
	if f.kind.made(to) {
		next.PaymentID = cmp.Or(recorded.PaymentID, f.paymentID())
	}
	returned := f.returnID()
	isNew := returned != "" && !slices.Contains(recorded.Returns, returned)
	if isNew {
		next.Returns = append(slices.Clone(recorded.Returns), returned)
	}
	switch {
	case from != "" && f.kind.rank(from) == 0:
		return newer, recorded
	case f.read && !f.matchesRecorded(recorded):
		return mismatch, recorded
	case f.kind.made(to) && !same(recorded.PaymentID, f.paymentID()):
		return secondPayment, recorded
	case f.kind.contradict(from, to) && !f.read:
		return confirm, recorded
	case f.kind.contradict(from, to), f.kind.rank(to) > f.kind.rank(from):
		return apply, next
	case to == StatusRefunded && isNew && len(recorded.Returns) > 0:
		return apply, next
	case to == StatusRefunded && isNew:
		return ignore, next // the return was recorded without its id
	case f.read && f.kind.rank(to) != 0 && f.kind.rank(to) < f.kind.rank(from):
		return outdated, recorded
	default:
		if f.kind.made(to) { // and so was from: the id of a missed payment may come now
			recorded.PaymentID = next.PaymentID
		}
		return ignore, recorded
	}
}

// transition describes a step from the recorded state to a fact.
func transition(recorded TransactionState, f fact) Transition {
	from, to := recorded.Status, f.status
	if f.late {
		from = cmp.Or(from, StatusProcessing)
		to = from
	}
	again := f.origin == connectpsp.RefundRequested && from == StatusRefunded // either return may be the refund
	return Transition{
		Kind:          f.kind,
		TransactionID: f.transactionID(),
		From:          from,
		To:            to,
		CashIn:        f.cashIn,
		CashOut:       f.cashOut,
		Event:         f.event,
		Confirmed:     f.read,
		MissedPayment: to == StatusRefunded && !f.kind.made(from),
		LatePayment:   f.kind == KindCashIn && (from == StatusExpired || from == StatusCancelled),
		Contradiction: f.kind.contradict(from, to),
		Late:          f.late,
		Unrequested:   f.origin == connectpsp.RefundUnrequested,
		ReturnUnclear: f.origin == connectpsp.RefundUnclear || again,
	}
}
