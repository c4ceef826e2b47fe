package connectpspotel

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

const scope = "github.com/connectpsp/connectpsp-go/otel"

var _ connectpsp.Observer = (*Observer)(nil)

// Observer makes spans and metrics of the activities of the SDK. It is a [connectpsp.Observer].
// Make one with [New], and use it for all clients, handlers, workers and journals of the process.
// Goroutines may share it.
type Observer struct {
	tracer      trace.Tracer
	spans       spans
	tokens      tokenSpans
	ender       ender
	instruments *instruments
}

// Option is an option of [New].
type Option func(*settings)

type settings struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
	spans   spans
}

// WithTracerProvider sets the provider of the spans. Without it, or if it is nil, it is the global
// one, [otel.GetTracerProvider].
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(s *settings) { s.tracers = provider }
}

// WithMeterProvider sets the provider of the metrics. Without it, or if it is nil, it is the global
// one, [otel.GetMeterProvider]: set that before you call [New], or counters are missing until their
// first increment.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(s *settings) { s.meters = provider }
}

// WithIDs adds the ids of payments to the spans: the external reference, the idempotency key, the
// transaction id and the id of a delivery. Leave it out if references are personal data, such as a
// CPF, or if others than your own staff read the traces. Metrics never have ids.
func WithIDs() Option {
	return func(s *settings) { s.spans.ids = true }
}

// WithURLTemplate adds the attribute url.template, such as /cash-in/{id}, to the spans of requests,
// and the path to their names: "GET /cash-in/{id}" in place of "GET". OpenTelemetry has not
// declared the attribute stable.
func WithURLTemplate() Option {
	return func(s *settings) { s.spans.template = true }
}

// New returns an Observer. An instrument that the provider of the metrics refuses is reported to
// [otel.Handle], and is missing from the metrics.
func New(options ...Option) *Observer {
	var s settings
	for _, option := range options {
		option(&s)
	}
	if s.tracers == nil {
		s.tracers = otel.GetTracerProvider()
	}
	if s.meters == nil {
		s.meters = otel.GetMeterProvider()
	}
	return &Observer{
		tracer:      s.tracers.Tracer(scope, trace.WithInstrumentationVersion(connectpsp.Version), trace.WithSchemaURL(semconv.SchemaURL)),
		spans:       s.spans,
		instruments: newInstruments(s.meters.Meter(scope, metric.WithInstrumentationVersion(connectpsp.Version), metric.WithSchemaURL(semconv.SchemaURL))),
	}
}

// spanKey is the key of the span of an activity in its context. Another Observer has another, and
// so ends no span of this one.
type spanKey struct{ *Observer }

// Begin starts the span of an activity, and returns the context that has it. An activity of a type
// that it does not know has none.
func (o *Observer) Begin(ctx context.Context, activity any) context.Context {
	begin := o.spans.begin(activity)
	if begin.name == "" {
		return context.WithValue(ctx, spanKey{o}, noSpan) // or End would end that of an outer activity
	}
	cause := o.span(ctx).SpanContext()
	ctx, span := o.tracer.Start(ctx, begin.name, begin.options...)
	if request, is := activity.(connectpsp.TokenRequest); is {
		o.tokens.add(request.Number, tokenSpan{cause, span.SpanContext()})
	}
	return context.WithValue(ctx, spanKey{o}, span)
}

// End ends the span of an activity, and counts the activity. It counts also while the processor of
// the spans hangs.
func (o *Observer) End(ctx context.Context, activity any) {
	o.instruments.count(ctx, activity)
	span := o.span(ctx)
	if call, is := activity.(connectpsp.Call); is {
		o.link(span, call.Token)
	}
	o.spans.complete(span, activity)
	o.ender.end(span)
}

// span returns the span that Begin has put into a context, one that records nothing if there is
// none.
func (o *Observer) span(ctx context.Context) trace.Span {
	if span, is := ctx.Value(spanKey{o}).(trace.Span); is {
		return span
	}
	return noSpan
}

// noSpan is a span that records nothing.
var noSpan = trace.SpanFromContext(context.Background())

// link links the span of a call to the request for a token that it waited for. The request that it
// caused itself is its child.
func (o *Observer) link(span trace.Span, number int64) {
	if token, known := o.tokens.of(number); known && !token.cause.Equal(span.SpanContext()) {
		span.AddLink(trace.Link{SpanContext: token.own})
	}
}
