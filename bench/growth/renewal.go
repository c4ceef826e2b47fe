package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

const (
	renewalGoroutines = 16
	renewalStep       = 50 * time.Millisecond // the longest of the payments that began within a step is a point
)

// renewal measures how long payments take while the token is renewed, which the gateway takes its time for. A payment that
// waited for it would take as long.
func renewal(plan plan, points *points) error {
	server, err := gateway.Start(gateway.Settings{Service: plan.service, Life: plan.life, Issue: plan.issue})
	if err != nil {
		return err
	}
	defer server.Close()
	payer, err := caller.SDK(server.URL, nil)
	if err != nil {
		return err
	}
	if _, err := payer.CashOut(context.Background(), "the-first"); err != nil {
		return err
	}
	begun := time.Now()
	var done sync.WaitGroup
	var mu sync.Mutex
	longest := make([]time.Duration, plan.renewal/renewalStep+1)
	failures := make([]error, renewalGoroutines)
	for n := range renewalGoroutines {
		done.Go(func() {
			for call := 0; failures[n] == nil; call++ {
				at := time.Since(begun)
				if at >= plan.renewal {
					return
				}
				overhead, err := pay(payer, reference("renewal", n, call))
				failures[n] = err
				mu.Lock()
				longest[at/renewalStep] = max(longest[at/renewalStep], overhead)
				mu.Unlock()
			}
		})
	}
	done.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	counts, err := server.Counts()
	if err != nil {
		return err
	}
	var overall time.Duration
	for step, overhead := range longest[:len(longest)-1] {
		overall = max(overall, overhead)
		if err := points.add("renewal", "longest payment", (time.Duration(step) * renewalStep).Seconds(), milliseconds(overhead)); err != nil {
			return err
		}
	}
	for _, issued := range counts.Issued[1:] {
		// From the request for the token to its answer.
		for _, at := range []time.Duration{0, plan.issue} {
			if err := points.add("renewal", "renewal", (issued.Sub(begun) + at).Seconds(), milliseconds(plan.issue)); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%d renewals of %v: no payment took longer than %v more than the gateway\n", len(counts.Issued)-1, plan.issue, overall)
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
