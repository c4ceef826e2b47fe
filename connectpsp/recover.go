package connectpsp

import (
	"context"
	"errors"
	"fmt"
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
	// Err is nil if the payment was accepted. If errors.Is(Err, ErrNotSent), it was never sent: no money moved. Else it is an
	// *UnknownOutcomeError: the payment is still open, and stays in the journal.
	Err error
}

// Recover settles the payments that the journal holds without an outcome, because the process died before the answer or
// because their calls ended unknown. Call it once after New, before or while other calls are made, and again whenever there
// are unknown outcomes to settle; payments that another call works on just now are left to it.
//
// Each is sent again with the same key and the same bytes, if it was first sent within the replay window. After that a
// refund is looked up, and every other is reported as it is: wait for its webhook, or ask the provider, and end it with the
// journal's Finish. A payment that was never sent is not sent, but reported as such and taken out of the journal.
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
	var recovered []Recovered
	for _, one := range settled {
		if one != nil {
			recovered = append(recovered, *one)
		}
	}
	return recovered, ctx.Err()
}

// recover settles one payment. It returns nil if a call of this process works on it or has ended it.
func (c *Client) recover(ctx context.Context, intent Intent) *Recovered {
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
	call.operation.id = intent.Operation
	if intent.ClientID != c.clientID || intent.BaseURL != c.baseURL {
		recovered.Err = newProgress(call).unknown(errOtherGateway)
		return recovered
	}
	var err error
	switch intent.Operation {
	case createCashIn.id:
		call.operation = createCashIn
		recovered.CashIn, err = c.cashIn(ctx, call)
	case createCashOut.id:
		call.operation = createCashOut
		recovered.CashOut, err = c.cashOut(ctx, call)
	case refundCashIn.id:
		call.operation = refundCashIn
		recovered.Refund, err = c.refund(ctx, call)
	default:
		err = newProgress(call).unknown(errOtherOperation)
	}
	if errors.Is(err, errSettled) {
		return nil
	}
	recovered.Err = err
	return recovered
}
