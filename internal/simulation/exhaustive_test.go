package simulation

import (
	"flag"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

var exhaustiveAttempts = flag.Int("exhaustive.attempts", 2, "how many attempts a payment of the exhaustive test may take")

// TestEveryShortSequenceOfFaultsKeepsThePromises makes one payment through every sequence of faults
// that its attempts may meet, on each kind of gateway that a single payment can tell from the
// others. No decision is drawn.
func TestEveryShortSequenceOfFaultsKeepsThePromises(t *testing.T) {
	const keyFirst, referenceFirst = 0, 2 // in checkOrders
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
	var all counters
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for v := range variants {
				if t.Failed() {
					return
				}
				inBubble(t, func() {
					n, seen := tryAllSequences(t, v)
					mu.Lock()
					defer mu.Unlock()
					sequences += n
					all.merge(seen)
				})
			}
		})
	}
	workers.Wait()
	for _, outcome := range []string{accepted, rejected, unknown} {
		assert.NotZero(t, all.counts["outcome"][outcome], "it was never seen: %s", outcome)
	}
	t.Logf("%d sequences of %d faults in up to %d attempts on %d gateways; outcomes: %v",
		sequences, survivableFaults-1, *exhaustiveAttempts, kinds, all.counts["outcome"])
}

// tryAllSequences returns the number of sequences on one kind of gateway, and their counters. It
// stops at the first sequence that breaks a promise, and prints its story.
func tryAllSequences(t *testing.T, v variant) (sequences int, seen *counters) {
	seen = &counters{}
	sequence := enumerator{base: survivableFaults}
	for more := true; more; more = sequence.advance() {
		sequences++
		if payOnce(v, seen, sequence.next, false).violation == "" {
			continue
		}
		same := enumerator{base: survivableFaults, digits: sequence.digits}
		s := payOnce(v, &counters{}, same.next, true)
		t.Errorf("VIOLATION: %s\n%s", s.violation, strings.Join(s.trace, "\n"))
		break
	}
	return sequences, seen
}

// payOnce has one order paid by one call. Only its payment meets faults, no request for a token.
func payOnce(v variant, n *counters, nextFault func() int, tracing bool) *schedule {
	s := newSchedule(&choices{}, n, tracing)
	s.gateway.variant = v
	s.settings = settings{
		nextFault: nextFault, fixedDelay: 40 * time.Second,
		retryPolicy: connectpsp.RetryPolicy{MaxAttempts: *exhaustiveAttempts},
	}
	s.tokens = &tokenStub{}
	s.start(0)
	s.orders = []*order{newOrder(s, 0, false)}
	s.orders[0].pay()
	s.run()
	s.shutDown()
	return s
}
