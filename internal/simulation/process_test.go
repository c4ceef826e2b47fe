package simulation

import (
	"context"
	"log/slog"
	"net/http"
	"testing/synctest"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/jitter"
)

// process is the owner's program from a start to a crash.
type process struct {
	number   int
	clients  []*connectpsp.Client // which share a journal
	starting bool                 // Recover has not succeeded yet, and the orders wait for it
	ctx      context.Context
	cancel   context.CancelFunc
	dead     bool // guarded by schedule.mu
}

// start begins the first process, or the next.
func (s *schedule) start() {
	p := &process{number: 1}
	if s.process != nil {
		p.number = s.process.number + 1
	}
	p.ctx, p.cancel = context.WithCancel(jitter.With(context.Background(), s.jitter))
	s.process = p
	options := []connectpsp.Option{
		connectpsp.WithHTTPClient(&http.Client{Transport: &transport{s, p}}),
		connectpsp.WithLogger(slog.New(slog.DiscardHandler)),
		connectpsp.WithRetryPolicy(s.settings.retryPolicy),
	}
	if s.tokens != nil {
		options = append(options, connectpsp.WithTokenSource(s.tokens))
	}
	if s.disk != nil {
		options = append(options, connectpsp.WithJournal(&journalWriter{s, p}))
	}
	for range 1 + s.settings.moreClients {
		p.clients = append(p.clients, must(connectpsp.New(config(), options...)))
	}
}

// jitter follows from the time alone, so that it does not depend on which goroutine draws first. It
// is never zero.
func (s *schedule) jitter(bound time.Duration) time.Duration {
	const golden = 0x9E3779B97F4A7C15 // spreads the times over all bits
	return 1 + time.Duration(uint64(time.Since(s.begun))*golden>>1)%bound
}

// crash ends the process. Steps that it waits for are not carried out.
func (s *schedule) crash() {
	if s.settings.crashes == 0 || s.process.dead {
		return
	}
	s.settings.crashes--
	s.counters.add("crash", "the process died")
	s.kill()
	if s.tracing {
		s.note("process %d dies", s.process.number)
	}
	if s.disk != nil && s.choices.choose(2, 50) == 1 {
		s.disk.loseUnsent()
	}
	s.recovering = false
	for _, o := range s.orders {
		o.callsRunning, o.callPlanned = 0, false
	}
	pauses := [...]time.Duration{time.Second, 2 * time.Minute, 14 * time.Minute, 35 * time.Minute}
	s.later(pauses[s.choices.choose(len(pauses), 50)], s.restart)
}

func (s *schedule) kill() {
	s.mu.Lock()
	s.process.dead = true
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	s.callsRunning = 0
	s.process.cancel()
	for _, p := range waiting {
		if !p.carriedOut {
			s.resume(p, stepResult{err: errDead})
		}
	}
}

// restart starts the next process, as the documentation says: with a journal, Recover comes first.
func (s *schedule) restart() {
	s.start()
	if s.tracing {
		s.note("process %d begins", s.process.number)
	}
	for _, o := range s.orders {
		o.forgotten = o.forgotten || o.started && s.disk == nil
	}
	if s.disk != nil {
		s.process.starting = true
		s.recover()
		return
	}
	clear(s.checker.firstSent) // no client remembers
	for _, o := range s.orders {
		o.resume()
	}
}

// shutDown ends the last process and waits for its goroutines.
func (s *schedule) shutDown() {
	s.kill()
	time.Sleep(time.Minute) // longer than any of them takes to see that its context has ended
	synctest.Wait()
}
