package connectpsp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/connectpsp/connectpsp-go/pix"
)

// recoverAtOnce is how many payments Recover settles at the same time.
const recoverAtOnce = 8

var (
	errNeverSent      = errors.New("it was written to the journal and never sent")
	errRejectedBefore = errors.New("the gateway refused it before the process ended")
)

// Recovered is the outcome of a payment that Recover found open, or that ended before the process did.
type Recovered struct {
	// Operation is OperationCreateCashIn, OperationRefundCashIn or OperationCreateCashOut: what an outcome means for your books
	// depends on it.
	Operation Operation
	// IdempotencyKey, ExternalReference, ChargeID and Amount are as in Intent. A refund has a ChargeID, the other two have an
	// ExternalReference and an Amount.
	IdempotencyKey, ExternalReference, ChargeID string
	Amount                                      pix.Amount
	// TransactionID is the gateway's if the payment was accepted. Otherwise it is ChargeID for a refund, or empty.
	TransactionID string
	// CashIn, CashOut or Refund, by Operation, is the gateway's response if Recover sent the payment again and it was accepted.
	// The others are nil, and so are all three of a payment that was accepted before: read it by its TransactionID.
	CashIn  *CashIn
	CashOut *CashOut
	Refund  *Refund
	// Err is nil if the payment was accepted. If errors.Is(Err, ErrUnknownOutcome) it is still open, and stays in the journal.
	// Otherwise it is an *APIError: the payment was rejected before the process ended or, if errors.Is(Err, ErrNotSent), it was
	// never sent. No money moved then.
	Err error
}

// Recover settles the payments that the journal holds without an outcome, because the process died before the response or
// because their calls ended unknown. Call it after New, before other calls are made, and again whenever there are unknown
// outcomes to settle; payments that another call works on just now are left to it.
//
// Each is sent again with the same key and the same bytes, if it was first sent within the replay window. After that a
// refund is looked up, and every other is reported as it is: wait for its webhook, or ask the provider, and end it with
// [Client.ReconcileCashOut] or [Client.ReconcileCashIn], or the journal's Finish. A payment that was never sent is not sent, but
// reported as such and taken out of the journal.
//
// The first Recover of a client also reports the payments that ended within the last hour of an earlier process, accepted or
// rejected: it may have died before it stored the outcome. So store outcomes in a way that does no harm when it is done twice.
// Calls for a payment that is reported as rejected or not sent wait until Recover returns, and end in the same error.
//
// It returns one element for each payment, those that ended before first, oldest first. Its error is the journal's, or that of
// ctx if it ended before all were tried; the outcomes found until then are returned beside it, and Recover may be called again.
func (c *Client) Recover(ctx context.Context) ([]Recovered, error) {
	pending, err := c.journal.Pending(ctx)
	if err != nil {
		return nil, fmt.Errorf("connectpsp: open payments could not be read from the journal: %w", err)
	}
	ended, err := c.endedBefore(ctx)
	if err != nil {
		return nil, fmt.Errorf("connectpsp: payments that ended could not be read from the journal: %w", err)
	}
	settled := make([]*Recovered, len(pending))
	places := make(chan struct{}, recoverAtOnce)
	var all sync.WaitGroup
	for i, intent := range pending {
		if intent.SentAt.IsZero() {
			continue
		}
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-places }()
			settled[i] = c.recover(ctx, intent)
		})
	}
	all.Wait()
	rejections := rejections{refunds: refundsOf(pending, ended)}
	defer rejections.release()
	var recovered []Recovered
	before := c.recoverEnded(ctx, ended, &rejections)
	settled = c.discardUnsent(ctx, pending, settled, &rejections)
	c.logRecovered(ctx, slog.LevelDebug, before)
	c.logRecovered(ctx, slog.LevelWarn, settled)
	for _, one := range slices.Concat(before, settled) {
		if one != nil {
			recovered = append(recovered, *one)
		}
	}
	if ctx.Err() == nil {
		c.recovered.Store(true)
	}
	return recovered, ctx.Err()
}

