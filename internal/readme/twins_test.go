package readme

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// englishOnly are the reference pages, which have no Portuguese twin.
var englishOnly = []string{"docs/logs.md", "docs/metrics.md", "docs/performance.md", "docs/tracing.md"}

// twinOf returns the path of the Portuguese twin of an English page, or nothing if there need be
// none.
func twinOf(name string) string {
	switch {
	case name == "README.md":
		return "README.pt-BR.md"
	case path.Dir(name) == "docs" && !slices.Contains(englishOnly, name):
		return "docs/pt-BR/" + path.Base(name)
	}
	return ""
}

// isTranslation reports whether a page is a Portuguese twin.
func isTranslation(name string) bool {
	return name == "README.pt-BR.md" || path.Dir(name) == "docs/pt-BR"
}

// twinFaults compares the English pages with their Portuguese twins: the same tree of headings, and
// the same code but for its comments.
func twinFaults(pages []*page) (faults []string) {
	byPath := map[string]*page{}
	for _, p := range pages {
		byPath[p.path] = p
	}
	translated := map[string]bool{}
	for _, english := range pages {
		name := twinOf(english.path)
		translated[name] = true
		portuguese := byPath[name]
		switch {
		case name == "":
		case portuguese == nil:
			faults = append(faults, fmt.Sprintf("%s has no twin %s", english.path, name))
		default:
			faults = append(faults, compare(english, portuguese)...)
		}
	}
	for _, p := range pages {
		if isTranslation(p.path) && !translated[p.path] {
			faults = append(faults, fmt.Sprintf("%s is the twin of no English page", p.path))
		}
	}
	return faults
}

func compare(english, portuguese *page) (faults []string) {
	for i := range max(len(english.headings), len(portuguese.headings)) {
		var one, other heading
		if i < len(english.headings) {
			one = english.headings[i]
		}
		if i < len(portuguese.headings) {
			other = portuguese.headings[i]
		}
		if one.level != other.level {
			faults = append(faults, fmt.Sprintf("%s: heading %d is %q at level %d, and %q at level %d in %s",
				english.path, i+1, one.text, one.level, other.text, other.level, portuguese.path))
			break // those that follow differ because of it
		}
	}
	if one, other := len(english.fences), len(portuguese.fences); one != other {
		faults = append(faults, fmt.Sprintf("%s has %d blocks of code, and %s has %d", english.path, one, portuguese.path, other))
	}
	for i := range min(len(english.fences), len(portuguese.fences)) {
		one, other := english.fences[i], portuguese.fences[i]
		if one.info != other.info || withoutComments(one) != withoutComments(other) {
			faults = append(faults, fmt.Sprintf("the code differs: %s:%d and %s:%d", english.path, one.line, portuguese.path, other.line))
		}
	}
	return faults
}

var (
	slashes = regexp.MustCompile(`(?m)^[ \t]*//.*\n|[ \t]+//.*$`)
	hashes  = regexp.MustCompile(`(?m)^[ \t]*#.*\n|[ \t]+#.*$`)
	dashes  = regexp.MustCompile(`(?m)^[ \t]*--.*\n|[ \t]+--.*$`)
)

func withoutComments(block fence) string {
	language, _, _ := strings.Cut(block.info, " ")
	switch language {
	case "go", "js":
		return slashes.ReplaceAllString(block.text, "")
	case "sh", "python", "yaml":
		return hashes.ReplaceAllString(block.text, "")
	case "sql":
		return dashes.ReplaceAllString(block.text, "")
	}
	return block.text
}
