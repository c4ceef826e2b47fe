package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// compactFrom is the size in bytes from which a file is compacted.
	compactFrom = 512 << 10
	// smallFile is the size in bytes below which the file may be on a small volume.
	smallFile = 4 << 20
	// plenty is the free space in bytes from which a volume does not count as small.
	plenty = 4 << 20
	// requestsStay is the time from the end of a payment to the compaction that removes its
	// request.
	requestsStay = 5 * time.Minute
	// A compaction copies the records that were written meanwhile, at most copyRounds times or
	// until fewer than tailSize bytes were written. Then it stops payments and copies the rest.
	copyRounds, tailSize = 8, 64 << 10
	// syncSize is the number of bytes of a new file between two fsyncs.
	syncSize = 1 << 20
)

var errNoRoom = errors.New("journal: the volume is nearly full, and the rest is reserved for the outcomes" +
	" of open payments: nothing was sent; make room")

// fsync makes the writes to a file, or the renames in a directory, durable. Tests replace it.
var fsync = (*os.File).Sync

// compactions is the schedule of compactions. File.mu guards it, except for running.
type compactions struct {
	running sync.WaitGroup
	current *compaction // nil if none is under way
	at      int64       // size from which the file is compacted
	from    int64       // size when the current or last compaction began
	timer   *time.Timer // nil if the file has no requests of ended payments
	// noRoom is true if the next compaction may not fit on the volume beside the file. Then no new
	// payment begins, so that open ones can end, which makes the next compaction smaller.
	noRoom bool
	// tight is true if the volume had less than plenty of free space when it was last measured.
	tight bool
	// Until rest, a full volume causes no further compaction. Last is the error of the last one.
	rest time.Time
	last error
}

// compaction is a compaction that is under way. Err is set before done is closed.
type compaction struct {
	done chan struct{}
	err  error
}

func (c *compactions) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// scheduleLocked starts or schedules the next compaction after records were applied.
func (f *File) scheduleLocked() {
	if f.size >= f.compactions.at {
		f.startCompactionLocked()
	}
	if f.state.stale > 0 && f.compactions.timer == nil && !f.closing && f.failure == nil {
		f.compactions.timer = time.AfterFunc(requestsStay, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.compactions.timer = nil
			if f.state.stale > 0 {
				f.startCompactionLocked()
			}
		})
	}
}

// startCompactionLocked starts a compaction in the background unless one is under way, and returns
// it. It returns nil if the journal accepts no more records.
func (f *File) startCompactionLocked() *compaction {
	if f.failure != nil || f.closing {
		return nil
	}
	if f.compactions.current == nil {
		c := &compaction{done: make(chan struct{})}
		f.compactions.current = c
		f.compactions.running.Go(func() {
			c.err = f.compact()
			f.mu.Lock()
			f.compactions.current = nil
			f.scheduleLocked()
			f.mu.Unlock()
			close(c.done)
		})
	}
	return f.compactions.current
}

// makeRoom compacts the file because the volume is full, and waits. It reports whether the
// compaction succeeded.
func (f *File) makeRoom(ctx context.Context) bool {
	f.mu.Lock()
	if f.compactions.current == nil && time.Now().Before(f.compactions.rest) {
		defer f.mu.Unlock()
		return f.compactions.last == nil
	}
	c := f.startCompactionLocked()
	f.mu.Unlock()
	if c == nil {
		return false
	}
	select {
	case <-c.done:
		return c.err == nil
	case <-ctx.Done():
		return false
	}
}

// roomForNew returns an error if a new payment could leave no room for the outcomes of others.
func (f *File) roomForNew(ctx context.Context) error {
	noRoom := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.compactions.noRoom
	}
	switch {
	case !noRoom() || f.makeRoom(ctx) && !noRoom():
		return nil
	case ctx.Err() != nil:
		return contextEnded(ctx)
	default:
		return errNoRoom
	}
}

// keepPace waits for the current compaction if the volume is small and records come faster than the
// compaction copies them: each such record is on the volume twice.
func (f *File) keepPace(ctx context.Context) {
	f.mu.Lock()
	c := &f.compactions
	behind := c.tight && c.current != nil && f.size > c.from+tailSize
	f.mu.Unlock()
	if behind {
		f.makeRoom(ctx)
	}
}

// compact rewrites the file with the live records. If that fails, the old file stays in use. One
// compaction runs at a time.
//
// It writes the new file beside the old one from a snapshot of the state, while payments go on.
// Then it copies the records that were written meanwhile. It stops payments only for the last of
// those, an fsync and the rename.
func (f *File) compact() error {
	began := time.Now()
	f.mu.Lock()
	f.state.forget(f.age())
	ended, pending := f.state.allEnded(), f.state.allPending()
	stale, from := f.state.stale, f.size
	f.compactions.from = from
	f.mu.Unlock()

	newFile, err := f.rewrite(ended, pending, from)

	f.mu.Lock()
	defer f.mu.Unlock()
	c := &f.compactions
	c.last, c.rest = err, time.Now().Add(10*time.Since(began))
	if err != nil {
		c.at = f.size + max(compactFrom/8, f.size/16) // more payments have ended by then
		c.noRoom = c.noRoom || isFull(err)
		return err
	}
	f.state.stale -= stale
	c.noRoom, c.tight = newFile.noRoom, newFile.tight
	c.at = nextCompaction(newFile.size)
	return nil
}

// nextCompaction returns the size from which a file is compacted again, given its size after the
// last compaction. A small file may be on a small volume, where it must fit beside the next one.
func nextCompaction(size int64) int64 {
	growth := size / 2
	if size < smallFile {
		growth = size / 8
	}
	return max(compactFrom, size+growth)
}

