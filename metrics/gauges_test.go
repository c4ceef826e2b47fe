package metrics_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestAScrapeShowsTheOpenPaymentsAndTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, m := startSandbox(t), metrics.New()
		client := newClient(t, gateway)
		m.WatchPayments(client)
		assert.Equal(t, map[string]float64{
			`connectpsp_payments_open{state="begun"}`: 0, `connectpsp_payments_open{state="sent"}`: 0,
			"connectpsp_payments_oldest_age_seconds": 0, "connectpsp_payments_overdue": 0,
		}, gaugesOf(t, m))
		require.NoError(t, gateway.FailNext("createCashOut", sandbox.LoseAnswer, sandbox.LoseAnswer))
		begun := time.Now()
		_, err := client.CreateCashOut(t.Context(), withdrawal("w-1"))
		require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
		time.Sleep(time.Hour)
		assert.Equal(t, map[string]float64{
			`connectpsp_payments_open{state="begun"}`: 0, `connectpsp_payments_open{state="sent"}`: 1,
			"connectpsp_payments_oldest_age_seconds": time.Since(begun).Seconds(), "connectpsp_payments_overdue": 0,
		}, gaugesOf(t, m))
	})
}

func TestAScrapeShowsTheInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New()
		m.WatchInbox(inbox{webhook.InboxState{Due: 3, Held: 2, OldestDue: time.Now().Add(-90 * time.Second)}})
		assert.Equal(t, map[string]float64{
			"connectpsp_inbox_due": 3, "connectpsp_inbox_held": 2, "connectpsp_inbox_lag_seconds": 90,
		}, gaugesOf(t, m))
	})
}

func TestAnInboxThatHangsDelaysAScrapeByThreeSecondsAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New()
		m.WatchInbox(hangingInbox{})
		for n := range 2 {
			begun := time.Now()
			values := scrape(t, m)
			assert.LessOrEqual(t, time.Since(begun), 3*time.Second)
			assert.EqualValues(t, n+1, values[`connectpsp_gauge_errors_total{source="inbox"}`])
			assert.NotContains(t, values, "connectpsp_inbox_due", "an old value would look like a good one")
			assert.Contains(t, values, `connectpsp_client_calls_total{operation="createCashOut",outcome="unknown"}`)
		}
		time.Sleep(10 * time.Second) // until it returns
	})
}

func TestAScraperThatHangsUpIsNoFailureOfTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New()
		m.WatchInbox(slowInbox(5 * time.Millisecond))
		left, leave := context.WithCancel(t.Context())
		leave()
		m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(left, http.MethodGet, "/metrics", nil))
		values := scrape(t, m)
		assert.Zero(t, values[`connectpsp_gauge_errors_total{source="inbox"}`])
		assert.Contains(t, values, "connectpsp_inbox_held")
	})
}

func TestAScrapeShowsNoValueOfAReadThatTookTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New()
		m.WatchInbox(slowInbox(7 * time.Second))
		for n := range 2 {
			values := scrape(t, m)
			assert.NotContains(t, values, "connectpsp_inbox_held", "a value of %d seconds ago", 6*n)
			assert.EqualValues(t, n+1, values[`connectpsp_gauge_errors_total{source="inbox"}`])
			time.Sleep(3 * time.Second)
		}
	})
}

// slowInbox takes that long, and ignores its context.
type slowInbox time.Duration

func (i slowInbox) State(context.Context) (webhook.InboxState, error) {
	time.Sleep(time.Duration(i))
	return webhook.InboxState{}, nil
}

// hangingInbox ignores its context, as a driver may.
type hangingInbox struct{}

func (hangingInbox) State(context.Context) (webhook.InboxState, error) {
	time.Sleep(10 * time.Second)
	return webhook.InboxState{}, errors.New("too late")
}

// gaugesOf returns the gauges of a scrape.
func gaugesOf(t *testing.T, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	gauges := map[string]float64{}
	for series, value := range scrape(t, m) {
		if strings.HasPrefix(series, "connectpsp_payments_") || strings.HasPrefix(series, "connectpsp_inbox_") {
			gauges[series] = value
		}
	}
	return gauges
}
