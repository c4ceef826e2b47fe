package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// run runs a worker in goroutines, until the function it returns is called.
func run(t testing.TB, worker *webhook.Worker, goroutines int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() { assert.ErrorIs(t, worker.Run(ctx), context.Canceled) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// deposit returns a paid charge of its own.
func deposit(n int, amount pix.Amount) transaction {
	c := charge(webhook.StatusPaid)
	c.id, c.reference, c.amount = fmt.Sprintf("deposit%d", n), fmt.Sprintf("order-%d", n), amount
	return c
}

func TestATransactionThatIsFoundLateHasItsEffect(t *testing.T) {
	for name, begin := range map[string]func(*receiver, *testing.T){
		"that an event told of": func(r *receiver, t *testing.T) { r.receive(t, paid) },
		"that is watched":       func(r *receiver, t *testing.T) { require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
				begin(r, t)
				r.pass(t, 12*time.Minute)
				assert.Empty(t, r.reasons())
				assert.GreaterOrEqual(t, r.bank.read(), 9, "it is looked for again and again")
				r.bank.set(charge(webhook.StatusPaid))
				r.pass(t, 10*time.Minute)
				assert.Equal(t, ">PAID", r.books.String())
				assert.NotContains(t, r.log.String(), "ALARM")
			})
		})
	}
}

func TestAPageOfSomethingInBetweenIsLikeAnOutage(t *testing.T) {
	for name, begin := range map[string]func(*receiver, *testing.T){
		"for an event": func(r *receiver, t *testing.T) { r.receive(t, paid) },
		"for a watch":  func(r *receiver, t *testing.T) { require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
				r.bank.intercept(http.StatusNotFound, "<html>default backend - 404</html>")
				begin(r, t)
				r.pass(t, 2*time.Hour)
				assert.Empty(t, r.reasons())
				r.bank.intercept(0, "")
				r.bank.set(charge(webhook.StatusPaid))
				r.pass(t, 2*time.Hour)
				assert.Equal(t, ">PAID", r.books.String())
				assert.NotContains(t, r.log.String(), "ALARM")
			})
		})
	}
}

func TestAGatewayThatHangsDelaysOnlyTheItemsThatNeedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(100_00)))
		r.bank.hang(true)
		const large, small = 50, 50
		for n := range large {
			d := deposit(n, pix.Centavos(100_00))
			r.bank.set(d)
			require.Equal(t, 200, deliver(r, d.event(webhook.CashInPaid)))
		}
		stop := run(t, r.worker, 1)
		defer stop()
		for n := range small {
			time.Sleep(time.Second)
			require.Equal(t, 200, deliver(r, deposit(large+n, pix.Centavos(1)).event(webhook.CashInPaid)))
			time.Sleep(time.Second)
			assert.EqualValues(t, n+1, r.worker.Counts().Applied, "within a second")
		}
		r.bank.hang(false)
		time.Sleep(10 * time.Minute)
		assert.EqualValues(t, large+small, r.worker.Counts().Applied)
		assert.Empty(t, r.reasons())
		assert.LessOrEqual(t, r.bank.mostWaiting, 8)
	})
}

// untried is an inbox that notes how many attempts items have that were postponed without having
// been tried.
type untried struct {
	webhook.Inbox
	attempts []int
}

func (u *untried) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	if strings.Contains(reason, "too slow") {
		u.attempts = append(u.attempts, claim.Attempts)
	}
	return u.Inbox.Postpone(ctx, claim, due, reason)
}

// Twenty attempts are for real ones.
func TestAnItemThatFindsNoRoomAtTheGatewayHasNotBeenTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		inbox := &untried{Inbox: r.inbox}
		r.bank.hang(true)
		for n := range 20 {
			require.Equal(t, 200, deliver(r, deposit(n, pix.Centavos(1)).event(webhook.CashInPaid)))
		}
		worker := webhook.NewWorker(inbox, r.bank.client(t), r.books.apply, webhook.WithConfirmation(pix.Centavos(0)))
		stop := run(t, worker, 1)
		time.Sleep(5 * time.Second)
		stop()
		assert.Equal(t, make([]int, 12), inbox.attempts, "eight are asked about")
	})
}

// A question that is not answered does not use up the time of the function.
func TestAReadingTakesTenSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		r.bank.hang(true)
		require.Equal(t, 200, deliver(r, paid))
		begun := time.Now()
		worked, err := r.worker.Work(t.Context())
		require.NoError(t, err)
		assert.True(t, worked)
		assert.Equal(t, 10*time.Second, time.Since(begun))
		assert.EqualValues(t, 1, r.worker.Counts().Failed)
	})
}

// While many wait for a gateway that is quick, none of them is put off.
func TestManyConfirmationsAreWorkedOffAsFastAsTheGatewayAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		const deposits = 200
		for n := range deposits {
			d := deposit(n, pix.Centavos(1))
			r.bank.set(d)
			require.Equal(t, 200, deliver(r, d.event(webhook.CashInPaid)))
		}
		r.bank.delay = 100 * time.Millisecond
		var within, most int
		var mu sync.Mutex
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(context.Context, webhook.Transition) error {
			mu.Lock()
			within++
			most = max(most, within)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			within--
			mu.Unlock()
			return nil
		}, webhook.WithConfirmation(pix.Centavos(0)))
		stop := run(t, worker, 1)
		defer stop()
		time.Sleep(4 * time.Second)
		assert.EqualValues(t, deposits, worker.Counts().Applied)
		assert.Equal(t, 1, most, "one Run calls the function for one step at a time")
	})
}

