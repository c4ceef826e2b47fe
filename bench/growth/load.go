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

// compared are the callers whose growth is measured.
var compared = []func(url string) (*caller.Caller, error){
	func(url string) (*caller.Caller, error) { return caller.Floor(url, nil) },
	func(url string) (*caller.Caller, error) { return caller.SDK(url, nil) },
}

// load measures payments per second, and how much longer a payment takes than the gateway says that it took.
func load(plan plan, points *points) error {
	for _, goroutines := range plan.levels {
		for _, newCaller := range compared {
			if err := loadOf(plan, points, goroutines, newCaller); err != nil {
				return err
			}
		}
	}
	return nil
}

func loadOf(plan plan, points *points, goroutines int, newCaller func(string) (*caller.Caller, error)) error {
	// A gateway for each measurement: when it ends, so do the connections that were left idle.
	server, err := gateway.Start(gateway.Settings{Service: plan.service})
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
	var ready, done sync.WaitGroup
	begin := make(chan time.Time)
	overheads := make([][]time.Duration, goroutines)
	failures := make([]error, goroutines)
	for n := range goroutines {
		ready.Add(1)
		done.Go(func() {
			_, err := payer.CashOut(context.Background(), reference("warm", n, 0)) // opens the connection
			ready.Done()
			end := <-begin
			for call := 1; err == nil && time.Now().Before(end); call++ {
				var overhead time.Duration
				if overhead, err = pay(payer, reference("load", n, call)); err == nil {
					overheads[n] = append(overheads[n], overhead)
				}
			}
			failures[n] = err
		})
	}
	ready.Wait()
	begun := time.Now()
	for range goroutines {
		begin <- begun.Add(plan.load)
	}
	done.Wait()
	took := time.Since(begun)
	for _, err := range failures {
		if err != nil {
			return fmt.Errorf("%s with %d goroutines: %w", payer.Name, goroutines, err)
		}
	}
	counts, err := server.Counts()
	if err != nil {
		return err
	}
	all := sorted(overheads)
	x := float64(goroutines)
	fmt.Fprintf(os.Stderr, "%s, %d goroutines: %d payments in %v, %d connections\n", payer.Name, goroutines, len(all), took, counts.Opened)
	for _, point := range []struct {
		figure, series string
		y              float64
	}{
		{"throughput", payer.Name, float64(len(all)) / took.Seconds()},
		{"overhead", payer.Name + " p50", quantile(all, 0.5)},
		{"overhead", payer.Name + " p99", quantile(all, 0.99)},
		{"overhead", payer.Name + " p99.9", quantile(all, 0.999)},
		{"connections", payer.Name, float64(counts.Opened)},
	} {
		if err := points.add(point.figure, point.series, x, point.y); err != nil {
			return err
		}
	}
	return nil
}

// pay makes a payment and returns how much longer it took than the gateway did.
func pay(payer *caller.Caller, reference string) (time.Duration, error) {
	begun := time.Now()
	internalCode, err := payer.CashOut(context.Background(), reference)
	return time.Since(begun) - gateway.Took(internalCode), err
}

func reference(name string, goroutine, call int) string {
	return fmt.Sprintf("%s-%d-%d", name, goroutine, call)
}
