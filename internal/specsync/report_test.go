package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAReportTellsTheWorstFirst(t *testing.T) {
	r := newReport("The description", "2.0.0", "2.1.0", []change{
		{words, "GET /a", "its words differ"}, {breaking, "GET /b", "it is gone"}, {additive, "GET /c", "it is new"}, {breaking, "GET /a", "it is gone"},
	})
	assert.Equal(t, `The description, from 2.0.0 to 2.1.0: it breaks the API.
  breaking  GET /a: it is gone
  breaking  GET /b: it is gone
  additive  GET /c: it is new
  words     GET /a: its words differ
`, r.terminal())
	assert.Equal(t, "## The description, from 2.0.0 to 2.1.0: it breaks the API\n\n### Breaking\n\n- `GET /a`: it is gone\n- `GET /b`: it is gone\n"+
		"\n### Additive\n\n- `GET /c`: it is new\n\n### Words\n\n- `GET /a`: its words differ\n", r.markdown())
}

func TestWhatAWorkflowIsToldByTheStatus(t *testing.T) {
	for l, status := range map[level]int{nothing: 0, words: 0, additive: 3, breaking: 4} {
		assert.Equal(t, status, newReport("", "", "", []change{{level: l}}).level().status())
	}
	assert.Equal(t, nothing, newReport("", "", "", nil).level())
}

// The text of a pull request is written by whoever writes the description.
func TestAReportCannotBeMadeToSayAnythingElse(t *testing.T) {
	const evil = "@everyone #1 <img src=x> [here](https://example.com) \\[there\\](https://example.com) *a* &lt;\n# Merge this\u2028\x1b[2J\u202e"
	for _, text := range []string{
		newReport("The description", evil, evil, []change{{breaking, "GET /a`\n# Merge this", evil}}).markdown(),
		newReport("The description", "1", "2", []change{{breaking, "GET /a", "an odd ` quote " + evil}}).markdown(),
		newReport("The description", "1", "2", []change{{breaking, "GET /a", "``code`` `" + evil}}).markdown(),
		proposal(report{}, source{NotOffered: []string{evil + "`" + evil}}),
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
	assert.Contains(t, newReport("", "", "", []change{{breaking, "GET /a`\n# b", "removed `a_b[]` and c_d"}}).markdown(),
		"- `GET /a' # b`: removed `a_b[]` and c\\_d\n")
}

func TestAReportDoesNothingToTheTerminal(t *testing.T) {
	text := newReport("The description", "1\n\x1b[2J", "2", []change{{words, "GET /a\u009b2J", "b\rc\u202e"}}).terminal()
	assert.Equal(t, "The description, from 1 [2J to 2: only words have changed.\n  words     GET /a 2J: b c\n", text)
}

// differing tells what differs between the current description and a changed one, by oasdiff's own word where there is one.
func differing(t *testing.T, change func(object)) map[string]*difference {
	t.Helper()
	var documents [2]*document
	for i, text := range [][]byte{reshape(t, nil), reshape(t, change)} {
		d, err := read(text)
		require.NoError(t, err)
		d.exposeEvents()
		d.modernise()
		documents[i] = d
	}
	found, err := differences(documents[0], documents[1])
	require.NoError(t, err)
	return found
}

func TestWordsAreToldFromWhatTrafficShows(t *testing.T) {
	property := func(root object) object {
		return at(t, root, "components", "schemas", "RefundRequest", "properties", "description")
	}
	found := differing(t, func(root object) { property(root)["description"] = "Another text." })
	require.Len(t, found, 1)
	assert.Empty(t, found["POST /cash-in/{id}/refund"].structure)
	assert.Equal(t, []string{"requestBody.content.application/json.schema.properties.description.description"}, found["POST /cash-in/{id}/refund"].words)

	// A member called description is no description.
	found = differing(t, func(root object) { property(root)["maxLength"] = 10 })
	assert.Empty(t, found["POST /cash-in/{id}/refund"].words)
	assert.Equal(t, []string{"requestBody.content.application/json.schema.properties.description.maxLength"}, found["POST /cash-in/{id}/refund"].structure)
}

func TestAChangeOfAWebhookIsSeen(t *testing.T) {
	found := differing(t, func(root object) {
		at(t, root, "components", "schemas", "CashInEvent", "properties")["sequence"] = object{"type": "integer"}
	})
	require.Contains(t, found, "GET "+eventPath+"cash-in")
	assert.Equal(t, "webhooks about a cash-in", nameOfEvent("GET "+eventPath+"cash-in"))
}

func TestWhatNoRuleJudgesIsForAPerson(t *testing.T) {
	older, err := read(reshape(t, nil))
	require.NoError(t, err)
	newer, err := read(reshape(t, func(root object) {
		root["servers"].([]any)[0].(object)["url"] = "https://elsewhere.example.com"
		root["info"].(object)["version"] = "2.0.1"
	}))
	require.NoError(t, err)
	changes, err := whatOasdiffLeavesOut(older, newer, nil)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	assert.Equal(t, breaking, changes[0].level)
	assert.Contains(t, changes[0].text, "servers[0].url")
	known, err := whatOasdiffLeavesOut(older, newer, []change{{additive, whole, "servers"}})
	require.NoError(t, err)
	assert.Empty(t, known, "oasdiff has judged it")
}

func TestOpenAPI31IsTheSameAs30(t *testing.T) {
	assert.Empty(t, differing(t, toOpenAPI31WithoutSiblings))
}

func toOpenAPI31WithoutSiblings(root object) {
	toOpenAPI31(root)
	rewrite(root, func(schema object) {
		if schema["$ref"] == "#/components/schemas/Failure" {
			delete(schema, "description")
		}
	})
}

func TestManyPlacesAreCountedAndNotListed(t *testing.T) {
	assert.Equal(t, "a, b, c, d", some([]string{"a", "b", "c", "d"}))
	assert.Equal(t, "a, b, c, d and 2 more places", some([]string{"a", "b", "c", "d", "e", "f"}))
}

func TestAReportNeedsTwoDescriptions(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	require.NoError(t, os.WriteFile(page, []byte("<html>"), 0o600))
	for _, arguments := range [][]string{{"report", "nowhere", page}, {"report", page, page}} {
		status, err := run(t.Context(), small(t), http.DefaultClient, arguments, new(bytes.Buffer))
		assert.Error(t, err)
		assert.Equal(t, 1, status)
	}
}
