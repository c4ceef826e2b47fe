package readme

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

const module = "github.com/connectpsp/connectpsp-go"

// known are the packages that a snippet may use without an import, by name.
var known = map[string]string{
	"bytes": "bytes", "context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "httptest": "net/http/httptest", "io": "io",
	"json": "encoding/json", "log": "log", "os": "os", "signal": "os/signal", "slog": "log/slog", "sql": "database/sql", "strings": "strings",
	"sync": "sync", "testing": "testing", "time": "time",

	"auth": module + "/auth", "connectpsp": module + "/connectpsp", "gen": module + "/gen", "idempotency": module + "/idempotency",
	"journal": module + "/journal", "metrics": module + "/metrics", "pix": module + "/pix", "sandbox": module + "/sandbox",
	"signing": module + "/signing", "sqlstore": module + "/sqlstore", "webhook": module + "/webhook",

	"connectpspotel": module + "/otel",
	"otelhttp":       "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
	"noop":           "go.opentelemetry.io/otel/trace/noop",
	"propagation":    "go.opentelemetry.io/otel/propagation",
}

// modules are those in which the code of a page may be built, smallest first.
var modules = []string{".", "otel", "examples/receiver", "examples/payouts"}

// frame is what a snippet finds around it, as in a program, unless the page declares it.
var frame = [][2]string{
	{"ctx", "context.Context"}, {"client", "*connectpsp.Client"}, {"config", "connectpsp.Config"}, {"err", "error"},
	{"request", "connectpsp.CashOutRequest"}, {"db", "*sql.DB"}, {"worker", "*webhook.Worker"},
	{"apply", "func(context.Context, webhook.Transition) error"},
	{"markAccepted", "func(reference, transactionID string) error"}, {"keepOpen", "func(reference string) error"},
	{"giveBack", "func(reference string, reason error) error"},
}

// program is a Go file made of blocks of a page.
type program struct {
	page   *page
	fence  fence  // of a whole file
	code   string // what the compiler gets
	module string
	output string // what it must print, if the page shows that
	run    bool
}

// name is that of the package that holds the program.
func (p program) name() string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower("page"+p.page.path)) + strconv.Itoa(p.fence.line)
}

// programs makes Go files of the blocks of pages: one of each block that is a whole file, and one
// of all snippets of a page together. Translations have the code of their English twins.
func programs(pages []*page) (all []program, faults []string) {
	for _, p := range pages {
		if isTranslation(p.path) {
			continue
		}
		declarations, functions := "", ""
		for i, block := range p.fences {
			place := fmt.Sprintf("//line %s:%d\n", filepath.Join("/", p.path), block.line)
			switch {
			case block.info != "go":
				continue
			case isFile(block):
				whole := program{page: p, fence: block, code: place + block.text}
				if i+1 < len(p.fences) && p.fences[i+1].info == "output" {
					whole.output, whole.run = p.fences[i+1].text, true
				}
				all = append(all, whole)
			case regexp.MustCompile(`(?m)^(func|type) `).MatchString(block.text):
				declarations += place + block.text
			default:
				names, err := declared(block.text)
				if err != nil {
					faults = append(faults, fmt.Sprintf("%s:%d: %v", p.path, block.line, err))
					continue
				}
				functions += "func _() error {\n" + place + block.text + names + "return nil\n}\n"
			}
		}
		if code := declarations + functions; code != "" {
			all = append(all, program{page: p, code: surround(code, declarations)})
		}
	}
	for i, p := range all {
		file, err := parser.ParseFile(token.NewFileSet(), "", p.code, parser.ImportsOnly)
		if err == nil {
			all[i].module, err = moduleOf(file)
		}
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s:%d: %v", p.page.path, p.fence.line, err))
		}
	}
	return all, faults
}

// isFile reports whether a block is a whole Go file.
func isFile(block fence) bool {
	return block.info == "go" && regexp.MustCompile(`(?m)^package `).MatchString(block.text)
}

// declared uses the variables that statements declare at their outermost level: a snippet may end
// before it does.
func declared(statements string) (uses string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package page\nfunc _() {\n"+statements+"\n}", 0)
	if err != nil {
		return "", err
	}
	for _, statement := range file.Decls[0].(*ast.FuncDecl).Body.List {
		if assignment, ok := statement.(*ast.AssignStmt); ok && assignment.Tok == token.DEFINE {
			for _, name := range assignment.Lhs {
				if name := name.(*ast.Ident).Name; name != "_" {
					uses += "_ = " + name + "\n"
				}
			}
		}
	}
	return uses, nil
}

// surround adds the imports and variables that code needs.
func surround(code, declarations string) string {
	variables := ""
	if strings.Contains(declarations, "type orderBook ") {
		variables = "var books orderBook\n"
	}
	for _, variable := range frame {
		name := regexp.QuoteMeta(variable[0])
		declares := regexp.MustCompile(`(?m)^(func|type|var|const) ` + name + `\b`)
		if regexp.MustCompile(`\b`+name+`\b`).MatchString(code) && !declares.MatchString(declarations) {
			variables += "var " + variable[0] + " " + variable[1] + "\n"
		}
	}
	code = variables + code
	imports := ""
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if regexp.MustCompile(`(?m)(?:^|[^\w."/])` + name + `\.[A-Z]`).MatchString(slashes.ReplaceAllString(code, "\n")) {
			imports += fmt.Sprintf("import %s %q\n", name, known[name])
		}
	}
	return "package page\n" + imports + code
}

