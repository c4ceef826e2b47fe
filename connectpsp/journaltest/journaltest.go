// Package journaltest tests implementations of [connectpsp.Journal].
//
//	func TestMyJournal(t *testing.T) {
//		journaltest.Run(t, func(t *testing.T) connectpsp.Journal { return openMine(t) })
//	}
//
// [RunShared] also tests a journal that several processes share.
package journaltest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// Run tests the promises of every [connectpsp.Journal], and of its method OpenPayments if it has
// one. Open returns an empty one for each test, and may skip the test.
func Run(t *testing.T, open func(t *testing.T) connectpsp.Journal) {
	for name, test := range map[string]func(*testing.T, connectpsp.Journal){
		"an intent that was sent is found as it was":              found,
		"a payment is found under any key, and a key under any":   foundByEither,
		"an intent that was never sent is not in the way":         neverSent,
		"the first sending counts":                                firstSending,
		"a rejected intent is gone":                               rejected,
		"an accepted intent is remembered without its body":       accepted,
		"an accepted intent cannot be rejected":                   acceptedForGood,
		"an intent that was accepted without being sent is known": acceptedUnsent,
		"pending and ended intents are listed in order":           listed,
		"open payments are counted":                               counted,
		"the due time of the first call stays":                    firstDue,
		"intents that are handed out are copies":                  copies,
		"goroutines may share it":                                 goroutines,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// newIntent returns the intent of a new cash-out. Its amount and its due time are made of the
// number.
func newIntent(n int) connectpsp.Intent {
	reference := uuid.NewString()
	body := []byte(`{"amount":1.00,"externalReference":"` + reference + `"}`)
	digest := sha256.Sum256(body)
	return connectpsp.Intent{
		Operation: connectpsp.OperationCreateCashOut, IdempotencyKey: uuid.NewString(), ExternalReference: reference,
		Amount: pix.Centavos(int64(n)), Body: body, BodySHA256: hex.EncodeToString(digest[:]),
		ClientID: "1024", BaseURL: "https://gateway.example", BegunAt: time.Now().UTC(),
		DueBy: time.Now().Add(time.Duration(n) * time.Hour).UTC().Truncate(time.Millisecond),
	}
}

// begin begins an intent that is not known.
func begin(t *testing.T, journal connectpsp.Journal, intent connectpsp.Intent) {
	t.Helper()
	earlier, err := journal.Begin(t.Context(), intent)
	require.NoError(t, err)
	require.Nil(t, earlier)
}

// send begins and sends an intent.
func send(t *testing.T, journal connectpsp.Journal, intent connectpsp.Intent) {
	t.Helper()
	begin(t, journal, intent)
	require.NoError(t, journal.Sent(t.Context(), intent.IdempotencyKey, time.Now().UTC()))
}

func finish(t *testing.T, journal connectpsp.Journal, intent connectpsp.Intent, outcome connectpsp.Outcome) {
	t.Helper()
	require.NoError(t, journal.Finish(t.Context(), intent.IdempotencyKey, outcome, transactionID(outcome)))
}

func transactionID(outcome connectpsp.Outcome) string {
	if outcome == connectpsp.OutcomeAccepted {
		return "transaction-1"
	}
	return ""
}

// look returns what Find returns, and checks that Begin returns the same.
func look(t *testing.T, journal connectpsp.Journal, intent connectpsp.Intent) *connectpsp.Intent {
	t.Helper()
	found, err := journal.Find(t.Context(), intent)
	require.NoError(t, err)
	if found != nil {
		earlier, err := journal.Begin(t.Context(), intent)
		require.NoError(t, err)
		require.NotNil(t, earlier)
		require.Equal(t, found.IdempotencyKey, earlier.IdempotencyKey)
		require.Equal(t, found.Outcome, earlier.Outcome)
	}
	return found
}

// same checks that two intents are equal but for their times, which are near.
func same(t *testing.T, want, got connectpsp.Intent) {
	t.Helper()
	const near = 10 * time.Second
	assert.WithinDuration(t, want.BegunAt, got.BegunAt, near)
	assert.WithinDuration(t, want.SentAt, got.SentAt, near)
	assert.WithinDuration(t, want.EndedAt, got.EndedAt, near)
	want.BegunAt, want.SentAt, want.EndedAt = got.BegunAt, got.SentAt, got.EndedAt
	if len(want.Body) == 0 && len(got.Body) == 0 {
		want.Body = got.Body
	}
	assert.Equal(t, want, got)
}

// counted tests the method OpenPayments, which a journal may have.
func counted(t *testing.T, journal connectpsp.Journal) {
	counting, ok := journal.(interface {
		OpenPayments(ctx context.Context) (connectpsp.OpenPayments, error)
	})
	if !ok {
		t.Skip("it has no method OpenPayments, so the client counts what Pending returns")
	}
	count := func(begunAtMost, sent, overdue int, oldest time.Time) {
		t.Helper()
		open, err := counting.OpenPayments(t.Context())
		require.NoError(t, err)
		assert.LessOrEqual(t, open.Begun, begunAtMost)
		assert.Equal(t, sent, open.Sent)
		assert.Equal(t, overdue, open.Overdue)
		if oldest.IsZero() {
			assert.Zero(t, open.OldestSentAt)
		} else {
			assert.WithinDuration(t, oldest, open.OldestSentAt, 10*time.Second)
		}
	}
	count(0, 0, 0, time.Time{})
	old, recent, unsent, never := newIntent(-1), newIntent(2), newIntent(-3), newIntent(4)
	never.DueBy = time.Time{}
	now := time.Now().UTC()
	for intent, sentAt := range map[*connectpsp.Intent]time.Time{
		&old: now.Add(-time.Hour), &recent: now.Add(-time.Minute), &never: now,
	} {
		begin(t, journal, *intent)
		require.NoError(t, journal.Sent(t.Context(), intent.IdempotencyKey, sentAt))
	}
	begin(t, journal, unsent)
	count(1, 3, 1, now.Add(-time.Hour))
	finish(t, journal, old, connectpsp.OutcomeAccepted)
	count(1, 2, 0, now.Add(-time.Minute))
	for _, intent := range []connectpsp.Intent{recent, unsent, never} {
		finish(t, journal, intent, connectpsp.OutcomeRejected)
	}
	count(0, 0, 0, time.Time{})
}

func firstDue(t *testing.T, journal connectpsp.Journal) {
	first := newIntent(1)
	send(t, journal, first)
	for _, due := range []time.Time{first.DueBy.Add(time.Hour), {}} {
		repeated := first
		repeated.DueBy = due
		got := look(t, journal, repeated)
		require.NotNil(t, got)
		assert.Equal(t, first.DueBy, got.DueBy)
		require.NoError(t, journal.Sent(t.Context(), first.IdempotencyKey, time.Now().UTC()))
	}
	finish(t, journal, first, connectpsp.OutcomeRejected)
	later := first
	later.DueBy = time.Time{}
	send(t, journal, later)
	got := look(t, journal, later)
	require.NotNil(t, got)
	assert.Zero(t, got.DueBy, "an attempt after a rejection has its own")
}

func found(t *testing.T, journal connectpsp.Journal) {
	refund := newIntent(0)
	refund.Operation, refund.ExternalReference = connectpsp.OperationRefundCashIn, ""
	refund.ChargeID, refund.TransactionID = "charge-1", "charge-1"
	for _, intent := range []connectpsp.Intent{newIntent(1050), refund} {
		require.Nil(t, look(t, journal, intent))
		send(t, journal, intent)
		got := look(t, journal, intent)
		require.NotNil(t, got)
		intent.SentAt = time.Now()
		same(t, intent, *got)
	}
}

func foundByEither(t *testing.T, journal connectpsp.Journal) {
	first, second := newIntent(1), newIntent(2)
	send(t, journal, first)
	send(t, journal, second)
	otherKey, otherPayment, both := first, newIntent(3), first
	otherKey.IdempotencyKey = uuid.NewString()
	otherPayment.IdempotencyKey = first.IdempotencyKey
	both.IdempotencyKey = second.IdempotencyKey
	noKey := first
	noKey.IdempotencyKey = ""
	for name, intent := range map[string]connectpsp.Intent{"the payment": otherKey, "the key": otherPayment, "the payment before the key": both} {
		got := look(t, journal, intent)
		require.NotNil(t, got, name)
		assert.Equal(t, first.ExternalReference, got.ExternalReference, name)
	}
	got, err := journal.Find(t.Context(), noKey)
	require.NoError(t, err)
	require.NotNil(t, got)
	capitals := first
	capitals.Operation, capitals.IdempotencyKey = connectpsp.OperationCreateCashIn, uuid.NewString()
	assert.Nil(t, look(t, journal, capitals), "a charge with the reference of a payment is another payment")
}

func neverSent(t *testing.T, journal connectpsp.Journal) {
	first := newIntent(1)
	begin(t, journal, first)
	assert.Nil(t, look(t, journal, first))
	other := first
	other.IdempotencyKey = uuid.NewString()
	begin(t, journal, other)
	require.NoError(t, journal.Sent(t.Context(), other.IdempotencyKey, time.Now().UTC()))
	got := look(t, journal, first)
	require.NotNil(t, got)
	assert.Equal(t, other.IdempotencyKey, got.IdempotencyKey)
	require.NoError(t, journal.Finish(t.Context(), uuid.NewString(), connectpsp.OutcomeRejected, ""), "an unknown key is no error")
	require.NoError(t, journal.Finish(t.Context(), uuid.NewString(), connectpsp.OutcomeAccepted, "t"), "an unknown key is no error")
}

func firstSending(t *testing.T, journal connectpsp.Journal) {
	intent := newIntent(1)
	intent.SentAt = time.Now().Add(-10 * time.Minute).UTC() // of an earlier call that the journal does not know
	begin(t, journal, intent)
	for range 2 {
		require.NoError(t, journal.Sent(t.Context(), intent.IdempotencyKey, time.Now().UTC()))
		got := look(t, journal, intent)
		require.NotNil(t, got)
		same(t, intent, *got)
	}
}

func rejected(t *testing.T, journal connectpsp.Journal) {
	intent := newIntent(1)
	for _, sent := range []bool{true, false, true} {
		begin(t, journal, intent)
		if sent {
			require.NoError(t, journal.Sent(t.Context(), intent.IdempotencyKey, time.Now().UTC()))
		}
		finish(t, journal, intent, connectpsp.OutcomeRejected)
		assert.Nil(t, look(t, journal, intent))
		pending, err := journal.Pending(t.Context())
		require.NoError(t, err)
		assert.Empty(t, pending)
	}
	again := newIntent(2) // the key of a rejected intent may be used for another payment
	again.IdempotencyKey = intent.IdempotencyKey
	send(t, journal, again)
	assert.NotNil(t, look(t, journal, again))
}

func accepted(t *testing.T, journal connectpsp.Journal) {
	intent := newIntent(1)
	send(t, journal, intent)
	finish(t, journal, intent, connectpsp.OutcomeAccepted)
	got := look(t, journal, intent)
	require.NotNil(t, got)
	intent.Outcome, intent.TransactionID, intent.Body = connectpsp.OutcomeAccepted, "transaction-1", nil
	intent.SentAt, intent.EndedAt = time.Now(), time.Now()
	same(t, intent, *got)
	assert.NoError(t, journal.Sent(t.Context(), intent.IdempotencyKey, time.Now().UTC()), "a webhook may report it between two attempts")
}

func acceptedForGood(t *testing.T, journal connectpsp.Journal) {
	intent := newIntent(1)
	send(t, journal, intent)
	finish(t, journal, intent, connectpsp.OutcomeAccepted)
	assert.Error(t, journal.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""))
	assert.NoError(t, journal.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeAccepted, ""))
	got := look(t, journal, intent)
	require.NotNil(t, got)
	assert.Equal(t, connectpsp.OutcomeAccepted, got.Outcome)
	assert.Equal(t, "transaction-1", got.TransactionID)
}

