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

// Transition is one step of a transaction, as a Worker gives it to your function: once, in an order
// in which statuses only move up. Printed by fmt or slog it shows no personal data.
type Transition struct {
	Kind          Kind
	TransactionID string

	// From is the last status that your function was told of, empty if this is the first. To is the
	// new one. Both are StatusRefunded for a further return of a payment that is returned in parts.
	//
	// How much a step to StatusRefunded returns is not known. A payment may be returned in parts,
	// each with an EndToEndID of its own, and it is not published whether Amount is then that of
	// the part or of the payment. So do not book the whole amount at the first return: a refund
	// that you asked for is of the whole charge, and for any other return the account's statement
	// tells.
	From, To Status

	// CashIn or CashOut, by Kind, is the transaction as the event or the gateway tells it; the
	// other is nil. Its own Status may be a later one than To. Compare ExternalReference and Amount
	// with your order's before you give anything out.
	CashIn  *connectpsp.CashIn
	CashOut *connectpsp.CashOut

	// Event is its event, nil if it was found by reading the transaction.
	Event *Event
	// Confirmed says that the transaction was read from the gateway, and what is here is what it
	// answered.
	Confirmed bool

	// MissedPayment says that the transaction was paid and returned, and your function hears of the
	// return first: From is neither PAID nor COMPLETED, and To is REFUNDED. Your code for a payment
	// has not run, and will not: its event is stale when it comes.
	MissedPayment bool
	// LatePayment says that a charge was paid after your function was told that it had expired or
	// was cancelled.
	LatePayment bool
	// Contradiction says that your function was told the opposite before: that a payment failed
	// which was made, or that it was made and it failed. The gateway was asked, and To is what it
	// answered. If you paid again, you paid twice.
	Contradiction bool
}

// String returns the transaction and the step.
func (t Transition) String() string {
	return fmt.Sprintf("%s %s: %q to %q", t.Kind, t.TransactionID, t.From, t.To)
}

// LogValue logs the transaction and the step.
func (t Transition) LogValue() slog.Value { return slog.StringValue(t.String()) }

// fact is the content of an event, or of the gateway's response to a read.
type fact struct {
	kind    Kind
	status  Status
	cashIn  *connectpsp.CashIn
	cashOut *connectpsp.CashOut
	event   *Event
	read    bool
	told    string // the payment's id by the event, for an answer that leaves it out
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
// are not compared: which fields a payment has is not published. What is passed on is
// always the gateway's answer.
func (f fact) matches(other fact) bool {
	amounts := f.amount().IsZero() || other.amount().IsZero() || f.amount() == other.amount() ||
		f.status == StatusRefunded // it may be that of a part
	return amounts && same(f.externalReference(), other.externalReference()) && same(f.paymentID(), other.paymentID())
}

// matchesRecorded reports whether a fact states the amount and the reference that were told before.
// Of a return the amount may be that of a part.
func (f fact) matchesRecorded(known TransactionState) bool {
	amounts := f.status == StatusRefunded || f.amount().IsZero() || known.Amount.IsZero() || f.amount() == known.Amount
	return amounts && same(f.externalReference(), known.ExternalReference)
}

// doubtful reports whether the data of an event says another status than its type, and not merely a
// later one: an event CASHIN_PAID, say, of a charge that is CANCELLED.
func (f fact) doubtful() bool {
	var stated Status
	if f.cashIn != nil {
		stated = Status(f.cashIn.Status)
	} else {
		stated = Status(f.cashOut.Status)
	}
	rank := f.kind.rank(stated)
	return rank != 0 && (rank < f.kind.rank(f.status) || f.kind.contradict(stated, f.status))
}

// same reports whether two texts are equal, or one is missing.
func same(one, other string) bool { return one == "" || other == "" || one == other }

// endToEndIDs are those of the last movement and, if that is a return, of the payment that it
// returns.
func (f fact) endToEndIDs() (current, original string) {
	if f.cashIn != nil {
		return f.cashIn.EndToEndID, f.cashIn.OriginalEndToEndID
	}
	return f.cashOut.EndToEndID, f.cashOut.OriginalEndToEndID
}

// paymentID is the end-to-end id of the payment, empty if it is not stated. One that begins with a
// D is a return's: the event of a payment that is written anew after its return may hold that one
// only.
func (f fact) paymentID() string {
	current, original := f.endToEndIDs()
	if original == "" && current != "" && f.status != StatusRefunded && !strings.HasPrefix(current, "D") {
		return current
	}
	return cmp.Or(original, f.told)
}

// movementID is the end-to-end id of the return or the payment that the fact is about.
func (f fact) movementID() string { return cmp.Or(f.returnID(), f.paymentID()) }

// sameMovement reports whether two facts tell of the same payment and, if both tell of one, the
// same return.
func (f fact) sameMovement(other fact) bool {
	return same(f.returnID(), other.returnID()) && same(f.paymentID(), other.paymentID())
}

// returnID is the end-to-end id of the return, if the transaction was returned.
func (f fact) returnID() string {
	if f.status != StatusRefunded {
		return ""
	}
	current, _ := f.endToEndIDs()
	return current
}

// ruling is the decision about a fact.
type ruling int

const (
	stale   ruling = iota // nothing that is not known
	apply                 // a step up
	unsure                // the gateway has to be asked
	behind                // the gateway's response is older than the recorded state
	differs               // the gateway's answer is not about the payment that was told of
	second                // it is about another payment of the same transaction than the one that was told of
)

// rule compares a fact with the recorded state. It returns the new state, if the fact is not
// doubted.
func rule(known TransactionState, f fact) (ruling, TransactionState) {
	from, to := known.Status, f.status
	next := TransactionState{Status: to, Returns: known.Returns, Amount: known.Amount, ExternalReference: cmp.Or(known.ExternalReference, f.externalReference())}
	if next.Amount.IsZero() && to != StatusRefunded {
		next.Amount = f.amount()
	}
	if f.kind.made(to) {
		next.PaymentID = cmp.Or(known.PaymentID, f.paymentID())
	}
	returned := f.returnID()
	isNew := returned != "" && !slices.Contains(known.Returns, returned)
	if isNew {
		next.Returns = append(slices.Clone(known.Returns), returned)
	}
	switch {
	case f.read && !f.matchesRecorded(known):
		return differs, known
	case f.kind.made(to) && !same(known.PaymentID, f.paymentID()):
		return second, known
	case f.kind.contradict(from, to) && !f.read:
		return unsure, known
	case f.kind.contradict(from, to), f.kind.rank(to) > f.kind.rank(from):
		return apply, next
	case to == StatusRefunded && isNew && len(known.Returns) > 0:
		return apply, next
	case to == StatusRefunded && isNew:
		return stale, next // the return was known, and now its id is
	case f.read && f.kind.rank(to) != 0 && f.kind.rank(to) < f.kind.rank(from):
		return behind, known
	default:
		if f.kind.made(to) { // and from, too: a payment that was missed has its id now
			known.PaymentID = next.PaymentID
		}
		return stale, known
	}
}

// transition describes a step from the recorded state to a fact.
func transition(known TransactionState, f fact) Transition {
	from, to := known.Status, f.status
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
	}
}
