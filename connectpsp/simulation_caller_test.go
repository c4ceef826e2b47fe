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

// purchase is a payment that its owner wants made once. It does what the client tells it, and no more. All but the last fields
// are on the owner's disk.
type purchase struct {
	world     *world
	index     int
	amount    pix.Amount
	paid      int // how often, which only the judge knows
	reference int // which of its references it is paid under
	attempt   int // the number for WithAttempt
	key       string
	started   bool // the first call with this key is about to be made, or was
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
	key       string
	reference string
	untrusted bool
	cancel    context.CancelFunc
	ended     func(*run)

	cashOut   *connectpsp.CashOut
	recovered []connectpsp.Recovered
	err       error
	panicked  any
}

type runKey struct{}

func (r *run) String() string {
	if r.order == nil {
		return r.what
	}
	return fmt.Sprintf("%s %s/%d (call %d)", r.what, r.reference, r.order.attempt, r.number)
}

func newPurchase(w *world, index int) *purchase {
	o := &purchase{world: w, index: index, amount: pix.Centavos(int64(1000*index) + 1050)}
	o.key = o.keyOf()
	return o
}

func (o *purchase) externalReference() string {
	return "order" + strconv.Itoa(o.index) + "-" + strconv.Itoa(o.reference)
}

func (o *purchase) keyOf() string {
	return idempotency.DeriveKey(clientID, "createCashOut", o.externalReference(), o.attempt)
}

func (o *purchase) request() connectpsp.CashOutRequest {
	request := cashOutRequest()
	request.Amount, request.ExternalReference = o.amount, o.externalReference()
	return request
}

// orderOf finds the order that a reference belongs to.
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
	go func() {
		defer func() {
			r.cancel()
			r.panicked = recover()
			w.mu.Lock()
			w.ended = append(w.ended, r)
			w.mu.Unlock()
			w.ring()
		}()
		call(ctx, r.process.client)
	}()
}

// work makes a call about the order.
func (o *purchase) work(what string, call func(context.Context, *connectpsp.Client, *run)) {
	r := &run{what: what, order: o, key: o.key, reference: o.externalReference(), untrusted: o.untrusted, ended: o.heard}
	o.world.figures.add("call", what)
	o.calls++
	o.working++
	o.world.begin(r, func(ctx context.Context, client *connectpsp.Client) { call(ctx, client, r) })
}

// pay makes the call that the order is about.
func (o *purchase) pay() {
	if !o.started {
		o.started, o.startedAt = true, time.Now()
	}
	request, attempt := o.request(), o.attempt
	o.work("pays", func(ctx context.Context, client *connectpsp.Client, r *run) {
		r.cashOut, r.err = client.CreateCashOut(ctx, request, connectpsp.WithAttempt(attempt))
	})
}

// repeat makes it once more, if the order may do so.
func (o *purchase) repeat() {
	if !o.mayRepeat() {
		return
	}
	o.pay()
}

// mayRepeat says whether a gateway that knows nothing but keys makes a further call dangerous.
func (o *purchase) mayRepeat() bool {
	return !o.world.gateway.ignoresReferences || !o.started || !o.untrusted && time.Since(o.startedAt) < 20*time.Minute
}

// repeatFaultily calls with a request that cannot be sent.
func (o *purchase) repeatFaultily() {
	request, attempt := o.request(), o.attempt
	request.Payee.Name = ""
	o.work("faultily repeats", func(ctx context.Context, client *connectpsp.Client, r *run) {
		r.cashOut, r.err = client.CreateCashOut(ctx, request, connectpsp.WithAttempt(attempt))
	})
}

// resolve has the last unknown outcome settled.
func (o *purchase) resolve() {
	doubt, request := o.doubt, o.request()
	o.work("resolves", func(ctx context.Context, client *connectpsp.Client, r *run) {
		var unknown connectpsp.UnknownOutcomeError
		if r.err = json.Unmarshal(doubt, &unknown); r.err == nil {
			r.cashOut, r.err = client.ResolveCashOut(ctx, &unknown, request)
		}
	})
}

// plan does something later, if the process lives until then and the order is not over.
func (o *purchase) plan(after time.Duration, do func()) {
	p, key := o.world.process, o.key
	o.planned = true
	o.world.later(after, func() {
		if p.dead {
			return
		}
		o.planned = false
		if !o.over && o.key == key {
			do()
		}
	})
}

