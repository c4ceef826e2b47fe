package journal

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// compactFrom is the size in bytes from which a file is written anew, with what still matters. The next time is when it has
// doubled.
const compactFrom = 1 << 20

// fsync makes durable what was written to a file, or renamed in a directory. Tests watch it.
var fsync = (*os.File).Sync

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
	if err := f.rewrite(); err != nil {
		_ = os.Remove(f.path + ".tmp")
	}
	f.compactAt = max(compactFrom, 2*f.size)
}

// rewrite puts a new file in the place of the old one. All that it needs of the system it takes before the old one goes.
func (f *File) rewrite() error {
	directory, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer directory.Close()
	anew, size, err := writeAnew(f.path+".tmp", f.state.records())
	if err != nil {
		return err
	}
	if err := lock(anew); err != nil {
		return errors.Join(err, anew.Close())
	}
	if err := f.replace(anew); err != nil {
		return err
	}
	f.size = size
	if err := ignoreUnsupported(fsync(directory)); err != nil {
		f.failure = err // the old file may come back
		return err
	}
	f.synced = f.written
	return nil
}

// writeAnew writes records to a file of their own, makes them durable, and returns the file and its size.
func writeAnew(path string, records []record) (file *os.File, size int64, err error) {
	file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, 0, err
	}
	buffered := bufio.NewWriter(file)
	for _, r := range records {
		line, lineErr := r.line()
		n, writeErr := buffered.Write(line)
		size += int64(n)
		err = errors.Join(err, lineErr, writeErr)
	}
	if err = errors.Join(err, buffered.Flush(), fsync(file)); err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, size, nil
}
