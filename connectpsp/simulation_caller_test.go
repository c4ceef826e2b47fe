package connectpsp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
)

// purchase is a payment that its owner wants made once: a cash-out, or the refund of a charge. The
// owner has debited a wallet for it, and does what docs/money-safety.md says: it keeps the payment
// open while the outcome is unknown, and gives the money back when the client says that it was
// rejected. All but the last fields are on the owner's disk.
type purchase struct {
	world     *world
	index     int
	refund    bool
	amount    pix.Amount
	paid      int // how often, which only the judge knows
	debits    int // how often the wallet was debited: once for each reference and attempt
	givenBack int
	reference int // which of its references it is paid under
	attempt   int // the number for WithAttempt
	key       string
	started   bool // the first call for this debit is about to be made, or was
	startedAt time.Time
	doubt     []byte // the last UnknownOutcomeError
	over      bool
	untrusted bool // an earlier process called, and left nothing that the client could know it from

	calls   int
	working int  // calls for it in this process
	planned bool // it will do something later
}

// run is one call of the client.
type run struct {
	number    int
	what      string
	order     *purchase // nil for Recover
	process   *process
	debit     int
	key       string
	reference string
	odd       bool // its options are not those of the payment
	untrusted bool
	cancel    context.CancelFunc
	ended     func(*run)

	transactionID string
	amount        pix.Amount // of a payment that was read
	recovered     []connectpsp.Recovered
	err           error
	panicked      any
}

type runKey struct{}

func (r *run) String() string {
	if r.order == nil {
		return r.what
	}
	return fmt.Sprintf("%s %s/%d (call %d)", r.what, r.reference, r.order.attempt, r.number)
}

func newPurchase(w *world, index int, refund bool) *purchase {
	o := &purchase{world: w, index: index, refund: refund, debits: 1, amount: pix.Centavos(int64(1000*index) + 1050)}
	o.key = o.keyOf()
	return o
}

// externalReference is that of a cash-out, and the transaction id of the charge that is refunded.
func (o *purchase) externalReference() string {
	return "order" + strconv.Itoa(o.index) + "-" + strconv.Itoa(o.reference)
}

func (o *purchase) operation() string {
	if o.refund {
		return connectpsp.OperationRefundCashIn
	}
	return connectpsp.OperationCreateCashOut
}

func (o *purchase) keyOf() string {
	return idempotency.DeriveKey(clientID, o.operation(), o.externalReference(), o.attempt)
}

func (o *purchase) request() connectpsp.CashOutRequest {
	request := cashOutRequest()
	request.Amount, request.ExternalReference = o.amount, o.externalReference()
	return request
}

// body is what the payment's requests carry.
func (o *purchase) body(reference string) []byte {
	if o.refund {
		return must(json.Marshal(fraud))
	}
	request := o.request()
	request.ExternalReference = reference
	return must(json.Marshal(request))
}

// orderOf finds the order that a reference belongs to, or one of a charge's ids.
func (w *world) orderOf(reference string) *purchase {
	number, _, _ := strings.Cut(strings.TrimPrefix(reference, "order"), "-")
	index, err := strconv.Atoi(number)
	if err != nil || index >= len(w.orders) {
		return nil
	}
	return w.orders[index]
}

// begin makes a call on a goroutine of its own.
func (w *world) begin(r *run, call func(context.Context, *connectpsp.Client)) {
	r.number, r.process = w.number(), w.process
	deadlines := [...]time.Duration{0, 41 * time.Second, 7 * time.Second, 100 * time.Second}
	ctx := context.WithValue(r.process.ctx, runKey{}, r)
	if deadline := deadlines[w.choices.choose(len(deadlines), 15)]; deadline != 0 {
		// No two deadlines are the same, so that it does not matter which comes first.
		ctx, r.cancel = context.WithTimeout(ctx, deadline+time.Duration(r.number)*time.Microsecond)
	} else {
		ctx, r.cancel = context.WithCancel(ctx)
	}
	if w.tracing {
		w.note("%v begins", r)
	}
	w.inFlight++
	client := r.process.clients[0]
	if n := len(r.process.clients); n > 1 {
		client = r.process.clients[w.choices.choose(n, 50)]
	}
	go func() {
		defer func() {
			r.cancel()
			r.panicked = recover()
			w.mu.Lock()
			w.ended = append(w.ended, r)
			w.mu.Unlock()
			w.ring()
		}()
		call(ctx, client)
	}()
}

