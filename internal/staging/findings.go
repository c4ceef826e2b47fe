package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// findings collects what was seen, each thing once and without any value that could be somebody's. Goroutines may share it.
type findings struct {
	mu         sync.Mutex
	breaches   map[string]bool // traffic against the description
	undeclared map[string]bool
	headers    map[string]bool
	absent     map[string]map[string]bool // declared members that never came, by answer
	behaviour  []string                   // answers to questions that the description leaves open
}

func newFindings() *findings {
	return &findings{
		breaches: map[string]bool{}, undeclared: map[string]bool{}, headers: map[string]bool{}, absent: map[string]map[string]bool{},
	}
}

// breach notes what the checker found.
func (f *findings) breach(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.breaches[strings.Join(strings.Fields(err.Error()), " ")] = true
}

func (f *findings) silence(s *contract.Silence) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := fmt.Sprintf("%s answer %d", s.Operation, s.Status)
	for pointer, kind := range s.Undeclared {
		f.undeclared[fmt.Sprintf("%s: %s (%s)", answer, namedPointer(pointer), kind)] = true
	}
	missing := map[string]bool{}
	for _, pointer := range s.Absent {
		missing[pointer] = true
	}
	before, known := f.absent[answer]
	if !known {
		f.absent[answer] = missing
		return
	}
	maps.DeleteFunc(before, func(pointer string, _ bool) bool { return !missing[pointer] })
}

func (f *findings) header(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.headers[named(name)] = true
}

// namedPointer is a JSON pointer, but for what does not look like the name of a member in it.
func namedPointer(pointer string) string {
	parts := strings.Split(pointer, "/")
	for i, part := range parts {
		if part != "" && part != "[]" {
			parts[i] = named(part)
		}
	}
	return strings.Join(parts, "/")
}

// observe notes how the gateway behaves where nothing is published.
func (f *findings) observe(format string, arguments ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behaviour = append(f.behaviour, fmt.Sprintf(format, arguments...))
}

// deviates reports whether the gateway does anything that the description does not say.
func (f *findings) deviates() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.breaches)+len(f.undeclared) > 0
}

// write lists everything, as Markdown that can be put into an issue.
func (f *findings) write(out io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	absent := map[string]bool{}
	for answer, pointers := range f.absent {
		for pointer := range pointers {
			absent[answer+": "+pointer] = true
		}
	}
	for _, part := range []struct {
		title string
		lines []string
	}{
		{"Against the description", slices.Sorted(maps.Keys(f.breaches))},
		{"Sent, and not in the description", slices.Sorted(maps.Keys(f.undeclared))},
		{"In the description, and never sent in this run", slices.Sorted(maps.Keys(absent))},
		{"Headers that the description does not declare", slices.Sorted(maps.Keys(f.headers))},
		{"How the gateway behaves where nothing is published", f.behaviour},
	} {
		fmt.Fprintf(out, "\n### %s\n\n", part.title)
		if len(part.lines) == 0 {
			fmt.Fprintln(out, "Nothing.")
		}
		for _, line := range part.lines {
			fmt.Fprintf(out, "- %s\n", line)
		}
	}
}
