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
	// smallFile is the size below which the file may have to fit on a small volume.
	smallFile = 4 << 20
	// plenty is how many bytes fit on a volume that is not small.
	plenty = 4 << 20
	// requestsStay is for how long the file holds the request of a payment that has ended, until a
	// compaction begins.
	requestsStay = 5 * time.Minute
	// copyRounds is how often the records that came meanwhile are copied before payments are
	// stopped for the rest, unless fewer than tailSize bytes came.
	copyRounds, tailSize = 8, 64 << 10
	// syncSize is how many bytes of a new file are made durable at a time.
	syncSize = 1 << 20
)

var errNoRoom = errors.New("journal: the volume is nearly full, and what room there is will be needed" +
	" to record outcomes: nothing was sent; make room")

// fsync makes the writes to a file, or the renames in a directory, durable. Tests watch it.
var fsync = (*os.File).Sync

// compactions says when the file is compacted. File.mu guards it, except for running.
type compactions struct {
	running sync.WaitGroup
	current *compaction // nil if there is none
	at      int64       // the size from which the file is compacted
	from    int64       // the size when the current one, or the last, began
	timer   *time.Timer // nil if the file holds no request that it should not
	// noRoom says that the next compaction might not fit beside the file. Then nothing new is
	// begun, so that open payments can be finished, which makes the next one smaller.
	noRoom bool
	// tight says that there is not plenty of room, as far as is known.
	tight bool
	// Until rest, a full volume is not compacted again. Last is how that went.
	rest time.Time
	last error
}

// compaction is one that is under way. Err is set before done is closed.
type compaction struct {
	done chan struct{}
	err  error
}

func (c *compactions) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// scheduleLocked sees to the next compaction after records were applied; mu is held.
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

// startCompactionLocked begins a compaction unless there is one, and returns it: nil if the journal
// takes nothing more. Payments go on meanwhile. Mu is held.
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

// makeRoom waits for a compaction, for the volume is full. It reports whether that went well.
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

// roomForNew returns an error if a new payment might leave no room for the ends of others.
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

// keepPace waits for a compaction that has fallen behind, if the volume is small: what is written
// meanwhile is written twice.
func (f *File) keepPace(ctx context.Context) {
	f.mu.Lock()
	c := &f.compactions
	behind := c.tight && c.current != nil && f.size > c.from+tailSize
	f.mu.Unlock()
	if behind {
		f.makeRoom(ctx)
	}
}

// compact rewrites the file with the live records. If that fails the old one stays in use.
// There is one compaction at a time.
//
// The new file is written beside the old one while payments go on, from a snapshot of the state.
// Then the records that came meanwhile are copied, and payments are stopped only for the last few,
// and for an fsync and the change of the name.
func (f *File) compact() error {
	began := time.Now()
	f.mu.Lock()
	f.state.forget(f.age())
	ended, pending := f.state.allEnded(), f.state.allPending()
	stale, from := f.state.stale, f.size
	f.compactions.from = from
	f.mu.Unlock()

	anew, err := f.rewrite(ended, pending, from)

	f.mu.Lock()
	defer f.mu.Unlock()
	c := &f.compactions
	c.last, c.rest = err, time.Now().Add(10*time.Since(began))
	if err != nil {
		c.at = f.size + max(compactFrom/8, f.size/16) // something may have ended by then
		c.noRoom = c.noRoom || isFull(err)
		return err
	}
	f.state.stale -= stale
	c.noRoom, c.tight = anew.noRoom, anew.tight
	c.at = nextCompaction(anew.size)
	return nil
}

// nextCompaction returns the size from which a file that had one when it was compacted, or nearly,
// is compacted again. A small one may be on a small volume, where it must fit beside the next.
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

// rewrite puts a new file in the place of the old one, with the intents and with what follows from
// an offset of the old one. All that it needs of the system it takes before the old one goes.
func (f *File) rewrite(
	ended []*ended, pending []*intent, from int64,
) (done compacted, err error) {
	directory, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return done, err
	}
	defer directory.Close()
	anew, err := create(f.path + ".tmp")
	if err != nil {
		return done, err
	}
	defer func() {
		if inUse, _ := f.place(); err != nil && inUse != disk(anew) {
			_ = anew.Close()
			_ = os.Remove(anew.Name())
		}
	}()
	old, _ := f.place()
	if err := keepOwner(anew, old); err != nil {
		return done, err
	}
	size, err := writeSnapshot(anew, ended, pending)
	if err != nil {
		return done, err
	}
	// By the next compaction this file has grown, and that writes a little more than this one did.
	// The old file will have left its room.
	done.noRoom = !hasRoom(anew, size, nextCompaction(size)+size/8+2*tailSize-from)
	done.tight = done.noRoom || !hasRoom(anew, size, plenty)
	if err := errors.Join(anew.Truncate(size), lock(anew)); err != nil {
		return done, err
	}
	for range copyRounds {
		old, end := f.place()
		n, err := copyRecords(anew, size, old, from, end)
		if err := errors.Join(err, fsync(anew)); err != nil {
			return done, err
		}
		size, from = size+n, end
		if n <= tailSize {
			break // not more will have come meanwhile
		}
	}
	done.size, err = f.swap(anew, size, from, directory)
	return done, err
}

// create makes a file that was not there: neither a link nor somebody's file is followed.
func create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// writeSnapshot writes a whole file, and returns its size. It makes durable a little at a time,
// since the fsyncs of payments may have to wait for that.
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
		err = write(record{Durable: &durable{}}) // it will be, when it takes the place of the old one
	}
	return size, err
}

// packAll compresses intents, as many together as make a pack, and passes on each pack.
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

// hasRoom reports whether some more bytes fit on the volume. It leaves zeros behind size.
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
func copyRecords(anew io.WriterAt, size int64, old io.ReaderAt, from, to int64) (int64, error) {
	n, err := io.Copy(io.NewOffsetWriter(anew, size), io.NewSectionReader(old, from, to-from))
	if err == nil && n != to-from {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// swap copies the last records and gives the new file the name of the old one, while nobody writes.
func (f *File) swap(anew *os.File, size, from int64, directory *os.File) (int64, error) {
	old, _ := f.place()
	defer func() {
		if inUse, _ := f.place(); inUse != old {
			_ = old.Close() // after the gates are left: it takes long if the file was large
		}
	}()
	f.flushing.take()
	defer f.flushing.leave()
	f.writing.take()
	defer f.writing.leave()
	if err := f.failed(); err != nil {
		return 0, err
	}
	_, end := f.place()
	if err := f.isInPlace(old, end); err != nil {
		return 0, f.fail(err)
	}
	if from < end {
		n, err := copyRecords(anew, size, old, from, end)
		if err := errors.Join(err, fsync(anew)); err != nil {
			return 0, err
		}
		size += n
	}
	if err := f.replaceLocked(old, anew); err != nil {
		return 0, err
	}
	f.mu.Lock()
	f.size = size
	f.mu.Unlock()
	if err := ignoreUnsupported(fsync(directory)); err != nil {
		// After a power cut the old file may be there again.
		return 0, f.fail(fmt.Errorf("journal: the name of the compacted file may not be durable,"+
			" mend the disk and open the journal anew: %w", err))
	}
	f.mu.Lock()
	f.synced = f.written
	f.mu.Unlock()
	f.markLocked(size)
	return size, nil
}
