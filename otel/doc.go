// Package connectpspotel makes OpenTelemetry spans and metrics of the activities of the [SDK]. It
// is a module of its own, so the SDK itself needs no OpenTelemetry. Its name is not otel, because a
// file that makes an [Observer] often imports go.opentelemetry.io/otel too.
//
// One [Observer] observes all parts of a process:
//
//	observer := connectpspotel.New()
//	client, err := connectpsp.New(config, connectpsp.WithObserver(observer), connectpsp.WithJournal(journal))
//	…
//	observer.WatchPayments(client) // open payments, and the age of the oldest
//	observer.WatchInbox(inbox)     // events that are due or held
//
// Give it to the Handler and the Worker of package webhook and to the stores of packages sqlstore
// and journal too. [docs/tracing.md] and [docs/metrics.md] say more.
//
// # Spans
//
//	connectpsp.createCashOut        a call, by its operation
//	  POST                          a request for a token, if the call caused one
//	  connectpsp.journal.begin      a write to the journal: begin, sent, finish
//	  POST                          each attempt; a repeat has http.request.resend_count
//	connectpsp.webhook.delivery     a request to the Handler, within the span of its server, if any
//	connectpsp.webhook.processing   an item that the Worker works on: the root of a trace
//
// Requests are spans of kind client by the semantic conventions for HTTP, all others of kind
// internal. A call that waited for the token of another call has a link to that request. A span
// that failed has the status Error, without a description, and an error.type. Attributes of the
// SDK's own have the prefix connectpsp.
//
// # Privacy
//
// Spans and metrics have no name, document, PIX key, amount, token or text of another party. Spans
// have ids of payments only with [WithIDs]. The client sends the gateway no trace context: it is
// another company.
//
// # Metrics
//
// The metrics are those of package metrics, and the Prometheus exporter of OpenTelemetry gives them
// the same names. All label values are from closed lists. Counters are there from the start, at 0.
// Gauges are read when the metrics are collected. Processes that share a database report the same
// gauges: take their max, not their sum.
//
// # Exporters
//
// Give the provider of the spans a batch processor. One that exports at the end of each span is for
// tests: if its exporter hangs, each payment under way waits once, for 50 milliseconds, and most
// spans are lost until it returns. The metrics count all activities all the same.
//
// [docs/metrics.md]: https://github.com/connectpsp/connectpsp-go/blob/main/docs/metrics.md
// [docs/tracing.md]: https://github.com/connectpsp/connectpsp-go/blob/main/docs/tracing.md
// [SDK]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go
package connectpspotel
