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

// Inbox is a webhook.Inbox in a database. Make it with Open. It may be shared by goroutines, and
// any number of processes may have one on the same database.
type Inbox struct {
	db      *sql.DB
	dialect Dialect

	lockSchema string
	put        string
	claim      string
	known      string
	postpone   string
	again      string
	done       string
	retry      string
	dismiss    string
}

var _ webhook.Inbox = (*Inbox)(nil)

// Open returns an Inbox on db, and makes or updates its tables; where they are up to date it only
// reads. The db stays yours: it is not closed with the Inbox, which needs no closing.
func Open(ctx context.Context, db *sql.DB, dialect Dialect) (*Inbox, error) {
	if db == nil || dialect != PostgreSQL && dialect != SQLite {
		return nil, errors.New("sqlinbox: Open needs a database, and PostgreSQL or SQLite")
	}
	i := &Inbox{
		db:         db,
		dialect:    dialect,
		lockSchema: `DELETE FROM connectpsp_schema WHERE version < 0`,
		put:        dialect.translate(putStatement),
		claim:      dialect.translate(claimStatement),
		known:      dialect.translate(knownStatement),
		postpone:   dialect.translate(postponeStatement),
		again:      dialect.translate(againStatement),
		done:       dialect.translate(doneStatement),
		retry:      dialect.translate(retryStatement),
		dismiss:    dialect.translate(dismissStatement),
	}
	if dialect == PostgreSQL {
		i.lockSchema = `LOCK TABLE connectpsp_schema IN ACCESS EXCLUSIVE MODE`
	}
	if err := i.migrate(ctx); err != nil {
		return nil, fmt.Errorf("sqlinbox: the tables cannot be made: %w", err)
	}
	return i, nil
}

type stepKey struct{}

// step is the value in the context of a Worker's function.
type step struct {
	inbox *Inbox
	tx    *sql.Tx
}

// Tx returns the transaction in which a step is settled, from the context of the function of a
// webhook.Worker. It panics if there is none: in any other context, and with a webhook.MemoryInbox.
func Tx(ctx context.Context) *sql.Tx {
	step, ok := ctx.Value(stepKey{}).(step)
	if !ok {
		panic("sqlinbox: this is not the context of a Worker's function on a database")
	}
	return step.tx
}

// querier is a database or a transaction of it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// querier returns the transaction of this inbox that the context carries, else the database. With a
// connection of its own, what is put within a step would wait for the step, which waits for it.
func (i *Inbox) querier(ctx context.Context) querier {
	if step, ok := ctx.Value(stepKey{}).(step); ok && step.inbox == i {
		return step.tx
	}
	return i.db
}

func microseconds(t time.Time) int64 { return t.UnixMicro() }

// fromNow is how many microseconds from now a time of the local clock is. The database adds them to
// its own.
func fromNow(t time.Time) int64 { return time.Until(t).Microseconds() }

const putStatement = `INSERT INTO connectpsp_inbox
(key, "transaction", body, body_sha256, delivery_id, received_at, state, due_at, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, NOW + $8, $9) ON CONFLICT (key) DO NOTHING`

// Put keeps an item. See webhook.Inbox. With the context of a Worker's function it does so in the
// transaction of the step.
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
	db := i.querier(ctx)
	result, err := db.ExecContext(ctx, i.put, item.Key, item.Transaction, body, digest[:], text(item.DeliveryID),
		microseconds(item.ReceivedAt), state, item.Wait().Microseconds(), text(item.Held))
	if err != nil {
		return nil, fmt.Errorf("sqlinbox: %w", err)
	}
	if added, err := result.RowsAffected(); err != nil || added == 1 {
		return nil, err
	}
	var earlier []byte
	err = db.QueryRowContext(ctx, `SELECT body_sha256 FROM connectpsp_inbox WHERE key = $1`, item.Key).Scan(&earlier)
	if err != nil {
		return nil, fmt.Errorf("sqlinbox: %w", err)
	}
	return (*webhook.Digest)(earlier), nil
}

