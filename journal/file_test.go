package journal_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestASentPaymentIsFoundAgainByteForByte(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	refund := connectpsp.Intent{
		Operation: "refundCashIn", IdempotencyKey: key(2), ChargeID: "kk6g232x", TransactionID: "kk6g232x",
		Body: []byte(`{"reason":"FRAUD"}`), ClientID: "1024", BaseURL: "https://api.connectpsp.com", BegunAt: noon,
	}
	_, err := file.Begin(t.Context(), refund)
	require.NoError(t, err)
	require.NoError(t, file.Sent(t.Context(), key(2), noon))

	want := intent(1)
	want.SentAt = noon.Add(time.Second)
	refund.SentAt = noon
	for range 2 {
		assert.Equal(t, []connectpsp.Intent{refund, want}, pending(t, file), "oldest first")
		earlier, err := file.Begin(t.Context(), intent(1))
		require.NoError(t, err)
		assert.Equal(t, &want, earlier)
		found := find(t, file, 1)
		assert.Equal(t, &want, found)
		file = reopen(t, file, path)
	}
}

func TestReturnedIntentsAreCopies(t *testing.T) {
	file := open(t, path(t))
	send(t, file, 1)
	pending(t, file)[0].Body[0] = 'X'
	found := find(t, file, 1)
	found.SentAt, found.Body[1] = time.Time{}, 'X'
	assert.Equal(t, intent(1).Body, pending(t, file)[0].Body)
	assert.False(t, pending(t, file)[0].SentAt.IsZero())
}

func TestAnUnsentPaymentIsPendingAndIsReplacedByTheNext(t *testing.T) {
	path := path(t)
	file := open(t, path)
	begin(t, file, 1)
	for range 2 {
		require.Len(t, pending(t, file), 1)
		assert.True(t, pending(t, file)[0].SentAt.IsZero())
		found := find(t, file, 1)
		assert.Nil(t, found)
		file = reopen(t, file, path)
	}
	changed := intent(1)
	changed.Amount = pix.Centavos(1)
	earlier, err := file.Begin(t.Context(), changed)
	require.NoError(t, err)
	assert.Nil(t, earlier)
	file = reopen(t, file, path)
	assert.Equal(t, []connectpsp.Intent{changed}, pending(t, file), "the newer one takes its place")
}

func TestARejectedPaymentIsNotFound(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	begin(t, file, 2)
	for n := range 3 { // 0 is not known
		require.NoError(t, file.Finish(t.Context(), key(n), connectpsp.OutcomeRejected, ""))
	}
	for range 2 {
		assert.Empty(t, pending(t, file))
		found := find(t, file, 1)
		assert.Nil(t, found)
		file = reopen(t, file, path)
	}
	send(t, file, 1)
	assert.Len(t, pending(t, file), 1, "the key can be used again")
}

func TestAnAcceptedPaymentIsRememberedForAnHourWithoutItsBody(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, "0b0c5c8e"))
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, "another"))
	require.ErrorContains(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""), "cannot be rejected")
	want := intent(1)
	want.Outcome, want.TransactionID, want.Body = connectpsp.OutcomeAccepted, "0b0c5c8e", nil
	want.BegunAt = want.BegunAt.Truncate(time.Millisecond)
	want.SentAt = noon.Add(time.Second).Truncate(time.Millisecond)
	for range 2 {
		assert.Empty(t, pending(t, file))
		earlier, err := file.Begin(t.Context(), intent(1))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), earlier.EndedAt, time.Minute)
		want.EndedAt = earlier.EndedAt
		assert.Equal(t, &want, earlier)
		file = reopen(t, file, path)
	}
	assert.NoError(t, file.Sent(t.Context(), key(1), noon), "a webhook may report it between two attempts")

	journal.Age(file, 59*time.Minute)
	found := find(t, file, 1)
	assert.NotNil(t, found)
	file = reopen(t, file, path)
	journal.Age(file, 59*time.Minute)
	found = find(t, file, 1)
	assert.NotNil(t, found, "the time in which nobody could ask does not count")
	journal.Age(file, time.Minute)
	found = find(t, file, 1)
	assert.Nil(t, found)
	send(t, file, 1)
	assert.Len(t, pending(t, file), 1)
}

