package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// ErrInUse is matched, through errors.Is, by the error of Open if another File, in this process or another, has the journal.
var ErrInUse = errors.New("journal: another process has it open; stop that one first, or give each process a journal of its own")

// CorruptError says that a file is no journal, or one that was damaged. Nothing of it was changed. Keep a copy; it tells, record
// by record, which payments may be open. Once these are settled by other means, move the file away, and a new one begins.
type CorruptError struct {
	Path   string
	Record int   // number of the damaged record; the first, which names the format, is 1
	Offset int64 // where it begins, in bytes
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal: %s: record %d, at byte %d, cannot be trusted: %s; the file was left as it is: keep a copy, settle the payments it tells of, "+
		"then move it away", e.Path, e.Record, e.Offset, e.Reason)
}

// Open opens the journal at path and makes one if there is none. Its error is ErrInUse, a *CorruptError, or the file system's.
// Close it when the client that uses it makes no more calls.
func Open(path string) (*File, error) {
	path, err := locate(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(path + ".tmp") // of a process that died while it wrote the file anew
	f, err := open(path)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	f.lock = lock
	return f, nil
}

// locate returns the one path that a file has, whatever links lead to it and wherever the process goes, and makes the file: a
// link may lead to one that is not there yet.
func locate(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(absolute); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", absolute) // a pipe would be waited for
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
	disk, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := own(disk, path); err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	f := &File{path: path, disk: disk, state: newState(), compactAt: compactFrom}
	if f.size, err = f.state.read(disk); err == nil {
		err = f.repair(disk)
	}
	if err != nil {
		var corrupt *CorruptError
		if errors.As(err, &corrupt) {
			corrupt.Path = path
		} else {
			err = fmt.Errorf("journal: %w", err)
		}
		return nil, errors.Join(err, disk.Close())
	}
	f.state.renew(time.Now())
	return f, nil
}

// own locks the journal itself too: the lock beside it is of no use if somebody deletes that, or another name leads here.
func own(disk *os.File, path string) error {
	if err := lock(disk); err != nil {
		return err
	}
	opened, err := disk.Stat()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if named, err := os.Stat(path); err != nil || !os.SameFile(opened, named) {
		return ErrInUse // it was written anew meanwhile
	}
	return nil
}

// repair cuts off what was not written whole, writes the first record into a new file, and makes durable what was read.
func (f *File) repair(file *os.File) error {
	if err := f.disk.Truncate(f.size); err != nil {
		return err
	}
	if f.size == 0 {
		line, err := firstRecord.line()
		if err != nil {
			return err
		}
		if _, err := f.disk.WriteAt(line, 0); err != nil {
			return err
		}
		f.size = int64(len(line))
	}
	if err := fsync(file); err != nil {
		return err
	}
	return syncDirectory(f.path)
}

// read takes the records of a file, and returns where the last whole one ends: 0 if the file is new.
func (s *state) read(file io.Reader) (int64, error) {
	lines := bufio.NewReaderSize(file, 64<<10)
	var offset int64
	for number := 1; ; number++ {
		line, whole, err := readLine(lines)
		if err != nil {
			return 0, err
		}
		corrupt := func(reason string) error { return &CorruptError{Record: number, Offset: offset, Reason: reason} }
		if !whole {
			return offset, torn(line, number, corrupt)
		}
		if len(line) > longestRecord {
			return 0, corrupt("it is too long")
		}
		r, err := parse(line[:len(line)-1])
		switch {
		case number == 1 && (err != nil || r.Header == nil || r.Header.Format != formatName):
			return 0, corrupt("the file does not begin as a journal does; it is something else, or its beginning is damaged")
		case number == 1 && r.Header.Version != formatVersion:
			return 0, corrupt(fmt.Sprintf("it says version %d, and this SDK reads version %d; use the version that wrote it", r.Header.Version, formatVersion))
		case number == 1:
		case err != nil:
			return 0, corrupt(err.Error())
		default:
			if err := s.apply(r); err != nil {
				return 0, corrupt(err.Error())
			}
		}
		offset += int64(len(line))
	}
}

// readLine reads to the end of a line, or of the file; then whole is false. Of a line that is too long it reads the beginning.
func readLine(lines *bufio.Reader) (line []byte, whole bool, err error) {
	for {
		part, err := lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil || len(line) > longestRecord:
			return line, true, nil
		case errors.Is(err, io.EOF):
			return line, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

// torn judges what stands after the last end of a line. The process or the machine died while it was written, and nothing was
// sent for it; unless it shows that it was whole once, or that the file is not a journal.
func torn(rest []byte, number int, corrupt func(string) error) error {
	if number == 1 {
		first, err := firstRecord.line()
		begun := bytes.TrimRight(rest, "\x00")
		if err == nil && len(rest) > 0 && (len(begun) == 0 || !bytes.HasPrefix(first, begun)) {
			err = corrupt("the file does not begin as a journal does; it is something else, or its beginning is damaged")
		}
		return err
	}
	if len(rest) > 0 {
		if _, err := parse(rest[:len(rest)-1]); err == nil {
			return corrupt("it is whole but for its last byte, which should end the line")
		}
	}
	return nil
}

func syncDirectory(path string) error {
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer directory.Close()
	return ignoreUnsupported(fsync(directory))
}
