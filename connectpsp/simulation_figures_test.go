package connectpsp_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// figures counts what schedules have seen, by kind and name.
type figures struct {
	counts map[string]map[string]int
}

func newFigures() *figures { return &figures{map[string]map[string]int{}} }

func (f *figures) add(kind, name string) { f.count(kind, name, 1) }

func (f *figures) count(kind, name string, n int) {
	counts := f.counts[kind]
	if counts == nil {
		counts = map[string]int{}
		f.counts[kind] = counts
	}
	counts[name] += n
}

// merge adds others to f.
func (f *figures) merge(others *figures) {
	for kind, counts := range others.counts {
		for name, n := range counts {
			f.count(kind, name, n)
		}
	}
}

func (f *figures) String() string {
	var text strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(f.counts)) {
		fmt.Fprintf(&text, "\n%s:", kind)
		for _, name := range slices.Sorted(maps.Keys(f.counts[kind])) {
			fmt.Fprintf(&text, "\n%12d  %s", f.counts[kind][name], name)
		}
	}
	return text.String()
}

// requireAll fails if something never happened that should.
func (f *figures) requireAll(t *testing.T) {
	t.Helper()
	expected := map[string][]string{
		"outcome": {accepted, rejected, unknown, conflict, "rejected, nothing sent", "rejected by a client that cannot know"},
		"call": {
			"pays", "resolves", "recovers", "looks up", "faultily repeats", "repeats with a later attempt", "repeats without its attempt",
			"repeats with a negative attempt", "repeats with no key", "repeats with another key", "repeats under another id",
		},
		"caller":  {"paid under a new reference", "paid with WithAttempt", "left open"},
		"gateway": {"paid late"},
		"journal": {"done", "failed", "done, and reported as failed", "crash before", "crash after"},
		"crash":   {"the process died"},
		"recovered": {
			accepted, rejected, unknown, "never sent",
		},
		"variant": append(variant{memory: forgetsAtOnce, funds: noFunds, checks: 5, storesErrors: true, unlocked: true, reservesLate: true,
			burnsReferences: true, ignoresReferences: true}.traits(), variant{}.traits()...),
	}
	for _, fate := range fates {
		expected["fault"] = append(expected["fault"], fate.name)
	}
	for kind, names := range expected {
		for _, name := range names {
			if f.counts[kind][name] == 0 {
				t.Errorf("this never happened: %s: %s", kind, name)
			}
		}
	}
}