// The hour counts from Open: while the process was down nobody could ask.
func TestAnAcceptedPaymentIsRememberedForAnHourAfterTheJournalIsOpened(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, "t1"))
	journal.Age(file, 50*time.Minute)
	require.NoError(t, journal.Compact(file))
	file = reopen(t, file, path)
	journal.Age(file, 50*time.Minute)
	earlier := find(t, file, 1)
	assert.NotNil(t, earlier)
}

// A key that was accepted and forgotten, and is used again, is open, whatever records of its first
// use the file has.
func TestAnOpenPaymentIsKeptWhenAnEarlierOneOfItsKeyIsForgotten(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, "t1"))
	journal.Age(file, 2*time.Hour)
	send(t, file, 1)
	file = reopen(t, file, path)
	journal.Age(file, 2*time.Hour)
	begin(t, file, 2)
	require.Len(t, pending(t, file), 2)
	earlier := find(t, file, 1)
	assert.Empty(t, earlier.Outcome)
}

// An Outcome in the intent is ignored, and must not produce a file that cannot be read.
func TestAnIntentBeginsWithoutAnOutcome(t *testing.T) {
	path := path(t)
	file := open(t, path)
	for n, outcome := range []connectpsp.Outcome{connectpsp.OutcomeAccepted, "CANCELLED"} {
		odd := intent(n)
		odd.Outcome = outcome
		earlier, err := file.Begin(t.Context(), odd)
		require.NoError(t, err)
		require.Nil(t, earlier)
	}
	file = reopen(t, file, path)
	assert.Len(t, pending(t, file), 2)
}

func TestSentKeepsTheFirstTime(t *testing.T) {
	file := open(t, path(t))
	send(t, file, 1)
	require.NoError(t, file.Sent(t.Context(), key(1), noon.Add(time.Hour)))
	assert.Equal(t, noon.Add(time.Second), pending(t, file)[0].SentAt)

	resolved := intent(2)
	resolved.SentAt = noon.Add(-time.Minute)
	_, err := file.Begin(t.Context(), resolved)
	require.NoError(t, err)
	require.NoError(t, file.Sent(t.Context(), key(2), noon))
	found := find(t, file, 2)
	assert.Equal(t, resolved.SentAt, found.SentAt)
}

func TestInvalidCallsAreRefused(t *testing.T) {
	path := path(t)
	file := open(t, path)
	before := contents(t, path)
	_, err := file.Begin(t.Context(), connectpsp.Intent{})
	assert.Error(t, err)
	huge := intent(1)
	huge.Body = make([]byte, 1<<20)
	_, err = file.Begin(t.Context(), huge)
	assert.ErrorContains(t, err, "too long")
	odd := intent(1)
	odd.BegunAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err = file.Begin(t.Context(), odd)
	assert.Error(t, err)
	assert.Error(t, file.Sent(t.Context(), key(1), noon))
	assert.Error(t, file.Finish(t.Context(), key(1), "MAYBE", ""))
	assert.Equal(t, before, contents(t, path))
	begin(t, file, 1)
	assert.Error(t, file.Sent(t.Context(), key(1), time.Time{}))
}

// TestATextThatIsNotUTF8IsRefused: in the file two of them would be one, and the journal would not
// open again. Together they may be UTF-8.
func TestATextThatIsNotUTF8IsRefused(t *testing.T) {
	file := open(t, path(t))
	for name, change := range map[string]func(*connectpsp.Intent){
		"key":         func(i *connectpsp.Intent) { i.IdempotencyKey += "\xfe" },
		"reference":   func(i *connectpsp.Intent) { i.ExternalReference += "\xfe" },
		"charge":      func(i *connectpsp.Intent) { i.ChargeID = "\xfe" },
		"transaction": func(i *connectpsp.Intent) { i.TransactionID = "\xfe" },
		"key and reference": func(i *connectpsp.Intent) {
			i.IdempotencyKey += "\xc3"
			i.ExternalReference = "\xa9" + i.ExternalReference
		},
	} {
		odd := intent(1)
		change(&odd)
		_, err := file.Begin(t.Context(), odd)
		assert.ErrorContains(t, err, "not UTF-8", name)
		assert.Empty(t, pending(t, file), name)
	}
}

