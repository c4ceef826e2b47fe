package sandbox

import (
	"container/heap"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	maxConcurrency = 8 // attempts under way at once
	maxAttempts    = 12
	firstBackoff   = time.Second
	maxBackoff     = time.Minute
)

// dispatcher delivers webhooks, up to maxConcurrency at a time and in no particular order.
type dispatcher struct {
	clock       *clock
	cryptoToken string
	client      *http.Client
	ctx         context.Context // ends with close
	cancel      context.CancelFunc
	awake       chan struct{} // has one element if the schedule or the clock has changed
	workers     sync.WaitGroup

	mu         sync.Mutex // guards the fields below
	waiting    schedule
	underWay   int
	idle       chan struct{} // closed while nothing waits or is under way
	deliveries []Delivery
}

// queuedDelivery is an event that waits for its next attempt.
type queuedDelivery struct {
	event   *event
	attempt int       // the number of the next attempt, from 1
	due     time.Time // on the sandbox's clock; zero for the first attempt, which is always due
}

func startDispatcher(c *clock, cryptoToken string) *dispatcher {
	ctx, cancel := context.WithCancel(context.Background())
	d := &dispatcher{
		clock:       c,
		cryptoToken: cryptoToken,
		client:      newWebhookClient(),
		ctx:         ctx,
		cancel:      cancel,
		awake:       make(chan struct{}, 1),
		idle:        make(chan struct{}),
	}
	close(d.idle)
	d.workers.Go(d.run)
	return d
}

func (d *dispatcher) close() {
	d.cancel()
	d.workers.Wait()
	d.client.CloseIdleConnections()
}

// wake makes the dispatcher look for events that are due.
func (d *dispatcher) wake() {
	select {
	case d.awake <- struct{}{}:
	default:
	}
}

// send delivers an event, unless its URL is not on this machine.
func (d *dispatcher) send(e *event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ctx.Err() != nil:
	case !isLoopback(e.url):
		d.deliveries = append(d.deliveries, Delivery{
			EventType:     e.eventType,
			TransactionID: e.transactionID,
			URL:           e.url,
			Error:         errNotLoopback.Error(),
			Time:          d.clock.now().UTC().Round(0),
		})
	default:
		if len(d.waiting)+d.underWay == 0 {
			d.idle = make(chan struct{})
		}
		heap.Push(&d.waiting, queuedDelivery{event: e, attempt: 1})
		d.wake()
	}
}

func (d *dispatcher) run() {
	for {
		var next <-chan time.Time
		if wait, some := d.dispatch(); some {
			next = time.After(wait)
		}
		select {
		case <-d.ctx.Done():
			return
		case <-d.awake:
		case <-next:
		}
	}
}

// dispatch starts the attempts that are due, and returns the time until the next one. It returns
// false if no attempt waits, or all workers are busy.
func (d *dispatcher) dispatch() (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.waiting) > 0 && d.underWay < maxConcurrency {
		if wait := d.waiting[0].due.Sub(d.clock.now()); wait > 0 {
			return wait, true
		}
		next := heap.Pop(&d.waiting).(queuedDelivery)
		d.underWay++
		d.workers.Go(func() { d.attempt(next) })
	}
	return 0, false
}

// attempt makes one attempt. The pause before the next one counts from the start of this one, so
// that a test can move the clock as soon as its receiver has seen the request.
func (d *dispatcher) attempt(q queuedDelivery) {
	delivery := Delivery{
		EventType:     q.event.eventType,
		TransactionID: q.event.transactionID,
		URL:           q.event.url,
		EventID:       uuid.NewString(),
		Attempt:       q.attempt,
		Time:          d.clock.now().UTC().Round(0),
	}
	var err error
	delivery.StatusCode, err = d.post(q.event, delivery.EventID)
	if err != nil {
		delivery.Error = err.Error()
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	d.deliveries = append(d.deliveries, delivery)
	d.underWay--
	if delivery.StatusCode != http.StatusOK && q.attempt < maxAttempts {
		due := delivery.Time.Add(min(firstBackoff<<(q.attempt-1), maxBackoff))
		heap.Push(&d.waiting, queuedDelivery{event: q.event, attempt: q.attempt + 1, due: due})
	}
	if len(d.waiting)+d.underWay == 0 {
		close(d.idle)
	}
	d.wake()
}

// schedule is a heap of queued deliveries by due time.
type schedule []queuedDelivery

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(p any)        { *s = append(*s, p.(queuedDelivery)) }

func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}
