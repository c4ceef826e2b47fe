package connectpsp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/api"
)

const contentType = "application/json"

// CreateCashIn asks for a charge, to be paid by QR code or, if request.OpenFinance is set, through
// OpenFinance. The answer's status is usually AWAITING_PAYMENT; the event CASHIN_PAID,
// [Client.WaitCashIn] or [Client.GetCashIn] tells when it is paid.
//
// Its error is a [*ValidationError] or ValidationErrors (nothing was sent), an [*APIError]
// (rejected for certain) or an [*UnknownOutcomeError]: there may be a charge that the payer could
// still pay. The idempotency key is derived from request.ExternalReference. POST /cash-in.
func (c *Client) CreateCashIn(ctx context.Context, request CashInRequest, options ...CallOption) (cashIn *CashIn, err error) {
	defer c.logUnknown(ctx, &err)
	charge := call{operation: api.CreateCashIn, externalReference: request.ExternalReference, amount: request.Amount}
	call, err := c.prepare(ctx, charge, request, c.checkCashIn(request), options)
	if err != nil {
		return nil, err
	}
	return c.cashIn(ctx, call)
}

// cashIn asks for a charge whose body is made.
func (c *Client) cashIn(ctx context.Context, call call) (*CashIn, error) {
	call.send = sendCashIn
	return run(ctx, c, call, matchCashIn)
}

func sendCashIn(ctx context.Context, raw *gen.Client, _ *call, body io.Reader, edit gen.RequestEditorFn) (*http.Response, error) {
	return raw.CreateCashInWithBody(ctx, contentType, body, edit)
}

func matchCashIn(call *call, cashIn *CashIn, body []byte) (string, error) {
	return call.match(body, cashIn.TransactionID, cashIn.ExternalReference, cashIn.Amount)
}

// GetCashIn reads a charge by its transaction id, internal code or end-to-end id. Its error is a
// [*ValidationError], an [*APIError] with the gateway's refusal, or says that no answer came;
// reading again is always safe. GET /cash-in/{id}.
func (c *Client) GetCashIn(ctx context.Context, id string, options ...CallOption) (*CashIn, error) {
	call, err := c.prepare(ctx, call{operation: api.GetCashIn, transactionID: id}, nil, checkID(id), options)
	if err != nil {
		return nil, err
	}
	call.send = sendGetCashIn
	cashIn, err := run(ctx, c, call, matchCashInRead)
	if err == nil {
		// If the journal fails the payment stays open, and is found again.
		_ = c.ReconcileCashIn(ctx, cashIn)
	}
	return cashIn, err
}

func sendGetCashIn(ctx context.Context, raw *gen.Client, call *call, _ io.Reader, edit gen.RequestEditorFn) (*http.Response, error) {
	return raw.GetCashIn(ctx, call.transactionID, edit)
}

func matchCashInRead(call *call, cashIn *CashIn, _ []byte) (string, error) {
	if cashIn.Status == "" {
		return "", errNoStatus
	}
	return cashIn.TransactionID, call.matchID(cashIn.TransactionID, cashIn.InternalCode, cashIn.EndToEndID, cashIn.OriginalEndToEndID)
}

// RefundCashIn returns a paid charge to its payer, always in full (a PIX devolution). The refund is
// accepted, not settled: the event CASHIN_REFUNDED or [Client.GetCashIn] tells when the money is
// back. Id is as for [Client.GetCashIn].
//
// Its error is a [*ValidationError] or ValidationErrors (nothing was sent), an [*APIError]
// (rejected for certain), or unknown: an [*UnknownOutcomeError], or an [*APIError] that is a
// conflict. The refusal CASH_IN_ALREADY_REFUNDED is a conflict; if it follows an attempt of unknown
// outcome and the charge reads REFUNDED, the refund is reported as accepted.
//
// The idempotency key is derived from id: name the charge by the same id whenever the refund is
// repeated. While a refund of the charge is open or remembered, one that is asked for by another of
// its ids sends nothing and is unknown; to tell, the charge is read while there are other refunds.
// After the replay window (see [WithReplayWindow]) a refund is only looked up, not sent again.
// After a certain rejection, such as CASH_IN_NOT_PAID, use [WithAttempt]. POST
// /cash-in/{id}/refund, signed.
func (c *Client) RefundCashIn(ctx context.Context, id string, request RefundRequest, options ...CallOption) (refund *Refund, err error) {
	defer c.logUnknown(ctx, &err)
	call, err := c.prepare(ctx, call{operation: api.RefundCashIn, transactionID: id}, request, checkRefund(id, request), options)
	if err != nil {
		return nil, err
	}
	return c.refund(ctx, call)
}

// refund returns a charge, by a request whose body is made.
func (c *Client) refund(ctx context.Context, call call) (*Refund, error) {
	call.send = sendRefund
	refund, err := run(ctx, c, call, matchRefund)
	var unknown *UnknownOutcomeError
	if errors.As(err, &unknown) && (call.doubted != nil || errors.Is(err, errTooLate) || unknown.Refusal != nil && unknown.Refusal.Code == CodeCashInAlreadyRefunded) {
		if done := c.readRefund(ctx, call, unknown.FirstSentAt); done != nil {
			return done, nil
		}
	}
	return refund, err
}

func sendRefund(ctx context.Context, raw *gen.Client, call *call, body io.Reader, edit gen.RequestEditorFn) (*http.Response, error) {
	return raw.RefundCashInWithBody(ctx, call.transactionID, contentType, body, edit)
}

func matchRefund(call *call, refund *Refund, _ []byte) (string, error) {
	if refund.TransactionID == "" {
		return "", errNoTransactionID
	}
	return refund.TransactionID, call.matchID(refund.TransactionID, refund.InternalCode, refund.EndToEndID, refund.OriginalEndToEndID)
}

// readRefund looks whether a refund whose outcome is unknown was done. It returns nil if that
// cannot be seen.
func (c *Client) readRefund(ctx context.Context, call call, first time.Time) *Refund {
	cashIn, err := c.GetCashIn(ctx, call.transactionID)
	if err != nil || cashIn.Status != CashInRefunded {
		return nil
	}
	c.accept(ctx, call, first, cashIn.TransactionID)
	refund := &Refund{
		TransactionID:      cashIn.TransactionID,
		InternalCode:       cashIn.InternalCode,
		ExternalReference:  cashIn.ExternalReference,
		OriginalEndToEndID: cashIn.OriginalEndToEndID,
		Status:             cashIn.Status,
		Amount:             cashIn.Amount,
		RefundedAt:         cashIn.RefundedAt,
	}
	if strings.HasPrefix(cashIn.EndToEndID, "D") {
		refund.EndToEndID = cashIn.EndToEndID
	}
	return refund
}
