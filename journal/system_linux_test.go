//go:build linux

package journal_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

// A link whose file is not there yet leads to the same journal as later.
func TestALinkAndItsFileAreOneJournal(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	link := filepath.Join(dir, "payments.journal")
	require.NoError(t, os.Symlink(filepath.Join(data, "payments.journal"), link))
	first, err := journal.Open(link)
	require.NoError(t, err)
	defer first.Close()
	second, err := journal.Open(link)
	if assert.ErrorIs(t, err, journal.ErrInUse, "two Files have one journal") {
		return
	}
	send(t, first, 1)
	send(t, second, 2)
	_ = second.Close()
	_ = first.Close()
	third, err := journal.Open(link)
	require.NoError(t, err)
	defer third.Close()
	assert.Len(t, pending(t, third), 2, "a payment that was marked as sent is lost")
}

// Somebody takes the lock for a leftover, or has made a second name for the file.
func TestNeitherADeletedLockNorASecondNameLetsAnotherProcessIn(t *testing.T) {
	first := path(t)
	file := open(t, first)
	second := first + ".2"
	require.NoError(t, os.Link(first, second))
	for range 2 {
		require.NoError(t, os.Remove(first+".lock"))
		for _, name := range []string{first, second} {
			_, err := journal.Open(name)
			require.ErrorIs(t, err, journal.ErrInUse, name)
		}
		// And once more when it was written anew.
		require.NoError(t, journal.Compact(file))
		require.NoError(t, os.Remove(second))
		require.NoError(t, os.Link(first, second))
	}
	send(t, file, 2)
	require.NoError(t, file.Close())
	again := open(t, second)
	assert.Len(t, pending(t, again), 1)
}

func TestAPipeIsNotWaitedFor(t *testing.T) {
	pipe := path(t)
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err := journal.Open(pipe)
	assert.ErrorContains(t, err, "is no file")
}

func TestAJournalStaysWhereItIsWhenTheProcessGoesElsewhere(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	t.Chdir(one)
	file, err := journal.Open("payments.journal")
	require.NoError(t, err)
	send(t, file, 1)
	require.NoError(t, os.Chdir(two))
	require.NoError(t, journal.Compact(file))
	send(t, file, 3)
	require.NoError(t, file.Close())
	require.NoError(t, os.Chdir(one))
	again, err := journal.Open("payments.journal")
	require.NoError(t, err)
	defer again.Close()
	assert.Len(t, pending(t, again), 2, "payment 3 was marked as sent, durably, and is not found")
}

// A busy server takes every descriptor that comes free.
func TestAProcessThatIsOutOfDescriptorsKeepsItsJournal(t *testing.T) {
	path := path(t)
	file, err := journal.Open(path)
	require.NoError(t, err)
	send(t, file, 1)
	begin(t, file, 2)
	journal.CompactFrom(file, 1)
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	low := old
	low.Cur = 64
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
	stop := make(chan struct{})
	done := make(chan struct{})
	var held []*os.File
	// a busy server: it takes every descriptor that comes free
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if f, err := os.Open("/dev/null"); err == nil {
				held = append(held, f)
			} else if len(held) > 0 && time.Now().UnixNano()%3 == 0 {
				// gives one back now and then
				_ = held[len(held)-1].Close()
				held = held[:len(held)-1]
			}
		}
	}()
	deadline := time.Now().Add(time.Second)
	n := 10
	var failed error
	for time.Now().Before(deadline) && failed == nil {
		journal.CompactFrom(file, 1)
		if _, err := file.Begin(t.Context(), intent(n)); err != nil {
			failed = err
			break
		}
		failed = file.Finish(t.Context(), key(n), connectpsp.OutcomeRejected, "")
		n++
	}
	close(stop)
	<-done
	for _, f := range held {
		_ = f.Close()
	}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old))
	_, err = file.Begin(t.Context(), intent(5000))
	assert.NoError(t, err, "descriptors are free again, and the journal takes nothing any more")
}
