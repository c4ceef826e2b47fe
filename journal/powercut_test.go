package journal_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

var histories = flag.Int("journal.histories", fewerUnderRace(40),
	"number of histories that TestNoPowerCutLosesAPayment tries")

// fewerUnderRace is a fifth of a number under the race detector: what is drawn is tried in full
// without it, and a fifth shows the races.
func fewerUnderRace(n int) int {
	if raceEnabled {
		return n / 5
	}
	return n
}

// TestNoPowerCutLosesAPayment runs random payments, compactions, kills and restarts on a volume
// whose power may go at any moment. Whatever of the unsynced sectors is on the disk then, the
// journal opens, and keeps its promises. A history is repeated by its seed:
//
//	go test ./journal -run 'TestNoPowerCutLosesAPayment/seed=17$'
func TestNoPowerCutLosesAPayment(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the model does not know how Windows replaces a file that is open")
	}
	directory, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	cuts := 0
	for seed := range *histories {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // with real time, the length of a record is random
				h := &history{
					random:  rand.New(rand.NewPCG(uint64(seed), 0)),
					scratch: filepath.Join(directory, "scratch"),
				}
				path := filepath.Join(directory, fmt.Sprint(seed), "payments.journal")
				require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
				h.volume = &volume{random: h.random, path: path, inPlace: &synced{}, powerMayGo: h.powerMayGo}
				defer journal.ReplaceFsync(h.volume.fsync)()
				assert.NoError(t, h.run())
				cuts += h.cuts
			})
		})
	}
	t.Logf("%d power cuts in %d histories", cuts, *histories)
}

// history is what a program did, and what the journal promised it.
type history struct {
	random   *rand.Rand
	volume   *volume
	file     *journal.File
	scratch  string // where what a power cut left is opened
	payments []*payment
	begun    int
	cuts     int
	broken   error // the first promise that was broken
}

// payment is what the journal's methods returned for one.
type payment struct {
	connectpsp.Intent
	begun, maySent, sent bool               // Begin returned nil, Sent was called, Sent returned nil
	outcome, mayOutcome  connectpsp.Outcome // Finish returned nil, Finish was called
}

// run lives a few lives of the program, and returns how the journal broke a promise.
func (h *history) run() error {
	for range 4 {
		file, err := journal.Open(h.volume.path)
		if err != nil {
			return errors.Join(h.broken, err)
		}
		h.file, h.volume.file = file, file
		h.volume.watch()
		h.check(file, "before a restart")
		h.learn()
		h.volume.refused, h.volume.inFsync = false, h.begin
		h.volume.full = h.random.IntN(3) == 0
		for range 5 + h.random.IntN(40) {
			h.step(true)
		}
		h.volume.full, h.volume.inFsync = false, nil
		left, err := h.volume.afterPowerCut()
		h.keep(err)
		switch h.random.IntN(4) {
		case 0:
			h.keep(file.Close())
		case 1:
			journal.Kill(file)
		default:
			journal.Kill(file)
			h.keep(os.WriteFile(h.volume.path, left, 0o600))
			h.volume.inPlace.durable = left
		}
		h.volume.file = nil
		if h.broken != nil {
			return h.broken
		}
	}
	return nil
}

// step does one thing that a program does. While a compaction writes, a program does not compact.
func (h *history) step(mayCompact bool) {
	if h.broken != nil {
		return
	}
	switch k := h.random.IntN(100); {
	case k < 35:
		h.begin()
	case k < 65:
		if p := h.pick(); p != nil && (!p.sent || h.random.IntN(10) == 0) {
			p.maySent = true
			if h.file.Sent(context.Background(), p.IdempotencyKey, noon) == nil {
				p.sent = true
			}
		}
	case k < 90:
		if p := h.pick(); p != nil && (p.sent || h.random.IntN(4) == 0) {
			h.finish(p)
		}
	case k < 96 && mayCompact:
		h.volume.inCompaction = func() {
			for range h.random.IntN(6) {
				h.step(false)
			}
		}
		h.keep(journal.Compact(h.file))
	default:
		h.powerGoes("between two calls")
		h.damage()
	}
}

func (h *history) begin() {
	order := h.begun
	if h.random.IntN(4) == 0 {
		order = h.random.IntN(h.begun + 1) // again, under another key
	}
	h.begun++
	p := &payment{Intent: intent(order)}
	p.IdempotencyKey = key(h.begun)
	p.Body = make([]byte, 20+h.random.IntN(40)*h.random.IntN(80))
	for i := range p.Body {
		p.Body[i] = byte(h.random.Uint32())
	}
	if h.random.IntN(12) == 0 { // as one that is resolved
		p.SentAt, p.maySent = noon, true
	}
	h.payments = append(h.payments, p)
	earlier, err := h.file.Begin(context.Background(), p.Intent)
	p.begun = err == nil && earlier == nil
	h.payments = slices.DeleteFunc(h.payments, func(other *payment) bool {
		replaced := p.begun && other != p && other.Payment() == p.Payment() && !other.sent
		return replaced || other == p && earlier != nil
	})
}

