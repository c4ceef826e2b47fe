package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// File is a connectpsp.Journal in a file. Make it with Open. It may be shared by goroutines, and by clients of
// different ClientIDs; two clients of one would not know of each other's calls. Its methods do not look at their contexts: what they wait for is the disk.
type File struct {
	path string
	lock io.Closer

	// flushing is held during an fsync, and is taken before mu. Synced is how many records are known to be durable.
	flushing sync.Mutex
	synced   uint64

	mu        sync.Mutex // guards all below
	disk      disk
	size      int64 // of the file, up to the end of the last whole record
	written   uint64
	compactAt int64
	state     *state
	failure   error // why the journal takes nothing more, nil if it does
}

// disk is what is used of an *os.File.
type disk interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

var _ connectpsp.Journal = (*File)(nil)

var (
	errClosed  = errors.New("journal: it is closed")
	errNoKey   = errors.New("journal: an intent has no idempotency key")
	errPaid    = errors.New("journal: a payment that was accepted cannot be rejected: two clients work on it")
	errUnknown = errors.New("journal: there is no intent with this idempotency key that could be sent")
)

// Begin writes an intent. See connectpsp.Journal.
func (f *File) Begin(_ context.Context, i connectpsp.Intent) (*connectpsp.Intent, error) {
	if i.IdempotencyKey == "" {
		return nil, errNoKey
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.forget(time.Now())
	if earlier := f.state.known(i); earlier != nil {
		return earlier, f.failure
	}
	i.Outcome = ""
	return nil, f.write(record{Intent: intentOf(i, time.Time{})})
}

// Find looks an intent up. See connectpsp.Journal.
func (f *File) Find(_ context.Context, i connectpsp.Intent) (*connectpsp.Intent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isClosed() {
		return nil, errClosed // another process may have it now, and know more
	}
	f.state.forget(time.Now())
	return f.state.known(i), nil
}

// Sent writes that a payment is about to be sent, and waits until that is on disk. See connectpsp.Journal.
func (f *File) Sent(_ context.Context, key string, at time.Time) error {
	f.mu.Lock()
	var err error
	switch e := f.state.entries[key]; {
	case e == nil || e.intent.Outcome != "" || at.IsZero():
		err = errUnknown
	case e.intent.SentAt.IsZero():
		err = f.write(record{Sent: &sent{Key: key, At: at.UTC()}})
	}
	number := f.written
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.flush(number)
}

// Finish writes a certain outcome, and waits until a rejection is on disk. See connectpsp.Journal.
func (f *File) Finish(_ context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	if outcome != connectpsp.OutcomeAccepted && outcome != connectpsp.OutcomeRejected {
		return fmt.Errorf("journal: %q is no outcome", outcome)
	}
	f.mu.Lock()
	e := f.state.entries[key]
	switch {
	case f.isClosed():
		f.mu.Unlock()
		return errClosed
	case e != nil && e.intent.Outcome != "" && outcome == connectpsp.OutcomeRejected:
		f.mu.Unlock()
		return errPaid
	case e == nil || e.intent.Outcome != "":
		f.mu.Unlock()
		return nil
	}
	neverSent := e.intent.SentAt.IsZero()
	err := f.write(record{Finished: &finished{Key: key, Outcome: outcome, TransactionID: transactionID, At: time.Now().UTC()}})
	number := f.written
	f.mu.Unlock()
	if err != nil {
		return err
	}
	f.compact()
	if outcome == connectpsp.OutcomeAccepted || neverSent {
		return nil
	}
	return f.flush(number)
}

// Pending returns the intents without an outcome, oldest first. See connectpsp.Journal.
func (f *File) Pending(context.Context) ([]connectpsp.Intent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isClosed() {
		return nil, errClosed
	}
	return f.state.pending(), nil
}

// Ended returns the intents that ended within the last hour, in the order in which they ended. See connectpsp.Journal.
func (f *File) Ended(context.Context) ([]connectpsp.Intent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isClosed() {
		return nil, errClosed
	}
	f.state.forget(time.Now())
	return f.state.finished(), nil
}

// Close makes everything durable and gives the journal back. Calls after it fail. Closing twice is no error.
func (f *File) Close() error {
	f.flushing.Lock()
	defer f.flushing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isClosed() {
		return nil
	}
	var err error
	if f.failure == nil {
		err = f.disk.Sync()
	}
	f.failure = errClosed
	return errors.Join(err, f.disk.Close(), f.lock.Close())
}

func (f *File) isClosed() bool { return errors.Is(f.failure, errClosed) }

// write appends a record and applies it. If that fails the file and the state are as before. The lock is held.
func (f *File) write(r record) error {
	if f.failure != nil {
		return f.failure
	}
	line, err := r.line()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if _, err := f.disk.WriteAt(line, f.size); err != nil {
		err = fmt.Errorf("journal: a record could not be written, make room or mend the disk: %w", err)
		if undo := f.disk.Truncate(f.size); undo != nil {
			f.failure = fmt.Errorf("%w; and half of it could not be taken back, so open the journal anew: %w", err, undo)
			return f.failure
		}
		return err
	}
	if err := f.state.apply(r); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	f.size += int64(len(line))
	f.written++
	return nil
}

// flush makes the first records durable, as many as number says. Goroutines that come while one is at it are served together
// by the next.
func (f *File) flush(number uint64) error {
	f.flushing.Lock()
	defer f.flushing.Unlock()
	if f.synced >= number {
		return nil
	}
	f.mu.Lock()
	written, disk, failure := f.written, f.disk, f.failure
	f.mu.Unlock()
	if failure != nil {
		return failure
	}
	if err := disk.Sync(); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.failure = fmt.Errorf("journal: what is on disk is unknown, mend the disk and open the journal anew: %w", err)
		return f.failure
	}
	f.synced = written
	return nil
}
