package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

// aJournal returns a file with some of everything in it, and what was pending after each of its
// lines.
func aJournal(t testing.TB) (data []byte, states [][]connectpsp.Intent) {
	path := path(t)
	file := open(t, path)
	states = append(states, pending(t, file))
	step := func(err error) {
		require.NoError(t, err)
		states = append(states, pending(t, file))
	}
	for n := 1; n <= 4; n++ {
		begin(t, file, n)
		step(nil)
	}
	for n := 1; n <= 3; n++ {
		step(file.Sent(t.Context(), key(n), noon))
	}
	step(file.Finish(t.Context(), key(2), connectpsp.OutcomeAccepted, "0b0c5c8e"))
	step(file.Finish(t.Context(), key(3), connectpsp.OutcomeRejected, ""))
	return contents(t, path), states
}

// whole counts the records of a journal that say something about payments, and the header.
func whole(data []byte) (n int) {
	for line := range bytes.Lines(data) {
		if bytes.HasSuffix(line, []byte("\n")) && !bytes.Contains(line, []byte(`"durable"`)) {
			n++
		}
	}
	return n
}

// TestATornFileKeepsItsWholeRecords cuts a journal at every byte.
func TestATornFileKeepsItsWholeRecords(t *testing.T) {
	data, states := aJournal(t)
	directory := t.TempDir()
	for length := range len(data) + 1 {
		if raceEnabled && length%3 != 0 {
			continue
		}
		for _, tail := range []string{"", "\x00\x00\x00"} {
			if tail != "" && length%4 != 1 {
				continue // some will do; and nothing but zeros is no journal
			}
			path := filepath.Join(directory, fmt.Sprint(length, len(tail)))
			data := append(bytes.Clone(data[:length]), tail...)
			require.NoError(t, os.WriteFile(path, data, 0o600))
			file, err := journal.Open(path)
			require.NoError(t, err, "%d bytes", length)
			state := states[max(whole(data), 1)-1]
			assert.Equal(t, state, pending(t, file), "%d bytes", length)
			if length%5 != 0 {
				require.NoError(t, file.Close())
				continue
			}
			begin(t, file, 9)
			require.NoError(t, file.Sent(t.Context(), key(9), noon))
			require.NoError(t, file.Close())
			file, err = journal.Open(path)
			require.NoError(t, err, "%d bytes", length)
			assert.Len(t, pending(t, file), len(state)+1, "later records are not lost")
			require.NoError(t, file.Close())
		}
	}
}

// TestAPowerCutDuringTheFirstOpenLeavesAUsableJournal: the length of the new file may be on the
// disk, and what was written not, or only its beginning.
func TestAPowerCutDuringTheFirstOpenLeavesAUsableJournal(t *testing.T) {
	path := path(t)
	require.NoError(t, open(t, path).Close())
	header := contents(t, path)
	for written := range len(header) + 1 {
		torn := append(bytes.Clone(header[:written]), make([]byte, len(header)-written)...)
		path := write(t, torn)
		file := open(t, path)
		send(t, file, 1)
		file = reopen(t, file, path)
		assert.Len(t, pending(t, file), 1, "%d bytes written", written)
	}
}

// TestAKillDuringTheFirstOpenLeavesAUsableJournal looks at the file while it is made.
func TestAKillDuringTheFirstOpenLeavesAUsableJournal(t *testing.T) {
	for range 20 {
		path := path(t)
		opened := make(chan error)
		go func() {
			file, err := journal.Open(path)
			if err == nil {
				err = file.Close()
			}
			opened <- err
		}()
		var longest []byte
		for making := true; making; {
			select {
			case err := <-opened:
				require.NoError(t, err)
				making = false
			default:
				if data, err := os.ReadFile(path); err == nil && len(data) > len(longest) {
					longest = data
				}
			}
		}
		send(t, open(t, write(t, longest)), 1)
	}
}

// TestADamagedFileIsRefusedAndLeftAsItIs flips bits in every byte of a journal that was fsynced,
// upper and lower case among them. A damaged record may be one that says that a payment was sent,
// so none is passed over.
func TestADamagedFileIsRefusedAndLeftAsItIs(t *testing.T) {
	data, _ := aJournal(t)
	path := filepath.Join(t.TempDir(), "payments.journal")
	lastMark := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
	require.Contains(t, string(data[lastMark:]), `{"durable":{"before":0}}`)
	for i := range lastMark {
		for _, bit := range []int{i % 5, 5, 6 + i%2} {
			damaged := bytes.Clone(data)
			damaged[i] ^= 1 << bit
			require.NoError(t, os.WriteFile(path, damaged, 0o600))
			_, err := journal.Open(path)
			var corrupt *journal.CorruptError
			require.ErrorAs(t, err, &corrupt, "byte %d, bit %d", i, bit)
			assert.Equal(t, bytes.Count(data[:i], []byte("\n"))+1, corrupt.Record, "byte %d, bit %d", i, bit)
			assert.LessOrEqual(t, corrupt.Offset, int64(i))
			require.Equal(t, damaged, contents(t, path))
		}
	}
}

