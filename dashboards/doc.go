// Package dashboards tests connectpsp.json, a dashboard for Grafana, and alerts.yaml, alert rules
// for Prometheus, with Prometheus's own engine: every name in them is in a scrape, each alert rings
// when its condition is made in the sandbox, and the runbook has each alert. Grafana itself is not
// run.
//
// It is a module of its own because it needs Prometheus. [docs/metrics.md] of the [SDK] says how to
// use the two files, and [docs/runbook.md] what to do about each alert.
//
// [docs/metrics.md]: https://github.com/connectpsp/connectpsp-go/blob/main/docs/metrics.md
// [docs/runbook.md]: https://github.com/connectpsp/connectpsp-go/blob/main/docs/runbook.md
// [SDK]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go
package dashboards
