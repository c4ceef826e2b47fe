package main

import "fmt"

// goal is an upper limit of a measurement: required must be reached, and stretch is harder.
type goal struct {
	group, who        string
	quantity          quantity
	required, stretch float64
}

// goals are the goals of the SDK, every default on.
var goals = []goal{
	{"MemoryCashOut", sdk, timeOfFloor, 1.05, 0.90},
	{"MemoryCashOut", sdk, allocations, 60, 46},
	{"MemoryCashIn", sdk, timeOfFloor, 1.05, 0.85},
	{"MemoryCashIn", sdk, allocations, 60, 46},
	{"MemoryCashIn", sdk, timeOfMercadoPago, 1, 0.80},
	{"MemoryCashIn", sdk, bytesOfFloor, 0.85, 0.60},
	{"Signing", "signed", timeOfFloor, 1.03, 1.03},
	{"LoopbackCashOut", sdk, timeOfFloor, 1.05, 0.95},
	{"LoopbackCashIn", sdk, timeOfFloor, 1.05, 0.95},
	{"LoopbackCashOut64", sdk, timeOfFloor, 1.05, 0.95},
	{"LoopbackCashIn64", sdk, timeOfFloor, 1.05, 0.95},
	{"TokenRead", sdk, timeOfFloor, 1.5, 1.1},
	{"TokenRead", sdk, allocations, 0, 0},
	{"TokenRead", "renewing", timeOfFloor, 1.5, 1.1},
	{"TokenRead", "renewing", allocations, 0, 0},
	{"TokenRead64", sdk, timeOfFloor, 1.5, 1.1},
	{"TokenRead64", sdk, allocations, 0, 0},
	{"WebhookVerify", sdk, timeOfFloor, 1.05, 1.00}, // both sides are crypto/hmac
	{"WebhookVerify", sdk, allocations, 8, 7},
	{"WebhookParse", sdk, timeOfFloor, 0.80, 0.65},
	{"WebhookParse", sdk, allocations, 29, 24},
	{"AmountUnmarshal", sdk, allocations, 0, 0},
	{binary, sdk, kibibytesMore, 600, 250},
	{compile, sdk, secondsMore, 3, 1},
}

// sdk is the name of the SDK in the results.
const sdk = "connectpsp"

// quantity is a number of a row that a goal limits.
type quantity struct {
	name  string
	of    func(row row) float64
	write func(value float64) string
}

var (
	timeOfFloor       = quantity{"time", func(r row) float64 { return r.ratio[nanoseconds] }, twoDigits}
	timeOfMercadoPago = quantity{"time of mercadopago's", func(r row) float64 { return r.timeOf["mercadopago"] }, twoDigits}
	bytesOfFloor      = quantity{"bytes", func(r row) float64 { return r.ratio[bytes] }, twoDigits}
	allocations       = quantity{"allocations", func(r row) float64 { return r.median[allocs] }, whole}
	kibibytesMore     = quantity{"KiB more", func(r row) float64 { return r.more[bytes] / 1024 }, whole}
	secondsMore       = quantity{"CPU s more", func(r row) float64 { return r.more[nanoseconds] / 1e9 }, twoDigits}
)

func twoDigits(value float64) string { return fmt.Sprintf("%.2f", value) }
func whole(value float64) string     { return fmt.Sprintf("%.0f", value) }

// judge writes the figure, the goal, and whether it is met.
func (g goal) judge(r row) string {
	value := g.quantity.of(r)
	verdict := "**missed**"
	switch {
	case value <= g.stretch:
		verdict = "met"
	case value <= g.required:
		verdict = "required"
	}
	wanted := g.quantity.write(g.required)
	if g.stretch != g.required {
		wanted += "/" + g.quantity.write(g.stretch)
	}
	return fmt.Sprintf("%s %s of %s: %s", g.quantity.name, g.quantity.write(value), wanted, verdict)
}
