//go:build unix

package journal

import (
	"os"
	"syscall"
)

// keepOwner gives the new file the owner of the old one. Otherwise a journal that root opened once,
// to look at it, would belong to root.
func keepOwner(newFile *os.File, old disk) error {
	info, err := old.Stat()
	if err != nil {
		return err
	}
	made, err := newFile.Stat()
	if err != nil {
		return err
	}
	was, known := info.Sys().(*syscall.Stat_t)
	is, alsoKnown := made.Sys().(*syscall.Stat_t)
	if !known || !alsoKnown || was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	return newFile.Chown(int(was.Uid), int(was.Gid))
}
