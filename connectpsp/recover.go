package connectpsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/internal/api"
	"github.com/connectpsp/connectpsp-go/pix"
)

// recoverAtOnce is how many payments [Client.Recover] settles at the same time.
const recoverAtOnce = 8

var (
	errNeverSent      = errors.New("it was written to the journal and never sent")
	errRejectedBefore = errors.New("an earlier process recorded that; the reason is not kept")
)

// Recovered is the outcome of a payment that [Client.Recover] found open, or that ended before the
// process did.
type Recovered struct {
	// Operation is OperationCreateCashIn, OperationRefundCashIn or OperationCreateCashOut: what an
	// outcome means for your books depends on it.
	Operation Operation
	// IdempotencyKey, ExternalReference, ChargeID and Amount are as in Intent. A refund has a
	// ChargeID, the other two have an ExternalReference and an Amount.
	IdempotencyKey, ExternalReference, ChargeID string
	Amount                                      pix.Amount
	// TransactionID is the gateway's if the payment was accepted. Otherwise it is ChargeID for a
	// refund, or empty.
	TransactionID string
	// DueBy is the time that [WithDueBy] gave to the first call, zero if it gave none. That it has
	// passed says nothing about the outcome.
	DueBy time.Time
	// CashIn, CashOut or Refund, by Operation, is the gateway's response if [Client.Recover] sent
	// the payment again and it was accepted. The others are nil, and so are all three of a payment
	// that was accepted before: read it by its TransactionID.
	CashIn  *CashIn
	CashOut *CashOut
	Refund  *Refund
	// Err is nil if the payment was accepted. If errors.Is(Err, ErrUnknownOutcome) it is still
	// open, and stays in the journal. Otherwise it is an [*APIError]: the payment was rejected
	// before the process ended or, if errors.Is(Err, ErrNotSent), it was never sent. No money moved
	// then.
	Err error
}

// Recover settles the payments that the journal holds without an outcome, because the process died
// before the response or because their calls ended unknown. Call it after New, before other calls
// are made, and again whenever there are unknown outcomes to settle; payments that another call
// works on just now are left to it. If processes share the journal, call it about every minute:
// payments of a process that died are left alone until its lease expires.
//
// Each is sent again with the same key and the same bytes, if it was first sent within the replay
// window. After that a refund is looked up, and every other is reported as it is: wait for its
// webhook, or ask the provider, and end it with [Client.ReconcileCashOut] or
// [Client.ReconcileCashIn], or the journal's Finish. A payment that was never sent is not sent, but
// reported as such and taken out of the journal.
//
// The first [Client.Recover] of a client also reports the payments that ended within the last hour,
// accepted or rejected: an earlier process may have died before it stored the outcome. So store
// outcomes in a way that does no harm when it is done twice. Calls for a payment that is reported
// as rejected or not sent wait until [Client.Recover] returns, and end in the same error.
//
// It returns one element for each payment, those that ended before first, oldest first. Its error
// is the journal's, or that of ctx if it ended before all were tried; the outcomes found until then
// are returned beside it, and [Client.Recover] may be called again.
func (c *Client) Recover(ctx context.Context) ([]Recovered, error) {
	pending, err := c.journal.Pending(ctx)
	if err != nil {
		return nil, fmt.Errorf("connectpsp: open payments could not be read from the journal: %w", err)
	}
	ended, err := c.endedBefore(ctx)
	if err != nil {
		return nil, fmt.Errorf("connectpsp: payments that ended could not be read from the journal: %w", err)
	}
	found := make([]*Recovered, len(pending))
	places := make(chan struct{}, recoverAtOnce)
	var all sync.WaitGroup
	for i, intent := range pending {
		if intent.SentAt.IsZero() || intent.Leased {
			continue
		}
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-places }()
			found[i] = c.recover(ctx, intent)
		})
	}
	all.Wait()
	r := recovery{client: c}
	defer r.release()
	before := r.reportEnded(ctx, ended)
	r.discardUnsent(ctx, pending, found)
	r.checkAccepted(ctx)
	c.logRecovered(ctx, slog.LevelDebug, before)
	c.logRecovered(ctx, slog.LevelWarn, found)
	c.logOverdue(ctx, found)
	var recovered []Recovered
	for _, one := range slices.Concat(before, found) {
		if one != nil {
			recovered = append(recovered, *one)
		}
	}
	if ctx.Err() == nil && !r.incomplete {
		c.recovered.Store(true)
	}
	return recovered, ctx.Err()
}

// endedBefore returns the payments of this client that ended, until [Client.Recover] has reported
// them.
func (c *Client) endedBefore(ctx context.Context) ([]Intent, error) {
	if _, inMemory := c.journal.(*memoryJournal); inMemory || c.recovered.Load() {
		return nil, nil // those in memory ended in this process, and its callers know
	}
	ended, err := c.journal.Ended(ctx)
	return slices.DeleteFunc(ended, func(intent Intent) bool { return !c.owns(intent.ClientID, intent.BaseURL) }), err
}

