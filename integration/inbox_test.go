package integration

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

var past = time.Date(2026, 3, 10, 11, 22, 18, 123456000, time.UTC)

func item(key string) webhook.Item {
	return webhook.Item{Key: key, Transaction: "CASHIN/a", Body: []byte("body of " + key + "\x00\xff"), DeliveryID: "delivery", ReceivedAt: past, Due: past}
}

func put(t testing.TB, inbox webhook.Inbox, items ...webhook.Item) {
	t.Helper()
	for _, item := range items {
		earlier, err := inbox.Put(t.Context(), item)
		require.NoError(t, err)
		require.Nil(t, earlier)
	}
}

func claim(t testing.TB, inbox webhook.Inbox) *webhook.Claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // so that a lock that is waited for is a failure
	defer cancel()
	claim, err := one(inbox.Claim(ctx, time.Minute, 1))
	require.NoError(t, err)
	return claim
}

// done settles without a change.
func done(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
	return webhook.Result{State: known}, nil
}

func TestWhatTheFunctionWritesIsCommittedWithTheStepOrNotAtAll(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		execute(t, db, `CREATE TABLE wallet (credit integer NOT NULL)`)
		credit := func(fail error, result webhook.Result) func(context.Context, webhook.TransactionState) (webhook.Result, error) {
			return func(ctx context.Context, _ webhook.TransactionState) (webhook.Result, error) {
				_, err := sqlstore.Tx(ctx).ExecContext(ctx, `INSERT INTO wallet (credit) VALUES (1)`)
				return result, errors.Join(err, fail)
			}
		}
		put(t, inbox, item("a"), item("b"))
		first := claim(t, inbox)
		failure := errors.New("no")
		err := inbox.Complete(t.Context(), first, credit(failure, webhook.Result{State: webhook.TransactionState{Status: webhook.StatusPaid}}))
		assert.ErrorIs(t, err, failure)
		assert.NotContains(t, err.Error(), "sqlstore", "somebody else's error is returned as it is")
		assert.Zero(t, number(t, db, `SELECT count(*) FROM wallet`))

		ctx, cancel := context.WithCancel(t.Context())
		err = inbox.Complete(ctx, first, func(ctx context.Context, known webhook.TransactionState) (webhook.Result, error) {
			result, err := credit(nil, webhook.Result{})(ctx, known)
			cancel()
			return result, err
		})
		assert.Error(t, err)
		assert.Zero(t, number(t, db, `SELECT count(*) FROM wallet`))

		paid := webhook.TransactionState{
			Status:  webhook.StatusRefunded,
			Returns: []string{"D1", "d1", "any text", "\x00", "%20", "é"}, // whatever an event says
			Amount:  pix.Centavos(1050), ExternalReference: "order\x001 é", PaymentID: "E\x001 é",
		}
		due := time.Now()
		require.Eventually(t, func() bool { // the server may still be undoing what was cancelled
			err = inbox.Complete(t.Context(), first, credit(nil, webhook.Result{State: paid, RetryAt: due}))
			return !errors.Is(err, webhook.ErrLocked)
		}, 10*time.Second, 10*time.Millisecond)
		require.NoError(t, err)
		assert.Equal(t, 1, number(t, db, `SELECT count(*) FROM wallet`))
		assert.ErrorIs(t, inbox.Complete(t.Context(), first, done), webhook.ErrClaimLost, "it has to be claimed again")
		var keys []string
		for range 2 {
			next := claim(t, inbox)
			require.NotNil(t, next)
			keys = append(keys, next.Key)
			require.NoError(t, inbox.Complete(t.Context(), next, func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
				assert.Equal(t, paid, known, "of the same transaction")
				return webhook.Result{State: known}, nil
			}))
		}
		assert.ElementsMatch(t, []string{"a", "b"}, keys)
		assert.Nil(t, claim(t, inbox))
	})
}

func TestAHeldItemIsDismissed(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		held := item("held")
		held.Held, held.DeliveryID = "an alarm\x00\xff", "\x00\xff"
		put(t, inbox, held, item("a"))
		for key, want := range map[string]bool{"held": true, "a": false, "nothing": false} {
			found, err := inbox.Dismiss(t.Context(), key)
			require.NoError(t, err)
			assert.Equal(t, want, found, key)
		}
		items, err := inbox.Held(t.Context(), 10)
		require.NoError(t, err)
		assert.Empty(t, items)
		n, err := inbox.Forget(t.Context(), time.Now().Add(time.Hour))
		assert.NoError(t, err)
		assert.EqualValues(t, 1, n)
		earlier, err := inbox.Put(t.Context(), held)
		require.NoError(t, err)
		assert.NotNil(t, earlier, "it is known for ever")
	})
}

