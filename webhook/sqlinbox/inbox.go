package sqlinbox

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// Inbox is a webhook.Inbox in a database. Make it with Open. It may be shared by goroutines, and any number of processes may
// have one on the same database.
type Inbox struct {
	db      *sql.DB
	dialect Dialect

	lockSchema string
	claim      string
	known      string
}

var _ webhook.Inbox = (*Inbox)(nil)

// Open returns an Inbox on db, and makes or updates its tables. The db stays yours: it is not closed with the Inbox, which
// needs no closing.
func Open(ctx context.Context, db *sql.DB, dialect Dialect) (*Inbox, error) {
	if db == nil || dialect != PostgreSQL && dialect != SQLite {
		return nil, errors.New("sqlinbox: Open needs a database, and PostgreSQL or SQLite")
	}
	i := &Inbox{
		db:         db,
		dialect:    dialect,
		lockSchema: `DELETE FROM connectpsp_schema WHERE version < 0`,
		claim:      dialect.translate(claimStatement),
		known:      dialect.translate(knownStatement),
	}
	if dialect == PostgreSQL {
		i.lockSchema = `LOCK TABLE connectpsp_schema IN ACCESS EXCLUSIVE MODE`
	}
	if err := i.migrate(ctx); err != nil {
		return nil, fmt.Errorf("sqlinbox: the tables cannot be made: %w", err)
	}
	return i, nil
}

type txKey struct{}

// Tx returns the transaction in which a step is settled, from the context of the function of a webhook.Worker. It panics if
// there is none: in any other context, and with another Inbox.
func Tx(ctx context.Context) *sql.Tx {
	tx, ok := ctx.Value(txKey{}).(*sql.Tx)
	if !ok {
		panic("sqlinbox: this is not the context of a Worker's function on a database")
	}
	return tx
}

func microseconds(t time.Time) int64 { return t.UnixMicro() }

// Put keeps an item. See webhook.Inbox.
func (i *Inbox) Put(ctx context.Context, item webhook.Item) (*webhook.Digest, error) {
	state := "PENDING"
	if item.Held != "" {
		state = "HELD"
	}
	digest := sha256.Sum256(item.Body)
	body := item.Body
	if body == nil {
		body = []byte{}
	}
	result, err := i.db.ExecContext(ctx, `INSERT INTO connectpsp_inbox
(key, "transaction", body, body_sha256, delivery_id, received_at, state, due_at, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (key) DO NOTHING`,
		item.Key, item.Transaction, body, digest[:], text(item.DeliveryID), microseconds(item.ReceivedAt), state, microseconds(item.Due), text(item.Held))
	if err != nil {
		return nil, fmt.Errorf("sqlinbox: %w", err)
	}
	if added, err := result.RowsAffected(); err != nil || added == 1 {
		return nil, err
	}
	var earlier []byte
	err = i.db.QueryRowContext(ctx, `SELECT body_sha256 FROM connectpsp_inbox WHERE key = $1`, item.Key).Scan(&earlier)
	if err != nil {
		return nil, fmt.Errorf("sqlinbox: %w", err)
	}
	return (*webhook.Digest)(earlier), nil
}

// A claimed item stays PENDING and is due again when its lease is over.
const claimStatement = `UPDATE connectpsp_inbox SET due_at = $1, claim = $2, attempts = attempts + 1
WHERE key = (SELECT key FROM connectpsp_inbox WHERE state = 'PENDING' AND due_at <= $3 ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING key, "transaction", body, delivery_id, received_at, attempts`

// Claim takes an item that is due. See webhook.Inbox.
func (i *Inbox) Claim(ctx context.Context, lease time.Duration) (*webhook.Claim, error) {
	now := time.Now()
	claim := &webhook.Claim{Token: uuid.NewString()}
	claim.Due = now.Add(lease)
	var received int64
	err := i.db.QueryRowContext(ctx, i.claim, microseconds(claim.Due), claim.Token, microseconds(now)).
		Scan(&claim.Key, &claim.Transaction, &claim.Body, &claim.DeliveryID, &received, &claim.Attempts)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sqlinbox: %w", err)
	}
	claim.ReceivedAt = time.UnixMicro(received).UTC()
	return claim, nil
}

