package connectpsp

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func intentNumber(n int) Intent {
	number := strconv.Itoa(n)
	return Intent{Operation: OperationCreateCashOut, IdempotencyKey: "key-" + number, ExternalReference: "w-" + number}
}

func TestTheMemoryJournalKeepsEveryOpenPaymentAndRefusesMoreThanItsLimit(t *testing.T) {
	ctx, begun := context.Background(), time.Now()
	var m memoryJournal
	begin := func(n int) error {
		intent := intentNumber(n)
		intent.BegunAt = begun.Add(time.Duration(n))
		earlier, err := m.Begin(ctx, intent)
		assert.Nil(t, earlier)
		return err
	}
	for n := range memoryOpen {
		require.NoError(t, begin(n))
		require.NoError(t, m.Sent(ctx, intentNumber(n).IdempotencyKey, begun))
	}
	assert.ErrorIs(t, begin(memoryOpen), errMemoryFull, "a payment that is not recorded is not sent")
	for _, n := range []int{0, memoryOpen - 1} {
		found, err := m.Find(ctx, intentNumber(n))
		require.NoError(t, err)
		assert.NotNil(t, found)
	}
	pending, err := m.Pending(ctx)
	require.NoError(t, err)
	require.Len(t, pending, memoryOpen)
	assert.Equal(t, "key-0", pending[0].IdempotencyKey, "oldest first")

	require.NoError(t, m.Finish(ctx, "key-0", OutcomeRejected, ""))
	found, err := m.Find(ctx, intentNumber(0))
	require.NoError(t, err)
	assert.Nil(t, found)
	assert.NoError(t, begin(memoryOpen), "one that ended makes room")
}

// Recover resolves and reports payments in the order of these times.
func TestTheMemoryJournalListsPaymentsInTheOrderTheyBeganAndEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var m memoryJournal
		keysOf := func(told []Intent, err error) (keys []string) {
			require.NoError(t, err)
			for _, intent := range told {
				keys = append(keys, intent.IdempotencyKey)
			}
			return keys
		}
		for _, n := range []int{3, 1, 2} {
			intent := intentNumber(n)
			intent.BegunAt = time.Now()
			_, err := m.Begin(ctx, intent)
			require.NoError(t, err)
			require.NoError(t, m.Sent(ctx, intent.IdempotencyKey, time.Now()))
			time.Sleep(time.Second)
		}
		assert.Equal(t, []string{"key-3", "key-1", "key-2"}, keysOf(m.Pending(ctx)))
		for _, n := range []int{2, 3, 1} {
			require.NoError(t, m.Finish(ctx, intentNumber(n).IdempotencyKey, OutcomeAccepted, ""))
			time.Sleep(time.Second)
		}
		assert.Equal(t, []string{"key-2", "key-3", "key-1"}, keysOf(m.Ended(ctx)))
	})
}

func TestTheMemoryJournalFindsOnlySentPaymentsAndKeepsTheFirstTime(t *testing.T) {
	ctx, first := context.Background(), time.Now()
	var m memoryJournal
	_, _ = m.Begin(ctx, intentNumber(1))
	found, _ := m.Find(ctx, intentNumber(1))
	assert.Nil(t, found)
	earlier, _ := m.Begin(ctx, intentNumber(1))
	assert.Nil(t, earlier, "an intent that was never sent is replaced")
	assert.NoError(t, m.Sent(ctx, "key-1", first))
	assert.NoError(t, m.Sent(ctx, "key-1", first.Add(time.Hour)))
	earlier, _ = m.Begin(ctx, intentNumber(1))
	assert.Equal(t, first, earlier.SentAt)
	earlier.SentAt = time.Time{}
	found, _ = m.Find(ctx, intentNumber(1))
	assert.Equal(t, first, found.SentAt, "the caller got a copy")
}

func TestTheMemoryJournalFindsAnIntentByItsPaymentOrByItsKey(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(*memoryJournal){
		"open": func(*memoryJournal) {},
		"accepted": func(m *memoryJournal) {
			require.NoError(t, m.Finish(ctx, "key-1", OutcomeAccepted, "t-1"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var m memoryJournal
			_, err := m.Begin(ctx, intentNumber(1))
			require.NoError(t, err)
			require.NoError(t, m.Sent(ctx, "key-1", time.Now()))
			end(&m)
			otherKey, otherPayment := intentNumber(1), intentNumber(2)
			otherKey.IdempotencyKey, otherPayment.IdempotencyKey = "key-3", "key-1"
			for _, again := range []Intent{otherKey, otherPayment} {
				earlier, err := m.Begin(ctx, again)
				require.NoError(t, err)
				require.NotNil(t, earlier)
				assert.Equal(t, "w-1", earlier.ExternalReference)
			}
		})
	}
}

// A queue may run a job again whose payment was accepted. If the gateway refuses the second call,
// the first payment was made all the same.
func TestTheMemoryJournalRemembersTheLatestAcceptedPayments(t *testing.T) {
	ctx, sent := context.Background(), time.Now()
	var m memoryJournal
	finish := func(n int, outcome Outcome) {
		intent := intentNumber(n)
		intent.Body = []byte("personal")
		_, _ = m.Begin(ctx, intent)
		assert.NoError(t, m.Sent(ctx, intent.IdempotencyKey, sent))
		assert.NoError(t, m.Finish(ctx, intent.IdempotencyKey, outcome, "t-1"))
	}
	finish(0, OutcomeAccepted)
	finish(1, OutcomeRejected)
	found, _ := m.Find(ctx, intentNumber(0))
	require.NotNil(t, found)
	assert.Nil(t, found.Body)
	assert.Equal(t, OutcomeAccepted, found.Outcome)
	assert.Equal(t, "t-1", found.TransactionID)
	found, _ = m.Find(ctx, intentNumber(1))
	assert.Nil(t, found)
	pending, _ := m.Pending(ctx)
	assert.Empty(t, pending)

	for n := range 2 * memoryAccepted {
		finish(n+2, OutcomeAccepted)
	}
	found, _ = m.Find(ctx, intentNumber(0))
	assert.Nil(t, found, "the oldest are forgotten")
	found, _ = m.Find(ctx, intentNumber(memoryAccepted+2))
	assert.NotNil(t, found)
}
