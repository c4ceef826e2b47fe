// Package inboxtest tests implementations of [webhook.Inbox].
//
//	func TestMyInbox(t *testing.T) {
//		inboxtest.Run(t, func(t *testing.T) webhook.Inbox { return openMine(t) })
//	}
package inboxtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// Run tests the promises of every [webhook.Inbox], and of its method State if it has one. Open
// returns an empty one for each test, and may skip the test.
func Run(t *testing.T, open func(t *testing.T) webhook.Inbox) {
	for name, test := range map[string]func(*testing.T, webhook.Inbox){
		"an item is kept once, as it was":                           keptOnce,
		"items are claimed when they are due, by one, oldest first": claimed,
		"an item is due again when its lease is over":               leaseOver,
		"items are due by the clock of the inbox":                   clocks,
		"the recorded state of a transaction is that of its items":  states,
		"an item that is to be retried is claimed again":            retried,
		"a function that fails changes nothing":                     failed,
		"an item that is put in a step is kept with it":             putInStep,
		"an item that is postponed keeps its attempts":              postponed,
		"an item that is held is not claimed":                       held,
		"items of one transaction are completed one after another":  oneAfterAnother,
		"an item that is being completed is nobody else's":          beingCompleted,
		"goroutines that work at once complete each item once":      goroutines,
		"an item that is added is told":                             added,
		"items that are due and held are counted":                   counted,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

var received = time.Date(2026, 3, 10, 11, 22, 18, 123456000, time.UTC)

// newItem returns an item of the transaction CASHIN/a that is due at once.
func newItem(key string) webhook.Item {
	return webhook.Item{
		Key: key, Transaction: "CASHIN/a", Body: []byte("body of " + key + "\x00\xff"), DeliveryID: "delivery", ReceivedAt: received, Due: received,
	}
}

func put(t *testing.T, inbox webhook.Inbox, items ...webhook.Item) {
	t.Helper()
	for _, item := range items {
		earlier, err := inbox.Put(t.Context(), item)
		require.NoError(t, err)
		require.Nil(t, earlier)
	}
}

// claim returns the one item that is due next, nil if none is.
func claim(t *testing.T, inbox webhook.Inbox, lease time.Duration) *webhook.Claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // so that a lock that is waited for is a failure
	defer cancel()
	claims, err := inbox.Claim(ctx, lease, 1)
	require.NoError(t, err)
	require.LessOrEqual(t, len(claims), 1)
	if len(claims) == 0 {
		return nil
	}
	return claims[0]
}

// soon claims an item that will be due in a moment.
func soon(t *testing.T, inbox webhook.Inbox) (found *webhook.Claim) {
	t.Helper()
	require.Eventually(t, func() bool {
		found = claim(t, inbox, time.Minute)
		return found != nil
	}, time.Minute, time.Millisecond)
	return found
}

// next claims an item that is due.
func next(t *testing.T, inbox webhook.Inbox) *webhook.Claim {
	t.Helper()
	claim := claim(t, inbox, time.Minute)
	require.NotNil(t, claim)
	return claim
}

// done ends an item and changes nothing.
func done(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
	return webhook.Result{State: known}, nil
}

// never is a function that must not be called.
func never(context.Context, webhook.TransactionState) (webhook.Result, error) {
	panic("it is not ours")
}

// counted tests the method State, which an inbox may have.
func counted(t *testing.T, inbox webhook.Inbox) {
	counting, ok := inbox.(interface {
		State(ctx context.Context) (webhook.InboxState, error)
	})
	if !ok {
		t.Skip("it has no method State")
	}
	count := func(due, held int, oldest time.Duration) {
		t.Helper()
		state, err := counting.State(t.Context())
		require.NoError(t, err)
		assert.Equal(t, due, state.Due)
		assert.Equal(t, held, state.Held)
		if due == 0 {
			assert.Zero(t, state.OldestDue)
		} else {
			assert.WithinDuration(t, time.Now().Add(-oldest), state.OldestDue, 10*time.Second)
		}
	}
	count(0, 0, 0)
	old, recent, later, broken := newItem("a/1"), newItem("a/2"), newItem("a/3"), newItem("a/4")
	old.Due = received.Add(-time.Hour)
	recent.Due = received.Add(-time.Minute)
	later.Due = received.Add(time.Hour)
	broken.Held = "it cannot be read"
	put(t, inbox, recent, old, later, broken)
	count(2, 1, time.Hour)

	first := next(t, inbox)
	require.Equal(t, old.Key, first.Key)
	count(2, 1, time.Hour) // a claim does not end an item
	require.NoError(t, inbox.Postpone(t.Context(), first, time.Now().Add(time.Hour), "later"))
	count(1, 1, time.Minute)

	second := next(t, inbox)
	require.Equal(t, recent.Key, second.Key)
	require.NoError(t, inbox.Hold(t.Context(), second, "a person must look at it"))
	count(0, 2, 0)

	put(t, inbox, newItem("a/5"))
	require.NoError(t, inbox.Complete(t.Context(), next(t, inbox), done))
	count(0, 2, 0)
}

func keptOnce(t *testing.T, inbox webhook.Inbox) {
	first, empty := newItem("a/E1"), newItem("READ#a")
	empty.Body = nil
	put(t, inbox, first, empty)
	changed := first
	changed.Body = []byte("another")
	for _, again := range []webhook.Item{first, changed} {
		earlier, err := inbox.Put(t.Context(), again)
		require.NoError(t, err)
		require.NotNil(t, earlier)
		assert.Equal(t, webhook.Digest(sha256.Sum256(first.Body)), *earlier)
	}
	for _, want := range []webhook.Item{first, empty} {
		got := next(t, inbox)
		got.Due = want.Due
		if len(want.Body) == 0 && len(got.Body) == 0 {
			got.Body = want.Body
		}
		assert.Equal(t, want, got.Item)
		assert.Equal(t, 1, got.Attempts)
		assert.NotEmpty(t, got.Token)
		require.NoError(t, inbox.Complete(t.Context(), got, done))
	}
	put(t, inbox, newItem("a/e1"), newItem("A/E1")) // keys distinguish capitals
	earlier, err := inbox.Put(t.Context(), first)
	require.NoError(t, err)
	assert.NotNil(t, earlier, "also when it is done")
}

func claimed(t *testing.T, inbox webhook.Inbox) {
	later, isHeld := newItem("later"), newItem("held")
	later.Due, isHeld.Held = received.Add(time.Hour), "it is unreadable"
	put(t, inbox, later, isHeld)
	assert.Nil(t, claim(t, inbox, time.Minute))
	var want, got []string
	for n := range 7 {
		item := newItem(fmt.Sprint(n))
		item.Due = received.Add(time.Duration(n-10) * time.Second)
		put(t, inbox, item)
		want = append(want, item.Key)
	}
	for _, limit := range []int{3, 3, 3} {
		claims, err := inbox.Claim(t.Context(), time.Minute, limit)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(claims), limit)
		for _, claim := range claims {
			got = append(got, claim.Key)
		}
	}
	assert.Equal(t, want, got)
	assert.Nil(t, claim(t, inbox, time.Minute))
}