const knownStatement = `SELECT status, returns, centavos, reference FROM connectpsp_transaction WHERE key = $1 FOR UPDATE`

// Settle ends an item in a transaction of the database, which change finds in its context. See webhook.Inbox and Tx.
func (i *Inbox) Settle(ctx context.Context, claim *webhook.Claim, change func(context.Context, webhook.Known) (webhook.Settlement, error)) error {
	return i.inTransaction(ctx, func(tx *sql.Tx) error {
		// This row is locked first and written last: whoever has it has the item, also if its lease ends meanwhile.
		if err := i.lock(ctx, tx, claim); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO connectpsp_transaction (key, status, returns, centavos, reference, changed_at)
VALUES ($1, '', '', 0, '', 0) ON CONFLICT (key) DO NOTHING`, claim.Transaction)
		if err != nil {
			return err
		}
		known, err := i.knownOf(ctx, tx, claim.Transaction)
		if err != nil {
			return err
		}
		settlement, err := change(context.WithValue(ctx, txKey{}, tx), known)
		if err != nil {
			return &changeError{err}
		}
		now := microseconds(time.Now())
		if err := i.know(ctx, tx, claim.Transaction, known, settlement.Known, now); err != nil {
			return err
		}
		if settlement.Again.IsZero() {
			_, err = tx.ExecContext(ctx, `UPDATE connectpsp_inbox SET state = 'DONE', claim = '', reason = '', finished_at = $1 WHERE key = $2`, now, claim.Key)
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE connectpsp_inbox SET due_at = $1, claim = '' WHERE key = $2`, microseconds(settlement.Again), claim.Key)
		}
		return err
	})
}

// knownOf reads and locks what is known of a transaction.
func (i *Inbox) knownOf(ctx context.Context, tx *sql.Tx, transaction string) (webhook.Known, error) {
	var status, returns, reference string
	var centavos int64
	err := tx.QueryRowContext(ctx, i.known, transaction).Scan(&status, &returns, &centavos, &reference)
	known := webhook.Known{Status: webhook.Status(status), Amount: pix.Centavos(centavos), ExternalReference: unescape(reference)}
	for _, id := range strings.Fields(returns) {
		known.Returns = append(known.Returns, unescape(id))
	}
	return known, err
}

// know writes what is known of a transaction, if that is news.
func (i *Inbox) know(ctx context.Context, tx *sql.Tx, transaction string, known, next webhook.Known, now int64) error {
	if next.Status == known.Status && len(next.Returns) == len(known.Returns) && next.Amount == known.Amount && next.ExternalReference == known.ExternalReference {
		return nil
	}
	returns := make([]string, len(next.Returns))
	for n, id := range next.Returns {
		returns[n] = url.PathEscape(id)
	}
	_, err := tx.ExecContext(ctx, `UPDATE connectpsp_transaction SET status = $1, returns = $2, centavos = $3, reference = $4, changed_at = $5 WHERE key = $6`,
		text(string(next.Status)), strings.Join(returns, " "), next.Amount.Centavos(), url.PathEscape(next.ExternalReference), now, transaction)
	return err
}

// unescape undoes url.PathEscape, by which an id, which may be any text of an event, has no spaces, no NUL and no byte that is not
// ASCII.
func unescape(escaped string) string {
	id, err := url.PathUnescape(escaped)
	if err != nil {
		return escaped
	}
	return id
}

// changeError is the error of somebody else's function, to be returned as it is.
type changeError struct{ error }

// lock locks a claimed item, if the claim still holds.
func (i *Inbox) lock(ctx context.Context, tx *sql.Tx, claim *webhook.Claim) error {
	result, err := tx.ExecContext(ctx, `UPDATE connectpsp_inbox SET reason = reason WHERE key = $1 AND claim = $2 AND state = 'PENDING'`,
		claim.Key, claim.Token)
	return ours(result, err)
}

// ours tells whether a statement found the claim that it is about.
func ours(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	switch rows, err := result.RowsAffected(); {
	case err != nil:
		return err
	case rows == 0:
		return webhook.ErrClaimLost
	default:
		return nil
	}
}

