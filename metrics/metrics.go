package metrics

import (
	"context"
	"math"
	"sort"
	"sync/atomic"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/measure"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// Metrics counts activities, and is an [http.Handler] for Prometheus. Make one with [New], and give
// it to all parts of a process. Goroutines may share it. It counts without locks.
type Metrics struct {
	families [len(measure.Table)]family
	gauges   measure.Gauges
}

var _ connectpsp.Observer = (*Metrics)(nil)

// family is a metric with its series.
type family struct {
	measure.Metric
	series []series
}

// series is one series of a counter or a histogram.
type series struct {
	labels string // as in the text format, without braces
	listed bool

	count   atomic.Uint64   // of a counter
	buckets []atomic.Uint64 // of a histogram, not cumulative, with that of infinity
	sum     atomic.Uint64   // of a histogram, as the bits of a float64
}

// New returns a Metrics whose counters are 0.
func New() *Metrics {
	m := &Metrics{}
	for n, metric := range measure.Table {
		f := family{Metric: metric}
		all := metric.Series()
		f.series = make([]series, len(all))
		for i, s := range all {
			f.series[i].labels, f.series[i].listed = labelsOf(metric, s.Values), s.Listed
			if metric.Kind == measure.Histogram {
				f.series[i].buckets = make([]atomic.Uint64, len(metric.Bounds)+1)
			}
		}
		m.families[n] = f
	}
	return m
}

// WatchPayments adds the gauges of the client's open payments: connectpsp_payments_open,
// connectpsp_payments_oldest_age_seconds and connectpsp_payments_overdue. With several clients the
// gauges are their sums, and the age that of the oldest payment: watch one client of each journal.
func (m *Metrics) WatchPayments(client *connectpsp.Client) {
	m.gauges.WatchPayments(client.OpenPayments)
}

// WatchInbox adds the gauges of an inbox, such as that of package sqlstore: connectpsp_inbox_due,
// connectpsp_inbox_held and connectpsp_inbox_lag_seconds. With several inboxes the gauges are their
// sums, and the lag the longest. That of package sqlstore stops counting at 10,000 items.
func (m *Metrics) WatchInbox(inbox interface {
	State(context.Context) (webhook.InboxState, error)
}) {
	m.gauges.WatchInbox(inbox.State)
}

// Begin returns ctx. It is a method of [connectpsp.Observer].
func (m *Metrics) Begin(ctx context.Context, _ any) context.Context { return ctx }

// End counts an activity. It is a method of [connectpsp.Observer].
func (m *Metrics) End(_ context.Context, activity any) {
	measure.Each(activity, m.add)
}

func (m *Metrics) add(a measure.Addition) {
	f := &m.families[a.Metric]
	s := &f.series[a.Series]
	if f.Kind == measure.Counter {
		s.count.Add(uint64(a.Value))
		return
	}
	s.buckets[sort.SearchFloat64s(f.Bounds, a.Value)].Add(1)
	for {
		old := s.sum.Load()
		if s.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+a.Value)) {
			return
		}
	}
}