func leaseOver(t *testing.T, inbox webhook.Inbox) {
	put(t, inbox, newItem("a"))
	slow := claim(t, inbox, time.Millisecond)
	require.NotNil(t, slow)
	again := soon(t, inbox)
	assert.Equal(t, 2, again.Attempts)
	for name, err := range map[string]error{
		"complete": inbox.Complete(t.Context(), slow, never),
		"postpone": inbox.Postpone(t.Context(), slow, received, "late"),
		"hold":     inbox.Hold(t.Context(), slow, "late"),
	} {
		assert.ErrorIs(t, err, webhook.ErrClaimLost, name)
	}
	require.NoError(t, inbox.Complete(t.Context(), again, done))
	assert.ErrorIs(t, inbox.Complete(t.Context(), again, never), webhook.ErrClaimLost, "it is done")
}

func clocks(t *testing.T, inbox webhook.Inbox) {
	for key, there := range map[string]time.Time{"ahead": time.Now().Add(time.Hour), "behind": time.Now().Add(-time.Hour)} {
		now, later := newItem(key), newItem(key+", later")
		now.ReceivedAt, now.Due = there, there
		later.ReceivedAt, later.Due = there, there.Add(30*time.Minute)
		put(t, inbox, now, later)
		assert.Equal(t, key, next(t, inbox).Key)
		assert.Nil(t, claim(t, inbox, time.Minute), key)
	}
}

