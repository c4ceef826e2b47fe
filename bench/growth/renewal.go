package main

import (
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
	"github.com/connectpsp/connectpsp-go/bench/points"
)

const (
	renewalGoroutines = 8                      // of each caller
	renewalStep       = 100 * time.Millisecond // a point is the longest payment that began within a step
)

// renewal measures the time of payments while the token is renewed. A payment that waits for the
// renewal takes as long as the renewal. The floor renews nothing. It pays at the same time, so that
// delays of the machine show in both.
func renewal(plan plan) ([]points.Point, error) {
	server, err := gateway.Start(gateway.Settings{Service: plan.service, Life: plan.life, Issue: plan.issue})
	if err != nil {
		return nil, err
	}
	defer server.Close()
	var payers []*caller.Caller
	for _, newCaller := range compared {
		payer, err := newCaller.warm(server.URL)
		if err != nil {
			return nil, err
		}
		payers = append(payers, payer)
	}
	begun := time.Now()
	longest := make([][renewalGoroutines][]time.Duration, len(payers)) // by caller, goroutine and step
	var payments errgroup.Group
	for i, payer := range payers {
		for n := range renewalGoroutines {
			longest[i][n] = make([]time.Duration, plan.renewal/renewalStep)
			payments.Go(func() error { return payEachStep(payer, n, begun, longest[i][n]) })
		}
	}
	if err := payments.Wait(); err != nil {
		return nil, err
	}
	counts, err := server.Counts()
	if err != nil {
		return nil, err
	}
	var all []points.Point
	add := func(series string, at, overhead time.Duration) {
		all = append(all, points.Point{Figure: "renewal", Series: series, X: at.Seconds(), Y: milliseconds(overhead)})
	}
	for i, payer := range payers {
		for step := range plan.renewal / renewalStep {
			var overhead time.Duration
			for _, steps := range longest[i] {
				overhead = max(overhead, steps[step])
			}
			add(payer.Name, step*renewalStep, overhead)
		}
	}
	for _, issued := range counts.Issued[1:] {
		from := issued.Sub(begun)
		to := from + plan.issue
		add("token renewal", from, 0)
		add("token renewal", from, plan.issue)
		add("token renewal", to, plan.issue)
		add("token renewal", to, 0)
	}
	return all, nil
}

// payEachStep pays without a pause until all steps are over, and notes the longest payment of each.
func payEachStep(payer *caller.Caller, goroutine int, begun time.Time, longest []time.Duration) error {
	for call := 0; ; call++ {
		step := int(time.Since(begun) / renewalStep)
		if step >= len(longest) {
			return nil
		}
		overhead, err := pay(payer, reference("renewal", goroutine, call))
		if err != nil {
			return err
		}
		longest[step] = max(longest[step], overhead)
	}
}
