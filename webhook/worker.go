package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/observe"
	"github.com/connectpsp/connectpsp-go/internal/redact"
	"github.com/connectpsp/connectpsp-go/pix"
)

const (
	leaseTime    = 2 * time.Minute
	workTimeout  = 100 * time.Second // less than the lease
	claimTimeout = 10 * time.Second
	fetchTimeout = 10 * time.Second // of one read from the gateway
	maxAttempts  = 20               // over some nine hours
	missingGrace = 10 * time.Minute // before an item is held whose transaction is not found
	maxPause     = time.Hour
	pollInterval = 80 * time.Millisecond
	failurePause = 200 * time.Millisecond // before the next claim from an inbox that has failed
	lockedPause  = 500 * time.Millisecond // before the retry of an item whose transaction was locked
	noSlotPause  = time.Minute            // before the retry of an item that got no slot for a read
	slotTimeout  = 200 * time.Millisecond // of the wait for such a slot while the gateway is quick
	maxReads     = 8                      // goroutines of one Run that wait for the gateway
)

// Worker processes an [Inbox]: it turns each event into a step of a transaction, and calls your
// function for every step once and in order. Make it with [NewWorker]. Goroutines may share a
// Worker; it must not be copied. Any number of Workers, in any number of processes, may process one
// Inbox.
type Worker struct {
	inbox       Inbox
	client      *connectpsp.Client
	apply       func(context.Context, Transition) error
	payerCheck  func(context.Context, *connectpsp.CashIn) (connectpsp.Holder, error) // nil if nothing is checked
	payerRefund *connectpsp.RefundRequest                                            // nil if nothing is refunded
	confirms    bool
	confirmFrom pix.Amount
	concurrency int
	logger      *slog.Logger
	observers   []observe.Observer
	guard       *observe.Guard // of observers, nil if nobody observes
	missing     sync.Map       // by key of the item: when the gateway first did not find the transaction
	applied     atomic.Uint64
	stale       atomic.Uint64
	failed      atomic.Uint64
	held        atomic.Uint64
}

// WorkerOption configures a [Worker]. A nil WorkerOption is not allowed.
type WorkerOption func(*Worker)

// WithConfirmation makes the [Worker] read the transaction from the gateway before it calls your
// function. For the payment of a charge it does so if the amount is at least from, or is not
// stated. For every other event it always does so, because your function books an amount of its own
// for those. With a from of zero every event is confirmed. Amount, reference and ids must be those
// of the event.
//
// An event that the gateway does not confirm changes nothing and is held for manual review: it
// means that your CryptoToken has leaked, so rotate it. A transaction that the gateway does not
// find is retried for ten minutes before that.
//
// Without this option the Worker reads a transaction only if the amount is not a whole number of
// centavos, or on a contradiction: between an event and the recorded state, between two bodies for
// the same event, or between the data of an event and its type.
func WithConfirmation(from pix.Amount) WorkerOption {
	return func(w *Worker) { w.confirms, w.confirmFrom = true, from }
}

// WithConcurrency makes [Worker.Run] call your function for up to n steps at the same time, each of
// another transaction. Without this option, or with n below 1, it calls it for one at a time.
func WithConcurrency(n int) WorkerOption {
	return func(w *Worker) { w.concurrency = max(n, 1) }
}

// WithLogger makes the [Worker] log failures to logger: at level error each item that is held for
// manual review, each panic of your function and each payment that is late, at level warning each
// item that is retried later and each failure of the [Inbox]. docs/logs.md lists the events and the
// attributes. The log has ids, and the errors of your function and of the Inbox in their own words;
// the Inbox stores the errors of your function too. The Worker adds no personal data. Without this
// option, or with nil, the Worker logs to the [slog.Default] of the time of [NewWorker]; for
// silence pass slog.New(slog.DiscardHandler).
func WithLogger(logger *slog.Logger) WorkerOption {
	return func(w *Worker) { w.logger = cmp.Or(logger, slog.Default()) }
}