// compacted is the result of a compaction.
type compacted struct {
	size          int64 // of the new file
	noRoom, tight bool
}

// rewrite replaces the file by a new one with the given intents and with the records from an offset
// of the old file. It acquires all handles before it replaces the old file.
func (f *File) rewrite(
	ended []*ended, pending []*intent, from int64,
) (done compacted, err error) {
	directory, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return done, err
	}
	defer directory.Close()
	newFile, err := create(f.path + ".tmp")
	if err != nil {
		return done, err
	}
	defer func() {
		if inUse, _ := f.place(); err != nil && inUse != disk(newFile) {
			_ = newFile.Close()
			_ = os.Remove(newFile.Name())
		}
	}()
	old, _ := f.place()
	if err := keepOwner(newFile, old); err != nil {
		return done, err
	}
	size, err := writeSnapshot(newFile, ended, pending)
	if err != nil {
		return done, err
	}
	// The next compaction must fit beside this file after its growth, and writes a little more than
	// this compaction did. The space of the old file will be free then.
	done.noRoom = !hasRoom(newFile, size, nextCompaction(size)+size/8+2*tailSize-from)
	done.tight = done.noRoom || !hasRoom(newFile, size, plenty)
	if err := errors.Join(newFile.Truncate(size), lock(newFile)); err != nil {
		return done, err
	}
	for range copyRounds {
		old, end := f.place()
		n, err := copyRecords(newFile, size, old, from, end)
		if err := errors.Join(err, fsync(newFile)); err != nil {
			return done, err
		}
		size, from = size+n, end
		if n <= tailSize {
			break // about as much or less was written meanwhile
		}
	}
	done.size, err = f.swap(newFile, size, from, directory)
	return done, err
}

// create creates a new file. It never opens an existing file or follows a link.
func create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// writeSnapshot writes a complete file, and returns its size. It calls fsync after every syncSize
// bytes, because the fsync of a payment may wait for all writes before it.
func writeSnapshot(file *os.File, past []*ended, pending []*intent) (size int64, err error) {
	var synced int64
	write := func(r record) error {
		line, err := r.line()
		if err != nil {
			return err
		}
		_, err = file.WriteAt(line, size)
		size += int64(len(line))
		if err == nil && size-synced > syncSize {
			synced, err = size, fsync(file)
		}
		return err
	}
	if err = write(firstRecord(formatVersion)); err == nil {
		err = packAll(past, func(packed []byte) error { return write(record{Ended: packed}) })
	}
	if err == nil {
		err = packAll(pending, func(packed []byte) error { return write(record{Pending: packed}) })
	}
	if err == nil {
		err = write(record{Durable: &durable{}}) // true when the file replaces the old one
	}
	return size, err
}

// packAll compresses intents in packs of up to packSize bytes, and calls write with each pack.
func packAll[T any](all []T, write func(packed []byte) error) error {
	var lines bytes.Buffer
	flush := func() error {
		packed, err := pack(lines.Bytes())
		if err != nil {
			return err
		}
		lines.Reset()
		return write(packed)
	}
	for _, one := range all {
		text, err := json.Marshal(one)
		if err != nil {
			return err
		}
		if lines.Len() > 0 && lines.Len()+len(text) > packSize {
			if err := flush(); err != nil {
				return err
			}
		}
		lines.Write(text)
	}
	if lines.Len() == 0 {
		return nil
	}
	return flush()
}

// hasRoom reports whether the volume has room for that many more bytes. It leaves zeros after size.
func hasRoom(file io.WriterAt, size, more int64) bool {
	zeros := make([]byte, 64<<10)
	for ; more > 0; more -= int64(len(zeros)) {
		if _, err := file.WriteAt(zeros[:min(int64(len(zeros)), more)], size); err != nil {
			return false
		}
		size += int64(len(zeros))
	}
	return true
}

// copyRecords copies the records between two offsets of the old file to the end of the new one.
func copyRecords(newFile io.WriterAt, size int64, old io.ReaderAt, from, to int64) (int64, error) {
	n, err := io.Copy(io.NewOffsetWriter(newFile, size), io.NewSectionReader(old, from, to-from))
	if err == nil && n != to-from {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// swap copies the last records and renames the new file, while it keeps writers out.
func (f *File) swap(newFile *os.File, size, from int64, directory *os.File) (int64, error) {
	old, _ := f.place()
	defer func() {
		if inUse, _ := f.place(); inUse != old {
			_ = old.Close() // after the mutexes are unlocked: it takes long for a large file
		}
	}()
	f.flushing.lock()
	defer f.flushing.unlock()
	f.writing.lock()
	defer f.writing.unlock()
	if err := f.failed(); err != nil {
		return 0, err
	}
	_, end := f.place()
	if err := f.isInPlace(old, end); err != nil {
		return 0, f.fail(err)
	}
	if from < end {
		n, err := copyRecords(newFile, size, old, from, end)
		if err := errors.Join(err, fsync(newFile)); err != nil {
			return 0, err
		}
		size += n
	}
	if err := f.replaceLocked(old, newFile); err != nil {
		return 0, err
	}
	f.mu.Lock()
	f.size = size
	f.mu.Unlock()
	if err := ignoreUnsupported(fsync(directory)); err != nil {
		// After a power cut the old file may be there again.
		return 0, f.fail(fmt.Errorf("journal: the rename of the compacted file may not be durable, so no"+
			" payment is sent any more: repair the disk and open the journal again: %w", err))
	}
	f.mu.Lock()
	f.synced = f.written
	f.mu.Unlock()
	f.markLocked(size)
	return size, nil
}
