package integration

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// backlog puts so many events into the queue, each of its own transaction and due after the last.
func backlog(t *testing.T, db *sql.DB, events int) {
	last := number(t, db, `SELECT count(*) FROM connectpsp_event`)
	execute(t, db, `INSERT INTO connectpsp_event (key, body, body_sha256, received_at)
SELECT 'event' || n, 'body', 'digest', n FROM generate_series($1::bigint, $2::bigint) n`, last+1, last+events)
	execute(t, db, `INSERT INTO connectpsp_state (key) SELECT key FROM connectpsp_event WHERE received_at > $1`, last)
	execute(t, db, `INSERT INTO connectpsp_queue (id, key, "transaction", delivery_id, received_at, due_at)
SELECT id, key, key, '', received_at, received_at FROM connectpsp_event WHERE received_at > $1`, last)
}

// drain claims and completes all that is due, in several goroutines, and counts it.
func drain(t *testing.T, inbox *sqlstore.Inbox) (completed int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				claims, err := inbox.Claim(t.Context(), time.Minute, 64)
				if !assert.NoError(t, err) || len(claims) == 0 {
					return
				}
				for _, claim := range claims {
					err := inbox.Complete(t.Context(), claim, func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
						known.Status = webhook.StatusPaid
						return webhook.Result{State: known}, nil
					})
					if !assert.NoError(t, err) {
						return
					}
					mu.Lock()
					completed++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return completed
}

// touched is how many pages of the queue and its indexes were looked at, when so many events were
// completed. Sessions report that when they end.
func touched(t *testing.T, db *sql.DB, completed int) int {
	t.Helper()
	db.SetMaxIdleConns(0)
	defer db.SetMaxIdleConns(24)
	require.Eventually(t, func() bool {
		return number(t, db, `SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'connectpsp_queue'`) == completed
	}, time.Minute, 50*time.Millisecond)
	return number(t, db, `SELECT heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read
FROM pg_statio_user_tables WHERE relname = 'connectpsp_queue'`)
}

// A backup holds a transaction open for an hour. Nothing may remove dead rows then, and a claim
// must not step over all of them.
func TestAClaimLooksAtFewPagesWhileAnotherTransactionStaysOpen(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		if s.dialect == sqlstore.SQLite {
			t.Skip("SQLite keeps no dead rows")
		}
		inbox := openInbox(t, s, db)
		backup, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		require.NoError(t, err)
		defer func() { assert.NoError(t, backup.Rollback()) }()
		_, err = backup.ExecContext(t.Context(), `SELECT count(*) FROM connectpsp_event`)
		require.NoError(t, err)
		const lot = 10_000
		for range 3 {
			backlog(t, db, lot)
			require.Equal(t, lot, drain(t, inbox))
		}
		execute(t, db, `ANALYZE`) // as autovacuum does, when the queue happens to be empty
		backlog(t, db, lot)
		before := touched(t, db, 3*lot)
		require.Equal(t, lot, drain(t, inbox))
		assert.LessOrEqual(t, (touched(t, db, 4*lot)-before)/lot, 50, "pages for each event")
	})
}

// An event that is put while others are claimed may be due before them: its Put has committed late.
func TestAnEventThatIsDueBeforeThoseThatWereClaimedIsFound(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		put(t, inbox, item("a"))
		require.NotNil(t, claim(t, inbox))
		late := item("late")
		late.Due = late.ReceivedAt.Add(-time.Hour)
		put(t, inbox, late)
		var found *webhook.Claim
		require.Eventually(t, func() bool {
			found = claim(t, inbox)
			return found != nil
		}, time.Minute, 10*time.Millisecond)
		assert.Equal(t, "late", found.Key)
	})
}

// Whatever the isolation that the database has by default.
func TestAnInboxWorksWhenTheDatabaseIsSerializableByDefault(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		if s.dialect == sqlstore.SQLite {
			t.Skip("SQLite is always serializable")
		}
		execute(t, db, `DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_isolation = ''serializable'''; END $$`)
		db.SetMaxIdleConns(0) // the setting is for new connections
		require.Equal(t, 1, number(t, db, `SELECT count(*) WHERE current_setting('transaction_isolation') = 'serializable'`))
		inbox := openInbox(t, s, db)
		backlog(t, db, 500)
		put(t, inbox, item("a"))
		assert.Equal(t, 501, drain(t, inbox), "without an error of serialization")
	})
}
