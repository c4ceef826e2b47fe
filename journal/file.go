package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// File is a [connectpsp.Journal] in a file. Make it with [Open]. Goroutines may share it, and so
// may all clients of a process.
//
// A method whose context ends while it waits for the disk, or for another call, returns an error
// that matches the context's. Its record may then be in the file or not.
type File struct {
	path   string
	lock   io.Closer
	opened time.Time
	closed sync.Once

	// flushing is held during an fsync, and while a compacted file takes the place of the old one.
	// It is taken before writing.
	flushing gate
	// writing is held while a record is written. It is taken before mu.
	writing gate

	mu          sync.Mutex // guards all below, and is not held while the disk works
	disk        disk
	size        int64  // of the file, up to the end of the last whole record
	written     uint64 // how many records were written
	synced      uint64 // how many of them are known to be durable
	state       *state
	failure     error // why the journal takes nothing more, nil if it does
	closing     bool
	compactions compactions
}

// disk is the part of *os.File in use.
type disk interface {
	io.ReaderAt
	io.WriterAt
	Stat() (os.FileInfo, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

var _ connectpsp.Journal = (*File)(nil)

var (
	errClosed  = errors.New("journal: it is closed")
	errNoKey   = errors.New("journal: an intent has no idempotency key")
	errNotUTF8 = errors.New("journal: a key, a reference or an id is not UTF-8")
	errPaid    = errors.New("journal: a payment that was accepted cannot be rejected:" +
		" two clients work on it")
	errUnknown = errors.New("journal: no intent with this idempotency key can be sent")
)

// Begin writes an intent. See [connectpsp.Journal].
func (f *File) Begin(ctx context.Context, i connectpsp.Intent) (*connectpsp.Intent, error) {
	earlier, err := f.known(i)
	switch {
	case earlier != nil || err != nil:
		return earlier, err
	case i.IdempotencyKey == "":
		return nil, errNoKey
	case len(i.Body) > longestBody:
		return nil, fmt.Errorf("journal: a request of %d bytes is too long", len(i.Body))
	case !utf8.ValidString(strings.Join(
		[]string{i.IdempotencyKey, i.ExternalReference, i.ChargeID, i.TransactionID}, " ")):
		return nil, errNotUTF8 // two of them could be one in the file
	}
	begun := intentOf(i) // the caller may change its request when the call has ended
	if err := f.roomForNew(ctx); err != nil {
		return nil, err
	}
	_, err = f.append(ctx, func() ([]record, error) {
		if earlier = f.state.known(i); earlier != nil {
			return nil, nil // another call of the same payment was faster
		}
		var records []record
		for _, key := range f.state.replaced(i) {
			records = append(records, record{Finished: &finished{
				Key: key, Outcome: connectpsp.OutcomeRejected, At: time.Now().UTC(),
			}})
		}
		return append(records, record{Intent: begun}), nil
	})
	if err != nil {
		earlier, _ := f.known(i)
		return earlier, err
	}
	return earlier, nil
}

// Find looks an intent up. It does not wait for the disk. See [connectpsp.Journal].
func (f *File) Find(_ context.Context, i connectpsp.Intent) (*connectpsp.Intent, error) {
	earlier, err := f.known(i)
	if errors.Is(err, errClosed) {
		return nil, err // another process may have the file now, and know more
	}
	return earlier, nil
}

// known looks an intent up, and tells why the journal takes nothing more.
func (f *File) known(i connectpsp.Intent) (*connectpsp.Intent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.forget(f.age())
	return f.state.known(i), f.failure
}

// age is for how long the journal has been open, by the monotonic clock.
func (f *File) age() time.Duration { return time.Since(f.opened) }

// Sent writes that a payment is about to be sent, and waits until that is durable. See
// [connectpsp.Journal].
func (f *File) Sent(ctx context.Context, key string, at time.Time) error {
	number, err := f.append(ctx, func() ([]record, error) {
		e := f.state.byKey[key]
		switch {
		case e == nil || e.past != nil || at.IsZero():
			return nil, errUnknown
		case e.unsent():
			return []record{{Sent: &sent{Key: key, At: at.UTC()}}}, nil
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	return f.flush(ctx, number)
}

// Finish writes a certain outcome, and waits until a rejection is durable. See
// [connectpsp.Journal].
func (f *File) Finish(
	ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string,
) error {
	if outcome != connectpsp.OutcomeAccepted && outcome != connectpsp.OutcomeRejected {
		return fmt.Errorf("journal: %q is no outcome", outcome)
	}
	durable := outcome == connectpsp.OutcomeRejected
	number, err := f.append(ctx, func() ([]record, error) {
		e := f.state.byKey[key]
		switch {
		case e == nil:
			return nil, nil
		case e.past != nil && outcome == connectpsp.OutcomeRejected:
			return nil, errPaid
		case e.past != nil:
			return nil, nil
		}
		return []record{{Finished: &finished{
			Key: key, Outcome: outcome, TransactionID: transactionID, At: time.Now().UTC(),
		}}}, nil
	})
	if err != nil || !durable {
		return err
	}
	return f.flush(ctx, number)
}

// Pending returns the intents without an outcome, oldest first. See [connectpsp.Journal].
func (f *File) Pending(context.Context) ([]connectpsp.Intent, error) {
	return list(f, (*state).allPending, (*intent).public)
}

// Ended returns the intents that ended within the last hour, in the order in which they ended. See
// [connectpsp.Journal].
func (f *File) Ended(context.Context) ([]connectpsp.Intent, error) {
	return list(f, (*state).allEnded, (*ended).public)
}

// list copies intents while others use the journal.
func list[T any](
	f *File, find func(*state) []*T, public func(*T) connectpsp.Intent,
) ([]connectpsp.Intent, error) {
	f.mu.Lock()
	f.state.forget(f.age())
	found, failure := find(f.state), f.failure
	f.mu.Unlock()
	if errors.Is(failure, errClosed) {
		return nil, failure
	}
	intents := make([]connectpsp.Intent, 0, len(found))
	for _, i := range found {
		intents = append(intents, public(i))
	}
	return intents, nil
}

// Close removes the requests of ended payments from the file, makes everything durable and gives
// the file back. It waits for a compaction under way. Its error says which of these failed. Calls
// after it fail. Closing twice is no error.
func (f *File) Close() (err error) {
	f.closed.Do(func() { err = f.end() })
	return err
}

func (f *File) end() error {
	f.mu.Lock()
	f.closing = true
	told := f.failure != nil
	f.compactions.stop()
	f.mu.Unlock()
	f.compactions.running.Wait()
	f.mu.Lock()
	stale := f.failure == nil && f.state.stale > 0
	f.mu.Unlock()
	var err error
	if stale {
		if err = f.compact(); isFull(err) {
			err = nil // Open tries again
		}
	}
	f.flushing.take()
	defer f.flushing.leave()
	f.writing.take()
	defer f.writing.leave()
	if !told {
		failure := f.failed()
		if failure == nil {
			failure = cmp.Or(f.disk.Sync(), f.isInPlace(f.disk, f.size))
		}
		err = cmp.Or(failure, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = errClosed
	return errors.Join(err, f.disk.Close(), f.lock.Close())
}

func (f *File) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}

// fail makes the journal take nothing more, and returns the reason.
func (f *File) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = err
	return err
}
