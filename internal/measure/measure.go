// Package measure has the metrics of the SDK as data, and counts activities into them. Package
// metrics and the module otel export them, under the same names.
package measure

import (
	"slices"
	"strings"
)

// Kind is the kind of a metric.
type Kind int

// The kinds.
const (
	Counter Kind = iota
	Histogram
	Gauge
)

// String returns the name of the kind in the Prometheus text format.
func (k Kind) String() string { return [...]string{"counter", "histogram", "gauge"}[k] }

// Metric describes a metric.
type Metric struct {
	// Name is the name for OpenTelemetry.
	Name string
	Kind Kind
	// Unit is s for seconds, or what is counted in braces, such as {call}.
	Unit string
	// Help is one sentence.
	Help string
	// Labels are at most two.
	Labels []Label
	// Bounds are the upper bounds of a histogram's buckets, in seconds, without infinity.
	Bounds []float64
}

// Label is a label of a metric, and the closed list of its values.
type Label struct {
	Name   string
	Values []string
}

// Other stands for each value that is not in the list of its label.
const Other = "other"

// PrometheusName returns the name of the metric in the Prometheus text format.
func (m Metric) PrometheusName() string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	if m.Unit == "s" {
		name += "_seconds"
	}
	if m.Kind == Counter {
		name += "_total"
	}
	return name
}

// Series is one series of a metric: a value for each of its labels.
type Series struct {
	Values []string
	// Listed is true if no value is [Other].
	Listed bool
}

// Series returns all series of a metric. [Addition] has an index into them.
func (m Metric) Series() []Series {
	all := []Series{{Listed: true}}
	for _, label := range m.Labels {
		var next []Series
		for _, series := range all {
			for n, value := range append(slices.Clone(label.Values), Other) {
				next = append(next, Series{
					Values: append(slices.Clone(series.Values), value),
					Listed: series.Listed && n < len(label.Values),
				})
			}
		}
		all = next
	}
	return all
}

// seriesOf returns the index of a series in [Metric.Series].
func (m Metric) seriesOf(values ...string) int {
	index := 0
	for n, label := range m.Labels {
		position := slices.Index(label.Values, values[n])
		if position < 0 {
			position = len(label.Values)
		}
		index = index*(len(label.Values)+1) + position
	}
	return index
}
