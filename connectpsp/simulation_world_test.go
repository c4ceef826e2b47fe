package connectpsp_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/jitter"
)

// world is one schedule: a gateway, a network, a process that now and then dies, and its orders.
// One goroutine, the driver, decides all. It waits until everybody else is blocked, lets one of
// those who wait for the network or the journal go on, and decides how. So the same choices make
// the same schedule.
type world struct {
	choices *choices
	figures *figures
	begun   time.Time
	tracing bool
	trace   []string

	gateway  gatewayModel
	booth    *booth // gives out tokens; nil if the client fetches them
	book     *book  // the journal; nil if there is none
	rules    rules
	process  *process
	orders   []*purchase
	judge    judge
	events   []event
	numbers  int // of events, runs and requests: counts them all
	inFlight int // runs of the process that lives
	// recovering says that Recover is one of them.
	recovering bool

	violation string
	wake      chan struct{}

	mu     sync.Mutex
	parked []*step // who waits for the driver
	ended  []*run  // calls whose outcome the driver has not looked at
}

// rules say how hard a schedule is on its client.
type rules struct {
	faults  int // in a hundred exchanges
	policy  connectpsp.RetryPolicy
	delay   time.Duration // of everything late, if it is not to be drawn
	fate    func() int    // chooses the fates in place of a draw
	crashes int           // that are still allowed

	moreClients int // that share the journal
}

// event is something that happens at a time.
type event struct {
	due    time.Duration
	number int
	happen func()
}

// process is one life of the program.
type process struct {
	number   int
	clients  []*connectpsp.Client // which share a journal
	starting bool                 // Recover is to end before the orders go on
	ctx      context.Context
	cancel   context.CancelFunc
	dead     bool // guarded by world.mu
}

// step is a goroutine that waits for the driver: with a request that is to be sent, or with
// something to write down.
type step struct {
	process *process
	run     *run // nil for a request for a token
	name    string
	request *http.Request // nil for the journal
	read    func()        // what the journal looks up
	write   func()        // what it then writes
	reply   chan wireReply
	gone    bool // it no longer waits; guarded by world.mu
	carried bool
}

type wireReply struct {
	response *http.Response
	err      error
}

var (
	errDead   = errors.New("the process has ended")
	errBroken = errors.New("broken connection")
)

// mostSteps is more than any schedule takes that comes to an end.
const mostSteps = 3000

func newWorld(c *choices, f *figures, tracing bool) *world {
	w := &world{choices: c, figures: f, tracing: tracing, begun: time.Now(), wake: make(chan struct{}, 1)}
	w.judge = newJudge(w)
	w.gateway = gatewayModel{world: w, keys: map[string]keyEntry{}, references: map[string]bool{}, refunded: map[string]bool{}}
	return w
}

// note writes a line of the trace. Ask for tracing first: arguments cost time too.
func (w *world) note(format string, arguments ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%12v  ", time.Since(w.begun))+fmt.Sprintf(format, arguments...))
}

// violate says that a promise was broken. The first counts.
func (w *world) violate(format string, arguments ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, arguments...)
		if w.tracing {
			w.note("VIOLATION: %s", w.violation)
		}
	}
}

func (w *world) number() int {
	w.numbers++
	return w.numbers
}

// later makes something happen after a while.
func (w *world) later(after time.Duration, happen func()) {
	w.events = append(w.events, event{due: time.Since(w.begun) + after, number: w.number(), happen: happen})
}

// drawDelay draws how late something is, up to the longest that there is.
func (w *world) drawDelay(longest time.Duration) time.Duration {
	if w.rules.delay != 0 {
		return w.rules.delay
	}
	delays := [...]time.Duration{200 * time.Millisecond, 3 * time.Second, 40 * time.Second, 100 * time.Second, 6 * time.Minute, 15 * time.Minute}
	return min(delays[w.choices.choose(len(delays), 75)], longest)
}

// drive lets the schedule happen until nothing is left to do.
func (w *world) drive() {
	for steps := 0; w.violation == ""; steps++ {
		synctest.Wait()
		if steps > mostSteps {
			w.violate("it does not come to an end")
			return
		}
		if w.hear() || w.happen() {
			continue
		}
		if s := w.next(); s != nil {
			if pause := w.choices.choose(4, 6); pause != 0 {
				time.Sleep([...]time.Duration{0, 20 * time.Millisecond, 700 * time.Millisecond, 11 * time.Second}[pause])
			} else if s.request != nil {
				w.carry(s)
			} else {
				w.record(s)
			}
			continue
		}
		if len(w.events) == 0 && w.inFlight == 0 {
			return
		}
		w.rest()
	}
}

// rest waits until the next event is due or somebody calls.
func (w *world) rest() {
	patience := time.Hour
	if len(w.events) > 0 {
		patience = w.earliest().due - time.Since(w.begun)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.wake:
	case <-timer.C:
		if len(w.events) == 0 {
			w.violate("a call hangs")
		}
	}
}

func (w *world) earliest() event {
	return slices.MinFunc(w.events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.number, b.number))
	})
}

// happen makes the first event happen that is due.
func (w *world) happen() bool {
	if len(w.events) == 0 {
		return false
	}
	first := w.earliest()
	if first.due > time.Since(w.begun) {
		return false
	}
	w.events = slices.DeleteFunc(w.events, func(e event) bool { return e.number == first.number })
	first.happen()
	return true
}

