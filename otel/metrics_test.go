package connectpspotel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/metrics"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// collect returns what the metrics are, by series as name{label="value"}: counters and gauges that
// are not 0, and how many values each histogram has.
func (tel *telemetry) collect(t *testing.T) map[string]float64 {
	t.Helper()
	var collected metricdata.ResourceMetrics
	require.NoError(t, tel.metrics.Collect(t.Context(), &collected))
	values := map[string]float64{}
	set := func(name string, labels attribute.Set, value float64) {
		var texts []string
		for _, label := range labels.ToSlice() {
			texts = append(texts, fmt.Sprintf("%s=%q", label.Key, label.Value.AsString()))
		}
		if len(texts) > 0 {
			name += "{" + strings.Join(texts, ",") + "}"
		}
		if value != 0 {
			values[strings.TrimPrefix(name, "connectpsp.")] = value
		}
	}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				assert.True(t, data.IsMonotonic)
				for _, point := range data.DataPoints {
					set(m.Name, point.Attributes, float64(point.Value))
				}
			case metricdata.Gauge[float64]:
				for _, point := range data.DataPoints {
					set(m.Name, point.Attributes, point.Value)
				}
			case metricdata.Histogram[float64]:
				for _, point := range data.DataPoints {
					set(m.Name, point.Attributes, float64(point.Count))
				}
			default:
				require.Failf(t, "an unexpected kind", "%s is a %T", m.Name, m.Data)
			}
		}
	}
	return values
}

func TestTheMetricsCountWhatTheClientDid(t *testing.T) {
	gateway, tel := startSandbox(t), newTelemetry(t)
	client := newClient(t, gateway, connectpsp.WithObserver(tel))
	require.NoError(t, gateway.FailNext("createCashOut", sandbox.LoseAnswer, sandbox.Unavailable))
	_, err := client.CreateCashOut(t.Context(), withdrawal("w-1"))
	require.NoError(t, err)
	require.NoError(t, gateway.RefuseNext("createCashOut", 422, "INSUFFICIENT_FUNDS"))
	_, err = client.CreateCashOut(t.Context(), withdrawal("w-2"))
	require.ErrorIs(t, err, connectpsp.CodeInsufficientFunds)
	assert.Equal(t, map[string]float64{
		`client.calls{operation="createCashOut",outcome="accepted"}`: 1,
		`client.calls{operation="createCashOut",outcome="rejected"}`: 1,
		`client.call.duration{operation="createCashOut"}`:            2,
		`client.refusals{code="INSUFFICIENT_FUNDS"}`:                 1,
		`client.attempts{outcome="unknown"}`:                         2,
		`client.attempts{outcome="accepted"}`:                        1,
		`client.attempts{outcome="rejected"}`:                        1,
		`client.retries{reason="no_response"}`:                       1,
		`client.retries{reason="gateway_failed"}`:                    1,
		`token.requests{result="ok"}`:                                1,
	}, tel.collect(t))
}

// inbox is an inbox with a state.
type inbox func(context.Context) (webhook.InboxState, error)

func (i inbox) State(ctx context.Context) (webhook.InboxState, error) { return i(ctx) }

func TestTheGaugesAreReadWhenTheMetricsAreCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		state, failure := webhook.InboxState{Due: 7, Held: 2, OldestDue: time.Now()}, error(nil)
		tel.WatchInbox(inbox(func(context.Context) (webhook.InboxState, error) { return state, failure }))
		time.Sleep(time.Minute)
		assert.Equal(t, map[string]float64{"inbox.due": 7, "inbox.held": 2, "inbox.lag": 60}, tel.collect(t))
		failure = errors.New("no connection")
		assert.Equal(t, map[string]float64{`gauge.errors{source="inbox"}`: 1}, tel.collect(t))
	})
}

func TestAGaugeThatHangsDelaysTheMetricsByThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		tel.WatchInbox(inbox(func(context.Context) (webhook.InboxState, error) {
			time.Sleep(10 * time.Second)
			return webhook.InboxState{Due: 1}, nil
		}))
		begun := time.Now()
		assert.Equal(t, map[string]float64{`gauge.errors{source="inbox"}`: 1}, tel.collect(t))
		assert.Equal(t, 3*time.Second, time.Since(begun))
		time.Sleep(time.Minute) // until it has returned
	})
}

