package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
)

// order is a payment that its owner wants to make once: a cash-out, or the refund of a charge. The
// owner has debited a wallet for it and follows docs/money-safety.md: while the outcome is unknown
// the debit stays and the order is open; when the client reports a rejection the debit is reversed.
type order struct {
	schedule *schedule
	index    int
	refund   bool
	amount   pix.Amount
	payments int // made by the gateway, which only the checker knows

	// On the owner's disk.
	debits          int // one for each reference and attempt
	reversals       int
	referenceNumber int // of the references that the order is paid under
	attempt         int // for WithAttempt
	key             string
	started         bool // the first call for this debit is about to be made, or was
	startedAt       time.Time
	unknownOutcome  []byte // the last UnknownOutcomeError, as JSON
	closed          bool   // it is paid, or given up
	forgotten       bool   // an earlier process called for it, and left no journal
	calls           int

	claimed int // the number of the last Begin of a call, in a fleet

	callPlanned bool // in the memory of the processes
}

const (
	maxCalls      = 6
	maxReferences = 3
)

func newOrder(s *schedule, index int, refund bool) *order {
	o := &order{schedule: s, index: index, refund: refund, debits: 1, amount: pix.Centavos(int64(1000*index) + 1050)}
	o.key = o.deriveKey()
	return o
}

// reference is the externalReference of a cash-out, and the transaction id of a refund's charge.
func (o *order) reference() string {
	return "order" + strconv.Itoa(o.index) + "-" + strconv.Itoa(o.referenceNumber)
}

// orderOf returns the order of a reference, or of any id of a charge; nil if there is none.
func (s *schedule) orderOf(reference string) *order {
	number, _, _ := strings.Cut(strings.TrimPrefix(reference, "order"), "-")
	index, err := strconv.Atoi(number)
	if err != nil || index >= len(s.orders) {
		return nil
	}
	return s.orders[index]
}

func (o *order) operation() string {
	if o.refund {
		return connectpsp.OperationRefundCashIn
	}
	return connectpsp.OperationCreateCashOut
}

func (o *order) deriveKey() string {
	return idempotency.DeriveKey(clientID, o.operation(), o.reference(), o.attempt)
}

// cashOut is the request of a cash-out.
func (o *order) cashOut(reference string) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount:            o.amount,
		ExternalReference: reference,
		WebhookURL:        "https://merchant.example/webhooks/connectpsp",
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909"),
		},
	}
}

// refundRequest is the request of a refund.
var refundRequest = connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}

// body is the body of the order's requests.
func (o *order) body(reference string) []byte {
	if o.refund {
		return must(json.Marshal(refundRequest))
	}
	return must(json.Marshal(o.cashOut(reference)))
}

// call begins a call about the order.
func (o *order) call(action string, mismatched bool, do func(context.Context, *connectpsp.Client, *call)) {
	c := &call{
		action: action, order: o, debit: o.debits, key: o.key, reference: o.reference(),
		mismatched: mismatched, forgotten: o.forgotten, handle: o.handleOutcome,
	}
	o.schedule.counters.add("call", action)
	o.calls++
	o.schedule.begin(c, func(ctx context.Context, client *connectpsp.Client) { do(ctx, client, c) })
}

// parameters are those of a call that asks for the payment.
type parameters struct {
	chargeID string // of a refund
	invalid  bool
	option   connectpsp.CallOption
}

// ask begins a call that asks for the payment.
func (o *order) ask(action string, mismatched bool, p parameters) {
	cashOut, refund := o.cashOut(o.reference()), refundRequest
	if p.invalid {
		cashOut.Payee.Name, refund.Reason = "", ""
	}
	o.call(action, mismatched, func(ctx context.Context, client *connectpsp.Client, c *call) {
		if o.refund {
			var created *connectpsp.Refund
			if created, c.err = client.RefundCashIn(ctx, p.chargeID, refund, p.option); c.err == nil {
				c.transactionID = created.TransactionID
			}
			return
		}
		var created *connectpsp.CashOut
		if created, c.err = client.CreateCashOut(ctx, cashOut, p.option); c.err == nil {
			c.transactionID = created.TransactionID
		}
	})
}

// pay makes the call that the order is for.
func (o *order) pay() {
	if !o.started {
		o.started, o.startedAt = true, time.Now()
	}
	o.ask("pays", false, o.rightParameters())
}

func (o *order) rightParameters() parameters {
	return parameters{chargeID: o.reference(), option: connectpsp.WithAttempt(o.attempt)}
}

// repeat calls again, if that is safe.
func (o *order) repeat() {
	if o.mayRepeat() {
		o.pay()
	}
}

// mayRepeat is false where another call might pay twice on a gateway that ignores references.
func (o *order) mayRepeat() bool {
	return !o.schedule.gateway.ignoresReferences || !o.started || !o.forgotten && time.Since(o.startedAt) < 20*time.Minute
}

// mismatches are the ways in which an owner calls again with something wrong.
var mismatches = []string{
	"repeats with an invalid request", "repeats with a later attempt", "repeats without its attempt", "repeats with a negative attempt",
	"repeats with an empty key", "repeats with another key", "repeats under another id",
}

