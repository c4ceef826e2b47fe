package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ignoreUnsupported drops the error: Windows cannot fsync a directory.
func ignoreUnsupported(error) error { return nil }

// replaceLocked renames the new file to the name of the old one. It closes both first, because
// Windows does not replace an open file. The caller owns flushing and writing.
func (f *File) replaceLocked(old disk, newFile *os.File) error {
	if err := errors.Join(newFile.Close(), old.Close()); err != nil {
		return f.fail(fmt.Errorf("journal: %w; open it again", err))
	}
	renameErr := os.Rename(newFile.Name(), f.path)
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return f.fail(fmt.Errorf("journal: %w; open it again", errors.Join(renameErr, err)))
	}
	f.mu.Lock()
	f.disk = file
	f.mu.Unlock()
	return renameErr
}

const errorDiskFull syscall.Errno = 112

// isFull reports whether err says that the volume is full.
func isFull(err error) bool { return errors.Is(err, errorDiskFull) }
