package main

// figure is what one drawing shows.
type figure struct {
	name        string // of the points and of the file
	title, x, y string
	logX, logY  bool
	series      []series
}

// series is one line of a figure.
type series struct {
	name  string // of the points, and in the legend
	class string // its colour, see style
	dash  string // empty for a line without gaps
	pairs bool   // every two points are a line of their own
}

const (
	dashed = "6 4"
	dotted = "2 3"
)

var figures = []figure{
	{
		name:  "throughput",
		title: "Payments per second",
		x:     "goroutines that pay at once",
		y:     "payments per second",
		logX:  true,
		logY:  true,
		series: []series{
			{name: "floor", class: "floor"},
			{name: "connectpsp", class: "sdk"},
		},
	},
	{
		name:  "overhead",
		title: "What a payment takes longer than the gateway",
		x:     "goroutines that pay at once",
		y:     "microseconds",
		logX:  true,
		logY:  true,
		series: []series{
			{name: "floor p50", class: "floor"},
			{name: "floor p99", class: "floor", dash: dashed},
			{name: "floor p99.9", class: "floor", dash: dotted},
			{name: "connectpsp p50", class: "sdk"},
			{name: "connectpsp p99", class: "sdk", dash: dashed},
			{name: "connectpsp p99.9", class: "sdk", dash: dotted},
		},
	},
	{
		name:  "connections",
		title: "Connections opened",
		x:     "goroutines that pay at once",
		y:     "connections",
		logX:  true,
		logY:  true,
		series: []series{
			{name: "floor", class: "floor"},
			{name: "connectpsp", class: "sdk"},
		},
	},
	{
		name:  "in-flight",
		title: "Memory per payment that waits for its answer, connection included",
		x:     "payments in flight",
		y:     "KiB each",
		logX:  true,
		series: []series{
			{name: "floor", class: "floor"},
			{name: "connectpsp", class: "sdk"},
		},
	},
	{
		name:  "renewal",
		title: "Payments while the token is renewed",
		x:     "seconds",
		y:     "milliseconds longer than the gateway",
		series: []series{
			{name: "connectpsp", class: "sdk"},
			{name: "floor", class: "floor", dash: dotted},
			{name: "renewal", class: "axis", pairs: true},
		},
	},
	{
		name:  "soak",
		title: "One client that is kept",
		x:     "payments made",
		y:     "MiB, or number",
		series: []series{
			{name: "memory, MiB", class: "sdk"},
			{name: "goroutines", class: "floor"},
		},
	},
}