func states(t *testing.T, inbox webhook.Inbox) {
	other := newItem("other")
	other.Transaction = "CASHIN/A"
	put(t, inbox, other)
	states := []webhook.TransactionState{
		{Status: webhook.StatusPaid},
		{Status: webhook.StatusPaid, Returns: []string{"D1", "d1", "any text", "\x00", "%20", "é"}}, // whatever an event says
		{Amount: pix.Centavos(1), Returns: []string{"D1"}},
		{ExternalReference: "order\x001 é", Returns: []string{"D1"}},
		{PaymentID: "E\x001 é", Returns: []string{"D1"}},
	}
	require.NoError(t, inbox.Complete(t.Context(), next(t, inbox), done))
	last := webhook.TransactionState{}
	for n, state := range states {
		put(t, inbox, newItem(fmt.Sprint(n)))
		err := inbox.Complete(t.Context(), next(t, inbox), func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
			assert.Equal(t, last.Status, known.Status)
			assert.True(t, slices.Equal(last.Returns, known.Returns), "%q", known.Returns)
			assert.Equal(t, last.Amount, known.Amount)
			assert.Equal(t, last.ExternalReference, known.ExternalReference)
			assert.Equal(t, last.PaymentID, known.PaymentID)
			return webhook.Result{State: state}, nil
		})
		require.NoError(t, err)
		last = state
	}
}

func retried(t *testing.T, inbox webhook.Inbox) {
	put(t, inbox, newItem("a"))
	for range 3 {
		require.NoError(t, inbox.Postpone(t.Context(), soon(t, inbox), time.Now(), "down"))
	}
	retry := func(at time.Time) func(context.Context, webhook.TransactionState) (webhook.Result, error) {
		return func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
			return webhook.Result{State: known, RetryAt: at}, nil
		}
	}
	first := soon(t, inbox)
	require.NoError(t, inbox.Complete(t.Context(), first, retry(time.Now().Add(-time.Second))))
	assert.ErrorIs(t, inbox.Complete(t.Context(), first, never), webhook.ErrClaimLost, "it has to be claimed again")
	again := soon(t, inbox)
	assert.Equal(t, 1, again.Attempts, "counted from the last result")
	require.NoError(t, inbox.Complete(t.Context(), again, retry(time.Now().Add(time.Hour))))
	assert.Nil(t, claim(t, inbox, time.Minute))
}

func failed(t *testing.T, inbox webhook.Inbox) {
	put(t, inbox, newItem("a"))
	mine := next(t, inbox)
	no := errors.New("no")
	err := inbox.Complete(t.Context(), mine, func(context.Context, webhook.TransactionState) (webhook.Result, error) {
		return webhook.Result{State: webhook.TransactionState{Status: webhook.StatusPaid}}, no
	})
	assert.Equal(t, no, err, "the error of the function is returned as it is")
	assert.Nil(t, claim(t, inbox, time.Minute), "it is still claimed")
	err = inbox.Complete(t.Context(), mine, func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
		assert.Empty(t, known.Status)
		return webhook.Result{State: known}, nil
	})
	assert.NoError(t, err)
}

func putInStep(t *testing.T, inbox webhook.Inbox) {
	for _, fails := range []error{errors.New("no"), nil} {
		put(t, inbox, newItem(fmt.Sprint(fails)))
		watch := newItem("READ#PAYMENT/CASHIN/b")
		watch.Transaction, watch.Body = "CASHIN/b", nil
		mine := next(t, inbox)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := inbox.Complete(ctx, mine, func(ctx context.Context, known webhook.TransactionState) (webhook.Result, error) {
			for range 2 { // the second one finds the first
				if _, err := inbox.Put(ctx, watch); err != nil {
					return webhook.Result{}, err
				}
			}
			return webhook.Result{State: known}, fails
		})
		cancel()
		require.Equal(t, fails, err)
		kept := claim(t, inbox, time.Minute)
		if fails != nil {
			assert.Nil(t, kept)
			require.NoError(t, inbox.Complete(t.Context(), mine, done))
			continue
		}
		require.NotNil(t, kept)
		assert.Equal(t, watch.Key, kept.Key)
	}
}

