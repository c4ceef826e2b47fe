package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each file in testdata/shapes is the description as a provider might publish it. Its first line
// says how it ends: "taken", "fails" if it is taken and contradicts the SDK on the wire, or
// "refused", and after a colon what is told of it.
func TestEveryShapeOfTheDescriptionEndsAsItsFirstLineSays(t *testing.T) {
	needsWhole(t)
	files, err := filepath.Glob("testdata/shapes/*")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 60)
	whole := checkout(t)
	program := filepath.Join(whole.root, "consumer", "main.go")
	require.NoError(t, os.MkdirAll(filepath.Dir(program), 0o755))
	require.NoError(t, os.WriteFile(program, consumer(t), 0o644))
	whole.keepWhatGenCanBreak(t)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			p := project{t.TempDir()}
			require.NoError(t, whole.copyTo(p.root))
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			first, description, found := bytes.Cut(text, []byte("\n"))
			require.True(t, found)
			wanted, says, _ := strings.Cut(strings.TrimPrefix(string(bytes.TrimSpace(first)), "# "), ":")
			says = strings.TrimSpace(says)
			state := p.state(t)
			printed, err := p.taken(t, description)
			switch wanted {
			case "taken":
				require.NoError(t, err)
				_, against, _ := strings.Cut(printed, "The SDK beside it")
				assert.NotContains(t, against, "  breaking", printed)
				assert.Contains(t, printed, says)
			case "fails":
				require.NoError(t, err)
				_, against, _ := strings.Cut(printed, "The SDK beside it")
				assert.Regexp(t, `(?m)^  breaking .*`+regexp.QuoteMeta(says), against)
			case "refused":
				require.ErrorContains(t, err, says)
				assert.Equal(t, state, p.state(t))
				return
			default:
				t.Fatalf("the first line is %q", first)
			}
			paid, err := output(t.Context(), p.root, "go", "run", "./consumer")
			require.NoError(t, err)
			assert.Equal(t, "paid, refunded and withdrawn\n", paid)
		})
	}
}

// keepWhatGenCanBreak removes from a copy with a consumer what most of a sync is spent on and hardly
// any description breaks: the tests of packages that do not use gen on their own, and the packages
// that nothing else needs. Version 2.1.0 is taken into the whole project.
func (p project) keepWhatGenCanBreak(t *testing.T) {
	t.Helper()
	list := func(arguments ...string) []string {
		listed, err := output(t.Context(), p.root, "go", append([]string{"list", "-f", "{{.Dir}}"}, arguments...)...)
		require.NoError(t, err)
		return strings.Fields(listed)
	}
	tested := list("./auth", "./consumer", "./gen", "./idempotency", "./openapi", "./signing")
	needed := list(append([]string{"-deps", "-test"}, tested...)...)
	for _, directory := range list("./...") {
		removed := "*.go"
		if slices.Contains(needed, directory) {
			removed = "*_test.go"
		}
		if slices.Contains(tested, directory) {
			continue
		}
		files, err := filepath.Glob(filepath.Join(directory, removed))
		require.NoError(t, err)
		for _, file := range files {
			require.NoError(t, os.Remove(file))
		}
	}
}
