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
	"github.com/connectpsp/connectpsp-go/pix"
)

const (
	leaseTime    = 2 * time.Minute
	workTimeout  = 100 * time.Second // less than the lease
	claimTimeout = 10 * time.Second
	askTimeout   = 10 * time.Second // of one reading from the gateway
	mostAttempts = 20               // over some nine hours
	missingFor   = 10 * time.Minute // until it is believed that the gateway does not know a transaction
	longestPause = time.Hour
	pollInterval = 200 * time.Millisecond
	lockedPause  = 500 * time.Millisecond // until an item is retried whose transaction was locked
	crowdedPause = time.Minute            // until an item is retried that found all slots for the gateway taken
	mostAsking   = 8                      // goroutines of one Run that wait for the gateway
)

// Worker processes an Inbox: it derives the change of each event, and calls your function for
// every step of a transaction, once and in order. Make it with NewWorker. It may be shared by
// goroutines and must not be copied; any number of Workers, in any number of processes, may work on
// one Inbox.
type Worker struct {
	inbox       Inbox
	client      *connectpsp.Client
	apply       func(context.Context, Transition) error
	confirms    bool
	confirmFrom pix.Amount
	logger      *slog.Logger
	missing     sync.Map // by key of the item: when the gateway first said that there is no such transaction
	applied     atomic.Uint64
	stale       atomic.Uint64
	failed      atomic.Uint64
	held        atomic.Uint64
}

// WorkerOption changes a Worker. Nil is not an option.
type WorkerOption func(*Worker)

// WithConfirmation makes the Worker read the transaction from the gateway before it calls your
// function: for the payment of a charge if its amount is from or more, or not stated; for every
// other event always, because for those your function books an amount of its own. With an amount of
// zero every event is confirmed. Amount, reference and ids must be those of the event. An event
// that the gateway does not confirm changes nothing and is kept for a person: then somebody else
// has your CryptoToken, so have it replaced. A transaction that the gateway does not find is
// retried for ten minutes before that. Without this option the gateway is asked only about an
// amount that is no whole number of centavos, and about contradictions: of an event with what is
// known, with another body for the same event, or of its data with its type.
func WithConfirmation(from pix.Amount) WorkerOption {
	return func(w *Worker) { w.confirms, w.confirmFrom = true, from }
}

// WithLogger makes the Worker log to logger what goes wrong: at level error what is kept for a
// person, at level warning what will be tried again. It writes ids, and the errors of your function
// and of the inbox in their own words; the inbox keeps those of your function too. No personal data
// is added. Without this option, or with nil, it logs to the [slog.Default] of the moment when the
// Worker is made; for silence give it slog.New(slog.DiscardHandler).
func WithLogger(logger *slog.Logger) WorkerOption {
	return func(w *Worker) { w.logger = cmp.Or(logger, slog.Default()) }
}

// NewWorker returns a Worker on inbox. The client reads transactions where an event alone must not
// be believed.
//
// Apply is your function. It is called once for every step that is settled: if it returns an error,
// or the process dies, it is called again for the same step later, up to twenty times over nine
// hours; then the event is kept for a person. With package sqlinbox its context carries the
// database transaction in which the step is settled, so that your writes in it happen exactly
// once. Everything else it does may happen again. Its context lasts for a minute at least. It must
// be safe for as many goroutines as work, that is as call Run or Work; for one transaction it is
// called by one at a time. A panic in it is logged at level error, by its place and without its
// text unless that is the Go runtime's, and is an error like others.
//
// A Watch method of the Worker that is called with that context takes part in the step: the
// transaction is watched if the step is settled, and not if it fails.
//
// NewWorker panics if inbox, client or apply is nil.
func NewWorker(inbox Inbox, client *connectpsp.Client, apply func(context.Context, Transition) error, options ...WorkerOption) *Worker {
	if inbox == nil || client == nil || apply == nil {
		panic("webhook: a Worker needs an Inbox, a Client and a function")
	}
	w := &Worker{inbox: inbox, client: client, apply: apply, logger: slog.Default()}
	for _, option := range options {
		option(w)
	}
	return w
}

