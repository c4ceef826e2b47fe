package main

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// requestMany requests n withdrawals and returns their references.
func (p *platform) requestMany(t testing.TB, n int) (references []string) {
	t.Helper()
	p.execute(t, "UPDATE control SET player_limit = 1000000000")
	for i := range n {
		references = append(references, fmt.Sprint("withdrawal-", i))
	}
	p.request(t, references...)
	return references
}

func TestAllProcessesTogetherKeepToTheRateLimitAndReachIt(t *testing.T) {
	const perSecond, payouts, processes = 100, 200, 4
	p := newPlatform(t)
	p.execute(t, "UPDATE control SET per_second = $1", perSecond)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	var left atomic.Int64
	left.Store(payouts)
	var group sync.WaitGroup
	for range processes {
		limiter := &rateLimiter{db: p.db}
		for range 8 {
			group.Go(func() {
				for left.Add(-1) >= 0 {
					assert.NoError(t, limiter.wait(ctx))
				}
			})
		}
	}
	group.Wait()
	rate := payouts / time.Since(began).Seconds()
	assert.LessOrEqual(t, rate, float64(perSecond)*1.01)
	assert.GreaterOrEqual(t, rate, float64(perSecond)*0.8)
}

func TestAQuietProcessSavesUpNoPayoutsForABurst(t *testing.T) {
	p := newPlatform(t)
	limiter := &rateLimiter{db: p.db}
	for range sliceSize {
		limiter.slice = append(limiter.slice, time.Now().Add(-2*staleAfter))
	}
	_, err := limiter.next(t.Context())
	require.NoError(t, err)
	assert.Len(t, limiter.slice, sliceSize-1, "the old slice is dropped and a new one taken")
}

