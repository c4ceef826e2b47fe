//go:build linux

package journal_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

// A symlink whose file does not exist yet leads to the same journal as later.
func TestASymlinkAndItsFileAreOneJournal(t *testing.T) {
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

// Somebody removes the lock file as a leftover, or has made a second name for the file.
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

func TestAPipeIsRefusedWithoutWaiting(t *testing.T) {
	pipe := path(t)
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err := journal.Open(pipe)
	assert.ErrorContains(t, err, "is no file")
}

func TestAJournalSurvivesAChangeOfDirectory(t *testing.T) {
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

// TestARemovedFileStopsPayments: logrotate, tmpwatch or an operator may have taken it.
// What would be written there would not be found again.
func TestARemovedFileStopsPayments(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"removed": os.Remove,
		"renamed": func(path string) error { return os.Rename(path, path+".1") },
		"replaced": func(path string) error {
			data, err := os.ReadFile(path)
			return errors.Join(err, os.Remove(path), os.WriteFile(path, data, 0o600))
		},
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			path := path(t)
			file := open(t, path)
			send(t, file, 1)
			begin(t, file, 2)
			require.NoError(t, take(path))
			const says = "the file was removed, replaced or truncated while it was open, so no payment is sent any more"
			require.ErrorContains(t, file.Sent(t.Context(), key(2), noon), says)
			_, err := file.Begin(t.Context(), intent(3))
			require.ErrorContains(t, err, says)
			require.ErrorContains(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""), says)
			assert.NotNil(t, find(t, file, 1), "known payments are still found")
		})
	}
}

// TestCloseReportsThatTheFileWasRemovedOrCut unless another call has said so: nil means that all is
// durable.
func TestCloseReportsThatTheFileWasRemovedOrCut(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			path := path(t)
			file, err := journal.Open(path)
			require.NoError(t, err)
			send(t, file, 1)
			require.NoError(t, take(path))
			const says = "removed, replaced or truncated"
			require.ErrorContains(t, file.Close(), says)

			file, err = journal.Open(path)
			require.NoError(t, err)
			begin(t, file, 1)
			require.NoError(t, take(path))
			require.ErrorContains(t, file.Sent(t.Context(), key(1), noon), says)
			require.NoError(t, file.Close())
		})
	}
}

// TestACompactedFileKeepsItsOwner: root may have opened the journal of a service to look at it.
func TestACompactedFileKeepsItsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, "t"))
	journal.Kill(file)
	require.NoError(t, os.Chown(path, 1000, 1001))
	before, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, open(t, path).Close())
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.False(t, os.SameFile(before, after), "it was not compacted")
	owner := after.Sys().(*syscall.Stat_t)
	assert.Equal(t, [2]uint32{1000, 1001}, [2]uint32{owner.Uid, owner.Gid})
}

// The fsync of a file that was truncated meanwhile covers nothing of what is gone.
func TestAFileTruncatedDuringAnFsyncStopsPayments(t *testing.T) {
	path := path(t)
	file := open(t, path)
	begin(t, file, 1)
	journal.WithFaults(file, &journal.Fault{OnSync: func() { _ = os.Truncate(path, 100) }})
	require.ErrorContains(t, file.Sent(t.Context(), key(1), noon), "truncated while it was open")
}

func TestACompactionDoesNotReplaceAnotherFile(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("another"), 0o600))
	require.ErrorContains(t, journal.Compact(file), "replaced")
	assert.Equal(t, "another", string(contents(t, path)))
	assert.NoFileExists(t, path+".tmp")
}

func TestAFileThatOthersCouldReadBecomesPrivate(t *testing.T) {
	path := path(t)
	for _, name := range []string{path, path + ".lock"} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		require.NoError(t, os.Chmod(name, 0o664))
	}
	open(t, path)
	for _, name := range []string{path, path + ".lock"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())
	}
}

// smallVolume returns a path on a volume of 3 MiB.
func smallVolume(t *testing.T) string {
	if raceEnabled {
		t.Skip("it takes a minute, and one goroutine has no races")
	}
	directory := t.TempDir()
	if err := syscall.Mount("tmpfs", directory, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("no volume can be mounted: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(directory, 0)) })
	return filepath.Join(directory, "payments.journal")
}

// realistic returns an intent with random ids and digests.
func realistic(n int) connectpsp.Intent {
	one := intent(n)
	sum := sha256.Sum256(fmt.Append(nil, n))
	one.IdempotencyKey = uuid.NewSHA1(uuid.Nil, sum[:]).String()
	one.BodySHA256 = hex.EncodeToString(sum[:])
	one.Body = fmt.Appendf(nil, `{"amount":50.00,"externalReference":"withdrawal-%d","payee":{"name":"Maria %x",`+
		`"document":"12345678909","destination":{"type":"PIX","pixKeyType":"CPF","pixKey":"12345678909"}},`+
		`"webhookUrl":"https://wallet.example/webhooks/connectpsp"}`, n, sum[:8])
	one.BegunAt = time.Now()
	return one
}

// TestTenThousandEndedPaymentsFitOnThreeMebibytes for ever: as one comes, another is forgotten.
func TestTenThousandEndedPaymentsFitOnThreeMebibytes(t *testing.T) {
	file := open(t, smallVolume(t))
	const anHour = 10_000
	for n := range anHour + 1500 {
		one := realistic(n)
		_, err := file.Begin(t.Context(), one)
		require.NoError(t, err, n)
		require.NoError(t, file.Sent(t.Context(), one.IdempotencyKey, time.Now()), n)
		transaction := uuid.NewString()
		require.NoError(t, file.Finish(t.Context(), one.IdempotencyKey, connectpsp.OutcomeAccepted, transaction), n)
		journal.Age(file, time.Hour/anHour)
	}
	for n := 2000; n < anHour+1500; n++ {
		found, err := file.Find(t.Context(), realistic(n))
		require.NoError(t, err)
		require.NotNil(t, found, n)
	}
}

// TestAVolumeThatAnOutageFilledIsUsableAgain: it takes as many open payments as leave room for
// their ends, and when these have ended it takes new ones.
func TestAVolumeThatAnOutageFilledIsUsableAgain(t *testing.T) {
	path := smallVolume(t)
	file := open(t, path)
	var keys []string
	for {
		one := realistic(len(keys))
		_, err := file.Begin(t.Context(), one)
		if err == nil {
			err = file.Sent(t.Context(), one.IdempotencyKey, time.Now())
		}
		if err != nil {
			require.ErrorContains(t, err, "make room")
			break
		}
		keys = append(keys, one.IdempotencyKey)
	}
	require.Greater(t, len(keys), 2400)
	file = reopen(t, file, path)
	sent := 0
	for _, one := range pending(t, file) {
		if !one.SentAt.IsZero() {
			sent++
		}
	}
	require.Len(t, keys, sent)
	for n, key := range keys {
		require.NoError(t, file.Finish(t.Context(), key, connectpsp.OutcomeRejected, ""), n)
	}
	file = reopen(t, file, path)
	for n := range 1000 {
		one := realistic(100_000 + n)
		_, err := file.Begin(t.Context(), one)
		require.NoError(t, err, n)
		require.NoError(t, file.Finish(t.Context(), one.IdempotencyKey, connectpsp.OutcomeRejected, ""))
	}
}
