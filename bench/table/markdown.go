package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// markdown writes the table.
func markdown(rows []row) string {
	var text strings.Builder
	text.WriteString("| what | who | time | of floor | processor | of floor | bytes | of floor | allocations | else | goals: required/stretch |\n")
	text.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|---|---|\n")
	for _, row := range rows {
		name := ""
		if row.first {
			name = title(row.group)
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", name, row.who,
			row.cell(nanoseconds, duration), row.ratioCell(nanoseconds),
			row.cell(processing, duration), row.ratioCell(processing),
			row.cell(bytes, size), row.ratioCell(bytes),
			row.cell(allocs, whole), row.others(), row.goals())
	}
	return text.String()
}

func (r row) cell(unit string, write func(float64) string) string {
	value, measured := r.median[unit]
	if !measured {
		return ""
	}
	return write(value)
}

func (r row) ratioCell(unit string) string {
	ratio, known := r.ratio[unit]
	if !known || r.first {
		return ""
	}
	return twoDigits(ratio)
}

// others writes the figures whose units have no column.
func (r row) others() string {
	var texts []string
	for _, unit := range slices.Sorted(maps.Keys(r.median)) {
		switch unit {
		case nanoseconds, processing, bytes, allocs:
		default:
			texts = append(texts, whole(r.median[unit])+" "+unit)
		}
	}
	return strings.Join(texts, ", ")
}

func (r row) goals() string {
	var texts []string
	for _, goal := range goals {
		if goal.group == r.group && goal.who == r.who {
			texts = append(texts, goal.judge(r))
		}
	}
	return strings.Join(texts, "; ")
}

func duration(nanoseconds float64) string {
	switch {
	case nanoseconds < 1e3:
		return fmt.Sprintf("%.3g ns", nanoseconds)
	case nanoseconds < 1e6:
		return fmt.Sprintf("%.3g µs", nanoseconds/1e3)
	case nanoseconds < 1e9:
		return fmt.Sprintf("%.3g ms", nanoseconds/1e6)
	default:
		return fmt.Sprintf("%.3g s", nanoseconds/1e9)
	}
}

func size(bytes float64) string {
	if bytes < 100_000 {
		return whole(bytes)
	}
	return whole(bytes/1024) + " Ki"
}