// Run works until ctx ends, and returns its error. Call it in a goroutine of its own; in several,
// if your function is slow: one Run calls it for one step at a time. While an item waits for the
// gateway, Run goes on with others, so a gateway that is slow or does not answer delays only the
// items that need it. Up to eight wait at once, for ten seconds each reading.
func (w *Worker) Run(ctx context.Context) error {
	turn := newTurn()
	var working sync.WaitGroup
	defer working.Wait()
	for ctx.Err() == nil {
		turn.take()
		claim, err := w.claim(ctx)
		if err != nil || claim == nil {
			turn.give()
			w.pause(ctx, err)
			continue
		}
		working.Go(func() {
			defer turn.give()
			if err := w.workOff(ctx, claim, turn); err != nil {
				w.pause(ctx, err)
			}
		})
	}
	return ctx.Err()
}

// pause waits before the inbox is asked again that has nothing due or has failed.
func (w *Worker) pause(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		w.logger.WarnContext(ctx, "webhook: the inbox failed", "error", err)
	}
	ended := time.NewTimer(pollInterval)
	defer ended.Stop()
	select {
	case <-ended.C:
	case <-ctx.Done():
	}
}

// Work works off one item, and reports whether one was due. Its error is the inbox's; an error of
// your function or the gateway is logged, and the item is tried again. Run does the same all the
// time; call Work yourself in tests.
func (w *Worker) Work(ctx context.Context) (worked bool, err error) {
	claim, err := w.claim(ctx)
	if err != nil || claim == nil {
		return false, err
	}
	return true, w.workOff(ctx, claim, nil)
}

func (w *Worker) claim(ctx context.Context) (*Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	return w.inbox.Claim(ctx, leaseTime)
}

// workOff works off an item. The error is the inbox's.
func (w *Worker) workOff(ctx context.Context, claim *Claim, turn *turn) error {
	working, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	var err error = errTooOften
	if claim.Attempts <= mostAttempts {
		err = w.work(working, claim, turn)
	}
	return w.dispose(ctx, claim, err)
}

// heldError says that an item is for a person.
type heldError struct{ reason string }

func (e *heldError) Error() string { return e.reason }

var (
	errTooOften = &heldError{"it was tried 20 times, see the log for why it failed"}
	errUnread   = &heldError{"this version of the SDK does not know its type: retry it after an update"}
	errForged   = &heldError{"ALARM: the gateway knows no such transaction; if it is not of another application of yours, " +
		"somebody else has the CryptoToken: have it replaced"}
	errNeverConfirmed = &heldError{"ALARM: for hours the gateway has told an older status than the event; read the transaction, and if that " +
		"is so still somebody else has the CryptoToken: have it replaced"}
	errDiffers = &heldError{"ALARM: the gateway tells another amount, reference or end-to-end id; compare them, and if the gateway's " +
		"are right somebody else has the CryptoToken: have it replaced"}
	errToldOtherwise = &heldError{"ALARM: the gateway tells another amount or reference than your function was told by an event: " +
		"compare them, and if the gateway's are right somebody else has the CryptoToken: have it replaced"}
	errSecondCashIn = &heldError{"the charge was paid a second time: the end-to-end id is not that of the payment that your function " +
		"was told of, and it was not called for this one. Look for both in the account's statement: if the money came in twice, " +
		"refund or credit the second payment by hand, then dismiss this item; if there is one payment only, somebody else has the " +
		"CryptoToken: have it replaced"}
	errSecondCashOut = &heldError{"the payment was made a second time: the end-to-end id is not that of the payment that your function " +
		"was told of, and it was not called for this one. Look for both in the account's statement: if the money went out twice, " +
		"ask the provider for the second, then dismiss this item; if there is one payment only, somebody else has the " +
		"CryptoToken: have it replaced"}
	errAsk          = errors.New("webhook: the gateway has to be asked")
	errMissing      = errors.New("webhook: the gateway does not find the transaction")
	errCrowded      = errors.New("webhook: the gateway is too slow for one more question")
	errNotConfirmed = errors.New("webhook: the gateway does not confirm the event")
	errBehind       = errors.New("webhook: the gateway tells an older status than an event did")
)

// errSecond says that a transaction has two payments.
func errSecond(kind Kind) error {
	if kind == KindCashIn {
		return errSecondCashIn
	}
	return errSecondCashOut
}

