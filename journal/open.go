package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/observe"
)

// ErrInUse is matched by the error of [Open] if another [File], in this process or another, owns
// the journal.
var ErrInUse = errors.New("journal: another process has it open; stop that one first," +
	" and let no other process pay the orders that are open in it")

// CorruptError is the error of [Open] for a file that is not a journal, or is a damaged one. Open
// leaves the file as it is. Keep a copy: its records say which payments may be open. Settle those
// by other means, then move the file away; Open makes a new one.
type CorruptError struct {
	Path   string
	Record int   // number of the damaged record, from 1; the first one names the format
	Offset int64 // of the record in the file, in bytes
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal: %s: record %d, at byte %d, cannot be trusted: %s;"+
		" the file was left as it is: keep a copy, settle the payments that are open in it, then move it away",
		e.Path, e.Record, e.Offset, e.Reason)
}

// Option configures a [File]. A nil Option is not allowed.
type Option func(*settings)

type settings struct{ observers []observe.Observer }

// WithObserver shows each [connectpsp.JournalWrite] to observer; give it to the client too. Given
// more than once, all observers see them, in this order. That an observer is late or panics goes to
// the [slog.Default] of the time of [Open], at level warning. Nil is like no observer.
func WithObserver(observer connectpsp.Observer) Option {
	return func(s *settings) {
		if observer != nil {
			s.observers = append(s.observers, observer)
		}
	}
}

