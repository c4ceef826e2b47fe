package main

import (
	"regexp"
	"strconv"
	"strings"
)

// Units of go test -bench that have a column of the table. The size of a program is in bytes per
// operation too, and the time to compile it in nanoseconds, so that all figures are in one file.
const (
	nanoseconds = "ns/op"
	processing  = "cpu-ns/op"
	bytes       = "B/op"
	allocs      = "allocs/op"
)

// sample holds the figures of one benchmark in one round, by unit.
type sample map[string]float64

// result holds the figures of one benchmark, one sample for each round.
type result struct {
	group, who string
	samples    []sample
}

// benchmarkLine is a line of go test -bench: the name, the number of processors unless it is one,
// how often it ran, figures.
var benchmarkLine = regexp.MustCompile(`^Benchmark(\w+)/(\w+)(?:-\d+)?\s+\d+\s+(.*)$`)

// parse reads the output of go test -bench of one or more rounds. It keeps the order of the first
// round.
func parse(output string) []*result {
	var results []*result
	known := map[[2]string]*result{}
	for line := range strings.Lines(output) {
		match := benchmarkLine.FindStringSubmatch(strings.TrimSpace(line))
		if match == nil {
			continue
		}
		name := [2]string{match[1], match[2]}
		if known[name] == nil {
			known[name] = &result{group: match[1], who: match[2]}
			results = append(results, known[name])
		}
		known[name].samples = append(known[name].samples, figures(match[3]))
	}
	return results
}

// figures reads the numbers after the name, each with its unit.
func figures(text string) sample {
	sample := sample{}
	fields := strings.Fields(text)
	for i := 0; i+1 < len(fields); i += 2 {
		if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
			sample[fields[i+1]] = value
		}
	}
	return sample
}