func TestAClosedJournalRefusesCalls(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	begin(t, file, 3)
	require.NoError(t, file.Close())
	require.NoError(t, file.Close())
	before := contents(t, path)
	_, err := file.Begin(t.Context(), intent(2))
	assert.EqualError(t, err, "journal: it is closed")
	earlier, err := file.Begin(t.Context(), intent(1))
	assert.Error(t, err)
	assert.NotNil(t, earlier, "an open payment is still found")
	assert.Error(t, file.Sent(t.Context(), key(3), noon))
	assert.Error(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, ""))
	assert.Error(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""))
	assert.Equal(t, before, contents(t, path))
}

func TestOnlyTheOwnerMayReadTheFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	path := path(t)
	file := open(t, path)
	check := func() {
		for _, name := range []string{path, path + ".lock"} {
			info, err := os.Stat(name)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode(), name)
		}
	}
	check()
	require.NoError(t, journal.Compact(file))
	check()
}

func TestALargeFileIsCompactedToTheStateThatIsNeeded(t *testing.T) {
	path := path(t)
	file := open(t, path)
	send(t, file, 1)
	begin(t, file, 2)
	send(t, file, 3)
	require.NoError(t, file.Finish(t.Context(), key(3), connectpsp.OutcomeAccepted, "0b0c5c8e"))
	open1, accepted := pending(t, file), find(t, file, 3)

	largest := int64(0)
	for n := 10; n < 1500; n++ {
		send(t, file, n)
		require.NoError(t, file.Finish(t.Context(), key(n), connectpsp.OutcomeRejected, ""))
		largest = max(largest, int64(len(contents(t, path))))
		journal.AfterCompaction(file)
	}
	assert.Less(t, largest, int64(1<<20))
	assert.Greater(t, largest, int64(400<<10), "it is not compacted all the time")
	assert.NoFileExists(t, path+".tmp")
	for range 2 {
		assert.Equal(t, open1, pending(t, file))
		assert.Equal(t, accepted, find(t, file, 3))
		file = reopen(t, file, path)
	}
	for n := 10; n < 1500; n++ {
		require.Nil(t, find(t, file, n))
	}
}

func TestTheFileStaysIfItsCompactionFails(t *testing.T) {
	path := path(t)
	file := open(t, path)
	require.NoError(t, os.MkdirAll(filepath.Join(path+".tmp", "in the way"), 0o700))
	send(t, file, 1)
	send(t, file, 2)
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""))
	require.Error(t, journal.Compact(file))
	send(t, file, 3)
	require.Error(t, file.Close(), "a request that should be gone is still there")
	require.NoError(t, os.RemoveAll(path+".tmp"))
	file = open(t, path)
	assert.Len(t, pending(t, file), 2)
}

func TestASymlinkToAJournalStaysASymlink(t *testing.T) {
	directory := t.TempDir()
	real, link := filepath.Join(directory, "real"), filepath.Join(directory, "link")
	require.NoError(t, open(t, real).Close())
	if os.Symlink(real, link) != nil {
		t.Skip("no links here")
	}
	file := open(t, link)
	_, err := journal.Open(real)
	require.ErrorIs(t, err, journal.ErrInUse)
	require.NoError(t, journal.Compact(file))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink)
}

// TestManyGoroutinesMayShareAJournal: what it knows in the end, and after it is opened again, is
// what they were told, while the file is written anew again and again.
func TestManyGoroutinesMayShareAJournal(t *testing.T) {
	path := path(t)
	file := open(t, path)
	journal.CompactFrom(file, 4096)
	const workers, each = 16, 30
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for i := range each {
				n := worker*each + i
				if _, err := file.Begin(t.Context(), intent(n)); !assert.NoError(t, err) {
					return
				}
				if i%10 == 9 {
					continue
				}
				assert.NoError(t, file.Sent(t.Context(), key(n), noon))
				switch i % 3 {
				case 0:
					assert.NoError(t, file.Finish(t.Context(), key(n), connectpsp.OutcomeAccepted, "t"))
				case 1:
					assert.NoError(t, file.Finish(t.Context(), key(n), connectpsp.OutcomeRejected, ""))
				}
				journal.CompactFrom(file, 4096)
			}
		})
	}
	all.Wait()
	for range 2 {
		open, unsent := 0, 0
		for _, one := range pending(t, file) {
			if one.SentAt.IsZero() {
				unsent++
			} else {
				open++
			}
		}
		assert.Equal(t, workers*each/10, unsent)
		assert.Equal(t, workers*each*3/10, open) // 9 of 30
		for n := range workers * each {
			found := find(t, file, n)
			switch i := n % each; {
			case i%10 == 9, i%3 == 1:
				assert.Nil(t, found)
			default:
				assert.NotNil(t, found)
			}
		}
		file = reopen(t, file, path)
	}
}