// WithObserver shows each [Processing] to observer. Given more than once, all observers see it, in
// this order. The Worker logs, at level warning, that an observer is late or panics. Nil is like no
// observer. To see the Worker's reads from the gateway too, give the observer to its client.
func WithObserver(observer connectpsp.Observer) WorkerOption {
	return func(w *Worker) {
		if observer != nil {
			w.observers = append(w.observers, observer)
		}
	}
}

// NewWorker returns a [Worker] that processes inbox. The client reads transactions that an event
// alone cannot prove.
//
// Apply is your function. The Worker calls it once for every step that is completed. If apply
// returns an error, or the process dies, the Worker calls it again for the same step later, up to
// twenty times over nine hours. Then the event is held for manual review.
//
// With package sqlstore the context of apply carries the database transaction that completes the
// step, so your writes in it happen exactly once. All other effects of apply may happen again. The
// context lasts for at least a minute. Goroutines call apply concurrently: each [Worker.Run] has as
// many as [WithConcurrency] says, each [Worker.Work] one, and never two for the same transaction. A
// panic in apply is an error like others. It is logged at level error with its place, and with its
// text only if that is the Go runtime's.
//
// A Watch method of the Worker that apply calls with its context is part of the step: the watch
// begins if the step is completed, and not if the step fails.
//
// NewWorker panics if inbox, client or apply is nil, or if [WithPayerRefund] is not valid.
func NewWorker(inbox Inbox, client *connectpsp.Client, apply func(context.Context, Transition) error, options ...WorkerOption) *Worker {
	if inbox == nil || client == nil || apply == nil {
		panic("webhook: a Worker needs an Inbox, a Client and a function")
	}
	w := &Worker{inbox: inbox, client: client, apply: apply, concurrency: 1, logger: slog.Default()}
	for _, option := range options {
		option(w)
	}
	w.validatePayerRefund()
	w.guard = observe.New(w.logger, w.observers...)
	return w
}

// Run processes items until ctx ends, and returns the error of ctx. Call it in a goroutine of its
// own. It calls your function for one step at a time, or for as many as [WithConcurrency] says.
// While an item waits for the gateway, Run goes on with other items, so a slow gateway delays only
// the items that need it. Up to eight items wait at once, for up to ten seconds a read.
//
// Run claims items in batches. It releases the items that it has not begun when ctx ends, and those
// that waited for so long that their lease would expire during the work.
func (w *Worker) Run(ctx context.Context) error {
	s := newSlots(w.concurrency)
	var working sync.WaitGroup
	defer working.Wait()
	for size := w.concurrency; ctx.Err() == nil; {
		s.acquire()
		claims, err := w.claim(ctx, size)
		if err != nil || len(claims) == 0 {
			s.release()
			w.pause(ctx, err)
			continue
		}
		b := newBatch(claims)
		for n, claims := range b.transactions {
			if n > 0 {
				s.acquire()
			}
			working.Go(func() {
				defer s.release()
				w.processAll(ctx, b, claims, s)
			})
		}
		size = b.nextSize(size, w.concurrency)
	}
	return ctx.Err()
}

// pause waits before the next claim, after one that failed or found no item. An item that is added
// ends the wait, unless the inbox has failed.
func (w *Worker) pause(ctx context.Context, err error) {
	added, interval := w.inbox.Added(), pollInterval
	if err != nil {
		added, interval = nil, failurePause
		if ctx.Err() == nil {
			w.logger.WarnContext(ctx, "webhook: the inbox failed", "event", "inbox.failed", "error", err)
		}
	}
	ended := time.NewTimer(interval)
	defer ended.Stop()
	select {
	case <-ended.C:
	case <-added:
	case <-ctx.Done():
	}
}

// Work processes one item, and reports whether one was due. The error is the [Inbox]'s. An error of
// your function or of the gateway is logged, and the item is retried later. [Worker.Run] calls the
// same code in a loop; call Work yourself in tests.
func (w *Worker) Work(ctx context.Context) (worked bool, err error) {
	claims, err := w.claim(ctx, 1)
	if err != nil || len(claims) == 0 {
		return false, err
	}
	return true, w.process(ctx, claims[0], nil)
}

