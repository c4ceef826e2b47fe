package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"syscall"
	"time"
)

// Age makes a journal believe that it has been open for longer.
func Age(f *File, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened = f.opened.Add(-d)
}

// CompactFrom sets the size from which the file is compacted next.
func CompactFrom(f *File, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.compactions.at = size
}

// Compact compacts the file now.
func Compact(f *File) error {
	f.mu.Lock()
	c := f.startCompactionLocked()
	f.mu.Unlock()
	if c == nil {
		return f.failed()
	}
	<-c.done
	return c.err
}

// AfterCompaction waits for a compaction that is under way.
func AfterCompaction(f *File) {
	f.mu.Lock()
	c := f.compactions.current
	f.mu.Unlock()
	if c != nil {
		<-c.done
	}
}

// faultyDisk fails when told to.
type faultyDisk struct {
	disk
	fault *Fault
}

// Fault says what of a disk fails. Short is how many bytes of a write come through before it fails.
type Fault struct {
	Write, Truncate, Sync bool
	Short                 int
	Syncs                 int // how often it was asked to
	// Full makes Write fail as a full volume does.
	Full bool
	// OnSync is called before each fsync, if set.
	OnSync func()
}

// ErrFault is the error of a disk that was told to fail.
var ErrFault = errors.New("no space left on device")

func (d faultyDisk) WriteAt(data []byte, offset int64) (int, error) {
	if !d.fault.Write {
		return d.disk.WriteAt(data, offset)
	}
	n, _ := d.disk.WriteAt(data[:min(d.fault.Short, len(data))], offset)
	if d.fault.Full {
		return n, syscall.ENOSPC
	}
	return n, ErrFault
}

func (d faultyDisk) Truncate(size int64) error {
	if d.fault.Truncate {
		return ErrFault
	}
	return d.disk.Truncate(size)
}

func (d faultyDisk) Sync() error {
	d.fault.Syncs++
	if d.fault.OnSync != nil {
		d.fault.OnSync()
	}
	if d.fault.Sync {
		return ErrFault
	}
	return d.disk.Sync()
}

// WithFaults puts a disk under the journal that fails as fault says.
func WithFaults(f *File, fault *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk = faultyDisk{f.disk, fault}
}

type syncless struct{ disk }

func (syncless) Sync() error { return nil }

// WithoutSync makes nothing durable, to measure what that costs.
func WithoutSync(f *File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk = syncless{f.disk}
}

// WatchFsync calls watch before each fsync of a file that is opened or written anew, or of a
// directory; its error is the fsync's. Stop ends that.
func WatchFsync(watch func(name string) error) (stop func()) {
	fsync = func(file *os.File) error {
		if err := watch(file.Name()); err != nil {
			return err
		}
		return file.Sync()
	}
	return func() { fsync = (*os.File).Sync }
}

// Line writes a record with its checksum.
func Line(text string) string {
	return fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(text), castagnoli), text)
}

// Repaired puts right checksums on the lines of data, so that a fuzzer gets past them.
func Repaired(data []byte) []byte {
	var repaired []byte
	for line := range bytes.Lines(data) {
		_, text, found := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		if !found {
			text = line
		}
		repaired = append(repaired, Line(string(text))...)
	}
	return repaired
}

// HoldFlushes keeps everybody from an fsync until release is called.
func HoldFlushes(f *File) (release func()) {
	f.flushing.lock()
	return f.flushing.unlock
}

// HoldWrites keeps everybody from writing until release is called.
func HoldWrites(f *File) (release func()) {
	f.writing.lock()
	return f.writing.unlock
}

// Written is how many records were written.
func Written(f *File) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int(f.written)
}

// ReplaceFsync calls anew in the place of each fsync of a file that is opened or written anew, or
// of a directory. Restore ends that.
func ReplaceFsync(anew func(*os.File) error) (restore func()) {
	fsync = anew
	return func() { fsync = (*os.File).Sync }
}

// Disk is what a journal uses of its file.
type Disk = disk

// WrapDisk puts a disk of the test's around the one under the journal, until the file is written
// anew.
func WrapDisk(f *File, wrap func(Disk) Disk) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk = wrap(f.disk)
}

// Kill lets go of the journal's files as the system does when the process is killed.
func Kill(f *File) {
	f.closed.Do(func() {
		f.mu.Lock()
		f.closing = true
		f.compactions.stop()
		f.mu.Unlock()
		f.compactions.running.Wait()
		_ = f.disk.Close()
		_ = f.lock.Close()
	})
}
