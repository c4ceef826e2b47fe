package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
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
	p := checkout(t)
	before := map[string][]byte{}
	for _, path := range []string{p.description(), p.lock(), p.generated()} {
		before[path], err = os.ReadFile(path)
		require.NoError(t, err)
	}
	program := filepath.Join(p.root, "consumer", "main.go")
	require.NoError(t, os.MkdirAll(filepath.Dir(program), 0o755))
	require.NoError(t, os.WriteFile(program, consumer(t), 0o644))
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for path, text := range before {
				require.NoError(t, os.WriteFile(path, text, 0o644))
			}
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
			paid, err := output(t.Context(), p.root, "go", "run", "-trimpath", "./consumer")
			require.NoError(t, err)
			assert.Equal(t, "paid, refunded and withdrawn\n", paid)
		})
	}
}
