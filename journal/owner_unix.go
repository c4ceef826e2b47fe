//go:build unix

package journal

import (
	"os"
	"syscall"
)

// keepOwner gives a file the owner of the one whose place it takes: root may only have looked.
func keepOwner(anew *os.File, old disk) error {
	info, err := old.Stat()
	if err != nil {
		return err
	}
	made, err := anew.Stat()
	if err != nil {
		return err
	}
	was, known := info.Sys().(*syscall.Stat_t)
	is, alsoKnown := made.Sys().(*syscall.Stat_t)
	if !known || !alsoKnown || was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	return anew.Chown(int(was.Uid), int(was.Gid))
}