func TestAPayoutThatWouldWaitTooLongTakesNoneOfTheRate(t *testing.T) {
	limiter := &rateLimiter{slice: []time.Time{time.Now().Add(time.Hour)}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.ErrorIs(t, limiter.wait(ctx), errRateLimited)
	require.Len(t, limiter.slice, 1)
}

func TestTheSwitchStopsAllProcessesWithinTwoSeconds(t *testing.T) {
	p := newPlatform(t)
	p.execute(t, "UPDATE control SET per_second = 20")
	p.requestMany(t, 200)
	for range 2 {
		process := p.newProcess(t)
		inBackground(t, func(ctx context.Context) error {
			return process.work(ctx, workerSettings{"", 10, false, defaultTimeouts.faster(10)})
		})
	}
	eventually(t, func() bool { return p.bank.asked() > 10 }, "nothing is paid")
	require.NoError(t, p.books.stop(t.Context(), "a test"))
	stopped := time.Now()
	require.Never(t, func() bool { return p.bank.lastAsked().After(stopped.Add(2 * time.Second)) }, 4*time.Second, 100*time.Millisecond)
	asked := p.bank.asked()
	require.Less(t, asked, 200)
	require.NoError(t, p.books.resume(t.Context()))
	eventually(t, func() bool { return p.bank.asked() > asked }, "nothing is paid any more")
	require.NoError(t, p.books.audit(t.Context()))
}

func TestPayoutsStopWhenTheSwitchCannotBeRead(t *testing.T) {
	p := newPlatform(t)
	s := newStopSwitch(p.db)
	require.NoError(t, s.read(t.Context()))
	p.execute(t, "ALTER TABLE control RENAME TO elsewhere")
	require.ErrorIs(t, s.read(t.Context()), errStopped)
}

func TestACallThatIsUnderWayIsCutShortByTheSwitch(t *testing.T) {
	s := newStopSwitch(nil)
	s.set(nil)
	guarded, end := s.guard(t.Context())
	defer end()
	require.NoError(t, guarded.Err())
	s.set(fmt.Errorf("%w: a test", errStopped))
	<-guarded.Done()
	require.ErrorIs(t, context.Cause(guarded), errStopped)
}

func TestAProcessThatIsAskedToStopFinishesWhatItHasBegun(t *testing.T) {
	p := newPlatform(t)
	p.requestMany(t, 100)
	process := p.newProcess(t)
	stop := inBackground(t, func(ctx context.Context) error {
		return process.work(ctx, workerSettings{"", 10, false, defaultTimeouts})
	})
	eventually(t, func() bool { return p.bank.asked() > 10 }, "nothing is paid")
	stop()
	asked := p.bank.asked()
	assert.Less(t, asked, 100)
	assert.Equal(t, asked, p.number(t, "SELECT count(*) FROM withdrawal WHERE transaction_id <> ''"), "each payment is booked as accepted")
	assert.Zero(t, p.number(t, "SELECT count(*) FROM river_job WHERE state = 'running'"))
}

func TestNoPayoutWaitsForTheLockOfAnother(t *testing.T) {
	p := newPlatform(t)
	p.execute(t, "UPDATE control SET per_second = 10000")
	references := p.requestMany(t, 64)
	worker := newPayer(t, p.app, "")
	var group sync.WaitGroup
	for _, reference := range references {
		group.Go(func() {
			_, err := worker.pay(t.Context(), reference)
			if !assert.NoError(t, err) {
				return
			}
			id := p.bank.paid(reference)[0]
			assert.NoError(t, p.books.transaction(t.Context(), func(tx *sql.Tx) error {
				return settleIn(t.Context(), tx, webhook.Transition{Kind: webhook.KindCashOut, TransactionID: id, To: webhook.StatusCompleted,
					CashOut: &connectpsp.CashOut{TransactionID: id, ExternalReference: reference, Amount: amount}})
			}))
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	samples, waits := 0, 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			samples++
			waits += p.number(t, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple')
				AND query NOT LIKE '%rate_limit%' AND datname = current_database()`)
		}
	}
	t.Logf("%d waits in %d samples", waits, samples)
	assert.LessOrEqual(t, waits, samples/100)
	p.requireBooks(t, nothing, nothing, pix.Centavos(64*amount.Centavos()))
}

// PostgreSQL plans a statement when few withdrawals are open, and keeps the plan when the gateway
// has been away and many are.
func TestAPayoutDoesNotReadAllOthersThatAreOpen(t *testing.T) {
	const payouts, others = 10, 2000
	p := newPlatform(t)
	p.db.SetMaxOpenConns(1) // plans are of a session
	p.request(t, "model")
	const insert = `INSERT INTO withdrawal (reference, player, centavos, name, document, key_type, pix_key, state)
		SELECT $1 || n, player, centavos, name, document, key_type, pix_key, $1 FROM withdrawal, generate_series(1, $2) n
		WHERE reference = 'model'`
	p.execute(t, insert, statePosted, others)
	p.execute(t, "VACUUM ANALYZE")
	references := p.requestMany(t, 2*payouts)
	worker := newPayer(t, p.app, "")
	for n, reference := range references {
		if n == payouts {
			p.execute(t, insert, statePending, others)
		}
		_, err := worker.pay(t.Context(), reference)
		require.NoError(t, err)
	}
	p.close() // sessions report when they end
	db := openDatabase(t, p.database)
	defer db.Close()
	db.SetMaxOpenConns(1)
	var sessions, read int
	eventually(t, func() bool {
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*), (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes
			WHERE relname = 'withdrawal') FROM pg_stat_activity WHERE datname = current_database()`).Scan(&sessions, &read))
		return sessions == 1
	}, "its sessions do not end")
	assert.Less(t, read, others)
}

// Reads are no transactions that write, and are not counted. River and the inbox work in batches,
// so that few at a time cost more.
func TestAPayoutCostsFewTransactions(t *testing.T) {
	const payouts = 200
	p := newPlatform(t)
	url := p.startReceiver(t)
	p.execute(t, "UPDATE control SET per_second = 1000")
	before := p.number(t, "SELECT pg_current_xact_id()::text::bigint")
	references := p.requestMany(t, payouts)
	inBackground(t, func(ctx context.Context) error {
		return p.work(ctx, workerSettings{url, 20, false, defaultTimeouts})
	})
	for _, reference := range references {
		eventually(t, func() bool { return len(p.bank.paid(reference)) == 1 }, "%s is not paid", reference)
		require.NoError(t, p.bank.CompleteCashOut(p.bank.paid(reference)[0]))
	}
	eventually(t, func() bool { return p.number(t, "SELECT count(*) FROM withdrawal WHERE state = 'POSTED'") == payouts }, "not all are posted")
	eventually(t, func() bool {
		return p.number(t, "SELECT count(*) FROM river_job WHERE kind = 'payout' AND state <> 'completed'") == 0
	}, "not all jobs have ended")
	each := float64(p.number(t, "SELECT pg_current_xact_id()::text::bigint")-before) / payouts
	t.Logf("%.1f transactions for each payout", each)
	assert.LessOrEqual(t, each, 7.5)
}