// work processes an item. The error says how it ends.
func (w *Worker) work(ctx context.Context, claim *Claim, turn *turn) error {
	if strings.HasPrefix(claim.Key, readMark) {
		return w.readAgain(ctx, claim, turn)
	}
	event, err := read(claim.Body, claim.DeliveryID)
	if err != nil {
		return &heldError{err.Error()}
	}
	said := factOf(event)
	if said.kind == "" {
		return errUnread
	}
	if len(event.Key()) > longestKey {
		return &heldError{"its ids are too long"}
	}
	if event.transactionKey() != claim.Transaction {
		return w.refile(ctx, claim, event)
	}
	doubted := strings.Contains(claim.Key, conflictMark) || said.doubtful() || w.wantsConfirmation(said)
	if !doubted { // else the client reads the transaction, and does so by itself
		if err := w.reconcile(ctx, said); err != nil {
			return err
		}
	}
	err = w.settle(ctx, claim, said, strings.Contains(claim.Key, conflictMark))
	if !errors.Is(err, errAsk) {
		return err
	}
	answered, err := w.ask(ctx, turn, said.kind, said.transactionID(), said.transactionID())
	forged := errForged
	if err == nil && !said.sameMovement(answered) {
		// The gateway tells of the last payment or return. An earlier one can be read by its own id
		// only.
		answered, err = w.ask(ctx, turn, said.kind, said.movementID(), said.transactionID())
		forged = errDiffers
	}
	if err := w.believed(claim, err, forged); err != nil {
		return err
	}
	switch {
	case !said.matches(answered), !said.sameMovement(answered):
		return errDiffers
	case said.kind.rank(answered.status) < said.kind.rank(said.status):
		if claim.Attempts == mostAttempts {
			return errNeverConfirmed
		}
		return errNotConfirmed
	}
	answered.event, answered.told = event, said.paymentID()
	return w.settle(ctx, claim, answered, false)
}

// reconcile ends the open payment that an event is about in the client's journal. It comes before
// the step, so that a step that is told has ended the payment too.
func (w *Worker) reconcile(ctx context.Context, f fact) error {
	var err error
	if f.kind == KindCashIn {
		said := *f.cashIn
		said.Status = connectpsp.CashInStatus(f.status)
		err = w.client.ReconcileCashIn(ctx, &said)
	} else {
		said := *f.cashOut
		said.Status = connectpsp.CashOutStatus(f.status)
		err = w.client.ReconcileCashOut(ctx, &said)
	}
	if err != nil {
		return fmt.Errorf("webhook: the client's journal could not end the payment: %w", err)
	}
	return nil
}

// refile puts an event where it belongs that could not be read when it was received, and now can.
func (w *Worker) refile(ctx context.Context, claim *Claim, event *Event) error {
	item := claim.Item
	item.Transaction, item.Due = event.transactionKey(), item.ReceivedAt // at once
	if strings.HasPrefix(claim.Key, quarantineMark) {
		item.Key = event.Key()
	} else {
		item.Key = claim.Key + refiledMark // that of the event is this item's own
	}
	if _, err := put(ctx, w.inbox, item); err != nil {
		return err
	}
	return w.inbox.Complete(ctx, claim, func(_ context.Context, known TransactionState) (Result, error) {
		return Result{State: known}, nil
	})
}

// settle lets a fact have its effect. Doubted says that it must not be believed as it is.
func (w *Worker) settle(ctx context.Context, claim *Claim, f fact, doubted bool) error {
	return w.inbox.Complete(ctx, claim, func(ctx context.Context, known TransactionState) (Result, error) {
		ruling, next := rule(known, f)
		switch {
		case doubted, ruling == unsure, ruling == apply && !f.read && (w.wantsConfirmation(f) || f.doubtful()):
			return Result{}, errAsk
		case ruling == differs:
			return Result{}, errToldOtherwise
		case ruling == second:
			return Result{}, errSecond(f.kind)
		case ruling == apply:
			if err := w.call(ctx, transition(known, f)); err != nil {
				return Result{}, err
			}
		default:
			w.stale.Add(1)
		}
		return Result{State: next}, nil
	})
}

// wantsConfirmation also of an event that states no amount: the payment may be of any. Of one whose
// amount cannot be read it is wanted without WithConfirmation, too.
func (w *Worker) wantsConfirmation(f fact) bool {
	amount := f.amount().Centavos()
	small := f.status == StatusPaid && amount > 0 && amount < w.confirmFrom.Centavos() // the function compares it with its own
	return f.event.amountUnreadable || w.confirms && !small
}

