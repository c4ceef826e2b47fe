package connectpsp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/internal/api"
)

// ErrorCode is the gateway's name for an error: the one to program against. Codes that are
// not listed here come through as they are. An ErrorCode is an error only so that errors.Is(err,
// CodeInsufficientFunds) works.
type ErrorCode string

// The published codes.
const (
	CodeInvalidCredentials      ErrorCode = "INVALID_CREDENTIALS"
	CodeTokenExpired            ErrorCode = "TOKEN_EXPIRED"
	CodeInvalidApplicationToken ErrorCode = "INVALID_APPLICATION_TOKEN"
	CodeInvalidSignature        ErrorCode = "INVALID_SIGNATURE"
	CodeCashInNotPaid           ErrorCode = "CASH_IN_NOT_PAID"
	CodeCashInAlreadyRefunded   ErrorCode = "CASH_IN_ALREADY_REFUNDED"
	CodeCashInExpired           ErrorCode = "CASH_IN_EXPIRED"
	CodeCashInCancelled         ErrorCode = "CASH_IN_CANCELLED"
	CodeMissingEndToEndID       ErrorCode = "MISSING_END_TO_END_ID"
	CodeInsufficientFunds       ErrorCode = "INSUFFICIENT_FUNDS"
)

// Error returns the code.
func (c ErrorCode) Error() string { return string(c) }

// advice is the next step for a code.
var advice = map[ErrorCode]string{
	CodeInvalidCredentials:      "check ClientID and ClientSecret",
	CodeTokenExpired:            "a fresh token was refused too, or could not be had; check that nothing replaces the Authorization header",
	CodeInvalidApplicationToken: "check ApplicationToken",
	CodeInvalidSignature:        "check CryptoToken",
	CodeCashInNotPaid:           "wait for CASHIN_PAID, then refund with WithAttempt",
	CodeCashInAlreadyRefunded:   "it was refunded before, perhaps by an earlier call; read the cash-in",
	CodeCashInExpired:           "there is nothing to refund",
	CodeCashInCancelled:         "there is nothing to refund",
	CodeMissingEndToEndID:       "the settlement is not recorded yet; call again later, with WithAttempt if the refusal is repeated",
	CodeInsufficientFunds:       "raise the balance; if no earlier call for this payment is open, try it again with WithAttempt",
}

// ErrNotSent is matched, through errors.Is, by every error of a call that ended before its request
// was sent: each [ValidationError], and an [APIError] for want of a connection, a token or time.
var ErrNotSent = errors.New("connectpsp: nothing was sent")

// APIError says that a call was rejected for certain: the gateway refused it or, if errors.Is(err,
// ErrNotSent) holds, the request never left this process. No money moved because of this call,
// nor of an earlier one for the same payment that the client or its journal knows. One that they do
// not know, of another process say, stays unknown.
//
// There is one exception, which errors.Is(err, ErrUnknownOutcome) reports: a conflict. A 409, or a
// code that says that something exists already, means that the payment may have been made, perhaps
// by an earlier attempt of it.
//
// Tests can make one by hand: &APIError{StatusCode: 409} is a conflict, &APIError{StatusCode: 422}
// a rejection, and &APIError{Err: ErrNotSent} was not sent. For a 5xx or a time-out make an
// [UnknownOutcomeError]. Printed by fmt or slog it shows Error; as JSON it leaves out
// Type, Title, Detail and Err.
type APIError struct {
	// Operation is the operation that failed, such as [OperationCreateCashOut]. It is
	// [OperationAuthToken] if no access token could be had.
	Operation Operation
	// StatusCode is the status of the response, 0 if there was none.
	StatusCode int
	// Type, Title and Detail are the gateway's words. They may hold personal data and are left out
	// of Error.
	Type, Title, Detail string
	// Code is empty if the response held no problem, as a proxy's does.
	Code ErrorCode
	// IdempotencyKey is the key the call carried or would have carried, if any.
	IdempotencyKey string
	// ExternalReference is the request's, if it had one.
	ExternalReference string
	// RetryAfter is how long the gateway asked to wait, 0 if it did not.
	RetryAfter time.Duration
	// Err is the cause if there was no response, or the reason why the call was not repeated, such
	// as the context's error. It may be nil. It matches [ErrNotSent] if nothing was sent.
	Err error
}

// Error states the event, its meaning for the money and the next step. It holds no secret and
// no personal data.
func (e *APIError) Error() string {
	var text strings.Builder
	text.WriteString("connectpsp: ")
	if e.Operation != "" {
		text.WriteString(e.Operation + ": ")
	}
	if e.StatusCode != 0 {
		fmt.Fprintf(&text, "%d %s: ", e.StatusCode, e.label())
	}
	switch notSent := errors.Is(e.Err, ErrNotSent); {
	case e.conflict():
		text.WriteString("the gateway says that this exists already, perhaps made by this very payment: it may have been made; " +
			"wait for its webhook, and do not pay again under another reference")
	case notSent && e.StatusCode == 0:
		fmt.Fprintf(&text, "this call sent nothing%s; it is safe to call again with the same request", because(e.Err))
	case notSent:
		text.WriteString("this call sent nothing: " + e.advice())
	case movesMoney(e.Operation):
		reason := ""
		if e.StatusCode == 0 {
			reason = because(e.Err)
		}
		text.WriteString("refused, this call moved no money" + reason + ": " + e.advice())
	default:
		text.WriteString("refused: " + e.advice())
	}
	return text.String()
}

// because returns the reason of an error for a sentence, empty if there is none but [ErrNotSent].
func because(err error) string {
	if err == nil || err == ErrNotSent {
		return ""
	}
	return " (" + err.Error() + ")"
}

