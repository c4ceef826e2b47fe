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
	"github.com/connectpsp/connectpsp-go/internal/observe"
	"github.com/connectpsp/connectpsp-go/internal/observe/journalwrite"
)

// File is a [connectpsp.Journal] in a file. Make it with [Open]; the zero value is not usable.
// Goroutines may share a File, and so may all clients of a process.
//
// If the context of a call ends while the call waits for the disk or for another call, the error
// matches the context's. The record of the call may then be in the file or not.
type File struct {
	path   string
	lock   io.Closer
	opened time.Time
	guard  *observe.Guard // nil if nobody observes
	closed sync.Once

	// flushing is locked during an fsync, and while a compacted file replaces the old one. Lock it
	// before writing.
	flushing mutex
	// writing is locked while a record is written. Lock it before mu.
	writing mutex

	mu          sync.Mutex // guards the fields below, and is never locked during disk I/O
	disk        disk
	size        int64  // of the file, up to the end of the last whole record
	written     uint64 // number of records written
	synced      uint64 // number of records known to be durable
	state       *state
	failure     error // why the journal accepts no more records, nil if it does
	closing     bool
	compactions compactions
}

// disk has the methods of *os.File that a journal calls.
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
	errPaid    = errors.New("journal: an accepted payment cannot be rejected:" +
		" two clients made this payment at once")
	errUnknown = errors.New("journal: no intent with this idempotency key can be sent")
)

// marked marks the error of a write that a journal in working order refuses.
func marked(err error) error {
	for _, refusal := range []error{errNoKey, errNotUTF8, errPaid, errUnknown} {
		if errors.Is(err, refusal) {
			return journalwrite.Refused(err)
		}
	}
	return err
}

// Begin writes an intent. See [connectpsp.Journal].
func (f *File) Begin(ctx context.Context, i connectpsp.Intent) (earlier *connectpsp.Intent, err error) {
	err = journalwrite.Observe(ctx, f.guard, journalwrite.Begin, func(ctx context.Context) error {
		earlier, err = f.begin(ctx, i)
		return marked(err)
	})
	return earlier, err
}

func (f *File) begin(ctx context.Context, i connectpsp.Intent) (*connectpsp.Intent, error) {
	earlier, err := f.lookUp(i)
	switch {
	case earlier != nil || err != nil:
		return earlier, err
	case i.IdempotencyKey == "":
		return nil, errNoKey
	case len(i.Body) > maxBody:
		return nil, fmt.Errorf("journal: a request of %d bytes is too long", len(i.Body))
	case !utf8.ValidString(strings.Join(
		[]string{i.IdempotencyKey, i.ExternalReference, i.ChargeID, i.TransactionID}, " ")):
		return nil, errNotUTF8 // two different texts could become one in the file
	}
	begun := intentOf(i) // a copy: the caller may change its request after the call
	if err := f.roomForNew(ctx); err != nil {
		return nil, err
	}
	_, err = f.append(ctx, func() ([]record, error) {
		if earlier = f.state.lookUp(i); earlier != nil {
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
		earlier, _ := f.lookUp(i)
		return earlier, err
	}
	return earlier, nil
}

// Find returns the intent of a payment. It does not wait for the disk. See [connectpsp.Journal].
func (f *File) Find(_ context.Context, i connectpsp.Intent) (*connectpsp.Intent, error) {
	earlier, err := f.lookUp(i)
	if errors.Is(err, errClosed) {
		return nil, err // another process may own the file now, and have newer records
	}
	return earlier, nil
}

// lookUp returns the recorded intent of a payment, and why the journal accepts no more records.
func (f *File) lookUp(i connectpsp.Intent) (*connectpsp.Intent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.forget(f.age())
	return f.state.lookUp(i), f.failure
}

// age returns the time since the journal was opened, by the monotonic clock.
func (f *File) age() time.Duration { return time.Since(f.opened) }

// Sent writes that a payment is about to be sent, and waits until that is durable. See
// [connectpsp.Journal].
func (f *File) Sent(ctx context.Context, key string, at time.Time) error {
	return journalwrite.Observe(ctx, f.guard, journalwrite.Sent, func(ctx context.Context) error {
		return marked(f.send(ctx, key, at))
	})
}

func (f *File) send(ctx context.Context, key string, at time.Time) error {
	number, err := f.append(ctx, func() ([]record, error) {
		e := f.state.byKey[key]
		switch {
		case e == nil || at.IsZero():
			return nil, errUnknown
		case e.past != nil: // accepted meanwhile, as a webhook reported between two attempts
			return nil, nil
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
	return journalwrite.Observe(ctx, f.guard, journalwrite.Finish, func(ctx context.Context) error {
		return marked(f.finish(ctx, key, outcome, transactionID))
	})
}

func (f *File) finish(
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

// OpenPayments counts the payments without an outcome. It does not wait for the disk. See
// [connectpsp.Client.OpenPayments].
func (f *File) OpenPayments(context.Context) (connectpsp.OpenPayments, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(f.failure, errClosed) {
		return connectpsp.OpenPayments{}, f.failure
	}
	return f.state.countPending(), nil
}

// Ended returns the intents that ended within the last hour, in the order in which they ended. See
// [connectpsp.Journal].
func (f *File) Ended(context.Context) ([]connectpsp.Intent, error) {
	return list(f, (*state).allEnded, (*ended).public)
}

// list returns copies of the intents that find selects.
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

// Close removes the requests of ended payments from the file, makes all records durable and unlocks
// the file. It waits for a compaction that is under way. Its error says which step failed. All
// other calls after Close fail; a second Close does nothing and returns nil.
func (f *File) Close() (err error) {
	f.closed.Do(func() { err = f.end() })
	return err
}

func (f *File) end() error {
	f.mu.Lock()
	f.closing = true
	reported := f.failure != nil
	f.compactions.stop()
	f.mu.Unlock()
	f.compactions.running.Wait()
	f.mu.Lock()
	stale := f.failure == nil && f.state.stale > 0
	f.mu.Unlock()
	var err error
	if stale {
		if err = f.compact(); isFull(err) {
			err = nil // Open compacts
		}
	}
	f.flushing.lock()
	defer f.flushing.unlock()
	f.writing.lock()
	defer f.writing.unlock()
	if !reported {
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

// fail stops the journal: it accepts no more records. It returns err.
func (f *File) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = err
	return err
}
