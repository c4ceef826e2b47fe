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

func TestAMemoryInboxForgetsOnlyItsOldestDoneItems(t *testing.T) {
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

func TestAFullMemoryInboxTakesNoNewItem(t *testing.T) {
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

func TestKeysAreCaseSensitive(t *testing.T) {
	r := newReceiver(t)
	r.receive(t, paid, strings.ReplaceAll(paid, inID, strings.ToLower(inID)))
	assert.EqualValues(t, webhook.Counts{Stored: 2}, r.Handler.Counts())
}

// settling calls Complete for an item, and returns a function that lets it end and returns its
// error.
func settling(t *testing.T, inbox webhook.Inbox, claim *webhook.Claim) (end func() error) {
	begun, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- inbox.Complete(t.Context(), claim, func(context.Context, webhook.TransactionState) (webhook.Result, error) {
			close(begun)
			<-release
			return webhook.Result{State: webhook.TransactionState{Status: webhook.StatusPaid}}, nil
		})
	}()
	soon(t, begun)
	return func() error {
		close(release)
		return soon(t, ended)
	}
}

func TestAnItemOfALockedTransactionIsNotWaitedFor(t *testing.T) {
	inbox := webhook.NewMemoryInbox()
	var claims []*webhook.Claim
	for key, transaction := range map[string]string{"a": "CASHIN/1", "b": "CASHIN/1"} {
		_, err := inbox.Put(t.Context(), webhook.Item{Key: key, Transaction: transaction})
		require.NoError(t, err)
		claim, err := one(inbox.Claim(t.Context(), time.Hour, 1))
		require.NoError(t, err)
		claims = append(claims, claim)
	}
	end := settling(t, inbox, claims[0])
	assert.ErrorIs(t, inbox.Complete(t.Context(), claims[1], nil), webhook.ErrLocked)
	require.NoError(t, end())
	require.NoError(t, inbox.Complete(t.Context(), claims[1], func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
		assert.Equal(t, webhook.StatusPaid, known.Status)
		return webhook.Result{State: known}, nil
	}))
}

func TestADismissedItemMakesRoom(t *testing.T) {
	r := newReceiverOn(t, webhook.NewSmallMemoryInbox(1))
	require.Equal(t, 200, deliver(r, "<html>"))
	require.Equal(t, 503, deliver(r, paid))
	require.True(t, r.inbox.Dismiss(r.inbox.Held()[0].Key))
	r.receive(t, paid)
	assert.Equal(t, ">PAID", r.books.String())
}

// A function that ignores its context may take longer than the lease, and must not run twice at a
// time.
func TestAnItemBeingCompletedIsNotClaimedAgainWhenItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := webhook.NewMemoryInbox()
		_, err := inbox.Put(t.Context(), webhook.Item{Key: "a", Transaction: "CASHIN/1"})
		require.NoError(t, err)
		slow, err := one(inbox.Claim(t.Context(), time.Minute, 1))
		require.NoError(t, err)
		end := settling(t, inbox, slow)
		time.Sleep(time.Hour)
		again, err := one(inbox.Claim(t.Context(), time.Minute, 1))
		require.NoError(t, err)
		assert.Nil(t, again)
		assert.ErrorIs(t, inbox.Postpone(t.Context(), slow, time.Now(), "late"), webhook.ErrClaimLost)
		require.NoError(t, end())
	})
}

// The clock of a receiver may be wrong.
func TestAnItemIsDueByTheClockOfTheInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := webhook.NewMemoryInbox()
		for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
			there := time.Now().Add(ahead)
			_, err := inbox.Put(t.Context(), webhook.Item{Key: ahead.String(), ReceivedAt: there, Due: there.Add(time.Minute)})
			require.NoError(t, err)
			claim, err := one(inbox.Claim(t.Context(), 2*time.Hour, 1))
			require.NoError(t, err)
			require.Nil(t, claim)
			time.Sleep(time.Minute)
			claim, err = one(inbox.Claim(t.Context(), 2*time.Hour, 1))
			require.NoError(t, err)
			require.NotNil(t, claim)
		}
	})
}

func TestATransactionIsRememberedAsLongAsAnyOfItsItems(t *testing.T) {
	const limit = 3
	r := newReceiverOn(t, webhook.NewSmallMemoryInbox(limit))
	r.receive(t, paid, refunded, completed, failed) // the first is forgotten
	r.receive(t, paid)
	assert.EqualValues(t, 5, r.Handler.Counts().Stored)
	assert.Equal(t, ">PAID, PAID>REFUNDED, >COMPLETED", r.books.String(), "it comes again, and changes nothing")
}

func TestAnItemThatAStepPutsTwiceIsADuplicate(t *testing.T) {
	inbox := webhook.NewMemoryInbox()
	_, err := inbox.Put(t.Context(), webhook.Item{Key: "a"})
	require.NoError(t, err)
	claim, err := one(inbox.Claim(t.Context(), time.Minute, 1))
	require.NoError(t, err)
	require.NoError(t, inbox.Complete(t.Context(), claim, func(ctx context.Context, known webhook.TransactionState) (webhook.Result, error) {
		for n, body := range []string{"first", "second"} {
			earlier, err := inbox.Put(ctx, webhook.Item{Key: "b", Body: []byte(body)})
			require.NoError(t, err)
			assert.Equal(t, n == 1, earlier != nil)
		}
		other, err := inbox.Put(t.Context(), webhook.Item{Key: "b", Body: []byte("of somebody else"), Held: "first to be kept"})
		assert.NoError(t, err)
		assert.Nil(t, other, "items of a step are not visible before it commits")
		return webhook.Result{State: known}, nil
	}))
	require.Len(t, inbox.Held(), 1, "the item that was stored meanwhile stays")
}