// inTransaction does something in a transaction.
func (i *Inbox) inTransaction(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := i.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlinbox: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err = do(tx); err == nil {
		err = tx.Commit()
	}
	var theirs *changeError
	switch {
	case err == nil || errors.Is(err, webhook.ErrClaimLost):
		return err
	case errors.As(err, &theirs):
		return theirs.error
	default:
		return fmt.Errorf("sqlinbox: %w", err)
	}
}

// Postpone gives an item back. See webhook.Inbox.
func (i *Inbox) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	err := ours(i.db.ExecContext(ctx, `UPDATE connectpsp_inbox SET due_at = $1, claim = '', reason = $2
WHERE key = $3 AND claim = $4 AND state = 'PENDING'`, microseconds(due), text(reason), claim.Key, claim.Token))
	if err != nil && !errors.Is(err, webhook.ErrClaimLost) {
		err = fmt.Errorf("sqlinbox: %w", err)
	}
	return err
}

// Hold keeps an item for a person. See webhook.Inbox.
func (i *Inbox) Hold(ctx context.Context, claim *webhook.Claim, reason string) error {
	err := ours(i.db.ExecContext(ctx, `UPDATE connectpsp_inbox SET state = 'HELD', claim = '', reason = $1
WHERE key = $2 AND claim = $3 AND state = 'PENDING'`, text(reason), claim.Key, claim.Token))
	if err != nil && !errors.Is(err, webhook.ErrClaimLost) {
		err = fmt.Errorf("sqlinbox: %w", err)
	}
	return err
}

// text makes any text one that PostgreSQL takes.
func text(reason string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(reason, "?"), "\x00", "?")
}

// Held returns up to limit items that are kept for a person, oldest first.
func (i *Inbox) Held(ctx context.Context, limit int) (held []webhook.Item, err error) {
	rows, err := i.db.QueryContext(ctx, `SELECT key, "transaction", body, delivery_id, received_at, due_at, reason
FROM connectpsp_inbox WHERE state = 'HELD' ORDER BY received_at LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("sqlinbox: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var item webhook.Item
		var received, due int64
		if err := rows.Scan(&item.Key, &item.Transaction, &item.Body, &item.DeliveryID, &received, &due, &item.Held); err != nil {
			return nil, fmt.Errorf("sqlinbox: %w", err)
		}
		item.ReceivedAt, item.Due = time.UnixMicro(received).UTC(), time.UnixMicro(due).UTC()
		held = append(held, item)
	}
	return held, rows.Err()
}

// Retry makes an item that is kept for a person due now, as if it had never been tried. It reports whether there is one.
func (i *Inbox) Retry(ctx context.Context, key string) (bool, error) {
	return found(i.db.ExecContext(ctx, `UPDATE connectpsp_inbox SET state = 'PENDING', due_at = $1, attempts = 0, reason = ''
WHERE key = $2 AND state = 'HELD'`, microseconds(time.Now()), key))
}

// found tells whether a statement found the item that it is about.
func found(result sql.Result, err error) (bool, error) {
	err = ours(result, err)
	switch {
	case errors.Is(err, webhook.ErrClaimLost):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("sqlinbox: %w", err)
	default:
		return true, nil
	}
}

// Dismiss ends an item that is kept for a person, who has seen to it: it has no effect any more. It reports whether there is one.
func (i *Inbox) Dismiss(ctx context.Context, key string) (bool, error) {
	return found(i.db.ExecContext(ctx, `UPDATE connectpsp_inbox SET state = 'DONE', finished_at = $1 WHERE key = $2 AND state = 'HELD'`,
		microseconds(time.Now()), key))
}

// Forget erases the bodies of events that were done before a time, and with them the personal data. Their keys and digests
// stay, so that none of them is ever taken for a new one.
func (i *Inbox) Forget(ctx context.Context, before time.Time) (forgotten int64, err error) {
	result, err := i.db.ExecContext(ctx, `UPDATE connectpsp_inbox SET body = $1 WHERE state = 'DONE' AND finished_at < $2 AND length(body) > 0`,
		[]byte{}, microseconds(before))
	if err != nil {
		return 0, fmt.Errorf("sqlinbox: %w", err)
	}
	return result.RowsAffected()
}
