package readme

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sound are pages without a fault. A tilde stands for three backticks, an apostrophe for one.
var sound = map[string]string{
	"README.md":       "# Home\n\nRun 'connectpsp journal list --database' or 'make test RACE=-race', which runs 'TestEverySnippetCompiles'.\n",
	"README.pt-BR.md": "# Início\n",
	"docs/logs.md":    "# Logs\n",
	"llms.txt":        llmsText,
	"docs/index.md":   "# Map\n\n## Guides\n\n- [Pay](pay.md): how do I\n  pay?\n- [Logs](logs.md): events\n",

	"docs/pt-BR/index.md": "# Mapa\n\n## Guias\n\n- [Pagar](pay.md): como pagar?\n- [Logs](../logs.md): eventos\n\n" +
		"- [ ] Há testes: 'make test'.\n- [ ] Há mais:\n  'TestEverySnippetCompiles'.\n",
	"pay.go": "package pay // see docs/pay.md#after-it\n",
	"docs/pay.md": `# Pay

## Before you pay

See [after](#after-it), [home](../README.md#home) and [the code](../pay.go).

~go
// The first of two lines.
payment, err := client.CreateCashOut(ctx, request) // a comment
~

~go
package main

import "fmt"

func main() { fmt.Println("R$ 10,50", 7) }
~

~output
R$ 10,50 …
~

## After 'it'

~sh
make test # a comment
connectpsp cash-out get ID | jq
~

~json
{"amount": 10.50}
~
`,
	"docs/pt-BR/pay.md": `# Pagar

## Antes de pagar

Veja [depois](#depois-disso-é-simples).

~go
payment, err := client.CreateCashOut(ctx, request) // um comentário
~

~go
package main

import "fmt"

func main() { fmt.Println("R$ 10,50", 7) }
~

~output
R$ 10,50 …
~

## Depois disso é simples

~sh
# Um comentário.
make test
connectpsp cash-out get ID | jq
~

~json
{"amount": 10.50}
~
`,
}

