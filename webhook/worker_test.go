package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// An earlier version stored the item under the key of the event, without its transaction.
func TestAnItemOfAnEarlierVersionIsNotItsOwnDuplicate(t *testing.T) {
	now := time.Now()
	event, err := parse(paid)
	require.NoError(t, err)
	for _, mark := range []string{"", "#sha256:00"} {
		r := newReceiver(t)
		r.bank.set(charge(webhook.StatusPaid))
		_, err = r.inbox.Put(t.Context(), webhook.Item{Key: event.Key() + mark, Body: []byte(paid), ReceivedAt: now, Due: now})
		require.NoError(t, err)
		r.work(t)
		assert.Equal(t, ">PAID", r.books.String())
		assert.Equal(t, mark != "", r.books.transitions[0].Confirmed, "an item that needs confirmation keeps that mark")
	}
}

func TestAHeldItemCanBeDismissedAndPrintsNoPersonalData(t *testing.T) {
	r := newReceiver(t)
	disputed := strings.Replace(paid, "CASHIN_PAID", "CASHIN_DISPUTED", 1)
	r.receive(t, disputed)
	require.Len(t, r.inbox.Held(), 1)
	item := r.inbox.Held()[0]
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("held", "item", item, "claim", webhook.Claim{Item: item})
	for _, printed := range []string{fmt.Sprint(item), fmt.Sprintf("%+v", []webhook.Item{item}), fmt.Sprintf("%#v", &item), fmt.Sprintf("%d", item), log.String()} {
		assert.Contains(t, printed, item.Key)
		assert.Contains(t, printed, "does not know its type")
		assert.NotContains(t, printed, "Test User")
		assert.NotContains(t, printed, fmt.Sprint(item.Body)[1:20])
	}
	assert.True(t, r.inbox.Dismiss(item.Key))
	assert.False(t, r.inbox.Dismiss(item.Key))
	assert.False(t, r.inbox.Retry(item.Key))
	assert.Empty(t, r.inbox.Held())
	r.receive(t, disputed)
	assert.EqualValues(t, 1, r.Counts().Duplicates, "it is known for ever")
}

func TestAnItemWhoseFunctionFailsIsRetriedTwentyTimesAndThenHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.books.fail = errDown
		r.receive(t, paid)
		begun, calls := time.Now(), 1
		for len(r.inbox.Held()) == 0 {
			time.Sleep(time.Second)
			worked, err := r.worker.Work(t.Context())
			require.NoError(t, err)
			if worked {
				calls++
			}
		}
		assert.Equal(t, 21, calls, "the last one holds it")
		assert.InDelta(t, 9*time.Hour, time.Since(begun), float64(time.Hour))
		assert.Contains(t, r.reasons()[0], "20 times")
		assert.Contains(t, r.log.String(), errDown.Error())
		assert.Equal(t, webhook.WorkerCounts{Failed: 20, Held: 1}, r.worker.Counts())

		r.books.fail = nil
		require.True(t, r.inbox.Retry(r.inbox.Held()[0].Key))
		r.work(t)
		assert.Equal(t, ">PAID", r.books.String())
		assert.False(t, r.inbox.Retry("CASHIN_PAID/"+chargeID+"/"+inID), "it is not held any more")
	})
}

func TestAPanicOfTheFunctionCountsAsAFailure(t *testing.T) {
	r := newReceiver(t)
	worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(context.Context, webhook.Transition) error { panic("a bug") })
	require.Equal(t, 200, deliver(r, paid))
	worked, err := worker.Work(t.Context())
	assert.True(t, worked)
	assert.NoError(t, err)
	assert.Equal(t, webhook.WorkerCounts{Failed: 1}, worker.Counts())
}

func TestAnUnreadableBodyIsHeldAndProcessedOnceItCanBeRead(t *testing.T) {
	r := newReceiver(t)
	r.receive(t, "<html>", strings.Replace(paid, "CASHIN_PAID", "CASHIN_DISPUTED", 1), strings.Replace(paid, "CASHIN_PAID", "SOMETHING", 1))
	require.Len(t, r.inbox.Held(), 3)
	assert.Empty(t, r.books.String())
	for _, item := range r.inbox.Held() {
		require.True(t, r.inbox.Retry(item.Key))
	}
	r.work(t)
	assert.Len(t, r.inbox.Held(), 3, "it still cannot be read")

	// An earlier version could not read this body.
	now := time.Now()
	_, err := r.inbox.Put(t.Context(), webhook.Item{Key: "QUARANTINE#00", Body: []byte(paid), ReceivedAt: now, Due: now})
	require.NoError(t, err)
	r.work(t)
	r.receive(t, paid)
	assert.Equal(t, ">PAID", r.books.String())
	assert.Equal(t, uint64(1), r.Handler.Counts().Duplicates)
}

func TestAnItemIsClaimedAgainWhenItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		require.Equal(t, 200, deliver(r, paid))
		claim, err := one(r.inbox.Claim(t.Context(), 2*time.Minute, 1))
		require.NoError(t, err)
		require.NotNil(t, claim) // and its process dies
		r.work(t)
		assert.Empty(t, r.books.String())
		time.Sleep(2 * time.Minute)
		r.work(t)
		assert.Equal(t, ">PAID", r.books.String())
		assert.ErrorIs(t, r.inbox.Hold(t.Context(), claim, "late"), webhook.ErrClaimLost)
		assert.ErrorIs(t, r.inbox.Postpone(t.Context(), claim, time.Now(), "late"), webhook.ErrClaimLost)
		assert.ErrorIs(t, r.inbox.Complete(t.Context(), claim, nil), webhook.ErrClaimLost)
	})
}

func TestAWorkerRunsUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.worker.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, 200, deliver(r, paid))
		require.Equal(t, 200, deliver(r, refunded))
		time.Sleep(time.Second)
		assert.Equal(t, ">PAID, PAID>REFUNDED", r.books.String())
		cancel()
		assert.ErrorIs(t, soon(t, ended), context.Canceled)
	})
}

func TestTheFunctionTimesOutBeforeItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		begun := time.Now()
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
			<-ctx.Done()
			assert.Equal(t, 100*time.Second, time.Since(begun))
			return ctx.Err()
		})
		require.Equal(t, 200, deliver(r, paid))
		worked, err := worker.Work(t.Context())
		require.NoError(t, err)
		assert.True(t, worked)
		assert.Equal(t, webhook.WorkerCounts{Failed: 1}, worker.Counts())
	})
}

// heedfulInbox fails if its context has ended, as a database does.
type heedfulInbox struct{ *webhook.MemoryInbox }

func (h heedfulInbox) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return h.MemoryInbox.Postpone(ctx, claim, due, reason)
}

// A worker stops in the middle of an item, and another starts at once.
func TestAnInterruptedItemIsDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		ctx, cancel := context.WithCancel(t.Context())
		worker := webhook.NewWorker(heedfulInbox{r.inbox}, r.bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
			cancel()
			return ctx.Err()
		})
		require.Equal(t, 200, deliver(r, paid))
		assert.ErrorIs(t, worker.Run(ctx), context.Canceled)
		time.Sleep(time.Second)
		r.work(t)
		assert.Equal(t, ">PAID", r.books.String())
	})
}

// unsteadyInbox is an inbox whose Claim fails until mended is set.
type unsteadyInbox struct {
	webhook.Inbox
	mended atomic.Bool
}

func (u *unsteadyInbox) Claim(ctx context.Context, lease time.Duration, limit int) ([]*webhook.Claim, error) {
	if !u.mended.Load() {
		return nil, errDown
	}
	return u.Inbox.Claim(ctx, lease, limit)
}

func TestAWorkerOutlivesAFailureOfItsInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		inbox := &unsteadyInbox{Inbox: r.inbox}
		worker := webhook.NewWorker(inbox, r.bank.client(t), r.books.apply, webhook.WithLogger(slog.New(slog.NewTextHandler(r.log, nil))))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.Equal(t, 200, deliver(r, paid))
		time.AfterFunc(30*time.Second, func() { inbox.mended.Store(true) })
		assert.ErrorIs(t, worker.Run(ctx), context.DeadlineExceeded)
		assert.Equal(t, ">PAID", r.books.String())
		assert.Contains(t, r.log.String(), "the database is down")
		assert.Less(t, strings.Count(r.log.String(), "\n"), 200, "it does not spin")
	})
}

func TestNewWorkerPanicsOnNil(t *testing.T) {
	r := newReceiver(t)
	assert.Panics(t, func() { webhook.NewWorker(nil, r.bank.client(t), r.books.apply) })
	assert.Panics(t, func() { webhook.NewWorker(r.inbox, nil, r.books.apply) })
	assert.Panics(t, func() { webhook.NewWorker(r.inbox, r.bank.client(t), nil) })
}

