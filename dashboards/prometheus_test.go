package dashboards

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"
)

// scrapeInterval is Prometheus's default, and the longest that alerts.yaml assumes. Rules are
// evaluated as often.
const scrapeInterval = time.Minute

// scrape is the text that a process returned to Prometheus.
type scrape struct {
	at       time.Time
	instance string
	text     []byte
}

var promQL = parser.NewParser(parser.Options{})

// prometheus is Prometheus's database and engine, filled from scrapes.
type prometheus struct {
	t       *testing.T
	storage *teststorage.TestStorage
	engine  *promql.Engine
}

func newPrometheus(t *testing.T, scrapes []scrape) *prometheus {
	t.Helper()
	p := &prometheus{t: t, storage: teststorage.New(t), engine: promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: promQL,
	})}
	t.Cleanup(func() { _ = p.engine.Close() })
	for _, s := range scrapes {
		p.store(s)
	}
	return p
}

// store stores a scrape, and adds the labels of its target as Prometheus does.
func (p *prometheus) store(s scrape) {
	p.t.Helper()
	appender := p.storage.Appender(p.t.Context())
	for series, value := range samplesOf(p.t, s.text) {
		target := labels.NewBuilder(series).Set("job", "payments").Set("instance", s.instance).Labels()
		_, err := appender.Append(0, target, s.at.UnixMilli(), value)
		require.NoError(p.t, err)
	}
	require.NoError(p.t, appender.Commit())
}

// samplesOf iterates over the samples of a scrape.
func samplesOf(t *testing.T, text []byte) func(yield func(labels.Labels, float64) bool) {
	t.Helper()
	return func(yield func(labels.Labels, float64) bool) {
		parser := textparse.NewPromParser(text, labels.NewSymbolTable(), false)
		for {
			entry, err := parser.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			require.NoError(t, err)
			if entry != textparse.EntrySeries {
				continue
			}
			var series labels.Labels
			parser.Labels(&series)
			_, _, value := parser.Series()
			if !yield(series, value) {
				return
			}
		}
	}
}

// ask evaluates an expression at a time.
func (p *prometheus) ask(expression string, at time.Time) promql.Vector {
	p.t.Helper()
	query, err := p.engine.NewInstantQuery(p.t.Context(), p.storage, nil, expression, at)
	require.NoError(p.t, err, expression)
	defer query.Close()
	result, err := query.Exec(p.t.Context()).Vector()
	require.NoError(p.t, err, expression)
	return append(promql.Vector(nil), result...) // Close recycles it
}

// graph evaluates an expression over a time.
func (p *prometheus) graph(expression string, from, to time.Time, step time.Duration) promql.Matrix {
	p.t.Helper()
	query, err := p.engine.NewRangeQuery(p.t.Context(), p.storage, nil, expression, from, to, step)
	require.NoError(p.t, err, expression)
	defer query.Close()
	result, err := query.Exec(p.t.Context()).Matrix()
	require.NoError(p.t, err, expression)
	kept := make(promql.Matrix, len(result))
	for n, series := range result {
		kept[n] = promql.Series{Metric: series.Metric, Floats: append([]promql.FPoint(nil), series.Floats...)}
	}
	return kept
}

// readRules reads alerts.yaml, as strictly as Prometheus does.
func readRules(t *testing.T) (all []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.ParseFile("alerts.yaml", false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	for _, group := range groups.Groups {
		all = append(all, group.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// fired is an alert that rang.
type fired struct {
	at          time.Time
	annotations labels.Labels
}

// ring evaluates all rules after each scrape, and returns the alerts that ring, by their names,
// each as it rang first.
func (p *prometheus) ring(from, to time.Time) map[string]fired {
	p.t.Helper()
	query := rules.EngineQueryFunc(p.engine, p.storage)
	rang := map[string]fired{}
	for _, rule := range readRules(p.t) {
		expression, err := promQL.ParseExpr(rule.Expr)
		require.NoError(p.t, err)
		alert := rules.NewAlertingRule(rule.Alert, expression, time.Duration(rule.For), time.Duration(rule.KeepFiringFor),
			labels.FromMap(rule.Labels), labels.FromMap(rule.Annotations), labels.EmptyLabels(), "", true, slog.New(slog.DiscardHandler))
		for at := from; !at.After(to); at = at.Add(scrapeInterval) {
			_, err := alert.Eval(context.WithoutCancel(p.t.Context()), 0, at, query, nil, 0)
			require.NoError(p.t, err, rule.Alert)
			for _, one := range alert.ActiveAlerts() {
				if _, before := rang[rule.Alert]; one.State == rules.StateFiring && !before {
					rang[rule.Alert] = fired{at, one.Annotations}
				}
			}
		}
	}
	return rang
}
