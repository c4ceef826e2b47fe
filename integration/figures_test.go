package integration

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

var (
	figures     = flag.Bool("figures", false, "measure the inbox on PostgreSQL, beside the same work by hand")
	figuresRows = flag.Int("figures.rows", 1_000_000, "how many events are in the backlog that is drained, and how many are done")
)

const creditDeposit = `UPDATE deposits SET paid = true WHERE reference = $1`

// bench is a database in which events are settled, each with an UPDATE of the user's, by an inbox
// or by hand.
type bench struct {
	t     testing.TB
	db    *sql.DB
	admin *sql.DB // in another database, so that it counts nothing in this one
	name  string
	inbox *sqlstore.Inbox
	held  int // other sessions in the database
}

func newBench(t *testing.T) *bench {
	s := servers[0]
	b := &bench{t: t, db: s.open(t)}
	var err error
	b.admin, err = sql.Open("pgx", os.Getenv("CONNECTPSP_TEST_POSTGRES"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.admin.Close()) })
	require.NoError(t, b.db.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&b.name))
	b.inbox = openInbox(t, s, b.db)
	execute(t, b.db, `CREATE TABLE deposits (reference text PRIMARY KEY, paid boolean NOT NULL DEFAULT false)`)
	execute(t, b.db, `CREATE TABLE hand (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL UNIQUE,
		body bytea NOT NULL, due_at timestamptz NOT NULL DEFAULT now(), done_at timestamptz)`)
	execute(t, b.db, `CREATE INDEX hand_due ON hand (due_at, id) WHERE done_at IS NULL`)
	return b
}

// await adds events and deposits that wait for them, for the inbox and for the work by hand.
func (b *bench) await(events int) {
	b.t.Helper()
	last := number(b.t, b.db, `SELECT count(*) FROM connectpsp_event`)
	execute(b.t, b.db, `INSERT INTO connectpsp_event (key, body, body_sha256, received_at)
		SELECT 'event' || n, convert_to(repeat('body', 150), 'UTF8'), sha256('body'), n FROM generate_series($1::bigint, $2::bigint) n`,
		last+1, last+events)
	execute(b.t, b.db, `INSERT INTO connectpsp_state (key) SELECT key FROM connectpsp_event WHERE received_at > $1`, last)
	execute(b.t, b.db, `INSERT INTO connectpsp_queue (id, key, "transaction", delivery_id, received_at, due_at)
		SELECT id, key, key, 'delivery', received_at, received_at FROM connectpsp_event WHERE received_at > $1`, last)
	execute(b.t, b.db, `INSERT INTO hand (key, body) SELECT key, body FROM connectpsp_event WHERE received_at > $1`, last)
	execute(b.t, b.db, `INSERT INTO deposits (reference) SELECT key FROM connectpsp_event WHERE received_at > $1`, last)
	execute(b.t, b.db, `ANALYZE`)
}

// settle settles up to so many events with the inbox, in so many goroutines, and returns how many a
// second.
func (b *bench) settle(events, goroutines int) float64 {
	return b.work(events, goroutines, func() (settled int) {
		claims, err := b.inbox.Claim(b.t.Context(), time.Minute, 64)
		if !assert.NoError(b.t, err) {
			return 0
		}
		for _, claim := range claims {
			err := b.inbox.Complete(b.t.Context(), claim, func(ctx context.Context, known webhook.TransactionState) (webhook.Result, error) {
				known.Status = webhook.StatusPaid
				_, err := sqlstore.Tx(ctx).ExecContext(ctx, creditDeposit, claim.Transaction)
				return webhook.Result{State: known}, err
			})
			assert.NoError(b.t, err)
		}
		return len(claims)
	})
}

