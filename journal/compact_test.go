package journal_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

// TestPaymentsGoOnWhileTheFileIsCompacted stops a compaction in the middle, makes payments of every
// outcome, and finds them all in the new file.
func TestPaymentsGoOnWhileTheFileIsCompacted(t *testing.T) {
	path := path(t)
	file := open(t, path)
	require.NoError(t, journal.Compact(file)) // it finds that there is plenty of room
	for n := range 10 {
		send(t, file, n)
	}
	require.NoError(t, file.Finish(t.Context(), key(0), connectpsp.OutcomeAccepted, "t0"))
	old, err := os.Stat(path)
	require.NoError(t, err)
	reached, goOn := make(chan struct{}, 100), make(chan struct{})
	var compactions atomic.Int32
	defer journal.WatchFsync(func(name string) error {
		if name == path+".tmp" {
			reached <- struct{}{}
			<-goOn
		} else {
			compactions.Add(1)
		}
		return nil
	})()
	journal.CompactFrom(file, 1)
	begin(t, file, 10)
	<-reached

	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, "t1"))
	require.NoError(t, file.Finish(t.Context(), key(2), connectpsp.OutcomeRejected, ""))
	require.NoError(t, file.Sent(t.Context(), key(10), noon))
	send(t, file, 2)
	send(t, file, 11)
	require.NoError(t, file.Finish(t.Context(), key(11), connectpsp.OutcomeRejected, ""))
	for n := 12; n < 200; n++ { // more than is copied at a time
		send(t, file, n)
	}
	journal.CompactFrom(file, 1)
	begin(t, file, 200)
	close(goOn)
	journal.AfterCompaction(file)
	assert.EqualValues(t, 1, compactions.Load(), "one at a time")

	anew, err := os.Stat(path)
	require.NoError(t, err)
	assert.False(t, os.SameFile(old, anew))
	for range 2 {
		assert.Equal(t, "t0", find(t, file, 0).TransactionID)
		assert.Equal(t, "t1", find(t, file, 1).TransactionID)
		for n := 2; n < 200; n++ {
			if n == 11 {
				assert.Nil(t, find(t, file, n))
			} else {
				require.NotNil(t, find(t, file, n), n)
			}
		}
		assert.Len(t, pending(t, file), 198)
		file = reopen(t, file, path)
	}
}

// TestTheFirstCompactionAfterARestartBlocksNoPayment on a volume with plenty of room, however much
// is written meanwhile.
func TestTheFirstCompactionAfterARestartBlocksNoPayment(t *testing.T) {
	path := path(t)
	require.NoError(t, open(t, path).Close())
	synctest.Test(t, func(t *testing.T) {
		file := open(t, path)
		reached, goOn := make(chan struct{}), make(chan struct{})
		stop := journal.WatchFsync(func(string) error {
			select {
			case reached <- struct{}{}:
			case <-goOn:
			}
			<-goOn
			return nil
		})
		defer stop()
		finish := sync.OnceFunc(func() { close(goOn) })
		defer finish()
		journal.CompactFrom(file, 1)
		begin(t, file, 1)
		<-reached
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for n := 2; n < 100; n++ {
			one := intent(n)
			one.Body = make([]byte, 2<<10)
			_, err := file.Begin(ctx, one)
			require.NoError(t, err, n)
			require.NoError(t, file.Sent(ctx, key(n), noon), n)
			require.NoError(t, file.Finish(ctx, key(n), connectpsp.OutcomeAccepted, "t"), n)
		}
		finish()
		journal.AfterCompaction(file)
		require.NoError(t, file.Close())
	})
}

func TestCloseWaitsForACompaction(t *testing.T) {
	path := path(t)
	synctest.Test(t, func(t *testing.T) {
		file := open(t, path)
		send(t, file, 1)
		goOn := make(chan struct{})
		defer journal.WatchFsync(func(string) error { <-goOn; return nil })()
		journal.CompactFrom(file, 1)
		begin(t, file, 2)
		closed := make(chan error, 1)
		go func() { closed <- file.Close() }()
		synctest.Wait()
		assert.Empty(t, closed, "closed while a goroutine writes the new file")
		close(goOn)
		require.NoError(t, <-closed)
	})
	assert.NoFileExists(t, path+".tmp")
	assert.Len(t, pending(t, open(t, path)), 2)
}

