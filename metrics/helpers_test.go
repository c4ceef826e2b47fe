package metrics_test

import (
	"bufio"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// scrape returns the values of a scrape, by series as they are written.
func scrape(t *testing.T, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	return valuesOf(t, scrapeText(t, m))
}

func scrapeText(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	response := httptest.NewRecorder()
	m.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	assert.Equal(t, http.StatusOK, response.Code)
	return response.Body.String()
}

func valuesOf(t *testing.T, text string) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		end := strings.LastIndexByte(lines.Text(), ' ')
		value, err := strconv.ParseFloat(lines.Text()[end+1:], 64)
		assert.NoError(t, err)
		assert.NotContains(t, values, lines.Text()[:end], "each series is written once")
		values[lines.Text()[:end]] = value
	}
	return values
}

// changes returns the counters of a scrape that are not 0, without the prefix connectpsp_, and how
// many values each histogram has.
func changes(t *testing.T, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	counts := map[string]float64{}
	for series, value := range scrape(t, m) {
		name, _, _ := strings.Cut(series, "{")
		if value != 0 && (strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_count")) {
			counts[strings.TrimPrefix(series, "connectpsp_")] = value
		}
	}
	return counts
}

func startSandbox(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	gateway, err := sandbox.Start(sandbox.WithMemoryNetwork())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, gateway.Close()) })
	return gateway
}

// newClient returns a client of a gateway that is not on the network. It makes two attempts.
func newClient(t *testing.T, gateway *sandbox.Sandbox, options ...connectpsp.Option) *connectpsp.Client {
	t.Helper()
	client, err := connectpsp.New(gateway.Config(), append([]connectpsp.Option{
		connectpsp.WithHTTPClient(gateway.HTTPClient()), connectpsp.WithLogger(slog.New(slog.DiscardHandler)),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 2}),
	}, options...)...)
	require.NoError(t, err)
	return client
}

func charge(reference string) connectpsp.CashInRequest {
	return connectpsp.CashInRequest{
		Amount: pix.Centavos(1050), ExternalReference: reference, WebhookURL: "https://example.com/webhooks",
		Payer: connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
	}
}

func withdrawal(reference string) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount: pix.Centavos(1050), ExternalReference: reference, WebhookURL: "https://example.com/webhooks",
		Payee: connectpsp.Payee{
			Name: "Maria Silva", Document: "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909"),
		},
	}
}
