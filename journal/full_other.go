//go:build !plan9 && !windows

package journal

import (
	"errors"
	"syscall"
)

// isFull reports whether err is that of a volume, or of a quota, without room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
