package connectpspotel

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/measure"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// instruments has an instrument for each metric of [measure.Table], by its index.
type instruments struct {
	counters   [len(measure.Table)]metric.Int64Counter
	histograms [len(measure.Table)]metric.Float64Histogram
	gauges     [len(measure.Table)]metric.Float64ObservableGauge
	labels     [len(measure.Table)][]metric.MeasurementOption // by the index of the series
	sources    measure.Gauges
}

// newInstruments makes the instruments. Each counter begins at 0 with all labels that are known: an
// alert on its rate would miss the first increment of a series that was not there.
func newInstruments(meter metric.Meter) *instruments {
	i := new(instruments)
	var observed []metric.Observable
	for n, m := range measure.Table {
		var err error
		description, unit := metric.WithDescription(m.Help), metric.WithUnit(m.Unit)
		switch m.Kind {
		case measure.Counter:
			if i.counters[n], err = meter.Int64Counter(m.Name, description, unit); err != nil {
				i.counters[n] = noop.Int64Counter{}
			}
		case measure.Histogram:
			if i.histograms[n], err = meter.Float64Histogram(m.Name, description, unit, metric.WithExplicitBucketBoundaries(m.Bounds...)); err != nil {
				i.histograms[n] = noop.Float64Histogram{}
			}
		case measure.Gauge:
			if i.gauges[n], err = meter.Float64ObservableGauge(m.Name, description, unit); err != nil {
				i.gauges[n] = noop.Float64ObservableGauge{}
			}
			observed = append(observed, i.gauges[n])
		}
		if err != nil {
			otel.Handle(err)
		}
		for _, series := range m.Series() {
			labels := metric.WithAttributeSet(attributesOf(m, series))
			i.labels[n] = append(i.labels[n], labels)
			if m.Kind == measure.Counter && series.Listed {
				i.counters[n].Add(context.Background(), 0, labels)
			}
		}
	}
	if _, err := meter.RegisterCallback(i.observe, observed...); err != nil {
		otel.Handle(err)
	}
	return i
}

func attributesOf(m measure.Metric, series measure.Series) attribute.Set {
	var attributes []attribute.KeyValue
	for n, label := range m.Labels {
		attributes = append(attributes, attribute.String(label.Name, series.Values[n]))
	}
	return attribute.NewSet(attributes...)
}

// count counts an activity that has ended.
func (i *instruments) count(ctx context.Context, activity any) {
	measure.Each(activity, func(a measure.Addition) { i.add(ctx, a) })
}

func (i *instruments) add(ctx context.Context, a measure.Addition) {
	labels := i.labels[a.Metric][a.Series]
	if measure.Table[a.Metric].Kind == measure.Counter {
		i.counters[a.Metric].Add(ctx, int64(a.Value), labels)
		return
	}
	i.histograms[a.Metric].Record(ctx, a.Value, labels)
}

// observe reads the gauges when the metrics are collected.
func (i *instruments) observe(ctx context.Context, observer metric.Observer) error {
	i.sources.Read(ctx, func(a measure.Addition) {
		if measure.Table[a.Metric].Kind == measure.Gauge {
			observer.ObserveFloat64(i.gauges[a.Metric], a.Value, i.labels[a.Metric][a.Series])
			return
		}
		i.add(ctx, a)
	})
	return nil
}

// WatchPayments adds the gauges of the client's open payments: connectpsp.payments.open,
// connectpsp.payments.oldest.age and connectpsp.payments.overdue. They are read when the metrics
// are collected, for 3 seconds at most. With several clients the gauges are their sums, and the age
// that of the oldest payment: watch one client of each journal.
func (o *Observer) WatchPayments(client *connectpsp.Client) {
	o.instruments.sources.WatchPayments(client.OpenPayments)
}

// WatchInbox adds the gauges of an inbox, such as that of package sqlstore: connectpsp.inbox.due,
// connectpsp.inbox.held and connectpsp.inbox.lag. They are read when the metrics are collected, for
// 3 seconds at most. With several inboxes the gauges are their sums, and the lag the longest.
func (o *Observer) WatchInbox(inbox interface {
	State(context.Context) (webhook.InboxState, error)
}) {
	o.instruments.sources.WatchInbox(inbox.State)
}