// byHand does the same in the way of many tutorials.
func (b *bench) byHand(events, goroutines int) float64 {
	return b.work(events, goroutines, func() int {
		err := func() error {
			tx, err := b.db.BeginTx(b.t.Context(), nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			var id int64
			var key string
			var body []byte
			err = tx.QueryRowContext(b.t.Context(), `SELECT id, key, body FROM hand WHERE done_at IS NULL AND due_at <= now()
				ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED`).Scan(&id, &key, &body)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(b.t.Context(), creditDeposit, key); err != nil {
				return err
			}
			if _, err := tx.ExecContext(b.t.Context(), `UPDATE hand SET done_at = now() WHERE id = $1`, id); err != nil {
				return err
			}
			return tx.Commit()
		}()
		if errors.Is(err, sql.ErrNoRows) || !assert.NoError(b.t, err) {
			return 0
		}
		return 1
	})
}

// alone makes the user's UPDATE in a transaction and nothing else: no inbox that gives each event a
// transaction of its own can be faster.
func (b *bench) alone(events, goroutines int) float64 {
	var next atomic.Int64
	return b.work(events, goroutines, func() int {
		tx, err := b.db.BeginTx(b.t.Context(), nil)
		if err == nil {
			_, err = tx.ExecContext(b.t.Context(), creditDeposit, fmt.Sprint("event", next.Add(1)))
		}
		if err == nil {
			err = tx.Commit()
		}
		if !assert.NoError(b.t, err) {
			return 0
		}
		return 1
	})
}

// work repeats a piece of work until all events are settled, or nothing is left.
func (b *bench) work(events, goroutines int, piece func() (settled int)) float64 {
	b.t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	done, begun := 0, time.Now()
	for range goroutines {
		all.Go(func() {
			for {
				settled := piece()
				mu.Lock()
				done += settled
				enough := done >= events || settled == 0
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	all.Wait()
	require.GreaterOrEqual(b.t, done, events)
	return float64(done) / time.Since(begun).Seconds()
}

// hold opens a transaction that stays open, as a backup does.
func (b *bench) hold() {
	db, err := sql.Open("pgx", strings.Replace(os.Getenv("CONNECTPSP_TEST_POSTGRES"), "dbname=postgres", "dbname="+b.name, 1))
	require.NoError(b.t, err)
	db.SetMaxOpenConns(1) // the transaction is of its session
	b.t.Cleanup(func() { assert.NoError(b.t, db.Close()) })
	for _, statement := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT count(*) FROM connectpsp_event`} {
		execute(b.t, db, statement)
	}
	b.held = 1
}

// cost is what a piece of work asks of the server.
type cost struct{ commits, wal, buffers, queue float64 }

func (b *bench) counted() (c cost) {
	b.t.Helper()
	b.db.SetMaxIdleConns(0) // sessions report when they end
	defer b.db.SetMaxIdleConns(24)
	require.Eventually(b.t, func() bool {
		return number(b.t, b.admin, `SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`, b.name) == b.held
	}, time.Minute, 10*time.Millisecond)
	require.NoError(b.t, b.admin.QueryRowContext(b.t.Context(), `SELECT xact_commit, pg_current_wal_insert_lsn() - '0/0' FROM pg_stat_database
		WHERE datname = $1`, b.name).Scan(&c.commits, &c.wal))
	require.NoError(b.t, b.db.QueryRowContext(b.t.Context(), `SELECT sum(pages), sum(pages) FILTER (WHERE relname = 'connectpsp_queue') FROM (
		SELECT relname, heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0) AS pages FROM pg_statio_user_tables) t`).
		Scan(&c.buffers, &c.queue))
	return c
}

// costOf returns the cost of one event.
func (b *bench) costOf(events int, work func()) cost {
	b.t.Helper()
	before := b.counted()
	work()
	after, n := b.counted(), float64(events)
	return cost{(after.commits - before.commits) / n, (after.wal - before.wal) / n, (after.buffers - before.buffers) / n, (after.queue - before.queue) / n}
}

func (c cost) String() string {
	return fmt.Sprintf("%.2f commits, %.0f bytes of WAL, %.0f buffers (%.0f of the queue)", c.commits, c.wal, c.buffers, c.queue)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func TestFiguresOfTheInbox(t *testing.T) {
	if !*figures {
		t.Skip("make bench-inbox measures")
	}
	t.Run("beside the same work by hand", besideHand)
	t.Run("while another transaction stays open", whileHeld)
	t.Run("draining a backlog", draining)
	t.Run("idle", whenIdle)
	t.Run("with done rows", withDone)
}

func besideHand(t *testing.T) {
	for _, c := range []struct {
		goroutines, lot int
		goal            float64
	}{{8, 8_000, 2.5}, {1, 3_000, 2}} {
		b := newBench(t)
		b.await(2 * c.lot)
		b.settle(c.lot, c.goroutines)
		b.byHand(c.lot, c.goroutines)
		var ours, byHand, alone, ratios []float64
		b.await(5 * c.lot)
		for range 5 {
			byHand = append(byHand, b.byHand(c.lot, c.goroutines))
			ours = append(ours, b.settle(c.lot, c.goroutines))
			alone = append(alone, b.alone(c.lot, c.goroutines))
			ratios = append(ratios, ours[len(ours)-1]/byHand[len(byHand)-1])
		}
		b.await(2 * c.lot)
		t.Logf("%d goroutines: %.2f of the work by hand (goal %.1f); %.0f and %.0f a second", c.goroutines, median(ratios), c.goal, median(ours), median(byHand))
		t.Logf("the user's UPDATE alone in a transaction: %.2f of the work by hand", median(alone)/median(byHand))
		t.Logf("an event costs the inbox %v", b.costOf(c.lot, func() { b.settle(c.lot, c.goroutines) }))
		t.Logf("an event costs by hand %v", b.costOf(c.lot, func() { b.byHand(c.lot, c.goroutines) }))
	}
}

func whileHeld(t *testing.T) {
	const lot, lots = 10_000, 10
	b := newBench(t)
	var free, held []float64
	for range 3 {
		b.await(lot)
		free = append(free, b.settle(lot, 4))
	}
	b.hold()
	for range lots {
		b.await(lot)
		held = append(held, b.settle(lot, 4))
	}
	t.Logf("a second, while it is open: %.0f", held)
	last := median(held[lots-3:])
	t.Logf("after %d events: %.2f of free (goal 0.8); %.0f and %.0f a second", lots*lot, last/median(free), last, median(free))
	b.await(lot)
	spent := b.costOf(lot, func() { b.settle(lot, 4) })
	t.Logf("an event costs the inbox then %v", spent)
	assert.LessOrEqual(t, spent.queue, 50.0, "buffers of the queue for each event")
}

func draining(t *testing.T) {
	b := newBench(t)
	tenth := *figuresRows / 10
	for range 10 {
		b.await(tenth)
	}
	b.await(10 * 4 * 64) // goroutines overshoot by a batch each
	var rates []float64
	for range 10 {
		rates = append(rates, b.settle(tenth, 4))
	}
	t.Logf("%d in tenths, a second: %.0f; the last is %.2f of the first (goal 0.8)", *figuresRows, rates, rates[9]/rates[0])
}

func whenIdle(t *testing.T) {
	for _, same := range []bool{true, false} {
		b := newBench(t)
		posting := b.inbox
		if !same { // another process shares nothing with this one but the database
			store, err := sqlstore.Open(t.Context(), b.db, sqlstore.PostgreSQL)
			require.NoError(t, err)
			posting = store.Inbox()
		}
		ctx, stop := context.WithCancel(t.Context())
		called := make(chan time.Time)
		st := &storm{t: t}
		st.receive(b.inbox, func(context.Context, webhook.Transition) error {
			called <- time.Now()
			return nil
		})
		worker := st.worker
		st.receive(posting, func(context.Context, webhook.Transition) error { return nil })
		var running sync.WaitGroup
		running.Go(func() { assert.ErrorIs(t, worker.Run(ctx), context.Canceled) })
		var waits []time.Duration
		for n := range 101 {
			l := life{id: fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n), kind: webhook.KindCashIn}
			time.Sleep(time.Duration(100+n*7%90) * time.Millisecond) // idle, and out of step with the polling
			begun := time.Now()
			require.Equal(t, 200, post(st.handler, currentSecret, l.body(paid, 18)))
			select {
			case at := <-called:
				waits = append(waits, at.Sub(begun))
			case <-time.After(time.Minute):
				t.Fatal("the function was not called")
			}
		}
		stop()
		running.Wait()
		slices.Sort(waits)
		t.Logf("posted to the function, same process %v: p50 %v, p90 %v, longest %v (goal p50 5 ms, from another process 60 ms)",
			same, waits[50], waits[90], waits[100])
	}
}

func withDone(t *testing.T) {
	const lot = 8_000
	empty, full := newBench(t), newBench(t)
	execute(t, full.db, `INSERT INTO connectpsp_event (key, body_sha256, received_at) SELECT 'done' || n, sha256('body'), -n FROM generate_series(1, $1::int) n`, *figuresRows)
	execute(t, full.db, `INSERT INTO connectpsp_state (key, status) SELECT key, 'PAID' FROM connectpsp_event`)
	execute(t, full.db, `VACUUM ANALYZE`)
	var ratios []float64
	for range 5 {
		empty.await(lot)
		full.await(lot)
		free := empty.settle(lot, 4)
		ratios = append(ratios, full.settle(lot, 4)/free)
	}
	t.Logf("with %d done rows: %.2f of an empty table (goal 0.9): %.2f", *figuresRows, median(ratios), ratios)
}