// repeatMismatched calls again with an invalid request, or with options that are not those of the
// payment. The options are the owner's to keep right where the client may have forgotten the
// payment.
func (o *order) repeatMismatched() {
	s, p := o.schedule, o.rightParameters()
	mayForget := o.forgotten || s.disk == nil && s.settings.crashes > 0
	mismatch, otherID := 0, len(mismatches)-1
	switch {
	case mayForget || !o.mayRepeat():
	case s.isFleet(): // two processes do not see that two ids name one charge
		mismatch = s.choices.choose(otherID, 80)
	case o.refund && s.choices.choose(2, 60) == 1:
		mismatch = otherID
	default:
		mismatch = s.choices.choose(otherID+1, 80)
	}
	switch mismatches[mismatch] {
	case "repeats with an invalid request":
		p.invalid = true
	case "repeats with a later attempt":
		p.option = connectpsp.WithAttempt(o.attempt + 1)
	case "repeats without its attempt":
		p.option = connectpsp.WithAttempt(0)
	case "repeats with a negative attempt":
		p.option = connectpsp.WithAttempt(-1)
	case "repeats with an empty key":
		p.option = connectpsp.WithIdempotencyKey("")
	case "repeats with another key":
		p.option = connectpsp.WithIdempotencyKey(idempotency.DeriveKey("another", o.operation(), o.reference(), o.calls))
	case "repeats under another id":
		p.chargeID = [...]func(string) string{endToEndOf, codeOf}[s.choices.choose(2, 50)](p.chargeID)
	}
	o.ask(mismatches[mismatch], true, p)
}

// resolve has the client resolve the last unknown outcome.
func (o *order) resolve() {
	written, request := o.unknownOutcome, o.cashOut(o.reference())
	o.call("resolves", false, func(ctx context.Context, client *connectpsp.Client, c *call) {
		var unknownOutcome connectpsp.UnknownOutcomeError
		if c.err = json.Unmarshal(written, &unknownOutcome); c.err != nil {
			return
		}
		var cashOut *connectpsp.CashOut
		if cashOut, c.err = client.ResolveCashOut(ctx, &unknownOutcome, request); c.err == nil {
			c.transactionID = cashOut.TransactionID
		}
	})
}

// lookUp reads a cash-out that was accepted, now and then.
func (o *order) lookUp(transactionID string) {
	s := o.schedule
	if o.refund || s.choices.choose(2, 10) == 0 {
		return
	}
	c := &call{action: "looks up", order: o, reference: o.reference()}
	s.counters.add("call", c.action)
	c.handle = func(c *call) {
		if c.err == nil && (c.transactionID != transactionID || c.amount != o.amount) {
			s.violate("%v (%s) returned another payment", c, c.title())
		}
	}
	s.begin(c, func(ctx context.Context, client *connectpsp.Client) {
		var cashOut *connectpsp.CashOut
		if cashOut, c.err = client.GetCashOut(ctx, transactionID); c.err == nil {
			c.transactionID, c.amount = cashOut.TransactionID, cashOut.Amount
		}
	})
}

// plan makes a call after a pause, if the order is still open then. A plan is lost when the last
// process dies.
func (o *order) plan(pause time.Duration, makeCall func()) {
	generation, debit := o.schedule.generation, o.debits
	o.callPlanned = true
	o.schedule.later(pause, func() {
		if o.schedule.generation != generation {
			return
		}
		o.callPlanned = false
		if !o.closed && o.debits == debit {
			makeCall()
		}
	})
}

// callMeanwhile has another worker of the owner call for the same order.
func (o *order) callMeanwhile() {
	s, generation, debit := o.schedule, o.schedule.generation, o.debits
	pauses := [...]time.Duration{10 * time.Millisecond, 3 * time.Second, 35 * time.Second}
	if s.isFleet() {
		pauses[0] = 0 // the calls of two processes overlap from the beginning
	}
	s.later(pauses[s.choices.choose(len(pauses), 60)], func() {
		switch {
		case s.generation != generation || o.closed || o.debits != debit || !o.mayRepeat():
		case s.choices.choose(2, 25) == 1:
			o.repeatMismatched()
		default:
			o.pay()
		}
	})
}

// resume continues with the order after a restart.
func (o *order) resume() {
	if o.closed {
		return
	}
	if !o.started {
		o.plan(time.Second, o.pay)
		return
	}
	switch o.schedule.choices.choose(3, 85) {
	case 1:
		o.plan(o.drawPause(), o.repeat)
	case 2:
		o.planResolve()
	}
}

// planResolve plans to resolve the unknown outcome, or to repeat where there is none to resolve.
func (o *order) planResolve() {
	if o.unknownOutcome == nil || o.refund {
		o.plan(o.drawPause(), o.repeat)
	} else {
		o.plan(o.drawPause(), o.resolve)
	}
}

func (o *order) drawPause() time.Duration {
	pauses := [...]time.Duration{time.Second, 0, 10 * time.Second, 90 * time.Second, 8 * time.Minute, 19 * time.Minute, 25 * time.Minute}
	return pauses[o.schedule.choices.choose(len(pauses), 60)]
}

