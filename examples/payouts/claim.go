package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// claim is a worker's right to pay a withdrawal, until another worker claims it.
//
// River may give one withdrawal to two workers: it cannot tell a worker that is frozen from one
// that is dead. So each claim raises the withdrawal's fencing token. A payment is sent only while
// its token is the last, see [fence], and a rejection gives the money back only then, see
// [books.rejected]. Without that, a worker that wakes up could send a payment that another has just
// given back.
type claim struct {
	reference    string
	fencingToken int64
	request      connectpsp.CashOutRequest
	doubtFor     time.Duration // how long ago a payment of unknown outcome was first sent, zero if none was
}

// String returns the reference: the request holds personal data.
func (c *claim) String() string { return c.reference }

// errDone says that there is nothing to pay.
var errDone = errors.New("the withdrawal has ended, is held, or was accepted by the gateway")

// claim claims a withdrawal that is to be paid. If there is none, it returns errDone. A withdrawal
// of a player who was frozen before the first claim becomes held.
func (b *books) claim(ctx context.Context, reference string) (*claim, error) {
	c := &claim{reference: reference}
	payee, destination := &c.request.Payee, &c.request.Payee.Destination
	var centavos int64
	var doubt float64 // seconds
	err := b.db.QueryRowContext(ctx, `UPDATE withdrawal SET fencing_token = fencing_token + 1 FROM player
		WHERE reference = $1 AND state = 'PENDING' AND transaction_id = '' AND player.id = player AND (frozen = '' OR fencing_token > 0)
		RETURNING fencing_token, centavos, name, document, key_type, pix_key,
			coalesce(extract(epoch FROM clock_timestamp() - doubt_since), 0)`, reference).Scan(
		&c.fencingToken, &centavos, &payee.Name, &payee.Document, &destination.PIXKeyType, &destination.PIXKey, &doubt)
	if errors.Is(err, sql.ErrNoRows) {
		_, err := b.db.ExecContext(ctx, `UPDATE withdrawal SET state = 'HELD', reason = 'the player is frozen' FROM player
			WHERE reference = $1 AND state = 'PENDING' AND fencing_token = 0 AND player.id = player AND frozen <> ''`, reference)
		if err != nil {
			return nil, err
		}
		return nil, errDone
	}
	c.request.Amount, c.request.ExternalReference = pix.Centavos(centavos), reference
	c.doubtFor = time.Duration(doubt * float64(time.Second))
	destination.Type = connectpsp.DestinationPIX
	return c, err
}

// accepted records that the gateway has accepted a payment. How it ends is told by a webhook.
func (b *books) accepted(ctx context.Context, reference, transactionID string) error {
	return b.transaction(ctx, func(tx *sql.Tx) error {
		r, err := lock(ctx, tx, reference)
		switch {
		case err != nil:
			return err
		case r.transactionID == transactionID:
			return nil // a webhook came first
		case r.transactionID != "" || r.state != statePending:
			return raiseAlarm(ctx, tx, reference, "the gateway has accepted %s, and the withdrawal is %s with transaction %q: it may be paid twice",
				transactionID, r.state, r.transactionID)
		}
		_, err = tx.ExecContext(ctx, `UPDATE withdrawal SET transaction_id = $2, doubt_since = NULL
			WHERE reference = $1`, reference, transactionID)
		return err
	})
}

// rejected gives the money back for a payment that was rejected for certain, unless another worker
// has claimed the withdrawal since: then that one decides.
func (b *books) rejected(ctx context.Context, c *claim, reason string) error {
	return b.transaction(ctx, func(tx *sql.Tx) error {
		r, err := lock(ctx, tx, c.reference)
		switch {
		case err != nil:
			return err
		case r.fencingToken != c.fencingToken || r.state == stateVoided:
			return nil
		case r.transactionID != "":
			return raiseAlarm(ctx, tx, c.reference, "the gateway has rejected what it has accepted as %s", r.transactionID)
		}
		return r.void(ctx, tx, "", reason)
	})
}

// doubted records for how long the outcome of a payment has been unknown.
func (b *books) doubted(ctx context.Context, reference string, since time.Duration) error {
	_, err := b.db.ExecContext(ctx, `UPDATE withdrawal SET doubt_since = least(doubt_since, clock_timestamp() - $2 * interval '1 second')
		WHERE reference = $1 AND state = 'PENDING' AND transaction_id = ''`, reference, since.Seconds())
	return err
}

// fence lets the client send a payment only as long as the worker's claim is the last one.
//
// It asks before the shared journal takes the payment. If another worker claims the withdrawal
// after that and gives it back, the journal has changed, and refuses too.
type fence struct {
	connectpsp.Journal
	db *sql.DB
}

type claimKey struct{}

// withClaim returns a context for the call that pays a withdrawal.
func withClaim(ctx context.Context, c *claim) context.Context {
	return context.WithValue(ctx, claimKey{}, c)
}

var errClaimLost = errors.New("another worker has claimed the withdrawal: nothing was sent")

// Sent implements [connectpsp.Journal].
func (f *fence) Sent(ctx context.Context, idempotencyKey string, at time.Time) error {
	c, ok := ctx.Value(claimKey{}).(*claim)
	if !ok {
		return errClaimLost
	}
	var last bool
	err := f.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM withdrawal
		WHERE reference = $1 AND fencing_token = $2 AND state = 'PENDING')`, c.reference, c.fencingToken).Scan(&last)
	if err != nil {
		return err
	}
	if !last {
		return errClaimLost
	}
	return f.Journal.Sent(ctx, idempotencyKey, at)
}