func (w *Worker) claim(ctx context.Context, limit int) ([]*Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	return w.inbox.Claim(ctx, leaseTime, limit)
}

// process processes a claimed item. The error is the inbox's.
func (w *Worker) process(ctx context.Context, claim *Claim, s *slots) error {
	working, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	working, o := w.observe(working, claim)
	defer o.end()
	var err error = errTooOften
	switch {
	case claim.Attempts <= maxAttempts:
		err = w.work(working, claim, s, o)
	case strings.HasPrefix(claim.Key, refundMark):
		err = errRefundTooOften
	}
	return w.dispose(working, claim, err, o)
}

// heldError is the reason to hold an item for manual review.
type heldError struct{ reason string }

func (e *heldError) Error() string { return e.reason }

// isAlarm reports whether the CryptoToken may have leaked, without another explanation.
func (e *heldError) isAlarm() bool { return strings.HasPrefix(e.reason, "ALARM") }

var (
	errTooOften = &heldError{"it failed 20 times: see the log for the errors, remove the cause, then retry it"}
	errUnread   = &heldError{"this version of the SDK does not know its type: update the SDK, then retry it"}
	errForged   = &heldError{"ALARM: the gateway has no such transaction, and nothing was applied. If it is not of another application of yours, " +
		"your CryptoToken has leaked: rotate it"}
	errNeverConfirmed = &heldError{"ALARM: for hours the gateway has reported an older status than the event, and nothing was applied. " +
		"Read the transaction: if its status is still older, your CryptoToken has leaked: rotate it"}
	errMismatch = &heldError{"ALARM: the gateway reports another amount, reference or end-to-end id than the event, and nothing was applied. " +
		"Compare them: if the gateway is right, your CryptoToken has leaked: rotate it"}
	errMismatchRecorded = &heldError{"ALARM: the gateway reports another amount or reference than an earlier event, and your function was " +
		"called for that one. Compare them: if the gateway is right, your CryptoToken has leaked: rotate it"}
	errSecondCashIn = &heldError{"the charge was paid a second time: its end-to-end id is not that of the payment that your function was " +
		"called for, and it was not called for this one. Look for both payments in the account's statement. If the money came in twice, refund or " +
		"credit the second payment by hand, then dismiss this item. If there is only one payment, your CryptoToken has leaked: rotate it"}
	errSecondCashOut = &heldError{"the payment was made a second time: its end-to-end id is not that of the payment that your function was " +
		"called for, and it was not called for this one. Look for both payments in the account's statement. If the money went out twice, ask the " +
		"provider for the second payment, then dismiss this item. If there is only one payment, your CryptoToken has leaked: rotate it"}
	errNewer = &heldError{"a newer version of the SDK has recorded the state of the transaction, which this version does not know, and nothing was " +
		"applied: update the SDK in every process of the inbox, then retry it"}
	errMustRead     = errors.New("webhook: the transaction must be read from the gateway")
	errMissing      = errors.New("webhook: the gateway does not find the transaction")
	errNoSlot       = errors.New("webhook: the gateway is too slow for one more read")
	errNotConfirmed = errors.New("webhook: the gateway does not confirm the event")
	errOutdated     = errors.New("webhook: the gateway reports an older status than an earlier event")
)

// errSecond returns the reason to hold an event of a second payment.
func errSecond(kind Kind) error {
	if kind == KindCashIn {
		return errSecondCashIn
	}
	return errSecondCashOut
}

// newerState returns the error of an item whose transaction a newer Worker has recorded. Until it
// has failed too often, a Worker of the newer version may still take it.
func newerState(claim *Claim) error {
	if claim.Attempts >= maxAttempts {
		return errNewer
	}
	return fmt.Errorf("webhook: %s", errNewer.reason)
}

