package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

const errorSharingViolation syscall.Errno = 32

// lockFile opens a file exclusively, until the process ends, however it ends.
func lockFile(path string) (io.Closer, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("journal: lock %s: %w", path, err)
	}
	return os.NewFile(uintptr(handle), path), nil
}

// lock does nothing: on Windows the lock file beside the journal cannot be deleted while it is
// open.
func lock(*os.File) error { return nil }