// recovery is the part of [Client.Recover] that reports rejections. Until [Client.Recover] returns
// it holds the locks of those payments: none is sent before all are reported, and calls that wait
// for one share its rejection.
type recovery struct {
	client     *Client
	refunds    []Intent // that may have been made, see isSuperseded
	read       bool     // refunds were read from the journal
	locks      []*paymentLock
	reports    []*Recovered // of the payments whose locks it has
	incomplete bool         // a payment that ended was reported as unknown
}

// lock takes the lock of a payment that is to be reported, unless a call works on it.
func (r *recovery) lock(intent *Intent, report *Recovered) bool {
	own, _ := locks.take(r.client.lockOf(*intent), intent)
	if own != nil {
		r.locks, r.reports = append(r.locks, own), append(r.reports, report)
	}
	return own != nil
}

func (r *recovery) release() {
	for i, own := range r.locks {
		locks.release(own, r.reports[i].Err)
	}
}

// reportEnded reports the payments that ended. Of the rejected ones it leaves alone those that a
// call works on, or has begun anew since.
func (r *recovery) reportEnded(ctx context.Context, ended []Intent) (reports []*Recovered) {
	for i := range ended {
		intent := &ended[i]
		if intent.Leased {
			// Its process may die before it stores the outcome, so a later Recover reports the
			// payment. If it ended long after this client was made, that is left to clients that
			// are made later.
			r.incomplete = r.incomplete || intent.EndedAt.Before(r.client.begun.Add(time.Minute))
			continue
		}
		report := newRecovered(*intent)
		if intent.Outcome != OutcomeAccepted {
			if ctx.Err() != nil || !r.lock(intent, report) {
				continue
			}
			superseded, err := r.isSuperseded(ctx, *intent)
			switch {
			case err != nil:
				r.incomplete = true
				_, p := r.client.stateOf(*intent)
				report.Err = p.unknown(err)
			case superseded:
				continue
			default:
				report.Err = rejectedBefore(*intent)
			}
		}
		reports = append(reports, report)
	}
	return reports
}

// rejectedBefore returns how a payment was rejected by an earlier process. The gateway's code is
// not kept.
func rejectedBefore(intent Intent) *APIError {
	rejection := &APIError{
		Operation:         intent.Operation,
		IdempotencyKey:    intent.IdempotencyKey,
		ExternalReference: intent.ExternalReference,
		Err:               errRejectedBefore,
	}
	if intent.SentAt.IsZero() {
		rejection.Err = &notSentError{errNeverSent}
	}
	return rejection
}

// isSuperseded reports whether another attempt may have made the payment: under another key, or a
// refund under another id of its charge. Then the outcome of that one counts.
func (r *recovery) isSuperseded(ctx context.Context, intent Intent) (bool, error) {
	earlier, err := r.client.find(ctx, intent)
	if earlier != nil || err != nil || intent.Operation != OperationRefundCashIn {
		return earlier != nil, err
	}
	if !r.read { // also those that an earlier Recover has reported, or a call has ended since
		if r.refunds, err = r.client.otherRefunds(ctx, Intent{}, nil); err != nil {
			return false, err
		}
		r.read = true
	}
	others := slices.DeleteFunc(slices.Clone(r.refunds), func(other Intent) bool {
		return other.Payment() == intent.Payment()
	})
	if len(others) == 0 {
		return false, nil
	}
	if sameCharge([]string{intent.ChargeID}, others) != nil {
		return true, nil
	}
	ids, err := r.client.readChargeIDs(ctx, intent.ChargeID)
	return sameCharge(ids, others) != nil, err
}

// discardUnsent takes the payments out of the journal that were never sent, and puts their reports
// in place. Of pending it leaves alone those that a call works on, or has sent or ended since.
func (r *recovery) discardUnsent(ctx context.Context, pending []Intent, reports []*Recovered) {
	begun := map[string]time.Time{} // of those whose locks it has, by key
	for i := range pending {
		intent, report := &pending[i], newRecovered(pending[i])
		if intent.SentAt.IsZero() && ctx.Err() == nil && r.lock(intent, report) {
			begun[intent.IdempotencyKey] = intent.BegunAt
			reports[i] = report
		}
	}
	if len(begun) == 0 {
		return
	}
	unsent, err := r.stillUnsent(ctx, begun)
	for i, intent := range pending {
		switch _, locked := begun[intent.IdempotencyKey]; {
		case !locked:
		case err == nil && !unsent[intent.IdempotencyKey]:
			reports[i] = nil
		case !r.discardOne(ctx, intent, reports[i], err):
			reports[i] = nil
		}
	}
}

// stillUnsent returns the keys of the payments that are in the journal as they were begun.
func (r *recovery) stillUnsent(ctx context.Context, begun map[string]time.Time) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	pending, err := r.client.journal.Pending(ctx)
	unsent := map[string]bool{}
	for _, intent := range pending {
		at, found := begun[intent.IdempotencyKey]
		unsent[intent.IdempotencyKey] = found && intent.SentAt.IsZero() && intent.BegunAt.Equal(at)
	}
	return unsent, err
}