// work calls the user's function for an item, if that is to be called. The error decides what
// happens to the item, see dispose.
func (w *Worker) work(ctx context.Context, claim *Claim, s *slots, o *observedItem) error {
	switch {
	case strings.HasPrefix(claim.Key, readMark):
		return w.readAgain(ctx, claim, s, o)
	case strings.HasPrefix(claim.Key, refundMark):
		return w.refundPayer(ctx, claim, s, o)
	}
	event, err := read(claim.Body, claim.DeliveryID)
	if err != nil {
		return &heldError{err.Error()}
	}
	stated := factOf(event)
	if stated.kind == "" {
		return errUnread
	}
	o.isAbout(stated)
	if len(event.Key()) > maxKey {
		return &heldError{"its ids are too long"}
	}
	if event.transactionKey() != claim.Transaction {
		return w.requeue(ctx, claim, event, o)
	}
	doubted := strings.Contains(claim.Key, conflictMark) || stated.doubtful() || w.wantsConfirmation(stated)
	if !doubted { // else the client reads the transaction, and reconciles its journal then
		if err := w.reconcile(ctx, stated); err != nil {
			return err
		}
		if err := w.findOrigin(ctx, &stated); err != nil {
			return err
		}
	}
	err = w.complete(ctx, claim, stated, strings.Contains(claim.Key, conflictMark), o)
	if !errors.Is(err, errMustRead) {
		return err
	}
	fetched, err := w.fetch(ctx, s, stated.kind, stated.transactionID(), stated.transactionID())
	forged := errForged
	if err == nil && !stated.sameMovement(fetched) {
		// The gateway reports the last payment or return. An earlier one can only be read by its
		// own id.
		fetched, err = w.fetch(ctx, s, stated.kind, stated.movementID(), stated.transactionID())
		forged = errMismatch
	}
	if err := w.holdIfMissing(claim, err, forged); err != nil {
		return err
	}
	switch {
	case !stated.matches(fetched), !stated.sameMovement(fetched):
		return errMismatch
	case stated.kind.rank(fetched.status) < stated.kind.rank(stated.status):
		if claim.Attempts == maxAttempts {
			return errNeverConfirmed
		}
		return errNotConfirmed
	}
	fetched.event, fetched.eventPaymentID = event, stated.paymentID()
	if err := w.findOrigin(ctx, &fetched); err != nil {
		return err
	}
	return w.complete(ctx, claim, fetched, false, o)
}

// reconcile ends the open payment of an event in the client's journal. It runs before the step, so
// that the journal never has an open payment whose step is completed.
func (w *Worker) reconcile(ctx context.Context, f fact) error {
	var err error
	if f.kind == KindCashIn {
		cashIn := *f.cashIn
		cashIn.Status = connectpsp.CashInStatus(f.status)
		err = w.client.ReconcileCashIn(ctx, &cashIn)
	} else {
		cashOut := *f.cashOut
		cashOut.Status = connectpsp.CashOutStatus(f.status)
		err = w.client.ReconcileCashOut(ctx, &cashOut)
	}
	if err != nil {
		return fmt.Errorf("webhook: the client's journal could not end the payment, the item is retried: %w", err)
	}
	return nil
}

// requeue replaces an item by one under the right key and transaction, for an event that could not
// be parsed when it was received and now can.
func (w *Worker) requeue(ctx context.Context, claim *Claim, event *Event, o *observedItem) error {
	item := claim.Item
	item.Transaction, item.Due = event.transactionKey(), item.ReceivedAt // at once
	if strings.HasPrefix(claim.Key, quarantineMark) {
		item.Key = event.Key()
	} else {
		item.Key = claim.Key + requeuedMark // this item has the event's key
	}
	if _, err := put(ctx, w.inbox, item); err != nil {
		return err
	}
	o.endsAs(ProcessingDeferred) // the other item takes the place of this one
	return w.inbox.Complete(ctx, claim, func(_ context.Context, recorded TransactionState) (Result, error) {
		return Result{State: recorded}, nil
	})
}

