package connectpspotel_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// telemetry is an Observer with what it exports.
type telemetry struct {
	*connectpspotel.Observer
	tracers *sdktrace.TracerProvider
	spans   *tracetest.InMemoryExporter
	metrics *sdkmetric.ManualReader
}

func newTelemetry(t *testing.T, options ...connectpspotel.Option) *telemetry {
	t.Helper()
	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	options = append(options, connectpspotel.WithTracerProvider(tracers), connectpspotel.WithMeterProvider(meters))
	return &telemetry{connectpspotel.New(options...), tracers, spans, reader}
}

// tree returns the names of the spans in the order of their ends, each after those of its parents.
func (tel *telemetry) tree() (paths []string) {
	spans := tel.spans.GetSpans()
	names := map[string]string{}
	parents := map[string]string{}
	for _, span := range spans {
		id := span.SpanContext.SpanID().String()
		names[id], parents[id] = span.Name, span.Parent.SpanID().String()
	}
	for _, span := range spans {
		path := []string{}
		for id := span.SpanContext.SpanID().String(); names[id] != ""; id = parents[id] {
			path = append([]string{names[id]}, path...)
		}
		paths = append(paths, strings.Join(path, " > "))
	}
	return paths
}

// named returns the spans of a name in the order of their ends.
func (tel *telemetry) named(name string) (spans tracetest.SpanStubs) {
	for _, span := range tel.spans.GetSpans() {
		if span.Name == name {
			spans = append(spans, span)
		}
	}
	return spans
}

// attributesOf returns the attributes of a span.
func attributesOf(span tracetest.SpanStub) map[string]any {
	attributes := map[string]any{}
	for _, a := range span.Attributes {
		attributes[string(a.Key)] = a.Value.AsInterface()
	}
	return attributes
}

func startSandbox(t *testing.T, options ...sandbox.Option) *sandbox.Sandbox {
	t.Helper()
	gateway, err := sandbox.Start(options...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, gateway.Close()) })
	return gateway
}

// newClient returns a client of a sandbox that makes three attempts.
func newClient(t *testing.T, gateway *sandbox.Sandbox, options ...connectpsp.Option) *connectpsp.Client {
	t.Helper()
	client, err := connectpsp.New(gateway.Config(), append([]connectpsp.Option{
		connectpsp.WithHTTPClient(gateway.HTTPClient()), connectpsp.WithLogger(slog.New(slog.DiscardHandler)),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}),
	}, options...)...)
	require.NoError(t, err)
	return client
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
