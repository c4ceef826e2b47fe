package connectpsp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// ErrUnknownOutcome is matched, through errors.Is, by every error after which a payment may have
// been made: each UnknownOutcomeError, and an APIError that is a conflict.
var ErrUnknownOutcome = errors.New("connectpsp: the outcome is unknown")

// UnknownOutcomeError says that a request was sent and no readable response settled it: the payment
// may have been made. It is neither a success nor a failure. A refusal that came on a later attempt
// proves nothing about an earlier one, so it does not make this an [APIError], and neither its code
// nor its type is found by errors.Is and errors.As, unless it is a conflict; it is in Refusal.
//
// Keep the payment open. To settle it, use [Client.ResolveCashOut], or call again with the same
// request and WithIdempotencyKey(e.IdempotencyKey), which for a derived key changes nothing: the
// gateway repeats its first response. Or wait for the webhook, or read the transaction if
// TransactionID is known. Never pay under a new externalReference.
//
// A client remembers the open payments, with [WithJournal] beyond the life of the process. As long
// as a payment is open, every call for it ends in a nil error or is unknown: with another attempt
// number or idempotency key, a faulty option, an invalid request or a context that has ended, too.
// A new process without a journal knows of no open payment.
//
// For how long the gateway remembers a key is not published. After some 20 minutes, less than
// comparable gateways are known to remember, prefer the webhook to calling again.
//
// It can be written as JSON and read again: see MarshalJSON. Printed by fmt or slog it shows
// Error. Tests can make one by hand; the zero value is one of which nothing is known.
type UnknownOutcomeError struct {
	// Operation is the operation's id in the description, such as "createCashOut".
	Operation Operation
	// IdempotencyKey is the key of the open attempt; empty for rebalanceAccount, which takes none.
	IdempotencyKey string
	// ExternalReference and Amount are the request's, zero where it has none.
	ExternalReference string
	Amount            pix.Amount
	// BodySHA256 is the SHA-256 of the request's body in hex: it tells whether a request is the
	// same, without its content.
	BodySHA256 string
	// ClientID and BaseURL say which integration made the open attempt, at which gateway.
	ClientID, BaseURL string
	// TransactionID is the charge's id as it was given to [Client.RefundCashIn], or the gateway's
	// for a payment that was accepted before. It is empty if it is not known, and never the id of
	// another payment.
	TransactionID string
	// FirstSentAt and LastSentAt are the local times of the first and the last attempt that may
	// have reached the gateway, those of earlier calls for the payment included, as far as they are
	// known.
	FirstSentAt, LastSentAt time.Time
	// Attempts counts the attempts that may have reached the gateway. It is 0 if this call sent
	// nothing, and an earlier or another one for the payment is open.
	Attempts int
	// StatusCode is the status of the last response, 0 if none came.
	StatusCode int
	// RetryAfter is how long the gateway asked to wait in its last response, 0 if it did not.
	RetryAfter time.Duration
	// Refusal is how the gateway refused a later attempt, nil if it did not.
	Refusal *APIError
	// Err is the cause of the doubt, or the end of the call: the network's error, the context's.
	// It may be nil.
	Err error

	next string // the next step, of an error that was read from JSON
}

// Error states the event, its meaning for the money and the next step, in one sentence. It
// holds no secret and no personal data.
func (e *UnknownOutcomeError) Error() string {
	var text strings.Builder
	text.WriteString("connectpsp: ")
	if e.Operation != "" {
		text.WriteString(e.Operation + ": ")
	}
	switch {
	case e.StatusCode != 0:
		status := strings.TrimSpace(fmt.Sprint(e.StatusCode, " ", http.StatusText(e.StatusCode)))
		text.WriteString("the last response was " + status + ", which settles nothing")
	case e.Attempts > 0:
		text.WriteString("the request was sent, and no response settled it")
	default:
		text.WriteString("this call sent nothing")
	}
	text.WriteString(because(e.Err))
	text.WriteString(", so the outcome is unknown: ")
	switch e.Operation {
	case OperationCreateCashIn:
		text.WriteString("the charge may exist and be paid")
	case OperationRefundCashIn:
		text.WriteString("the refund may have been made")
	case OperationRebalanceAccount:
		text.WriteString("the balance may have been set")
	default:
		text.WriteString("the payment may have been made")
	}
	text.WriteString("; " + e.advice())
	return text.String()
}

// advice is the next step.
func (e *UnknownOutcomeError) advice() string {
	never := ", and never pay it under a new externalReference"
	if e.Operation == OperationRefundCashIn {
		never = ", and never return the money in another way"
	}
	var open *openError
	opened := errors.As(e.Err, &open)
	switch {
	case e.next != "":
		return e.next
	case e.Operation == OperationRebalanceAccount:
		return "read the balance, then set the target again if need be"
	case e.TransactionID != "" && e.Operation != OperationRefundCashIn && (!opened || open.next == nextSameRequest):
		return "read transaction " + e.TransactionID + " or wait for its webhook" + never
	case opened:
		return open.next + never
	default:
		return "wait for its webhook, or call again with the same request and idempotency key" + never
	}
}

