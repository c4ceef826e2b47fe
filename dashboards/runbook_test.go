package dashboards

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const runbookURL = "https://github.com/connectpsp/connectpsp-go/blob/main/docs/runbook.md#"

// readRunbook returns the sections of the runbook that have an alert, by their headings.
func readRunbook(t *testing.T) (sections map[string]string, text string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "docs", "runbook.md"))
	require.NoError(t, err)
	sections = map[string]string{}
	for _, part := range strings.Split(string(content), "\n### ")[1:] {
		heading, section, _ := strings.Cut(part, "\n")
		section, _, _ = strings.Cut(section, "\n## ")
		assert.NotContains(t, sections, heading)
		sections[heading] = section
	}
	return sections, string(content)
}

// A person who is woken needs a section for the alert, and finds it by one click.
func TestEachAlertHasASectionInTheRunbookAndNoOtherHasOne(t *testing.T) {
	sections, _ := readRunbook(t)
	var alerts []string
	for _, rule := range readRules(t) {
		alerts = append(alerts, rule.Alert)
		assert.Contains(t, []string{"critical", "warning", "info"}, rule.Labels["severity"], rule.Alert)
		assert.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
		assert.NotEmpty(t, rule.Annotations["description"], rule.Alert)
		// The anchor of a heading of one word is the word in lower case.
		assert.Equal(t, runbookURL+strings.ToLower(rule.Alert), rule.Annotations["runbook_url"], rule.Alert)
		for _, question := range []string{"What happened", "The money", "Whose fault", "Look at", "Do", "Never"} {
			assert.Contains(t, sections[rule.Alert], "- **"+question+"**", rule.Alert)
		}
	}
	var headings []string
	for heading := range sections {
		headings = append(headings, heading)
	}
	assert.ElementsMatch(t, alerts, headings)
}

// What a person types at night must exist.
func TestEachCommandOfTheRunbookExists(t *testing.T) {
	_, text := readRunbook(t)
	text = strings.Join(strings.Fields(text), " ")
	var commands [][]string
	for _, match := range regexp.MustCompile("`connectpsp ([^`]+)`").FindAllStringSubmatch(text, -1) {
		var words []string
		for _, word := range strings.Fields(match[1]) {
			if strings.ToUpper(word) != word { // REFERENCE stands for one
				words = append(words, word)
			}
		}
		commands = append(commands, words)
	}
	require.Greater(t, len(commands), 10)
	program := filepath.Join(t.TempDir(), "connectpsp")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "cmd", "connectpsp")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	slices.SortFunc(commands, slices.Compare[[]string])
	for _, words := range slices.CompactFunc(commands, slices.Equal[[]string]) {
		var path, flags []string
		for n, word := range words {
			if strings.HasPrefix(word, "-") {
				flags = append(flags, word)
			} else if n == 0 || !strings.HasPrefix(words[n-1], "-") {
				path = append(path, word)
			}
		}
		help, err := exec.CommandContext(t.Context(), program, append(path, "--help")...).CombinedOutput()
		require.NoError(t, err, "%v: %s", words, help)
		assert.Contains(t, string(help), "connectpsp "+strings.Join(path, " "), "it is the help of that command")
		for _, flag := range flags {
			assert.Contains(t, string(help), flag, strings.Join(words, " "))
		}
	}
}

// What a person searches for at night must be logged.
func TestEachEventOfTheRunbookIsLogged(t *testing.T) {
	_, text := readRunbook(t)
	logs, err := os.ReadFile(filepath.Join("..", "docs", "logs.md"))
	require.NoError(t, err)
	events := regexp.MustCompile("`[a-z]+\\.[a-z]+`").FindAllString(text, -1)
	require.Greater(t, len(events), 10)
	for _, event := range events {
		assert.Contains(t, string(logs), "| "+event+" |")
	}
}
