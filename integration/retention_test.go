package integration

import (
	"context"
	"database/sql"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestBodiesAreForgottenInBatchesAndOnlyOfWhatIsDone(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		execute(t, db, `INSERT INTO connectpsp_event (key, body, body_sha256, received_at)
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 2500)
SELECT 'done' || n, $1, $1, 1000 FROM number`, []byte("body"))
		held := item("held")
		held.Held = "it is unreadable"
		put(t, inbox, item("open"), held)
		forgotten, err := inbox.Forget(t.Context(), time.UnixMicro(1000))
		require.NoError(t, err)
		assert.Zero(t, forgotten, "received later")
		forgotten, err = inbox.Forget(t.Context(), time.Now())
		require.NoError(t, err)
		assert.EqualValues(t, 2500, forgotten)
		assert.Equal(t, 2, number(t, db, `SELECT count(*) FROM connectpsp_event WHERE body IS NOT NULL`))

		forgotten, err = inbox.ForgetHeld(t.Context(), past)
		require.NoError(t, err)
		assert.Zero(t, forgotten)
		forgotten, err = inbox.ForgetHeld(t.Context(), time.Now())
		require.NoError(t, err)
		assert.EqualValues(t, 1, forgotten)
		items, err := inbox.Held(t.Context(), 10)
		require.NoError(t, err)
		assert.Empty(t, items)
		assert.NotEmpty(t, claim(t, inbox).Body, "what is not done stays")
	})
}

// The statement of the package's documentation.
func TestAnEventWhoseRowWasDeletedHasNoEffectWhenItIsSentAgain(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		calls := 0
		st := &storm{t: t}
		st.receive(inbox, func(context.Context, webhook.Transition) error {
			calls++
			return nil
		})
		l := life{id: "t1", kind: webhook.KindCashOut}
		for range 3 {
			for _, event := range []happening{completed, returned, again} {
				require.Equal(t, http.StatusOK, post(st.handler, currentSecret, l.body(event, 18)))
				worked, err := st.worker.Work(t.Context())
				require.NoError(t, err)
				require.True(t, worked)
			}
			execute(t, db, `DELETE FROM connectpsp_event WHERE received_at < $1 AND id NOT IN (SELECT id FROM connectpsp_queue)`,
				time.Now().Add(time.Hour).UnixMicro())
			require.Zero(t, number(t, db, `SELECT count(*) FROM connectpsp_event`))
		}
		assert.Equal(t, 3, calls)
	})
}

// A handler and a worker that were given the inbox of one store.
func TestAnEventIsWorkedOffAtOnceInItsOwnProcess(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		store := openStore(t, s, db)
		applied := make(chan struct{}, 1)
		st := &storm{t: t}
		st.receive(store.Inbox(), func(ctx context.Context, _ webhook.Transition) error {
			require.NotNil(t, sqlstore.Tx(ctx))
			applied <- struct{}{}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- st.worker.Run(ctx) }()
		for n, id := range []string{"t1", "t2", "t3"} {
			l := life{id: id, kind: webhook.KindCashOut}
			require.Equal(t, http.StatusOK, post(st.handler, currentSecret, l.body(completed, 18)))
			select {
			case <-applied:
			case <-time.After(30 * time.Second):
				require.Fail(t, "it is not worked off", "%d", n)
			}
		}
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
	})
}
