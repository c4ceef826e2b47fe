package journaltest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// Shared is a journal that processes share.
type Shared struct {
	// Open returns the journal of one more process.
	Open func() connectpsp.Journal
	// Expire makes every lease expire, as if all processes were frozen for long.
	Expire func()
}

// RunShared tests the promises of a [connectpsp.Journal] that processes share. Open returns an
// empty one for each test, and may skip the test.
func RunShared(t *testing.T, open func(t *testing.T) Shared) {
	for name, test := range map[string]func(*testing.T, Shared){
		"another process leaves alone what is sent":                       leftAlone,
		"another process leaves alone what has just ended":                endedLeftAlone,
		"another process finds what a process that died has sent":         foundAfterDeath,
		"a process that dies before it sends leaves nothing":              diedBefore,
		"a call hears what the call of another process heard":             hears,
		"a call that cannot wait any longer knows of the other":           impatient,
		"a refund does not wait":                                          refund,
		"of two that begin one sends, and the other hears of it":          race,
		"one that was beaten cannot be rejected while the other is open":  beaten,
		"a process that was frozen sends nothing and ends nothing":        frozen,
		"an outcome that the gateway tells is written by any process":     told,
		"an open payment is taken over by one process":                    takenOver,
		"a person rejects what nobody works on, and nothing else":         byHand,
		"a clock that is wrong delays nothing and forgets nothing":        skewed,
		"a process that was frozen does not send what was rejected since": late,
		"what one did not send none sends that has begun it before":       unsent,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func sent(t *testing.T, journal connectpsp.Journal, intent connectpsp.Intent) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return journal.Sent(ctx, intent.IdempotencyKey, time.Now().UTC())
}

// only returns the one intent of a list.
func only(t *testing.T) func([]connectpsp.Intent, error) connectpsp.Intent {
	return func(intents []connectpsp.Intent, err error) connectpsp.Intent {
		t.Helper()
		require.NoError(t, err)
		require.Len(t, intents, 1)
		return intents[0]
	}
}

func leftAlone(t *testing.T, shared Shared) {
	first, second := shared.Open(), shared.Open()
	intent := newIntent(1)
	send(t, first, intent)
	assert.False(t, only(t)(first.Pending(t.Context())).Leased, "its own")
	assert.True(t, only(t)(second.Pending(t.Context())).Leased)
	found, err := second.Find(t.Context(), intent)
	require.NoError(t, err)
	require.NotNil(t, found)
	assert.True(t, found.Leased)
	assert.False(t, found.SentAt.IsZero())
	shared.Expire()
	assert.False(t, only(t)(second.Pending(t.Context())).Leased)
	require.NoError(t, sent(t, first, intent), "nobody else has taken it")
	assert.True(t, only(t)(second.Pending(t.Context())).Leased, "the lease was renewed")
}

func endedLeftAlone(t *testing.T, shared Shared) {
	for _, outcome := range []connectpsp.Outcome{connectpsp.OutcomeAccepted, connectpsp.OutcomeRejected} {
		first, second := shared.Open(), shared.Open()
		intent := newIntent(1)
		send(t, first, intent)
		finish(t, first, intent, outcome)
		leased := func(journal connectpsp.Journal) bool {
			ended, err := journal.Ended(t.Context())
			require.NoError(t, err)
			place := slices.IndexFunc(ended, func(e connectpsp.Intent) bool { return e.IdempotencyKey == intent.IdempotencyKey })
			require.GreaterOrEqual(t, place, 0)
			return ended[place].Leased
		}
		assert.False(t, leased(first), outcome)
		assert.True(t, leased(second), outcome)
		shared.Expire()
		assert.False(t, leased(second), outcome)
	}
}

func foundAfterDeath(t *testing.T, shared Shared) {
	intent := newIntent(1)
	send(t, shared.Open(), intent)
	shared.Expire()
	second := shared.Open()
	got := only(t)(second.Pending(t.Context()))
	intent.SentAt = time.Now()
	same(t, intent, got)
	earlier, err := second.Begin(t.Context(), got)
	require.NoError(t, err)
	require.NotNil(t, earlier)
	require.NoError(t, sent(t, second, intent))
	finish(t, second, intent, connectpsp.OutcomeAccepted)
}

func diedBefore(t *testing.T, shared Shared) {
	intent := newIntent(1)
	begin(t, shared.Open(), intent)
	shared.Expire()
	second := shared.Open()
	assert.Nil(t, look(t, second, intent))
	other := intent
	other.IdempotencyKey = uuid.NewString()
	send(t, second, other)
}

// waiting begins an intent in a goroutine, and returns what Begin returns.
func waiting(t *testing.T, journal connectpsp.Journal, intent connectpsp.Intent) func() *connectpsp.Intent {
	type result struct {
		earlier *connectpsp.Intent
		err     error
	}
	begun := make(chan result, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	go func() {
		defer cancel()
		earlier, err := journal.Begin(ctx, intent)
		begun <- result{earlier, err}
	}()
	select {
	case early := <-begun:
		require.Fail(t, "it has not waited", "%v, %v", early.earlier, early.err)
	case <-time.After(100 * time.Millisecond):
	}
	return func() *connectpsp.Intent {
		t.Helper()
		result := <-begun
		require.NoError(t, result.err)
		return result.earlier
	}
}

func hears(t *testing.T, shared Shared) {
	for _, outcome := range []connectpsp.Outcome{connectpsp.OutcomeAccepted, connectpsp.OutcomeRejected} {
		first, second := shared.Open(), shared.Open()
		intent := newIntent(1)
		send(t, first, intent)
		heard := waiting(t, second, intent)
		finish(t, first, intent, outcome)
		earlier := heard()
		require.NotNil(t, earlier, outcome)
		assert.Equal(t, outcome, earlier.Outcome)
		assert.Equal(t, intent.IdempotencyKey, earlier.IdempotencyKey)
	}
	first, second := shared.Open(), shared.Open()
	intent := newIntent(1)
	send(t, first, intent)
	heard := waiting(t, second, intent)
	shared.Expire() // the first process has died
	earlier := heard()
	require.NotNil(t, earlier)
	assert.Empty(t, earlier.Outcome)
	assert.False(t, earlier.SentAt.IsZero())
	assert.NoError(t, sent(t, second, intent))
}

func impatient(t *testing.T, shared Shared) {
	first, second := shared.Open(), shared.Open()
	intent := newIntent(1)
	send(t, first, intent)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	earlier, err := second.Begin(ctx, intent)
	assert.Error(t, err)
	if earlier == nil { // then the client looks it up
		earlier, err = second.Find(t.Context(), intent)
		require.NoError(t, err)
	}
	require.NotNil(t, earlier)
	assert.False(t, earlier.SentAt.IsZero())
}

func refund(t *testing.T, shared Shared) {
	first, second := shared.Open(), shared.Open()
	intent := newIntent(0)
	intent.Operation, intent.ChargeID, intent.ExternalReference = connectpsp.OperationRefundCashIn, "charge-1", ""
	send(t, first, intent)
	begun := time.Now()
	earlier, err := second.Begin(t.Context(), intent)
	assert.Error(t, err)
	require.NotNil(t, earlier)
	assert.Less(t, time.Since(begun), 10*time.Second)
}

func race(t *testing.T, shared Shared) {
	for _, outcome := range []connectpsp.Outcome{connectpsp.OutcomeAccepted, connectpsp.OutcomeRejected} {
		first, second := shared.Open(), shared.Open()
		intent := newIntent(1)
		begin(t, first, intent)
		begin(t, second, intent)
		require.NoError(t, sent(t, first, intent))
		ended := make(chan error, 1)
		go func() { ended <- second.Sent(t.Context(), intent.IdempotencyKey, time.Now().UTC()) }()
		select {
		case err := <-ended:
			assert.Error(t, err, "it may be an error at once")
		case <-time.After(100 * time.Millisecond):
			finish(t, first, intent, outcome)
			err := <-ended
			assert.Equal(t, outcome == connectpsp.OutcomeRejected, err != nil,
				"the gateway repeats an acceptance to the same key; a rejection is another caller's: %v", err)
			assert.Equal(t, outcome == connectpsp.OutcomeAccepted,
				second.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, "") != nil)
		}
	}
}

func beaten(t *testing.T, shared Shared) {
	first, second := shared.Open(), shared.Open()
	intent := newIntent(1)
	other := intent
	other.IdempotencyKey = uuid.NewString()
	begin(t, first, intent)
	begin(t, second, other)
	require.NoError(t, sent(t, first, intent))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	assert.Error(t, second.Sent(ctx, other.IdempotencyKey, time.Now().UTC()))
	assert.Error(t, second.Finish(t.Context(), other.IdempotencyKey, connectpsp.OutcomeRejected, ""),
		"a caller must not hear that nothing was sent")
	assert.NotEmpty(t, only(t)(first.Pending(t.Context())))
	shared.Expire()
	assert.Error(t, sent(t, second, other), "it has begun before the payment was open")
}

func frozen(t *testing.T, shared Shared) {
	first, second := shared.Open(), shared.Open()
	intent := newIntent(1)
	send(t, first, intent)
	shared.Expire()
	earlier, err := second.Begin(t.Context(), intent)
	require.NoError(t, err)
	require.NotNil(t, earlier)
	require.NoError(t, sent(t, second, intent))
	assert.Error(t, sent(t, first, intent))
	assert.Error(t, first.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""))
	shared.Expire()
	assert.Error(t, sent(t, first, intent), "also when the other's lease is over")
	assert.Error(t, first.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""))
	require.NoError(t, sent(t, second, intent))
	finish(t, second, intent, connectpsp.OutcomeRejected)
	assert.Error(t, sent(t, first, intent), "also when the payment has ended")
}

