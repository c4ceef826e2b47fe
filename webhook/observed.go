package webhook

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/internal/observe"
)

// Delivery is the activity of a [Handler] that receives one request, for a [connectpsp.Observer].
type Delivery struct {
	// Result is empty at Begin.
	Result DeliveryResult
	// Status is the status of the response, 0 if a panic of the reader of the body ended it.
	Status int
	// Type is the type of the event if it is a published one, "OTHER" if it is not, and empty if
	// there was none.
	Type EventType
	// Duration is the time since Begin.
	Duration time.Duration

	// TransactionID and DeliveryID identify the transaction and the delivery. They are ids: leave
	// them out of metrics. DeliveryID is not signed, and may be any printable text.
	TransactionID, DeliveryID string
}

// DeliveryResult is the result of a [Delivery]. Each has a count of its own in [Counts], which says
// more.
type DeliveryResult string

// The results.
const (
	DeliveryStored           DeliveryResult = "stored"
	DeliveryDuplicate        DeliveryResult = "duplicate"
	DeliveryConflicting      DeliveryResult = "conflicting"
	DeliveryQuarantined      DeliveryResult = "quarantined"
	DeliveryInvalidSignature DeliveryResult = "invalid_signature"
	DeliveryWrongMethod      DeliveryResult = "wrong_method"
	DeliveryTooSlow          DeliveryResult = "too_slow"
	DeliveryTooLarge         DeliveryResult = "too_large"
	DeliveryBroken           DeliveryResult = "broken"
	DeliveryUnavailable      DeliveryResult = "unavailable"
)

// Processing is the activity of a [Worker] that works on one item of the [Inbox], for a
// [connectpsp.Observer]. Your function gets its context.
type Processing struct {
	// Kind is empty if the item is about no known transaction.
	Kind Kind
	// Attempt counts the claims of the item, this one included.
	Attempt int
	// Lag is the time from the delivery of the event to Begin. It is positive for an event, also if
	// the clocks disagree, and zero for a read at a set time.
	Lag time.Duration

	// Result is empty at Begin.
	Result ProcessingResult
	// From and To are those of the [Transition], empty if the item caused none.
	From, To Status
	// MissedPayment, LatePayment, Contradiction, Unrequested, ReturnUnclear and Late are those of
	// the Transition.
	MissedPayment, LatePayment, Contradiction, Unrequested, ReturnUnclear, Late bool
	// PayerDocument and PayerAccount are the comparisons of [WithPayerCheck]: same, different or
	// unclear, and unchecked for an account if the holder has none registered. Both are empty if
	// nothing was compared. A document that is the same beside an account that is different may be
	// an echo of the request.
	PayerDocument, PayerAccount string
	// Alarm is true if the item is held because the CryptoToken may have leaked.
	Alarm bool
	// Panicked is true if your function panicked.
	Panicked bool
	// Duration is the time since Begin.
	Duration time.Duration

	// TransactionID and ExternalReference identify the transaction. They are ids: leave them out of
	// metrics. Both are empty if they are not known, and ExternalReference is empty at Begin.
	TransactionID, ExternalReference string
}

// ProcessingResult is the result of a [Processing].
type ProcessingResult string

const (
	// ProcessingApplied says that your function returned nil, and the step is stored.
	ProcessingApplied ProcessingResult = "applied"
	// ProcessingRefunded says that the automatic refund of a payment by another person was
	// accepted, or that the money was back already.
	ProcessingRefunded ProcessingResult = "refunded"
	// ProcessingStale says that the item had nothing new.
	ProcessingStale ProcessingResult = "stale"
	// ProcessingWatched says that the transaction was read, has not ended, and is read again later.
	ProcessingWatched ProcessingResult = "watched"
	// ProcessingRetried says that the item failed and is retried later.
	ProcessingRetried ProcessingResult = "retried"
	// ProcessingDeferred says that another item of the transaction or the gateway kept this one
	// waiting, and it is tried again soon; or that the item was stored anew, under the key that a
	// newer version of the SDK reads in it.
	ProcessingDeferred ProcessingResult = "deferred"
	// ProcessingHeld says that the item is held for manual review.
	ProcessingHeld ProcessingResult = "held"
	// ProcessingLost says that the inbox failed, or that another Worker has the item by now.
	ProcessingLost ProcessingResult = "lost"
)

