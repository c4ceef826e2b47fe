package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// replacedError returns the error for a file that another program changed. Cause may be nil.
func replacedError(cause error) error {
	const text = "journal: the file was removed, replaced or truncated while it was open, so no payment is" +
		" sent any more: put the file back, or settle the payments that may be open, then open the journal again"
	if cause == nil {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", text, cause)
}

// append writes the records that prepare returns, and applies them. Prepare runs with mu locked,
// and may run twice. The number is that of the last record that this or another call wrote.
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
	if err := f.writing.lockContext(ctx); err != nil {
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

// writeLocked writes records and applies them. If that fails, the file and the state are as before.
// The caller owns writing.
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
			f.failure = fmt.Errorf("journal: a record that was written cannot be applied: %w", err)
			return f.failure
		}
	}
	f.size += int64(len(lines))
	f.written += uint64(len(records))
	f.scheduleLocked()
	return nil
}

// writeLinesLocked writes lines after the end of the file, without a change of f.size. The caller
// owns writing.
func (f *File) writeLinesLocked(lines []byte) error {
	file, size := f.place()
	// In a truncated file a write at size would leave a hole.
	if info, err := file.Stat(); err != nil || info.Size() != size {
		return f.fail(replacedError(err))
	}
	_, err := file.WriteAt(lines, size)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("journal: a record could not be written: make room or repair the disk: %w", err)
	if undo := file.Truncate(size); undo != nil {
		return f.fail(fmt.Errorf("%w; a part of the record could not be removed, so open the journal"+
			" again: %w", err, undo))
	}
	return err
}

func (f *File) place() (disk, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.disk, f.size
}

// flush makes the records up to number durable. Goroutines that call it during an fsync share the
// next one (group commit).
func (f *File) flush(ctx context.Context, number uint64) error {
	if err := f.flushing.lockContext(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	durable := f.synced >= number
	f.mu.Unlock()
	if durable {
		f.flushing.unlock()
		return nil
	}
	return await(ctx, f.flushing, f.flushLocked)
}

// flushLocked makes earlier writes durable. The caller owns flushing.
func (f *File) flushLocked() error {
	f.mu.Lock()
	// The fsync may miss a write that runs at the same time.
	written, size, file, failure := f.written, f.size, f.disk, f.failure
	f.mu.Unlock()
	if failure != nil {
		return failure
	}
	if err := file.Sync(); err != nil {
		return f.fail(fmt.Errorf("journal: fsync failed, so the contents of the disk are unknown and no"+
			" payment is sent any more: repair the disk and open the journal again: %w", err))
	}
	if err := f.isInPlace(file, size); err != nil {
		return f.fail(err)
	}
	f.mu.Lock()
	f.synced = written
	f.mu.Unlock()
	f.writing.lock()
	defer f.writing.unlock()
	f.markLocked(size)
	return nil
}

// isInPlace returns an error unless the open file is complete, and is the one that Open would find.
func (f *File) isInPlace(d disk, size int64) error {
	opened, err := d.Stat()
	if err != nil {
		return replacedError(err)
	}
	named, err := os.Stat(f.path)
	if err != nil || !os.SameFile(opened, named) || opened.Size() < size {
		return replacedError(err)
	}
	return nil
}

// markLocked appends a mark that the file is durable up to an offset. By the mark Open tells damage
// from a torn tail. If the write fails, only that distinction is lost. The caller owns writing.
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
