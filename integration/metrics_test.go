package integration

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/measure"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// Prometheus's own parser reads what package metrics writes.
func TestPrometheusReadsEveryMetric(t *testing.T) {
	m := metrics.New()
	for _, activity := range []any{
		connectpsp.Call{Operation: "createCashOut", Outcome: "unknown", Duration: 200 * time.Millisecond},
		connectpsp.Call{Operation: "createCashOut", Outcome: "another", Duration: time.Hour},
		connectpsp.JournalWrite{Step: "begin", Duration: time.Millisecond},
		webhook.Delivery{Result: "stored", Type: "CASHIN_PAID"},
		webhook.Processing{Kind: "CASHIN", Result: "applied", To: "PAID", Lag: time.Second},
	} {
		m.End(t.Context(), activity)
	}
	gateway, err := sandbox.Start()
	require.NoError(t, err)
	defer gateway.Close()
	client, err := connectpsp.New(gateway.Config())
	require.NoError(t, err)
	m.WatchPayments(client)
	m.WatchInbox(webhook.NewMemoryInbox())
	response := httptest.NewRecorder()
	m.ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))

	assert.Equal(t, expfmt.TypeTextPlain, expfmt.Format(response.Header().Get("Content-Type")).FormatType())
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	assert.Len(t, families, len(measure.Table))
	for _, metric := range measure.Table {
		family := families[metric.PrometheusName()]
		require.NotNil(t, family, metric.Name)
		assert.Equal(t, strings.ToUpper(metric.Kind.String()), family.GetType().String(), metric.Name)
		assert.Equal(t, metric.Help, family.GetHelp())
		for _, series := range family.Metric {
			var labels []string
			for _, label := range series.Label {
				labels = append(labels, label.GetName())
			}
			assert.Equal(t, labelNames(metric), labels, metric.Name)
		}
	}
	durations := families["connectpsp_client_call_duration_seconds"].Metric
	require.Len(t, durations, 1)
	assert.EqualValues(t, 2, durations[0].Histogram.GetSampleCount())
	assert.EqualValues(t, 3600.2, durations[0].Histogram.GetSampleSum())
	var counts []uint64
	for _, bucket := range durations[0].Histogram.Bucket {
		counts = append(counts, bucket.GetCumulativeCount())
	}
	assert.Equal(t, []uint64{0, 0, 1, 1, 1, 1, 1, 1, 2}, counts)
}

func labelNames(metric measure.Metric) (names []string) {
	for _, label := range metric.Labels {
		names = append(names, label.Name)
	}
	return names
}