// TestATailThatNoFsyncCoveredMayBeTorn: pages that were not fsynced may be lost one by one when the
// machine loses power. None of their payments was sent, so the journal opens, and knows all that
// was durable.
func TestATailThatNoFsyncCoveredMayBeTorn(t *testing.T) {
	data, states := aJournal(t)
	path := path(t)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	file := open(t, path)
	for n := 10; n < 40; n++ {
		begin(t, file, n)
	}
	written := contents(t, path)
	require.NoError(t, file.Close())
	durable := bytes.LastIndex(written, []byte(`{"durable"`)) + 25
	for page := durable; page+512 < len(written); page += 500 {
		for name, lost := range map[string][]byte{
			"zeros": make([]byte, 512), "garbage": bytes.Repeat([]byte("\x07\n{\"durable\":"), 40)[:512],
		} {
			torn := bytes.Clone(written)
			copy(torn[page:], lost)
			torn = append(torn, make([]byte, 4096)...)
			require.NoError(t, os.WriteFile(path, torn, 0o600))
			file, err := journal.Open(path)
			require.NoError(t, err, "%s at %d of %d", name, page, len(written))
			known := pending(t, file)
			require.GreaterOrEqual(t, len(known), len(states[len(states)-1]))
			assert.Equal(t, states[len(states)-1], known[:len(states[len(states)-1])])
			send(t, file, 50)
			require.NoError(t, file.Close())
		}
	}
}

// TestADamagedRecordBeforeALaterFsyncIsNotATornTail: a mark behind it says that it was whole once,
// also if other lines between them are damaged.
func TestADamagedRecordBeforeALaterFsyncIsNotATornTail(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	size := len(contents(t, path))
	begin(t, file, 2)
	for n := 3; n < 20; n++ {
		begin(t, file, n)
	}
	require.NoError(t, file.Sent(t.Context(), key(2), noon))
	damaged := contents(t, path)
	require.NoError(t, file.Close())
	clear(damaged[size : size+1024])
	require.NoError(t, os.WriteFile(path, damaged, 0o600))
	_, err := journal.Open(path)
	assert.ErrorAs(t, err, new(*journal.CorruptError))
	assert.Equal(t, damaged, contents(t, path))
}

func TestAMissingRecordIsNoticedByTheRecordsThatNeedIt(t *testing.T) {
	data, _ := aJournal(t)
	lines := bytes.SplitAfter(data, []byte("\n"))
	for missing := range 4 { // the header and the intents of payments that were sent
		path := write(t, bytes.Join(append(append([][]byte{}, lines[:missing]...), lines[missing+1:]...), nil))
		_, err := journal.Open(path)
		assert.ErrorAs(t, err, new(*journal.CorruptError), "line %d", missing)
	}
	_, err := journal.Open(write(t, append(bytes.Clone(data), data[len(lines[0]):]...)))
	assert.ErrorAs(t, err, new(*journal.CorruptError), "all of it twice")
}

