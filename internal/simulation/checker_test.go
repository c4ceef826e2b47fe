package simulation

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// checker compares the client's reports with the gateway's payments. It sees both at once, which no
// owner can. Each method checks one promise; to add a promise, add a method, call it where the
// schedule knows enough, and add a client that breaks it to package mutations.
type checker struct {
	schedule   *schedule
	bodies     map[string]string    // by key, which has only one
	references map[string]string    // by key
	firstSent  map[string]time.Time // by key: the first sending that the client can still know of
	rejectedAt map[string]int       // by reference: no request before it may be executed
}

func newChecker(s *schedule) checker {
	return checker{
		schedule: s, bodies: map[string]string{}, references: map[string]string{}, firstSent: map[string]time.Time{},
		rejectedAt: map[string]int{},
	}
}

// replayWindow is for how long a client sends a payment again on its own account. A call may take
// two minutes more.
const replayWindow = 20*time.Minute + 2*time.Minute

// written checks a request that the transport has written: a key always has the same body, the
// journal has let the process send it, and it does not come after the replay window, if the client
// sends it on its own account or nothing else fences it.
func (c *checker) written(m message, step *pendingStep) {
	p := step.process
	if c.schedule.isFleet() && !c.schedule.takeAnnounced(p, m.key) && !c.schedule.disk.hasAccepted(m.key) {
		c.schedule.violate("process %d sends %v without the payment's lease", p.number, m)
	}
	first, found := c.firstSent[m.key]
	fenced := !m.refund || c.schedule.disk == nil
	if found && step.since.Sub(first) > replayWindow && (!fenced || step.call.action == "recovers" || step.call.action == "resolves") {
		c.schedule.violate("%v is sent %v after it was sent first", m, step.since.Sub(first))
	}
	if body, found := c.bodies[m.key]; !found {
		c.bodies[m.key] = m.body
	} else if body != m.body {
		c.schedule.violate("key %.4s was sent with two bodies", m.key)
	}
	c.references[m.key] = m.reference
	if _, found := c.firstSent[m.key]; !found {
		c.firstSent[m.key] = time.Now()
	}
}

// begins notes that a call begins an intent, on a goroutine of the client.
func (c *checker) begins(intent connectpsp.Intent) {
	c.schedule.mu.Lock()
	defer c.schedule.mu.Unlock()
	c.references[intent.IdempotencyKey] = chargeOf(cmp.Or(intent.ExternalReference, intent.ChargeID))
}

// paid checks a payment when the gateway makes it: it was not reported as rejected, and it is not
// one too many.
func (c *checker) paid(m message) {
	if before, found := c.rejectedAt[m.reference]; found && m.number < before {
		c.schedule.violate("%v was reported as rejected, and is paid", m)
	}
	o := c.schedule.orderOf(m.reference)
	if o == nil {
		c.schedule.violate("%v is paid, and no order has that reference", m)
		return
	}
	o.payments++
	c.balance(o)
}

// balance checks the wallet: each debit is paid at most once, and not if it was reversed.
func (c *checker) balance(o *order) {
	if o.payments+o.reversals > o.debits {
		c.schedule.violate("order %d was debited %d times, paid %d times and reversed %d times",
			o.index, o.debits, o.payments, o.reversals)
	}
}

// rejected checks a report of a rejection: no request for the reference was executed, and none that
// was sent so far will be.
func (c *checker) rejected(reference string) {
	for key := range c.firstSent {
		if c.references[key] == reference {
			delete(c.firstSent, key)
		}
	}
	c.rejectedAt[reference] = c.schedule.nextNumber()
	for _, p := range c.schedule.gateway.payments {
		if p.reference == reference {
			c.schedule.violate("%s with key %.4s was paid, and is reported as rejected", reference, p.key)
		}
	}
}

// accepted checks a report of an acceptance: the gateway has made this payment.
func (c *checker) accepted(o *order, reference, transactionID string) {
	for _, p := range c.schedule.gateway.payments {
		if p.id == transactionID && p.reference == reference && p.amount == o.amount.String() {
			return
		}
	}
	c.schedule.violate("%s was not paid, and is reported as accepted", reference)
}

// leased checks that a payment that a process works on is not taken by another.
func (c *checker) leased(r *row, by *process) {
	if r.owner != nil && r.owner != by && time.Now().Before(r.leasedUntil) {
		c.schedule.violate("process %d takes %s, which process %d works on", by.number, r.Payment(), r.owner.number)
	}
}

// recovers checks that Recover leaves alone a payment on which another process has had the lease
// since before the call began.
func (c *checker) recovers(of *call, r *row) {
	if of != nil && of.action == "recovers" && r != nil && r.owner != of.process && time.Now().Before(r.leasedUntil) && r.leasedSince < of.number {
		c.schedule.violate("process %d recovers %s, which process %d works on", of.process.number, r.Payment(), r.owner.number)
	}
}

