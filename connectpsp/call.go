package connectpsp

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/api"
)

// call is one call of an operation: the part that all of its attempts share, above all the key and
// the bytes of the body.
type call struct {
	operation api.Operation
	payment   Intent // its identity; of a call that makes no payment, what an error says of it
	body      []byte // nil if it has none
	raw       *RawResponse

	doubted    *UnknownOutcomeError // the outcome that the call is to settle, nil if it is a call of its own
	recovering bool                 // the intent is in the journal, and the call is dropped if another has it

	requests      int         // that were handed to the HTTP client
	reason        RetryReason // of the next one
	transactionID string      // once it is known

	row row
}

// id is the id in the path of the request, if any.
func (call *call) id() string { return cmp.Or(call.payment.ChargeID, call.payment.TransactionID) }

// do makes a call. It checks request and options before anything is sent; request is nil for an
// operation without a body, and faults are those that were found in it.
func do[T any](
	ctx context.Context, c *Client, op *operation[T], payment Intent, request any, faults faults, options []CallOption,
) (response *T, err error) {
	ctx, observed := c.beginCall(ctx, Call{
		Operation: op.ID, ExternalReference: payment.ExternalReference, TransactionID: payment.TransactionID,
	})
	var call *call
	defer func() { c.endCall(ctx, observed, call, response != nil, err) }()
	call, err = c.prepare(ctx, op.Operation, payment, request, faults, options)
	if err != nil {
		return nil, err
	}
	return run(ctx, c, op, call)
}

// prepare checks the options, and fixes the key and the bytes of the body. Its error names every
// fault; nothing was sent.
func (c *Client) prepare(
	ctx context.Context, op api.Operation, payment Intent, request any, faults faults, options []CallOption,
) (*call, error) {
	settings := settingsOf(options)
	payment.Operation = op.ID
	payment.IdempotencyKey = c.keyFor(op, payment, settings, &faults)
	payment.DueBy = settings.dueBy
	switch due := payment.DueBy; {
	case due.IsZero():
	case op.ID != OperationCreateCashOut:
		faults.add("WithDueBy", InvalidOption, op.ID+" takes no due time")
	case !due.After(time.UnixMilli(0)) || due.Year() > 9999: // not every journal can keep it
		faults.add("WithDueBy", InvalidOption, "must be a time after 1970-01-01T00:00:00Z and before the year 10000")
	}
	if op.Signed && !c.canSign {
		faults.add("CryptoToken", InvalidEmpty, "must be set in Config: "+op.ID+" is signed with it")
	}
	call := &call{operation: op, payment: payment, raw: settings.raw}
	if request != nil {
		var err error
		if call.body, err = json.Marshal(request); err != nil {
			faults.add("request", InvalidText, "cannot be written as JSON")
		}
	}
	if cashOut, ok := request.(CashOutRequest); ok && c.payeeCheck != nil && len(faults) == 0 {
		var err error
		if faults, err = c.checkPayee(ctx, cashOut); err != nil {
			return call, c.invalid(ctx, call, newNotSent(call, err))
		}
	}
	if len(faults) > 0 {
		return call, c.invalid(ctx, call, faults.err())
	}
	return call, nil
}

func settingsOf(options []CallOption) callSettings {
	if len(options) == 0 {
		return callSettings{} // the usual case, without an allocation
	}
	var settings callSettings
	for _, option := range options {
		option(&settings)
	}
	return settings
}

// keyFor returns the idempotency key that a call carries in all of its attempts, empty if the
// operation takes none or the options are at fault. The default key is derived from the payment's
// reference, the charge for a refund, so that a process that dies and starts again repeats it.
func (c *Client) keyFor(op api.Operation, payment Intent, settings callSettings, faults *faults) string {
	if !op.Keyed {
		if settings.attemptSet {
			faults.add("WithAttempt", InvalidOption, op.ID+" takes no idempotency key")
		}
		if settings.keySet {
			faults.add("WithIdempotencyKey", InvalidOption, op.ID+" takes no idempotency key")
		}
		return ""
	}
	switch {
	case settings.attemptSet && settings.keySet:
		faults.add("WithAttempt", InvalidOption, "has no effect together with WithIdempotencyKey")
		return ""
	case settings.attempt < 0:
		faults.add("WithAttempt", InvalidNegative, "must not be negative")
		return ""
	case !settings.keySet:
		return idempotency.DeriveKey(c.clientID, op.ID, payment.reference(), settings.attempt)
	}
	key, err := idempotency.ParseKey(settings.key)
	if err != nil {
		faults.add("WithIdempotencyKey", InvalidIdempotencyKey,
			"must be a UUID in its usual form of 36 characters, neither all zeros nor all ones")
	}
	return key
}

// run makes a call that was checked.
func run[T any](ctx context.Context, c *Client, op *operation[T], call *call) (*T, error) {
	call.row = op
	result, err := c.perform(ctx, call)
	if err != nil {
		return nil, err
	}
	return result.(*T), nil
}

// perform is the order of the layers of a call, from the outside in. The idempotency key is made
// before, in prepare, so that it stays; the signature is made inside of the retry, so that it
// follows the token.
func (c *Client) perform(ctx context.Context, call *call) (result any, err error) {
	p := c.newCallState(call)
	if !call.operation.Keyed {
		err = c.sendUntilSettled(ctx, p)
		return p.verdict.result, err
	}
	// One call at a time for each payment, and for each key: lock.go.
	if err = c.lockPayment(ctx, p); err != nil {
		return nil, err
	}
	var shared error // nil if a journal or a transport panics: a rejection may not be certain yet
	defer func() { p.unlock(shared) }()
	defer func() { call.transactionID = p.transactionID }()
	err = c.lockKey(ctx, p)
	// The journal knows of the payment before it is sent: journaled.go.
	if err == nil {
		err = c.begin(ctx, p)
	}
	if err == nil {
		if call.doubted != nil { // a call is repeated only as long as the gateway surely knows its key
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.left(p.first))
			defer cancel()
		}
		// Retry (retry.go) → token, signature, key, send and bounded read (attempt.go) → classify
		// (classify.go) → add to the state of the call (callstate.go).
		err = c.sendUntilSettled(ctx, p)
		err = c.finish(ctx, p, err)
	}
	if isRejection(err) {
		err = c.checkRejection(ctx, p, err)
	}
	shared = err
	return p.verdict.result, err
}