func acceptedUnsent(t *testing.T, journal connectpsp.Journal) {
	intent := newIntent(1)
	intent.SentAt = time.Now().UTC()
	begin(t, journal, intent)
	finish(t, journal, intent, connectpsp.OutcomeAccepted)
	got := look(t, journal, intent)
	require.NotNil(t, got)
	assert.Equal(t, connectpsp.OutcomeAccepted, got.Outcome)
}

func listed(t *testing.T, journal connectpsp.Journal) {
	var intents []connectpsp.Intent
	for n := range 6 {
		intent := newIntent(n)
		intent.BegunAt = time.Now().Add(time.Duration(n-10) * time.Minute).UTC()
		intents = append(intents, intent)
	}
	for _, n := range []int{3, 0, 4, 1, 5, 2} {
		send(t, journal, intents[n])
	}
	for _, n := range []int{4, 1} {
		finish(t, journal, intents[n], connectpsp.OutcomeAccepted)
		time.Sleep(2 * time.Millisecond) // the clock of a database may count milliseconds
	}
	pending, err := journal.Pending(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []int64{0, 2, 3, 5}, amounts(pending))
	ended, err := journal.Ended(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []int64{4, 1}, amounts(ended))
	for _, intent := range ended {
		assert.WithinDuration(t, time.Now(), intent.EndedAt, 10*time.Second)
	}
}

