package journal_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

// watcher is an Observer that keeps the writes that have ended.
type watcher struct {
	mu    sync.Mutex
	ended []connectpsp.JournalWrite
}

func (w *watcher) Begin(ctx context.Context, _ any) context.Context { return ctx }

func (w *watcher) End(_ context.Context, activity any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, activity.(connectpsp.JournalWrite))
}

func TestAnObserverSeesEachWriteOfTheJournal(t *testing.T) {
	seen := new(watcher)
	file, err := journal.Open(path(t), journal.WithObserver(seen), journal.WithObserver(nil))
	require.NoError(t, err)
	send(t, file, 1)
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, "transaction-1"))
	require.NoError(t, file.Close())
	require.Error(t, file.Sent(t.Context(), key(1), noon))
	for n := range seen.ended {
		assert.Positive(t, seen.ended[n].Duration)
		seen.ended[n].Duration = 0
	}
	assert.Equal(t, []connectpsp.JournalWrite{{Step: "begin"}, {Step: "sent"}, {Step: "finish"}, {Step: "sent", Failed: true}}, seen.ended)
}

func TestAClosedJournalCountsNoPayments(t *testing.T) {
	file, err := journal.Open(path(t))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	_, err = file.OpenPayments(t.Context())
	assert.ErrorContains(t, err, "closed", "another process may own the file now")
}
