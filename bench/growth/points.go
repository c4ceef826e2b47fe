package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// points writes what is measured, a point a line.
type points struct{ file io.Writer }

func (p *points) add(figure, series string, x, y float64) error {
	_, err := fmt.Fprintf(p.file, "%s\t%s\t%g\t%g\n", figure, series, x, y)
	return err
}

// quantile returns the value below which a share of the sorted durations lies, in microseconds.
func quantile(sorted []time.Duration, share float64) float64 {
	at := min(int(share*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[at].Nanoseconds()) / 1e3
}

func sorted(durations [][]time.Duration) []time.Duration {
	all := slices.Concat(durations...)
	slices.Sort(all)
	return all
}