// work makes a call about the order.
func (o *purchase) work(what string, odd bool, call func(context.Context, *connectpsp.Client, *run)) {
	r := &run{what: what, order: o, debit: o.debits, key: o.key, reference: o.externalReference(), odd: odd, untrusted: o.untrusted, ended: o.heard}
	o.world.figures.add("call", what)
	o.calls++
	o.working++
	o.world.begin(r, func(ctx context.Context, client *connectpsp.Client) { call(ctx, client, r) })
}

// call asks the client for the payment. Id names the charge of a refund.
func (o *purchase) call(what, id string, request connectpsp.CashOutRequest, odd bool, options ...connectpsp.CallOption) {
	reason := fraud
	if request.Payee.Name == "" {
		reason.Reason = ""
	}
	o.work(what, odd, func(ctx context.Context, client *connectpsp.Client, r *run) {
		if o.refund {
			var refund *connectpsp.Refund
			if refund, r.err = client.RefundCashIn(ctx, id, reason, options...); r.err == nil {
				r.transactionID = refund.TransactionID
			}
			return
		}
		var cashOut *connectpsp.CashOut
		if cashOut, r.err = client.CreateCashOut(ctx, request, options...); r.err == nil {
			r.transactionID = cashOut.TransactionID
		}
	})
}

// pay makes the call that the order is about.
func (o *purchase) pay() {
	if !o.started {
		o.started, o.startedAt = true, time.Now()
	}
	o.call("pays", o.externalReference(), o.request(), false, connectpsp.WithAttempt(o.attempt))
}

// repeat makes it once more, if the order may do so.
func (o *purchase) repeat() {
	if o.mayRepeat() {
		o.pay()
	}
}

// mayRepeat says whether a gateway that knows nothing but keys makes a further call dangerous.
func (o *purchase) mayRepeat() bool {
	return !o.world.gateway.ignoresReferences || !o.started || !o.untrusted && time.Since(o.startedAt) < 20*time.Minute
}

// repeatOddly calls with a fault, or with options that are not those of the payment. A caller must
// not do so where its client may have forgotten the payment.
func (o *purchase) repeatOddly() {
	w := o.world
	request := o.request()
	if o.untrusted || w.book == nil && w.rules.crashes > 0 || !o.mayRepeat() {
		request.Payee.Name = ""
		o.call("faultily repeats", o.externalReference(), request, true, connectpsp.WithAttempt(o.attempt))
		return
	}
	id, option := o.externalReference(), connectpsp.WithAttempt(o.attempt)
	how := [...]string{
		"faultily repeats", "repeats with a later attempt", "repeats without its attempt", "repeats with a negative attempt",
		"repeats with no key", "repeats with another key", "repeats under another id",
	}[w.choices.choose(7, 80)]
	switch how {
	case "faultily repeats":
		request.Payee.Name = ""
	case "repeats with a later attempt":
		option = connectpsp.WithAttempt(o.attempt + 1)
	case "repeats without its attempt":
		option = connectpsp.WithAttempt(0)
	case "repeats with a negative attempt":
		option = connectpsp.WithAttempt(-1)
	case "repeats with no key":
		option = connectpsp.WithIdempotencyKey("")
	case "repeats with another key":
		option = connectpsp.WithIdempotencyKey(idempotency.DeriveKey("another", o.operation(), o.externalReference(), o.calls))
	default:
		id = [...]func(string) string{endToEndOf, codeOf}[w.choices.choose(2, 50)](id)
	}
	o.call(how, id, request, true, option)
}

// resolve has the last unknown outcome settled.
func (o *purchase) resolve() {
	doubt, request := o.doubt, o.request()
	o.work("resolves", false, func(ctx context.Context, client *connectpsp.Client, r *run) {
		var unknown connectpsp.UnknownOutcomeError
		if r.err = json.Unmarshal(doubt, &unknown); r.err == nil {
			var cashOut *connectpsp.CashOut
			if cashOut, r.err = client.ResolveCashOut(ctx, &unknown, request); r.err == nil {
				r.transactionID = cashOut.TransactionID
			}
		}
	})
}