// moduleOf returns the module whose go.mod has what a file imports.
func moduleOf(file *ast.File) (string, error) {
	for _, directory := range modules {
		text, err := os.ReadFile(filepath.Join(root, directory, "go.mod"))
		if err != nil {
			return "", err
		}
		required := regexp.MustCompile(`(?m)^(?:module |\t(?:require )?)([a-z][^ \n]*\.[^ \n]+)`).FindAllStringSubmatch(string(text), -1)
		if !slices.ContainsFunc(file.Imports, func(spec *ast.ImportSpec) bool {
			path, _ := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(path, "/")
			return strings.Contains(first, ".") && !slices.ContainsFunc(required, func(match []string) bool {
				return path == match[1] || strings.HasPrefix(path, match[1]+"/") && path != module+"/otel"
			})
		}) {
			return directory, nil
		}
	}
	return "", fmt.Errorf("no module has all that it imports; the tests know %q", modules)
}

// compile compiles programs, and links those that are to run. It returns the directory of the
// latter.
func compile(t *testing.T, programs []program) (built string, faults []string) {
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	built = t.TempDir()
	for _, directory := range modules {
		overlay := map[string]string{} // the packages are in the module, and not in the tree
		var compiled, linked []string
		for _, p := range programs {
			if p.module != directory {
				continue
			}
			file := filepath.Join(t.TempDir(), "main.go")
			require.NoError(t, os.WriteFile(file, []byte(p.code), 0o600))
			overlay[filepath.Join(absolute, directory, p.name(), "main.go")] = file
			compiled = append(compiled, "./"+p.name())
			if p.run {
				linked = append(linked, "./"+p.name())
			}
		}
		text, err := json.Marshal(map[string]any{"Replace": overlay})
		require.NoError(t, err)
		overlayFile := filepath.Join(t.TempDir(), "overlay.json")
		require.NoError(t, os.WriteFile(overlayFile, text, 0o600))
		// List compiles, and does not link.
		for _, step := range []struct{ arguments, packages []string }{
			{[]string{"list", "-export", "-overlay", overlayFile}, compiled},
			{[]string{"build", "-overlay", overlayFile, "-o", built + "/"}, linked},
		} {
			if len(step.packages) == 0 {
				continue
			}
			command := exec.CommandContext(t.Context(), "go", append(step.arguments, step.packages...)...)
			command.Dir = filepath.Join(root, directory)
			var stderr bytes.Buffer
			command.Stderr = &stderr
			if err := command.Run(); err != nil {
				faults = append(faults, stderr.String())
			}
		}
	}
	return built, faults
}

// outputFaults runs the programs whose output a page shows, those of a page against one sandbox, in
// the order of the page.
func outputFaults(t *testing.T, built string, programs []program) (faults []string) {
	var of *page
	var environment []string
	for _, p := range programs {
		if !p.run {
			continue
		}
		if _, err := os.Stat(filepath.Join(built, p.name())); err != nil {
			continue // it does not compile
		}
		if of != p.page {
			of, environment = p.page, append(os.Environ(), startSandbox(t)...)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		command := exec.CommandContext(ctx, filepath.Join(built, p.name()))
		command.Env, command.Dir = environment, t.TempDir()
		var stderr bytes.Buffer
		command.Stderr = &stderr
		output, err := command.Output()
		cancel()
		if err != nil || !prints(p.output, string(output)) {
			faults = append(faults, fmt.Sprintf("%s:%d prints %s%s%v", p.page.path, p.fence.line, output, &stderr, err))
		}
	}
	return faults
}

// prints reports whether a program printed what a page shows, where … stands for anything within a
// line.
func prints(shown, printed string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(shown)), "…", ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(strings.TrimSpace(printed))
}

// startSandbox returns the environment of a program that uses a new sandbox.
func startSandbox(t *testing.T, options ...sandbox.Option) []string {
	gateway, err := sandbox.Start(options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = gateway.Close() })
	server := httptest.NewServer(control.New(gateway))
	t.Cleanup(server.Close)
	config := gateway.Config()
	return []string{
		"CONNECTPSP_BASE_URL=" + server.URL, "CONNECTPSP_CLIENT_ID=" + config.ClientID,
		"CONNECTPSP_CLIENT_SECRET=" + config.ClientSecret.Reveal(), "CONNECTPSP_APPLICATION_TOKEN=" + config.ApplicationToken.Reveal(),
		"CONNECTPSP_CRYPTO_TOKEN=" + config.CryptoToken.Reveal(),
	}
}

// languages are those that a fence may name. Nothing checks the text of another one, so a typing
// error would pass.
var languages = []string{"", "go", "js", "json", "output", "python", "sh", "sql", "text"}

// fenceFaults checks the blocks that are no Go code.
func fenceFaults(t *testing.T, pages []*page) (faults []string) {
	for _, p := range pages {
		for i, block := range p.fences {
			fault := ""
			switch block.info {
			case "json":
				if !json.Valid([]byte(block.text)) {
					fault = "this is no JSON"
				}
			case "sh":
				command := exec.CommandContext(t.Context(), "bash", "-n")
				command.Stdin = strings.NewReader(block.text)
				if output, err := command.CombinedOutput(); err != nil {
					fault = string(output)
				}
			case "output":
				if i == 0 || p.fences[i-1].info != "sh" && !isFile(p.fences[i-1]) {
					fault = "an output follows a whole program or a shell block"
				}
			default:
				if !slices.Contains(languages, block.info) {
					fault = fmt.Sprintf("the language %q is none of %q", block.info, languages)
				}
			}
			if fault != "" {
				faults = append(faults, fmt.Sprintf("%s:%d: %s", p.path, block.line, fault))
			}
		}
	}
	return faults
}