// complete applies a fact to its transaction. A fact that is doubted must be confirmed first.
func (w *Worker) complete(ctx context.Context, claim *Claim, f fact, doubted bool, o *observedItem) error {
	return w.inbox.Complete(ctx, claim, func(ctx context.Context, recorded TransactionState) (Result, error) {
		decision, next := decide(recorded, f)
		if decision == ignore {
			if err := w.recheckPayer(ctx, recorded, f); err != nil {
				return Result{}, err
			}
		}
		switch {
		case decision == newer:
			return Result{}, newerState(claim)
		case doubted, decision == confirm, decision == apply && !f.read && (w.wantsConfirmation(f) || f.doubtful()):
			return Result{}, errMustRead
		case decision == mismatch:
			return Result{}, errMismatchRecorded
		case decision == secondPayment:
			return Result{}, errSecond(f.kind)
		case decision == apply:
			var err error
			if next, err = w.step(ctx, recorded, next, f, o); err != nil {
				return Result{}, err
			}
		default:
			w.stale.Add(1)
		}
		return Result{State: next}, nil
	})
}

// wantsConfirmation reports whether an event must be confirmed before it is applied. An event
// without an amount counts as a large one. An event whose amount is unreadable needs confirmation
// without WithConfirmation, too.
func (w *Worker) wantsConfirmation(f fact) bool {
	amount := f.amount().Centavos()
	// A small amount needs none: the user's function compares it with its order's.
	small := f.status == StatusPaid && amount > 0 && amount < w.confirmFrom.Centavos()
	return f.event.amountUnreadable || w.confirms && !small
}

// step makes a step from the recorded state to the next one, which it returns. Who paid a charge is
// checked first.
func (w *Worker) step(ctx context.Context, recorded, next TransactionState, f fact, o *observedItem) (TransactionState, error) {
	t := transition(recorded, f)
	if w.payerCheck != nil && f.kind == KindCashIn && f.status == StatusPaid {
		payer, err := w.checkPayer(ctx, f)
		switch {
		case err != nil:
			return next, err
		case payer.status != StatusPaid && !f.read:
			return next, errMustRead // the event may be forged, and the gateway may know the account
		}
		o.compared(payer)
		t.To, next.Status = payer.status, payer.status
	}
	if err := call(func() error { return w.apply(ctx, t) }); err != nil {
		return next, err
	}
	w.applied.Add(1)
	o.applied(t)
	if t.To == StatusPaidByOther && w.payerRefund != nil {
		return next, w.putRefund(ctx, transactionKey(KindCashIn, t.TransactionID), next.PaymentID)
	}
	return next, nil
}

// call calls a function of the user's. A panic becomes an error: the item is retried, and the
// process goes on.
func call(function func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = &panicError{panicked: panicked, place: redact.PanicPlace()}
		}
	}()
	return function()
}

// fetch reads a transaction from the gateway by any of its ids. The error is errMissing if the
// gateway responds that the transaction does not exist. A 404 without the gateway's code comes from
// a proxy and counts as an outage.
func (w *Worker) fetch(ctx context.Context, s *slots, kind Kind, id, transactionID string) (fact, error) {
	fetched := fact{kind: kind, read: true}
	err := s.releaseDuring(func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		if kind == KindCashIn {
			if fetched.cashIn, err = w.client.GetCashIn(ctx, id); err == nil {
				fetched.status = reported(string(fetched.cashIn.Status))
			}
		} else if fetched.cashOut, err = w.client.GetCashOut(ctx, id); err == nil {
			fetched.status = reported(string(fetched.cashOut.Status))
		}
		return err
	})
	var refusal *connectpsp.APIError
	var invalid *connectpsp.ValidationError
	switch {
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound && refusal.Code != "":
		return fetched, errMissing
	case errors.As(err, &invalid):
		return fetched, &heldError{"the transaction must be read from the gateway, and its id is not a valid one"}
	case err != nil:
		return fetched, safeError("the transaction could not be read from the gateway", err)
	case canonicalID(fetched.transactionID()) != canonicalID(transactionID):
		return fetched, &heldError{"the gateway responds with another transactionId: watch the transaction by that one"}
	}
	return fetched, nil
}

