package contract

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Level is the effect of a change on users of the SDK.
type Level int

const (
	// Nothing has changed.
	Nothing Level = iota

	// Otherwise is said in another way to the same effect: words, and promises that the SDK does
	// not depend on.
	Otherwise

	// Additive is new and breaks no user.
	Additive

	// Breaking breaks users, or may.
	Breaking
)

// String is "breaking", for instance.
func (l Level) String() string { return [...]string{"nothing", "otherwise", "additive", "breaking"}[l] }

func (l Level) sentence() string {
	return [...]string{"nothing has changed", "it says the same otherwise", "it adds to the API", "it breaks the API"}[l]
}

// Change is one difference: between two descriptions, between a description and the SDK, or between
// two versions of the SDK.
type Change struct {
	Level Level
	Where string
	Text  string
}

// Report is a list of changes, the worst first.
type Report struct {
	// Subject is what is compared, From and To are its versions. Those may be empty.
	Subject, From, To string

	Changes []Change
}

// NewReport sorts changes.
func NewReport(subject, from, to string, changes []Change) Report {
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), strings.Compare(a.Where, b.Where))
	})
	return Report{subject, from, to, changes}
}

// Level returns the level of the worst change.
func (r Report) Level() Level {
	if len(r.Changes) == 0 {
		return Nothing
	}
	return r.Changes[0].Level
}

func (r Report) title() string {
	if r.From == "" && r.To == "" {
		return r.Subject
	}
	return fmt.Sprintf("%s, from %s to %s", r.Subject, r.From, r.To)
}

// String returns the report for a terminal.
func (r Report) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s.\n", oneLine(r.title()), r.Level().sentence())
	for _, c := range r.Changes {
		fmt.Fprintf(&text, "  %-9v  %s: %s\n", c.Level, oneLine(c.Where), oneLine(c.Text))
	}
	return text.String()
}

// Markdown returns the report for a pull request.
func (r Report) Markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "## %s: %s\n", plain(r.title()), r.Level().sentence())
	for _, l := range []Level{Breaking, Additive, Otherwise} {
		heading := fmt.Sprintf("\n### %s\n\n", strings.ToUpper(l.String()[:1])+l.String()[1:])
		for _, c := range r.Changes {
			if c.Level == l {
				fmt.Fprintf(&text, "%s- %s: %s\n", heading, code(c.Where), plain(c.Text))
				heading = ""
			}
		}
	}
	return text.String()
}

// collector collects changes, and merges equal ones into one with all their places.
type collector struct {
	order []Change // without where
	where map[Change][]string
}

func (c *collector) add(l Level, where, format string, arguments ...any) {
	if c.where == nil {
		c.where = map[Change][]string{}
	}
	found := Change{Level: l, Text: fmt.Sprintf(format, arguments...)}
	if c.where[found] == nil {
		c.order = append(c.order, found)
	}
	if !slices.Contains(c.where[found], where) {
		c.where[found] = append(c.where[found], where)
	}
}

func (c *collector) changes() (all []Change) {
	for _, found := range c.order {
		const few = 4
		where := c.where[found]
		if more := len(where) - few; more > 0 {
			where = append(slices.Clone(where[:few]), fmt.Sprintf("%d more", more))
		}
		found.Where = strings.Join(where, ", ")
		all = append(all, found)
	}
	return all
}

// code returns untrusted text as code in Markdown.
func code(text string) string { return "`" + strings.ReplaceAll(oneLine(text), "`", "'") + "`" }

// plain escapes untrusted text, so that Markdown shows it literally and mentions no user. Code in
// single backquotes stays code.
func plain(text string) string {
	parts := strings.Split(oneLine(text), "`")
	if len(parts)%2 == 0 || strings.Contains(text, "``") { // it is not certain what Markdown takes for code
		return shown.Replace(strings.Join(parts, "'"))
	}
	for i := range parts {
		if i%2 == 0 {
			parts[i] = shown.Replace(parts[i])
		}
	}
	return strings.Join(parts, "`")
}

// A zero-width space separates the sign of a mention or an issue from its name, because GitHub
// recognises an escaped one too.
var shown = strings.NewReplacer(`\`, `\\`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "[", `\[`, "]", `\]`, "*", `\*`, "_", `\_`, "|", `\|`, "~", `\~`,
	"@", "@\u200b", "#", "#\u200b")

// oneLine removes characters that move the cursor, change the direction of writing or are
// invisible.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' }), " ")
}
