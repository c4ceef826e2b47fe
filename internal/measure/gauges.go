package measure

import (
	"context"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// gaugeLimit is how long a read may take, and how long [Gauges.Read] waits. A scraper gives up
// after about ten seconds, and then loses the counters too.
const gaugeLimit = 3 * time.Second

// Gauges reads the gauges of journals and inboxes. The zero Gauges watches none. Goroutines may
// share it.
type Gauges struct {
	mu       sync.Mutex
	payments []*gaugeSource[connectpsp.OpenPayments]
	inboxes  []*gaugeSource[webhook.InboxState]
}

// WatchPayments adds a method OpenPayments. The gauges are the sums over all that are watched.
func (g *Gauges) WatchPayments(read func(context.Context) (connectpsp.OpenPayments, error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.payments = append(g.payments, &gaugeSource[connectpsp.OpenPayments]{read: read})
}

// WatchInbox adds a method State. The gauges are the sums over all that are watched.
func (g *Gauges) WatchInbox(read func(context.Context) (webhook.InboxState, error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inboxes = append(g.inboxes, &gaugeSource[webhook.InboxState]{read: read})
}

// Read reads the gauges, and calls each with their values. It waits for 3 seconds at most, also for
// a source that ignores its context. If a journal cannot be read, the gauges of payments are left
// out, since the sum over the others would look like less; so are those of inboxes. Each read that
// fails or takes longer than 3 seconds adds to the counter of errors.
//
// The reads have the values of ctx. Its end changes nothing: a scraper that hangs up is no failure
// of a database, and a database that hangs is one for a scraper without patience too.
func (g *Gauges) Read(ctx context.Context, each func(Addition)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gaugeLimit)
	defer cancel()
	g.mu.Lock()
	paymentReads, inboxReads := startAll(ctx, g.payments), startAll(ctx, g.inboxes)
	g.mu.Unlock()
	add := counting(each)
	if open, failed := waitAll(ctx, paymentReads); failed > 0 {
		add.value(gaugeErrors, float64(failed), "payments")
	} else if len(open) > 0 {
		add.payments(open)
	}
	if states, failed := waitAll(ctx, inboxReads); failed > 0 {
		add.value(gaugeErrors, float64(failed), "inbox")
	} else if len(states) > 0 {
		add.inboxes(states)
	}
}

func (add counting) payments(all []connectpsp.OpenPayments) {
	var begun, sent, late int
	var oldest time.Time
	for _, open := range all {
		begun, sent, late, oldest = begun+open.Begun, sent+open.Sent, late+open.Overdue, earlier(oldest, open.OldestSentAt)
	}
	add.value(openPayments, float64(begun), "begun")
	add.value(openPayments, float64(sent), "sent")
	add.value(oldestAge, ageOf(oldest))
	add.value(overdue, float64(late))
}

func (add counting) inboxes(all []webhook.InboxState) {
	var due, held int
	var oldest time.Time
	for _, inbox := range all {
		due, held, oldest = due+inbox.Due, held+inbox.Held, earlier(oldest, inbox.OldestDue)
	}
	add.value(inboxDue, float64(due))
	add.value(inboxHeld, float64(held))
	add.value(inboxLag, ageOf(oldest))
}

// earlier returns the earlier of two times. A zero one counts for nothing.
func earlier(one, other time.Time) time.Time {
	if one.IsZero() || !other.IsZero() && other.Before(one) {
		return other
	}
	return one
}

// ageOf returns the seconds since a time, 0 for a zero time and for one that lies ahead because the
// clocks of two machines differ.
func ageOf(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return max(0, time.Since(at).Seconds())
}

// gaugeSource is a source of gauges. It has one read at a time: if the source hangs, scrapes wait
// for the same read, and do not pile up goroutines and connections.
type gaugeSource[T any] struct {
	read func(context.Context) (T, error)

	mu      sync.Mutex
	current *gaugeRead[T]
}

// gaugeRead is a read that has begun. Once done is closed, ok says whether it has a value.
type gaugeRead[T any] struct {
	done  chan struct{}
	value T
	ok    bool
}

func startAll[T any](ctx context.Context, sources []*gaugeSource[T]) []*gaugeRead[T] {
	var reads []*gaugeRead[T]
	for _, source := range sources {
		reads = append(reads, source.start(ctx))
	}
	return reads
}

// waitAll waits for reads, and returns their values and how many failed or took too long.
func waitAll[T any](ctx context.Context, reads []*gaugeRead[T]) (values []T, failed int) {
	for _, read := range reads {
		if read.wait(ctx) && read.ok {
			values = append(values, read.value)
		} else {
			failed++
		}
	}
	return values, failed
}

// wait reports whether the read is done before ctx ends. After that it reports whether it is done
// by now: another source may have used up the time.
func (r *gaugeRead[T]) wait(ctx context.Context) bool {
	select {
	case <-r.done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// start begins a read, or returns the one that goes on. Other scrapes may wait for the read too,
// so it has the values of ctx alone, and a limit of its own.
func (s *gaugeSource[T]) start(ctx context.Context) *gaugeRead[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		s.current = &gaugeRead[T]{done: make(chan struct{})}
		go s.run(context.WithoutCancel(ctx), s.current)
	}
	return s.current
}

// run reads. A value that comes too late is dropped: by then it is old, and would look like a good
// one to a scrape that began later.
func (s *gaugeSource[T]) run(ctx context.Context, read *gaugeRead[T]) {
	ctx, cancel := context.WithTimeout(ctx, gaugeLimit)
	defer cancel()
	defer func() {
		_ = recover() // a source that panics, such as a database driver, must not end the process
		s.mu.Lock()
		s.current = nil
		s.mu.Unlock()
		close(read.done)
	}()
	value, err := s.read(ctx)
	read.value, read.ok = value, err == nil && ctx.Err() == nil
}