func TestNothingThatIsLoggedHoldsPersonalData(t *testing.T) {
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.receive(t, paid, completed, failed, "<html>", strings.Replace(paid, "CASHIN_PAID", "CASHIN_DISPUTED", 1))
	r.bank.fail(500)
	r.receive(t, refunded)
	require.Contains(t, r.log.String(), "level=WARN")
	require.Contains(t, r.log.String(), "level=ERROR")
	for _, personal := range []string{"Test User", "Maria", "12345678909", "maria@example.com"} {
		assert.NotContains(t, r.log.String(), personal)
	}
}

func TestAnItemThatWaitedForItsTurnHasItsFullTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		for n := range 40 {
			d := deposit(n, pix.Centavos(1))
			r.bank.set(d)
			require.Equal(t, 200, deliver(r, d.event(webhook.CashInPaid)))
		}
		r.bank.delay = 100 * time.Millisecond
		least := time.Hour
		expired := 0
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
			end, _ := ctx.Deadline()
			least = min(least, time.Until(end))
			select {
			case <-time.After(20 * time.Second):
				return nil
			case <-ctx.Done():
				expired++
				return ctx.Err()
			}
		}, webhook.WithConfirmation(pix.Centavos(0)))
		stop := run(t, worker, 1)
		time.Sleep(40*20*time.Second + time.Minute)
		stop()
		assert.Zero(t, expired)
		assert.Zero(t, worker.Counts().Failed)
		assert.Greater(t, least, 90*time.Second)
		assert.EqualValues(t, 40, worker.Counts().Applied)
	})
}

func TestNothingIsHeldBecauseTheFunctionIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		const n = 400
		for n := range n {
			d := deposit(n, pix.Centavos(1))
			r.bank.set(d)
			require.Equal(t, 200, deliver(r, d.event(webhook.CashInPaid)))
		}
		r.bank.delay = 100 * time.Millisecond
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
			select {
			case <-time.After(45 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, webhook.WithConfirmation(pix.Centavos(0)), webhook.WithLogger(slog.New(slog.DiscardHandler)))
		stop := run(t, worker, 1)
		time.Sleep(48 * time.Hour)
		stop()
		assert.Empty(t, r.reasons())
		assert.EqualValues(t, n, worker.Counts().Applied)
	})
}

func TestAnItemThatAnotherWorkerTookIsNotCountedAsHeld(t *testing.T) {
	r := newReceiver(t)
	worker := webhook.NewWorker(lostHold{r.inbox}, r.bank.client(t), r.books.apply, webhook.WithLogger(slog.New(slog.NewTextHandler(r.log, nil))))
	r.receive(t, paid)
	require.Equal(t, 200, deliver(r, another(charge(webhook.StatusPaid)).event(webhook.CashInPaid)))
	_, err := worker.Work(t.Context())
	require.NoError(t, err)
	assert.Zero(t, worker.Counts().Held)
	assert.NotContains(t, r.log.String(), "level=ERROR")
}

// lostHold is an inbox in which another worker has taken over the item.
type lostHold struct{ webhook.Inbox }

func (lostHold) Hold(context.Context, *webhook.Claim, string) error { return webhook.ErrClaimLost }

func TestASlowFunctionDelaysOnlyItsOwnTransaction(t *testing.T) {
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

// leases is an inbox that records the longest lease.
type leases struct {
	webhook.Inbox
	longest time.Duration
}

func (l *leases) Claim(ctx context.Context, lease time.Duration, limit int) ([]*webhook.Claim, error) {
	l.longest = max(l.longest, lease)
	return l.Inbox.Claim(ctx, lease, limit)
}

func TestAHangingInboxTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker := webhook.NewWorker(slowClaims{}, newBank(t).client(t), (&books{}).apply)
		begun := time.Now()
		_, err := worker.Work(t.Context())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 10*time.Second, time.Since(begun))
	})
}

// slowClaims is an inbox whose Claim waits until its context ends.
type slowClaims struct{ webhook.Inbox }

func (slowClaims) Claim(ctx context.Context, _ time.Duration, _ int) ([]*webhook.Claim, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAPanicOfTheFunctionIsLoggedWithItsPlaceAndWithoutItsValue(t *testing.T) {
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
			assert.Contains(t, r.log.String(), "worker_test.go:")
			assert.Contains(t, r.log.String(), c.logged)
			assert.NotContains(t, r.log.String(), "Test User")
		})
	}
}
