package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
	"github.com/connectpsp/connectpsp-go/bench/points"
)

type newCaller func(url string, transport http.RoundTripper) (*caller.Caller, error)

// compared are the callers whose growth is measured.
var compared = []newCaller{caller.Floor, caller.SDK}

// warm returns a caller that has made its first payment, so it has a token.
func (n newCaller) warm(url string) (*caller.Caller, error) {
	payer, err := n(url, nil)
	if err != nil {
		return nil, err
	}
	_, err = payer.CashOut(context.Background(), "the-first")
	return payer, err
}

// fewestInFlight is the lowest level at which payments in flight occupy more memory than the process
// gains and loses by itself.
const fewestInFlight = 16

// load measures each level: memory of a payment in flight, payments per second, the overhead of a
// payment over the gateway, and connections opened.
func load(plan plan) ([]points.Point, error) {
	var all []points.Point
	for _, goroutines := range plan.levels {
		fmt.Fprintf(os.Stderr, "%d goroutines\n", goroutines)
		for _, newCaller := range compared {
			some, err := loadLevel(plan, goroutines, newCaller)
			if err != nil {
				return nil, fmt.Errorf("%d goroutines: %w", goroutines, err)
			}
			all = append(all, some...)
		}
	}
	return all, nil
}

// loadLevel starts a gateway for one level. When it ends, so do the connections that are left idle.
func loadLevel(plan plan, goroutines int, newCaller newCaller) ([]points.Point, error) {
	server, err := gateway.Start(gateway.Settings{Service: plan.service})
	if err != nil {
		return nil, err
	}
	defer server.Close()
	payer, err := newCaller.warm(server.URL)
	if err != nil {
		return nil, err
	}
	kibibytes, err := inFlight(server, payer, goroutines) // opens the connections, too
	if err != nil {
		return nil, err
	}
	overheads, took, err := payFor(plan.load, payer, goroutines)
	if err != nil {
		return nil, err
	}
	counts, err := server.Counts()
	if err != nil {
		return nil, err
	}
	x := float64(goroutines)
	all := []points.Point{
		{Figure: "throughput", Series: payer.Name, X: x, Y: float64(len(overheads)) / took.Seconds()},
		{Figure: "overhead", Series: payer.Name + ", median", X: x, Y: quantile(overheads, 0.5)},
		{Figure: "overhead", Series: payer.Name + ", 99 %", X: x, Y: quantile(overheads, 0.99)},
		{Figure: "overhead", Series: payer.Name + ", 99.9 %", X: x, Y: quantile(overheads, 0.999)},
		{Figure: "connections", Series: payer.Name, X: x, Y: float64(counts.Opened)},
	}
	if goroutines >= fewestInFlight {
		all = append(all, points.Point{Figure: "in-flight", Series: payer.Name, X: x, Y: kibibytes})
	}
	return all, nil
}

// inFlight returns the memory in KiB that a payment occupies while it waits for its response,
// connection included. It makes a payment for each goroutine, which the gateway holds until all
// have arrived.
func inFlight(server *gateway.Process, payer *caller.Caller, goroutines int) (float64, error) {
	if err := server.Hold(); err != nil {
		return 0, err
	}
	waitForGoroutines()
	before := occupied()
	var payments errgroup.Group
	for n := range goroutines {
		payments.Go(func() error {
			_, err := pay(payer, reference("flight", n, 0))
			return err
		})
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		counts, err := server.Counts()
		if err != nil {
			return 0, err
		}
		if counts.Waiting == goroutines {
			break
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%s: only %d payments arrived", payer.Name, counts.Waiting)
		}
	}
	each := float64(occupied()-before) / float64(goroutines) / 1024
	if err := server.Release(); err != nil {
		return 0, err
	}
	return each, payments.Wait()
}

// payFor makes payments without a pause for that long, and at least one by each goroutine. It returns
// their overheads, sorted, and the time for all of them.
func payFor(long time.Duration, payer *caller.Caller, goroutines int) ([]time.Duration, time.Duration, error) {
	overheads := make([][]time.Duration, goroutines)
	begun := time.Now()
	var payments errgroup.Group
	for n := range goroutines {
		payments.Go(func() error {
			for call := 0; call == 0 || time.Since(begun) < long; call++ {
				overhead, err := pay(payer, reference("load", n, call))
				if err != nil {
					return err
				}
				overheads[n] = append(overheads[n], overhead)
			}
			return nil
		})
	}
	err := payments.Wait()
	took := time.Since(begun)
	all := slices.Concat(overheads...)
	slices.Sort(all)
	return all, took, err
}

// pay makes a payment and returns its overhead: how much longer it took than the gateway.
func pay(payer *caller.Caller, reference string) (time.Duration, error) {
	begun := time.Now()
	internalCode, err := payer.CashOut(context.Background(), reference)
	return time.Since(begun) - gateway.Took(internalCode), err
}

func reference(name string, goroutine, call int) string {
	return fmt.Sprintf("%s-%d-%d", name, goroutine, call)
}

// quantile returns the value below which a share of the sorted durations lies, in milliseconds.
func quantile(sorted []time.Duration, share float64) float64 {
	at := min(int(share*float64(len(sorted))), len(sorted)-1)
	return milliseconds(sorted[at])
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// occupied returns how many bytes are alive on the heap and in stacks.
func occupied() int64 {
	runtime.GC()
	runtime.GC() // frees the garbage that the first has found
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

// waitForGoroutines returns when the goroutines of closed connections have ended: when their number
// has not changed for 100 ms.
func waitForGoroutines() {
	for before, now := 0, runtime.NumGoroutine(); now != before; before, now = now, runtime.NumGoroutine() {
		time.Sleep(100 * time.Millisecond)
	}
}
