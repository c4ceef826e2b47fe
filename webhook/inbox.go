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

// Inbox stores deliveries until they are processed, and the recorded state of every
// transaction. A Handler fills it and Workers empty it, in one process or many. NewMemoryInbox is
// one for tests and small services, package sqlinbox one on database/sql. Its methods are called by
// many goroutines at once.
type Inbox interface {
	// Put keeps an item, and returns when that is durable. If an item with the same Key is there
	// already, in any state, nothing is changed, and earlier is the digest of that one's
	// Body. An item that is Held is kept for a person and never claimed. Keys distinguish capitals.
	Put(ctx context.Context, item Item) (earlier *Digest, err error)

	// Claim gives the caller an item that is due, for the caller alone until the lease is over, and
	// counts the attempt. After that it is due again, unless it was settled, postponed or held, or
	// is being settled. It returns nil if no item is due.
	Claim(ctx context.Context, lease time.Duration) (*Claim, error)

	// Complete calls change with the recorded state of the claimed item's transaction, and stores
	// what it returns. That, and the end of the item, happen together or not at all. So do a Put
	// with the context that change is called with, and the writes of change in a database
	// transaction that this context carries. Meanwhile nobody else settles an item of the same
	// transaction, or claims this one. If change fails, nothing happens, and its error is returned.
	// If the claim is no longer the caller's, nothing happens, and the error is ErrClaimLost. If
	// another item of the transaction is being settled, change is not called, and the error is
	// ErrLocked: Complete does not wait, because the other may take long.
	Complete(ctx context.Context, claim *Claim, change func(ctx context.Context, known TransactionState) (Result, error)) error

	// Postpone gives a claimed item back, to be due at a time of the local clock, with the claim's
	// Attempts. The reason is for people. It returns ErrClaimLost as Complete does.
	Postpone(ctx context.Context, claim *Claim, due time.Time, reason string) error

	// Hold keeps a claimed item for a person, and nobody claims it any more. It returns
	// ErrClaimLost as Complete does.
	Hold(ctx context.Context, claim *Claim, reason string) error
}

// ErrClaimLost is returned by an Inbox if the lease of a claim was over and another has the item,
// or has settled it.
var ErrClaimLost = errors.New("webhook: the claim is no longer ours")

// ErrLocked is returned by Complete of an Inbox if another item of the same transaction is being
// settled.
var ErrLocked = errors.New("webhook: another item of the transaction is being settled")

// Digest is the SHA-256 of an item's body.
type Digest [sha256.Size]byte

// Item is an entry of an Inbox: an event, or a transaction to be read. Its Body holds personal
// data.
type Item struct {
	// Key is the item's identity: at most some hundred bytes of ASCII, more only if the ids of the
	// event are longer.
	Key string
	// Transaction is the kind and the id of the transaction that the item is about, such as
	// CASHOUT/0b0c5c8e, and empty if it is about none.
	Transaction string
	// Body is the Raw of the event, or the received bytes if they cannot be read. It is empty for a
	// transaction to be read.
	Body []byte
	// DeliveryID is the X-Event-Id of the delivery, for talking to support.
	DeliveryID string
	// ReceivedAt and Due are times of the local clock: when the item came, and when it is to be
	// worked off. Clocks differ, so an Inbox takes from them only how long the item has to wait,
	// and counts that by its own clock; see Wait.
	ReceivedAt, Due time.Time
	// Held is why it is kept for a person, empty if it is to be worked off.
	Held string
}

// Wait is how long the item has to wait from when it is put until it is due: Due less ReceivedAt,
// and zero if ReceivedAt is not set.
func (i Item) Wait() time.Duration {
	if i.ReceivedAt.IsZero() {
		return 0
	}
	return i.Due.Sub(i.ReceivedAt)
}

// Format writes, under every verb, the key and why the item is held, and nothing of Body.
func (i Item) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, i.Key)
	if i.Held != "" {
		_, _ = io.WriteString(state, ": "+i.Held)
	}
}

// LogValue returns the key and why the item is held, and nothing of Body.
func (i Item) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(i)) }

// Claim is an item that somebody works on.
type Claim struct {
	Item
	// Attempts counts the claims of this item since it came, or since a Result left it to be
	// done again, this one included.
	Attempts int
	// Token tells this claim from earlier and later ones.
	Token string
}

// TransactionState is the recorded state of a transaction, from the items that were settled.
type TransactionState struct {
	// Status is empty if nothing is known.
	Status Status
	// Returns are the end-to-end ids of the returns that were applied.
	Returns []string
	// Amount and ExternalReference are those of the payment, zero if no event had them.
	Amount            pix.Amount
	ExternalReference string
	// PaymentID is the end-to-end id of the payment, empty if it was not made or its id was not
	// told.
	PaymentID string
}

// Result is the new state of an item and its transaction.
type Result struct {
	State TransactionState
	// RetryAt is when the item is due once more, by the local clock, zero if it is done.
	RetryAt time.Time
}