// handleOutcome acts upon the outcome of a call, by the switch of docs/money-safety.md.
func (o *order) handleOutcome(c *call) {
	s := o.schedule
	outcome := outcomeOf(c.err)
	s.counters.add("outcome", outcome)
	if s.tracing {
		s.note("%v ends: %s%s", c, outcome, reason(c.err))
	}
	current := c.debit == o.debits && !o.closed
	switch outcome {
	case accepted:
		s.checker.accepted(o, c.reference, c.transactionID)
		if current {
			o.closed = true
			o.lookUp(c.transactionID)
		}
	case unknown, conflict:
		journalFailed := s.isJournalFailure(c.err)
		s.checker.unknown(c, journalFailed)
		if current {
			if !journalFailed && !c.mismatched {
				o.keepUnknownOutcome(c.err)
			}
			o.decideNext()
		}
	case rejected:
		if c.forgotten {
			// The client speaks of its own attempts, and an earlier process may have paid.
			s.counters.add("outcome", "rejected by a client that has forgotten")
			delete(s.checker.firstSent, c.key)
			if current {
				o.decideNext()
			}
			return
		}
		if o.isOvertaken(c) {
			if current {
				o.decideNext()
			}
			return
		}
		o.handleRejection(c.reference, errors.Is(c.err, connectpsp.ErrNotSent), current)
	default:
		s.violate("%v (%s) ended in %s", c, c.title(), outcome)
	}
}

// isOvertaken reports whether the outcome of another process's call counts, and not this rejection:
// that call has begun since, because this process was frozen, or the journal does not know of the
// rejection, because this call was faulty or could not begin.
func (o *order) isOvertaken(c *call) bool {
	switch {
	case !o.schedule.isFleet():
		return false
	case c.recordedAt > 0:
		return o.claimed > c.recordedAt
	default:
		return o.calls > 1
	}
}

// isRunning reports whether a call about the order is under way.
func (o *order) isRunning() bool {
	return slices.ContainsFunc(o.schedule.processes, func(p *process) bool {
		return slices.ContainsFunc(p.calls, func(c *call) bool { return c.order == o })
	})
}

// isJournalFailure reports whether a call sent nothing and could not read from the journal about
// earlier calls, so that its error knows the payment and no more.
func (s *schedule) isJournalFailure(err error) bool {
	var unknownOutcome *connectpsp.UnknownOutcomeError
	return s.disk != nil && (s.disk.faulty || s.isFleet()) && errors.As(err, &unknownOutcome) && unknownOutcome.Attempts == 0
}

// reason is the text of an error in a story.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// handleRejection reverses the debit, or calls again if nothing was sent. An outcome that is not
// current is one of an earlier debit, or of an order that is closed.
func (o *order) handleRejection(reference string, notSent, current bool) {
	s := o.schedule
	s.checker.rejected(reference)
	if notSent {
		s.counters.add("outcome", "rejected, nothing sent")
	}
	switch {
	case !current:
	case notSent && o.calls < maxCalls && s.choices.choose(2, 25) == 1:
		o.plan(o.drawPause(), o.repeat)
	default:
		o.reverse()
	}
}

// reverse gives the money back to the wallet. The customer may then ask for the payment again: it
// is paid under a new reference, or under the same one with the next attempt.
func (o *order) reverse() {
	s := o.schedule
	o.reversals++
	s.checker.balance(o)
	if o.calls >= maxCalls || o.referenceNumber+o.attempt >= maxReferences {
		o.closed = true
		return
	}
	switch choice := s.choices.choose(3, 75); {
	case choice == 0:
		o.closed = true
		return
	case choice == 1 && !o.refund:
		o.referenceNumber++
		o.attempt = 0
		s.counters.add("owner", "pays under a new reference")
	default:
		o.attempt++
		s.counters.add("owner", "pays with the next attempt")
	}
	o.debits++
	o.key, o.started, o.unknownOutcome, o.forgotten = o.deriveKey(), false, nil, false
	o.plan(o.drawPause(), o.pay)
}

// keepUnknownOutcome writes an unknown outcome to the owner's disk.
func (o *order) keepUnknownOutcome(err error) {
	var unknownOutcome *connectpsp.UnknownOutcomeError
	if errors.As(err, &unknownOutcome) {
		o.unknownOutcome = must(json.Marshal(unknownOutcome))
	}
}

// decideNext chooses the next step with an order whose outcome is unknown.
func (o *order) decideNext() {
	s := o.schedule
	if o.isRunning() || o.callPlanned || o.calls >= maxCalls {
		return
	}
	switch s.choices.choose(7, 85) {
	case 0:
		s.counters.add("owner", "leaves the order open")
	case 1, 2:
		o.plan(o.drawPause(), o.repeat)
	case 3:
		o.planResolve()
	case 4:
		o.calls++
		o.plan(o.drawPause(), func() { s.recover(s.pickProcess()) })
	default:
		o.plan(o.drawPause(), o.repeatMismatched)
	}
}
