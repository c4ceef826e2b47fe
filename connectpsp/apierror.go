package connectpsp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ErrorCode is the gateway's name for what went wrong: the one to program against. Codes that are not listed here come
// through as they are. An ErrorCode is an error only so that errors.Is(err, CodeInsufficientFunds) works.
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

// advice says what to do next, by code.
var advice = map[ErrorCode]string{
	CodeInvalidCredentials:      "check ClientID and ClientSecret",
	CodeTokenExpired:            "a fresh token was refused too; check that nothing replaces the Authorization header",
	CodeInvalidApplicationToken: "check ApplicationToken",
	CodeInvalidSignature:        "check CryptoToken",
	CodeCashInNotPaid:           "wait for CASHIN_PAID, then refund",
	CodeCashInAlreadyRefunded:   "it was refunded before, perhaps by an earlier call; read the cash-in for its state",
	CodeCashInExpired:           "there is nothing to refund",
	CodeCashInCancelled:         "there is nothing to refund",
	CodeMissingEndToEndID:       "the settlement is not recorded yet; call again later",
	CodeInsufficientFunds:       "raise the balance; if no earlier call for this externalReference is open, try it again with WithAttempt",
}

// ErrNotSent is matched, through errors.Is, by every error of a call that ended before its request was sent: each
// ValidationError, and an APIError for want of a connection, a token or time.
var ErrNotSent = errors.New("connectpsp: nothing was sent")

// APIError says that a call was rejected for certain: the gateway refused it or, if errors.Is(err, ErrNotSent) holds, the
// request never left this process. No money moved because of this call, nor of an earlier one with the same key that the
// client or its journal knows. One that they do not know, of another process say, stays unknown.
//
// There is one exception, which errors.Is(err, ErrUnknownOutcome) tells: a conflict (409, or a refusal of the idempotency
// key) says that something exists already under this externalReference or key, perhaps from an earlier attempt of the same
// payment. Then the payment may have been made.
type APIError struct {
	// Operation is the operation that failed, such as "createCashOut". It is "authToken" if no access token could be had.
	Operation string
	// StatusCode is the status of the answer, 0 if there was none.
	StatusCode int
	// Type, Title and Detail are the gateway's words. They may hold personal data and are left out of Error.
	Type, Title, Detail string
	// Code is empty if the answer held no problem, as a proxy's does.
	Code ErrorCode
	// IdempotencyKey is the key the call carried or would have carried, if any.
	IdempotencyKey string
	// ExternalReference is the request's, if it had one.
	ExternalReference string
	// RetryAfter is how long the gateway asked to wait, 0 if it did not.
	RetryAfter time.Duration
	// Err is the cause if there was no answer, or what kept the call from being repeated, such as the context's error. It may
	// be nil.
	Err error

	money    bool // the operation moves money
	notSent  bool
	conflict bool
}

func (e *APIError) Error() string {
	var text strings.Builder
	text.WriteString("connectpsp: " + e.Operation + ": ")
	if e.StatusCode != 0 {
		fmt.Fprintf(&text, "%d %s: ", e.StatusCode, e.label())
	}
	switch {
	case e.conflict:
		text.WriteString("this externalReference or idempotency key was used before, perhaps by this very payment: it may " +
			"have been made; wait for its webhook, and do not pay again under another reference")
	case e.notSent && e.Err != nil:
		fmt.Fprintf(&text, "this call sent nothing: %v; it is safe to call again with the same request", e.Err)
	case e.notSent:
		text.WriteString("this call sent nothing: " + e.advice())
	case e.money:
		text.WriteString("refused, this call moved no money: " + e.advice())
	default:
		text.WriteString("refused: " + e.advice())
	}
	return text.String()
}

// label is the code or, if it does not look like one, the status in words.
func (e *APIError) label() string {
	if code := e.Code.printable(); code != "" {
		return string(code)
	}
	return http.StatusText(e.StatusCode)
}

// printable returns the code, or nothing if it does not look like one: an answer may hold anything.
func (c ErrorCode) printable() ErrorCode {
	plain := func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' }
	if len(c) > 64 || strings.IndexFunc(string(c), func(r rune) bool { return !plain(r) }) >= 0 {
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
	case e.StatusCode == http.StatusNotFound:
		return "this application has no such transaction"
	case e.StatusCode == http.StatusTooManyRequests || e.StatusCode >= 500:
		return "call again later"
	case e.StatusCode/100 == 3:
		return "the gateway answered a redirect, which is never followed; check BaseURL"
	case e.ExternalReference != "":
		return "correct the cause; if no earlier call for this externalReference is open, try it again with WithAttempt"
	default:
		return "correct the cause"
	}
}

// Unwrap returns Err.
func (e *APIError) Unwrap() error { return e.Err }

// Is reports whether target is the error's Code, ErrNotSent for a call that was not sent, or ErrUnknownOutcome for a conflict.
func (e *APIError) Is(target error) bool {
	switch target {
	case ErrNotSent:
		return e.notSent
	case ErrUnknownOutcome:
		return e.conflict
	}
	code, ok := target.(ErrorCode)
	return ok && code != "" && code == e.Code
}