func TestALongFunctionDelaysOnlyItsOwnTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		begun := time.Now()
		var mu sync.Mutex
		applied := map[string]time.Duration{}
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(_ context.Context, step webhook.Transition) error {
			if step.TransactionID == chargeID && step.To == webhook.StatusPaid {
				time.Sleep(90 * time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			applied[step.TransactionID+" "+string(step.To)] = time.Since(begun)
			return nil
		})
		stop := run(t, worker, 2)
		require.Equal(t, 200, deliver(r, paid))
		time.Sleep(time.Second)
		require.Equal(t, 200, deliver(r, refunded))
		time.Sleep(time.Second)
		require.Equal(t, 200, deliver(r, deposit(1, pix.Centavos(1)).event(webhook.CashInPaid)))
		time.Sleep(2 * time.Minute)
		stop()
		require.Len(t, applied, 3)
		assert.Less(t, applied["deposit1 PAID"], 3*time.Second)
		assert.Less(t, applied[chargeID+" REFUNDED"], 92*time.Second)
		assert.Equal(t, webhook.WorkerCounts{Applied: 3}, worker.Counts(), "an item that waits for its transaction has not failed")
	})
}

// slowClaims is an inbox whose Claim takes until its context ends.
type slowClaims struct{ webhook.Inbox }

func (slowClaims) Claim(ctx context.Context, _ time.Duration) (*webhook.Claim, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAnInboxThatHangsIsNotWaitedForWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker := webhook.NewWorker(slowClaims{}, newBank(t).client(t), (&books{}).apply)
		begun := time.Now()
		_, err := worker.Work(t.Context())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 10*time.Second, time.Since(begun))
	})
}

// leases notes for how long items are claimed.
type leases struct {
	webhook.Inbox
	longest time.Duration
}

func (l *leases) Claim(ctx context.Context, lease time.Duration) (*webhook.Claim, error) {
	l.longest = max(l.longest, lease)
	return l.Inbox.Claim(ctx, lease)
}

// Whatever an inbox does at the end of a lease, the function has ended by then.
func TestALeaseIsLongerThanTheFunctionMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		inbox := &leases{Inbox: r.inbox}
		worker := webhook.NewWorker(inbox, r.bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
			ends, bounded := ctx.Deadline()
			assert.True(t, bounded)
			assert.Greater(t, inbox.longest, time.Until(ends)+10*time.Second)
			return nil
		})
		require.Equal(t, 200, deliver(r, paid))
		_, err := worker.Work(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 1, worker.Counts().Applied)
	})
}

func TestAFunctionThatTakesAlmostAllItsTimeIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		calls := 0
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(context.Context, webhook.Transition) error {
			calls++
			time.Sleep(99 * time.Second)
			return nil
		})
		require.Equal(t, 200, deliver(r, paid))
		stop := run(t, worker, 2)
		time.Sleep(10 * time.Minute)
		stop()
		assert.Equal(t, 1, calls)
	})
}

// Twenty attempts are for one piece of work: a charge that is watched for a month is read ten times
// without a failure.
func TestAWatchThatOutlivesOutagesIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		for _, calm := range []time.Duration{90 * time.Minute, 14 * time.Hour, 24 * time.Hour} { // so that each outage meets a reading
			r.bank.fail(http.StatusInternalServerError)
			r.pass(t, 4*time.Hour)
			r.bank.fail(0)
			r.pass(t, calm)
		}
		assert.Empty(t, r.reasons())
		assert.Greater(t, int(r.worker.Counts().Failed), 20)
	})
}

func TestAPanicOfTheFunctionIsLoggedByItsPlaceAndNotByItsValue(t *testing.T) {
	for name, c := range map[string]struct {
		function func(webhook.Transition)
		logged   string
	}{
		"of the function's own": {func(step webhook.Transition) { panic("no wallet of " + step.CashIn.Payer.Name) }, "a string"},
		"of Go's":               {func(step webhook.Transition) { _ = step.CashOut.Amount }, "nil pointer dereference"},
		"of an error":           {func(step webhook.Transition) { panic(errors.New("no wallet of " + step.CashIn.Payer.Name)) }, "a *errors.errorString"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(_ context.Context, step webhook.Transition) error {
				c.function(step)
				return nil
			}, webhook.WithLogger(slog.New(slog.NewTextHandler(r.log, nil))))
			require.Equal(t, 200, deliver(r, paid))
			_, err := worker.Work(t.Context())
			require.NoError(t, err)
			assert.Contains(t, r.log.String(), "level=ERROR")
			assert.Contains(t, r.log.String(), "TestAPanicOfTheFunction")
			assert.Contains(t, r.log.String(), "gateway_test.go:")
			assert.Contains(t, r.log.String(), c.logged)
			assert.NotContains(t, r.log.String(), "Test User")
		})
	}
}
