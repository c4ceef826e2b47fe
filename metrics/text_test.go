package metrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// rate() and increase() miss the first increment of a counter that appears with it.
func TestTheCountersOfAlertsAreThereFromTheStart(t *testing.T) {
	values := scrape(t, metrics.New())
	for _, series := range []string{
		`connectpsp_client_calls_total{operation="createCashOut",outcome="unknown"}`,
		`connectpsp_client_calls_total{operation="createCashIn",outcome="unknown"}`,
		`connectpsp_client_calls_total{operation="refundCashIn",outcome="unknown"}`,
		`connectpsp_client_recovered_total{outcome="unknown"}`,
		`connectpsp_client_refusals_total{code="INSUFFICIENT_FUNDS"}`,
		`connectpsp_contract_deviations_total{deviation="transaction"}`,
		`connectpsp_token_requests_total{result="refused"}`,
		`connectpsp_journal_failures_total{step="sent"}`,
		`connectpsp_webhook_deliveries_total{result="invalid_signature"}`,
		`connectpsp_webhook_deliveries_total{result="unavailable"}`,
		`connectpsp_webhook_processed_total{kind="CASHOUT",result="held"}`,
		`connectpsp_webhook_processed_total{kind="none",result="held"}`,
		`connectpsp_webhook_marks_total{mark="missed_payment"}`,
		`connectpsp_webhook_marks_total{mark="alarm"}`,
		`connectpsp_gauge_errors_total{source="payments"}`,
	} {
		value, there := values[series]
		assert.True(t, there && value == 0, series)
	}
	for series := range values {
		assert.NotContains(t, series, `"other"`)
	}
}

func TestAHistogramIsCumulative(t *testing.T) {
	m := metrics.New()
	for _, lag := range []time.Duration{time.Nanosecond, 100 * time.Millisecond, time.Second, 3 * time.Hour} {
		m.End(t.Context(), webhook.Processing{Kind: "CASHIN", Result: "applied", Lag: lag})
	}
	var lines []string
	for line := range strings.Lines(scrapeText(t, m)) {
		if strings.Contains(line, "webhook_lag") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	assert.Equal(t, []string{
		"# HELP connectpsp_webhook_lag_seconds Time from the delivery of an event to the moment when a worker began to apply it.",
		"# TYPE connectpsp_webhook_lag_seconds histogram",
		`connectpsp_webhook_lag_seconds_bucket{le="0.1"} 2`,
		`connectpsp_webhook_lag_seconds_bucket{le="0.5"} 2`,
		`connectpsp_webhook_lag_seconds_bucket{le="1"} 3`,
		`connectpsp_webhook_lag_seconds_bucket{le="5"} 3`,
		`connectpsp_webhook_lag_seconds_bucket{le="15"} 3`,
		`connectpsp_webhook_lag_seconds_bucket{le="60"} 3`,
		`connectpsp_webhook_lag_seconds_bucket{le="300"} 3`,
		`connectpsp_webhook_lag_seconds_bucket{le="1800"} 3`,
		`connectpsp_webhook_lag_seconds_bucket{le="7200"} 3`,
		`connectpsp_webhook_lag_seconds_bucket{le="+Inf"} 4`,
		"connectpsp_webhook_lag_seconds_sum 10801.100000001",
		"connectpsp_webhook_lag_seconds_count 4",
	}, lines)
}

func TestTheHandlerAnswersOnlyGETAndHEAD(t *testing.T) {
	server := httptest.NewServer(metrics.New())
	defer server.Close()
	for method, status := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "DELETE": 405} {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, status, response.StatusCode, method)
		if status == 200 {
			assert.Equal(t, "text/plain; version=0.0.4; charset=utf-8", response.Header.Get("Content-Type"))
		} else {
			assert.Equal(t, "GET, HEAD", response.Header.Get("Allow"))
		}
		assert.Equal(t, method == "GET", strings.Contains(string(body), "# TYPE"), method)
	}
}

func TestTwoScrapesOfTheSameCountsAreEqual(t *testing.T) {
	m := metrics.New()
	for _, operation := range []string{"getBalance", "createCashIn", "refundCashIn"} {
		m.End(t.Context(), connectpsp.Call{Operation: operation, Outcome: "accepted"})
	}
	assert.Equal(t, scrapeText(t, m), scrapeText(t, m))
}

func TestNothingIsLostBetweenConcurrentCountsAndScrapes(t *testing.T) {
	m := metrics.New()
	m.WatchInbox(inbox{webhook.InboxState{Due: 1}})
	var counting, scraping sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 2 {
		scraping.Go(func() {
			for ctx.Err() == nil {
				values := scrape(t, m)
				assert.Equal(t, values[`connectpsp_client_call_duration_seconds_bucket{operation="getBalance",le="+Inf"}`],
					values[`connectpsp_client_call_duration_seconds_count{operation="getBalance"}`])
			}
		})
	}
	for range 4 {
		counting.Go(func() {
			for range 1000 {
				m.End(ctx, connectpsp.Call{Operation: "getBalance", Outcome: "accepted", Duration: time.Second})
			}
		})
	}
	counting.Wait()
	stop()
	scraping.Wait()
	values := scrape(t, m)
	assert.EqualValues(t, 4000, values[`connectpsp_client_calls_total{operation="getBalance",outcome="accepted"}`])
	assert.EqualValues(t, 4000, values[`connectpsp_client_call_duration_seconds_count{operation="getBalance"}`])
	assert.EqualValues(t, 4000, values[`connectpsp_client_call_duration_seconds_sum{operation="getBalance"}`])
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := metrics.New()
	for _, activity := range []any{
		connectpsp.Call{Operation: "createCashOut", Outcome: "rejected", Code: "OTHER", Recovering: true},
		connectpsp.Attempt{Outcome: "unknown", Reason: "no_response"},
		webhook.Processing{Kind: "CASHIN", Result: "applied", To: "PAID", Lag: time.Second},
	} {
		assert.Zero(t, testing.AllocsPerRun(100, func() { m.End(context.Background(), activity) }), fmt.Sprintf("%T", activity))
	}
}

// inbox is an inbox of a fixed state.
type inbox struct{ state webhook.InboxState }

func (i inbox) State(context.Context) (webhook.InboxState, error) { return i.state, nil }
