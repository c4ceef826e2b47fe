package connectpsp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/answer"
	"github.com/connectpsp/connectpsp-go/internal/api"
	"github.com/connectpsp/connectpsp-go/pix"
)

// call is one call of an operation: the part that all of its attempts share, above all the key and
// the bytes of the body.
type call struct {
	operation         api.Operation
	key               string // idempotency key, empty if it carries none
	externalReference string // of the request, empty if it has none
	amount            pix.Amount
	body              []byte // nil if it has none
	transactionID     string // the id in the path, if any
	raw               *RawResponse

	doubted    *UnknownOutcomeError // the outcome that the call is to settle, nil if it is a call of its own
	recovering bool                 // the intent is in the journal, and the call is dropped if another has it

	// send makes a request of the call and sends it. The reader is of body.
	send func(ctx context.Context, raw *gen.Client, call *call, body io.Reader, edit gen.RequestEditorFn) (*http.Response, error)
	// decode decodes the body of a 2xx response, and returns the result and the id of its
	// transaction, if any. Its error is a *mismatchError, a *declinedError, or says that the
	// body cannot be read.
	decode func(body []byte) (result any, transactionID string, err error)
}

// prepare checks the request and the options, and fixes the key and the bytes of the body. Request
// is nil for an operation without a body. Its error names every fault; nothing was sent.
func (c *Client) prepare(ctx context.Context, call call, request any, faults faults, options []CallOption) (call, error) {
	settings := settingsOf(options)
	call.raw = settings.raw
	call.key = c.keyFor(call.operation, cmp.Or(call.externalReference, canonicalID(call.transactionID)), settings, &faults)
	if call.operation.Signed && !c.canSign {
		faults.add("CryptoToken", "must be set in Config: "+call.operation.ID+" is signed with it")
	}
	if request != nil {
		body, err := json.Marshal(request)
		if err != nil {
			faults.add("request", "cannot be written as JSON")
		}
		call.body = body
	}
	if err := faults.err(); err != nil {
		return call, c.invalid(ctx, call, err)
	}
	return call, nil
}

func settingsOf(options []CallOption) callSettings {
	if len(options) == 0 {
		return callSettings{}
	}
	var settings callSettings
	for _, option := range options {
		option(&settings)
	}
	return settings
}

// run makes the call. Its layers, outermost first: lock and journal (payment.go) → retry (retry.go)
// → token, signature, key, send and bounded read (attempt.go) → decode (here) → classify
// (classify.go). Validation and the key came before, in prepare. The key is made outside of the
// retry, so it stays; the signature inside of it, so it follows the token.
//
// Check looks at a decoded answer; see call.decode for its results.
func run[T any](ctx context.Context, c *Client, call call, check func(call *call, result *T, body []byte) (string, error)) (*T, error) {
	p := c.newCallState(call)
	p.call.decode = func(body []byte) (any, string, error) {
		decoded := new(T)
		err := answer.Decode(body, decoded)
		if err != nil && !(p.call.operation.Money && errors.Is(err, pix.ErrInvalidAmount)) {
			return nil, "", err
		}
		// Accepted is accepted, also with an amount that cannot be read: it stays zero.
		transactionID, err := check(&p.call, decoded, body)
		return decoded, transactionID, err
	}
	perform := c.persist
	if call.operation.Keyed {
		perform = c.pay
	}
	if err := perform(ctx, p); err != nil {
		return nil, err
	}
	return p.verdict.result.(*T), nil
}

// mismatchError reports a 2xx response about another payment than the requested one.
type mismatchError struct{ text string }

func (e *mismatchError) Error() string { return e.text }

// declinedError says that a 2xx answer says no.
type declinedError struct{ message string }

func (e *declinedError) Error() string { return "the gateway answered that it did not do it" }

var (
	errNoTransactionID = errors.New("the answer has no transactionId")
	errNoSuccess       = errors.New("the answer does not say whether it succeeded")
	errNoStatus        = errors.New("the answer has no status")
	errNoBalance       = errors.New("the answer does not state all balances")
)

// match compares a 2xx response with its request, and returns the transaction id. Absent fields are
// not compared: the fields of a cash-out's response are not published.
func (call *call) match(body []byte, transactionID, externalReference string, amount pix.Amount) (string, error) {
	var err error
	switch {
	case transactionID == "":
		err = errNoTransactionID
	case externalReference != "" && externalReference != call.externalReference:
		err = &mismatchError{"the answer is about another externalReference"}
	case amount != call.amount && (!amount.IsZero() || statesAnother(body, call.amount)):
		err = &mismatchError{"the answer is about another amount: the idempotency key was used before"}
	}
	return transactionID, err
}

// matchID checks that a transaction which was read is the one that was asked for. An answer that
// leaves out an id by which it may have been asked for is not judged.
func (call *call) matchID(transactionID, internalCode, endToEndID, originalEndToEndID string) error {
	asked := call.transactionID
	stated := []string{transactionID, internalCode}
	if pix.IsEndToEndID(asked) {
		stated = []string{endToEndID, originalEndToEndID}
		if originalEndToEndID == "" && strings.HasPrefix(endToEndID, "E") {
			stated = stated[:1] // a payment that was not returned has one id
		}
	}
	for _, id := range stated {
		if id == "" || strings.EqualFold(id, asked) {
			return nil
		}
	}
	return &mismatchError{"the answer is about another transaction"}
}

// statesAnother reports whether an answer whose amount was read as zero does state a number, and
// one that is not asked. It tells zero from absent, and judges numbers that pix.Amount does not
// read, such as 5e1.
func statesAnother(body []byte, asked pix.Amount) bool {
	var stated struct {
		Amount json.RawMessage `json:"amount"`
	}
	_ = json.Unmarshal(body, &stated)
	number := string(stated.Amount)
	if text, quoted := strings.CutPrefix(number, `"`); quoted {
		number = strings.TrimSuffix(text, `"`)
	} else if number == "" || !strings.Contains("-0123456789", number[:1]) {
		return false // absent, null, or something that states no amount at all
	}
	if number == "" {
		return false
	}
	_, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	if len(number) > 40 || len(exponent) > 3 {
		return true // and too long to be worth the arithmetic
	}
	exact, ok := new(big.Rat).SetString(number)
	return !ok || exact.Cmp(big.NewRat(asked.Centavos(), 100)) != 0
}

// keyFor returns the idempotency key that a call carries in all of its attempts, empty if the
// operation takes none or the options are at fault. The default key is derived from the payment's
// reference, the charge for a refund, so that a process that dies and starts again repeats it.
func (c *Client) keyFor(op api.Operation, reference string, settings callSettings, faults *faults) string {
	if !op.Keyed {
		if settings.attemptSet {
			faults.add("WithAttempt", op.ID+" takes no idempotency key")
		}
		if settings.keySet {
			faults.add("WithIdempotencyKey", op.ID+" takes no idempotency key")
		}
		return ""
	}
	switch {
	case settings.attemptSet && settings.keySet:
		faults.add("WithAttempt", "has no effect together with WithIdempotencyKey")
		return ""
	case settings.attempt < 0:
		faults.add("WithAttempt", "must not be negative")
		return ""
	case !settings.keySet:
		return idempotency.DeriveKey(c.clientID, op.ID, reference, settings.attempt)
	}
	key, err := idempotency.ParseKey(settings.key)
	if err != nil {
		faults.add("WithIdempotencyKey", "must be a UUID in its usual form of 36 characters, neither all zeros nor all ones")
	}
	return key
}
