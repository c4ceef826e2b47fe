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

// findings collects each finding once, without values that could be personal data. Goroutines may
// share it.
type findings struct {
	mu         sync.Mutex
	breaches   map[string]bool // traffic that contradicts the description
	undeclared map[string]bool
	headers    map[string]bool
	absent     map[string]map[string]bool // declared members that never came, by response
	behaviour  []string                   // the gateway's behaviour where the description is silent
}

func newFindings() *findings {
	return &findings{
		breaches: map[string]bool{}, undeclared: map[string]bool{}, headers: map[string]bool{}, absent: map[string]map[string]bool{},
	}
}

// breach records a finding of the checker.
func (f *findings) breach(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.breaches[strings.Join(strings.Fields(err.Error()), " ")] = true
}

func (f *findings) silence(s *contract.Silence) {
	f.mu.Lock()
	defer f.mu.Unlock()
	response := fmt.Sprintf("%s response %d", s.Operation, s.Status)
	for pointer, kind := range s.Undeclared {
		f.undeclared[fmt.Sprintf("%s: %s (%s)", response, namedPointer(pointer), kind)] = true
	}
	missing := map[string]bool{}
	for _, pointer := range s.Absent {
		missing[pointer] = true
	}
	before, known := f.absent[response]
	if !known {
		f.absent[response] = missing
		return
	}
	maps.DeleteFunc(before, func(pointer string, _ bool) bool { return !missing[pointer] })
}

func (f *findings) header(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.headers[named(name)] = true
}

// namedPointer returns a JSON pointer without parts that do not look like the name of a member.
func namedPointer(pointer string) string {
	parts := strings.Split(pointer, "/")
	for i, part := range parts {
		if part != "" && part != "[]" {
			parts[i] = named(part)
		}
	}
	return strings.Join(parts, "/")
}

// observe records the gateway's behaviour at a point that is not published.
func (f *findings) observe(format string, arguments ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behaviour = append(f.behaviour, fmt.Sprintf(format, arguments...))
}

// deviates reports whether the gateway deviates from the description.
func (f *findings) deviates() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.breaches)+len(f.undeclared) > 0
}

// write lists all findings, as Markdown for an issue.
func (f *findings) write(out io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	absent := map[string]bool{}
	for response, pointers := range f.absent {
		for pointer := range pointers {
			absent[response+": "+pointer] = true
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
