package webhook

import (
	"context"
	"errors"
	"time"
)

const (
	maxClaims    = 64                      // of one batch, unless the concurrency is higher
	quickBatch   = 500 * time.Millisecond  // a batch that has begun within this time is followed by a larger one
	slowBatch    = 2 * time.Second         // one that took longer is followed by a small one, which leaves items to other processes
	beginTimeout = leaseTime - workTimeout // from the claim of an item to its begin: the lease must outlast the work
)

var errNotBegun = errors.New("webhook: the item was claimed and not begun")

// batch has the items of one claim.
type batch struct {
	claimed time.Time
	// transactions are the items by transaction, in order: those of one transaction are processed
	// one after another. Items without a transaction are apart.
	transactions [][]*Claim
}

func newBatch(claims []*Claim) *batch {
	b := &batch{claimed: time.Now()}
	places := map[string]int{}
	for _, claim := range claims {
		place, found := places[claim.Transaction]
		if !found || claim.Transaction == "" {
			place = len(b.transactions)
			places[claim.Transaction] = place
			b.transactions = append(b.transactions, nil)
		}
		b.transactions[place] = append(b.transactions[place], claim)
	}
	return b
}

// nextSize returns the number of items to claim when all items of this batch have begun: more if
// they began quickly.
func (b *batch) nextSize(size, concurrency int) int {
	switch took := time.Since(b.claimed); {
	case took < quickBatch:
		return min(2*size, max(maxClaims, concurrency))
	case took > slowBatch:
		return concurrency
	default:
		return size
	}
}

// processAll processes items of a batch one after another. It releases the items that it cannot
// begin in time.
func (w *Worker) processAll(ctx context.Context, b *batch, claims []*Claim, s *slots) {
	for _, claim := range claims {
		var err error
		if ctx.Err() != nil || time.Since(b.claimed) > beginTimeout {
			err = w.dispose(ctx, claim, errNotBegun, nil)
		} else {
			err = w.process(ctx, claim, s)
		}
		if err != nil {
			w.pause(ctx, err)
		}
	}
}
