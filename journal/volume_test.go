package journal_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"

	"github.com/connectpsp/connectpsp-go/journal"
)

// volume records which bytes of the journal's file are durable. It takes the place of fsync.
type volume struct {
	random     *rand.Rand
	path       string
	file       *journal.File // nil in Open
	inPlace    *synced       // the file that has the journal's name
	replaced   *synced       // the one that had it, until the renaming is durable
	anew       *synced       // the one that a compaction writes
	full       bool          // some writes find the volume full
	refused    bool          // one did, so a mark of durability may be missing
	powerMayGo func(string)  // called at each moment that matters
	// What goes on, if not nil, once while a compaction writes, and during each fsync of a payment.
	inCompaction, inFsync func()
}

// synced is a file with its contents at the last fsync.
type synced struct {
	file    *os.File
	durable []byte
}

// fsync takes the place of the fsync of a file that is opened or compacted, and of a directory.
func (v *volume) fsync(file *os.File) error {
	switch file.Name() {
	case v.path: // Open
		v.inPlace.file = file
		return v.sync(v.inPlace)
	case v.path + ".tmp":
		if goesOn := v.inCompaction; goesOn != nil {
			v.inCompaction = nil
			v.withRoom(goesOn)
		}
		v.anew = &synced{file: file}
		return v.sync(v.anew)
	case filepath.Dir(v.path):
		if v.anew != nil {
			v.replaced, v.inPlace, v.anew = v.inPlace, v.anew, nil
		}
		v.powerMayGo("before the fsync of the directory")
		v.replaced = nil
		v.watch()
		v.powerMayGo("after the fsync of the directory")
	}
	return nil
}

// watch puts the volume under the file that the journal uses, which after a compaction is another.
func (v *volume) watch() {
	if v.file != nil {
		journal.WrapDisk(v.file, func(disk journal.Disk) journal.Disk { return watchedDisk{disk, v} })
	}
}

// withRoom lets something go on during a compaction or an fsync. It must not find the volume full,
// for it would wait for the end of what it is a part of.
func (v *volume) withRoom(goesOn func()) {
	full := v.full
	v.full = false
	goesOn()
	v.full = full
}

func (v *volume) sync(s *synced) (err error) {
	v.powerMayGo("before an fsync")
	s.durable, err = s.read()
	v.powerMayGo("after an fsync")
	return err
}

func (s *synced) read() ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(s.file, 0, 1<<40))
}

// watchedDisk is the file that the journal uses.
type watchedDisk struct {
	journal.Disk
	volume *volume
}

func (d watchedDisk) Sync() error {
	v := d.volume
	err := v.sync(v.inPlace)
	if v.inFsync != nil && v.random.IntN(8) == 0 {
		v.withRoom(v.inFsync)
	}
	return err
}

func (d watchedDisk) WriteAt(data []byte, offset int64) (int, error) {
	v := d.volume
	if !v.full || v.random.IntN(25) > 0 {
		return d.Disk.WriteAt(data, offset)
	}
	v.refused = true
	n, err := d.Disk.WriteAt(data[:v.random.IntN(len(data))], offset)
	v.powerMayGo("after a part of a write")
	return n, errors.Join(err, syscall.ENOSPC)
}

// afterPowerCut returns what a power cut may leave of the journal.
func (v *volume) afterPowerCut() ([]byte, error) {
	left := v.inPlace
	if v.replaced != nil && v.random.IntN(2) == 0 {
		left = v.replaced
	}
	written, err := left.read()
	if err != nil {
		return nil, fmt.Errorf("the file in use was never made durable: %w", err)
	}
	return tear(v.random, left.durable, written), nil
}

const sectorSize, pageSize = 512, 4096

// tear mixes two versions of a file: its length is one of theirs, or between them, and its pages,
// or the sectors of some pages, are from one of them, or of zeros. Sectors are written as a whole:
// what they have in common stays.
func tear(random *rand.Rand, durable, written []byte) []byte {
	short, long := len(durable), len(written)
	if short > long {
		short, long = long, short
	}
	torn := make([]byte, []int{short, long, short + random.IntN(long-short+1)}[random.IntN(3)])
	const old, anew, zeros, half, mixed = 0, 1, 2, 3, 3
	oftenAnew := random.IntN(3) // or nearly all that an fsync did not cover would always be lost
	for page := 0; page < len(torn); page += pageSize {
		pageIs := random.IntN(mixed + 1)
		if oftenAnew == 0 || oftenAnew == 1 && random.IntN(3) > 0 {
			pageIs = anew
		}
		for at := page; at < min(page+pageSize, len(torn)); at += sectorSize {
			sector := torn[at:min(at+sectorSize, len(torn))]
			sectorIs := pageIs
			if pageIs == mixed {
				sectorIs = random.IntN(half + 1)
			}
			before, after := durable[min(at, len(durable)):], written[min(at, len(written)):]
			same := 0
			for same < min(len(sector), len(before), len(after)) && before[same] == after[same] {
				same++
			}
			switch sectorIs {
			case old:
				copy(sector, before)
			case anew:
				copy(sector, after)
			case zeros:
				copy(sector[:same], before)
			case half:
				copy(sector[:same+random.IntN(len(sector)-same+1)], after)
			}
		}
	}
	return torn
}
