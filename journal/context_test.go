package journal_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

var errEnough = errors.New("the caller has waited enough")

// TestACallWaitsForAHangingDiskOnlyAsLongAsItsContext and leaves everything right for when the
// disk works again.
func TestACallWaitsForAHangingDiskOnlyAsLongAsItsContext(t *testing.T) {
	path := path(t)
	synctest.Test(t, func(t *testing.T) {
		file := open(t, path)
		send(t, file, 0)
		begin(t, file, 1)
		begin(t, file, 2)
		hangs, works := make(chan struct{}, 100), make(chan struct{})
		journal.WithFaults(file, &journal.Fault{OnSync: func() { hangs <- struct{}{}; <-works }})

		brief := func() context.Context {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errEnough)
			t.Cleanup(cancel)
			return ctx
		}
		began := time.Now()
		assert.ErrorIs(t, file.Sent(brief(), key(1), noon), errEnough, "it waits for the disk")
		<-hangs
		assert.ErrorIs(t, file.Sent(brief(), key(2), noon), errEnough, "it waits for the other")
		assert.ErrorIs(t, file.Finish(brief(), key(0), connectpsp.OutcomeRejected, ""), errEnough)
		assert.Equal(t, 3*time.Second, time.Since(began))

		// The client reports 1 as not sent, and records that as soon as it can.
		rejected := make(chan error, 1)
		go func() { rejected <- file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, "") }()
		synctest.Wait()
		select {
		case <-rejected:
			assert.Fail(t, "a rejection that is not durable was confirmed")
		default:
		}
		close(works)
		require.NoError(t, <-rejected)
		assert.Nil(t, find(t, file, 1))
		assert.NotNil(t, find(t, file, 2), "a payment that may have been sent is open")
		require.NoError(t, file.Finish(t.Context(), key(0), connectpsp.OutcomeRejected, ""), "again")

		require.NoError(t, file.Close())
		file = open(t, path)
		require.Len(t, pending(t, file), 1)
		assert.Equal(t, key(2), pending(t, file)[0].IdempotencyKey)
		require.NoError(t, file.Close())
	})
}

func TestACallWaitsForOthersOnlyAsLongAsItsContext(t *testing.T) {
	path := path(t)
	synctest.Test(t, func(t *testing.T) {
		file := open(t, path)
		send(t, file, 1)
		begin(t, file, 2)
		before := contents(t, path)
		release := journal.HoldWrites(file)
		for name, call := range map[string]func(context.Context) error{
			"Begin":  func(ctx context.Context) error { _, err := file.Begin(ctx, intent(3)); return err },
			"Sent":   func(ctx context.Context) error { return file.Sent(ctx, key(2), noon) },
			"Finish": func(ctx context.Context) error { return file.Finish(ctx, key(1), connectpsp.OutcomeAccepted, "") },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			assert.ErrorIs(t, call(ctx), context.DeadlineExceeded, name)
			cancel()
			assert.ErrorIs(t, call(ctx), context.DeadlineExceeded, "%s, when it is too late", name)
		}
		// What is known needs no disk.
		assert.NotNil(t, find(t, file, 1))
		assert.Len(t, pending(t, file), 2)
		earlier, err := file.Begin(t.Context(), intent(1))
		require.NoError(t, err)
		assert.NotNil(t, earlier)
		release()
		assert.Equal(t, before, contents(t, path), "a call whose context has ended writes nothing")
		require.NoError(t, file.Close())
	})
}
