package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// counters counts events of schedules by kind and name. They show that a run has met everything
// that the simulation can do. The zero value is ready for use.
type counters struct {
	counts map[string]map[string]int
}

func (c *counters) add(kind, name string) { c.addMany(kind, name, 1) }

func (c *counters) addMany(kind, name string, n int) {
	if c.counts == nil {
		c.counts = map[string]map[string]int{}
	}
	if c.counts[kind] == nil {
		c.counts[kind] = map[string]int{}
	}
	c.counts[kind][name] += n
}

func (c *counters) merge(other *counters) {
	for kind, counts := range other.counts {
		for name, n := range counts {
			c.addMany(kind, name, n)
		}
	}
}

func (c *counters) String() string {
	var text strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(c.counts)) {
		fmt.Fprintf(&text, "\n%s:", kind)
		for _, name := range slices.Sorted(maps.Keys(c.counts[kind])) {
			fmt.Fprintf(&text, "\n%12d  %s", c.counts[kind][name], name)
		}
	}
	return text.String()
}

// requireEverything fails if something that the simulation can do has never happened.
func (c *counters) requireEverything(t *testing.T) {
	t.Helper()
	expected := map[string][]string{
		"outcome":   {accepted, rejected, unknown, conflict, "rejected, nothing sent", "rejected by a client that has forgotten"},
		"call":      append([]string{"pays", "resolves", "recovers", "looks up"}, mismatches...),
		"owner":     {"pays under a new reference", "pays with the next attempt", "leaves the order open"},
		"gateway":   {"paid late"},
		"journal":   journalResults,
		"crash":     {"the process died"},
		"fleet":     append([]string{"a call met another process"}, troubles[1:]...),
		"recovered": {accepted, rejected, unknown, "never sent"},
		"variant":   slices.Concat(everyTrait.traits(), variant{}.traits()),
	}
	for _, f := range faults {
		expected["fault"] = append(expected["fault"], f.name)
	}
	for kind, names := range expected {
		for _, name := range names {
			if c.counts[kind][name] == 0 {
				t.Errorf("this never happened: %s: %s", kind, name)
			}
		}
	}
}

var everyTrait = variant{
	memory: forgetsAtOnce, funds: noFunds, checks: 5, storesErrors: true, unlocked: true, reservesLate: true,
	burnsReferences: true, ignoresReferences: true,
}