func told(t *testing.T, shared Shared) {
	first, second := shared.Open(), shared.Open()
	intent := newIntent(1)
	send(t, first, intent)
	finish(t, second, intent, connectpsp.OutcomeAccepted)
	got := look(t, first, intent)
	require.NotNil(t, got)
	assert.Equal(t, connectpsp.OutcomeAccepted, got.Outcome)
	assert.Empty(t, got.Body)
	assert.NoError(t, sent(t, first, intent), "it is telling its caller")
	assert.Error(t, first.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""))
	finish(t, first, intent, connectpsp.OutcomeAccepted)
}

func takenOver(t *testing.T, shared Shared) {
	intent := newIntent(1)
	send(t, shared.Open(), intent)
	shared.Expire()
	const processes = 8
	var journals []connectpsp.Journal
	for range processes {
		journal := shared.Open()
		earlier, err := journal.Begin(t.Context(), intent)
		require.NoError(t, err)
		require.NotNil(t, earlier)
		journals = append(journals, journal)
	}
	taken := make(chan bool, processes)
	for _, journal := range journals {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			taken <- journal.Sent(ctx, intent.IdempotencyKey, time.Now().UTC()) == nil
		}()
	}
	count := 0
	for range processes {
		if <-taken {
			count++
		}
	}
	assert.Equal(t, 1, count)
}

