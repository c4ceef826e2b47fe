// Package examples checks that the documentation of each package shows how to begin.
package examples

import (
	"errors"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// methods are those that a user starts from.
var methods = []string{
	"connectpsp.Client.CreateCashIn", "connectpsp.Client.GetCashIn", "connectpsp.Client.WaitCashIn", "connectpsp.Client.RefundCashIn",
	"connectpsp.Client.CreateCashOut", "connectpsp.Client.GetCashOut", "connectpsp.Client.WaitCashOut", "connectpsp.Client.GetBalance",
	"connectpsp.Client.RebalanceAccount", "connectpsp.Client.Recover", "connectpsp.Client.ResolveCashOut", "connectpsp.Client.OpenPayments",
	"connectpsp.Client.ReconcileCashOut", "webhook.Worker.Run", "webhook.Worker.Work", "webhook.Worker.WatchRecovered",
	"sqlstore.Store.Tokens", "sqlstore.Store.ForgetPerson",
}

// withoutExample has no Example of its own, for a reason.
var withoutExample = map[string]string{
	"journaltest":          "it needs a testing.T: the comment of the package has the test",
	"journaltest.*":        "it needs a testing.T",
	"inboxtest":            "it needs a testing.T: the comment of the package has the test",
	"inboxtest.*":          "it needs a testing.T",
	"conformance":          "a check takes half a minute: the comment of the package has the test",
	"conformance.Run":      "it needs a testing.T",
	"conformance.CheckAll": "it takes half a minute",
	"sqlstore.Tx":          "the Example of the package has it",
	"gen.*":                "it is generated: the Example of the package makes a client and a call",
}

// withoutOutput has an Example that compiles and does not run.
var withoutOutput = map[string]string{
	"sqlstore":         "the module has no driver of a database",
	"sqlstore.Open":    "the module has no driver of a database",
	"sqlstore.Store.*": "the module has no driver of a database",
}

func TestEverythingThatAUserStartsFromHasAnExampleThatRuns(t *testing.T) {
	seen := map[string]bool{}
	check := func(name string, examples []*doc.Example) {
		seen[name] = true
		if isListed(withoutExample, name) {
			return
		}
		assert.NotEmpty(t, examples, "%s has no Example", name)
		runs := slices.ContainsFunc(examples, func(e *doc.Example) bool { return e.Output != "" || e.EmptyOutput })
		assert.True(t, runs || isListed(withoutOutput, name), "%s has no Example with an Output", name)
	}
	functions := func(p *doc.Package, all []*doc.Func) {
		for _, function := range all {
			if !strings.HasPrefix(function.Name, "With") { // an option, which belongs to something to start from
				check(p.Name+"."+function.Name, function.Examples)
			}
		}
	}
	for _, p := range packages(t) {
		check(p.Name, p.Examples)
		functions(p, p.Funcs)
		for _, kind := range p.Types {
			functions(p, kind.Funcs)
			for _, method := range kind.Methods {
				if name := p.Name + "." + kind.Name + "." + method.Name; slices.Contains(methods, name) {
					check(name, method.Examples)
				}
			}
		}
	}
	for _, name := range methods {
		assert.True(t, seen[name], "there is no method %s", name)
	}
	for _, list := range []map[string]string{withoutExample, withoutOutput} {
		for pattern := range list {
			used := false
			for name := range seen {
				used = used || matches(pattern, name)
			}
			assert.True(t, used, "%s is excepted, and does not exist", pattern)
		}
	}
}

func isListed(list map[string]string, name string) bool {
	for pattern := range list {
		if matches(pattern, name) {
			return true
		}
	}
	return false
}

func matches(pattern, name string) bool {
	matched, err := path.Match(pattern, name)
	return matched && err == nil
}

// packages returns those that users import, of this module and of module otel.
func packages(t *testing.T) (all []*doc.Package) {
	require.NoError(t, filepath.WalkDir(root, func(directory string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || !entry.IsDir():
			return err
		case directory == root:
			return nil
		case entry.Name() == "internal", entry.Name() == "testdata", strings.HasPrefix(entry.Name(), "."), isOtherModule(directory):
			return filepath.SkipDir
		}
		if p := read(t, directory); p != nil {
			all = append(all, p)
		}
		return nil
	}))
	require.Greater(t, len(all), 12)
	return all
}

func isOtherModule(directory string) bool {
	modules, err := filepath.Glob(filepath.Join(directory, "go.mod"))
	return err == nil && len(modules) > 0 && filepath.Base(directory) != "otel"
}

// read returns the documentation of a package with its examples, nil if it cannot be imported.
func read(t *testing.T, directory string) *doc.Package {
	found, err := build.ImportDir(directory, 0)
	var none *build.NoGoError
	if errors.As(err, &none) || err == nil && (found.Name == "main" || len(found.GoFiles) == 0) {
		return nil
	}
	require.NoError(t, err)
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range slices.Concat(found.GoFiles, found.TestGoFiles, found.XTestGoFiles) {
		file, err := parser.ParseFile(set, filepath.Join(directory, name), nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(set, files, directory)
	require.NoError(t, err)
	return p
}