func TestAFileThatIsNoJournalIsRefusedAndLeftAsItIs(t *testing.T) {
	data, _ := aJournal(t)
	newer := journal.Line(`{"header":{"format":"connectpsp payments","version":3}}`)
	head := string(data[:bytes.IndexByte(data, '\n')+1])
	durable := journal.Line(`{"durable":{"before":0}}`)
	for name, c := range map[string]struct{ data, says string }{
		"a text":                  {"hello\nworld\n", "something else"},
		"a text without an end":   {"hello", "something else"},
		"one byte":                {"x", "something else"},
		"nothing but zeros":       {strings.Repeat("\x00", 4096), "something else"},
		"something long":          {strings.Repeat("x", 3<<20), "something else"},
		"JSON":                    {`{"header":{}}` + "\n", "something else"},
		"another format":          {journal.Line(`{"header":{"format":"sqlite","version":1}}`), "something else"},
		"a newer version":         {newer, "version 3, and this SDK reads up to version 2"},
		"a record of no kind":     {head + journal.Line(`{}`), "unknown kind"},
		"a record of a new kind":  {head + journal.Line(`{"moved":{"key":"a"}}`), "unknown kind"},
		"two headers":             {head + head, "unknown kind"},
		"not JSON":                {head + journal.Line(`{"intent":`) + durable, "not the JSON"},
		"an intent without a key": {head + journal.Line(`{"intent":{"operation":"createCashOut"}}`), "without a key"},
		"no gzip":                 {head + journal.Line(`{"ended":"AAAA"}`), "cannot be decompressed"},
		"an odd outcome":          {head + journal.Line(`{"intent":{"key":"a","outcome":"LOST"}}`), "does not know"},
		"an odd end":              {head + journal.Line(`{"intent":{"key":"a"}}`) + journal.Line(`{"finished":{"key":"a","outcome":"LOST"}}`), "does not know"},
		"an end of nothing":       {head + journal.Line(`{"finished":{"key":"a","outcome":"REJECTED"}}`), "no pending intent"},
		"a sending of nothing":    {head + journal.Line(`{"sent":{"key":"a","at":"2026-03-10T12:00:00Z"}}`), "no unsent intent"},
		"a sending at no time":    {head + journal.Line(`{"intent":{"key":"a"}}`) + journal.Line(`{"sent":{"key":"a"}}`), "no unsent intent"},
		"an empty line":           {head + "\n" + durable, "checksum"},
		"a line that is too long": {head + strings.Repeat("x", 2<<20) + "\n" + durable, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, []byte(c.data))
			_, err := journal.Open(path)
			var corrupt *journal.CorruptError
			require.ErrorAs(t, err, &corrupt)
			assert.Equal(t, path, corrupt.Path)
			assert.Contains(t, corrupt.Reason, c.says)
			assert.Contains(t, err.Error(), "the file was left as it is: keep a copy, settle the payments that are open in it, then move it away")
			assert.Equal(t, c.data, string(contents(t, path)))

			// Moved away, it is in nobody's way: the lock was given back.
			require.NoError(t, os.Rename(path, path+".damaged"))
			open(t, path)
		})
	}
}

func TestFieldsOfALaterMinorFormatAreIgnored(t *testing.T) {
	data, _ := aJournal(t)
	head := string(data[:bytes.IndexByte(data, '\n')+1])
	file := open(t, write(t, []byte(head+journal.Line(`{"intent":{"key":"a","clientId":"1","baseUrl":"u","begunAt":"2026-03-10T12:00:00Z","priority":1}}`))))
	assert.Equal(t, "a", pending(t, file)[0].IdempotencyKey)
}

func TestAPathThatCannotBeAJournalIsAnError(t *testing.T) {
	_, err := journal.Open(t.TempDir())
	assert.Error(t, err)
	_, err = journal.Open(filepath.Join(t.TempDir(), "missing", "payments.journal"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestASecondProcessCannotOpenTheJournal(t *testing.T) {
	if path := os.Getenv("JOURNAL_TO_OPEN"); path != "" {
		_, err := journal.Open(path)
		fmt.Println(err)
		os.Exit(0)
	}
	path := path(t)
	file := open(t, path)
	begin(t, file, 1)
	_, err := journal.Open(path)
	assert.ErrorIs(t, err, journal.ErrInUse)

	child := exec.Command(os.Args[0], "-test.run=^TestASecondProcessCannotOpenTheJournal$")
	child.Env = append(os.Environ(), "JOURNAL_TO_OPEN="+path)
	said, err := child.CombinedOutput()
	require.NoError(t, err)
	assert.Equal(t, journal.ErrInUse.Error(), strings.TrimSpace(string(said)))

	file = reopen(t, file, path)
	assert.Len(t, pending(t, file), 1)
}

func FuzzOpen(f *testing.F) {
	data, _ := aJournal(f)
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte{})
	f.Add(append(bytes.Clone(data), 0, 0, 0))
	head := string(data[:bytes.IndexByte(data, '\n')+1])
	f.Add([]byte(head + journal.Line(`{"intent":{"key":"a","sentAt":"2026-03-10T12:00:00Z"}}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, journal.Repaired(data)} {
			path := write(t, data)
			file, err := journal.Open(path)
			if err != nil {
				assert.Equal(t, data, contents(t, path))
				continue
			}
			before := pending(t, file)
			require.NoError(t, file.Close())
			file, err = journal.Open(path)
			require.NoError(t, err)
			assert.Equal(t, before, pending(t, file))
			require.NoError(t, file.Close())
		}
	})
}
