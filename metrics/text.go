package metrics

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/connectpsp/connectpsp-go/internal/measure"
)

// contentType is that of the Prometheus text format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// ServeHTTP writes the metrics in the Prometheus text format, for GET and HEAD. It reads the gauges
// first, which takes 3 seconds at most.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the metrics are read with GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", contentType)
	if r.Method == http.MethodHead {
		return
	}
	var gauges []measure.Addition
	m.gauges.Read(r.Context(), func(a measure.Addition) {
		if measure.Table[a.Metric].Kind == measure.Gauge {
			gauges = append(gauges, a)
		} else {
			m.add(a)
		}
	})
	_, _ = w.Write(m.text(gauges)) // the scraper is gone
}

// text returns the metrics, in the order of [measure.Table].
func (m *Metrics) text(gauges []measure.Addition) []byte {
	var text, samples bytes.Buffer
	for n := range m.families {
		f := &m.families[n]
		samples.Reset()
		switch f.Kind {
		case measure.Counter:
			f.writeCounters(&samples)
		case measure.Histogram:
			f.writeHistograms(&samples)
		case measure.Gauge:
			for _, gauge := range gauges {
				if gauge.Metric == n {
					writeSample(&samples, f.PrometheusName(), f.series[gauge.Series].labels, formatFloat(gauge.Value))
				}
			}
		}
		if samples.Len() > 0 {
			fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", f.PrometheusName(), f.Help, f.Kind)
			text.Write(samples.Bytes())
		}
	}
	return text.Bytes()
}

func (f *family) writeCounters(text *bytes.Buffer) {
	for n := range f.series {
		s := &f.series[n]
		if count := s.count.Load(); s.listed || count > 0 {
			writeSample(text, f.PrometheusName(), s.labels, strconv.FormatUint(count, 10))
		}
	}
}

func (f *family) writeHistograms(text *bytes.Buffer) {
	name := f.PrometheusName()
	for n := range f.series {
		s := &f.series[n]
		counts := make([]uint64, len(s.buckets))
		var total uint64
		for b := range s.buckets {
			total += s.buckets[b].Load()
			counts[b] = total
		}
		if total == 0 {
			continue
		}
		for b, count := range counts {
			bound := math.Inf(1)
			if b < len(f.Bounds) {
				bound = f.Bounds[b]
			}
			writeSample(text, name+"_bucket", join(s.labels, label("le", formatFloat(bound))), strconv.FormatUint(count, 10))
		}
		writeSample(text, name+"_sum", s.labels, formatFloat(math.Float64frombits(s.sum.Load())))
		writeSample(text, name+"_count", s.labels, strconv.FormatUint(total, 10))
	}
}

func writeSample(text *bytes.Buffer, name, labels, value string) {
	if labels != "" {
		labels = "{" + labels + "}"
	}
	fmt.Fprintf(text, "%s%s %s\n", name, labels, value)
}

// labelsOf returns the labels of a series in the text format, without braces.
func labelsOf(metric measure.Metric, values []string) string {
	labels := ""
	for n, l := range metric.Labels {
		labels = join(labels, label(l.Name, values[n]))
	}
	return labels
}

func join(labels, label string) string {
	if labels == "" {
		return label
	}
	return labels + "," + label
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func label(name, value string) string { return name + `="` + escaper.Replace(value) + `"` }

// formatFloat returns +Inf for infinity, as the text format does.
func formatFloat(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }
