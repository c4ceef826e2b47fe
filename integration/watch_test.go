package integration

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/webhook"
)

// A function refunds what was paid, say, and has the refund watched. With one connection anything
// that did not take part in its transaction would wait for itself.
func TestAWatchStartedByTheFunctionIsStoredOnlyIfItsStepIs(t *testing.T) {
	inboxes := map[string]func(t *testing.T) webhook.Inbox{
		"memory": func(*testing.T) webhook.Inbox { return webhook.NewMemoryInbox() },
	}
	for _, s := range servers {
		for name, limit := range map[string]func(*sql.DB){"": func(*sql.DB) {}, ", one connection": func(db *sql.DB) { db.SetMaxOpenConns(1) }} {
			inboxes[s.name+name] = func(t *testing.T) webhook.Inbox {
				db := s.open(t)
				limit(db)
				return openInbox(t, s, db)
			}
		}
	}
	for name, open := range inboxes {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			inbox := open(t)
			s := &storm{t: t}
			var failure error
			calls := 0
			s.receive(inbox, func(ctx context.Context, step webhook.Transition) error {
				calls++
				for range 2 {
					if err := s.worker.WatchRefund(ctx, step.TransactionID); err != nil {
						return err
					}
				}
				return failure
			})
			watched := func() bool {
				earlier, err := inbox.Put(ctx, webhook.Item{Key: "READ#REFUND/CASHIN/t1", Transaction: "CASHIN/t1", Held: "a probe"})
				require.NoError(t, err)
				return earlier != nil
			}
			l := life{id: "t1", kind: webhook.KindCashIn}
			failure = errors.New("no")
			require.Equal(t, http.StatusOK, post(s.handler, currentSecret, l.body(paid, 18)))
			worked, err := s.worker.Work(ctx)
			require.NoError(t, err)
			require.True(t, worked)
			require.Equal(t, 1, calls)
			require.False(t, watched(), "the step failed")

			other := life{id: "t2", kind: webhook.KindCashIn}
			failure = nil
			require.Equal(t, http.StatusOK, post(s.handler, currentSecret, other.body(paid, 18)))
			worked, err = s.worker.Work(ctx)
			require.NoError(t, err)
			require.True(t, worked)
			require.Equal(t, webhook.WorkerCounts{Applied: 1, Failed: 1}, s.worker.Counts())
			earlier, err := inbox.Put(ctx, webhook.Item{Key: "READ#REFUND/CASHIN/t2"})
			require.NoError(t, err)
			assert.NotNil(t, earlier, "it is watched")
		})
	}
}