// recovered checks the journal after Recover: of each payment, the owner or the journal knows.
func (c *checker) recovered(by *process) {
	s := c.schedule
	if s.disk == nil || s.disk.faulty {
		return
	}
	for _, p := range s.gateway.payments {
		o := s.orderOf(p.reference)
		intent := s.disk.intentOf(p.key)
		ended := intent.Outcome != "" && !s.isFleet() // else it may be leased until its process has reported it
		if !o.closed && !o.isRunning() && ended && by.starting {
			s.violate("%s was paid, and its journal entry has ended without a report to its owner", p.reference)
		}
		if !o.closed && intent.SentAt.IsZero() {
			s.violate("%s was paid, and neither its owner nor the journal knows", p.reference)
		}
	}
}

// unknown checks a report of an unknown outcome: it says all that is needed to resolve it, and
// Recover still finds it.
func (c *checker) unknown(of *call, journalFailed bool) {
	var unknownOutcome *connectpsp.UnknownOutcomeError
	if !errors.As(of.err, &unknownOutcome) {
		c.conflict(of)
		return
	}
	if field := c.wrongField(of, unknownOutcome, journalFailed); field != "" {
		c.schedule.violate("%s is unknown, and %s of the error is wrong: %v", of.reference, field, of.err)
	}
	disk := c.schedule.disk
	if disk == nil || disk.faulty || of.begun.IsZero() {
		return
	}
	intent := disk.intents[unknownOutcome.IdempotencyKey]
	if intent.Outcome == connectpsp.OutcomeRejected && !intent.EndedAt.Before(of.begun) && !c.mayBeAnother(of, unknownOutcome) {
		c.schedule.violate("%s is unknown, and the journal has it as rejected: %v", of.reference, of.err)
	}
}

// mayBeAnother reports whether a refund is unknown because of another of the same charge: one that
// is asked for under another id, and may have been rejected since the call looked, or one that may
// be of the same charge, which could not be read. Calling again tells the truth.
func (c *checker) mayBeAnother(of *call, got *connectpsp.UnknownOutcomeError) bool {
	return of.order.refund && (of.mismatched || got.IdempotencyKey != of.key || strings.Contains(of.err.Error(), "the charge could not be read"))
}

// conflict checks a report that the gateway knows the reference or the key already: it names the
// payment. The client remembers the rest.
func (c *checker) conflict(of *call) {
	var conflict *connectpsp.APIError
	if !errors.As(of.err, &conflict) || conflict.Operation != of.order.operation() ||
		!of.mismatched && conflict.IdempotencyKey != of.key || conflict.ExternalReference != of.externalReference() {
		c.schedule.violate("a conflict does not say which payment it is about: %v", of.err)
	}
}

// wrongField returns the first field of the error that is wrong or missing, "" if there is none. If
// the journal failed the error knows the payment and no more. A call that is mismatched may speak
// of its own key, amount and body, or of those that were sent before.
func (c *checker) wrongField(of *call, got *connectpsp.UnknownOutcomeError, journalFailed bool) string {
	o := of.order
	// The error of a refund may be about another refund of the charge. It may also come after a
	// rejection of this one, because another may be open.
	otherRefund := o.refund && got.IdempotencyKey != of.key
	first, sent := c.firstSent[got.IdempotencyKey]
	sent = sent && !o.refund
	if c.schedule.isFleet() {
		first = first.Add(leaseTime) // for so long a call may not know of that of another process
	}
	switch {
	case got.Operation != o.operation():
		return "Operation"
	case !of.mismatched && !o.refund && got.IdempotencyKey != of.key && c.references[got.IdempotencyKey] != of.reference:
		return "IdempotencyKey"
	case got.ExternalReference != of.externalReference(), o.refund && chargeOf(got.TransactionID) != of.reference:
		return "ExternalReference"
	case journalFailed:
		return ""
	case !o.refund && got.TransactionID != "" && !c.isPayment(got.TransactionID, of.reference):
		return "TransactionID"
	case !o.refund && got.Amount != o.amount && !of.mismatched:
		return "Amount"
	case otherRefund:
		return ""
	case got.FirstSentAt.IsZero() || got.FirstSentAt.After(time.Now()) || sent && got.FirstSentAt.After(first):
		return "FirstSentAt"
	case got.BodySHA256 != o.bodySum(of.reference) && !of.mismatched && (got.BodySHA256 != "" || got.TransactionID == ""):
		return "BodySHA256"
	default:
		return ""
	}
}

// externalReference is that of the errors about the call. A refund has none.
func (c *call) externalReference() string {
	if c.order.refund {
		return ""
	}
	return c.reference
}

// isPayment reports whether a transaction is a payment of the reference.
func (c *checker) isPayment(transactionID, reference string) bool {
	return slices.ContainsFunc(c.schedule.gateway.payments, func(p *payment) bool {
		return p.id == transactionID && p.reference == reference
	})
}

// bodySum is the right value of BodySHA256.
func (o *order) bodySum(reference string) string {
	sum := sha256.Sum256(o.body(reference))
	return hex.EncodeToString(sum[:])
}

// returned checks that a call did not panic.
func (c *checker) returned(r *call) {
	if r.panicked != nil {
		c.schedule.violate("%v (%s) panicked: %v", r, r.title(), r.panicked)
	}
}
