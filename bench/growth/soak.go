package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
	"github.com/connectpsp/connectpsp-go/bench/points"
)

const soakSamples = 100

// soak makes payment after payment with one client, in memory, and measures how much memory is in
// use and how many goroutines there are.
func soak(plan plan) ([]points.Point, error) {
	fmt.Fprintf(os.Stderr, "%d payments of one client\n", plan.calls)
	payer, err := caller.SDK("http://127.0.0.1", new(gateway.Memory))
	if err != nil {
		return nil, err
	}
	var all []points.Point
	every := max(plan.calls/soakSamples, 1)
	for call := range plan.calls + 1 {
		if call%every == 0 {
			millions := float64(call) / 1e6
			all = append(all,
				points.Point{Figure: "soak", Series: "memory, MiB", X: millions, Y: float64(occupied()) / (1 << 20)},
				points.Point{Figure: "soak", Series: "goroutines", X: millions, Y: float64(runtime.NumGoroutine())})
		}
		if _, err := payer.CashOut(context.Background(), reference("soak", 0, call)); err != nil {
			return nil, err
		}
	}
	return all, nil
}
