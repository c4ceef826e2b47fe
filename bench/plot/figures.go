package main

import (
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// figure is one drawing.
type figure struct {
	name        string // in the points, and in the name of the file
	title, x, y string
	levels      bool // the x axis is logarithmic, with a tick for each level that was measured
	logarithmic bool // the y axis
	series      []series
}

// series is one line of a figure.
type series struct {
	name  string // in the points and in the legend
	style draw.LineStyle
}

var (
	blue   = color.RGBA{R: 0x09, G: 0x69, B: 0xda, A: 0xff}
	orange = color.RGBA{R: 0xbc, G: 0x4c, B: 0x00, A: 0xff}
	gray   = color.RGBA{R: 0x8c, G: 0x95, B: 0x9f, A: 0xff}

	dashed = []vg.Length{6, 4}
	dotted = []vg.Length{2, 3}
)

func line(color color.Color, dashes []vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: color, Width: 1.5, Dashes: dashes}
}

// floorAndSDK are the lines of a figure that compares one value.
var floorAndSDK = []series{
	{"floor", line(orange, nil)},
	{"connectpsp", line(blue, nil)},
}

var figures = []figure{
	{
		name:        "throughput",
		title:       "Payments per second",
		x:           "goroutines that pay at once",
		y:           "payments per second",
		levels:      true,
		logarithmic: true,
		series:      floorAndSDK,
	},
	{
		name:        "overhead",
		title:       "How much longer a payment takes than the gateway",
		x:           "goroutines that pay at once",
		y:           "milliseconds",
		levels:      true,
		logarithmic: true,
		series: []series{
			{"floor, median", line(orange, nil)},
			{"floor, 99 %", line(orange, dashed)},
			{"floor, 99.9 %", line(orange, dotted)},
			{"connectpsp, median", line(blue, nil)},
			{"connectpsp, 99 %", line(blue, dashed)},
			{"connectpsp, 99.9 %", line(blue, dotted)},
		},
	},
	{
		name:        "connections",
		title:       "Connections opened",
		x:           "goroutines that pay at once",
		y:           "connections",
		levels:      true,
		logarithmic: true,
		series:      []series{floorAndSDK[0], {"connectpsp", line(blue, dashed)}}, // one covers the other
	},
	{
		name:   "in-flight",
		title:  "Memory of a payment that waits for its response, connection included",
		x:      "payments in flight",
		y:      "KiB for each",
		levels: true,
		series: floorAndSDK,
	},
	{
		name:  "renewal",
		title: "Payments while the token is renewed",
		x:     "seconds",
		y:     "milliseconds longer than the gateway",
		series: []series{
			{"token renewal", line(gray, nil)},
			{"floor", line(orange, nil)},
			{"connectpsp", line(blue, nil)},
		},
	},
	{
		name:  "soak",
		title: "One client that is kept",
		x:     "millions of payments",
		y:     "MiB of memory, number of goroutines",
		series: []series{
			{"memory, MiB", line(blue, nil)},
			{"goroutines", line(orange, nil)},
		},
	},
}