func TestItemsArePostponedHeldRetriedAndForgotten(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		held := item("held")
		held.Held = "it is unreadable"
		put(t, inbox, item("a"), held)
		first := claim(t, inbox)
		require.NoError(t, inbox.Postpone(t.Context(), first, time.Now().Add(time.Hour), "down\x00\xff"))
		assert.Nil(t, claim(t, inbox))
		assert.ErrorIs(t, inbox.Complete(t.Context(), first, done), webhook.ErrClaimLost, "it was given back")
		execute(t, db, `UPDATE connectpsp_queue SET due_at = 0, leased_until = 0 WHERE key = 'a'`)
		first = claim(t, inbox)
		require.NoError(t, inbox.Hold(t.Context(), first, "it was tried too often\x00\xff"))
		assert.Nil(t, claim(t, inbox))

		items, err := inbox.Held(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, items, 2)
		reasons := map[string]string{}
		for _, item := range items {
			reasons[item.Key] = item.Held
			assert.Equal(t, past, item.ReceivedAt)
		}
		assert.Equal(t, map[string]string{"a": "it was tried too often??", "held": "it is unreadable"}, reasons)
		items, err = inbox.Held(t.Context(), 1)
		require.NoError(t, err)
		assert.Len(t, items, 1)

		found, err := inbox.Retry(t.Context(), "nothing")
		assert.NoError(t, err)
		assert.False(t, found)
		found, err = inbox.Retry(t.Context(), "a")
		assert.NoError(t, err)
		assert.True(t, found)
		first = claim(t, inbox)
		assert.Equal(t, 1, first.Attempts, "as if it had never been tried")
		require.NoError(t, inbox.Postpone(t.Context(), first, time.Now().Add(time.Hour), "down"))
		found, err = inbox.Retry(t.Context(), "held")
		assert.NoError(t, err)
		assert.True(t, found)
		again := claim(t, inbox)
		assert.Equal(t, "held", again.Key)
		assert.Equal(t, 1, again.Attempts)
		require.NoError(t, inbox.Complete(t.Context(), again, done))

		n, err := inbox.Forget(t.Context(), past)
		assert.NoError(t, err)
		assert.Zero(t, n)
		n, err = inbox.Forget(t.Context(), time.Now().Add(time.Hour))
		assert.NoError(t, err)
		assert.EqualValues(t, 1, n, "and not what is not done")
		earlier, err := inbox.Put(t.Context(), held)
		require.NoError(t, err)
		assert.Equal(t, webhook.Digest(sha256.Sum256(held.Body)), *earlier, "it is known for ever")
	})
}

// Retry is for what is held. What is done, or was dismissed by a person, or is under work, must not
// be worked off again.
func TestOnlyAHeldItemIsRetried(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		dismissed := item("dismissed")
		dismissed.Held = "an alarm"
		put(t, inbox, item("done"), dismissed)
		require.NoError(t, inbox.Complete(t.Context(), claim(t, inbox), done))
		found, err := inbox.Dismiss(t.Context(), "dismissed")
		require.NoError(t, err)
		require.True(t, found)
		put(t, inbox, item("claimed"))
		working := claim(t, inbox)
		waiting := item("waiting")
		waiting.Due = past.Add(time.Hour)
		put(t, inbox, waiting)
		for _, key := range []string{"done", "dismissed", "claimed", "waiting"} {
			found, err := inbox.Retry(t.Context(), key)
			require.NoError(t, err)
			assert.False(t, found, key)
		}
		assert.Nil(t, claim(t, inbox))
		require.NoError(t, inbox.Complete(t.Context(), working, done), "its claim still holds")
	})
}

// plan returns how a database goes about a query.
func plan(t *testing.T, db *sql.DB, explain string) (plan string) {
	rows, err := db.QueryContext(t.Context(), explain)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		var text string // the last column
		row := make([]any, len(columns))
		for i := range row {
			row[i] = new(any)
		}
		row[len(row)-1] = &text
		require.NoError(t, rows.Scan(row...))
		plan += text + "\n"
	}
	require.NoError(t, rows.Err())
	return plan
}

// settling begins to settle an item and returns what ends it, and its error.
func settling(t *testing.T, inbox webhook.Inbox, claim *webhook.Claim) (end func() error) {
	begun, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- inbox.Complete(t.Context(), claim, func(_ context.Context, known webhook.TransactionState) (webhook.Result, error) {
			close(begun)
			<-release
			return webhook.Result{State: known}, nil
		})
	}()
	select {
	case <-begun:
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(30 * time.Second):
		t.Fatal("it is waited for")
	}
	return func() error {
		close(release)
		return <-ended
	}
}

// SQLite has one writer at a time, whatever the transaction.
func TestAnItemOfALockedTransactionIsNotWaitedFor(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		if s.dialect == sqlstore.SQLite {
			t.Skip("SQLite has one writer at a time")
		}
		inbox := openInbox(t, s, db)
		other := item("c")
		other.Transaction = "CASHIN/other"
		put(t, inbox, item("a"), item("b"))
		first, second := claim(t, inbox), claim(t, inbox)
		end := settling(t, inbox, first) // the first of its transaction: there is no row to lock yet
		assert.ErrorIs(t, inbox.Complete(t.Context(), second, done), webhook.ErrLocked)
		put(t, inbox, other)
		assert.NoError(t, inbox.Complete(t.Context(), claim(t, inbox), done))
		require.NoError(t, end())
		second.Attempts--
		require.NoError(t, inbox.Postpone(t.Context(), second, time.Now(), "locked"))
		again := claim(t, inbox)
		assert.Equal(t, 1, again.Attempts, "an attempt that was none is not counted")
		assert.NoError(t, inbox.Complete(t.Context(), again, done))
	})
}

func TestADatabaseThatIsGoneIsAnErrorAndNoLoss(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		put(t, inbox, item("a"), item("b"))
		first := claim(t, inbox)
		require.NoError(t, db.Close())
		_, err := inbox.Put(t.Context(), item("c"))
		assert.Error(t, err)
		_, err = one(inbox.Claim(t.Context(), time.Minute, 1))
		assert.Error(t, err)
		assert.Error(t, inbox.Complete(t.Context(), first, done))
		assert.Error(t, inbox.Postpone(t.Context(), first, past, ""))
		assert.Error(t, inbox.Hold(t.Context(), first, ""))
		_, err = inbox.Held(t.Context(), 1)
		assert.Error(t, err)
		_, err = inbox.Retry(t.Context(), "a")
		assert.Error(t, err)
		_, err = inbox.Dismiss(t.Context(), "a")
		assert.Error(t, err)
		_, err = inbox.Forget(t.Context(), past)
		assert.Error(t, err)
	})
}
