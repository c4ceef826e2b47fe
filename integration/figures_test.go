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

// desk is a database in which events are settled, each with an UPDATE of the user's, by an inbox or
// by hand.
type desk struct {
	t     testing.TB
	db    *sql.DB
	admin *sql.DB // in another database, so that it counts nothing in this one
	name  string
	inbox *sqlstore.Inbox
	held  int // other sessions in the database
}

func newDesk(t *testing.T) *desk {
	s := servers[0]
	d := &desk{t: t, db: s.open(t)}
	var err error
	d.admin, err = sql.Open("pgx", os.Getenv("CONNECTPSP_TEST_POSTGRES"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.admin.Close()) })
	require.NoError(t, d.db.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&d.name))
	d.inbox = openInbox(t, s, d.db)
	execute(t, d.db, `CREATE TABLE deposits (reference text PRIMARY KEY, paid boolean NOT NULL DEFAULT false)`)
	execute(t, d.db, `CREATE TABLE hand (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL UNIQUE,
		body bytea NOT NULL, due_at timestamptz NOT NULL DEFAULT now(), done_at timestamptz)`)
	execute(t, d.db, `CREATE INDEX hand_due ON hand (due_at, id) WHERE done_at IS NULL`)
	return d
}

// await adds events and deposits that wait for them, for the inbox and for the work by hand.
func (d *desk) await(events int) {
	d.t.Helper()
	last := number(d.t, d.db, `SELECT count(*) FROM connectpsp_event`)
	execute(d.t, d.db, `INSERT INTO connectpsp_event (key, body, body_sha256, received_at)
		SELECT 'event' || n, convert_to(repeat('body', 150), 'UTF8'), sha256('body'), n FROM generate_series($1::bigint, $2::bigint) n`,
		last+1, last+events)
	execute(d.t, d.db, `INSERT INTO connectpsp_state (key) SELECT key FROM connectpsp_event WHERE received_at > $1`, last)
	execute(d.t, d.db, `INSERT INTO connectpsp_queue (id, key, "transaction", delivery_id, received_at, due_at)
		SELECT id, key, key, 'delivery', received_at, received_at FROM connectpsp_event WHERE received_at > $1`, last)
	execute(d.t, d.db, `INSERT INTO hand (key, body) SELECT key, body FROM connectpsp_event WHERE received_at > $1`, last)
	execute(d.t, d.db, `INSERT INTO deposits (reference) SELECT key FROM connectpsp_event WHERE received_at > $1`, last)
	execute(d.t, d.db, `ANALYZE`)
}

// settle settles up to so many events with the inbox, in so many goroutines, and returns how many a
// second.
func (d *desk) settle(events, goroutines int) float64 {
	return d.work(events, goroutines, func() (settled int) {
		claims, err := d.inbox.Claim(d.t.Context(), time.Minute, 64)
		if !assert.NoError(d.t, err) {
			return 0
		}
		for _, claim := range claims {
			err := d.inbox.Complete(d.t.Context(), claim, func(ctx context.Context, known webhook.TransactionState) (webhook.Result, error) {
				known.Status = webhook.StatusPaid
				_, err := sqlstore.Tx(ctx).ExecContext(ctx, creditDeposit, claim.Transaction)
				return webhook.Result{State: known}, err
			})
			assert.NoError(d.t, err)
		}
		return len(claims)
	})
}

