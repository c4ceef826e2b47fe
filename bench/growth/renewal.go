package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

const (
	renewalGoroutines = 8                     // of each caller
	renewalStep       = 50 * time.Millisecond // the longest of the payments that began within a step is a point
)

// renewal measures how long payments take while the token is renewed, which the gateway takes its time for. A payment that
// waited for it would take as long. The floor, which renews nothing, pays beside it and shows what the machine does.
func renewal(plan plan, points *points) error {
	server, err := gateway.Start(gateway.Settings{Service: plan.service, Life: plan.life, Issue: plan.issue})
	if err != nil {
		return err
	}
	defer server.Close()
	var payers []*caller.Caller
	for _, newCaller := range compared {
		payer, err := newCaller(server.URL)
		if err != nil {
			return err
		}
		if _, err := payer.CashOut(context.Background(), "the-first"); err != nil {
			return err
		}
		payers = append(payers, payer)
	}
	begun := time.Now()
	var done sync.WaitGroup
	watched := make([]watch, len(payers))
	for i, payer := range payers {
		watched[i].longest = make([]time.Duration, plan.renewal/renewalStep)
		for n := range renewalGoroutines {
			done.Go(func() { watched[i].payUntilFull(payer, n, begun) })
		}
	}
	done.Wait()
	counts, err := server.Counts()
	if err != nil {
		return err
	}
	for i, payer := range payers {
		if err := watched[i].err; err != nil {
			return err
		}
		for step, overhead := range watched[i].longest {
			if err := points.add("renewal", payer.Name, (time.Duration(step) * renewalStep).Seconds(), milliseconds(overhead)); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "%s: %d renewals of %v, and no payment took longer than %v more than the gateway\n", payer.Name,
			len(counts.Issued)-1, plan.issue, slices.Max(watched[i].longest))
	}
	for _, issued := range counts.Issued[1:] {
		// From the request for the token to its answer.
		for _, at := range []time.Duration{0, plan.issue} {
			if err := points.add("renewal", "renewal", (issued.Sub(begun) + at).Seconds(), milliseconds(plan.issue)); err != nil {
				return err
			}
		}
	}
	return nil
}

// watch holds the longest payment of each step.
type watch struct {
	mu      sync.Mutex
	longest []time.Duration
	err     error
}

func (w *watch) payUntilFull(payer *caller.Caller, goroutine int, begun time.Time) {
	for call := 0; ; call++ {
		step := int(time.Since(begun) / renewalStep)
		if step >= len(w.longest) {
			return
		}
		overhead, err := pay(payer, reference("renewal", goroutine, call))
		w.mu.Lock()
		w.longest[step] = max(w.longest[step], overhead)
		if err != nil {
			w.err = err
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
