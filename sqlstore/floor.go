package sqlstore

import (
	"cmp"
	"math"
	"sync"
	"time"
)

// place is where an item is in the queue: when it is due, by the database's clock, and its id.
type place struct{ dueAt, id int64 }

var queueStart = place{dueAt: math.MinInt64}

func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(p.dueAt, other.dueAt), cmp.Compare(p.id, other.id))
}

// floor is the place after which the next claim looks for items. Each item that is done leaves a
// dead entry in the index, and while another transaction of the database stays open, a backup's
// say, nothing may remove it: a claim that began at the start of the queue would step over all of
// them. So a claim begins where the last one ended.
//
// An item may come to lie before that place: its lease has ended, or its Put has committed late or
// in another order. So a claim that finds nothing looks at the whole queue as long as that is
// quick, and now and then one does so anyway, no more often than costs a twentieth of the time. It
// also moves the place back, to behind the items that it has found.
//
// The zero value is ready. Goroutines may share it.
type floor struct {
	mu   sync.Mutex
	last place
	took time.Duration // by the last claim that looked at the whole queue
	next time.Time     // when a claim looks at the whole queue again
}

const (
	quickWhole   = 20 * time.Millisecond
	wholeShare   = 20
	longestWhole = 30 * time.Second
)

// begin returns the place to begin at, and whether that is the start of the queue.
func (f *floor) begin() (from place, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Before(f.next) {
		return f.last, false
	}
	f.next = now.Add(longestWhole) // for others that begin before this claim has ended
	return queueStart, true
}

// looked notes how long a claim took that has looked at the whole queue.
func (f *floor) looked(took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.took, f.next = took, time.Now().Add(min(wholeShare*took, longestWhole))
}

// failed notes that a claim that was to look at the whole queue has failed: the next one does.
func (f *floor) failed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = time.Time{}
}

// isQuick reports whether to look at the whole queue is quick.
func (f *floor) isQuick() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.took < quickWhole
}

// set notes the place of the last item that was claimed.
func (f *floor) set(last place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = last
}
