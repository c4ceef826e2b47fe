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
	longestBackoff = time.Minute
)

// dispatcher delivers webhooks, several at a time and in no particular order.
type dispatcher struct {
	clock       *clock
	cryptoToken string
	client      *http.Client
	ctx         context.Context // ends with close
	cancel      context.CancelFunc
	awake       chan struct{} // holds one token if there is something to look at
	workers     sync.WaitGroup

	mu         sync.Mutex // guards all below
	waiting    schedule
	underWay   int
	quiet      chan struct{} // closed while nothing waits or is under way
	deliveries []Delivery
}

// queuedDelivery is an event that waits for its next attempt.
type queuedDelivery struct {
	event   *event
	attempt int       // the next one, from 1
	due     time.Time // on the sandbox's clock; zero for the first attempt, which is due whatever the clock says
}

func startCourier(clock *clock, cryptoToken string) *dispatcher {
	ctx, cancel := context.WithCancel(context.Background())
	c := &dispatcher{
		clock:       clock,
		cryptoToken: cryptoToken,
		client:      newWebhookClient(),
		ctx:         ctx,
		cancel:      cancel,
		awake:       make(chan struct{}, 1),
		quiet:       make(chan struct{}),
	}
	close(c.quiet)
	c.workers.Go(c.run)
	return c
}

func (c *dispatcher) close() {
	c.cancel()
	c.workers.Wait()
	c.client.CloseIdleConnections()
}

// wake has the dispatcher look at what is due.
func (c *dispatcher) wake() {
	select {
	case c.awake <- struct{}{}:
	default:
	}
}

// send delivers an event, unless its URL is not on this machine.
func (c *dispatcher) send(event *event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ctx.Err() != nil:
	case !isLoopback(event.url):
		c.deliveries = append(c.deliveries, Delivery{
			EventType:     event.eventType,
			TransactionID: event.transactionID,
			URL:           event.url,
			Error:         errNotLoopback.Error(),
			Time:          c.clock.now().UTC().Round(0),
		})
	default:
		if len(c.waiting)+c.underWay == 0 {
			c.quiet = make(chan struct{})
		}
		heap.Push(&c.waiting, queuedDelivery{event: event, attempt: 1})
		c.wake()
	}
}

func (c *dispatcher) run() {
	for {
		var next <-chan time.Time
		if wait, some := c.dispatch(); some {
			next = time.After(wait)
		}
		select {
		case <-c.ctx.Done():
			return
		case <-c.awake:
		case <-next:
		}
	}
}

// dispatch starts the attempts that are due and returns how long it is until the next one, if one
// waits for that alone.
func (c *dispatcher) dispatch() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) > 0 && c.underWay < maxConcurrency {
		if wait := c.waiting[0].due.Sub(c.clock.now()); wait > 0 {
			return wait, true
		}
		next := heap.Pop(&c.waiting).(queuedDelivery)
		c.underWay++
		c.workers.Go(func() { c.attempt(next) })
	}
	return 0, false
}

// attempt makes one attempt. The wait for the next one is counted from its start, so that a test
// whose receiver has seen a request can move the clock at once.
func (c *dispatcher) attempt(p queuedDelivery) {
	delivery := Delivery{
		EventType:     p.event.eventType,
		TransactionID: p.event.transactionID,
		URL:           p.event.url,
		EventID:       uuid.NewString(),
		Attempt:       p.attempt,
		Time:          c.clock.now().UTC().Round(0),
	}
	var err error
	delivery.StatusCode, err = c.post(p.event, delivery.EventID)
	if err != nil {
		delivery.Error = err.Error()
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliveries = append(c.deliveries, delivery)
	c.underWay--
	if delivery.StatusCode != http.StatusOK && p.attempt < maxAttempts {
		due := delivery.Time.Add(min(firstBackoff<<(p.attempt-1), longestBackoff))
		heap.Push(&c.waiting, queuedDelivery{event: p.event, attempt: p.attempt + 1, due: due})
	}
	if len(c.waiting)+c.underWay == 0 {
		close(c.quiet)
	}
	c.wake()
}

// schedule is a heap of parcels, the one that is due first at its top.
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