// pick returns a payment that is under way, or nil.
func (h *history) pick() *payment {
	var some []*payment
	for _, p := range h.payments {
		if p.begun && p.outcome == "" {
			some = append(some, p)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[h.random.IntN(len(some))]
}

func (h *history) finish(p *payment) {
	p.mayOutcome = connectpsp.OutcomeRejected
	if p.sent && h.random.IntN(2) == 0 {
		p.mayOutcome = connectpsp.OutcomeAccepted
	}
	if h.file.Finish(context.Background(), p.IdempotencyKey, p.mayOutcome, "0b0c5c8e") == nil {
		p.outcome = p.mayOutcome
	}
}

func (h *history) keep(err error) {
	if h.broken == nil {
		h.broken = err
	}
}

func (h *history) powerMayGo(when string) {
	if h.random.IntN(10) == 0 {
		h.powerGoes(when)
	}
}

// powerGoes opens what a power cut may leave, and checks it. The history itself goes on.
func (h *history) powerGoes(when string) {
	h.cuts++
	left, err := h.volume.afterPowerCut()
	if err == nil {
		err = h.reopen(left, func(file *journal.File) { h.check(file, when) })
	}
	if err != nil {
		h.keep(fmt.Errorf("power went %s: %w", when, err))
	}
}

// reopen opens a copy of the journal, and lets it go again.
func (h *history) reopen(data []byte, use func(*journal.File)) error {
	if err := os.WriteFile(h.scratch, data, 0o600); err != nil {
		return err
	}
	file, err := journal.Open(h.scratch)
	if err != nil {
		return err
	}
	defer journal.Kill(file)
	use(file)
	return nil
}

// damage changes a bit of a record that is durable. The journal must not open then.
func (h *history) damage() {
	durable := 0 // up to the end of the last record that is not itself a mark
	at := 0
	for line := range bytes.Lines(h.volume.inPlace.durable) {
		if at += len(line); !bytes.Contains(line, []byte(` {"durable":`)) {
			durable = at
		}
	}
	written, err := h.volume.inPlace.read()
	if err != nil || h.volume.refused {
		h.keep(err)
		return
	}
	at = h.random.IntN(durable)
	written[at] ^= 1 << h.random.IntN(8)
	err = h.reopen(written, func(*journal.File) {})
	if !errors.As(err, new(*journal.CorruptError)) {
		h.keep(fmt.Errorf("damage at byte %d of %d that are durable is not noticed: %v", at, durable, err))
	}
}

// check compares what a journal that was opened knows with what was promised.
func (h *history) check(file *journal.File, when string) {
	pending, err := file.Pending(context.Background())
	h.keep(err)
	for _, p := range h.payments {
		open, known := knows(file, pending, p)
		var is string
		switch {
		case open != nil && (!bytes.Equal(open.Body, p.Body) || open.Payment() != p.Payment()):
			is = "another"
		case open != nil && !open.SentAt.IsZero() && !p.maySent:
			is = "said to be sent"
		case p.outcome == connectpsp.OutcomeRejected && known:
			is = "open again"
		case p.outcome == connectpsp.OutcomeAccepted && !known:
			is = "gone"
		case p.sent && p.mayOutcome != connectpsp.OutcomeRejected && !known:
			is = "gone"
		case p.sent && p.mayOutcome == "" && (open == nil || open.SentAt.IsZero()):
			is = "not said to be sent"
		}
		if is != "" {
			h.keep(fmt.Errorf("power went %s: payment %s is %s: %+v", when, p.IdempotencyKey, is, *p))
		}
	}
}

// knows returns the intent if it is pending, and whether it is pending or was accepted.
func knows(
	file *journal.File, pending []connectpsp.Intent, p *payment,
) (open *connectpsp.Intent, known bool) {
	for i := range pending {
		if pending[i].IdempotencyKey == p.IdempotencyKey {
			return &pending[i], true
		}
	}
	found, err := file.Find(context.Background(), p.Intent)
	return nil, err == nil && found != nil && found.IdempotencyKey == p.IdempotencyKey
}

// learn takes over what the journal knows after a restart, which is durable then.
func (h *history) learn() {
	pending, err := h.file.Pending(context.Background())
	h.keep(err)
	h.payments = slices.DeleteFunc(h.payments, func(p *payment) bool {
		open, known := knows(h.file, pending, p)
		if open != nil {
			*p = payment{Intent: p.Intent, begun: true, sent: !open.SentAt.IsZero()}
			p.maySent = p.sent
		} else {
			p.sent, p.outcome = true, connectpsp.OutcomeAccepted
		}
		return !known
	})
}
