package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/webhook"
)

// Inbox is a [webhook.Inbox] in a database. [Store.Inbox] returns it. Goroutines may share it.
type Inbox struct {
	store *Store
	added chan struct{}
	floor floor
}

var _ webhook.Inbox = (*Inbox)(nil)

func newInbox(s *Store) *Inbox { return &Inbox{store: s, added: make(chan struct{}, 1)} }

// Added returns a channel that receives after [Inbox.Put] has stored an item. See [webhook.Inbox].
func (i *Inbox) Added() <-chan struct{} { return i.added }

// of returns the transaction of this store that the context carries, nil if there is none. With a
// connection of its own, what is put within a step would wait for the step, which waits for it.
func (i *Inbox) of(ctx context.Context) *sql.Tx {
	if step, ok := ctx.Value(stepKey{}).(step); ok && step.store == i.store {
		return step.tx
	}
	return nil
}

const (
	putEvent = `INSERT INTO connectpsp_event (key, body, body_sha256, received_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (key) DO NOTHING`
	putState = `INSERT INTO connectpsp_state (key) VALUES ($1) ON CONFLICT (key) DO NOTHING`
	putQueue = `INSERT INTO connectpsp_queue (id, key, "transaction", delivery_id, received_at, due_at, reason)
		SELECT id, $1, $5, $6, $4, CASE WHEN $8 = '' THEN NOW + $7 END, $8 FROM `
	// On PostgreSQL one statement does all three.
	putAll = `WITH event AS (` + putEvent + ` RETURNING id),
		state AS (INSERT INTO connectpsp_state (key) SELECT $5 FROM event ON CONFLICT (key) DO NOTHING) ` + putQueue + `event`
)

// Put stores an item. See [webhook.Inbox]. With the context of a Worker's function it stores the
// item in the transaction of the step.
func (i *Inbox) Put(ctx context.Context, item webhook.Item) (earlier *webhook.Digest, err error) {
	tx, s := i.of(ctx), i.store
	switch {
	case tx != nil:
		earlier, err = i.put(ctx, tx, item)
	case s.dialect == SQLite:
		err = s.inTransaction(ctx, func(tx *sql.Tx) error {
			earlier, err = i.put(ctx, tx, item)
			return err
		})
	default:
		err = s.atOnce(ctx, func(db querier) error {
			earlier, err = i.put(ctx, db, item)
			return err
		})
	}
	if err == nil && earlier == nil && tx == nil {
		i.wake()
	}
	return earlier, wrap(err)
}

func (i *Inbox) wake() {
	select {
	case i.added <- struct{}{}:
	default: // a worker that has not looked yet will see this item too
	}
}

func (i *Inbox) put(ctx context.Context, db querier, item webhook.Item) (*webhook.Digest, error) {
	digest := sha256.Sum256(item.Body)
	var body any
	if len(item.Body) > 0 {
		body = item.Body
	}
	arguments := []any{item.Key, body, digest[:], item.ReceivedAt.UnixMicro(), item.Transaction, plain(item.DeliveryID),
		item.Wait().Microseconds(), plain(item.Held)}
	added, err := i.insert(ctx, db, arguments)
	if err != nil || added {
		return nil, err
	}
	var earlier []byte
	err = db.QueryRowContext(ctx, i.store.text(`SELECT body_sha256 FROM connectpsp_event WHERE key = $1`), item.Key).Scan(&earlier)
	if err != nil {
		return nil, err
	}
	return (*webhook.Digest)(earlier), nil
}

// insert reports whether the item was added. The arguments are those of putAll.
func (i *Inbox) insert(ctx context.Context, db querier, arguments []any) (bool, error) {
	if i.store.dialect == PostgreSQL {
		result, err := db.ExecContext(ctx, i.store.text(putAll), arguments...)
		return isOne(result, err)
	}
	result, err := db.ExecContext(ctx, i.store.text(putEvent), arguments[:4]...)
	if added, err := isOne(result, err); err != nil || !added {
		return false, err
	}
	if _, err := db.ExecContext(ctx, i.store.text(putState), arguments[4]); err != nil {
		return false, err
	}
	_, err = db.ExecContext(ctx, i.store.text(putQueue+`connectpsp_event WHERE key = $1`), arguments...)
	return true, err
}

// isOne reports whether a statement has changed one row.
func isOne(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	changed, err := result.RowsAffected()
	return changed == 1, err
}

// plain makes any text one that PostgreSQL takes.
func plain(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "?")
}