// Open opens the journal at path, and creates it if there is none. It cuts off records that were
// not durable when the machine lost power, and compacts the file if it contains requests of
// payments that ended. The error matches [ErrInUse], is a [*CorruptError], or is the file system's.
// Call [File.Close] when the clients that use the journal make no more calls.
func Open(path string, options ...Option) (*File, error) {
	var settings settings
	for _, option := range options {
		option(&settings)
	}
	path, err := locate(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(path + ".tmp") // from a process that died during a compaction
	f, err := open(path)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	f.lock, f.guard = lock, observe.New(slog.Default(), settings.observers...)
	return f, nil
}

// locate returns the absolute path of a file without symbolic links. It creates the file, because a
// link may lead to one that does not exist yet.
func locate(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(absolute); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", absolute) // to open a pipe would block
	}
	file, err := os.OpenFile(absolute, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	if err := file.Close(); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(absolute)
}

func open(path string) (*File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	f := &File{
		path: path, opened: time.Now(), flushing: newMutex(), writing: newMutex(),
		disk: file, state: newState(),
	}
	err = cmp.Or(lockInPlace(file, path), restrict(file))
	if err == nil {
		err = f.load(file)
	}
	if err != nil {
		return nil, errors.Join(err, f.disk.Close())
	}
	return f, nil
}

// load reads the file, makes it durable, and compacts it if it contains records that should be
// gone.
func (f *File) load(file *os.File) error {
	found, err := f.state.read(file)
	if err == nil {
		f.size = found.size
		err = f.repair(file, found)
	}
	var corrupt *CorruptError
	switch {
	case errors.As(err, &corrupt):
		corrupt.Path = f.path
		return corrupt
	case err != nil:
		return fmt.Errorf("journal: %w", err)
	}
	f.compactions.at = nextCompaction(found.packed)
	if found.version < formatVersion || f.state.stale > 0 || f.size >= f.compactions.at {
		_ = f.compact() // if that fails, the old file is still right
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scheduleLocked()
	return f.failure
}

// restrict makes the file accessible to its owner only. It may have been created with another mode.
func restrict(file *os.File) error {
	info, err := file.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = file.Chmod(0o600)
	}
	if err != nil {
		return fmt.Errorf("journal: the file contains personal data, and could not be made readable by its"+
			" owner only: %w", err)
	}
	return nil
}

// lockInPlace locks the journal itself too: the lock file beside it does not help if somebody
// deletes it, or if the journal has a second name.
func lockInPlace(disk *os.File, path string) error {
	if err := lock(disk); err != nil {
		return err
	}
	opened, err := disk.Stat()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if named, err := os.Stat(path); err != nil || !os.SameFile(opened, named) {
		return ErrInUse // another process compacted it meanwhile
	}
	return nil
}

// repair cuts off a record that was not written whole, writes the first record of a new file, makes
// the file durable, and measures the free space.
func (f *File) repair(file *os.File, found contents) error {
	if err := file.Truncate(f.size); err != nil {
		return err
	}
	if f.size == 0 {
		line, err := firstRecord(formatVersion).line()
		if err != nil {
			return err
		}
		if _, err := file.WriteAt(line, 0); err != nil {
			return err
		}
		f.size = int64(len(line))
	}
	if err := fsync(file); err != nil {
		return err
	}
	if err := syncDirectory(f.path); err != nil {
		return err
	}
	// Only now: after a kill at this point a new file of zeros would not be a journal.
	f.compactions.tight = !hasRoom(file, f.size, f.size+plenty)
	if err := file.Truncate(f.size); err != nil {
		return err
	}
	if found.durable < found.last {
		f.markLocked(f.size)
	}
	return nil
}

// contents describes a file that was read.
type contents struct {
	version int
	size    int64 // up to the end of the last valid record
	packed  int64 // up to the end of the last record that a compaction wrote
	last    int64 // up to the end of the last record that is no durability mark
	durable int64 // bytes that are known to be durable
}

// read applies the records of a file.
//
// A page that was not fsynced when the machine lost power may be on disk or not, independently of
// its neighbours. So the torn tail begins at the first invalid record, and all that follows is cut
// off with it: no payment was sent on the strength of it. But if any durability mark after that
// record says that the record was durable, it was valid once: then the file is damaged. Files of
// version 1 have no marks; there only a last line without a line break is a torn tail.
func (s *state) read(file io.Reader) (contents, error) {
	lines := bufio.NewReaderSize(file, 64<<10)
	found := contents{version: formatVersion}
	for number := 1; ; number++ {
		line, whole, err := readLine(lines)
		if err != nil {
			return found, err
		}
		corrupt := func(reason string) error {
			return &CorruptError{Record: number, Offset: found.size, Reason: reason}
		}
		if len(line) == 0 {
			return found, nil
		}
		r, err := parseWhole(line, whole)
		end := found.size + int64(len(line))
		switch {
		case number == 1 && !whole:
			if !beginsLike(line) {
				return found, corrupt(notAJournal)
			}
			return found, nil
		case number == 1 && (err != nil || r.Header == nil || r.Header.Format != formatName):
			return found, corrupt(notAJournal)
		case number == 1 && (r.Header.Version < 1 || r.Header.Version > formatVersion):
			return found, corrupt(fmt.Sprintf("it has version %d, and this SDK reads up to version %d:"+
				" use the SDK that wrote it", r.Header.Version, formatVersion))
		case number == 1:
			found.version = r.Header.Version
		case err != nil:
			torn, failure := isTorn(line, whole, lines, found)
			if failure == nil && !torn {
				failure = corrupt(err.Error())
			}
			return found, failure
		default:
			if err := s.apply(r, 0); err != nil {
				return found, corrupt(err.Error())
			}
		}
		if r.Durable != nil {
			found.durable = max(found.durable, found.size-r.Durable.Before)
		} else {
			found.last = end
		}
		if r.Pending != nil || r.Ended != nil {
			found.packed = end
		}
		found.size = end
	}
}

const notAJournal = "the file does not begin as a journal does:" +
	" it is something else, or its beginning is damaged"

// parseWhole decodes a line with its line break.
func parseWhole(line []byte, whole bool) (record, error) {
	switch {
	case len(line) > maxRecord:
		return record{}, errors.New("it is too long")
	case !whole:
		return record{}, errors.New("it does not end")
	}
	return parse(line[:len(line)-1])
}

// beginsLike reports whether a line without a line break is the first part of a journal's header.
func beginsLike(line []byte) bool {
	begun := bytes.TrimRight(line, "\x00")
	for version := 1; version <= formatVersion; version++ {
		first, err := firstRecord(version).line()
		if err == nil && (len(begun) > 0 || len(line) <= len(first)) && bytes.HasPrefix(first, begun) {
			return true
		}
	}
	return false
}

// isTorn reports whether an invalid line after the last valid record begins a torn tail. It looks
// for a durability mark in that line, which may contain another line, and in all lines after it.
func isTorn(line []byte, whole bool, rest *bufio.Reader, found contents) (bool, error) {
	if found.version == 1 && found.durable == 0 {
		if whole {
			return false, nil
		}
		_, err := parse(line[:len(line)-1])
		return err != nil, nil // else it was whole, and its line break was changed
	}
	for offset := found.size; len(line) > 0; {
		if at, mark := lastMark(line); mark != nil && offset+at-mark.Before > found.size {
			return false, nil
		}
		offset += int64(len(line))
		var err error
		if line, _, err = readLine(rest); err != nil {
			return false, err
		}
	}
	return true, nil
}

// lastMark returns the durability mark at the end of a line, and its offset in the line.
func lastMark(line []byte) (int64, *durable) {
	at := bytes.LastIndex(line, []byte(` {"durable":`)) - len("01234567")
	if at < 0 {
		return 0, nil
	}
	r, err := parse(bytes.TrimSuffix(line[at:], []byte("\n")))
	if err != nil {
		return 0, nil
	}
	return int64(at), r.Durable
}

// readLine reads a line. Whole is false if the file ends before the line break. Of a line longer
// than maxRecord it reads the beginning.
func readLine(lines *bufio.Reader) (line []byte, whole bool, err error) {
	for {
		part, err := lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil || len(line) > maxRecord:
			return line, true, nil
		case errors.Is(err, io.EOF):
			return line, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

func syncDirectory(path string) error {
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer directory.Close()
	return ignoreUnsupported(fsync(directory))
}
