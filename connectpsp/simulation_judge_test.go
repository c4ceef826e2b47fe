package connectpsp_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// judge holds what the client says against what the gateway did. It knows both at once, as nobody
// in the world does.
type judge struct {
	world      *world
	bodies     map[string]string    // the one body of each key
	first      map[string]time.Time // when each key was first sent, as far as those who are alive can know
	references map[string]string    // of each key
	rejected   map[string]int       // reference: no request before this number may be executed, neither was any
}

func newJudge(w *world) judge {
	return judge{world: w, bodies: map[string]string{}, first: map[string]time.Time{}, references: map[string]string{}, rejected: map[string]int{}}
}

// sent takes notice of a request whose body was read.
func (j *judge) sent(m message) {
	if body, found := j.bodies[m.key]; !found {
		j.bodies[m.key] = m.body
	} else if body != m.body {
		j.world.violate("key %.4s was sent with two bodies", m.key)
	}
	j.references[m.key] = m.reference
	if _, found := j.first[m.key]; !found {
		j.first[m.key] = time.Now()
	}
}

// paid takes notice of money that moves.
func (j *judge) paid(m message) {
	if before, found := j.rejected[m.reference]; found && m.number < before {
		j.world.violate("%v was reported as rejected, and is paid", m)
	}
	o := j.world.orderOf(m.reference)
	if o == nil {
		j.world.violate("%v is nobody's order", m)
		return
	}
	o.paid++
	j.balance(o)
}

// balance holds the wallet against the gateway: it is debited once for each payment that is made
// and not given back.
func (j *judge) balance(o *purchase) {
	if o.paid+o.givenBack > o.debits {
		j.world.violate("order %d was debited %d times, paid %d times and given back %d times", o.index, o.debits, o.paid, o.givenBack)
	}
}

// reject takes notice of a rejection: nothing was executed for the reference, or will be by what
// was sent so far.
func (j *judge) reject(reference string) {
	for key := range j.first {
		if j.references[key] == reference {
			delete(j.first, key)
		}
	}
	j.rejected[reference] = j.world.number()
	for _, payment := range j.world.gateway.payments {
		if payment.reference == reference {
			j.world.violate("%s with key %.4s was paid, and is reported as rejected", reference, payment.key)
		}
	}
}

// knows holds the journal against the gateway, after Recover: of each payment that was made, the
// owner or the journal knows.
func (j *judge) knows() {
	w := j.world
	if w.book == nil || w.book.faulty {
		return
	}
	for _, payment := range w.gateway.payments {
		o := w.orderOf(payment.reference)
		intent := w.book.intents[payment.key]
		if !o.over && o.working == 0 && intent.Outcome != "" && w.process.starting {
			w.violate("%s was paid and ended in the journal, and its owner was not told", payment.reference)
		}
		if !o.over && intent.SentAt.IsZero() {
			w.violate("%s was paid, and neither its owner nor the journal knows", payment.reference)
		}
	}
}

// accept takes notice of a payment that is reported as accepted.
func (j *judge) accept(o *purchase, reference, transactionID string) {
	for _, payment := range j.world.gateway.payments {
		if payment.id == transactionID && payment.reference == reference && payment.amount == o.amount.String() {
			return
		}
	}
	j.world.violate("%s was not paid, and is reported as accepted", reference)
}

// doubt takes notice of an unknown outcome, which must say all that is needed to settle it. Blind
// says that only the payment is known.
func (j *judge) doubt(r *run, blind bool) {
	o := r.order
	named := r.reference
	if o.refund {
		named = ""
	}
	var unknown *connectpsp.UnknownOutcomeError
	if !errors.As(r.err, &unknown) {
		// A conflict is one that the gateway speaks of. It says less, and the client remembers the
		// rest.
		var conflict *connectpsp.APIError
		if !errors.As(r.err, &conflict) || conflict.Operation != o.operation() || !r.odd && conflict.IdempotencyKey != r.key || conflict.ExternalReference != named {
			j.world.violate("a conflict does not say what it is about: %v", r.err)
		}
		return
	}
	var missing string
	otherRefund := o.refund && unknown.IdempotencyKey != r.key // it may be about another refund of the charge
	first, sent := j.first[unknown.IdempotencyKey]
	sent = sent && !o.refund // a refund that was rejected may be reported as unknown, because another may be of its charge
	switch {
	case unknown.Operation != o.operation():
		missing = "the operation"
	case !r.odd && !o.refund && unknown.IdempotencyKey != r.key && j.references[unknown.IdempotencyKey] != r.reference:
		missing = "the key"
	case unknown.ExternalReference != named, o.refund && chargeOf(unknown.TransactionID) != r.reference:
		missing = "the reference"
	case blind:
		return
	case !o.refund && unknown.TransactionID != "" && !j.isOf(unknown.TransactionID, r.reference):
		missing = "whose transaction it is"
	case !o.refund && unknown.Amount != o.amount && !r.odd:
		missing = "the amount"
	case otherRefund:
		return
	case unknown.FirstSentAt.IsZero() || unknown.FirstSentAt.After(time.Now()) || sent && unknown.FirstSentAt.After(first):
		missing = "when it was first sent"
	case unknown.BodySHA256 != o.sum(r.reference) && !r.odd && (unknown.BodySHA256 != "" || unknown.TransactionID == ""):
		missing = "the sum of the body"
	default:
		return
	}
	j.world.violate("%s is unknown, and the error does not say right %s: %v", r.reference, missing, r.err)
}

// isOf reports whether a transaction is a payment of the reference.
func (j *judge) isOf(transactionID, reference string) bool {
	return slices.ContainsFunc(j.world.gateway.payments, func(p *payment) bool { return p.id == transactionID && p.reference == reference })
}

// panics takes notice of a call that panicked.
func (j *judge) panics(r *run) {
	if r.panicked != nil {
		j.world.violate("%v panicked: %v", r, r.panicked)
	}
}

// sum is what BodySHA256 should be.
func (o *purchase) sum(reference string) string {
	sum := sha256.Sum256(o.body(reference))
	return hex.EncodeToString(sum[:])
}
