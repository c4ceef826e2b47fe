package connectpsp

import (
	"context"
	"time"
)

// Operation is an operation's id in the description, as errors and package sandbox name it. It is a
// plain string: an operation that this version of the SDK does not know, read from a journal or
// from JSON, is kept as it is.
type Operation = string

// The operations that a [Journal] records.
const (
	OperationCreateCashIn  Operation = "createCashIn"
	OperationRefundCashIn  Operation = "refundCashIn"
	OperationCreateCashOut Operation = "createCashOut"
)

// The other operations.
const (
	OperationAuthToken        Operation = "authToken"
	OperationGetCashIn        Operation = "getCashIn"
	OperationGetCashOut       Operation = "getCashOut"
	OperationGetBalance       Operation = "getBalance"
	OperationRebalanceAccount Operation = "rebalanceAccount"
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
// the same comparable value. Processes must not share one, unless its documentation allows that, as
// package sqlstore's does: there each intent belongs to one process at a time, which holds a lease
// on it, see Leased in [Intent].
type Journal interface {
	// Begin records an intent. Its SentAt is zero, unless [Client.ResolveCashOut] settles an
	// earlier call that the journal may not know of. It need not be durable before Sent is.
	//
	// If an intent of the same Payment is open or was accepted, Begin changes nothing and returns
	// that one, also when it returns an error; otherwise one with the same IdempotencyKey that is.
	// An accepted one is remembered for an hour at least, counted anew when the process starts; its
	// Body is not. One that was never sent, or was rejected, is replaced.
	//
	// While another process has the intent, Begin of a Journal that processes share waits, as long
	// as ctx lasts. If that process gets a rejection meanwhile, Begin returns the rejected intent
	// and begins nothing: the caller that got the rejection may already pay in another way.
	Begin(ctx context.Context, intent Intent) (earlier *Intent, err error)

	// Find returns the intent that Begin would return, and changes nothing. The client calls it
	// when a payment cannot be sent, such as after an error of Begin or for a request that is not
	// valid, and for each refund and each final status that is read; IdempotencyKey may be empty.
	// If Find fails too, the outcome is unknown.
	Find(ctx context.Context, intent Intent) (earlier *Intent, err error)

	// Sent records that the payment is about to be sent. The client calls it before each attempt; a
	// SentAt that is set stays. When Sent returns nil the intent and this mark survive the death of
	// the process and, as far as the journal promises that, of the machine. If another process has
	// the intent by now, Sent returns an error, and nothing is sent. If the intent was accepted
	// meanwhile, as a webhook may report, Sent returns nil.
	Sent(ctx context.Context, idempotencyKey string, at time.Time) error

	// Finish records a certain outcome and erases Body. When it returns nil for a rejection, that
	// is durable, and Begin, Find and Pending never return the intent again; only then does the
	// client report the rejection. TransactionID is the gateway's, if accepted. An unknown key is
	// no error; a rejection of an intent that was accepted is one.
	//
	// In a Journal that processes share, a rejection of an intent that another process has sent is
	// an error too, and Sent fails in each process that had begun the payment before the rejection,
	// also if that was never sent: its caller may already pay in another way.
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

// journalTimeout bounds a call of the journal when the context of the payment may have ended.
const journalTimeout = 10 * time.Second

// detachedJournal is a journal of the caller's. Finish runs on a context detached from the call's:
// an outcome must be recorded also when the call's context has ended. Begin and Find return no
// intent that was never sent: a journal may.
type detachedJournal struct{ Journal }

func (d detachedJournal) Begin(ctx context.Context, intent Intent) (*Intent, error) {
	earlier, err := d.Journal.Begin(ctx, intent)
	return ifSent(earlier), err
}

func (d detachedJournal) Find(ctx context.Context, intent Intent) (*Intent, error) {
	earlier, err := d.Journal.Find(ctx, intent)
	return ifSent(earlier), err
}

func (d detachedJournal) Finish(ctx context.Context, key string, outcome Outcome, transactionID string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	return d.Journal.Finish(ctx, key, outcome, transactionID)
}

// ifSent returns nil in place of an intent that was never sent.
func ifSent(intent *Intent) *Intent {
	if intent != nil && intent.SentAt.IsZero() && intent.Outcome == "" {
		return nil
	}
	return intent
}
