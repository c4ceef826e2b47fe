package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ignoreUnsupported drops the error of the fsync of a directory, which Windows does not have.
func ignoreUnsupported(error) error { return nil }

// replaceLocked puts a new file in the place of the old one. Windows does not replace a file that
// is open. Flushing and writing are held.
func (f *File) replaceLocked(old disk, anew *os.File) error {
	if err := errors.Join(anew.Close(), old.Close()); err != nil {
		return f.fail(fmt.Errorf("journal: %w; open it anew", err))
	}
	renameErr := os.Rename(anew.Name(), f.path)
	disk, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return f.fail(fmt.Errorf("journal: %w; open it anew", errors.Join(renameErr, err)))
	}
	f.mu.Lock()
	f.disk = disk
	f.mu.Unlock()
	return renameErr
}

const errorDiskFull syscall.Errno = 112

// isFull reports whether err is that of a volume without room.
func isFull(err error) bool { return errors.Is(err, errorDiskFull) }