// A claimed item stays PENDING and is due again when its lease is over.
const claimStatement = `UPDATE connectpsp_inbox SET due_at = NOW + $1, claim = $2, attempts = attempts + 1
WHERE key = (SELECT key FROM connectpsp_inbox WHERE state = 'PENDING' AND due_at <= NOW ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING key, "transaction", body, delivery_id, received_at, due_at, attempts`

// Claim takes an item that is due. See webhook.Inbox.
func (i *Inbox) Claim(ctx context.Context, lease time.Duration) (*webhook.Claim, error) {
	claim := &webhook.Claim{Token: uuid.NewString()}
	var received, due int64
	err := i.db.QueryRowContext(ctx, i.claim, lease.Microseconds(), claim.Token).
		Scan(&claim.Key, &claim.Transaction, &claim.Body, &claim.DeliveryID, &received, &due, &claim.Attempts)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sqlinbox: %w", err)
	}
	claim.ReceivedAt, claim.Due = time.UnixMicro(received).UTC(), time.UnixMicro(due).UTC()
	return claim, nil
}

const (
	knownStatement = `SELECT status, returns, centavos, reference, payment_id FROM connectpsp_transaction WHERE key = $1 FOR UPDATE`
	againStatement = `UPDATE connectpsp_inbox SET due_at = NOW + $1, claim = '', attempts = 0 WHERE key = $2`
	doneStatement  = `UPDATE connectpsp_inbox SET state = 'DONE', claim = '', reason = '', finished_at = NOW WHERE key = $1`
)

// Complete ends an item in a transaction of the database, which change finds in its context. See
// webhook.Inbox and Tx.
func (i *Inbox) Complete(ctx context.Context, claim *webhook.Claim, change func(context.Context, webhook.TransactionState) (webhook.Result, error)) error {
	return i.inTransaction(ctx, func(tx *sql.Tx) error {
		// This row is locked first and written last: whoever has it has the item, also if its lease
		// ends meanwhile.
		if err := i.lock(ctx, tx, claim); err != nil {
			return err
		}
		if err := i.lockTransaction(ctx, tx, claim.Transaction); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO connectpsp_transaction (key, status, returns, centavos, reference, changed_at)
VALUES ($1, '', '', 0, '', 0) ON CONFLICT (key) DO NOTHING`, claim.Transaction)
		if err != nil {
			return err
		}
		known, err := i.stateOf(ctx, tx, claim.Transaction)
		if err != nil {
			return err
		}
		result, err := change(context.WithValue(ctx, stepKey{}, step{i, tx}), known)
		if err != nil {
			return &changeError{err}
		}
		if err := i.writeState(ctx, tx, claim.Transaction, known, result.State); err != nil {
			return err
		}
		if result.RetryAt.IsZero() {
			_, err = tx.ExecContext(ctx, i.done, claim.Key)
		} else {
			_, err = tx.ExecContext(ctx, i.again, fromNow(result.RetryAt), claim.Key)
		}
		return err
	})
}

// lockTransaction makes sure that nobody settles another item of a PIX transaction, without
// waiting: else one long function would hold every worker that meets its transaction. Its row would
// not do, because the first to insert it makes others wait. The lock ends with the database
// transaction. SQLite needs none, where whoever writes is alone.
func (i *Inbox) lockTransaction(ctx context.Context, tx *sql.Tx, transaction string) error {
	if i.dialect != PostgreSQL {
		return nil
	}
	var locked bool
	err := tx.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended('connectpsp_transaction/' || $1, 0))`, transaction).Scan(&locked)
	if err == nil && !locked {
		err = webhook.ErrLocked
	}
	return err
}

// stateOf reads and locks the recorded state of a transaction.
func (i *Inbox) stateOf(ctx context.Context, tx *sql.Tx, transaction string) (webhook.TransactionState, error) {
	var status, returns, reference, paymentID string
	var centavos int64
	err := tx.QueryRowContext(ctx, i.known, transaction).Scan(&status, &returns, &centavos, &reference, &paymentID)
	known := webhook.TransactionState{
		Status: webhook.Status(status), Amount: pix.Centavos(centavos),
		ExternalReference: unescape(reference), PaymentID: unescape(paymentID),
	}
	for _, id := range strings.Fields(returns) {
		known.Returns = append(known.Returns, unescape(id))
	}
	return known, err
}

// writeState writes the state of a transaction, if it has changed.
func (i *Inbox) writeState(ctx context.Context, tx *sql.Tx, transaction string, known, next webhook.TransactionState) error {
	if next.Status == known.Status && len(next.Returns) == len(known.Returns) && next.Amount == known.Amount &&
		next.ExternalReference == known.ExternalReference && next.PaymentID == known.PaymentID {
		return nil
	}
	returns := make([]string, len(next.Returns))
	for n, id := range next.Returns {
		returns[n] = url.PathEscape(id)
	}
	_, err := tx.ExecContext(ctx, `UPDATE connectpsp_transaction
SET status = $1, returns = $2, centavos = $3, reference = $4, payment_id = $5, changed_at = $6 WHERE key = $7`,
		text(string(next.Status)), strings.Join(returns, " "), next.Amount.Centavos(), url.PathEscape(next.ExternalReference),
		url.PathEscape(next.PaymentID), microseconds(time.Now()), transaction)
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
	connection, err := i.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("sqlinbox: %w", err)
	}
	defer connection.Close()
	// With ctx itself database/sql would roll back, and free the locks, at the end of ctx, under a
	// function that still runs.
	tx, err := connection.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return fmt.Errorf("sqlinbox: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err = do(tx); err == nil {
		err = tx.Commit()
	}
	var theirs *changeError
	switch {
	case err == nil || errors.Is(err, webhook.ErrClaimLost) || errors.Is(err, webhook.ErrLocked):
		return err
	case errors.As(err, &theirs):
		return theirs.error
	default:
		return fmt.Errorf("sqlinbox: %w", err)
	}
}

