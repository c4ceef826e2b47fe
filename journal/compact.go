package journal

import (
	"bufio"
	"errors"
	"os"
	"time"
)

// compactFrom is the size in bytes from which a file is written anew, with what still matters. The next time is when it has
// doubled.
const compactFrom = 1 << 20

// compact writes the file anew if it has grown enough. If that fails the old one stays in use.
func (f *File) compact() {
	f.mu.Lock()
	due := f.size >= f.compactAt
	f.mu.Unlock()
	if !due {
		return
	}
	f.flushing.Lock()
	defer f.flushing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil || f.size < f.compactAt {
		return
	}
	f.state.forget(time.Now())
	size, err := writeAnew(f.path+".tmp", f.state.records())
	if err == nil {
		err = f.replace(size)
	}
	if err != nil {
		_ = os.Remove(f.path + ".tmp")
	}
	f.compactAt = max(compactFrom, 2*f.size)
}

// writeAnew writes records to a file of their own, makes them durable, and returns their size.
func writeAnew(path string, records []record) (size int64, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	buffered := bufio.NewWriter(file)
	for _, r := range records {
		line, lineErr := r.line()
		n, writeErr := buffered.Write(line)
		size += int64(n)
		err = errors.Join(err, lineErr, writeErr)
	}
	return size, errors.Join(err, buffered.Flush(), file.Sync(), file.Close())
}

// replace puts the new file in the place of the old one, of which everything may still be needed if that fails.
func (f *File) replace(size int64) error {
	// Some systems do not replace a file that is open.
	if err := f.disk.Close(); err != nil {
		f.failure = err
		return err
	}
	renameErr := os.Rename(f.path+".tmp", f.path)
	disk, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		f.failure = err
		return err
	}
	f.disk = disk
	if renameErr != nil {
		return renameErr
	}
	f.size, f.synced = size, f.written
	if err := syncDirectory(f.path); err != nil {
		f.failure = err // the old file may come back
		return err
	}
	return nil
}