// TestAJournalBehavesLikeAMapInMemory tries random steps, compactions and reopenings against a map
// of payments, each of which is tried under several keys.
func TestAJournalBehavesLikeAMapInMemory(t *testing.T) {
	type known struct {
		key            string
		sent, accepted bool
	}
	for seed := range uint64(fewerUnderRace(30)) {
		random := rand.New(rand.NewPCG(seed, 0))
		path := path(t)
		file := open(t, path)
		model := map[string]*known{}
		for step := range 300 {
			at := fmt.Sprintf("seed %d, step %d", seed, step)
			one := intent(random.IntN(5))
			one.IdempotencyKey = key(int(one.Amount.Centavos()/100)*10 + random.IntN(3))
			payment, key := one.Payment(), one.IdempotencyKey
			m := model[payment]
			isThis := m != nil && m.key == key
			switch random.IntN(6) {
			case 0, 1:
				earlier, err := file.Begin(t.Context(), one)
				require.NoError(t, err, at)
				require.Equal(t, m != nil && (m.sent || m.accepted), earlier != nil, at)
				if earlier == nil {
					model[payment] = &known{key: key}
				} else {
					require.Equal(t, m.accepted, earlier.Outcome == connectpsp.OutcomeAccepted, at)
					require.Equal(t, m.key, earlier.IdempotencyKey, at)
				}
			case 2:
				err := file.Sent(t.Context(), key, noon)
				require.Equal(t, isThis, err == nil, "%s: %v", at, err)
				if err == nil {
					m.sent = true
				}
			case 3:
				err := file.Finish(t.Context(), key, connectpsp.OutcomeRejected, "")
				require.Equal(t, isThis && m.accepted, err != nil, "%s: %v", at, err)
				if isThis && !m.accepted {
					delete(model, payment)
				}
			case 4:
				require.NoError(t, file.Finish(t.Context(), key, connectpsp.OutcomeAccepted, ""), at)
				if isThis {
					m.accepted = true // also if it was never sent: the file does not mind
				}
			case 5:
				if random.IntN(2) == 0 {
					require.NoError(t, journal.Compact(file), at)
				} else {
					file = reopen(t, file, path)
				}
			}
			var want []string
			for _, m := range model {
				if !m.accepted {
					want = append(want, m.key)
				}
			}
			var got []string
			for _, i := range pending(t, file) {
				got = append(got, i.IdempotencyKey)
			}
			require.ElementsMatch(t, want, got, at)
		}
	}
}

func BenchmarkAPaymentThroughTheJournal(b *testing.B) {
	for _, goroutines := range []int{1, 64} {
		for _, durable := range []bool{true, false} {
			b.Run(fmt.Sprintf("goroutines=%d/fsync=%v", goroutines, durable), func(b *testing.B) {
				file := open(b, path(b))
				if !durable {
					journal.WithoutSync(file)
					journal.CompactFrom(file, 1<<60) // which would put the disk back
				}
				var mu sync.Mutex
				n := 0
				next := func() int {
					mu.Lock()
					defer mu.Unlock()
					n++
					return n
				}
				b.SetParallelism(goroutines / min(goroutines, runtime.GOMAXPROCS(0)))
				b.ReportAllocs()
				pay := func() {
					one := intent(next())
					_, _ = file.Begin(b.Context(), one)
					if err := file.Sent(b.Context(), one.IdempotencyKey, noon); err != nil {
						b.Error(err)
					}
					_ = file.Finish(b.Context(), one.IdempotencyKey, connectpsp.OutcomeAccepted, "0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11")
				}
				if goroutines == 1 {
					for b.Loop() {
						pay()
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						pay()
					}
				})
			})
		}
	}
}
