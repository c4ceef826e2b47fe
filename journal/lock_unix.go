//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// lockFile locks a file. The system releases the lock when the process ends, however it ends.
func lockFile(path string) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := cmp.Or(lock(file), restrict(file)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// lock locks an open file until it is closed.
func lock(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrInUse
		default:
			return fmt.Errorf("journal: lock %s: %w", file.Name(), err)
		}
	}
}