// openError says why a call did not send an open payment, and names the next step.
type openError struct{ reason, next string }

func (e *openError) Error() string { return e.reason }

const (
	nextAskProvider = "wait for its webhook or ask the provider"
	nextSameRequest = "wait for its webhook, or call again with the open attempt's own request, id and idempotency key"
	nextItsClient   = "settle it with a client of its own ClientID and BaseURL"
)

// Unwrap returns Err and, if it is a conflict, Refusal: a conflict leaves the outcome open by
// itself.
func (e *UnknownOutcomeError) Unwrap() []error {
	var causes []error
	if e.Err != nil {
		causes = append(causes, e.Err)
	}
	if e.Refusal != nil && e.Refusal.conflict() {
		causes = append(causes, e.Refusal)
	}
	return causes
}

// Is reports whether target is [ErrUnknownOutcome].
func (e *UnknownOutcomeError) Is(target error) bool { return target == ErrUnknownOutcome }

// Format writes Error under every verb.
func (e UnknownOutcomeError) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, e.Error()) }

// unknownOutcome is an UnknownOutcomeError as JSON. The gateway's own words are left out: they
// may hold personal data.
type unknownOutcome struct {
	Operation         string     `json:"operation"`
	IdempotencyKey    string     `json:"idempotencyKey,omitzero"`
	ExternalReference string     `json:"externalReference,omitzero"`
	Amount            pix.Amount `json:"amount,omitzero"`
	BodySHA256        string     `json:"bodySha256,omitzero"`
	ClientID          string     `json:"clientId,omitzero"`
	BaseURL           string     `json:"baseUrl,omitzero"`
	TransactionID     string     `json:"transactionId,omitzero"`
	FirstSentAt       time.Time  `json:"firstSentAt,omitzero"`
	LastSentAt        time.Time  `json:"lastSentAt,omitzero"`
	Attempts          int        `json:"attempts"`
	StatusCode        int        `json:"statusCode,omitzero"`
	RetryAfterSeconds float64    `json:"retryAfterSeconds,omitzero"`
	Refusal           *APIError  `json:"refusal,omitzero"`
	Cause             string     `json:"cause,omitzero"`
	Next              string     `json:"next,omitzero"`
}

// MarshalJSON writes everything needed to settle the payment later, in another process too: see
// [Client.ResolveCashOut]. It holds no secret and no personal data. ExternalReference is written as
// it is. Err is written as text, and of Refusal the gateway's words are left out, see
// [APIError.MarshalJSON].
func (e UnknownOutcomeError) MarshalJSON() ([]byte, error) {
	written := unknownOutcome{
		Operation:         e.Operation,
		IdempotencyKey:    e.IdempotencyKey,
		ExternalReference: e.ExternalReference,
		Amount:            e.Amount,
		BodySHA256:        e.BodySHA256,
		ClientID:          e.ClientID,
		BaseURL:           e.BaseURL,
		TransactionID:     e.TransactionID,
		FirstSentAt:       e.FirstSentAt.UTC(),
		LastSentAt:        e.LastSentAt.UTC(),
		Attempts:          e.Attempts,
		StatusCode:        e.StatusCode,
		RetryAfterSeconds: e.RetryAfter.Seconds(),
		Refusal:           e.Refusal,
		Next:              e.advice(),
	}
	if e.Err != nil {
		written.Cause = e.Err.Error()
	}
	return json.Marshal(written)
}

// UnmarshalJSON reads the output of MarshalJSON. Err keeps its text, and no longer its
// type.
func (e *UnknownOutcomeError) UnmarshalJSON(data []byte) error {
	var read unknownOutcome
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*e = UnknownOutcomeError{
		Operation:         read.Operation,
		IdempotencyKey:    read.IdempotencyKey,
		ExternalReference: read.ExternalReference,
		Amount:            read.Amount,
		BodySHA256:        read.BodySHA256,
		ClientID:          read.ClientID,
		BaseURL:           read.BaseURL,
		TransactionID:     read.TransactionID,
		FirstSentAt:       read.FirstSentAt,
		LastSentAt:        read.LastSentAt,
		Attempts:          read.Attempts,
		StatusCode:        read.StatusCode,
		RetryAfter:        seconds(read.RetryAfterSeconds),
		Refusal:           read.Refusal,
		next:              read.Next,
	}
	if read.Cause != "" {
		e.Err = errors.New(read.Cause)
	}
	return nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
