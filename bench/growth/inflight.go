package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

// fewestInFlight is how many payments in flight occupy more than the process itself gains and loses meanwhile.
const fewestInFlight = 16

// inFlight measures the memory that a payment occupies while it waits for its answer, its connection included.
func inFlight(plan plan, points *points) error {
	for _, goroutines := range plan.levels {
		if goroutines < fewestInFlight {
			continue
		}
		for _, newCaller := range compared {
			if err := inFlightOf(points, goroutines, newCaller); err != nil {
				return err
			}
		}
	}
	return nil
}

func inFlightOf(points *points, goroutines int, newCaller func(string) (*caller.Caller, error)) error {
	server, err := gateway.Start(gateway.Settings{})
	if err != nil {
		return err
	}
	defer server.Close()
	payer, err := newCaller(server.URL)
	if err != nil {
		return err
	}
	if _, err := payer.CashOut(context.Background(), "the-first"); err != nil {
		return err
	}
	if err := server.Hold(); err != nil {
		return err
	}
	settle()
	before := occupied()
	var done sync.WaitGroup
	failures := make([]error, goroutines)
	for n := range goroutines {
		done.Go(func() { _, failures[n] = payer.CashOut(context.Background(), reference("flight", n, 0)) })
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		counts, err := server.Counts()
		if err != nil {
			return err
		}
		if counts.Waiting == goroutines {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: of %d payments %d arrived", payer.Name, goroutines, counts.Waiting)
		}
	}
	each := float64(occupied()-before) / float64(goroutines) / 1024
	if err := server.Release(); err != nil {
		return err
	}
	done.Wait()
	for _, err := range failures {
		if err != nil {
			return fmt.Errorf("%s with %d payments in flight: %w", payer.Name, goroutines, err)
		}
	}
	fmt.Fprintf(os.Stderr, "%s, %d payments in flight: %.1f KiB each\n", payer.Name, goroutines, each)
	return points.add("in-flight", payer.Name, float64(goroutines), each)
}

// occupied returns how many bytes are alive on the heap and held by stacks.
func occupied() int64 {
	runtime.GC()
	runtime.GC() // what the first has found to be unused is returned by the second
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

// settle waits for the goroutines of connections that were closed.
func settle() {
	for before, now := 0, runtime.NumGoroutine(); now != before; before, now = now, runtime.NumGoroutine() {
		time.Sleep(100 * time.Millisecond)
	}
}
