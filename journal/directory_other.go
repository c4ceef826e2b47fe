//go:build !windows

package journal

import (
	"errors"
	"syscall"
)

// ignoreUnsupported drops the error of the fsync of a directory where the file system does not have it.
func ignoreUnsupported(err error) error {
	if errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
