package connectpsp_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// judge holds what the client says against what the gateway did. It knows both at once, as nobody in the world does.
type judge struct {
	world    *world
	bodies   map[string]string    // the one body of each key
	first    map[string]time.Time // when each key was first sent, as far as those who are alive can know
	rejected map[string]int       // key: no request before this number may be executed, neither was any
}

func newJudge(w *world) judge {
	return judge{world: w, bodies: map[string]string{}, first: map[string]time.Time{}, rejected: map[string]int{}}
}

// sent takes notice of a request whose body was read.
func (j *judge) sent(m message) {
	if body, found := j.bodies[m.key]; !found {
		j.bodies[m.key] = m.body
	} else if body != m.body {
		j.world.violate("key %.4s was sent with two bodies", m.key)
	}
	if _, found := j.first[m.key]; !found {
		j.first[m.key] = time.Now()
	}
}

// paid takes notice of money that moves.
func (j *judge) paid(m message) {
	if before, found := j.rejected[m.key]; found && m.number < before {
		j.world.violate("%v was reported as rejected, and is paid", m)
	}
	o := j.world.orderOf(m.reference)
	if o == nil {
		j.world.violate("%v is nobody's order", m)
		return
	}
	if o.paid++; o.paid > 1 {
		j.world.violate("order %d is paid twice", o.index)
	}
}

// reject takes notice of a rejection: nothing under this key was executed, or will be by what was sent so far. Final says
// that nothing else will be sent under it either.
func (j *judge) reject(key string, final bool) {
	delete(j.first, key)
	before := j.world.number()
	if final {
		before = math.MaxInt
	}
	j.rejected[key] = max(before, j.rejected[key])
	for _, payment := range j.world.gateway.payments {
		if payment.key == key && payment.number < before {
			j.world.violate("%s with key %.4s was paid, and is reported as rejected", payment.reference, key)
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

// doubt takes notice of an unknown outcome, which must say all that is needed to settle it. Blind says that only the payment
// is known.
func (j *judge) doubt(o *purchase, key, reference string, err error, blind bool) {
	var unknown *connectpsp.UnknownOutcomeError
	if !errors.As(err, &unknown) {
		// A conflict is one that the gateway speaks of. It says less, and the client remembers the rest.
		var conflict *connectpsp.APIError
		if !errors.As(err, &conflict) || conflict.Operation != "createCashOut" || conflict.IdempotencyKey != key || conflict.ExternalReference != reference {
			j.world.violate("a conflict does not say what it is about: %v", err)
		}
		return
	}
	var missing string
	first, sent := j.first[key]
	switch {
	case unknown.Operation != "createCashOut":
		missing = "the operation"
	case unknown.IdempotencyKey != key:
		missing = "the key"
	case unknown.ExternalReference != reference:
		missing = "the reference"
	case blind:
		return
	case unknown.Amount != o.amount:
		missing = "the amount"
	case unknown.FirstSentAt.IsZero() || unknown.FirstSentAt.After(time.Now()) || sent && unknown.FirstSentAt.After(first):
		missing = "when it was first sent"
	case unknown.BodySHA256 != o.sum(reference) && (unknown.BodySHA256 != "" || unknown.TransactionID == ""):
		missing = "the sum of the body"
	default:
		return
	}
	j.world.violate("%s is unknown, and the error does not say right %s: %v", reference, missing, err)
}

// panics takes notice of a call that panicked.
func (j *judge) panics(r *run) {
	if r.panicked != nil {
		j.world.violate("%v panicked: %v", r, r.panicked)
	}
}

// sum is what BodySHA256 should be.
func (o *purchase) sum(reference string) string {
	request := o.request()
	request.ExternalReference = reference
	sum := sha256.Sum256(must(json.Marshal(request)))
	return hex.EncodeToString(sum[:])
}