func postponed(t *testing.T, inbox webhook.Inbox) {
	put(t, inbox, newItem("a"))
	first := next(t, inbox)
	first.Attempts-- // it was no attempt
	require.NoError(t, inbox.Postpone(t.Context(), first, time.Now(), "down\x00\xff"))
	assert.ErrorIs(t, inbox.Complete(t.Context(), first, never), webhook.ErrClaimLost, "it was given back")
	again := soon(t, inbox)
	assert.Equal(t, 1, again.Attempts)
	require.NoError(t, inbox.Postpone(t.Context(), again, time.Now().Add(time.Hour), "down"))
	assert.Nil(t, claim(t, inbox, time.Minute))
}

func held(t *testing.T, inbox webhook.Inbox) {
	put(t, inbox, newItem("a"))
	mine := next(t, inbox)
	require.NoError(t, inbox.Hold(t.Context(), mine, "it was tried too often\x00\xff"))
	assert.Nil(t, claim(t, inbox, time.Minute))
	assert.ErrorIs(t, inbox.Complete(t.Context(), mine, never), webhook.ErrClaimLost)
	earlier, err := inbox.Put(t.Context(), newItem("a"))
	require.NoError(t, err)
	assert.NotNil(t, earlier)
}

func oneAfterAnother(t *testing.T, inbox webhook.Inbox) {
	put(t, inbox, newItem("a"), newItem("b"))
	first, second := next(t, inbox), next(t, inbox)
	var mu sync.Mutex
	inside, most := 0, 0
	change := func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
		mu.Lock()
		inside++
		most = max(most, inside)
		mu.Unlock()
		time.Sleep(50 * time.Millisecond) // longer than the other needs to begin
		mu.Lock()
		defer mu.Unlock()
		inside--
		known.Returns = append(known.Returns, "D")
		return webhook.Result{State: known}, nil
	}
	var all sync.WaitGroup
	for _, mine := range []*webhook.Claim{first, second} {
		all.Go(func() {
			assert.Eventually(t, func() bool {
				err := inbox.Complete(t.Context(), mine, change)
				assert.True(t, err == nil || errors.Is(err, webhook.ErrLocked), "%v", err)
				return err == nil
			}, 30*time.Second, 5*time.Millisecond)
		})
	}
	all.Wait()
	assert.Equal(t, 1, most)
	put(t, inbox, newItem("c"))
	require.NoError(t, inbox.Complete(t.Context(), next(t, inbox), func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
		assert.Len(t, known.Returns, 2, "neither change is lost")
		return webhook.Result{State: known}, nil
	}))
}

func beingCompleted(t *testing.T, inbox webhook.Inbox) {
	put(t, inbox, newItem("a"))
	mine := claim(t, inbox, time.Millisecond)
	require.NotNil(t, mine)
	err := inbox.Complete(t.Context(), mine, func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // an inbox with one writer may wait
		defer cancel()
		claims, _ := inbox.Claim(ctx, time.Minute, 10)
		assert.Empty(t, claims, "also when its lease has ended")
		return webhook.Result{State: known}, nil
	})
	require.NoError(t, err)
	assert.Nil(t, claim(t, inbox, time.Minute))
}

func goroutines(t *testing.T, inbox webhook.Inbox) {
	const items = 200
	for n := range items {
		item := newItem(fmt.Sprint(n))
		item.Transaction = fmt.Sprint("CASHIN/", n%20)
		put(t, inbox, item)
	}
	var completed sync.Map
	var count atomic.Int64
	work := func(claim *webhook.Claim) error {
		err := inbox.Complete(t.Context(), claim, done)
		if errors.Is(err, webhook.ErrLocked) {
			return inbox.Postpone(t.Context(), claim, time.Now(), "locked")
		}
		_, twice := completed.LoadOrStore(claim.Key, true)
		assert.False(t, twice, claim.Key)
		count.Add(1)
		return err
	}
	deadline := time.Now().Add(time.Minute)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for count.Load() < items && time.Now().Before(deadline) {
				claims, err := inbox.Claim(t.Context(), time.Minute, 8)
				assert.NoError(t, err)
				for _, claim := range claims {
					assert.NoError(t, work(claim))
				}
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, items, count.Load())
}

func added(t *testing.T, inbox webhook.Inbox) {
	if inbox.Added() == nil {
		t.Skip("a Worker polls it")
	}
	for n := range 3 {
		put(t, inbox, newItem(fmt.Sprint(n)))
		select {
		case <-inbox.Added():
		case <-time.After(10 * time.Second):
			require.Fail(t, "nothing was told")
		}
	}
	put(t, inbox, newItem("a"), newItem("b")) // nobody listens, and Put does not wait
}
