package journal

import (
	"errors"
	"os"
)

// ignoreUnsupported drops the error of the fsync of a directory, which Windows does not have.
func ignoreUnsupported(error) error { return nil }

// replace puts a new file in the place of the old one. Windows does not replace a file that is open.
func (f *File) replace(anew *os.File) error {
	if err := errors.Join(anew.Close(), f.disk.Close()); err != nil {
		f.failure = err
		return err
	}
	renameErr := os.Rename(anew.Name(), f.path)
	disk, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		f.failure = err
		return errors.Join(renameErr, err)
	}
	f.disk = disk
	return renameErr
}
