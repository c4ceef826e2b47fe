// Package metrics counts the activities of the SDK, and shows them to Prometheus. It needs only the
// standard library. The module [otel] has the same metrics for OpenTelemetry.
//
// One [Metrics] observes all parts of a process:
//
//	m := metrics.New()
//	client, err := connectpsp.New(config, connectpsp.WithObserver(m), connectpsp.WithJournal(journal))
//	…
//	m.WatchPayments(client) // open payments, and the age of the oldest
//	m.WatchInbox(inbox)     // events that are due or held
//	mux.Handle("GET /metrics", m)
//
// Give it to the Handler and the Worker of package webhook and to the stores of packages sqlstore
// and journal too. [docs/metrics.md] lists the metrics.
//
// # Series
//
// All label values are from closed lists: operations, outcomes, published codes. So no metric has
// an id, a name, a document or the text of another party, and the number of series is bounded:
// calls, attempts, tokens and the journal have fewer than 200. A value that is not in its list is
// counted as "other".
//
// Counters are there from the start, at 0. Otherwise rate() and increase() miss the first
// unknown outcome.
//
// # Gauges
//
// The gauges are read from the database when Prometheus scrapes, for 3 seconds at most. Gauges that
// cannot be read by then are missing from the scrape, and connectpsp_gauge_errors_total counts
// them: an old value would look like a good one. A scraper that hangs up is no error.
//
// Processes that share a database report the same gauges: take their max, not their sum. Processes
// that have a journal each, in a file or in memory, report their own payments: sum those.
//
// [docs/metrics.md]: https://github.com/connectpsp/connectpsp-go/blob/main/docs/metrics.md
// [otel]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/otel
package metrics
