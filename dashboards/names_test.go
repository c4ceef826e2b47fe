package dashboards

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
)

// names are the metrics of a scrape, with the values of their labels.
type names map[string]map[string][]string

func namesOf(t *testing.T, text []byte) names {
	t.Helper()
	all := names{}
	for series := range samplesOf(t, text) {
		metric := series.Get(model.MetricNameLabel)
		if all[metric] == nil {
			// Prometheus adds these to every series.
			all[metric] = map[string][]string{"job": nil, "instance": nil}
		}
		series.Range(func(label labels.Label) {
			if label.Name != model.MetricNameLabel && !slices.Contains(all[metric][label.Name], label.Value) {
				all[metric][label.Name] = append(all[metric][label.Name], label.Value)
			}
		})
	}
	return all
}

// faults returns what is wrong with the names of an expression.
func (n names) faults(expression string) (faults []string) {
	parsed, err := promQL.ParseExpr(expression)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			faults = append(faults, n.faultsOfSelector(node)...)
		case *parser.AggregateExpr:
			faults = append(faults, n.faultsOfGrouping(node)...)
		}
		return nil
	})
	return faults
}

func (n names) faultsOfSelector(selector *parser.VectorSelector) (faults []string) {
	has, ok := n[selector.Name]
	if !ok {
		return []string{"there is no metric " + selector.Name}
	}
	for _, matcher := range selector.LabelMatchers {
		values, ok := has[matcher.Name]
		switch {
		case matcher.Name == model.MetricNameLabel || matcher.Name == "job":
		case !ok:
			faults = append(faults, fmt.Sprintf("%s has no label %s", selector.Name, matcher.Name))
		default:
			for _, value := range alternatives(matcher) {
				if !slices.Contains(values, value) {
					faults = append(faults, fmt.Sprintf("%s has no %s=%q", selector.Name, matcher.Name, value))
				}
			}
		}
	}
	return faults
}

// alternatives are the values that a matcher names.
func alternatives(matcher *labels.Matcher) []string {
	if matcher.Type == labels.MatchRegexp || matcher.Type == labels.MatchNotRegexp {
		return strings.Split(matcher.Value, "|")
	}
	return []string{matcher.Value}
}

// faultsOfGrouping finds labels after by that one of the metrics does not have.
func (n names) faultsOfGrouping(aggregate *parser.AggregateExpr) (faults []string) {
	for _, label := range aggregate.Grouping {
		parser.Inspect(aggregate.Expr, func(node parser.Node, _ []parser.Node) error {
			selector, ok := node.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			if _, has := n[selector.Name][label]; n[selector.Name] != nil && !has {
				faults = append(faults, fmt.Sprintf("%s has no label %s to sum by", selector.Name, label))
			}
			return nil
		})
	}
	return faults
}

// faultsOfFleet finds what is wrong in a fleet, where each process counts its own work, and all
// report the gauges of one database.
func faultsOfFleet(expression string) (faults []string) {
	parsed, err := promQL.ParseExpr(expression)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(parsed, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		var function string
		var aggregate parser.ItemType
		for _, outer := range path {
			switch outer := outer.(type) {
			case *parser.Call:
				if outer.Func.Name != "histogram_quantile" {
					function = outer.Func.Name
				}
			case *parser.AggregateExpr:
				aggregate = outer.Op
			}
		}
		counts := strings.HasSuffix(selector.Name, "_total") || strings.HasSuffix(selector.Name, "_bucket")
		switch {
		case function == "absent":
		case counts && (aggregate != parser.SUM || function != "rate" && function != "increase"):
			faults = append(faults, selector.Name+" is a counter: sum its rate or its increase")
		case !counts && aggregate != parser.MAX:
			faults = append(faults, selector.Name+" is a gauge: take its max")
		}
		return nil
	})
	return faults
}

// faultsOfText finds labels that a text of a rule or a legend has, and the expression does not
// keep.
func faultsOfText(expression, text string) (faults []string) {
	parsed, err := promQL.ParseExpr(expression)
	if err != nil {
		return []string{err.Error()}
	}
	for _, match := range regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`).FindAllStringSubmatch(text, -1) {
		kept := false
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			if aggregate, ok := node.(*parser.AggregateExpr); ok && slices.Contains(aggregate.Grouping, match[1]) {
				kept = true
			}
			return nil
		})
		if !kept {
			faults = append(faults, fmt.Sprintf("the expression has no label %s, but its text %q", match[1], text))
		}
	}
	return faults
}

func TestEveryNameIsInAScrape(t *testing.T) {
	scrapes := scrapesOf(t, func(s *shop) { s.pass(2 * time.Minute) })
	scraped := namesOf(t, scrapes[len(scrapes)-1].text)
	for _, rule := range readRules(t) {
		assert.Empty(t, scraped.faults(rule.Expr), rule.Alert)
		assert.Empty(t, faultsOfFleet(rule.Expr), rule.Alert)
		for _, text := range rule.Annotations {
			assert.Empty(t, faultsOfText(rule.Expr, text), rule.Alert)
		}
	}
	d, _ := readDashboard(t)
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			expression := target.expression("1m", "1h")
			assert.Empty(t, scraped.faults(expression), panel.Title)
			assert.Empty(t, faultsOfFleet(expression), panel.Title)
			assert.Empty(t, faultsOfText(expression, target.LegendFormat), panel.Title)
		}
	}
}

func TestAWrongNameIsFound(t *testing.T) {
	scrapes := scrapesOf(t, func(s *shop) { s.pass(time.Minute) })
	scraped := namesOf(t, scrapes[len(scrapes)-1].text)
	for name, expression := range map[string]string{
		"a metric":                   `sum(rate(connectpsp_client_call_total[5m]))`,
		"a label":                    `sum(rate(connectpsp_client_calls_total{result="unknown"}[5m]))`,
		"a value":                    `sum(rate(connectpsp_client_calls_total{outcome="unkown"}[5m]))`,
		"one of several values":      `sum(rate(connectpsp_client_calls_total{outcome=~"unknown|notsent"}[5m]))`,
		"a label to sum by":          `sum by (reason) (rate(connectpsp_client_calls_total[5m]))`,
		"in the second part":         `vector(1) and sum(increase(connectpsp_webhook_marks_total{mark="alarms"}[5m])) > 0`,
		"a histogram without bucket": `histogram_quantile(0.9, sum by (le) (rate(connectpsp_client_call_duration_seconds[5m])))`,
	} {
		assert.NotEmpty(t, scraped.faults(expression), name)
	}
	for _, expression := range []string{
		`sum(connectpsp_inbox_held)`, `connectpsp_inbox_held > 0`, `max(rate(connectpsp_client_calls_total[5m]))`,
		`sum(connectpsp_client_calls_total)`, `rate(connectpsp_client_calls_total[5m])`,
	} {
		assert.NotEmpty(t, faultsOfFleet(expression), expression)
	}
	assert.NotEmpty(t, faultsOfText(`sum by (job) (up)`, "{{ $labels.code }}"))
	assert.NotEmpty(t, faultsOfText(`sum by (job) (up)`, "{{code}}"))
}
