package dashboards

import (
	"bytes"
	"cmp"
	_ "embed"
	"flag"
	"html/template"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot/plotter"
)

var shots = flag.String("dashboard.shots", "", "a directory for a page and a screenshot of the dashboard")

//go:embed testdata/page.html
var pageHTML string

// The pixels of Grafana's grid on a screen of 1920.
const column, rowHeight = 80, 38

// view is a panel with its data.
type view struct {
	panel
	Left, Top, Width, Height int
	Lines                    []line
	Rows                     [][]string // of a table
	Drawing                  template.HTML
}

// line is a series of a panel.
type line struct {
	Name, Caption string
	Color         template.CSS
	Last          string // the last value
	Hidden        bool   // from the legend
	points        plotter.XYs
	labels        map[string]string
}

// No panel may be empty, and no graph flat, after a day on which everything has happened: an
// expression that finds nothing looks like a day without trouble.
func TestTheDashboardShowsADay(t *testing.T) {
	scrapes := scrapesOf(t, badDay)
	begin, end := scrapes[0].at, scrapes[len(scrapes)-1].at
	p := newPrometheus(t, scrapes)
	d, _ := readDashboard(t)
	var views []view
	for _, panel := range d.Panels {
		v := p.view(panel, begin, end)
		assert.True(t, panel.Type == "row" || len(v.Lines) >= len(panel.Targets), "%s lacks data", panel.Title)
		shows := slices.ContainsFunc(v.Lines, func(l line) bool { return !l.Hidden })
		// The journal does not fail: it would need a restart.
		assert.True(t, panel.Type != "timeseries" || shows || panel.Title == "Failures by step", "%s is flat", panel.Title)
		if want, ok := map[string]string{"Held items": "1", "Alarms": "1", "Open payments": "0", "Oldest due event": "0 s"}[panel.Title]; ok && panel.Type == "stat" {
			assert.Equal(t, want, v.Lines[0].Last, panel.Title)
		}
		views = append(views, v)
	}
	if *shots == "" {
		return
	}
	require.NoError(t, os.MkdirAll(*shots, 0o755))
	page := filepath.Join(*shots, "dashboard.html")
	var html bytes.Buffer
	require.NoError(t, template.Must(template.New("page").Parse(pageHTML)).Execute(&html, views))
	require.NoError(t, os.WriteFile(page, html.Bytes(), 0o644))
	photograph(t, page, filepath.Join(*shots, "dashboard.png"))
}

// photograph makes a screenshot of a page.
func photograph(t *testing.T, page, picture string) {
	t.Helper()
	browser := os.Getenv("CONNECTPSP_TEST_CHROMIUM")
	if browser == "" {
		t.Skip("CONNECTPSP_TEST_CHROMIUM is not set: make dashboard installs a browser")
	}
	page, err := filepath.Abs(page)
	require.NoError(t, err)
	output, err := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--hide-scrollbars", "--window-size=1920,1420", "--screenshot="+picture, "file://"+page).CombinedOutput()
	require.NoError(t, err, string(output))
	require.FileExists(t, picture)
}

// view evaluates the expressions of a panel.
func (p *prometheus) view(panel panel, begin, end time.Time) view {
	p.t.Helper()
	at := panel.GridPos
	v := view{panel: panel, Left: at.X * column, Top: at.Y * rowHeight, Width: at.W * column, Height: at.H * rowHeight}
	for _, target := range panel.Targets {
		expression := target.expression("4m", strconv.Itoa(int(end.Sub(begin).Seconds()))+"s")
		result := promql.Matrix{}
		if target.Instant {
			for _, sample := range p.ask(expression, end) {
				result = append(result, promql.Series{Metric: sample.Metric, Floats: []promql.FPoint{{T: sample.T, F: sample.F}}})
			}
		} else {
			result = p.graph(expression, begin, end, time.Minute)
		}
		for _, series := range result {
			if l, ok := newLine(target, series, panel.FieldConfig.Defaults.Unit); ok {
				v.Lines = append(v.Lines, l)
			}
		}
	}
	slices.SortStableFunc(v.Lines, func(a, b line) int { return cmp.Compare(a.Name, b.Name) })
	switch panel.Type {
	case "stat":
		v.colorStats()
	case "table":
		v.tabulate()
	case "timeseries":
		v.colorLines()
		v.draw(p.t)
	}
	return v
}

