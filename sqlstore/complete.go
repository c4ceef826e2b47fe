package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// The row of the item is locked until the end: its claimer keeps it, also if the lease ends. A
// claim that passes over it has it for a moment, and is waited for. The state of the transaction is
// locked without waiting: else one long function would hold up every worker that meets its
// transaction. A row that has changed since the statement began is read as it is now.
const lockItem = `SELECT item.id, state.status, state.returns, state.centavos, state.reference, state.payment_id
	FROM connectpsp_queue item JOIN connectpsp_state state ON state.key = item."transaction"
	WHERE item.id = (SELECT id FROM connectpsp_event WHERE key = $1) AND item.claim = $2 AND item.due_at IS NOT NULL
	FOR UPDATE OF item FOR UPDATE OF state SKIP LOCKED`

const (
	endItem   = `DELETE FROM connectpsp_queue WHERE id = `
	retryItem = `UPDATE connectpsp_queue SET due_at = NOW + $1, leased_until = 0, claim = '', attempts = 0 WHERE id = $2`
	setState  = `UPDATE connectpsp_state SET status = $1, returns = $2, centavos = $3, reference = $4, payment_id = $5,
		changed_at = NOW WHERE key = $6`
)

// Complete ends an item in a database transaction, which the context of change carries. See
// [webhook.Inbox] and [Tx].
func (i *Inbox) Complete(
	ctx context.Context, claim *webhook.Claim, change func(context.Context, webhook.TransactionState) (webhook.Result, error),
) error {
	err := i.store.inTransaction(ctx, func(tx *sql.Tx) error {
		id, known, err := i.lock(ctx, tx, claim)
		if err != nil {
			return err
		}
		result, err := change(context.WithValue(ctx, stepKey{}, step{i.store, tx}), known)
		if err != nil {
			return &functionError{err}
		}
		return i.end(ctx, tx, id, claim.Transaction, known, result)
	})
	if errors.Is(err, webhook.ErrClaimLost) || errors.Is(err, webhook.ErrLocked) {
		return err
	}
	return wrap(err)
}

// lock locks a claimed item and the state of its transaction, and returns its id and that state.
func (i *Inbox) lock(ctx context.Context, tx *sql.Tx, claim *webhook.Claim) (id int64, known webhook.TransactionState, err error) {
	if err := i.store.lockWriter(ctx, tx); err != nil {
		return 0, known, err
	}
	var status, returns, reference, paymentID string
	var centavos int64
	err = tx.QueryRowContext(ctx, i.store.text(lockItem), claim.Key, claim.Token).
		Scan(&id, &status, &returns, &centavos, &reference, &paymentID)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, known, i.whyNotLocked(ctx, tx, claim)
	}
	known = webhook.TransactionState{
		Status: webhook.Status(status), Amount: pix.Centavos(centavos),
		ExternalReference: unescape(reference), PaymentID: unescape(paymentID),
	}
	for _, id := range strings.Fields(returns) {
		known.Returns = append(known.Returns, unescape(id))
	}
	return id, known, err
}

// whyNotLocked tells a claim that is lost from a transaction of which another item is completed.
func (i *Inbox) whyNotLocked(ctx context.Context, tx *sql.Tx, claim *webhook.Claim) error {
	var ours int
	err := tx.QueryRowContext(ctx, i.store.text(`SELECT count(*) FROM connectpsp_queue
		WHERE id = (SELECT id FROM connectpsp_event WHERE key = $1) AND claim = $2 AND due_at IS NOT NULL`), claim.Key, claim.Token).Scan(&ours)
	switch {
	case err != nil:
		return err
	case ours == 0:
		return webhook.ErrClaimLost
	default:
		return webhook.ErrLocked
	}
}

// end ends an item, or makes it due again, and writes the state of its transaction if that has
// changed.
func (i *Inbox) end(
	ctx context.Context, tx *sql.Tx, id int64, transaction string, known webhook.TransactionState, result webhook.Result,
) error {
	s, next := i.store, result.State
	changed := next.Status != known.Status || next.Amount != known.Amount || next.ExternalReference != known.ExternalReference ||
		next.PaymentID != known.PaymentID || !slices.Equal(next.Returns, known.Returns)
	returns := make([]string, len(next.Returns))
	for n, id := range next.Returns {
		returns[n] = url.PathEscape(id)
	}
	state := []any{plain(string(next.Status)), strings.Join(returns, " "), next.Amount.Centavos(),
		url.PathEscape(next.ExternalReference), url.PathEscape(next.PaymentID), transaction}
	if result.RetryAt.IsZero() && changed {
		return s.both(ctx, tx, endItem+`$7`, setState, append(state, id)...)
	}
	var err error
	if result.RetryAt.IsZero() {
		_, err = tx.ExecContext(ctx, s.text(endItem+`$1`), id)
	} else {
		_, err = tx.ExecContext(ctx, s.text(retryItem), fromNow(result.RetryAt), id)
	}
	if err == nil && changed {
		_, err = tx.ExecContext(ctx, s.text(setState), state...)
	}
	return err
}

// unescape undoes url.PathEscape, by which an id, which may be any text of an event, has no spaces,
// no NUL and no byte that is not ASCII.
func unescape(escaped string) string {
	id, err := url.PathUnescape(escaped)
	if err != nil {
		return escaped
	}
	return id
}
