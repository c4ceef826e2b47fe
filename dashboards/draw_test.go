package dashboards

import (
	"bytes"
	"html/template"
	"image/color"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// titleAndLegend is how many pixels of a panel are for its title and its legend.
const titleAndLegend = 74

// pixels are three quarters of a point each.
func pixels(n int) vg.Length { return vg.Length(n) * 0.75 }

// draw draws the lines of a panel.
func (v *view) draw(t *testing.T) {
	t.Helper()
	gray := color.Gray{Y: 0x8e}
	p := plot.New()
	p.BackgroundColor = color.Transparent
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color, axis.Tick.Label.Color = gray, gray, gray
		axis.Tick.Label.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 8}
	}
	p.X.Tick.Marker = plot.TimeTicks{Format: "15:04", Ticker: plot.TickerFunc(hours)}
	p.Y.Tick.Marker = ticks{v.FieldConfig.Defaults.Unit}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{Y: 0x2c}, color.Gray{Y: 0x2c}
	p.Add(grid)
	p.Add(v.stacked()...)
	p.Y.Min = 0
	if p.Y.Max == 0 {
		p.Y.Max = 1
	}
	p.Add(v.thresholds()...)
	size := [2]vg.Length{pixels(v.Width - 20), pixels(v.Height - titleAndLegend)}
	canvas := vgsvg.New(size[0], size[1])
	p.Draw(draw.New(canvas))
	var drawing bytes.Buffer
	_, err := canvas.WriteTo(&drawing)
	require.NoError(t, err)
	_, body, found := bytes.Cut(drawing.Bytes(), []byte("<svg")) // without the XML header
	require.True(t, found)
	v.Drawing = template.HTML("<svg" + string(body))
}

// stacked returns the lines to draw. If they are stacked, each is on top of those before it, and
// the highest is drawn first.
func (v *view) stacked() (drawn []plot.Plotter) {
	stack := v.FieldConfig.Defaults.Custom.Stacking.Mode == "normal"
	below := map[float64]float64{}
	for _, l := range v.Lines {
		points := make(plotter.XYs, len(l.points))
		for n, point := range l.points {
			points[n] = point
			if stack {
				points[n].Y += below[point.X]
				below[point.X] = points[n].Y
			}
		}
		for _, part := range withoutGaps(points) {
			one := &plotter.Line{XYs: part, LineStyle: draw.LineStyle{Color: rgb(l.Color), Width: 1}}
			if stack {
				one.FillColor = rgb(l.Color)
			}
			drawn = append([]plot.Plotter{one}, drawn...)
		}
	}
	return drawn
}

// thresholds returns lines for the thresholds of a panel that draws them, as far as the lines
// reach.
func (v *view) thresholds() (drawn []plot.Plotter) {
	if v.FieldConfig.Defaults.Custom.ThresholdsStyle.Mode != "line" {
		return nil
	}
	for _, step := range v.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value != nil {
			level := plotter.NewFunction(func(float64) float64 { return *step.Value })
			level.LineStyle = draw.LineStyle{Color: rgb(colors[step.Color]), Width: 1, Dashes: []vg.Length{4, 3}}
			drawn = append(drawn, level)
		}
	}
	return drawn
}

// withoutGaps splits points where one is missing.
func withoutGaps(points plotter.XYs) (parts []plotter.XYs) {
	begin := 0
	for n := range points {
		if n > 0 && points[n].X-points[n-1].X > 60 {
			parts, begin = append(parts, points[begin:n]), n
		}
	}
	return append(parts, points[begin:])
}

func rgb(c template.CSS) color.Color {
	n, err := strconv.ParseUint(string(c[1:]), 16, 32)
	if err != nil {
		return color.White
	}
	return color.RGBA{R: uint8(n >> 16), G: uint8(n >> 8), B: uint8(n), A: 0xff}
}

// hours has a tick for each full hour.
func hours(from, to float64) (all []plot.Tick) {
	for at := math.Ceil(from/3600) * 3600; at <= to; at += 3600 {
		all = append(all, plot.Tick{Value: at, Label: " "}) // TimeTicks writes those that have a label
	}
	return all
}

// ticks writes the values of an axis in a unit.
type ticks struct{ unit string }

func (t ticks) Ticks(from, to float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(from, to)
	for n := range all {
		if all[n].Label != "" {
			all[n].Label = inUnit(all[n].Value, t.unit)
		}
	}
	return all
}
