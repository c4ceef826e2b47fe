package dashboards

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dashboard is what the tests read of connectpsp.json.
type dashboard struct {
	ID            *int   `json:"id"`
	UID           string `json:"uid"`
	Title         string `json:"title"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name  string `json:"name"`
			Type  string `json:"type"`
			Query any    `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	GridPos     position   `json:"gridPos"`
	DataSource  dataSource `json:"datasource"`
	Targets     []target   `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Decimals   int    `json:"decimals"`
			Thresholds struct {
				Steps []struct {
					Color string   `json:"color"`
					Value *float64 `json:"value"`
				} `json:"steps"`
			} `json:"thresholds"`
			Custom struct {
				Stacking struct {
					Mode string `json:"mode"`
				} `json:"stacking"`
				ThresholdsStyle struct {
					Mode string `json:"mode"`
				} `json:"thresholdsStyle"`
			} `json:"custom"`
		} `json:"defaults"`
		Overrides []struct {
			Matcher struct {
				ID      string `json:"id"`
				Options any    `json:"options"` // of byName, the name
			} `json:"matcher"`
			Properties []struct {
				ID    string `json:"id"`
				Value struct {
					FixedColor string `json:"fixedColor"`
				} `json:"value"`
			} `json:"properties"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
}

type position struct{ X, Y, W, H int }

func (p position) overlaps(q position) bool {
	return p.X < q.X+q.W && q.X < p.X+p.W && p.Y < q.Y+q.H && q.Y < p.Y+p.H
}

type dataSource struct{ Type, UID string }

type target struct {
	DataSource   dataSource `json:"datasource"`
	Expression   string     `json:"expr"`
	LegendFormat string     `json:"legendFormat"`
	Instant      bool       `json:"instant"`
}

// expression returns the expression of a target, with the variables as Grafana sets them.
func (t target) expression(interval, span string) string {
	return strings.NewReplacer("$job", ".+", "$__rate_interval", interval, "$__range", span).Replace(t.Expression)
}

func readDashboard(t *testing.T) (d dashboard, text string) {
	t.Helper()
	content, err := os.ReadFile("connectpsp.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &d))
	require.NotEmpty(t, d.Panels)
	return d, string(content)
}

// An import asks for nothing but the data source, and makes the same dashboard each time.
func TestGrafanaCanImportTheDashboard(t *testing.T) {
	d, text := readDashboard(t)
	assert.Nil(t, d.ID)
	assert.Contains(t, text, `"id": null`)
	assert.NotEmpty(t, d.UID)
	assert.NotEmpty(t, d.Title)
	assert.Equal(t, 36, d.SchemaVersion, "that of Grafana 9: later ones migrate it")
	assert.NotContains(t, text, "${DS_")
	assert.NotContains(t, text, "__inputs")
	require.Equal(t, "datasource", d.Templating.List[0].Name)
	assert.Equal(t, "datasource", d.Templating.List[0].Type)
	assert.Equal(t, "prometheus", d.Templating.List[0].Query)
	ids := map[int]bool{}
	for n, p := range d.Panels {
		assert.False(t, ids[p.ID], "%s has the id of another panel", p.Title)
		ids[p.ID] = true
		assert.True(t, p.GridPos.X >= 0 && p.GridPos.W > 0 && p.GridPos.X+p.GridPos.W <= 24, p.Title)
		for _, q := range d.Panels[:n] {
			assert.False(t, p.GridPos.overlaps(q.GridPos), "%s is on %s", p.Title, q.Title)
		}
		if p.Type == "row" {
			continue
		}
		assert.NotEmpty(t, p.Description, "%s does not say what it means for the money", p.Title)
		assert.Equal(t, dataSource{"prometheus", "${datasource}"}, p.DataSource, p.Title)
		assert.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			assert.Equal(t, p.DataSource, target.DataSource, p.Title)
			assert.Contains(t, target.Expression, `job=~"$job"`, p.Title)
		}
	}
}