const postponeStatement = `UPDATE connectpsp_inbox SET due_at = NOW + $1, claim = '', reason = $2, attempts = $3
WHERE key = $4 AND claim = $5 AND state = 'PENDING'`

// Postpone gives an item back. See webhook.Inbox.
func (i *Inbox) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	err := ours(i.db.ExecContext(ctx, i.postpone, fromNow(due), text(reason), claim.Attempts, claim.Key, claim.Token))
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

const (
	retryStatement   = `UPDATE connectpsp_inbox SET state = 'PENDING', due_at = NOW, attempts = 0, reason = '' WHERE key = $1 AND state = 'HELD'`
	dismissStatement = `UPDATE connectpsp_inbox SET state = 'DONE', finished_at = NOW WHERE key = $1 AND state = 'HELD'`
)

// Retry makes an item that is kept for a person due now, as if it had never been tried. It reports
// whether there is one.
func (i *Inbox) Retry(ctx context.Context, key string) (bool, error) {
	return found(i.db.ExecContext(ctx, i.retry, key))
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

// Dismiss ends an item that is kept for a person, who has seen to it: it has no effect any more. It
// reports whether there is one.
func (i *Inbox) Dismiss(ctx context.Context, key string) (bool, error) {
	return found(i.db.ExecContext(ctx, i.dismiss, key))
}

// Forget erases the bodies of events that were done before a time, and with them the personal data.
// Their keys and digests stay, so that none of them is ever taken for a new one.
func (i *Inbox) Forget(ctx context.Context, before time.Time) (forgotten int64, err error) {
	result, err := i.db.ExecContext(ctx, `UPDATE connectpsp_inbox SET body = $1 WHERE state = 'DONE' AND finished_at < $2 AND length(body) > 0`,
		[]byte{}, microseconds(before))
	if err != nil {
		return 0, fmt.Errorf("sqlinbox: %w", err)
	}
	return result.RowsAffected()
}
