package connectpsp_test

import (
	"flag"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

var exhaustiveAttempts = flag.Int("exhaustive.attempts", 2, "how many attempts the payments of the exhaustive test may take")

// TestEveryShortSequenceOfFaultsKeepsThePromises makes one payment, which may take a few attempts,
// through every sequence of faults, on gateways of every kind that a single payment can tell apart
// and that behave the same each time.
func TestEveryShortSequenceOfFaultsKeepsThePromises(t *testing.T) {
	const keyFirst, referenceFirst = 0, 2
	variants := make(chan variant, 100)
	for _, checks := range []int{keyFirst, referenceFirst} {
		variants <- variant{checks: checks}
		variants <- variant{checks: checks, memory: forgetsAtOnce}
		variants <- variant{checks: checks, storesErrors: true}
		variants <- variant{checks: checks, unlocked: true, reservesLate: true}
	}
	variants <- variant{funds: noFunds}
	variants <- variant{funds: noFunds, storesErrors: true}
	variants <- variant{funds: noFunds, burnsReferences: true}
	close(variants)
	kinds, sequences := len(variants), 0
	outcomes := newFigures()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for v := range variants {
				if t.Failed() {
					return
				}
				inBubble(t, func() {
					n, seen := tryAllSequences(t, v)
					mu.Lock()
					defer mu.Unlock()
					sequences += n
					outcomes.merge(seen)
				})
			}
		})
	}
	all.Wait()
	for _, outcome := range []string{accepted, rejected, unknown} {
		assert.NotZero(t, outcomes.counts["outcome"][outcome], "it was never seen: %s", outcome)
	}
	t.Logf("%d sequences of %d faults in up to %d attempts on %d gateways; outcomes: %v", sequences, fatesOfTheLiving-1, *exhaustiveAttempts, kinds, outcomes.counts["outcome"])
}

// tryAllSequences returns the number of sequences for one kind of gateway, and their outcomes.
// It stops at the first that breaks a promise.
func tryAllSequences(t *testing.T, v variant) (sequences int, seen *figures) {
	seen = newFigures()
	faults := odometer{base: fatesOfTheLiving}
	for more := true; more; more = faults.advance() {
		sequences++
		w := payOnce(v, seen, faults.next, false)
		if w.violation == "" {
			continue
		}
		again := odometer{base: fatesOfTheLiving, digits: faults.digits}
		w = payOnce(v, newFigures(), again.next, true)
		t.Errorf("VIOLATION: %s\n%s", w.violation, strings.Join(w.trace, "\n"))
		break
	}
	return sequences, seen
}

// payOnce has one order paid by one call.
func payOnce(v variant, f *figures, fate func() int, tracing bool) *world {
	w := newWorld(&choices{}, f, tracing)
	w.gateway.variant = v
	w.rules = rules{fate: fate, delay: 40 * time.Second, policy: connectpsp.RetryPolicy{MaxAttempts: *exhaustiveAttempts}}
	w.booth = &booth{} // the faults are of payments, not of requests for tokens
	w.start()
	w.orders = []*purchase{newPurchase(w, 0, false)}
	w.orders[0].pay()
	w.drive()
	w.end()
	return w
}
