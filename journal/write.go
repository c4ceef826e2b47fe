package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// moved returns the error for a file that is no longer as it was written. Cause may be nil.
func moved(cause error) error {
	const text = "journal: the file was removed, replaced or cut under the program, so nothing is sent" +
		" any more; put it back, or settle what may be open, and open the journal anew"
	if cause == nil {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", text, cause)
}

// append writes the records that prepare returns, and applies them. Prepare is called with mu held,
// perhaps twice. The number is that of the last record written, by this call or another.
func (f *File) append(ctx context.Context, prepare func() ([]record, error)) (uint64, error) {
	f.keepPace(ctx)
	number, err := f.appendOnce(ctx, prepare)
	if isFull(err) && f.makeRoom(ctx) {
		number, err = f.appendOnce(ctx, prepare)
	}
	return number, err
}

func (f *File) appendOnce(
	ctx context.Context, prepare func() ([]record, error),
) (number uint64, err error) {
	if err := f.writing.takeFor(ctx); err != nil {
		return 0, err
	}
	written := make(chan uint64, 1)
	err = await(ctx, f.writing, func() error {
		f.mu.Lock()
		records, err := prepare()
		if f.failure != nil {
			err = f.failure
		}
		written <- f.written + uint64(len(records))
		f.mu.Unlock()
		if err != nil || len(records) == 0 {
			return err
		}
		return f.writeLocked(records)
	})
	if err != nil {
		return 0, err
	}
	return <-written, nil
}

// writeLocked writes records and applies them; writing is held. If that fails the file and the
// state are as before.
func (f *File) writeLocked(records []record) error {
	var lines []byte
	for _, r := range records {
		line, err := r.line()
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		lines = append(lines, line...)
	}
	if err := f.writeLinesLocked(lines); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range records {
		if err := f.state.apply(r, f.age()); err != nil {
			f.failure = fmt.Errorf("journal: a record that was written cannot be read: %w", err)
			return f.failure
		}
	}
	f.size += int64(len(lines))
	f.written += uint64(len(records))
	f.scheduleLocked()
	return nil
}

// writeLinesLocked writes behind the end of the file, which it does not move; writing is held.
func (f *File) writeLinesLocked(lines []byte) error {
	disk, size := f.place()
	// A write behind the end of a file that was cut would leave a hole.
	if info, err := disk.Stat(); err != nil || info.Size() != size {
		return f.fail(moved(err))
	}
	_, err := disk.WriteAt(lines, size)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("journal: a record could not be written, make room or mend the disk: %w", err)
	if undo := disk.Truncate(size); undo != nil {
		return f.fail(fmt.Errorf("%w; and half of it could not be taken back, so open the journal"+
			" anew: %w", err, undo))
	}
	return err
}

func (f *File) place() (disk, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.disk, f.size
}

// flush makes the first records durable, as many as number says. Goroutines that come while one is
// at it are served together by the next.
func (f *File) flush(ctx context.Context, number uint64) error {
	if err := f.flushing.takeFor(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	durable := f.synced >= number
	f.mu.Unlock()
	if durable {
		f.flushing.leave()
		return nil
	}
	return await(ctx, f.flushing, f.flushLocked)
}

// flushLocked makes earlier writes durable; flushing is held.
func (f *File) flushLocked() error {
	f.mu.Lock()
	// A write during the fsync may or may not be a part of it.
	written, size, disk, failure := f.written, f.size, f.disk, f.failure
	f.mu.Unlock()
	if failure != nil {
		return failure
	}
	if err := disk.Sync(); err != nil {
		return f.fail(fmt.Errorf("journal: what is on disk is unknown,"+
			" mend the disk and open the journal anew: %w", err))
	}
	if err := f.isInPlace(disk, size); err != nil {
		return f.fail(err)
	}
	f.mu.Lock()
	f.synced = written
	f.mu.Unlock()
	f.writing.take()
	defer f.writing.leave()
	f.markLocked(size)
	return nil
}

// isInPlace reports whether the file that is open is the one that Open would find, and whole.
func (f *File) isInPlace(disk disk, size int64) error {
	opened, err := disk.Stat()
	if err != nil {
		return moved(err)
	}
	named, err := os.Stat(f.path)
	if err != nil || !os.SameFile(opened, named) || opened.Size() < size {
		return moved(err)
	}
	return nil
}

// markLocked notes that the file is durable up to an offset; writing is held. Open tells damage
// before it from a tail that was not written whole. That is all that is lost where it cannot be
// written.
func (f *File) markLocked(end int64) {
	_, size := f.place()
	line, err := record{Durable: &durable{Before: size - end}}.line()
	if err != nil || f.failed() != nil || f.writeLinesLocked(line) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size += int64(len(line))
}
