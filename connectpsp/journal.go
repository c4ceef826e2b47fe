package connectpsp

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Journal remembers payments beyond the life of a process: one that dies between sending a payment and hearing the answer
// leaves an Intent behind, which Client.Recover settles. Package journal has one in a file. Write your own to keep intents in
// a database that several processes share; its methods are then called by many goroutines at once.
//
// A payment goes through it in three steps. Begin comes first, Sent right before the first byte leaves, Finish when the
// outcome is certain. If Begin or Sent fails nothing is sent. An intent that was sent and not finished is open: the payment may
// have been made. While a client works on an idempotency key it makes no other call with it.
//
// Intents are kept for CreateCashIn, CreateCashOut and RefundCashIn. RebalanceAccount has no key and sets a state: after a
// crash, read the balance and set it again. Processes that share a journal must not make calls for one payment at the same
// time: hold a lock on the order in your own database. Neither must two clients with one ClientID.
type Journal interface {
	// Begin records an intent. Its SentAt is zero, unless ResolveCashOut settles an earlier call that the journal may not know
	// of. It need not be durable before Sent is.
	//
	// If an intent with the same IdempotencyKey is open or was accepted, Begin changes nothing and returns that one, also when
	// it returns an error. An accepted one need not be remembered for ever, nor its Body at all; an hour after a process has
	// started again is enough to repeat its last payments. One that was never sent is replaced.
	Begin(ctx context.Context, intent Intent) (earlier *Intent, err error)

	// Find returns the intent with this key if it is open or was accepted, as Begin would, and nil otherwise. The client asks
	// it when a call cannot be made, such as after an error of Begin: if it fails too, the outcome is unknown.
	Find(ctx context.Context, idempotencyKey string) (*Intent, error)

	// Sent records that the payment is about to be sent, for the first time; a SentAt that is set stays. When it returns nil
	// the intent and this mark survive the death of the process and, as far as the journal promises that, of the machine.
	Sent(ctx context.Context, idempotencyKey string, at time.Time) error

	// Finish records a certain outcome. A rejected intent must be gone for good when it returns nil, and Begin and Pending
	// never tell of it again; only then does the client report the rejection. For an accepted one that is no matter of safety.
	// TransactionID is the gateway's, if accepted. A key that is not known is no error.
	Finish(ctx context.Context, idempotencyKey string, outcome Outcome, transactionID string) error

	// Pending returns the intents without an outcome, those that were never sent included, oldest first.
	Pending(ctx context.Context) ([]Intent, error)
}

// Outcome is the certain end of a call that moves money, as a Journal records it.
type Outcome string

const (
	// OutcomeAccepted says that the gateway accepted the payment.
	OutcomeAccepted Outcome = "ACCEPTED"
	// OutcomeRejected says that no money moved and, under this key, none will: it was refused, or never sent.
	OutcomeRejected Outcome = "REJECTED"
)

// Intent is a payment that is to be sent, as a Journal keeps it.
type Intent struct {
	// Operation is the operation's id in the description: createCashIn, createCashOut or refundCashIn.
	Operation string
	// IdempotencyKey identifies the intent.
	IdempotencyKey string
	// ExternalReference is the request's, empty for a refund.
	ExternalReference string
	// TransactionID is the id of the charge that a refund returns, and of an accepted payment the gateway's. Else it is empty.
	TransactionID string
	// Amount is the request's, zero for a refund.
	Amount pix.Amount
	// Body is the body of the request, byte for byte. It holds personal data: protect it as such.
	Body []byte
	// BodySHA256 is the SHA-256 of Body in hex. It stays when Body is gone.
	BodySHA256 string
	// ClientID and BaseURL say which integration sends it to which gateway. Recover leaves intents of others alone.
	ClientID, BaseURL string
	// BegunAt and SentAt are times of the local clock. SentAt is zero if it was not sent.
	BegunAt, SentAt time.Time
	// Outcome is empty unless it is certain.
	Outcome Outcome
}

// Format writes, under every verb, what identifies the intent, and nothing of Body.
func (i Intent) Format(state fmt.State, _ rune) {
	_, _ = fmt.Fprintf(state, "%s %q with key %s", i.Operation, i.ExternalReference, i.IdempotencyKey)
}

// LogValue returns what identifies the intent, and nothing of Body.
func (i Intent) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(i)) }

// journalTimeout bounds what must be done with the journal when the call's context may have ended.
const journalTimeout = 10 * time.Second

// patient is a journal of the caller's. It is asked and told of outcomes also when the call's context has ended.
type patient struct{ Journal }

func (p patient) Find(ctx context.Context, key string) (*Intent, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	return p.Journal.Find(ctx, key)
}

func (p patient) Finish(ctx context.Context, key string, outcome Outcome, transactionID string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	return p.Journal.Finish(ctx, key, outcome, transactionID)
}
