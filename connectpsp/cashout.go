package connectpsp

import (
	"context"
	"io"
	"net/http"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/api"
)

// CreateCashOut sends money to a PIX key or a bank account. The payment is accepted, not settled:
// its status is usually PROCESSING, and the event CASHOUT_COMPLETED or CASHOUT_FAILED,
// [Client.WaitCashOut] or [Client.GetCashOut] tells how it ended.
//
// Its error is one of three, each with a next step of its own:
//   - a [*ValidationError], ValidationErrors or [*APIError]: rejected for certain, no money moved.
//     After correcting the cause the same ExternalReference may be tried again with [WithAttempt].
//   - an [*UnknownOutcomeError], or an [*APIError] that is a conflict; errors.Is(err,
//     ErrUnknownOutcome) tells both and is to be asked first: the payment may have been made.
//     Keep it open, and call again with the same request or wait for its event.
//
// As long as the client or its journal knows of an attempt that left this payment open, only a nil
// error settles it and every other outcome is unknown, for any attempt number, key,
// options and the request of this call. In a new process without a journal that is for the caller
// to know.
//
// The idempotency key is derived from request.ExternalReference, so a program that dies and starts
// again may simply call again with the same request. POST /cash-out, signed.
func (c *Client) CreateCashOut(ctx context.Context, request CashOutRequest, options ...CallOption) (cashOut *CashOut, err error) {
	defer c.logUnknown(ctx, &err)
	payment := call{operation: api.CreateCashOut, externalReference: request.ExternalReference, amount: request.Amount}
	call, err := c.prepare(ctx, payment, request, c.checkCashOut(request), options)
	if err != nil {
		return nil, err
	}
	return c.cashOut(ctx, call)
}

// cashOut sends a payment whose body is made.
func (c *Client) cashOut(ctx context.Context, call call) (*CashOut, error) {
	call.send = sendCashOut
	return run(ctx, c, call, matchCashOut)
}

func sendCashOut(ctx context.Context, raw *gen.Client, _ *call, body io.Reader, edit gen.RequestEditorFn) (*http.Response, error) {
	return raw.CreateCashOutWithBody(ctx, contentType, body, edit)
}

func matchCashOut(call *call, cashOut *CashOut, body []byte) (string, error) {
	return call.match(body, cashOut.TransactionID, cashOut.ExternalReference, cashOut.Amount)
}

// GetCashOut reads a payment by its transaction id, internal code or end-to-end id. Its error is a
// [*ValidationError], an [*APIError] with the gateway's refusal, or says that no answer came;
// reading again is always safe. GET /cash-out/{id}.
func (c *Client) GetCashOut(ctx context.Context, id string, options ...CallOption) (*CashOut, error) {
	call, err := c.prepare(ctx, call{operation: api.GetCashOut, transactionID: id}, nil, checkID(id), options)
	if err != nil {
		return nil, err
	}
	call.send = sendGetCashOut
	cashOut, err := run(ctx, c, call, matchCashOutRead)
	if err == nil {
		// If the journal fails the payment stays open, and is found again.
		_ = c.ReconcileCashOut(ctx, cashOut)
	}
	return cashOut, err
}

func sendGetCashOut(ctx context.Context, raw *gen.Client, call *call, _ io.Reader, edit gen.RequestEditorFn) (*http.Response, error) {
	return raw.GetCashOut(ctx, call.transactionID, edit)
}

func matchCashOutRead(call *call, cashOut *CashOut, _ []byte) (string, error) {
	if cashOut.Status == "" {
		return "", errNoStatus
	}
	return cashOut.TransactionID, call.matchID(cashOut.TransactionID, cashOut.InternalCode, cashOut.EndToEndID, cashOut.OriginalEndToEndID)
}
