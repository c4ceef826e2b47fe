package connectpspotel

import (
	"net"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// spans describes activities as spans.
type spans struct{ ids, template bool }

// begin is the start of a span. It has no name if there is to be none.
type begin struct {
	name    string
	options []trace.SpanStartOption
}

func (s spans) begin(activity any) begin {
	switch a := activity.(type) {
	case connectpsp.Call:
		return start("connectpsp."+a.Operation, trace.SpanKindInternal, operation(a.Operation))
	case connectpsp.Attempt:
		return s.request(a.Method, a.Server, a.Path, a.Number, operation(a.Operation))
	case connectpsp.TokenRequest:
		return s.request("POST", a.Server, "/auth/token", 1, operation(connectpsp.OperationAuthToken))
	case connectpsp.JournalWrite:
		return start("connectpsp.journal."+a.Step, trace.SpanKindInternal)
	case webhook.Delivery:
		return start("connectpsp.webhook.delivery", trace.SpanKindInternal)
	case webhook.Processing:
		// A worker runs as long as its process does: a trace of that would never end.
		b := start("connectpsp.webhook.processing", trace.SpanKindInternal)
		b.options = append(b.options, trace.WithNewRoot())
		return b
	default:
		return begin{}
	}
}

func start(name string, kind trace.SpanKind, attributes ...attribute.KeyValue) begin {
	return begin{name, []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attributes...)}}
}

// request begins the span of an HTTP request, by the semantic conventions. It has no url.full,
// because paths have ids.
func (s spans) request(method, server, path string, number int, attributes ...attribute.KeyValue) begin {
	name := method
	attributes = append(attributes, semconv.HTTPRequestMethodKey.String(method))
	attributes = append(attributes, address(server)...)
	if number > 1 {
		attributes = append(attributes, semconv.HTTPRequestResendCount(number-1))
	}
	if s.template {
		name += " " + path
		attributes = append(attributes, semconv.URLTemplate(path))
	}
	return start(name, trace.SpanKindClient, attributes...)
}

// address returns the attributes of a host with or without a port. Without one it is that of https:
// only a sandbox may have a URL of http, and that has a port.
func address(server string) []attribute.KeyValue {
	host, digits, err := net.SplitHostPort(server)
	if err != nil {
		return []attribute.KeyValue{semconv.ServerAddress(server), semconv.ServerPort(443)}
	}
	port, _ := strconv.Atoi(digits)
	return []attribute.KeyValue{semconv.ServerAddress(host), semconv.ServerPort(port)}
}

// complete gives a span what is known at the end of its activity. It does not end the span.
func (s spans) complete(span trace.Span, activity any) {
	var e ending
	switch a := activity.(type) {
	case connectpsp.Call:
		e = s.call(a)
	case connectpsp.Attempt:
		e = attempt(a)
	case connectpsp.TokenRequest:
		e.response(a.Status, a.Error)
	case connectpsp.JournalWrite:
		if a.Failed {
			e.failure = "failed"
		}
	case webhook.Delivery:
		e = s.delivery(a)
	case webhook.Processing:
		e = s.processing(a)
	}
	if e.failure != "" {
		e.add(string(semconv.ErrorTypeKey), e.failure)
		span.SetStatus(codes.Error, "")
	}
	span.SetAttributes(e.attributes...)
}

// ending is the end of a span. Failure is the error.type, empty if the activity did not fail.
type ending struct {
	attributes []attribute.KeyValue
	failure    string
}

func (s spans) call(a connectpsp.Call) (e ending) {
	e.add("connectpsp.outcome", string(a.Outcome))
	e.add("connectpsp.code", string(a.Code))
	e.attributes = append(e.attributes, attribute.Int("connectpsp.attempts", a.Attempts))
	e.mark("connectpsp.recovering", a.Recovering)
	if s.ids {
		e.add("connectpsp.external_reference", a.ExternalReference)
		e.add("connectpsp.idempotency_key", a.IdempotencyKey)
		e.add("connectpsp.transaction_id", a.TransactionID)
	}
	if a.Outcome != connectpsp.CallAccepted && a.Outcome != connectpsp.CallSettled {
		e.failure = string(a.Outcome)
	}
	return e
}

func attempt(a connectpsp.Attempt) (e ending) {
	e.add("connectpsp.outcome", string(a.Outcome))
	e.add("connectpsp.code", string(a.Code))
	e.add("connectpsp.retry.reason", string(a.Reason))
	e.add("connectpsp.deviation", a.Deviation)
	e.response(a.Status, a.Error)
	if e.failure == "" && a.Outcome != connectpsp.CallAccepted {
		e.failure = string(a.Outcome) // a redirect, or a 2xx that cannot be read
	}
	return e
}

func (s spans) delivery(a webhook.Delivery) (e ending) {
	e.add("connectpsp.result", string(a.Result))
	e.add("connectpsp.event_type", string(a.Type))
	e.attributes = append(e.attributes, semconv.HTTPResponseStatusCode(a.Status))
	if s.ids && a.TransactionID != "" { // it was signed: otherwise anybody can write into the traces
		e.add("connectpsp.transaction_id", a.TransactionID)
		e.add("connectpsp.delivery_id", a.DeliveryID)
	}
	if a.Status >= 500 { // by the conventions a 4xx is the client's failure, and not the server's
		e.failure = string(a.Result)
	}
	return e
}

func (s spans) processing(a webhook.Processing) (e ending) {
	e.add("connectpsp.kind", string(a.Kind))
	e.add("connectpsp.result", string(a.Result))
	e.add("connectpsp.from", string(a.From))
	e.add("connectpsp.to", string(a.To))
	e.attributes = append(e.attributes, attribute.Int("connectpsp.attempt", a.Attempt), attribute.Float64("connectpsp.lag", a.Lag.Seconds()))
	e.mark("connectpsp.missed_payment", a.MissedPayment)
	e.mark("connectpsp.late_payment", a.LatePayment)
	e.mark("connectpsp.contradiction", a.Contradiction)
	e.mark("connectpsp.unrequested_return", a.Unrequested)
	e.mark("connectpsp.return_unclear", a.ReturnUnclear)
	e.mark("connectpsp.late", a.Late)
	e.mark("connectpsp.alarm", a.Alarm)
	e.add("connectpsp.payer.document", a.PayerDocument)
	e.add("connectpsp.payer.account", a.PayerAccount)
	if s.ids {
		e.add("connectpsp.transaction_id", a.TransactionID)
		e.add("connectpsp.external_reference", a.ExternalReference)
	}
	switch {
	case a.Panicked:
		e.failure = "panic"
	case a.Result == webhook.ProcessingRetried, a.Result == webhook.ProcessingHeld, a.Result == webhook.ProcessingLost:
		e.failure = string(a.Result)
	}
	return e
}

func operation(id connectpsp.Operation) attribute.KeyValue {
	return attribute.String("connectpsp.operation", id)
}

// add adds an attribute, unless it is empty.
func (e *ending) add(key, value string) {
	if value != "" {
		e.attributes = append(e.attributes, attribute.String(key, value))
	}
}

// mark adds an attribute that is true.
func (e *ending) mark(key string, marked bool) {
	if marked {
		e.attributes = append(e.attributes, attribute.Bool(key, true))
	}
}

// response adds the end of an HTTP request: a status, which is 0 if no response came, and the kind
// of failure, which is empty if the response was whole.
func (e *ending) response(status int, failure string) {
	if status > 0 {
		e.attributes = append(e.attributes, semconv.HTTPResponseStatusCode(status))
	}
	if e.failure = failure; status >= 400 {
		e.failure = strconv.Itoa(status)
	}
}