func byHand(t *testing.T, shared Shared) {
	intent := newIntent(1)
	send(t, shared.Open(), intent)
	tool := shared.Open()
	assert.Error(t, tool.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""))
	shared.Expire()
	finish(t, tool, intent, connectpsp.OutcomeRejected)
	assert.Nil(t, look(t, tool, intent))
}

func skewed(t *testing.T, shared Shared) {
	for _, wrong := range []time.Duration{-time.Hour, time.Hour} {
		first, second := shared.Open(), shared.Open()
		intent := newIntent(1)
		begin(t, first, intent)
		require.NoError(t, first.Sent(t.Context(), intent.IdempotencyKey, time.Now().Add(wrong).UTC()))
		found, err := second.Find(t.Context(), intent)
		require.NoError(t, err)
		require.NotNil(t, found)
		assert.True(t, found.Leased)
		finish(t, first, intent, connectpsp.OutcomeAccepted)
		ended, err := second.Ended(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, ended)
		assert.WithinDuration(t, time.Now(), ended[len(ended)-1].EndedAt, 10*time.Second)
	}
}

func late(t *testing.T, shared Shared) {
	first, second := shared.Open(), shared.Open()
	intent := newIntent(1)
	begin(t, first, intent) // and here it is frozen
	send(t, second, intent)
	finish(t, second, intent, connectpsp.OutcomeRejected)
	shared.Expire()
	assert.Error(t, sent(t, first, intent), "the caller of the other may be paying in another way")
	assert.Nil(t, look(t, second, intent))
}

func unsent(t *testing.T, shared Shared) {
	first, second, third := shared.Open(), shared.Open(), shared.Open()
	intent := newIntent(1)
	begin(t, first, intent)
	begin(t, second, intent)
	finish(t, second, intent, connectpsp.OutcomeRejected)
	assert.Error(t, sent(t, first, intent), "the caller of the other may be paying in another way")
	finish(t, first, intent, connectpsp.OutcomeRejected)
	assert.Nil(t, look(t, third, intent))

	begin(t, first, intent)
	send(t, second, intent)
	finish(t, second, intent, connectpsp.OutcomeRejected)
	begin(t, third, intent)
	finish(t, first, intent, connectpsp.OutcomeRejected)
	assert.Error(t, sent(t, third, intent), "also when another attempt was rejected in between")
	send(t, third, intent)
	assert.Error(t, first.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""), "another has begun it since, and sends it")
}
