package connectpsp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Operation is an operation's id in the description. It is a plain string: an operation that this
// version of the SDK does not know, read from a journal or from JSON, is kept as it is.
type Operation = string

// The operations that a [Journal] records.
const (
	OperationCreateCashIn  Operation = "createCashIn"
	OperationRefundCashIn  Operation = "refundCashIn"
	OperationCreateCashOut Operation = "createCashOut"
)

// Journal remembers payments beyond the life of a process: one that dies between sending a payment
// and reading the response leaves an [Intent] behind, which [Client.Recover] settles. Package
// journal has one in a file. Its methods are called by many goroutines at once.
//
// A payment goes through it in three steps. Begin comes first, Sent right before the first byte
// leaves, Finish when the outcome is certain. If Begin or Sent fails, nothing is sent. An intent
// that was sent and not finished is open: the payment may have been made. A payment has at most one
// intent that is open or accepted, whatever its idempotency keys and attempts.
//
// Intents are kept for [Client.CreateCashIn], [Client.CreateCashOut] and [Client.RefundCashIn].
// [Client.RebalanceAccount] has no key and sets a state: after a crash, read the balance and set it
// again. Clients in one process may share a Journal, and lock each payment then: give all of them
// the same comparable value. Processes must not share one.
type Journal interface {
	// Begin records an intent. Its SentAt is zero, unless [Client.ResolveCashOut] settles an
	// earlier call that the journal may not know of. It need not be durable before Sent is.
	//
	// If an intent of the same Payment is open or was accepted, Begin changes nothing and returns
	// that one, also when it returns an error; otherwise one with the same IdempotencyKey that is.
	// An accepted one is remembered for an hour at least, counted anew when the process starts; its
	// Body is not. One that was never sent, or was rejected, is replaced.
	Begin(ctx context.Context, intent Intent) (earlier *Intent, err error)

	// Find returns the intent that Begin would return, and changes nothing. The client calls it
	// when a payment cannot be sent, such as after an error of Begin or for a request that is not
	// valid, and for each refund and each final status that is read; IdempotencyKey may be empty.
	// If Find fails too, the outcome is unknown.
	Find(ctx context.Context, intent Intent) (earlier *Intent, err error)

	// Sent records that the payment is about to be sent, for the first time; a SentAt that is set
	// stays. When it returns nil the intent and this mark survive the death of the process and, as
	// far as the journal promises that, of the machine.
	Sent(ctx context.Context, idempotencyKey string, at time.Time) error

	// Finish records a certain outcome and erases Body. When it returns nil for a rejection, that
	// is durable, and Begin, Find and Pending never return the intent again; only then does the
	// client report the rejection. TransactionID is the gateway's, if accepted. An unknown key is
	// no error; a rejection of an intent that was accepted is one.
	Finish(ctx context.Context, idempotencyKey string, outcome Outcome, transactionID string) error

	// Pending returns the intents without an outcome, those that were never sent included, oldest
	// first. [Client.Recover] calls it, and so does each refund that the journal does not know:
	// under another id of its charge it may.
	Pending(ctx context.Context) ([]Intent, error)

	// Ended returns the intents that ended within the last hour, in the order in which they ended:
	// the accepted ones and, unless the payment was begun again since, the rejected ones. That
	// hour, too, is counted anew when the process starts. A journal that does not outlive the
	// process may leave the rejected ones out.
	Ended(ctx context.Context) ([]Intent, error)
}

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
	// Outcome is empty unless it is certain.
	Outcome Outcome
}

// Payment identifies the payment that the intent is an attempt of: its operation, and its
// externalReference or the charge that it refunds. Idempotency key, attempt number, ClientID and
// BaseURL have no part in it. It is printable and distinguishes capitals. A Journal looks intents
// up by it.
func (i Intent) Payment() string {
	return i.Operation + "/" + cmp.Or(i.ExternalReference, canonicalID(cmp.Or(i.ChargeID, i.TransactionID)))
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

// journalTimeout bounds a call of the journal when the context of the payment may have ended.
const journalTimeout = 10 * time.Second

// detachedJournal is a journal of the caller's. Finish runs on a context detached from the call's:
// an outcome must be recorded also when the call's context has ended.
type detachedJournal struct{ Journal }

func (d detachedJournal) Finish(ctx context.Context, key string, outcome Outcome, transactionID string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	return d.Journal.Finish(ctx, key, outcome, transactionID)
}
