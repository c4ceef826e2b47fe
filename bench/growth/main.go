// Command growth measures the cost of a payment by the number of goroutines that pay, the latency
// while the token is renewed, and the size of a client that is kept for long. It writes the file of
// package points, which the command plot draws.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/connectpsp/connectpsp-go/bench/gateway"
	"github.com/connectpsp/connectpsp-go/bench/points"
)

// plan says how much is measured.
type plan struct {
	levels  []int         // numbers of goroutines that pay at once
	service time.Duration // how long the gateway takes for a payment
	load    time.Duration // how long each level pays
	life    time.Duration // of a token, in whole seconds
	issue   time.Duration // how long the gateway takes to renew a token
	renewal time.Duration // how long payments go on through renewals
	calls   int           // payments of the client that is kept
}

var measurements = []func(plan) ([]points.Point, error){load, renewal, soak}

func main() {
	gateway.Serve()
	plan := plan{
		levels:  []int{1, 4, 16, 64, 256, 1024, 4096},
		service: 2 * time.Millisecond,
		load:    2 * time.Second,
		life:    8 * time.Second,
		issue:   800 * time.Millisecond,
		renewal: 25 * time.Second,
	}
	flag.IntVar(&plan.calls, "calls", 500_000, "payments of the client that is kept")
	flag.Parse()
	if err := run(plan); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(plan plan) error {
	measured, err := grow(plan)
	if err != nil {
		return err
	}
	file, err := os.Create(points.File)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := points.Write(file, measured); err != nil {
		return err
	}
	return file.Close()
}

// grow measures the points of all figures.
func grow(plan plan) ([]points.Point, error) {
	var all [][]points.Point
	for _, measure := range measurements {
		some, err := measure(plan)
		if err != nil {
			return nil, err
		}
		all = append(all, some)
	}
	return slices.Concat(all...), nil
}
