//go:build !windows

package journal

import (
	"errors"
	"os"
	"syscall"
)

// ignoreUnsupported drops the error of the fsync of a directory where the file system does not have
// it.
func ignoreUnsupported(err error) error {
	if errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// replaceLocked puts a new file in the place of the old one, which stays in use if that fails.
// Flushing and writing are held.
func (f *File) replaceLocked(_ disk, anew *os.File) error {
	if err := os.Rename(anew.Name(), f.path); err != nil {
		return err
	}
	f.mu.Lock()
	f.disk = anew
	f.mu.Unlock()
	return nil
}
