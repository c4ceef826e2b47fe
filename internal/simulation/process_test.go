package simulation

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"testing/synctest"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/jitter"
)

// process is the owner's program from a start to a crash. A fleet runs two or three at a time.
type process struct {
	number     int
	slot       int                  // in schedule.processes
	clients    []*connectpsp.Client // which share a journal
	calls      []*call              // under way
	starting   bool                 // Recover has not succeeded yet, and the orders wait for it
	recovering bool                 // Recover is one of the calls
	ctx        context.Context
	cancel     context.CancelFunc
	dead       bool // guarded by schedule.mu

	// Of a fleet.
	frozenUntil time.Time       // guarded by schedule.mu
	cutOffUntil time.Time       // from the journal
	announced   map[string]bool // keys that are about to be sent
}

// start begins a process: the first in its slot, or the next.
func (s *schedule) start(slot int) *process {
	s.lastProcess++
	p := &process{number: s.lastProcess, slot: slot, announced: map[string]bool{}}
	p.ctx, p.cancel = context.WithCancel(jitter.With(context.Background(), s.jitter))
	s.processes[slot] = p
	options := []connectpsp.Option{
		connectpsp.WithHTTPClient(&http.Client{Transport: &transport{s, p}}),
		connectpsp.WithLogger(slog.New(slog.DiscardHandler)),
		connectpsp.WithRetryPolicy(s.settings.retryPolicy),
	}
	if s.tokens != nil {
		options = append(options, connectpsp.WithTokenSource(s.tokens))
	}
	switch {
	case s.isFleet():
		options = append(options, connectpsp.WithJournal(&sharedJournal{journalWriter: journalWriter{s, p}, begun: map[string]*attempt{}}))
	case s.disk != nil:
		options = append(options, connectpsp.WithJournal(&journalWriter{s, p}))
	}
	for range 1 + s.settings.moreClients {
		p.clients = append(p.clients, must(connectpsp.New(config(), options...)))
	}
	return p
}

func (s *schedule) isFleet() bool { return len(s.processes) > 1 }

// ready returns the processes that pay orders.
func (s *schedule) ready() []*process {
	return slices.DeleteFunc(slices.Clone(s.processes), func(p *process) bool { return p.dead || p.starting })
}

// pickProcess returns the process that makes the next call. There must be one that is ready.
func (s *schedule) pickProcess() *process {
	ready := s.ready()
	awake := slices.DeleteFunc(slices.Clone(ready), func(p *process) bool { return s.frozenFor(p) > 0 })
	switch len(awake) {
	case 0:
		return ready[0] // its call goes on when the process does
	case 1:
		return awake[0]
	default:
		return awake[s.choices.choose(len(awake), 60)]
	}
}

// leaseTime is for how long a process has a payment after each attempt.
const leaseTime = 2 * time.Minute

// troubles are what may happen to a process of a fleet before an access to the network or the
// journal.
var troubles = []string{"", "a process was frozen", "a process was cut off from the journal"}

// trouble freezes a process now and then, or cuts it off from the journal, mostly for longer than a
// lease. It reports whether it froze the process.
func (s *schedule) trouble(p *process) (frozen bool) {
	if !s.isFleet() || s.settings.troubles == 0 {
		return false
	}
	trouble := s.choices.choose(len(troubles), 12)
	if trouble == 0 {
		return false
	}
	s.settings.troubles--
	s.counters.add("fleet", troubles[trouble])
	lengths := [...]time.Duration{leaseTime + 10*time.Second, 20 * time.Second, 2*leaseTime + 30*time.Second}
	length := lengths[s.choices.choose(len(lengths), 50)]
	if s.tracing {
		s.note("process %d: %s, for %v", p.number, troubles[trouble], length)
	}
	until := time.Now().Add(length)
	s.later(length, func() {}) // wakes the scheduler
	if trouble == 2 {
		p.cutOffUntil = until
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.frozenUntil = until
	return true
}

// frozenFor returns for how much longer a process is frozen.
func (s *schedule) frozenFor(p *process) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(p.frozenUntil)
}

// jitter follows from the time alone, so that it does not depend on which goroutine draws first. It
// is never zero.
func (s *schedule) jitter(bound time.Duration) time.Duration {
	const golden = 0x9E3779B97F4A7C15 // spreads the times over all bits
	return 1 + time.Duration(uint64(time.Since(s.begun))*golden>>1)%bound
}

// crash ends a process. Steps that it waits for are not carried out.
func (s *schedule) crash(p *process) {
	if s.settings.crashes == 0 || p.dead {
		return
	}
	s.settings.crashes--
	s.counters.add("crash", "the process died")
	s.kill(p)
	if s.tracing {
		s.note("process %d dies", p.number)
	}
	if s.disk != nil && !s.isFleet() && s.choices.choose(2, 50) == 1 {
		s.disk.loseUnsent()
	}
	if len(s.ready()) == 0 {
		s.generation++
		for _, o := range s.orders {
			o.callPlanned = false
		}
	}
	pauses := [...]time.Duration{time.Second, 2 * time.Minute, 14 * time.Minute, 35 * time.Minute}
	s.later(pauses[s.choices.choose(len(pauses), 50)], func() { s.restart(p.slot) })
}

func (s *schedule) kill(p *process) {
	s.mu.Lock()
	p.dead, p.frozenUntil = true, time.Time{}
	var waiting []*pendingStep
	s.waiting = slices.DeleteFunc(s.waiting, func(step *pendingStep) bool {
		if step.process == p {
			waiting = append(waiting, step)
		}
		return step.process == p
	})
	s.mu.Unlock()
	p.calls = nil
	p.cancel()
	for _, step := range waiting {
		if !step.carriedOut {
			s.resume(step, stepResult{err: errDead})
		}
	}
}

// restart starts the next process, as the documentation says: with a journal, Recover comes first.
func (s *schedule) restart(slot int) {
	p := s.start(slot)
	if s.tracing {
		s.note("process %d begins", p.number)
	}
	for _, o := range s.orders {
		o.forgotten = o.forgotten || o.started && s.disk == nil
	}
	if s.disk != nil {
		p.starting = true
		s.recover(p)
		return
	}
	clear(s.checker.firstSent) // no client remembers
	for _, o := range s.orders {
		o.resume()
	}
}

// shutDown ends the last processes and waits for their goroutines.
func (s *schedule) shutDown() {
	for _, p := range s.processes {
		s.kill(p)
	}
	time.Sleep(time.Minute) // longer than any of them takes to see that its context has ended
	synctest.Wait()
}
