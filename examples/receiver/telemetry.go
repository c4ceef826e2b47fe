package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/connectpsp/connectpsp-go/metrics"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// The trace of a deposit begins with the request for its charge. The deliveries of its webhooks and
// what these change in the wallets are traces of their own, with a link to that span, which the row
// of the deposit carries.

// startTracing prints all spans to out if OTEL_TRACES_EXPORTER is console. In production give the
// provider the exporter of your collector instead, such as otlptracehttp.New, also in batches: then
// no payment waits for it. Call stop after the last span.
func startTracing(out io.Writer) (stop func(), err error) {
	if os.Getenv("OTEL_TRACES_EXPORTER") != "console" {
		return func() {}, nil
	}
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(out))
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = provider.Shutdown(ctx)
	}, nil
}

// startSpan starts a span of the shop. End it.
func startSpan(ctx context.Context, name string) (context.Context, trace.Span) {
	return otel.Tracer("github.com/connectpsp/connectpsp-go/examples/receiver").Start(ctx, name)
}

// traceparent returns the span of ctx in W3C's form, empty if it has none.
func traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// link links the span of ctx to that of a traceparent. An empty one changes nothing.
func link(ctx context.Context, traceparent string) {
	linked := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": traceparent})
	trace.SpanFromContext(ctx).AddLink(trace.LinkFromContext(linked))
}

// openPostgres opens a database whose statements have spans: their text, and never their values.
func openPostgres(address string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.Tracer = otelpgx.NewTracer(otelpgx.WithDisableConnectionDetailsInAttributes())
	return stdlib.OpenDB(*config), nil
}

// telemetry is the [connectpsp.Observer] of all parts of the SDK: it makes their spans, and counts
// for Prometheus.
type telemetry struct {
	spans   *connectpspotel.Observer
	metrics *metrics.Metrics
	server  *http.Server // of /metrics
}

// newTelemetry returns a telemetry for the global provider of spans. The spans have ids: do not put
// personal data into references.
func newTelemetry() *telemetry {
	return &telemetry{connectpspotel.New(connectpspotel.WithIDs()), metrics.New(), &http.Server{ReadHeaderTimeout: 5 * time.Second}}
}

// Begin implements [connectpsp.Observer].
func (t *telemetry) Begin(ctx context.Context, activity any) context.Context {
	return t.spans.Begin(ctx, activity)
}

// End implements [connectpsp.Observer].
func (t *telemetry) End(ctx context.Context, activity any) {
	t.metrics.End(ctx, activity)
	t.spans.End(ctx, activity)
}

// serve serves /metrics at an address until close, and does nothing if that is empty. It tells how
// many payments you make: use a port that the internet does not reach.
func (t *telemetry) serve(address string) error {
	if address == "" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.Handle("GET /metrics", t.metrics)
	t.server.Handler = routes
	go func() { _ = t.server.Serve(listener) }()
	return nil
}

func (t *telemetry) close() { _ = t.server.Close() }

// linkedInbox is the inbox of the handler. It links the span of a delivery to that of its deposit.
type linkedInbox struct {
	*sqlstore.Inbox
	db *sql.DB
}

// Put implements [webhook.Inbox].
func (i linkedInbox) Put(ctx context.Context, item webhook.Item) (earlier *webhook.Digest, err error) {
	if trace.SpanFromContext(ctx).IsRecording() {
		var event struct {
			Data struct{ ExternalReference string }
		}
		var traceparent string
		_ = json.Unmarshal(item.Body, &event) // an event that cannot be read, or of no deposit, has no link
		_ = i.db.QueryRowContext(ctx, `SELECT traceparent FROM deposit WHERE external_reference = $1`,
			event.Data.ExternalReference).Scan(&traceparent)
		link(ctx, traceparent)
	}
	return i.Inbox.Put(ctx, item)
}
