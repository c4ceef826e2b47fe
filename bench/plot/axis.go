package main

import (
	"math"
	"slices"
	"strconv"
)

// axis maps values to 0…1.
type axis struct {
	low, high   float64
	logarithmic bool
	ticks       []float64
}

// newAxis returns the axis for values. A linear one begins at zero and has round steps. A logarithmic one has a tick for every
// power of ten, or for the values themselves if they are few, as numbers of goroutines are.
func newAxis(values []float64, logarithmic bool) axis {
	low, high := slices.Min(values), slices.Max(values)
	if !logarithmic {
		step := stepFor(high)
		a := axis{high: math.Max(step, math.Ceil(high/step)*step)}
		for tick := 0.0; tick <= a.high+step/2; tick += step {
			a.ticks = append(a.ticks, tick)
		}
		return a
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(values))); len(distinct) <= 8 {
		return axis{low: low, high: high, logarithmic: true, ticks: distinct}
	}
	a := axis{logarithmic: true, low: math.Pow(10, math.Floor(math.Log10(low))), high: math.Pow(10, math.Ceil(math.Log10(high)))}
	for tick := a.low; tick <= a.high*1.01; tick *= 10 {
		a.ticks = append(a.ticks, tick)
	}
	return a
}

// stepFor returns the step of 1, 2 or 5 times a power of ten that makes four to ten ticks.
func stepFor(high float64) float64 {
	if high <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(high/4)))
	for _, factor := range []float64{1, 2, 5} {
		if high/(power*factor) <= 8 {
			return power * factor
		}
	}
	return power * 10
}

func (a axis) at(value float64) float64 {
	if !a.logarithmic {
		return (value - a.low) / (a.high - a.low)
	}
	if a.high == a.low {
		return 0.5
	}
	return math.Log(max(value, a.low)/a.low) / math.Log(a.high/a.low)
}

// label writes a tick: thousands and millions short.
func label(value float64) string {
	switch {
	case value >= 1e6:
		return strconv.FormatFloat(value/1e6, 'g', 4, 64) + "M"
	case value >= 10_000:
		return strconv.FormatFloat(value/1e3, 'g', 4, 64) + "k"
	default:
		return strconv.FormatFloat(value, 'g', 4, 64)
	}
}
