package connectpsp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/api"
)

var (
	errNoDoubt          = &openError{"there is no UnknownOutcomeError of a createCashOut to resolve", nextAskProvider}
	errAnotherRequest   = &openError{"the request is not the one that the UnknownOutcomeError is about, byte for byte", nextSameRequest}
	errTooLate          = &openError{"it was first sent so long ago that the gateway may have forgotten the idempotency key", nextAskProvider}
	errOtherOperation   = &openError{"this version of the SDK does not know the operation", nextAskProvider}
	errNoIdempotencyKey = &openError{"its idempotency key is no UUID", nextAskProvider}
)

// ResolveCashOut settles a cash-out whose outcome is unknown. Unknown is the error of
// [Client.CreateCashOut] or of an earlier [Client.ResolveCashOut], also after it went through JSON;
// request is the one it is about, which the error does not hold because it is personal data.
//
// If unknown.TransactionID is known, the payment is read. Otherwise, or if that does not settle it,
// it is sent again with the same key and the same bytes, within the replay window (see
// [WithReplayWindow]) from unknown.FirstSentAt.
//
// A nil error says that the payment was accepted; its Status tells how it ended, as far as it has,
// and may be FAILED. Every other outcome is an [*UnknownOutcomeError], never a rejection: a
// response now proves nothing about an earlier request. It holds the facts known by now. Keep that
// one, try again later, or wait for the webhook.
func (c *Client) ResolveCashOut(ctx context.Context, unknown *UnknownOutcomeError, request CashOutRequest) (cashOut *CashOut, err error) {
	defer c.logUnknown(ctx, &err)
	if unknown == nil || unknown.Operation != api.CreateCashOut.ID {
		unknown = &UnknownOutcomeError{Operation: api.CreateCashOut.ID, ExternalReference: request.ExternalReference, Amount: request.Amount}
		unknown.Err = errNoDoubt
		return nil, unknown
	}
	still := func(reason error) (*CashOut, error) {
		unresolved := *unknown
		unresolved.Err, unresolved.next = reason, ""
		return nil, &unresolved
	}
	body, err := json.Marshal(request)
	switch {
	case !c.owns(unknown.ClientID, unknown.BaseURL):
		return still(errOtherGateway)
	case err != nil || sumOf(body) != unknown.BodySHA256:
		return still(errAnotherRequest)
	}
	key, err := idempotency.ParseKey(unknown.IdempotencyKey)
	if err != nil {
		return still(errNoIdempotencyKey)
	}
	call := call{
		operation:         api.CreateCashOut,
		key:               key,
		externalReference: request.ExternalReference,
		amount:            request.Amount,
		body:              body,
		doubted:           unknown,
	}
	if unknown.TransactionID != "" {
		cashOut, err := c.GetCashOut(ctx, unknown.TransactionID)
		if err == nil && cashOut.ExternalReference == request.ExternalReference && (cashOut.Amount == request.Amount || cashOut.Amount.IsZero()) {
			c.accept(ctx, call, unknown.FirstSentAt, cashOut.TransactionID)
			return cashOut, nil
		}
	}
	return c.cashOut(ctx, call)
}

// sumOf identifies the body of a request without its content.
func sumOf(body []byte) string {
	if body == nil {
		return ""
	}
	sum := sha256.Sum256(body)
	return string(hex.AppendEncode(make([]byte, 0, 2*sha256.Size), sum[:]))
}
