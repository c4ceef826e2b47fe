// Package dashboards tests connectpsp.json, a dashboard for Grafana, and alerts.yaml, alert rules
// for Prometheus, with Prometheus's own engine: every name in them is in a scrape, each alert rings
// when its condition is made in the sandbox, and the runbook has each alert. Grafana itself is not
// run.
//
// It is a module of its own because it needs Prometheus.
package dashboards
