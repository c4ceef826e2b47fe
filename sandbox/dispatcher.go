package sandbox

import (
	"cmp"
	"container/heap"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	maxConcurrency = 8 // attempts under way at once
	maxAttempts    = 12
	firstBackoff   = time.Second
	maxBackoff     = time.Minute
)

// dispatcher delivers webhooks, up to maxConcurrency at a time and in no particular order, or one
// after the other.
type dispatcher struct {
	clock       *clock
	chance      chance
	client      *http.Client
	private     bool // webhooks go to private networks too
	concurrency int
	ctx         context.Context // ends with close
	cancel      context.CancelFunc
	awake       chan struct{} // has one element if the schedule or the clock has changed
	workers     sync.WaitGroup

	mu                guard // guards the fields below
	secret, oldSecret string
	queued            uint64 // how many events have been queued
	waiting           schedule
	underWay          map[uint64]queuedDelivery // by number: those whose attempt has not ended
	restored          int                       // how often the deliveries were replaced, see restoreLocked
	idle              chan struct{}             // closed while nothing waits or is under way
	ended             chan struct{}             // closed, and replaced, when an attempt ends
	deliveries        []Delivery
	sent              map[string]content // by X-Event-Id
}

// queuedDelivery is an event that waits for its next attempt.
type queuedDelivery struct {
	Event   *event    `json:"event"`
	Number  uint64    `json:"number"`  // of the series of attempts
	Attempt int       `json:"attempt"` // the number of the next attempt, from 1
	Due     time.Time `json:"due"`     // on the sandbox's clock; zero for the first attempt, which is always due
}

func startDispatcher(c *clock, random chance, reachable network, oneByOne bool) *dispatcher {
	ctx, cancel := context.WithCancel(context.Background())
	d := &dispatcher{
		clock:       c,
		chance:      random,
		client:      newWebhookClient(reachable),
		private:     reachable.private,
		concurrency: maxConcurrency,
		ctx:         ctx,
		cancel:      cancel,
		awake:       make(chan struct{}, 1),
		underWay:    make(map[uint64]queuedDelivery),
		idle:        make(chan struct{}),
		ended:       make(chan struct{}),
		sent:        make(map[string]content),
	}
	if oneByOne {
		d.concurrency = 1
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

// setSecrets sets the present and the previous CryptoToken.
func (d *dispatcher) setSecrets(present, previous string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.secret, d.oldSecret = present, previous
}

// secretOf returns the secret that an event is signed with.
func (d *dispatcher) secretOf(e *event) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if e.Previous {
		return d.oldSecret
	}
	return d.secret
}

// send delivers events, but for those whose URL is not on this machine.
func (d *dispatcher) send(events ...*event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		d.sendLocked(e)
	}
}

func (d *dispatcher) sendLocked(e *event) {
	switch {
	case d.ctx.Err() != nil:
	case !d.private && !isLoopback(e.URL): // a name of a private network has to be looked up first
		d.deliveries = append(d.deliveries, Delivery{
			EventType:     e.EventType,
			TransactionID: e.TransactionID,
			URL:           e.URL,
			Error:         errNotLoopback.Error(),
			Time:          d.clock.now().UTC().Round(0),
		})
	default:
		if len(d.waiting)+len(d.underWay) == 0 {
			d.idle = make(chan struct{})
		}
		d.queued++
		heap.Push(&d.waiting, queuedDelivery{Event: e, Number: d.queued, Attempt: 1})
		d.wake()
	}
}

func (d *dispatcher) run() {
	for {
		var next <-chan time.Time
		if wait, some := d.dispatch(); some && d.clock.runs() {
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
	for len(d.waiting) > 0 && len(d.underWay) < d.concurrency {
		if wait := d.waiting[0].Due.Sub(d.clock.now()); wait > 0 {
			return wait, true
		}
		next := heap.Pop(&d.waiting).(queuedDelivery)
		d.underWay[next.Number] = next
		restored := d.restored
		d.workers.Go(func() { d.attempt(next, restored) })
	}
	return 0, false
}

// attempt makes one attempt. The pause before the next one counts from the start of this one, so
// that a test can move the clock as soon as its receiver has seen the request.
func (d *dispatcher) attempt(q queuedDelivery, restored int) {
	delivery := Delivery{
		EventType:     q.Event.EventType,
		TransactionID: q.Event.TransactionID,
		URL:           q.Event.URL,
		EventID:       d.chance.uuid("X-Event-Id "+strconv.Itoa(q.Attempt), q.Number),
		Attempt:       q.Attempt,
		Time:          d.clock.now().UTC().Round(0),
	}
	header := d.headerOf(q.Event, delivery.EventID)
	var err error
	delivery.StatusCode, err = d.post(q.Event, header)
	if err != nil {
		delivery.Error = err.Error()
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	if restored != d.restored {
		return // the attempt belongs to a state that is gone
	}
	d.deliveries = append(d.deliveries, delivery)
	d.sent[delivery.EventID] = content{header, q.Event.Body}
	delete(d.underWay, q.Number)
	if delivery.StatusCode != http.StatusOK && q.Attempt < maxAttempts {
		due := delivery.Time.Add(min(firstBackoff<<(q.Attempt-1), maxBackoff))
		if due.After(latestTime) { // the clock would never get there
			due = latestTime
		}
		heap.Push(&d.waiting, queuedDelivery{Event: q.Event, Number: q.Number, Attempt: q.Attempt + 1, Due: due})
	}
	close(d.ended)
	d.ended = make(chan struct{})
	if len(d.waiting)+len(d.underWay) == 0 {
		close(d.idle)
	}
	d.wake()
}

// pendingLocked returns the events that wait or are under way, in the order of their next attempt.
func (d *dispatcher) pendingLocked() []queuedDelivery {
	pending := slices.AppendSeq(slices.Clone([]queuedDelivery(d.waiting)), maps.Values(d.underWay))
	slices.SortFunc(pending, compareDue)
	return pending
}

// restoreLocked replaces all deliveries. What is under way ends without an effect.
func (d *dispatcher) restoreLocked(queued uint64, pending []queuedDelivery, deliveries []Delivery) {
	wasIdle := len(d.waiting)+len(d.underWay) == 0
	d.restored++
	d.queued, d.waiting, d.deliveries = queued, pending, deliveries
	heap.Init(&d.waiting)
	clear(d.underWay)
	switch {
	case wasIdle && len(pending) > 0:
		d.idle = make(chan struct{})
	case !wasIdle && len(pending) == 0:
		close(d.idle)
	}
	close(d.ended)
	d.ended = make(chan struct{})
	d.wake()
}

// settle waits until no attempt is due or under way, and returns the time of the next one. It
// returns false if none waits, or the dispatcher is closed.
func (d *dispatcher) settle() (next time.Time, some bool) {
	for {
		d.mu.RLock()
		some = len(d.waiting) > 0
		if some {
			next = d.waiting[0].Due
		}
		settled, ended := len(d.underWay) == 0 && (!some || next.After(d.clock.now())), d.ended
		d.mu.RUnlock()
		if settled {
			return next, some
		}
		select {
		case <-ended:
		case <-d.ctx.Done():
			return time.Time{}, false
		}
	}
}

// schedule is a heap of queued deliveries by due time, and by number if that is the same.
type schedule []queuedDelivery

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return compareDue(s[i], s[j]) < 0 }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(p any)        { *s = append(*s, p.(queuedDelivery)) }

func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

func compareDue(one, other queuedDelivery) int {
	return cmp.Or(one.Due.Compare(other.Due), cmp.Compare(one.Number, other.Number))
}