// discardOne takes a payment out of the journal that was never sent, and sets the error of its
// report. It returns false if another attempt may have made it, whose outcome counts. Failure is
// why it is not certain that it was not sent.
func (r *recovery) discardOne(ctx context.Context, intent Intent, report *Recovered, failure error) bool {
	superseded := false
	if failure == nil {
		superseded, failure = r.isSuperseded(ctx, intent)
	}
	if superseded {
		// If it cannot be taken out it is found again.
		_ = r.client.journal.Finish(ctx, intent.IdempotencyKey, OutcomeRejected, "")
		return false
	}
	state, p := r.client.stateOf(intent)
	switch {
	case state.Err != nil:
		report.Err = state.Err
		return true
	case failure != nil:
		report.Err = p.open(fmt.Errorf("whether another call has sent it cannot be known: %w", failure))
		return true
	}
	if failure = r.client.journal.Finish(ctx, intent.IdempotencyKey, OutcomeRejected, ""); failure != nil {
		report.Err = p.open(failure)
	} else {
		report.Err = p.notSent(errNeverSent)
	}
	return true
}

// checkAccepted takes back the rejections of payments that were read as accepted meanwhile.
func (r *recovery) checkAccepted(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	for i, own := range r.locks {
		id, accepted := locks.acceptedMeanwhile(own)
		if !accepted || !isRejection(r.reports[i].Err) {
			continue
		}
		_, p := r.client.stateOf(*own.intent)
		p.transactionID = id
		r.reports[i].Err = p.unknown(errReadAsAccepted)
		intent := p.call.payment
		intent.SentAt = p.begun.UTC() // a journal forgets a payment that ends and was not sent
		key := lockName{journal: r.client.scope, key: intent.IdempotencyKey}
		if lock, _ := locks.take(key, nil); lock != nil { // else another payment has the key just now
			r.client.recordAccepted(ctx, intent, id)
			locks.release(lock, nil)
		}
	}
}

func newRecovered(intent Intent) *Recovered {
	return &Recovered{
		Operation:         intent.Operation,
		IdempotencyKey:    intent.IdempotencyKey,
		ExternalReference: intent.ExternalReference,
		ChargeID:          intent.ChargeID,
		Amount:            intent.Amount,
		TransactionID:     intent.TransactionID,
		DueBy:             intent.DueBy,
	}
}

// stateOf describes an intent, and starts a call to settle it. Err is set if that is not for
// this client to do.
func (c *Client) stateOf(intent Intent) (*Recovered, *callState) {
	recovered := newRecovered(intent)
	call := &call{operation: api.Operation{ID: intent.Operation}, payment: intent, body: intent.Body, recovering: true}
	call.payment.SentAt, call.payment.EndedAt, call.payment.Outcome = time.Time{}, time.Time{}, ""
	if !intent.SentAt.IsZero() {
		call.doubted = &UnknownOutcomeError{
			FirstSentAt: intent.SentAt, LastSentAt: intent.SentAt, TransactionID: intent.TransactionID,
		}
	}
	if known, found := api.Find(intent.Operation); found {
		call.operation = known
	}
	p := c.newCallState(call)
	switch {
	case !c.owns(intent.ClientID, intent.BaseURL):
		recovered.Err = p.about(&intent).unknown(errOtherGateway)
	case !call.operation.Keyed:
		recovered.Err = p.about(&intent).unknown(errOtherOperation)
	}
	return recovered, p
}

// recover settles one payment. It returns nil if a call of this process works on it or has ended
// it.
func (c *Client) recover(ctx context.Context, intent Intent) *Recovered {
	recovered, p := c.stateOf(intent)
	if recovered.Err != nil {
		return recovered
	}
	returned := false // false after a panic
	ctx, observed := c.beginCall(ctx, Call{
		Operation: intent.Operation, Recovering: true, ExternalReference: intent.ExternalReference,
		IdempotencyKey: intent.IdempotencyKey, TransactionID: intent.TransactionID,
	})
	defer func() { observed.end(p.call, returned, recovered.Err) }()
	switch intent.Operation {
	case OperationCreateCashIn:
		if recovered.CashIn, recovered.Err = run(ctx, c, createCashIn, p.call); recovered.Err == nil {
			recovered.TransactionID = recovered.CashIn.TransactionID
		}
	case OperationCreateCashOut:
		if recovered.CashOut, recovered.Err = run(ctx, c, createCashOut, p.call); recovered.Err == nil {
			recovered.TransactionID = recovered.CashOut.TransactionID
		}
	case OperationRefundCashIn:
		if recovered.Refund, recovered.Err = c.refund(ctx, p.call); recovered.Err == nil {
			recovered.TransactionID = recovered.Refund.TransactionID
		}
	}
	returned = true
	if errors.Is(recovered.Err, errSettled) {
		return nil
	}
	return recovered
}
