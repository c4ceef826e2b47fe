package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/webhook"
)

// countingInbox counts claims, and records the attempts of postponed items by key.
type countingInbox struct {
	webhook.Inbox
	mu        sync.Mutex
	claims    int
	largest   int
	postponed map[string]int
}

func (c *countingInbox) Claim(ctx context.Context, lease time.Duration, limit int) ([]*webhook.Claim, error) {
	claims, err := c.Inbox.Claim(ctx, lease, limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(claims) > 0 {
		c.claims++
	}
	c.largest = max(c.largest, limit)
	return claims, err
}

func (c *countingInbox) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	c.mu.Lock()
	c.postponed[claim.Key] = claim.Attempts
	c.mu.Unlock()
	return c.Inbox.Postpone(ctx, claim, due, reason)
}

// putPayments puts the payments of so many charges into an inbox.
func putPayments(t *testing.T, inbox webhook.Inbox, charges int) {
	for n := range charges {
		now := time.Now()
		_, err := inbox.Put(t.Context(), webhook.Item{
			Key: fmt.Sprintf("CASHIN_PAID/%d/E%d", n, n), Transaction: fmt.Sprintf("CASHIN/%d", n), ReceivedAt: now, Due: now,
			Body: fmt.Appendf(nil, `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{"transactionId":"%d",`+
				`"externalReference":"order-%d","endToEndId":"E%d","status":"PAID","amount":10.50}}`, n, n, n),
		})
		require.NoError(t, err)
	}
}

func TestABacklogIsClaimedInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := &countingInbox{Inbox: webhook.NewMemoryInbox(), postponed: map[string]int{}}
		putPayments(t, inbox, 1000)
		worker := webhook.NewWorker(inbox, newBank(t).client(t), (&books{}).apply)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.ErrorIs(t, worker.Run(ctx), context.DeadlineExceeded)
		assert.EqualValues(t, 1000, worker.Counts().Applied)
		assert.LessOrEqual(t, inbox.claims, 30)
		assert.LessOrEqual(t, inbox.largest, 64)
		assert.Empty(t, inbox.postponed)
	})
}

func TestAWorkerCallsTheFunctionForAsManyStepsAtATimeAsItMay(t *testing.T) {
	for _, concurrency := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			inbox := webhook.NewMemoryInbox()
			putPayments(t, inbox, 20)
			var mu sync.Mutex
			now, most := 0, 0
			worker := webhook.NewWorker(inbox, newBank(t).client(t), func(context.Context, webhook.Transition) error {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				now--
				return nil
			}, webhook.WithConcurrency(concurrency))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			assert.ErrorIs(t, worker.Run(ctx), context.DeadlineExceeded)
			assert.EqualValues(t, 20, worker.Counts().Applied)
			assert.Equal(t, concurrency, most)
		})
	}
}

// A deployment stops workers: other processes must not wait for the leases of their items.
func TestItemsThatWereNotBegunAreReleasedWhenTheWorkerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := &countingInbox{Inbox: webhook.NewMemoryInbox(), postponed: map[string]int{}}
		putPayments(t, inbox, 12)
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		worker := webhook.NewWorker(inbox, newBank(t).client(t), func(context.Context, webhook.Transition) error {
			if calls++; calls == 4 { // the first of a batch of four
				cancel()
			}
			return nil
		})
		assert.ErrorIs(t, worker.Run(ctx), context.Canceled)
		assert.Len(t, inbox.postponed, 3)
		for key, attempts := range inbox.postponed {
			assert.Zero(t, attempts, "%s was not tried", key)
		}
		claims, err := inbox.Claim(t.Context(), time.Minute, 100)
		require.NoError(t, err)
		assert.Len(t, claims, 8, "all that is left is due at once")
	})
}

func TestItemsThatWaitedTooLongForASlowFunctionAreReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := &countingInbox{Inbox: webhook.NewMemoryInbox(), postponed: map[string]int{}}
		putPayments(t, inbox, 12)
		calls := 0
		worker := webhook.NewWorker(inbox, newBank(t).client(t), func(context.Context, webhook.Transition) error {
			if calls++; calls > 3 { // from the batch of four on
				time.Sleep(15 * time.Second)
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		assert.ErrorIs(t, worker.Run(ctx), context.DeadlineExceeded)
		assert.EqualValues(t, 12, worker.Counts().Applied)
		assert.NotEmpty(t, inbox.postponed)
		assert.Zero(t, worker.Counts().Failed)
	})
}

func TestAnEventThatIsAddedEndsTheWaitOfTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := webhook.NewMemoryInbox()
		applied := make(chan time.Time, 1)
		worker := webhook.NewWorker(inbox, newBank(t).client(t), func(context.Context, webhook.Transition) error {
			applied <- time.Now()
			return nil
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { _ = worker.Run(ctx) }()
		time.Sleep(time.Second + time.Millisecond) // not when the worker polls
		put := time.Now()
		putPayments(t, inbox, 1)
		assert.Equal(t, put, <-applied)
		cancel(errors.New("over"))
		synctest.Wait()
	})
}