// rejections are what Recover reports as rejected. Until it returns it holds the locks of those payments: none is sent before all
// are reported, and calls that wait for one share its rejection.
type rejections struct {
	held    []*paymentLock
	errors  []error
	refunds []Intent // that may have been made
}

// refundsOf returns the refunds that were sent and not rejected.
func refundsOf(pending, ended []Intent) (refunds []Intent) {
	for _, intent := range slices.Concat(pending, ended) {
		if intent.Operation == OperationRefundCashIn && !intent.SentAt.IsZero() && intent.Outcome != OutcomeRejected {
			refunds = append(refunds, intent)
		}
	}
	return refunds
}

// isSuperseded reports whether another attempt may have made the payment: under another key, or a refund under another id of its
// charge. Then the outcome of that one counts.
func (c *Client) isSuperseded(ctx context.Context, intent Intent, rejections *rejections) (bool, error) {
	earlier, err := c.find(ctx, intent)
	if earlier != nil || err != nil || intent.Operation != OperationRefundCashIn {
		return earlier != nil, err
	}
	others := slices.DeleteFunc(slices.Clone(rejections.refunds), func(other Intent) bool { return other.Payment() == intent.Payment() })
	earlier, _, err = c.findOtherName(ctx, intent.ChargeID, others)
	return earlier != nil, err
}

// lock takes the lock of a payment that is to be reported, unless a call works on it.
func (r *rejections) lock(name lockName) (index int, locked bool) {
	own, _ := locks.take(name)
	if own == nil {
		return 0, false
	}
	r.held, r.errors = append(r.held, own), append(r.errors, nil)
	return len(r.held) - 1, true
}

func (r *rejections) release() {
	for i, own := range r.held {
		locks.release(own, r.errors[i])
	}
}

// endedBefore returns the payments of this client that ended before it was made, once.
func (c *Client) endedBefore(ctx context.Context) ([]Intent, error) {
	if c.recovered.Load() {
		return nil, nil
	}
	ended, err := c.journal.Ended(ctx)
	return slices.DeleteFunc(ended, func(intent Intent) bool {
		return intent.EndedAt.After(c.made) || !c.owns(intent.ClientID, intent.BaseURL)
	}), err
}

// recoverEnded reports the payments that ended. Of the rejected ones it leaves alone those that a call works on, or has begun anew
// since.
func (c *Client) recoverEnded(ctx context.Context, ended []Intent, rejections *rejections) (reports []*Recovered) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	for _, intent := range ended {
		report := newRecovered(intent)
		if intent.Outcome != OutcomeAccepted {
			i, locked := rejections.lock(c.lockOf(intent))
			if !locked {
				continue
			}
			if superseded, err := c.isSuperseded(ctx, intent, rejections); superseded || err != nil {
				continue
			}
			report.Err = rejectedBefore(intent)
			rejections.errors[i] = report.Err
		}
		reports = append(reports, report)
	}
	return reports
}

// rejectedBefore returns how a payment was rejected by an earlier process. The gateway's code is not kept.
func rejectedBefore(intent Intent) *APIError {
	rejection := &APIError{Operation: intent.Operation, IdempotencyKey: intent.IdempotencyKey, ExternalReference: intent.ExternalReference, Err: errRejectedBefore}
	if intent.SentAt.IsZero() {
		rejection.Err = &notSentError{errNeverSent}
	}
	return rejection
}

