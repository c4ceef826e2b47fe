package connectpsp

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Outcome is the certain end of a call that moves money, as a Journal records it.
type Outcome string

const (
	// OutcomeAccepted says that the gateway accepted the payment.
	OutcomeAccepted Outcome = "ACCEPTED"
	// OutcomeRejected says that no money moved and, under this key, none will: it was refused, or
	// never sent.
	OutcomeRejected Outcome = "REJECTED"
)

// Intent is a payment that is to be sent, as a Journal keeps it.
type Intent struct {
	// Operation is OperationCreateCashIn, OperationRefundCashIn or OperationCreateCashOut.
	Operation Operation
	// IdempotencyKey identifies the intent: an attempt of the payment.
	IdempotencyKey string
	// ExternalReference is the request's, empty for a refund.
	ExternalReference string
	// ChargeID is the id that [Client.RefundCashIn] was given, empty for other operations.
	ChargeID string
	// TransactionID is the gateway's id of an accepted payment. Before that it is ChargeID for a
	// refund, and otherwise empty.
	TransactionID string
	// Amount is the request's, zero for a refund.
	Amount pix.Amount
	// Body is the body of the request, byte for byte. It holds personal data: protect it as such.
	Body []byte
	// BodySHA256 is the SHA-256 of Body in hex. It stays when Body is gone.
	BodySHA256 string
	// ClientID and BaseURL say which integration sends it to which gateway. [Client.Recover] leaves
	// intents of others alone.
	ClientID, BaseURL string
	// BegunAt, SentAt and EndedAt are times of the local clock, in UTC. SentAt is zero if it was
	// not sent, EndedAt if it has not ended.
	BegunAt, SentAt, EndedAt time.Time
	// DueBy is when a payment has to be made, in UTC and to the millisecond. It is zero without
	// [WithDueBy].
	DueBy time.Time
	// Outcome is empty unless it is certain.
	Outcome Outcome
	// Leased says that another process works on the payment, or has just ended it and is reporting
	// the outcome to its caller. [Client.Recover] leaves the intent to that process. SentAt is set
	// then, because that process may send the payment at any time. Only a Journal that processes
	// share sets Leased.
	Leased bool
}

// Payment identifies the payment that the intent is an attempt of: its operation, and its
// externalReference or the charge that it refunds. Idempotency key, attempt number, ClientID and
// BaseURL have no part in it. It is printable and distinguishes capitals. A Journal looks intents
// up by it.
func (i Intent) Payment() string {
	return i.Operation + "/" + i.reference()
}

// canonicalID writes a UUID in lower case. Other ids distinguish capitals.
func canonicalID(id string) string {
	if len(id) == 36 && uuid.Validate(id) == nil {
		return strings.ToLower(id)
	}
	return id
}

// Format writes LogValue under every verb.
func (i Intent) Format(state fmt.State, _ rune) {
	_, _ = fmt.Fprintf(state, "%s %q with key %s", i.Operation, i.ExternalReference, i.IdempotencyKey)
}

// LogValue returns the identity of the intent, without Body.
func (i Intent) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(i)) }

// reference is the payment's own: its externalReference, or the charge that it refunds.
func (i *Intent) reference() string {
	return cmp.Or(i.ExternalReference, canonicalID(cmp.Or(i.ChargeID, i.TransactionID)))
}

// isOpen reports whether the outcome of the payment is not certain.
func (i Intent) isOpen() bool { return i.Outcome == "" }

// maybeMade reports whether the payment was sent and not rejected.
func (i Intent) maybeMade() bool { return !i.SentAt.IsZero() && i.Outcome != OutcomeRejected }

// sumOf identifies the body of a request without its content.
func sumOf(body []byte) string {
	if body == nil {
		return ""
	}
	var text [2 * sha256.Size]byte
	sum := sha256.Sum256(body)
	hex.Encode(text[:], sum[:])
	return string(text[:])
}

// identify returns the complete identity of a call's payment. A call without a key makes no
// payment: its body does not belong to the identity.
func (c *Client) identify(call *call) Intent {
	payment := call.payment
	payment.ClientID, payment.BaseURL = c.clientID, c.baseURL
	if call.operation.Keyed {
		payment.Body, payment.BodySHA256 = call.body, sumOf(call.body)
	}
	return payment
}

// owns reports whether an intent or an error of this ClientID and base URL is of this client's
// integration and gateway.
func (c *Client) owns(clientID, baseURL string) bool {
	return clientID == c.clientID && (baseURL == c.baseURL || normalURL(baseURL) == c.baseURL)
}

var (
	errUnderWay       = errors.New("another call for this payment is under way, and its outcome is the payment's")
	errEarlierCall    = errors.New("an earlier call for this payment was sent")
	errSettled        = errors.New("another call has settled it")
	errOtherRequest   = &openError{"an earlier call for this payment, or with this idempotency key, had another request", nextSameRequest}
	errOtherKey       = &openError{"an earlier call for this payment had another idempotency key or attempt number", nextSameRequest}
	errReadAsAccepted = &openError{"another call has read this payment as accepted", nextSameRequest}
	errOtherGateway   = &openError{"an earlier call for this payment had another ClientID or BaseURL", nextItsClient}
)

// differs returns why a call cannot be a repetition of an earlier one, nil if it is one. Of an
// accepted payment the body may be forgotten.
func (c *Client) differs(call *call, earlier *Intent) error {
	own := &call.payment
	switch {
	case !c.owns(earlier.ClientID, earlier.BaseURL):
		return errOtherGateway
	case earlier.Payment() != own.Payment() || earlier.Amount != own.Amount:
		return errOtherRequest
	case earlier.IdempotencyKey != own.IdempotencyKey:
		return errOtherKey
	case earlier.Outcome == "" && !bytes.Equal(earlier.Body, own.Body):
		return errOtherRequest
	case earlier.Outcome == "" && cmp.Or(earlier.ChargeID, earlier.TransactionID) != call.id():
		return errOtherRequest
	case earlier.Outcome != "" && earlier.BodySHA256 != "" && earlier.BodySHA256 != own.BodySHA256:
		return errOtherRequest
	}
	return nil
}
