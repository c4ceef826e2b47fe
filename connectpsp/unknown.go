package connectpsp

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// ErrUnknownOutcome is matched, through errors.Is, by every error after which a payment may have been made: each
// UnknownOutcomeError, and an APIError that is a conflict.
var ErrUnknownOutcome = errors.New("connectpsp: the outcome is unknown")

// UnknownOutcomeError says that a request was sent and no readable answer settled it: the payment may have been made. It is
// neither a success nor a failure. A refusal that came on a later attempt proves nothing about an earlier one, so it does
// not make this an APIError, and neither its code nor its type is found by errors.Is and errors.As, unless it is a conflict;
// it is in Refusal.
//
// Keep the payment open. To settle it, use ResolveCashOut, or call again with the same request and
// WithIdempotencyKey(e.IdempotencyKey), which for a derived key changes nothing: the gateway repeats its first answer. Or
// wait for the webhook, or read the transaction if TransactionID is known. Never pay under a new externalReference.
//
// A client remembers what is open, with WithJournal beyond the life of the process. In a call that repeats an open payment it
// does not report a refusal as a rejection, and only a nil error settles it. A *ValidationError is the exception: it speaks
// of its own request. So does everything that a new process without a journal is told.
//
// For how long the gateway remembers a key is not published. After some 20 minutes, less than comparable gateways are known
// to remember, prefer the webhook to calling again.
//
// It can be written as JSON and read again: see MarshalJSON.
type UnknownOutcomeError struct {
	// Operation is the operation's id in the description, such as "createCashOut".
	Operation string
	// IdempotencyKey is the key every attempt carried; empty for rebalanceAccount, which takes none.
	IdempotencyKey string
	// ExternalReference and Amount are the request's, zero where it has none.
	ExternalReference string
	Amount            pix.Amount
	// BodySHA256 is the SHA-256 of the request's body in hex: it tells whether a request is the same, and not what is in it.
	BodySHA256 string
	// ClientID and BaseURL say which integration made the call, of which gateway.
	ClientID, BaseURL string
	// TransactionID is what is known of the transaction: the id given to RefundCashIn, or one found in an answer that did
	// not match the request. It is empty if nothing is known.
	TransactionID string
	// FirstSentAt and LastSentAt are the local times of the first and the last attempt that may have reached the gateway,
	// those of earlier calls with the same key included, as far as they are known.
	FirstSentAt, LastSentAt time.Time
	// Attempts counts the attempts that may have reached the gateway. It is 0 if this call sent nothing, and an earlier or
	// another one with the same key is open.
	Attempts int
	// StatusCode is the status of the last answer, 0 if none came.
	StatusCode int
	// RetryAfter is how long the gateway asked to wait in its last answer, 0 if it did not.
	RetryAfter time.Duration
	// Refusal is how the gateway refused a later attempt, nil if it did not.
	Refusal *APIError
	// Err is what made the outcome doubtful or ended the call: the network's error, the context's. It may be nil.
	Err error
}

func (e *UnknownOutcomeError) Error() string {
	last := "no answer"
	if e.StatusCode != 0 {
		last = fmt.Sprintf("last answer %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	}
	text := fmt.Sprintf("connectpsp: %s: unknown outcome after %d attempts (%s): it may have been executed", e.Operation, e.Attempts, last)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Operation == rebalanceAccount.id {
		return text + "; read the balance, then set the target again if need be"
	}
	if e.TransactionID != "" {
		text += "; read transaction " + e.TransactionID
	} else {
		text += "; call again with the same request and key"
	}
	return text + " or wait for the webhook, and never pay under a new externalReference"
}

// Unwrap returns Err and, if it is a conflict, Refusal: a conflict leaves the outcome open by itself.
func (e *UnknownOutcomeError) Unwrap() []error {
	var causes []error
	if e.Err != nil {
		causes = append(causes, e.Err)
	}
	if e.Refusal != nil && e.Refusal.conflict {
		causes = append(causes, e.Refusal)
	}
	return causes
}

// Is reports whether target is ErrUnknownOutcome.
func (e *UnknownOutcomeError) Is(target error) bool { return target == ErrUnknownOutcome }
