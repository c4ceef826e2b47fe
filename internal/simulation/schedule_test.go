package simulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// schedule is one simulated history: a gateway, a network, one process or a fleet, which now and
// then die and start again, and the orders of their owner. One goroutine, the scheduler, takes all
// decisions. It waits until all others are blocked, lets one of those that wait for the network or
// the journal go on, and decides how. So the same choices make the same schedule.
type schedule struct {
	choices  *choices
	counters *counters
	begun    time.Time
	tracing  bool
	trace    []string

	gateway     gateway
	tokens      *tokenStub   // nil if the client fetches its tokens from the gateway
	disk        *journalDisk // of the journal, nil if there is none
	settings    settings
	processes   []*process // one, or those of a fleet, the dead ones until they start again
	lastProcess int        // the number of the last that started
	generation  int        // how often the last process died
	orders      []*order
	checker     checker
	events      []event
	lastNumber  int // of events, calls, requests and accesses to the journal alike

	violation string // the first broken promise
	wake      chan struct{}

	mu       sync.Mutex
	waiting  []*pendingStep
	returned []*call // not handled yet
}

// settings say how hard a schedule is on its client.
type settings struct {
	faultPercent     int // of exchanges that meet a fault
	crashes          int // that may still happen
	moreClients      int // of each process, which share its journal with the first
	meanwhilePercent int // of orders that two workers pay at once
	troubles         int // of the processes of a fleet that may still happen
	retryPolicy      connectpsp.RetryPolicy

	// For schedules that are not drawn: the fault of the next exchange, and one delay for all that
	// is late.
	nextFault  func() int
	fixedDelay time.Duration
}

// event is an action at a time.
type event struct {
	due    time.Duration // since the schedule began
	number int
	action func()
}

// pendingStep is a goroutine of the client that waits for the scheduler, with an HTTP request or
// with an access to the journal.
type pendingStep struct {
	process    *process
	call       *call // nil for a request for a token
	name       string
	request    *http.Request // nil for the journal
	access     func()        // of the journal
	writes     bool          // the access may happen later than it is reported to fail
	since      time.Time
	result     chan stepResult
	carriedOut bool
	abandoned  bool // its context has ended; guarded by schedule.mu
}

type stepResult struct {
	response *http.Response
	err      error
}

var (
	errDead   = errors.New("the process has died")
	errBroken = errors.New("broken connection")
)

// maxTurns is more than any schedule takes that comes to an end.
const maxTurns = 3000

func newSchedule(c *choices, n *counters, tracing bool) *schedule {
	s := &schedule{
		choices: c, counters: n, tracing: tracing, begun: time.Now(), wake: make(chan struct{}, 1), processes: make([]*process, 1),
	}
	s.checker = newChecker(s)
	s.gateway = gateway{schedule: s, keys: map[string]keyEntry{}, references: map[string]bool{}, refunded: map[string]bool{}}
	return s
}

// note adds a line to the story. Callers ask for tracing first, because the arguments take time.
func (s *schedule) note(format string, arguments ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%12v  ", time.Since(s.begun))+fmt.Sprintf(format, arguments...))
}

// violate reports a broken promise. The first one counts.
func (s *schedule) violate(format string, arguments ...any) {
	if s.violation == "" {
		s.violation = fmt.Sprintf(format, arguments...)
		if s.tracing {
			s.note("VIOLATION: %s", s.violation)
		}
	}
}

func (s *schedule) nextNumber() int {
	s.lastNumber++
	return s.lastNumber
}

// later makes action happen after a delay.
func (s *schedule) later(delay time.Duration, action func()) {
	s.events = append(s.events, event{due: time.Since(s.begun) + delay, number: s.nextNumber(), action: action})
}

func (s *schedule) drawDelay(longest time.Duration) time.Duration {
	if s.settings.fixedDelay != 0 {
		return s.settings.fixedDelay
	}
	delays := [...]time.Duration{
		200 * time.Millisecond, 3 * time.Second, 40 * time.Second, 100 * time.Second, 6 * time.Minute, 15 * time.Minute,
	}
	return min(delays[s.choices.choose(len(delays), 75)], longest)
}

// run is the scheduler. It returns when nothing is left to do, or a promise is broken.
func (s *schedule) run() {
	for turns := 0; s.violation == ""; turns++ {
		synctest.Wait()
		if turns > maxTurns {
			s.violate("the schedule does not come to an end")
			return
		}
		if s.handleReturned() || s.fireEvent() {
			continue
		}
		if next := s.pickStep(); next != nil {
			if pause := s.choices.choose(4, 6); pause != 0 {
				time.Sleep([...]time.Duration{0, 20 * time.Millisecond, 700 * time.Millisecond, 11 * time.Second}[pause])
			} else if s.trouble(next.process) {
				continue
			} else if next.request != nil {
				s.exchange(next)
			} else {
				s.accessJournal(next)
			}
			continue
		}
		if len(s.events) == 0 && !slices.ContainsFunc(s.processes, func(p *process) bool { return len(p.calls) > 0 }) {
			return
		}
		s.sleep()
	}
}