// hear looks at the calls that have ended, in the order in which they began.
func (w *world) hear() bool {
	w.mu.Lock()
	ended := w.ended
	w.ended = nil
	w.mu.Unlock()
	slices.SortFunc(ended, func(a, b *run) int { return cmp.Compare(a.number, b.number) })
	for _, r := range ended {
		if r.process.dead {
			continue
		}
		w.inFlight--
		w.judge.panics(r)
		if w.rules.crashes > 0 && w.choices.choose(2, 2) == 1 {
			if w.tracing {
				w.note("%v has ended, and nobody heard how", r)
			}
			w.crash()
			continue
		}
		r.ended(r)
	}
	return len(ended) > 0
}

// next chooses who of those that wait is next.
func (w *world) next() *step {
	w.mu.Lock()
	w.parked = slices.DeleteFunc(w.parked, func(s *step) bool { return s.gone || s.carried })
	waiting := slices.Clone(w.parked)
	w.mu.Unlock()
	if len(waiting) <= 1 {
		if len(waiting) == 0 {
			return nil
		}
		return waiting[0]
	}
	slices.SortFunc(waiting, func(a, b *step) int {
		return cmp.Or(cmp.Compare(a.place(), b.place()), strings.Compare(a.name, b.name))
	})
	return waiting[w.choices.choose(len(waiting), 50)]
}

func (s *step) place() int {
	if s.run == nil {
		return 0
	}
	return s.run.number
}

// park waits for the driver or the end of ctx, whichever is first.
func (w *world) park(ctx context.Context, s *step) wireReply {
	s.reply = make(chan wireReply, 1)
	w.mu.Lock()
	if s.process.dead {
		w.mu.Unlock()
		return wireReply{err: errDead}
	}
	w.parked = append(w.parked, s)
	w.mu.Unlock()
	w.ring()
	select {
	case r := <-s.reply:
		return r
	case <-ctx.Done():
		w.mu.Lock()
		s.gone = true
		w.mu.Unlock()
		// Not all at once, so that it does not matter who is quicker.
		time.Sleep(time.Duration(s.place())*time.Millisecond + time.Duration(crc32.ChecksumIEEE([]byte(s.name))%1000)*time.Microsecond)
		return wireReply{err: ctx.Err()}
	}
}

// ring tells the driver that there is something to do.
func (w *world) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// answer lets a step go on.
func (w *world) answer(s *step, r wireReply) {
	s.carried = true
	s.reply <- r
}

// crash ends the process. What it was about to do does not happen.
func (w *world) crash() {
	if w.rules.crashes == 0 || w.process.dead {
		return
	}
	w.rules.crashes--
	w.figures.add("crash", "the process died")
	w.kill()
	if w.tracing {
		w.note("process %d dies", w.process.number)
	}
	if w.book != nil {
		w.book.lose(w.choices.choose(2, 50) == 1)
	}
	w.recovering = false
	for _, o := range w.orders {
		o.working, o.planned = 0, false
	}
	pauses := [...]time.Duration{time.Second, 2 * time.Minute, 14 * time.Minute, 35 * time.Minute}
	w.later(pauses[w.choices.choose(len(pauses), 50)], w.restart)
}

// kill makes the process do nothing any more.
func (w *world) kill() {
	w.mu.Lock()
	w.process.dead = true
	waiting := w.parked
	w.parked = nil
	w.mu.Unlock()
	w.inFlight = 0
	w.process.cancel()
	for _, s := range waiting {
		if !s.carried {
			w.answer(s, wireReply{err: errDead})
		}
	}
}

// start begins a life of the program.
func (w *world) start() {
	p := &process{number: 1}
	if w.process != nil {
		p.number = w.process.number + 1
	}
	p.ctx, p.cancel = context.WithCancel(jitter.With(context.Background(), w.jitter))
	w.process = p
	options := []connectpsp.Option{
		connectpsp.WithHTTPClient(&http.Client{Transport: &wire{w, p}}),
		connectpsp.WithRetryPolicy(w.rules.policy),
	}
	if w.booth != nil {
		options = append(options, connectpsp.WithTokenSource(w.booth))
	}
	if w.book != nil {
		options = append(options, connectpsp.WithJournal(&pen{w, p}))
	}
	for range 1 + w.rules.moreClients {
		p.clients = append(p.clients, must(connectpsp.New(config("https://gateway.example"), options...)))
	}
}

// jitter follows from the time alone, so that it does not depend on which goroutine draws first. It
// is never zero.
func (w *world) jitter(bound time.Duration) time.Duration {
	return 1 + time.Duration(uint64(time.Since(w.begun))*0x9E3779B97F4A7C15>>1)%bound
}

func (w *world) restart() {
	w.start()
	if w.tracing {
		w.note("process %d begins", w.process.number)
	}
	for _, o := range w.orders {
		o.untrusted = o.untrusted || o.started && w.book == nil
	}
	if w.book != nil {
		w.process.starting = true
		w.recover()
		return
	}
	clear(w.judge.first) // nobody remembers
	for _, o := range w.orders {
		o.resume()
	}
}

// end leaves nothing behind.
func (w *world) end() {
	w.kill()
	time.Sleep(time.Minute) // longer than anybody takes to notice
	synctest.Wait()
}

// wire is the transport of a process.
type wire struct {
	world   *world
	process *process
}

func (t *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	s := &step{process: t.process, request: r, name: r.URL.Path + r.Header.Get("X-Idempotency-Key")}
	s.run, _ = r.Context().Value(runKey{}).(*run)
	answer := t.world.park(r.Context(), s)
	return answer.response, answer.err
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// bodyOf makes the body of an answer, of which the last part may be missing.
func bodyOf(text string, half bool) io.ReadCloser {
	if !half {
		return io.NopCloser(strings.NewReader(text))
	}
	return io.NopCloser(io.MultiReader(strings.NewReader(text[:len(text)/2]), brokenReader{}))
}
