package main

import (
	"fmt"
	"html"
	"strings"
)

// The drawing, in pixels.
const (
	width, height            = 760, 440
	left, right, top, bottom = 78, 24, 98, 56
	legendTop, legendRow     = 56, 20
	legendLine, legendColumn = 26, 190
	legendColumns            = 3
)

// style has colours for light and dark pages. The background is the page's.
const style = `<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.axis { stroke: #57606a; fill: none }
.grid { stroke: #d0d7de; fill: none }
.sdk { stroke: #0969da }
.floor { stroke: #bc4c00 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.axis { stroke: #8b949e }
.grid { stroke: #30363d }
.sdk { stroke: #58a6ff }
.floor { stroke: #f0883e }
}
</style>
`

// svg draws the figure.
func (f figure) svg(measured points) (string, error) {
	var xs, ys []float64
	for _, series := range f.series {
		for _, point := range measured[f.name][series.name] {
			xs, ys = append(xs, point.x), append(ys, point.y)
		}
	}
	if len(xs) == 0 {
		return "", fmt.Errorf("there are no points of %s", f.name)
	}
	d := drawing{x: newAxis(xs, f.logX), y: newAxis(ys, f.logY)}
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", width, height, width, height)
	d.printf("<title>%s</title>\n%s", html.EscapeString(f.title), style)
	d.text("title", left, 28, "start", f.title)
	d.axes(f.x, f.y)
	d.legend(f.series)
	for _, series := range f.series {
		d.line(series, measured[f.name][series.name])
	}
	d.printf("</svg>\n")
	return d.String(), nil
}

type drawing struct {
	strings.Builder
	x, y axis
}

func (d *drawing) printf(format string, arguments ...any) { fmt.Fprintf(d, format, arguments...) }

func (d *drawing) text(class string, x, y float64, anchor, text string) {
	d.printf(`<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(text))
}

func (d *drawing) across(x float64) float64 { return left + d.x.at(x)*(width-left-right) }
func (d *drawing) down(y float64) float64   { return height - bottom - d.y.at(y)*(height-top-bottom) }

func (d *drawing) axes(x, y string) {
	for _, tick := range d.y.ticks {
		at := d.down(tick)
		d.printf(`<path class="grid" d="M%d %.1fH%d"/>`+"\n", left, at, width-right)
		d.text("tick", left-8, at+4, "end", label(tick))
	}
	for _, tick := range d.x.ticks {
		at := d.across(tick)
		d.printf(`<path class="axis" d="M%.1f %dv5"/>`+"\n", at, height-bottom)
		d.text("tick", at, height-bottom+20, "middle", label(tick))
	}
	d.printf(`<path class="axis" d="M%d %dV%dH%d"/>`+"\n", left, top, height-bottom, width-right)
	d.text("name", (left+width-right)/2, height-12, "middle", x)
	d.printf(`<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+height-bottom)/2, html.EscapeString(y))
}

func (d *drawing) legend(all []series) {
	for i, series := range all {
		x := float64(left + i%legendColumns*legendColumn)
		y := float64(legendTop + i/legendColumns*legendRow)
		d.printf(`<path class="line %s"%s d="M%.1f %.1fh%d"/>`+"\n", series.class, series.dashes(), x, y-4, legendLine)
		d.text("key", x+legendLine+6, y, "start", series.name)
	}
}

func (d *drawing) line(series series, points []point) {
	if len(points) == 0 {
		return
	}
	d.printf(`<path class="line %s"%s d="`, series.class, series.dashes())
	for i, point := range points {
		command := "L"
		if i == 0 || series.pairs && i%2 == 0 {
			command = "M"
		}
		d.printf("%s%.1f %.1f", command, d.across(point.x), d.down(point.y))
	}
	d.printf("\"/>\n")
}

func (s series) dashes() string {
	if s.dash == "" {
		return ""
	}
	return fmt.Sprintf(` stroke-dasharray="%s"`, s.dash)
}
