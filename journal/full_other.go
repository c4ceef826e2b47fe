//go:build !plan9 && !windows

package journal

import (
	"errors"
	"syscall"
)

// isFull reports whether err says that the volume or the quota is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
