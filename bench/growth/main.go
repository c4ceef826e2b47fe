// Command growth measures how the cost of paying grows with the goroutines that pay, what a renewal of the token does to
// latency, and whether a client that is kept for long stays as it is. It writes points, one a line: figure, series, x, y. The
// command plot draws them.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

// plan says how much is measured.
type plan struct {
	levels  []int         // goroutines that pay at once
	service time.Duration // the gateway takes for a payment
	load    time.Duration // each level is measured for so long
	life    time.Duration // of a token, in whole seconds
	issue   time.Duration // the gateway takes to renew one
	renewal time.Duration // renewals are watched for so long
	calls   int           // of the client that is kept
}

var measurements = []func(plan, *points) error{inFlight, load, renewal, soak}

func main() {
	gateway.Serve()
	plan := plan{levels: []int{1, 4, 16, 64, 256, 1024, 4096}, life: 8 * time.Second, issue: 800 * time.Millisecond}
	flag.DurationVar(&plan.service, "service", 2*time.Millisecond, "how long the gateway takes for a payment")
	flag.DurationVar(&plan.load, "load", 2*time.Second, "how long each number of goroutines pays")
	flag.DurationVar(&plan.renewal, "renewal", 25*time.Second, "how long payments go on through renewals of the token")
	flag.IntVar(&plan.calls, "calls", 500_000, "how many payments the client makes that is kept")
	out := flag.String("out", "out/growth.tsv", "where the points are written")
	flag.Parse()
	if err := grow(plan, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func grow(plan plan, out string) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer file.Close()
	points := &points{file: file}
	for _, measure := range measurements {
		if err := measure(plan, points); err != nil {
			return err
		}
	}
	return file.Close()
}
