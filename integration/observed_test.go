package integration

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sqlstore"
)

// watcher is an Observer that keeps the writes that have ended.
type watcher struct {
	mu    sync.Mutex
	ended []connectpsp.JournalWrite
}

func (w *watcher) Begin(ctx context.Context, _ any) context.Context { return ctx }

func (w *watcher) End(_ context.Context, activity any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, activity.(connectpsp.JournalWrite))
}

func TestAnObserverSeesEachWriteOfTheJournal(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		seen, a := new(watcher), newAlongside(t, db)
		journal := openStore(t, s, db, sqlstore.WithObserver(seen), sqlstore.WithObserver(nil)).Journal()
		intent := cashOutIntent("key")
		beginIntent(t, journal, intent)
		a.refuses = errNotAnyMore
		require.Error(t, journal.SentWith(t.Context(), "key", time.Now(), a.write))
		late, stop := context.WithTimeout(t.Context(), 0)
		defer stop()
		require.Error(t, journal.Sent(late, "key", time.Now()))
		require.NoError(t, journal.Sent(t.Context(), "key", time.Now()))
		a.refuses = nil
		require.NoError(t, journal.FinishWith(t.Context(), "key", connectpsp.OutcomeAccepted, "id", a.write))
		for n := range seen.ended {
			assert.Positive(t, seen.ended[n].Duration)
			seen.ended[n].Duration = 0
		}
		assert.Equal(t, []connectpsp.JournalWrite{{Step: "begin"}, {Step: "sent"}, {Step: "sent", Failed: true}, {Step: "sent"}, {Step: "finish"}}, seen.ended)
	})
}

// A scrape comes every few seconds, from every process.
func TestOpenPaymentsAndTheStateOfAnInboxAreReadByTheirIndexes(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		if s.dialect == sqlstore.SQLite {
			t.Skip("a backlog is made by a function of PostgreSQL")
		}
		store := openStore(t, s, db)
		const ended, open, due = 100_000, 1000, 100_000
		execute(t, db, `INSERT INTO connectpsp_payment (payment, key, operation, external_reference, charge_id, transaction_id, centavos,
	body_sha256, client_id, base_url, outcome, begun_at, sent_at, ended_at, owner, leased_until, epoch)
SELECT 'payment' || n, 'key' || n, 'createCashOut', n, '', '', 1, '', '', '', CASE WHEN n > $1::bigint THEN '' ELSE 'ACCEPTED' END,
	n, (extract(epoch FROM now()) * 1000000)::bigint - 3600000000, CASE WHEN n > $1::bigint THEN NULL ELSE n END, '', 0, 1 FROM generate_series(1, $1::bigint + $2::bigint) n`, ended, open)
		backlog(t, db, due)
		execute(t, db, `ANALYZE`)

		payments, err := store.Journal().OpenPayments(t.Context())
		require.NoError(t, err)
		assert.Equal(t, open, payments.Sent)
		assert.WithinDuration(t, time.Now().Add(-time.Hour), payments.OldestSentAt, time.Minute)
		state, err := store.Inbox().State(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 10_000, state.Due, "it stops counting there")
		assert.WithinDuration(t, time.UnixMicro(1), state.OldestDue, time.Minute)

		const now = `(extract(epoch FROM statement_timestamp()) * 1000000)::bigint`
		for query, index := range map[string]string{
			`SELECT count(*), count(sent_at), ` + now + ` - min(sent_at) FROM connectpsp_payment WHERE outcome = ''`:                     "connectpsp_payment_open",
			`SELECT count(*) FROM (SELECT due_at FROM connectpsp_queue WHERE due_at <= ` + now + ` ORDER BY due_at, id LIMIT 10000) due`: "connectpsp_queue_due",
			`SELECT count(*) FROM (SELECT 1 FROM connectpsp_queue WHERE due_at IS NULL LIMIT 10000) held`:                                "connectpsp_queue_held",
		} {
			found := plan(t, db, "EXPLAIN (ANALYZE, BUFFERS) "+query)
			t.Log(found)
			assert.Contains(t, found, index)
		}
	})
}
