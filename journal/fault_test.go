package journal_test

import (
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

// TestAFullDiskChangesNothing: what cannot be written is an error, however much of it was written,
// and the journal works on when there is room again.
func TestAFullDiskChangesNothing(t *testing.T) {
	for short := 0; short < 400; short += 7 {
		path := path(t)
		file := open(t, path)
		fault := &journal.Fault{Short: short}
		journal.WithFaults(file, fault)
		send(t, file, 1)
		begin(t, file, 2)
		before := contents(t, path)

		fault.Write = true
		_, err := file.Begin(t.Context(), intent(3))
		require.ErrorIs(t, err, journal.ErrFault)
		assert.EqualError(t, err, "journal: a record could not be written: make room or repair the disk: no space left on device")
		require.ErrorIs(t, file.Sent(t.Context(), key(2), noon), journal.ErrFault)
		require.ErrorIs(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""), journal.ErrFault)
		require.ErrorIs(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, ""), journal.ErrFault)
		assert.Equal(t, before, contents(t, path))
		require.Len(t, pending(t, file), 2)
		assert.True(t, pending(t, file)[1].SentAt.IsZero())

		require.ErrorIs(t, file.Finish(t.Context(), key(2), connectpsp.OutcomeRejected, ""), journal.ErrFault)
		assert.Len(t, pending(t, file), 2, "its rejection is not recorded, so it is still found")

		fault.Write = false
		send(t, file, 3)
		file = reopen(t, file, path)
		require.Len(t, pending(t, file), 3)
		assert.True(t, pending(t, file)[1].SentAt.IsZero())
	}
}

func TestAJournalThatCannotTruncateATornRecordRefusesCalls(t *testing.T) {
	path := path(t)
	file := open(t, path)
	fault := &journal.Fault{Write: true, Truncate: true, Short: 20}
	journal.WithFaults(file, fault)
	_, err := file.Begin(t.Context(), intent(1))
	require.ErrorContains(t, err, "open the journal again")
	fault.Write, fault.Truncate = false, false
	_, err = file.Begin(t.Context(), intent(1))
	require.Error(t, err)
	file = reopen(t, file, path)
	assert.Empty(t, pending(t, file))
	send(t, file, 1)
}

func TestAJournalRefusesCallsAfterAFailedFsync(t *testing.T) {
	path := path(t)
	file := open(t, path)
	fault := &journal.Fault{}
	journal.WithFaults(file, fault)
	send(t, file, 1)
	begin(t, file, 2)
	fault.Sync = true
	require.ErrorContains(t, file.Sent(t.Context(), key(2), noon), "the contents of the disk are unknown and no payment is sent any more: repair the disk and open the journal again")
	fault.Sync = false
	require.Error(t, file.Finish(t.Context(), key(2), connectpsp.OutcomeRejected, ""), "the mark may be on disk: it must not be said to be gone")
	require.Error(t, file.Sent(t.Context(), key(2), noon))
	_, err := file.Begin(t.Context(), intent(3))
	require.Error(t, err)
	earlier, err := file.Begin(t.Context(), intent(1))
	require.Error(t, err)
	assert.NotNil(t, earlier, "known payments are still found")
	file = reopen(t, file, path)
	assert.Len(t, pending(t, file), 2)
}

func TestARejectionIsDurableBeforeItIsReported(t *testing.T) {
	file := open(t, path(t))
	fault := &journal.Fault{}
	journal.WithFaults(file, fault)
	begin(t, file, 1)
	assert.Zero(t, fault.Syncs)
	require.NoError(t, file.Sent(t.Context(), key(1), noon))
	assert.Equal(t, 1, fault.Syncs, "one for the intent and its mark together")
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""))
	assert.Equal(t, 2, fault.Syncs)
	send(t, file, 2)
	require.NoError(t, file.Finish(t.Context(), key(2), connectpsp.OutcomeAccepted, ""))
	assert.Equal(t, 3, fault.Syncs, "an acceptance waits for the next")
	begin(t, file, 3)
	require.NoError(t, file.Finish(t.Context(), key(3), connectpsp.OutcomeRejected, ""))
	assert.Equal(t, 4, fault.Syncs, "a rejection of a payment that was never sent, too")

	send(t, file, 4)
	fault.Sync = true
	assert.Error(t, file.Finish(t.Context(), key(4), connectpsp.OutcomeRejected, ""))

	file = open(t, path(t))
	last := &journal.Fault{}
	journal.WithFaults(file, last)
	begin(t, file, 1)
	require.NoError(t, file.Close())
	assert.Equal(t, 1, last.Syncs, "and so does the end")
}

// TestGoroutinesThatWaitTogetherShareAnFsync counts far fewer of them than payments.
func TestGoroutinesThatWaitTogetherShareAnFsync(t *testing.T) {
	file := open(t, path(t))
	fault := &journal.Fault{}
	journal.WithFaults(file, fault)
	for n := range 64 {
		begin(t, file, n)
	}
	release := journal.HoldFlushes(file)
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() { assert.NoError(t, file.Sent(t.Context(), key(n), noon)) })
	}
	for journal.Written(file) < 128 {
	}
	release()
	all.Wait()
	assert.Equal(t, 1, fault.Syncs)
}

