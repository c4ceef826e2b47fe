package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/connectpsp/connectpsp-go/webhook"
)

// Held returns up to limit items that are held for manual review: the dead letters, oldest first.
func (i *Inbox) Held(ctx context.Context, limit int) (held []webhook.Item, err error) {
	rows, err := i.store.db.QueryContext(ctx, i.store.text(`SELECT queue.key, queue."transaction", event.body, queue.delivery_id,
		queue.received_at, queue.reason FROM connectpsp_queue queue JOIN connectpsp_event event ON event.id = queue.id
		WHERE queue.due_at IS NULL ORDER BY queue.received_at LIMIT $1`), limit)
	if err != nil {
		return nil, wrap(err)
	}
	defer func() { err = errors.Join(err, wrap(rows.Close())) }()
	for rows.Next() {
		var item webhook.Item
		var received int64
		if err := rows.Scan(&item.Key, &item.Transaction, &item.Body, &item.DeliveryID, &received, &item.Held); err != nil {
			return nil, wrap(err)
		}
		item.ReceivedAt = time.UnixMicro(received).UTC()
		item.Due = item.ReceivedAt
		held = append(held, item)
	}
	return held, wrap(rows.Err())
}

// countedItems bounds the items that State reads: a backlog must not make it slow.
const countedItems = 10_000

const countItems = `SELECT count(*), NOW - min(due_at),
		(SELECT count(*) FROM (SELECT 1 FROM connectpsp_queue WHERE due_at IS NULL LIMIT $1) held)
	FROM (SELECT due_at FROM connectpsp_queue WHERE due_at <= NOW ORDER BY due_at, id LIMIT $1) due`

// State counts the items that are due, and those that are held, each up to 10,000. See
// [webhook.InboxState].
func (i *Inbox) State(ctx context.Context) (state webhook.InboxState, err error) {
	var oldest sql.NullInt64
	err = i.store.db.QueryRowContext(ctx, i.store.text(countItems), countedItems).Scan(&state.Due, &oldest, &state.Held)
	state.OldestDue = localTime(oldest, time.Now())
	return state, wrap(err)
}

const ofHeldKey = ` WHERE due_at IS NULL AND id = (SELECT id FROM connectpsp_event WHERE key = $1)`

// Retry makes a held item due now, with no attempts counted. It reports whether the inbox holds an
// item with this key.
func (i *Inbox) Retry(ctx context.Context, key string) (bool, error) {
	changed, err := i.store.change(ctx, `UPDATE connectpsp_queue SET due_at = NOW, attempts = 0, reason = ''`+ofHeldKey, key)
	if changed > 0 {
		i.wake()
	}
	return changed > 0, err
}

// Dismiss ends a held item without any effect, after somebody has dealt with it. It reports whether
// the inbox holds an item with this key.
func (i *Inbox) Dismiss(ctx context.Context, key string) (bool, error) {
	changed, err := i.store.change(ctx, `DELETE FROM connectpsp_queue`+ofHeldKey, key)
	return changed > 0, err
}

// forgetAtOnce is how many bodies one statement erases, so that none holds up the inbox.
const forgetAtOnce = 1000

const forgettable = `connectpsp_event event WHERE body IS NOT NULL AND received_at >= $1 AND received_at < $2
	AND NOT EXISTS (SELECT 1 FROM connectpsp_queue queue WHERE queue.id = event.id) ORDER BY received_at LIMIT $3`

// Forget erases the bodies of the events that were received before the given time and are done, and
// with them the personal data. Their keys and digests stay, so the inbox deduplicates them for
// ever. Forget works in batches and returns the number of bodies that it has erased, also when a
// batch fails. Call it regularly, such as each hour with the time of 30 days ago.
func (i *Inbox) Forget(ctx context.Context, before time.Time) (forgotten int64, err error) {
	from := int64(0)
	for {
		erased, last, err := i.forget(ctx, from, before)
		forgotten += erased
		if err != nil || erased < forgetAtOnce {
			return forgotten, wrap(err)
		}
		from = last // nothing that was erased is passed over again
	}
}

func (i *Inbox) forget(ctx context.Context, from int64, before time.Time) (erased, last int64, err error) {
	err = i.store.atOnce(ctx, func(db querier) (err error) {
		statement := `UPDATE connectpsp_event SET body = NULL WHERE ` + i.store.dialect.among(forgettable) + ` RETURNING received_at`
		rows, err := db.QueryContext(ctx, i.store.text(statement), from, before.UnixMicro(), forgetAtOnce)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var received int64
			if err := rows.Scan(&received); err != nil {
				return err
			}
			erased, last = erased+1, max(last, received)
		}
		return rows.Err()
	})
	return erased, last, err
}

// ForgetHeld ends the held events that were received before the given time, as [Inbox.Dismiss]
// does, and erases their bodies. It returns their number. Look at [Inbox.Held] first: each was held
// for a reason.
func (i *Inbox) ForgetHeld(ctx context.Context, before time.Time) (forgotten int64, err error) {
	const received = `FROM connectpsp_queue WHERE due_at IS NULL AND received_at < $1`
	err = i.store.inTransaction(ctx, func(tx *sql.Tx) error {
		if err := i.store.lockWriter(ctx, tx); err != nil {
			return err
		}
		// The rows are locked first: one that is retried in between stays.
		rows, err := tx.QueryContext(ctx, i.store.text(`DELETE `+received+` RETURNING id`), before.UnixMicro())
		if err != nil {
			return err
		}
		ids, err := numbers(rows)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, i.store.text(`UPDATE connectpsp_event SET body = NULL WHERE id = $1`), id); err != nil {
				return err
			}
		}
		forgotten = int64(len(ids))
		return nil
	})
	return forgotten, wrap(err)
}

// numbers reads rows of one number each.
func numbers(rows *sql.Rows) (all []int64, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var number int64
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		all = append(all, number)
	}
	return all, rows.Err()
}