// plan does something later, if the process lives until then and the order is not over.
func (o *purchase) plan(after time.Duration, do func()) {
	p, debit := o.world.process, o.debits
	o.planned = true
	o.world.later(after, func() {
		if p.dead {
			return
		}
		o.planned = false
		if !o.over && o.debits == debit {
			do()
		}
	})
}

// resume goes on after a restart.
func (o *purchase) resume() {
	w := o.world
	if o.over {
		return
	}
	if !o.started {
		o.plan(time.Second, o.pay)
		return
	}
	switch w.choices.choose(3, 85) {
	case 1:
		o.plan(o.drawPause(), o.repeat)
	case 2:
		if o.doubt != nil && !o.refund {
			o.plan(o.drawPause(), o.resolve)
		} else {
			o.plan(o.drawPause(), o.repeat)
		}
	}
}

func (o *purchase) drawPause() time.Duration {
	pauses := [...]time.Duration{time.Second, 0, 10 * time.Second, 90 * time.Second, 8 * time.Minute, 19 * time.Minute, 25 * time.Minute}
	return pauses[o.world.choices.choose(len(pauses), 60)]
}

// heard acts upon the outcome of a call, by the switch of docs/money-safety.md.
func (o *purchase) heard(r *run) {
	w := o.world
	o.working--
	outcome := outcomeOf(r.err)
	w.figures.add("outcome", outcome)
	if w.tracing {
		w.note("%v ends: %s%s", r, outcome, because(r.err))
	}
	current := r.debit == o.debits && !o.over
	switch outcome {
	case accepted:
		w.judge.accept(o, r.reference, r.transactionID)
		if current {
			o.over = true
			o.lookUp(r.transactionID)
		}
	case unknown, conflict:
		blind := w.isBlind(r.err)
		w.judge.doubt(r, blind)
		if current {
			if !blind && !r.odd {
				o.remember(r.err)
			}
			o.wait()
		}
	case rejected:
		if r.untrusted {
			w.figures.add("outcome", "rejected by a client that cannot know")
			delete(w.judge.first, r.key) // the client has forgotten it now
			if current {
				o.wait()
			}
			return
		}
		o.rejected(r.reference, errors.Is(r.err, connectpsp.ErrNotSent), current)
	default:
		w.violate("%v ended in %s", r, outcome)
	}
}

// isBlind says that a call was not sent and the journal could not be asked about earlier ones:
// nobody knows the rest.
func (w *world) isBlind(err error) bool {
	var unknown *connectpsp.UnknownOutcomeError
	return w.book != nil && w.book.faulty && errors.As(err, &unknown) && unknown.Attempts == 0
}

// because is the text of an error for the trace.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// rejected acts upon a rejection: it gives the money back, or calls again if nothing was sent.
func (o *purchase) rejected(reference string, notSent, current bool) {
	w := o.world
	w.judge.reject(reference)
	if notSent {
		w.figures.add("outcome", "rejected, nothing sent")
	}
	switch {
	case !current:
	case notSent && o.calls < mostCalls && w.choices.choose(2, 25) == 1:
		o.plan(o.drawPause(), o.repeat)
	default:
		o.giveBack()
	}
}

const (
	mostCalls      = 6
	mostReferences = 3
)

// giveBack undoes the debit. The customer may ask for the payment once more: it is paid under
// another reference, or the same one with the next attempt.
func (o *purchase) giveBack() {
	w := o.world
	o.givenBack++
	w.judge.balance(o)
	if o.calls >= mostCalls || o.reference+o.attempt >= mostReferences {
		o.over = true
		return
	}
	switch again := w.choices.choose(3, 75); {
	case again == 0:
		o.over = true
		return
	case again == 1 && !o.refund:
		o.reference++
		o.attempt = 0
		w.figures.add("caller", "paid under a new reference")
	default:
		o.attempt++
		w.figures.add("caller", "paid with WithAttempt")
	}
	o.debits++
	o.key, o.started, o.doubt, o.untrusted = o.keyOf(), false, nil, false
	o.plan(o.drawPause(), o.pay)
}

// remember writes an unknown outcome down.
func (o *purchase) remember(err error) {
	var unknown *connectpsp.UnknownOutcomeError
	if errors.As(err, &unknown) {
		o.doubt = must(json.Marshal(unknown))
	}
}

