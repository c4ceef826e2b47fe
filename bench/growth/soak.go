package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

const soakSamples = 100

// soak pays again and again with one client, in memory, and measures what is alive and how many goroutines there are.
func soak(plan plan, points *points) error {
	payer, err := caller.SDK("http://127.0.0.1", new(gateway.Memory))
	if err != nil {
		return err
	}
	every := max(plan.calls/soakSamples, 1)
	for call := range plan.calls + 1 {
		if call%every == 0 {
			mebibytes := float64(occupied()) / (1 << 20)
			if err := points.add("soak", "memory, MiB", float64(call), mebibytes); err != nil {
				return err
			}
			if err := points.add("soak", "goroutines", float64(call), float64(runtime.NumGoroutine())); err != nil {
				return err
			}
			if call == plan.calls {
				fmt.Fprintf(os.Stderr, "after %d payments: %.1f MiB, %d goroutines\n", call, mebibytes, runtime.NumGoroutine())
			}
		}
		if _, err := payer.CashOut(context.Background(), reference("soak", 0, call)); err != nil {
			return err
		}
	}
	return nil
}