// byHand does the same in the way of many tutorials.
func (d *desk) byHand(events, goroutines int) float64 {
	return d.work(events, goroutines, func() int {
		err := func() error {
			tx, err := d.db.BeginTx(d.t.Context(), nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			var id int64
			var key string
			var body []byte
			err = tx.QueryRowContext(d.t.Context(), `SELECT id, key, body FROM hand WHERE done_at IS NULL AND due_at <= now()
				ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED`).Scan(&id, &key, &body)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(d.t.Context(), creditDeposit, key); err != nil {
				return err
			}
			if _, err := tx.ExecContext(d.t.Context(), `UPDATE hand SET done_at = now() WHERE id = $1`, id); err != nil {
				return err
			}
			return tx.Commit()
		}()
		if errors.Is(err, sql.ErrNoRows) || !assert.NoError(d.t, err) {
			return 0
		}
		return 1
	})
}

// alone makes the user's UPDATE in a transaction and nothing else: no inbox that gives each event a
// transaction of its own can be faster.
func (d *desk) alone(events, goroutines int) float64 {
	var next atomic.Int64
	return d.work(events, goroutines, func() int {
		tx, err := d.db.BeginTx(d.t.Context(), nil)
		if err == nil {
			_, err = tx.ExecContext(d.t.Context(), creditDeposit, fmt.Sprint("event", next.Add(1)))
		}
		if err == nil {
			err = tx.Commit()
		}
		if !assert.NoError(d.t, err) {
			return 0
		}
		return 1
	})
}

// work repeats a piece of work until all events are settled, or nothing is left.
func (d *desk) work(events, goroutines int, piece func() (settled int)) float64 {
	d.t.Helper()
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
	require.GreaterOrEqual(d.t, done, events)
	return float64(done) / time.Since(begun).Seconds()
}

// hold opens a transaction that stays open, as a backup does.
func (d *desk) hold() {
	db, err := sql.Open("pgx", strings.Replace(os.Getenv("CONNECTPSP_TEST_POSTGRES"), "dbname=postgres", "dbname="+d.name, 1))
	require.NoError(d.t, err)
	db.SetMaxOpenConns(1) // the transaction is of its session
	d.t.Cleanup(func() { assert.NoError(d.t, db.Close()) })
	for _, statement := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT count(*) FROM connectpsp_event`} {
		execute(d.t, db, statement)
	}
	d.held = 1
}

// cost is what a piece of work asks of the server.
type cost struct{ commits, wal, buffers, queue float64 }

func (d *desk) counted() (c cost) {
	d.t.Helper()
	d.db.SetMaxIdleConns(0) // sessions report when they end
	defer d.db.SetMaxIdleConns(24)
	require.Eventually(d.t, func() bool {
		return number(d.t, d.admin, `SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`, d.name) == d.held
	}, time.Minute, 10*time.Millisecond)
	require.NoError(d.t, d.admin.QueryRowContext(d.t.Context(), `SELECT xact_commit, pg_current_wal_insert_lsn() - '0/0' FROM pg_stat_database
		WHERE datname = $1`, d.name).Scan(&c.commits, &c.wal))
	require.NoError(d.t, d.db.QueryRowContext(d.t.Context(), `SELECT sum(pages), sum(pages) FILTER (WHERE relname = 'connectpsp_queue') FROM (
		SELECT relname, heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0) AS pages FROM pg_statio_user_tables) t`).
		Scan(&c.buffers, &c.queue))
	return c
}

// costOf returns the cost of one event.
func (d *desk) costOf(events int, work func()) cost {
	d.t.Helper()
	before := d.counted()
	work()
	after, n := d.counted(), float64(events)
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
		d := newDesk(t)
		d.await(2 * c.lot)
		d.settle(c.lot, c.goroutines)
		d.byHand(c.lot, c.goroutines)
		var ours, byHand, alone, ratios []float64
		d.await(5 * c.lot)
		for range 5 {
			byHand = append(byHand, d.byHand(c.lot, c.goroutines))
			ours = append(ours, d.settle(c.lot, c.goroutines))
			alone = append(alone, d.alone(c.lot, c.goroutines))
			ratios = append(ratios, ours[len(ours)-1]/byHand[len(byHand)-1])
		}
		d.await(2 * c.lot)
		t.Logf("%d goroutines: %.2f of the work by hand (goal %.1f); %.0f and %.0f a second", c.goroutines, median(ratios), c.goal, median(ours), median(byHand))
		t.Logf("the user's UPDATE alone in a transaction: %.2f of the work by hand", median(alone)/median(byHand))
		t.Logf("an event costs the inbox %v", d.costOf(c.lot, func() { d.settle(c.lot, c.goroutines) }))
		t.Logf("an event costs by hand %v", d.costOf(c.lot, func() { d.byHand(c.lot, c.goroutines) }))
	}
}

func whileHeld(t *testing.T) {
	const lot, lots = 10_000, 10
	d := newDesk(t)
	var free, held []float64
	for range 3 {
		d.await(lot)
		free = append(free, d.settle(lot, 4))
	}
	d.hold()
	for range lots {
		d.await(lot)
		held = append(held, d.settle(lot, 4))
	}
	t.Logf("a second, while it is open: %.0f", held)
	last := median(held[lots-3:])
	t.Logf("after %d events: %.2f of free (goal 0.8); %.0f and %.0f a second", lots*lot, last/median(free), last, median(free))
	d.await(lot)
	spent := d.costOf(lot, func() { d.settle(lot, 4) })
	t.Logf("an event costs the inbox then %v", spent)
	assert.LessOrEqual(t, spent.queue, 50.0, "buffers of the queue for each event")
}

func draining(t *testing.T) {
	d := newDesk(t)
	tenth := *figuresRows / 10
	for range 10 {
		d.await(tenth)
	}
	d.await(10 * 4 * 64) // goroutines overshoot by a batch each
	var rates []float64
	for range 10 {
		rates = append(rates, d.settle(tenth, 4))
	}
	t.Logf("%d in tenths, a second: %.0f; the last is %.2f of the first (goal 0.8)", *figuresRows, rates, rates[9]/rates[0])
}

func whenIdle(t *testing.T) {
	for _, same := range []bool{true, false} {
		d := newDesk(t)
		posting := d.inbox
		if !same { // another process shares nothing with this one but the database
			store, err := sqlstore.Open(t.Context(), d.db, sqlstore.PostgreSQL)
			require.NoError(t, err)
			posting = store.Inbox()
		}
		ctx, stop := context.WithCancel(t.Context())
		called := make(chan time.Time)
		st := &storm{t: t}
		st.receive(d.inbox, func(context.Context, webhook.Transition) error {
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
	empty, full := newDesk(t), newDesk(t)
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
