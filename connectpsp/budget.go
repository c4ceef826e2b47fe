package connectpsp

import (
	"errors"
	"sync/atomic"
)

// budget keeps retries from making a storm of an outage: a client that only meets failures soon
// stops repeating, and starts again as its calls succeed. It holds tokens. A retry takes some and,
// if it succeeds, puts them back; a call that succeeds at once adds one.
type budget struct{ spent atomic.Int32 }

const (
	budgetSize       = 500
	retryCost        = 5
	timeoutRetryCost = 10 // a gateway that is too slow is overloaded
)

var errBudgetSpent = errors.New("too many calls of this client fail, so it was not repeated")

// take takes the cost of a retry and reports whether the bucket held as much.
func (b *budget) take(cost int32) bool {
	for {
		spent := b.spent.Load()
		if spent+cost > budgetSize {
			return false
		}
		if b.spent.CompareAndSwap(spent, spent+cost) {
			return true
		}
	}
}

// put puts tokens back. There are never more than at first.
func (b *budget) put(tokens int32) {
	for {
		spent := b.spent.Load()
		if spent == 0 || b.spent.CompareAndSwap(spent, max(0, spent-tokens)) {
			return
		}
	}
}
