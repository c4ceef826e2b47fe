package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sqlstore"
)

// claim is a worker's right to pay a withdrawal, until another worker sends the payment.
//
// River may give one withdrawal to two workers: it cannot tell a worker that is frozen from one
// that is dead. So each sending raises the withdrawal's fencing token. A payment is sent only if
// its token is the last, see [fence], and a rejection gives the money back only then, see
// [books.rejected]. Without that, a worker that wakes up could send a payment that another has just
// given back.
type claim struct {
	reference    string
	fencingToken int64 // of the last sending that this worker has seen or made
	request      connectpsp.CashOutRequest
	dueBy        time.Time     // see payWithin
	doubtFor     time.Duration // how long ago a payment of unknown outcome was first sent, zero if none was
	accepted     bool          // it is recorded that the gateway has accepted the payment
}

// String returns the reference: the request holds personal data.
func (c *claim) String() string { return c.reference }

// errDone says that there is nothing to pay.
var errDone = errors.New("the withdrawal has ended, is held, or was accepted by the gateway")

// claim claims a withdrawal that is to be paid. If there is none, it returns errDone. A withdrawal
// of a player who was frozen before it was first sent becomes held.
func (b *books) claim(ctx context.Context, reference string) (*claim, error) {
	c := &claim{reference: reference}
	payee, destination := &c.request.Payee, &c.request.Payee.Destination
	var state state
	var transactionID string
	var frozen bool
	var centavos int64
	var doubt float64 // seconds
	var traceparent string
	err := b.db.QueryRowContext(ctx, `SELECT state, transaction_id, frozen <> '', fencing_token, centavos, name, document, key_type, pix_key,
			requested_at, coalesce(extract(epoch FROM clock_timestamp() - doubt_since), 0), traceparent
		FROM withdrawal JOIN player ON id = player WHERE reference = $1`, reference).Scan(&state, &transactionID, &frozen,
		&c.fencingToken, &centavos, &payee.Name, &payee.Document, &destination.PIXKeyType, &destination.PIXKey, &c.dueBy,
		&doubt, &traceparent)
	link(ctx, traceparent)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, errDone
	case err != nil:
		return nil, err
	case state != statePending || transactionID != "":
		return nil, errDone
	case frozen && c.fencingToken == 0:
		_, err := b.db.ExecContext(ctx, `UPDATE withdrawal SET state = 'HELD', reason = 'the player is frozen'
			WHERE reference = $1 AND state = 'PENDING' AND fencing_token = 0`, reference)
		return nil, cmp.Or(err, errDone)
	}
	c.request.Amount, c.request.ExternalReference = pix.Centavos(centavos), reference
	c.dueBy = c.dueBy.Add(payWithin)
	c.doubtFor = time.Duration(doubt * float64(time.Second))
	destination.Type = connectpsp.DestinationPIX
	return c, nil
}

// accepted records that the gateway has accepted a payment. How it ends is told by a webhook.
func (b *books) accepted(ctx context.Context, reference, transactionID string) error {
	return b.transaction(ctx, func(tx *sql.Tx) error { return accept(ctx, tx, reference, transactionID) })
}

// accept is accepted in a transaction.
func accept(ctx context.Context, tx *sql.Tx, reference, transactionID string) error {
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
}

// rejected gives the money back for a payment that was rejected for certain, unless another worker
// has sent the payment since: then that one decides.
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

// fence is the shared journal, and writes to the withdrawal in the same transactions: it lets the
// client send a payment only as long as no other worker has sent it since the claim, and records
// that it was accepted. So the two never differ, and a payout costs two commits less.
type fence struct{ *sqlstore.Journal }

type claimKey struct{}

// withClaim returns a context for the call that pays a withdrawal.
func withClaim(ctx context.Context, c *claim) context.Context {
	return context.WithValue(ctx, claimKey{}, c)
}

var errClaimLost = errors.New("another worker has sent the withdrawal's payment, or the withdrawal has ended: nothing was sent")

// Sent implements [connectpsp.Journal].
func (f fence) Sent(ctx context.Context, idempotencyKey string, at time.Time) error {
	c, ok := ctx.Value(claimKey{}).(*claim)
	if !ok {
		return errClaimLost
	}
	err := f.SentWith(ctx, idempotencyKey, at, func(tx *sql.Tx) error {
		raised, err := tx.ExecContext(ctx, `UPDATE withdrawal SET fencing_token = fencing_token + 1
			WHERE reference = $1 AND fencing_token = $2 AND state = 'PENDING'`, c.reference, c.fencingToken)
		if err != nil {
			return err
		}
		if n, err := raised.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errClaimLost)
		}
		return nil
	})
	if err == nil {
		c.fencingToken++
	}
	return err
}

// Finish implements [connectpsp.Journal].
func (f fence) Finish(ctx context.Context, idempotencyKey string, outcome connectpsp.Outcome, transactionID string) error {
	c, ok := ctx.Value(claimKey{}).(*claim)
	if !ok || outcome != connectpsp.OutcomeAccepted || transactionID == "" {
		return f.Journal.Finish(ctx, idempotencyKey, outcome, transactionID)
	}
	err := f.FinishWith(ctx, idempotencyKey, outcome, transactionID, func(tx *sql.Tx) error {
		return accept(ctx, tx, c.reference, transactionID)
	})
	c.accepted = err == nil
	return err
}
