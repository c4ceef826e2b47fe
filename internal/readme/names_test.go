package readme

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// names are the commands, targets, tests and identifiers that a page may name.
type names struct {
	targets, tests map[string]bool
	identifiers    map[string]map[string]bool     // the exported ones of each package of the SDK, methods and fields too
	help           func(command ...string) string // the output of connectpsp COMMAND --help
}

// namesOf reads the names of a tree, and builds its command.
func namesOf(t *testing.T, tree fs.FS) *names {
	n := &names{targets: map[string]bool{}, tests: map[string]bool{}, identifiers: map[string]map[string]bool{}}
	makefile, err := fs.ReadFile(tree, "Makefile")
	require.NoError(t, err)
	for _, target := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(string(makefile), -1) {
		n.targets[target[1]] = true
	}
	for _, file := range files(t, tree, ".go") {
		code, err := fs.ReadFile(tree, file)
		require.NoError(t, err)
		for _, test := range regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(string(code), -1) {
			n.tests[test[1]] = true
		}
		if name := path.Dir(file); known[name] == module+"/"+name && !strings.HasSuffix(file, "_test.go") {
			n.declare(t, name, code)
		}
	}
	binary := filepath.Join(t.TempDir(), "connectpsp")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = filepath.Join(root, "cmd", "connectpsp")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	asked := map[string]string{}
	n.help = func(command ...string) string {
		key := strings.Join(command, " ")
		if asked[key] == "" {
			output, err := exec.CommandContext(t.Context(), binary, append(command, "--help")...).CombinedOutput()
			require.NoError(t, err, "%s", output)
			asked[key] = string(output)
		}
		return asked[key]
	}
	return n
}

// declare adds the identifiers that a file of a package declares.
func (n *names) declare(t *testing.T, name string, code []byte) {
	if n.identifiers[name] == nil {
		n.identifiers[name] = map[string]bool{}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "", code, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(node ast.Node) bool {
		var declared []*ast.Ident
		switch node := node.(type) {
		case *ast.FuncDecl:
			declared = append(declared, node.Name)
		case *ast.TypeSpec:
			declared = append(declared, node.Name)
		case *ast.ValueSpec:
			declared = node.Names
		case *ast.Field:
			declared = node.Names
		}
		for _, one := range declared {
			n.identifiers[name][one.Name] = true
		}
		return true
	})
}

var (
	identifier  = regexp.MustCompile(`(?:^|[^\w./-])([a-z]+)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)
	makeLine    = regexp.MustCompile(`(?:^|[\s;&(])make ((?:[A-Za-z0-9_=.-]+ ?)+)`)
	commandLine = regexp.MustCompile(`(?:^|[\s;&|(])connectpsp( [^;&|#\n]*)`)
	testName    = regexp.MustCompile(`\b(?:Test|Example|Fuzz|Benchmark)[A-Z]\w+`)
	subcommand  = regexp.MustCompile(`^[a-z][a-z-]*$`)
	provable    = regexp.MustCompile("`(?:connectpsp|make|curl|printenv|SELECT|Test[A-Z])")
	flagName    = regexp.MustCompile(`^--[a-z][a-z-]*`)
)

// nameFaults checks the commands, targets and tests that the code spans and the shell blocks of
// pages name.
func nameFaults(n *names, pages []*page) (faults []string) {
	for _, p := range pages {
		said := slices.Clone(p.spans)
		for _, block := range p.fences {
			if block.info == "sh" {
				said = append(said, strings.ReplaceAll(block.text, "\\\n", " "))
			}
		}
		for _, item := range p.tasks {
			if !provable.MatchString(item) {
				faults = append(faults, fmt.Sprintf("%s: no command, test or query proves %q", p.path, item))
			}
		}
		for _, text := range said {
			for _, fault := range n.unknown(text) {
				faults = append(faults, fmt.Sprintf("%s: %s", p.path, fault))
			}
		}
	}
	return faults
}

func (n *names) unknown(text string) (faults []string) {
	for _, match := range makeLine.FindAllStringSubmatch(text, -1) {
		for _, target := range strings.Fields(match[1]) {
			if subcommand.MatchString(target) && !n.targets[target] {
				faults = append(faults, "there is no make "+target)
			}
		}
	}
	for _, match := range identifier.FindAllStringSubmatch(text, -1) {
		declared := n.identifiers[match[1]]
		if declared != nil && (!declared[match[2]] || match[3] != "" && !declared[match[3]]) {
			faults = append(faults, "there is no "+strings.TrimSpace(match[0]))
		}
	}
	for _, test := range testName.FindAllString(text, -1) {
		if !n.tests[test] {
			faults = append(faults, "there is no "+test)
		}
	}
	for _, match := range commandLine.FindAllStringSubmatch(text, -1) {
		faults = append(faults, n.unknownCommand(strings.Fields(match[1]))...)
	}
	return faults
}

// unknownCommand looks up the words that follow connectpsp: commands first, then flags.
func (n *names) unknownCommand(words []string) (faults []string) {
	var command []string
	for len(words) > 0 && subcommand.MatchString(words[0]) {
		below := regexp.MustCompile(`(?m)^  ` + words[0] + ` +\S`)
		_, commands, group := strings.Cut(n.help(command...), "Available Commands:")
		if !group {
			break // an argument
		}
		if !below.MatchString(commands) {
			return []string{fmt.Sprintf("there is no command connectpsp %s", strings.Join(append(command, words[0]), " "))}
		}
		command, words = append(command, words[0]), words[1:]
	}
	for _, word := range words {
		flag := flagName.FindString(word)
		if flag != "" && flag != "--help" && !regexp.MustCompile(regexp.QuoteMeta(flag)+`\b`).MatchString(n.help(command...)) {
			faults = append(faults, fmt.Sprintf("connectpsp %s has no flag %s", strings.Join(command, " "), flag))
		}
	}
	return faults
}
