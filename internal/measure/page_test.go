package measure

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const pagePath, tablesHeading = "../../docs/metrics.md", "\n### Names\n\n"

var updatePage = flag.Bool("update", false, "write the tables of docs/metrics.md")

func TestThePageListsEveryMetricAndEveryValueOfALabel(t *testing.T) {
	page := readPage(t)
	text, _, found := strings.Cut(page, tablesHeading)
	require.True(t, found)
	expected := text + tablesHeading + metricsTable() + "\n### Values of the labels\n\n" + labelsTable() +
		"\n### Buckets\n\n" + boundsTable()
	if *updatePage {
		require.NoError(t, os.WriteFile(pagePath, []byte(expected), 0o600))
	}
	assert.Equal(t, expected, page, "go test ./internal/measure -update writes the tables")
}

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(pagePath)
	require.NoError(t, err)
	return string(page)
}

// A name that is written by hand may be wrong.
func TestEveryNameOnThePageIsOfAMetric(t *testing.T) {
	var names []string
	for _, metric := range Table {
		names = append(names, metric.PrometheusName())
	}
	expressions, _, _ := strings.Cut(readPage(t), tablesHeading)
	for _, name := range regexp.MustCompile("connectpsp_[a-z_]+_[a-z_]+").FindAllString(expressions, -1) {
		assert.Contains(t, names, strings.TrimSuffix(name, "_bucket"))
	}
}

func metricsTable() string {
	text := "| metric | type | labels | |\n|---|---|---|---|\n"
	for _, metric := range Table {
		var labels []string
		for _, label := range metric.Labels {
			labels = append(labels, quote(label.Name))
		}
		text += fmt.Sprintf("| %s | %s | %s | %s |\n", quote(metric.PrometheusName()), metric.Kind, strings.Join(labels, ", "),
			strings.TrimSuffix(metric.Help, "."))
	}
	return text
}

// labelsTable has a row for each list of values, and the metrics that it belongs to.
func labelsTable() string {
	text := "| label | of | values |\n|---|---|---|\n"
	var done []string
	for _, metric := range Table {
		for _, label := range metric.Labels {
			key := label.Name + strings.Join(label.Values, ",")
			if slices.Contains(done, key) {
				continue
			}
			done = append(done, key)
			var of, values []string
			for _, other := range Table {
				if slices.ContainsFunc(other.Labels, func(l Label) bool { return l.Name+strings.Join(l.Values, ",") == key }) {
					of = append(of, quote(strings.TrimPrefix(other.PrometheusName(), "connectpsp_")))
				}
			}
			for _, value := range label.Values {
				values = append(values, quote(value))
			}
			text += fmt.Sprintf("| %s | %s | %s |\n", quote(label.Name), strings.Join(of, ", "), strings.Join(values, ", "))
		}
	}
	return text
}

func boundsTable() string {
	text := "| histogram | buckets, in seconds |\n|---|---|\n"
	for _, metric := range Table {
		var bounds []string
		for _, bound := range metric.Bounds {
			bounds = append(bounds, strconv.FormatFloat(bound, 'g', -1, 64))
		}
		if bounds != nil {
			text += fmt.Sprintf("| %s | %s |\n", quote(metric.PrometheusName()), strings.Join(bounds, ", "))
		}
	}
	return text
}

func quote(text string) string { return "`" + text + "`" }
