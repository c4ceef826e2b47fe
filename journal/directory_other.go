//go:build !windows

package journal

import (
	"errors"
	"os"
	"syscall"
)

// ignoreUnsupported drops the error of a file system that cannot fsync a directory.
func ignoreUnsupported(err error) error {
	if errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// replaceLocked renames the new file to the name of the old one, which stays in use if that fails.
// The caller owns flushing and writing.
func (f *File) replaceLocked(_ disk, newFile *os.File) error {
	if err := os.Rename(newFile.Name(), f.path); err != nil {
		return err
	}
	f.mu.Lock()
	f.disk = newFile
	f.mu.Unlock()
	return nil
}
