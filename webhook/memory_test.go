package webhook_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestAMemoryInboxForgetsTheOldestThatIsDoneAndNothingElse(t *testing.T) {
	const limit = 100
	r := newReceiverOn(t, webhook.NewSmallMemoryInbox(limit))
	event := func(n int) string {
		p := payment(webhook.StatusCompleted)
		p.id = fmt.Sprintf("p%d", n)
		return p.event(webhook.CashOutCompleted)
	}
	r.receive(t, event(0), event(1))
	for n := 2; n < limit; n++ {
		require.Equal(t, 200, deliver(r, event(n)))
	}
	r.receive(t, event(0))
	assert.EqualValues(t, 1, r.Handler.Counts().Duplicates)
	applied := len(r.books.transitions)
	assert.Equal(t, limit, applied)
	r.receive(t, event(limit))
	r.receive(t, event(1))
	assert.EqualValues(t, 2, r.Handler.Counts().Duplicates)
	r.receive(t, event(0))
	assert.EqualValues(t, 2, r.Handler.Counts().Duplicates, "the oldest is forgotten")
}

func TestAMemoryInboxThatIsFullTakesNothingMore(t *testing.T) {
	const limit = 100
	inbox := webhook.NewSmallMemoryInbox(limit)
	for n := range limit {
		_, err := inbox.Put(t.Context(), webhook.Item{Key: fmt.Sprint(n), Due: time.Now()})
		require.NoError(t, err)
	}
	_, err := inbox.Put(t.Context(), webhook.Item{Key: "one more"})
	assert.ErrorIs(t, err, webhook.ErrInboxFull)
	earlier, err := inbox.Put(t.Context(), webhook.Item{Key: "0"})
	assert.NoError(t, err)
	assert.NotNil(t, earlier, "those that are there are known")
	assert.Equal(t, 503, deliver(newHandler(t, inbox), paid))
}

func TestKeysDistinguishCapitals(t *testing.T) {
	r := newReceiver(t)
	r.receive(t, paid, strings.ReplaceAll(paid, inID, strings.ToLower(inID)))
	assert.EqualValues(t, webhook.Counts{Stored: 2}, r.Handler.Counts())
}

// Whoever waits for another item of the same transaction may wait longer than the lease of its own.
func TestALeaseThatEndsWhileItWaitsIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := webhook.NewMemoryInbox()
		for _, key := range []string{"a", "b"} {
			_, err := inbox.Put(t.Context(), webhook.Item{Key: key, Transaction: "CASHIN/1", Due: time.Now()})
			require.NoError(t, err)
		}
		slow, err := inbox.Claim(t.Context(), time.Hour)
		require.NoError(t, err)
		waiting, err := inbox.Claim(t.Context(), time.Minute)
		require.NoError(t, err)
		go func() {
			_ = inbox.Settle(t.Context(), slow, func(_ context.Context, known webhook.Known) (webhook.Settlement, error) {
				time.Sleep(10 * time.Minute)
				return webhook.Settlement{Known: known}, nil
			})
		}()
		synctest.Wait()
		ended := make(chan error)
		go func() {
			ended <- inbox.Settle(t.Context(), waiting, func(context.Context, webhook.Known) (webhook.Settlement, error) {
				t.Error("its item is another's")
				return webhook.Settlement{}, nil
			})
		}()
		time.Sleep(2 * time.Minute)
		again, err := inbox.Claim(t.Context(), time.Hour)
		require.NoError(t, err)
		require.Equal(t, waiting.Key, again.Key)
		assert.ErrorIs(t, <-ended, webhook.ErrClaimLost)
	})
}

func TestWhatIsDismissedMakesRoom(t *testing.T) {
	r := newReceiverOn(t, webhook.NewSmallMemoryInbox(1))
	require.Equal(t, 200, deliver(r, "<html>"))
	require.Equal(t, 503, deliver(r, paid))
	require.True(t, r.inbox.Dismiss(r.inbox.Held()[0].Key))
	r.receive(t, paid)
	assert.Equal(t, ">PAID", r.books.String())
}

// Whoever works longer than its lease has no effect in the inbox: another has the item.
func TestALeaseThatEndsWhileTheFunctionRunsIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := webhook.NewMemoryInbox()
		_, err := inbox.Put(t.Context(), webhook.Item{Key: "a", Transaction: "CASHIN/1", Due: time.Now()})
		require.NoError(t, err)
		slow, err := inbox.Claim(t.Context(), time.Minute)
		require.NoError(t, err)
		ended := make(chan error)
		go func() {
			ended <- inbox.Settle(t.Context(), slow, func(context.Context, webhook.Known) (webhook.Settlement, error) {
				time.Sleep(10 * time.Minute)
				return webhook.Settlement{Known: webhook.Known{Status: webhook.StatusPaid}}, nil
			})
		}()
		time.Sleep(2 * time.Minute)
		again, err := inbox.Claim(t.Context(), time.Hour)
		require.NoError(t, err)
		require.NotNil(t, again)
		assert.ErrorIs(t, <-ended, webhook.ErrClaimLost)
		require.NoError(t, inbox.Settle(t.Context(), again, func(_ context.Context, known webhook.Known) (webhook.Settlement, error) {
			assert.Empty(t, known.Status)
			return webhook.Settlement{Known: known}, nil
		}))
	})
}

func TestATransactionIsKnownAsLongAsOneOfItsItems(t *testing.T) {
	const limit = 3
	r := newReceiverOn(t, webhook.NewSmallMemoryInbox(limit))
	r.receive(t, paid, refunded, completed, failed) // the first is forgotten
	r.receive(t, paid)
	assert.EqualValues(t, 5, r.Handler.Counts().Stored)
	assert.Equal(t, ">PAID, PAID>REFUNDED, >COMPLETED", r.books.String(), "it comes again, and changes nothing")
}