func TestAPlantedFaultIsFound(t *testing.T) {
	all := namesOf(t, tree)
	check := func(t *testing.T, files map[string]string, fault string) string {
		tree := fstest.MapFS{}
		for name, text := range files {
			tree[name] = &fstest.MapFile{Data: []byte(strings.NewReplacer("~", "```", "'", "`").Replace(text))}
		}
		pages := pages(t, tree)
		programs, faults := programs(pages)
		faults = append(faults, twinFaults(pages)...)
		faults = append(faults, linkFaults(t, tree, pages)...)
		faults = append(faults, fenceFaults(t, pages)...)
		faults = append(faults, nameFaults(all, pages)...)
		faults = append(faults, indexFaults(pages)...)
		faults = append(faults, staleFaults(tree, map[string]string{"llms.txt": llms(t, tree)})...)
		if found := strings.Join(faults, "\n"); fault != "" && strings.Contains(found, fault) {
			return found // the compiler takes the longest
		}
		built, more := compile(t, programs)
		return strings.Join(slices.Concat(faults, more, outputFaults(t, built, programs)), "\n")
	}
	require.Empty(t, check(t, sound, ""))
	for name, c := range map[string]struct{ file, old, new, fault string }{
		"a heading is missing":          {"docs/pt-BR/pay.md", "## Depois disso é simples", "[x](#pagar)", "docs/pay.md: heading 3"},
		"a heading is a level off":      {"docs/pt-BR/pay.md", "## Antes", "### Antes", `"Antes de pagar" at level 3`},
		"a line of code differs":        {"docs/pt-BR/pay.md", "R$ 10,50\", 7", "R$ 10,50\", 8", "the code differs: docs/pay.md:13 and docs/pt-BR/pay.md:12"},
		"a comment became code":         {"docs/pt-BR/pay.md", "# Um comentário.", "echo", "the code differs"},
		"a block of code is gone":       {"docs/pt-BR/pay.md", "~json\n{\"amount\": 10.50}\n~\n", "", "docs/pay.md has 5 blocks of code, and docs/pt-BR/pay.md has 4"},
		"a twin is missing":             {"docs/new.md", "", "# New", "docs/new.md has no twin docs/pt-BR/new.md"},
		"an original is missing":        {"docs/pt-BR/novo.md", "", "# Novo", "docs/pt-BR/novo.md is the twin of no English page"},
		"code does not compile":         {"docs/pay.md", "client.CreateCashOut", "client.CreateCashout", "docs/pay.md:9:"},
		"code does not parse":           {"docs/pay.md", "request)", "request", "docs/pay.md:8: "},
		"a program does not parse":      {"docs/pay.md", "import \"fmt\"", "import fmt", "docs/pay.md:13: "},
		"a program lacks a module":      {"docs/pay.md", "import \"fmt\"", "import _ \"example.com/none\"", "no module has all that it imports"},
		"an output differs":             {"docs/pay.md", "~output\nR$ 10,50", "~output\nR$ 10,51", "docs/pay.md:13 prints R$ 10,50 7"},
		"an output shows less":          {"docs/pay.md", "fmt.Println(", "fmt.Println(1);fmt.Println(", "docs/pay.md:13 prints 1\nR$ 10,50 7"},
		"an output has no program":      {"docs/pay.md", "~output", "~json\n1\n~\n\n~output", "an output follows a whole program or a shell block"},
		"a link is dead":                {"docs/pay.md", "../pay.go", "../paid.go", "docs/pay.md: there is no file for the link ../paid.go"},
		"an anchor is dead":             {"docs/pay.md", "#after-it", "#after", "docs/pay.md: there is no heading for the link #after"},
		"another's anchor is dead":      {"docs/pay.md", "README.md#home", "README.md#house", "docs/pay.md: there is no heading for the link ../README.md#house"},
		"a comment's link is dead":      {"pay.go", "#after-it", "#after", "pay.go: there is no heading for the link docs/pay.md#after"},
		"a language is misspelt":        {"docs/pay.md", "~json", "~jsno", `the language "jsno" is none of`},
		"a block does not end":          {"docs/pay.md", "10.50}\n~", "10.50}", `the language "unclosed"`},
		"JSON does not parse":           {"docs/pay.md", "10.50}", "10.50", "this is no JSON"},
		"a shell block is odd":          {"docs/pay.md", "ID | jq", "ID | (jq", "syntax error"},
		"a command does not exist":      {"README.md", "journal list", "journal show", "README.md: there is no command connectpsp journal show"},
		"a command in a shell, too":     {"docs/pay.md", "cash-out get", "cash-out show", "there is no command connectpsp cash-out show"},
		"a flag does not exist":         {"README.md", "--database", "--db", "README.md: connectpsp journal list has no flag --db"},
		"a target does not exist":       {"README.md", "make test", "make tests", "README.md: there is no make tests"},
		"a line proves nothing":         {"docs/pt-BR/index.md", "'TestEverySnippetCompiles'", "veja", `no command, test or query proves "- [ ] Há mais`},
		"the index lacks a page":        {"docs/index.md", "(logs.md)", "(pay.md)", "docs/index.md has no link to docs/logs.md"},
		"a page was not generated anew": {"docs/index.md", "how do I", "how does one", "llms.txt is stale: run make docs"},
		"a function does not exist":     {"docs/logs.md", "Logs", "'connectpsp.WithFortune'", "docs/logs.md: there is no connectpsp.WithFortune"},
		"a method does not exist":       {"docs/logs.md", "Logs", "'webhook.Worker.Sleep'", "docs/logs.md: there is no webhook.Worker.Sleep"},
		"a test does not exist":         {"README.md", "TestEverySnippetCompiles", "TestNoSnippetCompiles", "README.md: there is no TestNoSnippetCompiles"},
	} {
		t.Run(name, func(t *testing.T) {
			planted := maps.Clone(sound)
			require.True(t, c.old == "" || strings.Contains(planted[c.file], c.old))
			planted[c.file] = strings.Replace(planted[c.file], c.old, c.new, 1)
			assert.Contains(t, check(t, planted, c.fault), c.fault)
		})
	}
}

const llmsText = "# ConnectPSP for Go\n\n> A Go SDK for the ConnectPSP API: receive and send PIX, refund, and verify webhooks, unattended. A call that moves " +
	"money ends as accepted, rejected for certain or unknown; after an unknown outcome call again with the same request, and never pay under " +
	"another reference.\n\n## Guides\n\n- [Pay](https://raw.githubusercontent.com/connectpsp/connectpsp-go/main/docs/pay.md): how do I pay?\n" +
	"- [Logs](https://raw.githubusercontent.com/connectpsp/connectpsp-go/main/docs/logs.md): events\n\n## Guias (português)\n\n" +
	"- [Pagar](https://raw.githubusercontent.com/connectpsp/connectpsp-go/main/docs/pt-BR/pay.md): como pagar?\n" +
	"- [Logs](https://raw.githubusercontent.com/connectpsp/connectpsp-go/main/docs/logs.md): eventos\n"

func TestACodeWithoutARowIsFound(t *testing.T) {
	assert.Contains(t, strings.Join(codeFaults(t, codes[1:]), "\n"), `no row for the code "INVALID_CREDENTIALS"`)
	assert.Contains(t, strings.Join(codeFaults(t, append(codes, entry{Code: "GONE"})), "\n"), `the code has no code "GONE" any more`)
}