// newLine returns a series as Grafana names it. It is not ok if it has no number.
func newLine(target target, series promql.Series, unit string) (l line, ok bool) {
	l = line{Name: target.LegendFormat, labels: series.Metric.Map(), Hidden: true}
	for name, value := range l.labels {
		l.Name = strings.ReplaceAll(l.Name, "{{"+name+"}}", value)
	}
	for _, point := range series.Floats {
		if math.IsNaN(point.F) {
			continue
		}
		l.points = append(l.points, plotter.XY{X: float64(point.T) / 1000, Y: point.F})
		l.Hidden = l.Hidden && point.F == 0
	}
	if len(l.points) == 0 {
		return line{}, false
	}
	l.Last = inUnit(l.points[len(l.points)-1].Y, unit)
	return l, true
}

// Grafana's colors, by the names that the dashboard uses.
var colors = map[string]template.CSS{
	"green": "#73bf69", "super-light-green": "#c8f2c2", "yellow": "#fade2a", "orange": "#ff9830",
	"red": "#f2495c", "dark-red": "#c4162a", "blue": "#5794f2", "super-light-blue": "#c0d8ff", "purple": "#b877d9",
}

// palette has the colors of series without one of their own.
var palette = []template.CSS{"#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a"}

func (v *view) colorLines() {
	fixed := map[string]template.CSS{}
	for _, override := range v.FieldConfig.Overrides {
		if name, ok := override.Matcher.Options.(string); ok {
			fixed[name] = colors[override.Properties[0].Value.FixedColor]
		}
	}
	for n := range v.Lines {
		v.Lines[n].Color = cmp.Or(fixed[v.Lines[n].Name], palette[n%len(palette)])
	}
}

// colorStats colors values by the highest threshold that they reach.
func (v *view) colorStats() {
	for n := range v.Lines {
		l := &v.Lines[n]
		for _, step := range v.FieldConfig.Defaults.Thresholds.Steps {
			if step.Value == nil || l.points[0].Y >= *step.Value {
				l.Color = colors[step.Color]
			}
		}
		if len(v.Targets) > 1 {
			l.Caption = l.Name
		}
	}
}

// tabulate makes a row for each operation, and a column for each target.
func (v *view) tabulate() {
	header := []string{"operation"}
	rows := map[string][]string{}
	for _, target := range v.Targets {
		header = append(header, target.LegendFormat)
		for _, l := range v.Lines {
			if l.Name == target.LegendFormat {
				rows[l.labels["operation"]] = append(rows[l.labels["operation"]], l.Last)
			}
		}
	}
	v.Rows = [][]string{header}
	for _, operation := range slices.Sorted(maps.Keys(rows)) {
		v.Rows = append(v.Rows, append([]string{operation}, rows[operation]...))
	}
}

// inUnit writes a value in a unit of Grafana's.
func inUnit(value float64, unit string) string {
	digits := func(f float64) string { return strconv.FormatFloat(f, 'g', 3, 64) }
	switch suffix := map[string]string{"cps": " c/s", "reqps": " req/s", "wps": " wr/s", "rps": " rd/s"}[unit]; {
	case unit == "s" && value >= 3600:
		return digits(value/3600) + " h"
	case unit == "s" && value >= 60:
		return digits(value/60) + " min"
	case unit == "s" && (value >= 1 || value == 0):
		return digits(value) + " s"
	case unit == "s":
		return digits(value*1000) + " ms"
	default:
		return strconv.FormatFloat(math.Round(value*1000)/1000, 'f', -1, 64) + suffix
	}
}