// observedItem is an item that is being processed. Nil is for one that nobody observes, and for one
// that was not begun.
type observedItem struct {
	span     observe.Span
	activity Processing
	result   ProcessingResult // if the item is completed
	step     *Transition      // that the function returned nil for, nil if there is none
	payer    payerMatch       // of the step
}

// observe shows that the work on an item begins, which goes on in the context that it returns.
func (w *Worker) observe(ctx context.Context, claim *Claim) (context.Context, *observedItem) {
	if w.guard == nil {
		return ctx, nil
	}
	o := &observedItem{activity: Processing{Attempt: claim.Attempts}, result: ProcessingStale}
	if kind, id, ok := splitTransactionKey(claim.Transaction); ok && (kind == KindCashIn || kind == KindCashOut) {
		o.activity.Kind, o.activity.TransactionID = kind, id
	}
	isEvent := !strings.HasPrefix(claim.Key, readMark) && !strings.HasPrefix(claim.Key, refundMark)
	if isEvent && !claim.ReceivedAt.IsZero() {
		o.activity.Lag = max(time.Since(claim.ReceivedAt), time.Nanosecond) // else it would be a read
	}
	ctx, o.span = observe.Begin(ctx, w.guard, o.activity)
	o.activity.Result = ProcessingLost // if the function ends its goroutine
	return ctx, o
}

// end shows that the work on the item has ended.
func (o *observedItem) end() {
	if o != nil {
		o.activity.Duration = o.span.Duration()
		observe.End(o.span, o.activity)
	}
}

// isAbout notes the transaction of the item.
func (o *observedItem) isAbout(f fact) {
	if o != nil {
		o.activity.Kind, o.activity.TransactionID, o.activity.ExternalReference = f.kind, f.transactionID(), f.externalReference()
	}
}

// applied notes that the function returned nil for a step. It counts once the item is completed.
func (o *observedItem) applied(step Transition) {
	if o != nil {
		kept := step // &step would allocate for nobody, too
		o.result, o.step = ProcessingApplied, &kept
	}
}

// compared notes the comparison of the payer for a step.
func (o *observedItem) compared(payer payerMatch) {
	if o != nil {
		o.payer = payer
	}
}

// watched notes that the transaction is read again later, unless a step was applied.
func (o *observedItem) watched() {
	if o != nil && o.step == nil {
		o.result = ProcessingWatched
	}
}

// endsAs notes the result of an item that is completed without a step.
func (o *observedItem) endsAs(result ProcessingResult) {
	if o != nil {
		o.result = result
	}
}

// completed notes that the item is completed, and its step stored.
func (o *observedItem) completed() {
	if o == nil {
		return
	}
	o.activity.Result = o.result
	if step := o.step; step != nil {
		o.activity.From, o.activity.To = step.From, step.To
		o.activity.MissedPayment, o.activity.LatePayment, o.activity.Contradiction = step.MissedPayment, step.LatePayment, step.Contradiction
		o.activity.Unrequested, o.activity.ReturnUnclear, o.activity.Late = step.Unrequested, step.ReturnUnclear, step.Late
		o.activity.PayerDocument, o.activity.PayerAccount = o.payer.document, o.payer.account
	}
}

// ends notes the result of an item that is not completed.
func (o *observedItem) ends(result ProcessingResult) {
	if o != nil {
		o.activity.Result = result
	}
}

// held notes that the item is held.
func (o *observedItem) held(reason *heldError) {
	if o != nil {
		o.activity.Result, o.activity.Alarm = ProcessingHeld, reason.isAlarm()
	}
}

// failed notes that the item is retried.
func (o *observedItem) failed(err error) {
	if o != nil {
		o.activity.Result, o.activity.Panicked = ProcessingRetried, errors.As(err, new(*panicError))
	}
}

// lost notes that the inbox failed, or another Worker has the item: it is not held or retried here.
func (o *observedItem) lost() {
	if o != nil {
		o.activity.Result, o.activity.Alarm = ProcessingLost, false
	}
}