// sleep waits until the next event is due or a goroutine wakes the scheduler.
func (s *schedule) sleep() {
	longest := time.Hour
	if len(s.events) > 0 {
		longest = s.nextEvent().due - time.Since(s.begun)
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-s.wake:
	case <-timer.C:
		if len(s.events) == 0 {
			s.violate("a call hangs")
		}
	}
}

func (s *schedule) nextEvent() event {
	return slices.MinFunc(s.events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.number, b.number))
	})
}

// fireEvent runs the first event that is due and reports whether there was one.
func (s *schedule) fireEvent() bool {
	if len(s.events) == 0 {
		return false
	}
	next := s.nextEvent()
	if next.due > time.Since(s.begun) {
		return false
	}
	s.events = slices.DeleteFunc(s.events, func(e event) bool { return e.number == next.number })
	next.action()
	return true
}

// handleReturned passes the outcomes of calls to the owner, in the order in which the calls began,
// and reports whether there were any. The process may die before its owner has seen an outcome.
func (s *schedule) handleReturned() bool {
	s.mu.Lock()
	var returned []*call
	s.returned = slices.DeleteFunc(s.returned, func(c *call) bool {
		frozen := time.Until(c.process.frozenUntil) > 0
		if !frozen {
			returned = append(returned, c)
		}
		return !frozen
	})
	s.mu.Unlock()
	slices.SortFunc(returned, func(a, b *call) int { return cmp.Compare(a.number, b.number) })
	for _, c := range returned {
		p := c.process
		if p.dead {
			continue
		}
		p.calls = slices.DeleteFunc(p.calls, func(other *call) bool { return other == c })
		s.checker.returned(c)
		if s.settings.crashes > 0 && s.choices.choose(2, 2) == 1 {
			if s.tracing {
				s.note("%v ends, and the process dies before its owner sees the outcome", c)
			}
			s.crash(p)
			continue
		}
		c.handle(c)
	}
	return len(returned) > 0
}

// pickStep chooses the next of the steps that wait, nil if there is none.
func (s *schedule) pickStep() *pendingStep {
	s.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(p *pendingStep) bool { return p.abandoned || p.carriedOut })
	waiting := slices.Clone(s.waiting)
	if s.isFleet() {
		waiting = slices.DeleteFunc(waiting, func(p *pendingStep) bool { return time.Until(p.process.frozenUntil) > 0 })
	}
	s.mu.Unlock()
	switch len(waiting) {
	case 0:
		return nil
	case 1:
		return waiting[0]
	}
	slices.SortFunc(waiting, func(a, b *pendingStep) int {
		return cmp.Or(cmp.Compare(a.callNumber(), b.callNumber()), strings.Compare(a.name, b.name))
	})
	return waiting[s.choices.choose(len(waiting), 50)]
}

// callNumber is zero for a request for a token.
func (p *pendingStep) callNumber() int {
	if p.call == nil {
		return 0
	}
	return p.call.number
}

// title names the step in a story.
func (p *pendingStep) title() string {
	switch {
	case p.request == nil:
		return fmt.Sprintf("%v: journal, %.12s", p.call, p.name)
	case p.call == nil:
		return "POST /auth/token"
	default:
		return fmt.Sprintf("%v: %s", p.call, p.request.Method)
	}
}

// park blocks a goroutine of the client until the scheduler resumes it or ctx ends.
func (s *schedule) park(ctx context.Context, p *pendingStep) stepResult {
	p.result, p.since = make(chan stepResult, 1), time.Now()
	s.mu.Lock()
	if p.process.dead {
		s.mu.Unlock()
		return stepResult{err: errDead}
	}
	s.waiting = append(s.waiting, p)
	s.mu.Unlock()
	s.notify()
	select {
	case result := <-p.result:
		return result
	case <-ctx.Done():
		if frozen := s.frozenFor(p.process); frozen > 0 { // it goes on before it sees that
			select {
			case result := <-p.result:
				return result
			case <-time.After(frozen + p.turn()):
			}
		}
		s.mu.Lock()
		p.abandoned = true
		s.mu.Unlock()
		time.Sleep(p.turn())
		return stepResult{err: ctx.Err()}
	}
}

// turn is a pause. Goroutines that the same moment ends go on one after the other. Otherwise it
// would depend on the runtime which is first.
func (p *pendingStep) turn() time.Duration {
	offset := crc32.ChecksumIEEE([]byte(p.name)) % 1000
	return time.Duration(p.callNumber())*time.Millisecond + time.Duration(1+offset)*time.Microsecond
}

// resume lets a parked goroutine go on.
func (s *schedule) resume(p *pendingStep, result stepResult) {
	p.carriedOut = true
	p.result <- result
}

// notify wakes the scheduler.
func (s *schedule) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
