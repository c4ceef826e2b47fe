package connectpsp

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAClientWithoutAJournalRemembersManyOpenPaymentsAndNotEndlesslyMany(t *testing.T) {
	ctx, begun := context.Background(), time.Now()
	var m memory
	put := func(n int) {
		earlier, err := m.Begin(ctx, Intent{IdempotencyKey: strconv.Itoa(n), BegunAt: begun.Add(time.Duration(n))})
		assert.Nil(t, earlier)
		assert.NoError(t, err)
		assert.NoError(t, m.Sent(ctx, strconv.Itoa(n), begun))
	}
	knows := func(n int) bool {
		found, err := m.Find(ctx, strconv.Itoa(n))
		assert.NoError(t, err)
		return found != nil
	}
	for n := range 2 * generationSize {
		put(n)
	}
	assert.True(t, knows(0))
	assert.True(t, knows(2*generationSize-1))
	pending, err := m.Pending(ctx)
	assert.NoError(t, err)
	assert.Len(t, pending, 2*generationSize)
	assert.Equal(t, "0", pending[0].IdempotencyKey, "oldest first")

	assert.NoError(t, m.Finish(ctx, "0", OutcomeRejected, ""))
	assert.False(t, knows(0))
	put(2 * generationSize)
	assert.False(t, knows(1), "the oldest are forgotten")
	assert.True(t, knows(generationSize))
}

func TestMemoryKnowsOnlyWhatWasSentAndSinceWhen(t *testing.T) {
	ctx, first := context.Background(), time.Now()
	var m memory
	_, _ = m.Begin(ctx, Intent{IdempotencyKey: "a"})
	found, _ := m.Find(ctx, "a")
	assert.Nil(t, found)
	earlier, _ := m.Begin(ctx, Intent{IdempotencyKey: "a"})
	assert.Nil(t, earlier, "what was never sent is replaced")
	assert.NoError(t, m.Sent(ctx, "a", first))
	assert.NoError(t, m.Sent(ctx, "a", first.Add(time.Hour)))
	earlier, _ = m.Begin(ctx, Intent{IdempotencyKey: "a"})
	assert.Equal(t, first, earlier.SentAt)
	earlier.SentAt = time.Time{}
	found, _ = m.Find(ctx, "a")
	assert.Equal(t, first, found.SentAt, "what is handed out is a copy")
}

// A queue may hand out a job again whose payment was accepted. A gateway that refuses the second call for a reason of its own
// does not unmake the first.
func TestMemoryKnowsWhatWasAcceptedLately(t *testing.T) {
	ctx, sent := context.Background(), time.Now()
	var m memory
	finish := func(key string, outcome Outcome) {
		_, _ = m.Begin(ctx, Intent{IdempotencyKey: key, Body: []byte("personal")})
		assert.NoError(t, m.Sent(ctx, key, sent))
		assert.NoError(t, m.Finish(ctx, key, outcome, "t-1"))
	}
	finish("accepted", OutcomeAccepted)
	finish("rejected", OutcomeRejected)
	found, _ := m.Find(ctx, "accepted")
	assert.Equal(t, &Intent{IdempotencyKey: "accepted", SentAt: sent, Outcome: OutcomeAccepted, TransactionID: "t-1"}, found)
	found, _ = m.Find(ctx, "rejected")
	assert.Nil(t, found)
	pending, _ := m.Pending(ctx)
	assert.Empty(t, pending)

	for n := range 2 * generationSize {
		finish(strconv.Itoa(n), OutcomeAccepted)
	}
	found, _ = m.Find(ctx, "accepted")
	assert.Nil(t, found, "the oldest are forgotten")
	found, _ = m.Find(ctx, strconv.Itoa(generationSize))
	assert.NotNil(t, found)
}