func TestACollectionThatIsCutShortIsNoFailureOfTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		tel.WatchInbox(inbox(func(ctx context.Context) (webhook.InboxState, error) {
			time.Sleep(time.Second)
			return webhook.InboxState{Due: 1}, ctx.Err()
		}))
		impatient, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		require.NoError(t, tel.metrics.Collect(impatient, new(metricdata.ResourceMetrics)))
		assert.Equal(t, map[string]float64{"inbox.due": 1}, tel.collect(t))
	})
}

// everything is an ended activity of each kind, with each metric and some values that are not in
// the lists.
var everything = []any{
	connectpsp.Call{Operation: connectpsp.OperationCreateCashOut, Outcome: connectpsp.CallUnknown, Code: connectpsp.CodeCashInExpired, Recovering: true, Duration: time.Second},
	connectpsp.Call{Operation: "createNothing", Outcome: "odd", Code: "odd", Duration: time.Hour},
	connectpsp.Attempt{Outcome: connectpsp.CallUnknown, Reason: connectpsp.RetryNoResponse, Deviation: "body"},
	connectpsp.Attempt{Outcome: connectpsp.CallUnknown, Error: "canceled"},
	connectpsp.TokenRequest{Status: 401},
	connectpsp.JournalWrite{Step: "begin", Failed: true, Duration: time.Millisecond},
	webhook.Delivery{Result: webhook.DeliveryStored, Type: webhook.CashInPaid, Duration: time.Millisecond},
	webhook.Processing{
		Kind: webhook.KindCashOut, Result: webhook.ProcessingApplied, To: webhook.StatusCompleted, Lag: time.Minute,
		MissedPayment: true, LatePayment: true, Contradiction: true, Unrequested: true, ReturnUnclear: true, Late: true, PayerDocument: "same", PayerAccount: "unchecked", Alarm: true, Panicked: true,
	},
}

// A dashboard works with either.
func TestThePrometheusExporterShowsWhatPackageMetricsShows(t *testing.T) {
	registry := prom.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry), prometheus.WithoutScopeInfo(), prometheus.WithoutTargetInfo())
	require.NoError(t, err)
	observer := connectpspotel.New(connectpspotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))))
	own := metrics.New()
	watched := inbox(func(context.Context) (webhook.InboxState, error) { return webhook.InboxState{Due: 7, Held: 2}, nil })
	client := newClient(t, startSandbox(t))
	for _, sink := range []interface {
		connectpsp.Observer
		WatchPayments(*connectpsp.Client)
		WatchInbox(interface {
			State(context.Context) (webhook.InboxState, error)
		})
	}{observer, own} {
		sink.WatchPayments(client)
		sink.WatchInbox(watched)
		for _, activity := range everything {
			sink.End(sink.Begin(t.Context(), activity), activity)
		}
	}

	exported := scrape(t, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	shown := scrape(t, own)
	assert.Greater(t, len(shown), 100)
	for n := range max(len(shown), len(exported)) {
		require.Equal(t, shown[min(n, len(shown)-1)], exported[min(n, len(exported)-1)])
	}
}

// scrape returns the lines of a scrape, sorted.
func scrape(t *testing.T, handler http.Handler) (lines []string) {
	t.Helper()
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	for _, family := range families {
		lines = append(lines, linesOf(family)...)
	}
	slices.Sort(lines)
	return lines
}

// linesOf returns the help and the type of a family, and its series with their values.
func linesOf(family *dto.MetricFamily) []string {
	lines := []string{fmt.Sprint(family.GetName(), " ", family.GetType(), " ", family.GetHelp())}
	for _, m := range family.GetMetric() {
		line := family.GetName()
		for _, label := range m.GetLabel() {
			line += fmt.Sprintf(" %s=%q", label.GetName(), label.GetValue())
		}
		line += fmt.Sprint(" ", m.GetCounter().GetValue(), m.GetGauge().GetValue(), m.GetHistogram().GetSampleCount(), m.GetHistogram().GetSampleSum())
		for _, bucket := range m.GetHistogram().GetBucket() {
			line += fmt.Sprintf(" %g:%d", bucket.GetUpperBound(), bucket.GetCumulativeCount())
		}
		lines = append(lines, line)
	}
	return lines
}
