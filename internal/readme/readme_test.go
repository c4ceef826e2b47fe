// Package readme keeps the READMEs honest: their code compiles, and the two languages say the same.
package readme

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const english, portuguese, safety, webhooks, metricsPage = "../../README.md", "../../README.pt-BR.md", "../../docs/money-safety.md",
	"../../docs/webhooks.md", "../../docs/metrics.md"

// frame is what stands around a snippet: what a program would have at that place.
const frame = `package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

var (
	_ = bytes.NewReader
	_ = json.Marshal
	_ = errors.Is
	_ = fmt.Sprint
	_ = io.EOF
	_ = log.Print
	_ = os.Getenv
	_ = time.Hour
	_ = auth.NewSecret
	_ = gen.NewClient
	_ = idempotency.NewKey
	_ = journal.Open
	_ = metrics.New
	_ = pix.Centavos
	_ = sandbox.Start
	_ = signing.Editor
	_ = webhook.Parse
	_ = sqlstore.Open
	_ = http.HandleFunc
)

func main() {}

DECLARATIONS

func _(ctx context.Context, client *connectpsp.Client, config connectpsp.Config, err error, request connectpsp.CashOutRequest,
	markAccepted func(string, string) error, keepOpen func(string) error, giveBack func(string, error) error, db *sql.DB, worker *webhook.Worker,
	apply func(context.Context, webhook.Transition) error) error {
	{
SNIPPET
		_, _, _ = ctx, client, err
	}
	return nil
}
`

func snippets(t *testing.T, file string) []string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var found []string
	for _, match := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		found = append(found, match[1])
	}
	require.NotEmpty(t, found)
	return found
}

func TestEverySnippetCompiles(t *testing.T) {
	scratch, err := filepath.Abs(".")
	require.NoError(t, err)
	files := map[string]string{}
	var packages []string
	// What a page declares, the rest of the page may use.
	declares := regexp.MustCompile(`(?m)^(func|type) `)
	var programs []string
	for _, page := range []string{english, safety, webhooks, metricsPage} {
		declarations, used := "", []string{""}
		for _, snippet := range snippets(t, page) {
			if declares.MatchString(snippet) {
				declarations += snippet + "\n"
			} else {
				used = append(used, snippet)
			}
		}
		if strings.Contains(declarations, "type orderBook") {
			declarations += "var books orderBook\n"
		}
		for _, snippet := range used {
			programs = append(programs, strings.NewReplacer("SNIPPET", snippet, "DECLARATIONS", declarations).Replace(frame))
		}
	}
	for i, snippet := range programs {
		// A snippet that ends in a call leaves its last result unused.
		snippet = strings.ReplaceAll(snippet, "response, err := raw.", "_, err = raw.")
		file := filepath.Join(t.TempDir(), "main.go")
		require.NoError(t, os.WriteFile(file, []byte(snippet), 0o600))
		name := "snippet" + strconv.Itoa(i)
		files[filepath.Join(scratch, name, "main.go")] = file
		packages = append(packages, "./"+name)
	}
	// The overlay puts the snippets into the module without writing into the tree.
	overlay, err := json.Marshal(map[string]any{"Replace": files})
	require.NoError(t, err)
	overlayFile := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(overlayFile, overlay, 0o600))
	output, err := exec.Command("go", append([]string{"build", "-overlay", overlayFile, "-o", os.DevNull}, packages...)...).CombinedOutput()
	assert.NoError(t, err, "%s", output)
}

// Comments may be translated; the code must be the same.
func TestBothREADMEsShowTheSameCode(t *testing.T) {
	comments := regexp.MustCompile(`(?m)[ \t]*//.*$`)
	strip := func(all []string) (stripped []string) {
		for _, snippet := range all {
			stripped = append(stripped, comments.ReplaceAllString(strings.ReplaceAll(snippet, "https://", ""), ""))
		}
		return stripped
	}
	want, got := strip(snippets(t, english)), strip(snippets(t, portuguese))
	require.Len(t, got, len(want))
	for i := range want {
		assert.Equal(t, want[i], got[i])
	}
}

func TestBothREADMEsHaveTheSameSections(t *testing.T) {
	count := func(file string) (levels []string) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`(?m)^(#+) `).FindAllStringSubmatch(string(text), -1) {
			levels = append(levels, match[1])
		}
		return levels
	}
	assert.Equal(t, count(english), count(portuguese))
}

// A test that is renamed would leave a promise that points to nothing.
func TestEveryTestThatCONTRIBUTINGNamesIsThere(t *testing.T) {
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	require.NoError(t, err)
	tests, err := filepath.Glob("../../*/*_test.go")
	require.NoError(t, err)
	more, err := filepath.Glob("../../internal/*/*_test.go")
	require.NoError(t, err)
	var declared strings.Builder
	for _, file := range append(tests, more...) {
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		declared.Write(code)
	}
	names := regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(names), 5)
	for _, name := range names {
		assert.True(t, strings.Contains(declared.String(), "func "+name[1]+"(t *testing.T)"), "CONTRIBUTING names %s", name[1])
	}
}

var links = regexp.MustCompile(`\]\(([^)#:]+)\)`)

func TestEveryLinkToAFileLeadsSomewhere(t *testing.T) {
	for _, file := range []string{english, portuguese, safety, webhooks, "../../docs/tracing.md", "../../CONTRIBUTING.md", "../../SECURITY.md", "../../CHANGELOG.md"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, link := range links.FindAllStringSubmatch(string(text), -1) {
			assert.FileExists(t, filepath.Join(filepath.Dir(file), link[1]), file)
		}
	}
}