// discardUnsent takes the payments out of the journal that were never sent, and adds their reports to settled. Of pending it
// leaves alone those that a call works on, or has sent or ended since.
func (c *Client) discardUnsent(ctx context.Context, pending []Intent, settled []*Recovered, rejections *rejections) []*Recovered {
	held := map[string]int{}
	for _, intent := range pending {
		if intent.SentAt.IsZero() && ctx.Err() == nil {
			if i, locked := rejections.lock(c.lockOf(intent)); locked {
				held[intent.IdempotencyKey] = i
			}
		}
	}
	if len(held) == 0 {
		return settled
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	now, err := c.journal.Pending(ctx)
	for i, intent := range pending {
		lock, locked := held[intent.IdempotencyKey]
		if !locked {
			continue
		}
		stays := slices.ContainsFunc(now, func(other Intent) bool {
			return other.IdempotencyKey == intent.IdempotencyKey && other.SentAt.IsZero() && other.BegunAt.Equal(intent.BegunAt)
		})
		failure := err
		if failure == nil && stays {
			var superseded bool
			if superseded, failure = c.isSuperseded(ctx, intent, rejections); superseded {
				// If it cannot be taken out it is found again.
				_ = c.journal.Finish(ctx, intent.IdempotencyKey, OutcomeRejected, "")
				continue
			}
		}
		if failure != nil || stays {
			settled[i] = c.discardOne(ctx, intent, failure)
			rejections.errors[lock] = settled[i].Err
		}
	}
	return settled
}

func (c *Client) discardOne(ctx context.Context, intent Intent, err error) *Recovered {
	recovered, p := c.recovery(intent)
	switch {
	case recovered.Err != nil:
		return recovered
	case err != nil:
		p.doubtErr = fmt.Errorf("whether another call has sent it cannot be known: %w", err)
	default:
		err = c.journal.Finish(ctx, intent.IdempotencyKey, OutcomeRejected, "")
		p.doubtErr = err
	}
	if err != nil {
		recovered.Err = p.unknown(nil)
		return recovered
	}
	p.verdict = verdict{outcome: unsent, err: errNeverSent}
	recovered.Err = p.report(nil)
	return recovered
}

func newRecovered(intent Intent) *Recovered {
	return &Recovered{
		Operation:         intent.Operation,
		IdempotencyKey:    intent.IdempotencyKey,
		ExternalReference: intent.ExternalReference,
		ChargeID:          intent.ChargeID,
		Amount:            intent.Amount,
		TransactionID:     intent.TransactionID,
	}
}

// recovery describes an intent, and starts a call to settle it. Err is set if that is not for this client to do.
func (c *Client) recovery(intent Intent) (*Recovered, *progress) {
	recovered := newRecovered(intent)
	call := call{
		operation:         operation{id: intent.Operation},
		key:               intent.IdempotencyKey,
		externalReference: intent.ExternalReference,
		amount:            intent.Amount,
		body:              intent.Body,
		transactionID:     cmp.Or(intent.ChargeID, intent.TransactionID),
		recovering:        true,
	}
	if !intent.SentAt.IsZero() {
		call.doubted = &UnknownOutcomeError{FirstSentAt: intent.SentAt, LastSentAt: intent.SentAt, TransactionID: intent.TransactionID}
	}
	for _, known := range []operation{createCashIn, createCashOut, refundCashIn} {
		if known.id == intent.Operation {
			call.operation = known
		}
	}
	p := c.newProgress(call)
	switch {
	case !c.owns(intent.ClientID, intent.BaseURL):
		recovered.Err = p.about(&intent).unknown(errOtherGateway)
	case !call.operation.keyed:
		recovered.Err = p.about(&intent).unknown(errOtherOperation)
	}
	return recovered, p
}

// recover settles one payment. It returns nil if a call of this process works on it or has ended it.
func (c *Client) recover(ctx context.Context, intent Intent) *Recovered {
	recovered, p := c.recovery(intent)
	if recovered.Err != nil {
		return recovered
	}
	switch intent.Operation {
	case OperationCreateCashIn:
		if recovered.CashIn, recovered.Err = c.cashIn(ctx, p.call); recovered.Err == nil {
			recovered.TransactionID = recovered.CashIn.TransactionID
		}
	case OperationCreateCashOut:
		if recovered.CashOut, recovered.Err = c.cashOut(ctx, p.call); recovered.Err == nil {
			recovered.TransactionID = recovered.CashOut.TransactionID
		}
	case OperationRefundCashIn:
		if recovered.Refund, recovered.Err = c.refund(ctx, p.call); recovered.Err == nil {
			recovered.TransactionID = recovered.Refund.TransactionID
		}
	}
	if errors.Is(recovered.Err, errSettled) {
		return nil
	}
	return recovered
}