// A claimed item is due again when its lease is over. An item that is being completed is locked,
// and skipped whatever its lease.
const (
	dueItems = `connectpsp_queue WHERE due_at <= NOW AND (due_at, id) > ($1, $2) AND leased_until <= NOW
	ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED`
	claimThose = `UPDATE connectpsp_queue SET leased_until = NOW + $4, claim = $5, attempts = attempts + 1 WHERE `
	claimed    = ` RETURNING id, due_at, key, "transaction",
	(SELECT body FROM connectpsp_event WHERE connectpsp_event.id = connectpsp_queue.id),
	delivery_id, received_at, leased_until, attempts`
)

// Claim claims up to limit items that are due, oldest first. See [webhook.Inbox].
func (i *Inbox) Claim(ctx context.Context, lease time.Duration, limit int) ([]*webhook.Claim, error) {
	from, whole := i.floor.begin()
	if i.store.dialect == SQLite {
		from, whole = queueStart, true // what was deleted is gone at once
	}
	claims, err := i.claimFrom(ctx, from, lease, limit)
	if len(claims) == 0 && err == nil && !whole && i.floor.isQuick() {
		claims, err = i.claimFrom(ctx, queueStart, lease, limit)
	}
	return claims, wrap(err)
}

// claimFrom claims items that are after a place.
func (i *Inbox) claimFrom(ctx context.Context, from place, lease time.Duration, limit int) ([]*webhook.Claim, error) {
	begun := time.Now()
	var found []placedClaim
	err := i.store.atOnce(ctx, func(db querier) (err error) {
		found, err = i.claim(ctx, db, from, lease, limit)
		return err
	})
	switch {
	case from != queueStart:
	case err != nil:
		i.floor.failed()
	default:
		i.floor.looked(time.Since(begun))
	}
	if err != nil || len(found) == 0 {
		return nil, err
	}
	slices.SortFunc(found, func(a, b placedClaim) int { return a.place.compare(b.place) })
	i.floor.set(found[len(found)-1].place)
	claims := make([]*webhook.Claim, len(found))
	for n, one := range found {
		claims[n] = one.claim
	}
	return claims, nil
}

// placedClaim is a claim and the place of its item in the queue.
type placedClaim struct {
	claim *webhook.Claim
	place place
}

func (i *Inbox) claim(ctx context.Context, db querier, from place, lease time.Duration, limit int) (found []placedClaim, err error) {
	token := uuid.NewString()
	statement := i.store.text(claimThose + i.store.dialect.among(dueItems) + claimed)
	rows, err := db.QueryContext(ctx, statement, from.dueAt, from.id, limit, lease.Microseconds(), token)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one := placedClaim{claim: &webhook.Claim{Token: token}}
		var received, until int64
		err := rows.Scan(&one.place.id, &one.place.dueAt, &one.claim.Key, &one.claim.Transaction, &one.claim.Body,
			&one.claim.DeliveryID, &received, &until, &one.claim.Attempts)
		if err != nil {
			return nil, err
		}
		one.claim.ReceivedAt, one.claim.Due = time.UnixMicro(received).UTC(), time.UnixMicro(until).UTC()
		found = append(found, one)
	}
	return found, rows.Err()
}

const postponeStatement = `UPDATE connectpsp_queue SET due_at = NOW + $1, leased_until = 0, claim = '', reason = $2, attempts = $3
	WHERE id = (SELECT id FROM connectpsp_event WHERE key = $4) AND claim = $5 AND due_at IS NOT NULL`

// Postpone releases an item. See [webhook.Inbox].
func (i *Inbox) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	return i.ours(i.store.change(ctx, postponeStatement, fromNow(due), plain(reason), claim.Attempts, claim.Key, claim.Token))
}

const holdStatement = `UPDATE connectpsp_queue SET due_at = NULL, leased_until = 0, claim = '', reason = $1
	WHERE id = (SELECT id FROM connectpsp_event WHERE key = $2) AND claim = $3 AND due_at IS NOT NULL`

// Hold puts an item aside for manual review. See [webhook.Inbox].
func (i *Inbox) Hold(ctx context.Context, claim *webhook.Claim, reason string) error {
	return i.ours(i.store.change(ctx, holdStatement, plain(reason), claim.Key, claim.Token))
}

// ours returns ErrClaimLost if a statement has not found the claim that it is about.
func (i *Inbox) ours(changed int64, err error) error {
	if err == nil && changed == 0 {
		return webhook.ErrClaimLost
	}
	return err
}

// fromNow is how many microseconds from now a time of the local clock is. The database adds them to
// its own.
func fromNow(t time.Time) int64 { return time.Until(t).Microseconds() }