// TestManyOpenPaymentsAreNotCompactedAgainAndAgain: what is open stays in the file, however often
// it is compacted.
func TestManyOpenPaymentsAreNotCompactedAgainAndAgain(t *testing.T) {
	path := path(t)
	file := open(t, path)
	random := make([]byte, 20<<10)
	for n := range 100 {
		one := intent(n)
		for i := range random {
			random[i] = byte(i*i*n) ^ byte(i>>3*n)
		}
		one.Body = random
		_, err := file.Begin(t.Context(), one)
		require.NoError(t, err)
		require.NoError(t, file.Sent(t.Context(), key(n), noon))
	}
	require.NoError(t, journal.Compact(file))
	var compactions atomic.Int32
	defer journal.WatchFsync(func(name string) error {
		if name == filepath.Dir(path) {
			compactions.Add(1)
		}
		return nil
	})()
	journal.CompactFrom(file, 1)
	for n := 100; n < 120; n++ {
		begin(t, file, n)
		require.NoError(t, file.Finish(t.Context(), key(n), connectpsp.OutcomeRejected, ""))
		journal.AfterCompaction(file)
	}
	assert.EqualValues(t, 1, compactions.Load())
}

// TestTheBodyOfAnEndedPaymentLeavesTheFile within ten minutes, or when the file is closed or
// opened.
func TestTheBodyOfAnEndedPaymentLeavesTheFile(t *testing.T) {
	personal := func(path string) bool { return strings.Contains(string(contents(t, path)), `"body":`) }
	for name, end := range map[string]func(*testing.T, *journal.File){
		"accepted": func(t *testing.T, file *journal.File) {
			require.NoError(t, file.Sent(t.Context(), key(1), noon))
			require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, "t"))
		},
		"rejected": func(t *testing.T, file *journal.File) {
			require.NoError(t, file.Sent(t.Context(), key(1), noon))
			require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""))
		},
		"never sent": func(t *testing.T, file *journal.File) {
			require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := path(t)
			synctest.Test(t, func(t *testing.T) {
				file := open(t, path)
				begin(t, file, 1)
				end(t, file)
				require.True(t, personal(path))
				time.Sleep(10 * time.Minute)
				journal.AfterCompaction(file)
				assert.False(t, personal(path), "after ten minutes")

				begin(t, file, 2)
				require.NoError(t, file.Finish(t.Context(), key(2), connectpsp.OutcomeRejected, ""))
				require.True(t, personal(path))
				killed := contents(t, path)
				require.NoError(t, file.Close())
				assert.False(t, personal(path), "closed")

				require.NoError(t, os.WriteFile(path, killed, 0o600))
				file = open(t, path)
				assert.False(t, personal(path), "opened after a kill")
				require.NoError(t, file.Close())
			})
		})
	}
}

// TestAPlantedSymlinkIsNotFollowed, neither for the compacted file nor for the lock.
func TestAPlantedSymlinkIsNotFollowed(t *testing.T) {
	path := path(t)
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o644))
	file := open(t, path)
	send(t, file, 1)
	for i, plant := range []func(from, to string) error{os.Symlink, os.Link} {
		if err := plant(victim, path+".tmp"); err != nil {
			t.Skip("no links here")
		}
		require.NoError(t, journal.Compact(file), i)
		assert.Equal(t, "precious", string(contents(t, victim)))
	}
	require.NoError(t, file.Close())
	require.NoError(t, os.Remove(path+".lock"))
	require.NoError(t, os.Symlink(victim, path+".lock"))
	_, err := journal.Open(path)
	assert.Error(t, err)
	info, err := os.Stat(victim)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode())
}

// TestADamagedCompactedFileIsRefused: all of it was durable before it took the place of the old
// one.
func TestADamagedCompactedFileIsRefused(t *testing.T) {
	path := path(t)
	file := open(t, path)
	for n := range 20 {
		send(t, file, n)
	}
	require.NoError(t, journal.Compact(file))
	data := contents(t, path)
	require.NoError(t, file.Close())
	mark := strings.LastIndex(string(data[:len(data)-1]), "\n") + 1
	for i := 0; i < mark; i += 7 {
		damaged := append([]byte{}, data...)
		damaged[i] ^= 1
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		_, err := journal.Open(path)
		require.ErrorAs(t, err, new(*journal.CorruptError), "byte %d of %d", i, len(data))
	}
}

// TestDamageInTheDurablePartOfACompactedFileIsRefused: the fsync of a compaction serves a payment
// that waits for one, and what it made durable must not be taken for a torn tail.
func TestDamageInTheDurablePartOfACompactedFileIsRefused(t *testing.T) {
	path := path(t)
	synctest.Test(t, func(t *testing.T) {
		file := open(t, path)
		begin(t, file, 1)
		release := journal.HoldFlushes(file)
		compacted, sent := make(chan error, 1), make(chan error, 1)
		go func() { compacted <- journal.Compact(file) }()
		synctest.Wait()
		go func() { sent <- file.Sent(t.Context(), key(1), noon) }()
		synctest.Wait()
		release()
		require.NoError(t, <-compacted)
		require.NoError(t, <-sent)
		begin(t, file, 2)
		journal.Kill(file)
	})
	data := contents(t, path)
	at := bytes.Index(data, []byte(`{"sent"`))
	require.Positive(t, at)
	data[at] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, err := journal.Open(path)
	assert.ErrorAs(t, err, new(*journal.CorruptError), "payment 1 was sent, and would be said not to be")
}
