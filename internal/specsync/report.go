package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// level is how much a change matters to users of the API.
type level int

const (
	nothing level = iota
	words         // descriptions, examples
	additive
	breaking
)

func (l level) String() string { return [...]string{"nothing", "words", "additive", "breaking"}[l] }

func (l level) sentence() string {
	return [...]string{"nothing has changed", "only words have changed", "it adds to the API", "it breaks the API"}[l]
}

// status is what the program ends with, for workflows. 1 is a failure, 2 wrong use.
func (l level) status() int { return [...]int{0, 0, 3, 4}[l] }

// change is one difference between two descriptions, or two versions of the SDK.
type change struct {
	level level
	where string
	text  string
}

// report is all of them, the worst first.
type report struct {
	subject  string // what is compared
	from, to string // its versions
	changes  []change
}

func newReport(subject, from, to string, changes []change) report {
	slices.SortStableFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(b.level, a.level), strings.Compare(a.where, b.where))
	})
	return report{subject: subject, from: from, to: to, changes: changes}
}

func (r report) level() level {
	if len(r.changes) == 0 {
		return nothing
	}
	return r.changes[0].level
}

// terminal writes the report for people at a terminal.
func (r report) terminal() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, from %s to %s: %s.\n", r.subject, oneLine(r.from), oneLine(r.to), r.level().sentence())
	for _, c := range r.changes {
		fmt.Fprintf(&text, "  %-8v  %s: %s\n", c.level, oneLine(c.where), oneLine(c.text))
	}
	return text.String()
}

// markdown writes it for a pull request.
func (r report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "## %s, from %s to %s: %s\n", r.subject, plain(r.from), plain(r.to), r.level().sentence())
	for _, l := range []level{breaking, additive, words} {
		heading := fmt.Sprintf("\n### %s\n\n", strings.ToUpper(l.String()[:1])+l.String()[1:])
		for _, c := range r.changes {
			if c.level == l {
				fmt.Fprintf(&text, "%s- %s: %s\n", heading, code(c.where), plain(c.text))
				heading = ""
			}
		}
	}
	return text.String()
}

// code writes text that a stranger may have chosen as code in Markdown.
func code(text string) string { return "`" + strings.ReplaceAll(oneLine(text), "`", "'") + "`" }

// plain writes text that a stranger may have chosen so that Markdown shows it as it is, and nobody is mentioned. Code in single
// backquotes stays code.
func plain(text string) string {
	parts := strings.Split(oneLine(text), "`")
	if len(parts)%2 == 0 || strings.Contains(text, "``") { // what would be code to Markdown is not certain
		return shown.Replace(strings.Join(parts, "'"))
	}
	for i := range parts {
		if i%2 == 0 {
			parts[i] = shown.Replace(parts[i])
		}
	}
	return strings.Join(parts, "`")
}

// The sign of a mention or an issue is parted from its name by a space of no width, for GitHub takes it for one also when it is escaped.
var shown = strings.NewReplacer(`\`, `\\`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "[", `\[`, "]", `\]`, "*", `\*`, "_", `\_`, "|", `\|`, "~", `\~`,
	"@", "@\u200b", "#", "#\u200b")

// oneLine leaves out what moves the cursor, turns the direction of writing or cannot be seen.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' }), " ")
}