// label is the code or, if it does not look like one, the status in words.
func (e *APIError) label() string {
	if code := e.Code.printable(); code != "" {
		return string(code)
	}
	return http.StatusText(e.StatusCode)
}

// printable returns the code, or nothing if it does not look like one: a response may hold
// anything. Five digits in a row may be part of a document, a phone or an account.
func (c ErrorCode) printable() ErrorCode {
	digits := 0
	for _, r := range c {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r >= 'A' && r <= 'Z' || r == '_':
			digits = 0
		default:
			return ""
		}
		if digits == 5 {
			return ""
		}
	}
	if len(c) > 64 {
		return ""
	}
	return c
}

func (e *APIError) advice() string {
	if known := advice[e.Code]; known != "" {
		return known
	}
	switch {
	case e.RetryAfter > 0:
		return fmt.Sprintf("call again in %v", e.RetryAfter)
	case e.StatusCode == http.StatusTooManyRequests || e.StatusCode >= 500:
		return "call again later"
	case e.StatusCode/100 == 3:
		return "the gateway responded a redirect, which is never followed; check BaseURL"
	case e.Code == "" && (e.StatusCode/100 == 4 || e.StatusCode/100 == 2) && isRead(e.Operation):
		return errNotTheGateway.Error()
	case e.StatusCode == http.StatusNotFound:
		return "this application has no such transaction"
	case movesMoney(e.Operation) && e.Operation != OperationRebalanceAccount:
		return "correct the cause; if no earlier call for this payment is open, try it again with WithAttempt"
	default:
		return "correct the cause"
	}
}

// conflictWords are in the codes of a conflict.
var conflictWords = []string{
	"IDEMPOT", "DUPLIC", "ALREADY", "CONFLICT", "IN_USE", "USED", "UNIQUE", "PROGRESS", "PROCESSING", "PENDING", "REFUNDED",
}

// conflict reports whether the gateway says that something exists already. No code for that is
// published but CASH_IN_ALREADY_REFUNDED, so all that sound like one count: that can only make an
// outcome less certain.
func (e *APIError) conflict() bool {
	switch {
	case errors.Is(e.Err, ErrNotSent), isRead(e.Operation):
		return false
	case e.StatusCode == http.StatusConflict:
		return true
	case e.StatusCode != 0 && e.StatusCode/100 != 4:
		return false
	}
	return e.Code.speaksOf(conflictWords...) || e.Code.speaksOf("EXIST") && !e.Code.speaksOf("NOT", "NAO")
}

// speaksOf reports whether the code has one of the words in it.
func (c ErrorCode) speaksOf(words ...string) bool {
	code := strings.ToUpper(string(c))
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(code, word) })
}

// Unwrap returns Err.
func (e *APIError) Unwrap() error { return e.Err }

// Is reports whether target is the error's Code, or [ErrUnknownOutcome] for a conflict.
func (e *APIError) Is(target error) bool {
	if target == ErrUnknownOutcome {
		return e.conflict()
	}
	code, ok := target.(ErrorCode)
	return ok && code != "" && code == e.Code
}

// Format writes Error under every verb.
func (e APIError) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, e.Error()) }

// refusal is an APIError as JSON.
type refusal struct {
	Operation         Operation `json:"operation,omitzero"`
	StatusCode        int       `json:"statusCode"`
	Code              ErrorCode `json:"code,omitzero"`
	IdempotencyKey    string    `json:"idempotencyKey,omitzero"`
	ExternalReference string    `json:"externalReference,omitzero"`
	RetryAfterSeconds float64   `json:"retryAfterSeconds,omitzero"`
	NotSent           bool      `json:"notSent,omitzero"`
}

// MarshalJSON writes the fields without personal data. ExternalReference is written as it is.
func (e APIError) MarshalJSON() ([]byte, error) {
	code := e.Code.printable()
	if code == "" && e.conflict() {
		code = "CONFLICT" // it is one also when it is read again
	}
	return json.Marshal(refusal{
		Operation:         e.Operation,
		StatusCode:        e.StatusCode,
		Code:              code,
		IdempotencyKey:    e.IdempotencyKey,
		ExternalReference: e.ExternalReference,
		RetryAfterSeconds: e.RetryAfter.Seconds(),
		NotSent:           errors.Is(e.Err, ErrNotSent),
	})
}

// UnmarshalJSON reads the output of MarshalJSON.
func (e *APIError) UnmarshalJSON(data []byte) error {
	var read refusal
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*e = APIError{
		Operation:         read.Operation,
		StatusCode:        read.StatusCode,
		Code:              read.Code,
		IdempotencyKey:    read.IdempotencyKey,
		ExternalReference: read.ExternalReference,
		RetryAfter:        seconds(read.RetryAfterSeconds),
	}
	if read.NotSent {
		e.Err = ErrNotSent
	}
	return nil
}

// notSentError is the cause of an APIError whose request was not sent.
type notSentError struct{ cause error }

// newNotSent returns the error of a call that was not sent, because of cause.
func newNotSent(call *call, cause error) *APIError {
	return &APIError{
		Operation:         call.operation.ID,
		IdempotencyKey:    call.payment.IdempotencyKey,
		ExternalReference: call.payment.ExternalReference,
		Err:               &notSentError{cause},
	}
}

func (e *notSentError) Error() string { return e.cause.Error() }

func (e *notSentError) Unwrap() error { return e.cause }

// Is reports whether target is [ErrNotSent].
func (e *notSentError) Is(target error) bool { return target == ErrNotSent }

// isRead reports whether the operation with this id is known and moves no money.
func isRead(id Operation) bool {
	known, found := api.Find(id)
	return found && !known.Money
}

// movesMoney reports whether the operation with this id moves money or promises to.
func movesMoney(id Operation) bool {
	known, _ := api.Find(id)
	return known.Money
}