func amounts(intents []connectpsp.Intent) []int64 {
	all := []int64{}
	for _, intent := range intents {
		all = append(all, intent.Amount.Centavos())
	}
	return all
}

func copies(t *testing.T, journal connectpsp.Journal) {
	intent := newIntent(1)
	want := newIntent(1)
	want.Body = append([]byte{}, intent.Body...)
	send(t, journal, intent)
	got := look(t, journal, intent)
	require.NotNil(t, got)
	got.SentAt, got.ExternalReference, got.Outcome = time.Time{}, "another", connectpsp.OutcomeAccepted
	again := look(t, journal, intent)
	require.NotNil(t, again)
	assert.Equal(t, intent.ExternalReference, again.ExternalReference)
	assert.Equal(t, want.Body, again.Body)
	assert.Empty(t, again.Outcome)
	assert.False(t, again.SentAt.IsZero())
}

func goroutines(t *testing.T, journal connectpsp.Journal) {
	var all sync.WaitGroup
	const each = 10
	for n := range 8 {
		all.Go(func() {
			for m := range each {
				intent := newIntent(n*each + m)
				outcome := []connectpsp.Outcome{"", connectpsp.OutcomeAccepted, connectpsp.OutcomeRejected}[m%3]
				_, err := journal.Begin(t.Context(), intent)
				assert.NoError(t, err)
				assert.NoError(t, journal.Sent(t.Context(), intent.IdempotencyKey, time.Now().UTC()))
				if outcome != "" {
					assert.NoError(t, journal.Finish(t.Context(), intent.IdempotencyKey, outcome, transactionID(outcome)))
				}
				got, err := journal.Find(t.Context(), intent)
				assert.NoError(t, err)
				assert.Equal(t, outcome == connectpsp.OutcomeRejected, got == nil, fmt.Sprint(n, m))
			}
		})
	}
	all.Wait()
	pending, err := journal.Pending(t.Context())
	require.NoError(t, err)
	assert.Len(t, pending, 8*4)
}