// wait decides how to go on with an order whose outcome is unknown.
func (o *purchase) wait() {
	w := o.world
	if o.working > 0 || o.planned || o.calls >= mostCalls {
		return
	}
	switch w.choices.choose(7, 85) {
	case 0:
		w.figures.add("caller", "left open")
	case 1, 2:
		o.plan(o.drawPause(), o.repeat)
	case 3:
		if o.doubt == nil || o.refund {
			o.plan(o.drawPause(), o.repeat)
		} else {
			o.plan(o.drawPause(), o.resolve)
		}
	case 4:
		o.calls++
		o.plan(o.drawPause(), w.recover)
	default:
		o.plan(o.drawPause(), o.repeatOddly)
	}
}

// lookUp reads a cash-out that was accepted, now and then.
func (o *purchase) lookUp(transactionID string) {
	w := o.world
	if o.refund || w.choices.choose(2, 10) == 0 {
		return
	}
	r := &run{what: "looks up", order: o, reference: o.externalReference()}
	w.figures.add("call", r.what)
	r.ended = func(r *run) {
		if r.err == nil && (r.transactionID != transactionID || r.amount != o.amount) {
			w.violate("%v got another payment", r)
		}
	}
	w.begin(r, func(ctx context.Context, client *connectpsp.Client) {
		var cashOut *connectpsp.CashOut
		if cashOut, r.err = client.GetCashOut(ctx, transactionID); r.err == nil {
			r.transactionID, r.amount = cashOut.TransactionID, cashOut.Amount
		}
	})
}

// recover has the client settle what is open.
func (w *world) recover() {
	if w.recovering {
		return
	}
	w.recovering = true
	w.figures.add("call", "recovers")
	r := &run{what: "recovers", ended: w.recovered}
	w.begin(r, func(ctx context.Context, client *connectpsp.Client) { r.recovered, r.err = client.Recover(ctx) })
}

// recovered acts upon what Recover reports, by the loop of docs/money-safety.md. At the start of a
// process the orders go on after it.
func (w *world) recovered(r *run) {
	w.recovering = false
	if w.tracing {
		w.note("%v ends with %d payments%s", r, len(r.recovered), because(r.err))
	}
	for _, one := range r.recovered {
		w.act(one)
	}
	if r.err == nil {
		w.judge.knows()
	}
	if w.process.starting {
		if r.err != nil {
			p := w.process
			w.later(time.Second, func() { // as a program that is started again
				if !p.dead {
					w.recover()
				}
			})
			return
		}
		w.process.starting = false
		for _, o := range w.orders {
			o.resume()
		}
		return
	}
	for _, o := range w.orders {
		if o.started && !o.over {
			o.wait()
		}
	}
}

func (w *world) act(one connectpsp.Recovered) {
	reference := one.ExternalReference
	if one.Operation == connectpsp.OperationRefundCashIn {
		reference = chargeOf(one.ChargeID)
	}
	o := w.orderOf(reference)
	outcome := outcomeOf(one.Err)
	if w.tracing {
		w.note("recovered %s (key %.4s): %s%s", reference, one.IdempotencyKey, outcome, because(one.Err))
	}
	// Of several attempts the key tells which one was rejected.
	current := one.IdempotencyKey == o.key && !o.over
	switch outcome {
	case accepted:
		w.figures.add("recovered", accepted)
		w.judge.accept(o, reference, one.TransactionID)
		o.over = o.over || reference == o.externalReference()
	case unknown:
		w.figures.add("recovered", unknown)
		w.judge.doubt(&run{what: "recovers", order: o, key: one.IdempotencyKey, reference: reference, err: one.Err, odd: one.IdempotencyKey != o.key},
			w.isBlind(one.Err))
		if current && !w.isBlind(one.Err) {
			o.remember(one.Err)
		}
	case rejected:
		notSent := errors.Is(one.Err, connectpsp.ErrNotSent)
		w.figures.add("recovered", map[bool]string{true: "never sent", false: rejected}[notSent])
		if !o.untrusted && current {
			o.rejected(reference, notSent, true)
		}
	default:
		w.violate("Recover reports %s for %s", outcome, reference)
	}
}