// call calls the user's function. A panic is an error like others: the item is tried again, and the
// process lives on.
func (w *Worker) call(ctx context.Context, t Transition) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = &panicError{panicked: panicked, place: panicPlace()}
		}
		if err == nil {
			w.applied.Add(1)
		}
	}()
	return w.apply(ctx, t)
}

// ask reads a transaction from the gateway by any of its ids. The error is errMissing if the
// gateway itself says that there is none; a 404 in other words is of something in between, and like
// an outage.
func (w *Worker) ask(ctx context.Context, turn *turn, kind Kind, id, transactionID string) (fact, error) {
	answered := fact{kind: kind, read: true}
	err := turn.await(func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		if kind == KindCashIn {
			if answered.cashIn, err = w.client.GetCashIn(ctx, id); err == nil {
				answered.status = Status(answered.cashIn.Status)
			}
		} else if answered.cashOut, err = w.client.GetCashOut(ctx, id); err == nil {
			answered.status = Status(answered.cashOut.Status)
		}
		return err
	})
	var refusal *connectpsp.APIError
	var invalid *connectpsp.ValidationError
	switch {
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound && refusal.Code != "":
		return answered, errMissing
	case errors.As(err, &invalid):
		return answered, &heldError{"the gateway has to be asked, and cannot be asked for such an id"}
	case err != nil:
		return answered, unasked(err)
	case canonicalID(answered.transactionID()) != canonicalID(transactionID):
		return answered, &heldError{"the gateway answers with another transactionId: events and watches go by it"}
	}
	return answered, nil
}

// believed returns why an item is held, if the gateway has not found its transaction for so long
// that it does not exist. A payment that was just made may be found late, so until then, and for
// any other error, the item is retried.
func (w *Worker) believed(claim *Claim, err error, missing *heldError) error {
	if err == errCrowded {
		return err
	}
	if err != errMissing {
		w.missing.Delete(claim.Key)
		return err
	}
	since, _ := w.missing.LoadOrStore(claim.Key, time.Now())
	if time.Since(since.(time.Time)) < missingFor {
		return err
	}
	w.missing.Delete(claim.Key)
	return missing
}

// dispose completes an item by the result of its work. The error is the inbox's.
func (w *Worker) dispose(ctx context.Context, claim *Claim, err error) error {
	// Also when ctx has ended: else the item would wait until its lease is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putTimeout)
	defer cancel()
	var held *heldError
	var panicked *panicError
	switch {
	case err == nil, errors.Is(err, ErrClaimLost):
		return nil
	case errors.As(err, &held):
		if err = w.inbox.Hold(ctx, claim, held.reason); !errors.Is(err, ErrClaimLost) {
			w.held.Add(1)
			w.logger.ErrorContext(ctx, "webhook: an item is kept for a person", "key", claim.Key, "reason", held.reason)
		}
	case errors.Is(err, ErrLocked):
		claim.Attempts-- // this was none
		err = w.inbox.Postpone(ctx, claim, time.Now().Add(lockedPause), err.Error())
	case errors.Is(err, errCrowded):
		claim.Attempts--
		err = w.inbox.Postpone(ctx, claim, time.Now().Add(crowdedPause), err.Error())
	default:
		w.failed.Add(1)
		due := time.Now().Add(min(time.Second<<min(claim.Attempts-1, 20), longestPause))
		level := slog.LevelWarn
		if errors.As(err, &panicked) {
			level = slog.LevelError
		}
		w.logger.Log(ctx, level, "webhook: an item will be tried again", "key", claim.Key, "attempt", claim.Attempts, "due", due, "error", err)
		err = w.inbox.Postpone(ctx, claim, due, cmp.Or(err.Error(), "an error without a text"))
	}
	if errors.Is(err, ErrClaimLost) {
		return nil
	}
	return err
}

// WorkerCounts are the results of the items of a Worker, for your metrics.
type WorkerCounts struct {
	// Applied are calls of your function that returned nil, also if their effect could not be
	// committed then. Stale are items that changed nothing: late, repeated or replayed.
	Applied, Stale uint64
	// Failed are attempts that failed and will be made again. Held are items that were put aside
	// for a person: look at every one.
	Failed, Held uint64
}

// Counts returns the counts since the Worker was made.
func (w *Worker) Counts() WorkerCounts {
	return WorkerCounts{Applied: w.applied.Load(), Stale: w.stale.Load(), Failed: w.failed.Load(), Held: w.held.Load()}
}
