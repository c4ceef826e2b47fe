package webhook

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Inbox stores deliveries until they are processed, and the recorded state of every transaction. It
// deduplicates items by key. A [Handler] fills an Inbox and [Worker] values empty it, in one
// process or many. [NewMemoryInbox] makes one for tests and small services; package sqlstore has
// one on database/sql. Goroutines call the methods concurrently.
type Inbox interface {
	// Put stores an item, and returns when the item is durable. If the Inbox already has an item
	// with the same Key, in any state, Put changes nothing, and earlier is the digest of that
	// item's Body. An item whose Held is set is never claimed. Keys are case-sensitive.
	Put(ctx context.Context, item Item) (earlier *Digest, err error)

	// Claim returns up to limit items that are due, oldest first, and counts the attempt of each.
	// The items are the caller's alone until the lease expires. Then each is due again, unless it
	// was completed, postponed or held, or a call of Complete for it is running. Claim returns none
	// if no item is due.
	Claim(ctx context.Context, lease time.Duration, limit int) ([]*Claim, error)

	// Complete ends a claimed item. It locks the item's transaction, calls change with the recorded
	// state of that transaction, and stores the Result. The following are one atomic write: the new
	// state, the end of the item, each Put with the context that change receives, and the writes
	// that change makes in a database transaction from that context. While change runs, no other
	// call completes an item of the same transaction, or claims this item.
	//
	// If change fails, Complete writes nothing and returns the error of change. If the claim is no
	// longer the caller's, Complete writes nothing and returns [ErrClaimLost]. If another item of
	// the transaction is being completed, Complete returns [ErrLocked] without a call of change: it
	// does not wait, because the other item may take long.
	Complete(ctx context.Context, claim *Claim, change func(ctx context.Context, recorded TransactionState) (Result, error)) error

	// Postpone releases a claimed item, which is due again at the given time of the local clock.
	// The item keeps the Attempts of the claim. The reason is for operators. Postpone returns
	// [ErrClaimLost] as Complete does.
	Postpone(ctx context.Context, claim *Claim, due time.Time, reason string) error

	// Hold puts a claimed item aside for manual review, as a dead letter: it is never claimed
	// again. Hold returns [ErrClaimLost] as Complete does.
	Hold(ctx context.Context, claim *Claim, reason string) error

	// Added returns a channel that receives after a Put of this Inbox has stored an item, so that a
	// [Worker] of the same process claims the item at once. The channel may receive once for
	// several items. It may be nil: a Worker polls too.
	Added() <-chan struct{}
}

// InboxState is the state of an inbox as a whole, for metrics: [MemoryInbox.State] returns it, and
// so does the Inbox of package sqlstore. All processes that share an inbox get the same one: over
// them, take the maximum and not the sum.
type InboxState struct {
	// Due counts the items that are due and not done, those that a [Worker] works on included. Held
	// counts the items that are held for manual review. An inbox may stop counting, but not below
	// 10,000.
	Due, Held int
	// OldestDue is when the oldest of the due items was due, by the local clock. It is zero if none
	// is due. An item that is retried later is due anew.
	OldestDue time.Time
}

// ErrClaimLost is returned by an [Inbox] if the lease of a claim expired and another caller has
// claimed or completed the item.
var ErrClaimLost = errors.New("webhook: the claim is no longer ours")

// ErrLocked is returned by Complete of an [Inbox] if another item of the same transaction is being
// completed.
var ErrLocked = errors.New("webhook: another item of the transaction is being completed")

// Digest is the SHA-256 of an item's body.
type Digest [sha256.Size]byte

// Item is an entry of an [Inbox]: an event, a transaction that a [Worker] reads at a set time, or a
// refund of [WithPayerRefund]. Its Body contains personal data.
type Item struct {
	// Key is the item's identity. It is ASCII and has about a hundred bytes, and more only if the
	// ids of the event are longer.
	Key string
	// Transaction is the kind and the id of the item's transaction, such as CASHOUT/0b0c5c8e. It is
	// empty if the item is about no known transaction.
	Transaction string
	// Body is the Raw of the [Event], or the received bytes if they cannot be read. It is empty for
	// a transaction that is to be read, and the request as JSON for a refund.
	Body []byte
	// DeliveryID is the X-Event-Id of the delivery, for questions to the provider's support.
	DeliveryID string
	// ReceivedAt and Due are times of the local clock: when the item came, and when it is due.
	// Clocks differ, so an [Inbox] uses only the difference, and counts it by its own clock; see
	// [Item.Wait].
	ReceivedAt, Due time.Time
	// Held is the reason why the item is held for manual review. It is empty if the item is to be
	// processed.
	Held string
}

// Wait returns the time from the Put of the item until it is due: Due minus ReceivedAt, and zero if
// ReceivedAt is not set.
func (i Item) Wait() time.Duration {
	if i.ReceivedAt.IsZero() {
		return 0
	}
	return i.Due.Sub(i.ReceivedAt)
}

// Format writes, under every verb, the key and the reason why the item is held, and nothing of
// Body.
func (i Item) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, i.Key)
	if i.Held != "" {
		_, _ = io.WriteString(state, ": "+i.Held)
	}
}

// LogValue returns the key and the reason why the item is held, and nothing of Body.
func (i Item) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(i)) }

// Claim is an item that one caller processes, until the lease expires.
type Claim struct {
	Item
	// Attempts counts the claims of this item, this one included, since the item came or since the
	// last [Result] with a RetryAt.
	Attempts int
	// Token tells this claim from earlier and later ones.
	Token string
}

// TransactionState is the recorded state of a transaction, from the items that were completed.
type TransactionState struct {
	// Status is empty if no item of the transaction was completed.
	Status Status
	// Returns are the end-to-end ids of the returns that were applied.
	Returns []string
	// Amount and ExternalReference are those of the payment, zero if no event had them.
	Amount            pix.Amount
	ExternalReference string
	// PaymentID is the end-to-end id of the payment. It is empty if the payment was not made or no
	// event had the id.
	PaymentID string
}

// Result is the new state of an item and of its transaction.
type Result struct {
	State TransactionState
	// RetryAt is when the item is due again, by the local clock. It is zero if the item is done.
	RetryAt time.Time
}