// TestAPowerCutDuringACompactionLosesNothing: the new file is durable before it takes the
// place of the old one, and its name before the journal goes on.
func TestAPowerCutDuringACompactionLosesNothing(t *testing.T) {
	path := path(t)
	file := open(t, path)
	for n := range 20 {
		begin(t, file, n)
		require.NoError(t, file.Finish(t.Context(), key(n), connectpsp.OutcomeRejected, ""))
	}
	send(t, file, 20)
	old := contents(t, path)
	var synced []string
	defer journal.WatchFsync(func(name string) error {
		synced = append(synced, name)
		if name == path+".tmp" {
			assert.Contains(t, string(contents(t, path)), string(old), "the old file is there yet")
		} else {
			assert.Less(t, len(contents(t, path)), len(old), "the new file is")
		}
		return nil
	})()
	require.NoError(t, journal.Compact(file))
	assert.Equal(t, []string{path + ".tmp", filepath.Dir(path)}, synced)

	for n := 30; n < 50; n++ {
		begin(t, file, n)
	}
	before := len(contents(t, path))
	defer journal.WatchFsync(func(name string) error {
		if name == path+".tmp" {
			return journal.ErrFault
		}
		return nil
	})()
	require.ErrorIs(t, journal.Compact(file), journal.ErrFault)
	assert.Len(t, contents(t, path), before, "the old file stays")
	send(t, file, 22)

	defer journal.WatchFsync(func(name string) error {
		if name == filepath.Dir(path) {
			return journal.ErrFault
		}
		return nil
	})()
	require.ErrorIs(t, journal.Compact(file), journal.ErrFault)
	_, err := file.Begin(t.Context(), intent(23))
	assert.ErrorIs(t, err, journal.ErrFault, "the old file may come back, and what is written now be lost with the new one")
}

// What was read may be in memory only, and be told of before a power cut and not after it.
func TestAJournalThatIsOpenedIsDurable(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	require.NoError(t, file.Close())
	for _, failing := range []string{path, filepath.Dir(path)} {
		stop := journal.WatchFsync(func(name string) error {
			if name == failing {
				return journal.ErrFault
			}
			return nil
		})
		_, err := journal.Open(path)
		assert.ErrorIs(t, err, journal.ErrFault, failing)
		stop()
	}
	assert.Len(t, pending(t, open(t, path)), 1)
}

// TestAnFsyncCoversOnlyEarlierWrites: a payment that is marked as sent while another's
// fsync runs may not be a part of that one.
func TestAnFsyncCoversOnlyEarlierWrites(t *testing.T) {
	file := open(t, path(t))
	begin(t, file, 1)
	begin(t, file, 2)
	written := journal.Written(file)
	second := make(chan error, 1)
	fault := &journal.Fault{}
	fault.OnSync = func() {
		if fault.Syncs > 1 {
			return
		}
		go func() { second <- file.Sent(t.Context(), key(2), noon) }()
		for journal.Written(file) < written+2 {
			runtime.Gosched()
		}
	}
	journal.WithFaults(file, fault)
	require.NoError(t, file.Sent(t.Context(), key(1), noon))
	require.NoError(t, <-second)
	assert.Equal(t, 2, fault.Syncs)
}

// TestAFullVolumeIsCompactedAtOnce: the write that found it full is tried once more.
func TestAFullVolumeIsCompactedAtOnce(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	before := len(contents(t, path))
	for n := range 100 {
		send(t, file, 10+n)
		require.NoError(t, file.Finish(t.Context(), key(10+n), connectpsp.OutcomeAccepted, "t"))
	}
	grown := len(contents(t, path))
	// The new file is on a disk that works: the full one makes room when it goes.
	journal.WithFaults(file, &journal.Fault{Write: true, Full: true, Short: 20})
	send(t, file, 2)
	assert.Less(t, len(contents(t, path)), before+(grown-before)/4)
	file = reopen(t, file, path)
	assert.Len(t, pending(t, file), 2)
}

// TestARejectionOfAPaymentThatWasNeverSentSurvivesAPowerCut, as that of one that was sent.
func TestARejectionOfAPaymentThatWasNeverSentSurvivesAPowerCut(t *testing.T) {
	path := path(t)
	file := open(t, path)
	var durable []byte
	journal.WithFaults(file, &journal.Fault{OnSync: func() { durable = contents(t, path) }})
	begin(t, file, 1)
	send(t, file, 2) // which makes the intent durable, too
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""))
	after := open(t, write(t, durable))
	require.Len(t, pending(t, after), 1)
	assert.Equal(t, key(2), pending(t, after)[0].IdempotencyKey)
}
