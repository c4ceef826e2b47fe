package connectpsp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/connectpsp/connectpsp-go/pix"
)

// recoverAtOnce is how many payments Recover settles at the same time.
const recoverAtOnce = 8

var errNeverSent = errors.New("it was written to the journal and never sent")

// Recovered is what became of a payment that Recover found open.
type Recovered struct {
	// Operation, IdempotencyKey, ExternalReference, TransactionID and Amount are as in Intent.
	Operation, IdempotencyKey, ExternalReference, TransactionID string
	Amount                                                      pix.Amount
	// CashIn, CashOut or Refund, by Operation, is the gateway's answer if the payment was accepted. The others are nil.
	CashIn  *CashIn
	CashOut *CashOut
	Refund  *Refund
	// Err is nil if the payment was accepted. If errors.Is(Err, ErrNotSent), it was never sent: no money moved, unless a call
	// for it that you make at the same time moves it. Else it is an *UnknownOutcomeError: the payment is still open, and stays
	// in the journal.
	Err error
}

// Recover settles the payments that the journal holds without an outcome, because the process died before the answer or
// because their calls ended unknown. Call it once after New, before or while other calls are made, and again whenever there
// are unknown outcomes to settle; payments that another call works on just now are left to it.
//
// Each is sent again with the same key and the same bytes, if it was first sent within the replay window. After that a
// refund is looked up, and every other is reported as it is: wait for its webhook, or ask the provider, and end it with the
// journal's Finish. A payment that was never sent is not sent, but reported as such and taken out of the journal; calls for
// it wait until Recover returns, and may pay it then.
//
// What it returns is one element per payment, oldest first. Its error is the journal's, or that of ctx if it ended before all
// were tried; what was settled until then is returned beside it, and Recover may be called again.
func (c *Client) Recover(ctx context.Context) ([]Recovered, error) {
	pending, err := c.journal.Pending(ctx)
	if err != nil {
		return nil, fmt.Errorf("connectpsp: open payments could not be read from the journal: %w", err)
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
	release := c.dismiss(ctx, pending, settled)
	defer release()
	var recovered []Recovered
	for _, one := range settled {
		if one != nil {
			recovered = append(recovered, *one)
		}
	}
	return recovered, ctx.Err()
}

// dismiss takes the payments out of the journal that were never sent, and keeps their keys from other calls until they are
// released: none of them is sent before all are reported. Of pending it leaves alone what another call of this process works on,
// or has sent or ended since.
func (c *Client) dismiss(ctx context.Context, pending []Intent, settled []*Recovered) (release func()) {
	held := map[string]*turn{}
	release = func() {
		for key, own := range held {
			c.turns.end(key, own, nil)
		}
	}
	for _, intent := range pending {
		if intent.SentAt.IsZero() && ctx.Err() == nil {
			if own, _ := c.turns.take(intent.IdempotencyKey); own != nil {
				held[intent.IdempotencyKey] = own
			}
		}
	}
	if len(held) == 0 {
		return release
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	now, err := c.journal.Pending(ctx)
	for i, intent := range pending {
		if held[intent.IdempotencyKey] == nil || !intent.SentAt.IsZero() {
			continue
		}
		stays := slices.ContainsFunc(now, func(other Intent) bool {
			return other.IdempotencyKey == intent.IdempotencyKey && other.SentAt.IsZero() && other.BegunAt.Equal(intent.BegunAt)
		})
		if err != nil || stays {
			settled[i] = c.dismissOne(ctx, intent, err)
		}
	}
	return release
}

func (c *Client) dismissOne(ctx context.Context, intent Intent, err error) *Recovered {
	recovered, p := c.recovered(intent)
	switch {
	case recovered.Err != nil:
		return recovered
	case err != nil:
		p.doubtErr = fmt.Errorf("whether another call has sent it is not known: %w", err)
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

// recovered describes an intent, and starts a call to settle it. Err is set if that is not for this client to do.
func (c *Client) recovered(intent Intent) (*Recovered, *progress) {
	recovered := &Recovered{
		Operation:         intent.Operation,
		IdempotencyKey:    intent.IdempotencyKey,
		ExternalReference: intent.ExternalReference,
		TransactionID:     intent.TransactionID,
		Amount:            intent.Amount,
	}
	call := call{
		key:               intent.IdempotencyKey,
		externalReference: intent.ExternalReference,
		amount:            intent.Amount,
		body:              intent.Body,
		transactionID:     intent.TransactionID,
		recovering:        true,
	}
	if !intent.SentAt.IsZero() {
		call.doubted = &UnknownOutcomeError{FirstSentAt: intent.SentAt, LastSentAt: intent.SentAt, TransactionID: intent.TransactionID}
	}
	call.operation = operation{id: intent.Operation}
	for _, known := range []operation{createCashIn, createCashOut, refundCashIn} {
		if known.id == intent.Operation {
			call.operation = known
		}
	}
	p := c.newProgress(call)
	switch {
	case intent.ClientID != c.clientID || intent.BaseURL != c.baseURL:
		recovered.Err = p.unknown(errOtherGateway)
	case !call.operation.keyed:
		recovered.Err = p.unknown(errOtherOperation)
	}
	return recovered, p
}

// recover settles one payment. It returns nil if a call of this process works on it or has ended it.
func (c *Client) recover(ctx context.Context, intent Intent) *Recovered {
	recovered, p := c.recovered(intent)
	if recovered.Err != nil {
		return recovered
	}
	switch intent.Operation {
	case createCashIn.id:
		recovered.CashIn, recovered.Err = c.cashIn(ctx, p.call)
	case createCashOut.id:
		recovered.CashOut, recovered.Err = c.cashOut(ctx, p.call)
	case refundCashIn.id:
		recovered.Refund, recovered.Err = c.refund(ctx, p.call)
	}
	if errors.Is(recovered.Err, errSettled) {
		return nil
	}
	return recovered
}
