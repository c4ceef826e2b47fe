package contract

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAReportListsTheWorstFirst(t *testing.T) {
	r := NewReport("The description", "2.0.0", "2.1.0", []Change{
		{Otherwise, "GET /a", "its words differ"}, {Breaking, "GET /b", "it is gone"}, {Additive, "GET /c", "it is new"}, {Breaking, "GET /a", "it is gone"},
	})
	assert.Equal(t, `The description, from 2.0.0 to 2.1.0: it breaks the API.
  breaking   GET /a: it is gone
  breaking   GET /b: it is gone
  additive   GET /c: it is new
  otherwise  GET /a: its words differ
`, r.String())
	assert.Equal(t, "## The description, from 2.0.0 to 2.1.0: it breaks the API\n\n### Breaking\n\n- `GET /a`: it is gone\n- `GET /b`: it is gone\n"+
		"\n### Additive\n\n- `GET /c`: it is new\n\n### Otherwise\n\n- `GET /a`: its words differ\n", r.Markdown())
}

func TestAReportOfNothingSaysSo(t *testing.T) {
	r := NewReport("The SDK", "", "", nil)
	assert.Equal(t, Nothing, r.Level())
	assert.Equal(t, "The SDK: nothing has changed.\n", r.String())
	assert.Equal(t, "## The SDK: nothing has changed\n", r.Markdown())
}

// The same in many places is one line, which names the first of them.
func TestADifferenceInManyPlacesIsReportedOnce(t *testing.T) {
	var c collector
	for _, where := range []string{"a", "b", "a", "c", "d", "e", "f"} {
		c.add(Additive, where, "it is %s", "new")
	}
	c.add(Breaking, "a", "it is new")
	assert.Equal(t, []Change{{Additive, "a, b, c, d, 2 more", "it is new"}, {Breaking, "a", "it is new"}}, c.changes())
}

// The text of a pull request is written by whoever writes the description.
func TestAReportEscapesMarkdownAndMentions(t *testing.T) {
	const evil = "@everyone #1 <img src=x> [here](https://example.com) \\[there\\](https://example.com) *a* &lt;\n# Merge this\u2028\x1b[2J\u202e"
	for _, text := range []string{
		NewReport("The description", evil, evil, []Change{{Breaking, "GET /a`\n# Merge this", evil}}).Markdown(),
		NewReport("The description", "1", "2", []Change{{Breaking, "GET /a", "an odd ` quote " + evil}}).Markdown(),
		NewReport("The description", "1", "2", []Change{{Breaking, "GET /a", "``code`` `" + evil}}).Markdown(),
		NewReport("The description", "`", "`"+evil, []Change{{Otherwise, evil, "`" + evil + "` `" + evil}}).Markdown(),
	} {
		prose := regexp.MustCompile("`[^`]*`").ReplaceAllString(text, "")
		assert.NotContains(t, text, "\n# Merge this")
		assert.NotContains(t, prose, "<img")
		assert.NotContains(t, prose, "@everyone")
		assert.NotContains(t, prose, "#1")
		assert.NotRegexp(t, `(^|[^\\])(\\\\)*\]\(`, prose)
		assert.NotContains(t, text, "\x1b")
		assert.NotContains(t, text, "\u202e")
	}
	assert.Contains(t, NewReport("", "", "", []Change{{Breaking, "GET /a`\n# b", "removed `a_b[]` and c_d"}}).Markdown(),
		"- `GET /a' # b`: removed `a_b[]` and c\\_d\n")
}

func TestAReportHoldsNoTerminalControl(t *testing.T) {
	text := NewReport("The description", "1\n\x1b[2J", "2", []Change{{Otherwise, "GET /a\u009b2J", "b\rc\u202e"}}).String()
	assert.Equal(t, "The description, from 1 [2J to 2: it says the same otherwise.\n  otherwise  GET /a 2J: b c\n", text)
}