// resume goes on after a restart.
func (o *purchase) resume() {
	w := o.world
	o.untrusted = o.untrusted || o.started && w.book == nil
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
		if o.doubt != nil {
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

// heard acts upon the outcome of a call.
func (o *purchase) heard(r *run) {
	w := o.world
	o.working--
	outcome := outcomeOf(r.err)
	w.figures.add("outcome", outcome)
	if w.tracing {
		w.note("%v ends: %s%s", r, outcome, because(r.err))
	}
	current := r.key == o.key && !o.over
	switch outcome {
	case accepted:
		w.judge.accept(o, r.reference, r.cashOut.TransactionID)
		if current {
			o.over = true
			o.lookUp(r.cashOut)
		}
	case unknown, conflict:
		blind := w.isBlind(r.err)
		w.judge.doubt(o, r.key, r.reference, r.err, blind)
		if current {
			if !blind {
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
		o.refused(r, current)
	default:
		w.violate("%v ended in %s", r, outcome)
	}
}

// isBlind says that a call was not sent and the journal could not be asked about earlier ones: nobody knows the rest.
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

// refused acts upon a rejection.
func (o *purchase) refused(r *run, current bool) {
	w := o.world
	unsent := errors.Is(r.err, connectpsp.ErrNotSent)
	if !unsent {
		w.judge.reject(r.key, true)
		if current {
			o.payOtherwise()
		}
		return
	}
	w.figures.add("outcome", "rejected, nothing sent")
	w.judge.reject(r.key, false)
	if current && o.working == 0 && !o.planned {
		o.notSent()
	}
}

// notSent acts upon the certainty that nothing was sent.
func (o *purchase) notSent() {
	w := o.world
	switch w.choices.choose(3, 70) {
	case 0:
		w.judge.reject(o.key, true)
		o.over = true
	case 1:
		if o.calls < mostCalls {
			o.plan(o.drawPause(), o.repeat)
		}
	case 2:
		w.judge.reject(o.key, true)
		o.payOtherwise()
	}
}

const (
	mostCalls      = 6
	mostReferences = 3
)

// payOtherwise pays an order that was rejected: not at all, under another reference, or under the same one once more.
func (o *purchase) payOtherwise() {
	if o.calls >= mostCalls || o.reference+o.attempt >= mostReferences {
		o.over = true
		return
	}
	switch o.world.choices.choose(3, 75) {
	case 0:
		o.over = true
		return
	case 1:
		o.reference++
		o.attempt = 0
		o.world.figures.add("caller", "paid under a new reference")
	case 2:
		o.attempt++
		o.world.figures.add("caller", "paid with WithAttempt")
	}
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
	switch w.choices.choose(6, 85) {
	case 0:
		w.figures.add("caller", "left open")
	case 1, 2:
		o.plan(o.drawPause(), o.repeat)
	case 3:
		if o.doubt == nil {
			o.plan(o.drawPause(), o.repeat)
		} else {
			o.plan(o.drawPause(), o.resolve)
		}
	case 4:
		o.calls++
		o.plan(o.drawPause(), w.recover)
	case 5:
		o.plan(o.drawPause(), o.repeatFaultily)
	}
}

// lookUp reads a payment that was accepted, now and then.
func (o *purchase) lookUp(found *connectpsp.CashOut) {
	w := o.world
	if found == nil || w.choices.choose(2, 10) == 0 {
		return
	}
	r := &run{what: "looks up", order: o, reference: o.externalReference()}
	w.figures.add("call", r.what)
	r.ended = func(r *run) {
		if r.err == nil && (r.cashOut.TransactionID != found.TransactionID || r.cashOut.Amount != o.amount) {
			w.violate("%v got another payment", r)
		}
	}
	w.begin(r, func(ctx context.Context, client *connectpsp.Client) {
		r.cashOut, r.err = client.GetCashOut(ctx, found.TransactionID)
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

// recovered acts upon what Recover found.
func (w *world) recovered(r *run) {
	w.recovering = false
	if w.tracing {
		w.note("%v ends with %d payments%s", r, len(r.recovered), because(r.err))
	}
	for _, one := range r.recovered {
		o := w.orderOf(one.ExternalReference)
		current := one.IdempotencyKey == o.key && !o.over
		if w.tracing {
			w.note("recovered %s (key %.4s): %s%s", one.ExternalReference, one.IdempotencyKey, outcomeOf(one.Err), because(one.Err))
		}
		switch {
		case one.Err == nil:
			w.figures.add("recovered", accepted)
			w.judge.accept(o, one.ExternalReference, one.TransactionID)
			o.over = o.over || current
		case errors.Is(one.Err, connectpsp.ErrUnknownOutcome):
			w.figures.add("recovered", unknown)
			w.judge.doubt(o, one.IdempotencyKey, one.ExternalReference, one.Err, w.isBlind(one.Err))
			if current && !w.isBlind(one.Err) {
				o.remember(one.Err)
			}
		case errors.Is(one.Err, connectpsp.ErrNotSent):
			w.figures.add("recovered", "never sent")
			if o.untrusted {
				continue
			}
			busy := current && (o.working > 0 || o.planned)
			w.judge.reject(one.IdempotencyKey, !busy)
			if current && !busy {
				o.payOtherwise()
			}
		default:
			w.figures.add("recovered", rejected)
			w.judge.reject(one.IdempotencyKey, true)
			if current {
				o.payOtherwise()
			}
		}
	}
	for _, o := range w.orders {
		if o.started && !o.over {
			o.wait()
		}
	}
}
