// Command plot draws the points of the command growth as the SVG files of docs/performance.md.
package main

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/connectpsp/connectpsp-go/bench/points"
)

// Sizes in points: a drawing has 760 by 440 pixels.
const (
	width, height          vg.Length = 570, 330
	margin                 vg.Length = 8
	legendWidth, legendTop vg.Length = 140, 35
)

func main() {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	if err := drawAll(points.File, filepath.Join("..", "docs")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// drawAll draws every figure into the folder.
func drawAll(from, folder string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	measured, err := points.Read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	for _, figure := range figures {
		drawing, err := figure.svg(measured)
		if err != nil {
			return fmt.Errorf("figure %s: %w", figure.name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, "performance-"+figure.name+".svg"), drawing, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// svg draws the figure on white, so that dark pages show it too, with the legend beside the plot.
func (f figure) svg(measured []points.Point) ([]byte, error) {
	p, legend := plot.New(), plot.NewLegend()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = f.title, f.x, f.y
	p.Title.Padding = 10
	legend.Top, legend.Left, legend.Padding = true, true, 4
	if f.logarithmic {
		p.Y.Scale, p.Y.Tick.Marker, p.Y.AutoRescale = plot.LogScale{}, plot.LogTicks{Prec: -1}, true
	} else {
		p.Y.Min = 0
	}
	p.Add(plotter.NewGrid())
	for _, series := range f.series {
		xys := series.of(f.name, measured)
		if len(xys) == 0 {
			return nil, fmt.Errorf("the series %q has no points", series.name)
		}
		if f.levels {
			p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, ticksAt(xys)
		}
		line, err := plotter.NewLine(xys)
		if err != nil {
			return nil, fmt.Errorf("the series %q: %w", series.name, err)
		}
		line.LineStyle = series.style
		p.Add(line)
		legend.Add(series.name, line)
	}
	svg := vgsvg.New(width, height)
	canvas := draw.New(svg)
	canvas.SetColor(color.White)
	canvas.Fill(canvas.Rectangle.Path())
	canvas = draw.Crop(canvas, margin, -margin, margin, -margin)
	p.Draw(draw.Crop(canvas, 0, -legendWidth, 0, 0))
	legend.Draw(draw.Crop(canvas, canvas.Size().X-legendWidth, 0, 0, -legendTop))
	var text bytes.Buffer
	_, err := svg.WriteTo(&text)
	// Few systems have the library's font. Arial has the same widths.
	return bytes.ReplaceAll(text.Bytes(), []byte("Liberation Sans"), []byte("Liberation Sans, Arial, sans-serif")), err
}

// of returns the points of the series.
func (s series) of(figure string, measured []points.Point) plotter.XYs {
	var xys plotter.XYs
	for _, point := range measured {
		if point.Figure == figure && point.Series == s.name {
			xys = append(xys, plotter.XY{X: point.X, Y: point.Y})
		}
	}
	return xys
}

// ticksAt returns a tick at the x of each point.
func ticksAt(xys plotter.XYs) plot.ConstantTicks {
	ticks := make(plot.ConstantTicks, len(xys))
	for i, xy := range xys {
		ticks[i] = plot.Tick{Value: xy.X, Label: strconv.FormatFloat(xy.X, 'f', -1, 64)}
	}
	return ticks
}