// safeError makes the error of a call of the client safe for the log and the inbox. The error of a
// call that was not sent quotes the error of the token source, and a user's token source may quote
// a token.
func safeError(failed string, err error) error {
	var failure *connectpsp.APIError
	if !errors.Is(err, connectpsp.ErrNotSent) || !errors.As(err, &failure) || failure.Err == nil {
		return err
	}
	return fmt.Errorf("webhook: %s: %w", failed, redact.Error(failure.Err))
}

// holdIfMissing returns a heldError if the gateway has not found the transaction of an item for
// missingGrace. Until then, and for any other error, it returns err, and the item is retried: the
// gateway may find a new payment late.
func (w *Worker) holdIfMissing(claim *Claim, err error, missing *heldError) error {
	if err == errNoSlot {
		return err
	}
	if err != errMissing {
		w.missing.Delete(claim.Key)
		return err
	}
	since, _ := w.missing.LoadOrStore(claim.Key, time.Now())
	if time.Since(since.(time.Time)) < missingGrace {
		return err
	}
	w.missing.Delete(claim.Key)
	return missing
}

// dispose holds or postpones an item, depending on the error of work. The error is the inbox's.
func (w *Worker) dispose(ctx context.Context, claim *Claim, err error, o *observedItem) error {
	// Also after the end of ctx: otherwise the item would wait until its lease expires.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putTimeout)
	defer cancel()
	var held *heldError
	switch {
	case err == nil:
		o.completed()
		return nil
	case errors.Is(err, ErrClaimLost):
		o.lost()
		return nil
	case errors.As(err, &held):
		o.held(held)
		if err = w.inbox.Hold(ctx, claim, held.reason); !errors.Is(err, ErrClaimLost) {
			w.held.Add(1)
			w.logHeld(ctx, claim, held)
		}
	case errors.Is(err, ErrLocked):
		o.ends(ProcessingDeferred)
		claim.Attempts-- // the item was not tried
		err = w.inbox.Postpone(ctx, claim, time.Now().Add(lockedPause), err.Error())
	case err == errNotBegun:
		claim.Attempts--
		err = w.inbox.Postpone(ctx, claim, time.Now(), err.Error())
	case errors.Is(err, errNoSlot):
		o.ends(ProcessingDeferred)
		claim.Attempts--
		err = w.inbox.Postpone(ctx, claim, time.Now().Add(noSlotPause), err.Error())
	default:
		w.failed.Add(1)
		o.failed(err)
		due := time.Now().Add(pauseAfter(claim.Attempts))
		w.logRetried(ctx, claim, due, err)
		err = w.inbox.Postpone(ctx, claim, due, cmp.Or(err.Error(), "an error without a text"))
	}
	if err != nil {
		o.lost()
	}
	if errors.Is(err, ErrClaimLost) {
		return nil
	}
	return err
}

// pauseAfter returns how long an item waits that has failed so often.
func pauseAfter(failures int) time.Duration {
	return min(time.Second<<min(failures-1, 20), maxPause)
}

// WorkerCounts are the results of the items of a [Worker], for your metrics.
type WorkerCounts struct {
	// Applied counts calls of your function that returned nil, also if the commit after them
	// failed. Stale counts items that changed nothing: they were out of order, repeated or
	// replayed.
	Applied, Stale uint64
	// Failed counts attempts that failed and will be retried. Held counts items that were held for
	// manual review: look at every one.
	Failed, Held uint64
}

// Counts returns the counts since [NewWorker].
func (w *Worker) Counts() WorkerCounts {
	return WorkerCounts{Applied: w.applied.Load(), Stale: w.stale.Load(), Failed: w.failed.Load(), Held: w.held.Load()}
}
