package main

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
)

// walk calls visit for each command of the program.
func walk(command *cobra.Command, visit func(*cobra.Command)) {
	visit(command)
	for _, below := range command.Commands() {
		walk(below, visit)
	}
}

func TestEveryCommandHasAnExampleThatIsOne(t *testing.T) {
	root := (&app{}).newRoot()
	walk(root, func(command *cobra.Command) {
		assert.NotEmpty(t, command.Short, command.CommandPath())
		if !assert.NotEmpty(t, command.Example, command.CommandPath()) {
			return
		}
		for _, line := range strings.Split(command.Example, "\n") {
			line, _, _ = strings.Cut(line, " < ")
			if strings.Contains(line, "<(") {
				continue
			}
			found, _, err := root.Find(strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "connectpsp ")))
			if assert.NoError(t, err, line) {
				assert.True(t, found.Runnable() && strings.HasPrefix(found.CommandPath(), command.CommandPath()) || command == root || command.Name() == "help", line)
				assert.NoError(t, found.ParseFlags(words(t, line)[len(strings.Fields(found.CommandPath())):]), line)
			}
		}
	})
}

func TestEveryHelpIsPrintedAndEndsWell(t *testing.T) {
	s := &shell{t: t}
	walk((&app{}).newRoot(), func(command *cobra.Command) {
		o := s.run(append(strings.Fields(command.CommandPath())[1:], "--help")...)
		assert.Equal(t, exitDone, o.code, command.CommandPath())
		assert.Contains(t, o.stdout, "connectpsp", command.CommandPath())
		assert.Empty(t, o.stderr)
	})
	assert.Equal(t, exitDone, s.run().code, "without a command the help is printed")
	assert.Contains(t, s.run("--version").stdout, "connectpsp version")
}

func TestNoFlagTakesASecret(t *testing.T) {
	walk((&app{}).newRoot(), func(command *cobra.Command) {
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			for _, word := range []string{"secret", "token", "password", "credential"} {
				assert.NotContains(t, flag.Name, word, command.CommandPath())
			}
		})
	})
}

func TestAWrongCommandLineIsAnsweredInOneLine(t *testing.T) {
	for _, args := range [][]string{
		{"cash"},
		{"cash-out"},
		{"cash-out", "crate"},
		{"cash-out", "create"},
		{"cash-out", "create", "--reference", "a"},
		{"cash-out", "get"},
		{"cash-out", "get", "a", "b"},
		{"cash-out", "get", "--amonut", "1"},
		{"cash-out", "get", "-x"},
		{"cash-out", "get", "--json=12345678909"},
		{"cash-out", "create", "--attempt", "12345678909x"},
		{"cash-out", "create", "--attempt"},
		{"cash-out", "create", "--=x"},
		{"cash-out", "12345678909"},
		{"balance", "--12345678909"},
		{"balance", "--Maria"},
		{"balance", "--maria@example.com=x"},
		{"12345678909"},
		cashOut("a", "--amount", "1,50"),
		cashOut("a", "--amount", "12345678909x"),
		cashOut("a", "--account", "1"),
		{"cash-out", "create", "--reference", "a", "--amount", "1", "--name", "a", "--document", cpf},
		cashIn("a", "--redirect-url", "https://shop.example"),
		cashIn("a", "--database"),
		{"journal", "list", "--database"},
		{"journal", "list", "--database", "--journal", "b"},
		{"rebalance", "--target", "all"},
		{"wait"},
		{"wait", "cash-out", "a", "--timeout", "soon"},
		{"completion"},
		{"completion", "tcsh"},
	} {
		s := newShell(t)
		o := s.run(args...)
		assert.Equal(t, exitUsage, o.code, "%q: %s", args, o.stderr)
		assert.True(t, strings.HasPrefix(o.stderr, "connectpsp: "), "%q: %s", args, o.stderr)
		assert.Equal(t, 1, strings.Count(o.stderr, "\n"), "%q: %s", args, o.stderr)
		assert.Empty(t, o.stdout, "%q", args)
		for _, typed := range []string{"12345678909", "Maria", "maria@"} {
			assert.NotContains(t, o.stderr, typed, "%q", args)
		}
		assert.Zero(t, s.requests.Load())

		o = s.run(append(args, "--json")...)
		assert.Equal(t, exitUsage, o.code, "%q: %s", args, o.stderr)
		assert.Equal(t, "usage", decode[failure](t, o).Outcome, "%q", args)
	}
}

func TestNoCommandLineMakesTheProgramPanicOrPrintMoreThanALine(t *testing.T) {
	pool := []string{"", "-", "--", "-1", "=", "--json", "--json=maybe", "--yes", "--help", "\xff\x00", "ünïcode", "12345678909", "10.50", "1e9", "KEY",
		"http://[::1", "/does/not/exist", "CASHIN_PAID", "bash", "create", "get", "retry", "finish"}
	walk((&app{}).newRoot(), func(command *cobra.Command) {
		if name := command.Name(); name == "sandbox" || name == "listen" {
			return // they serve
		}
		pool = append(pool, command.Name())
		command.Flags().VisitAll(func(flag *pflag.Flag) { pool = append(pool, "--"+flag.Name, "--"+flag.Name+"=1") })
	})
	random := rand.New(rand.NewPCG(7, 7))
	s := &shell{t: t, vars: map[string]string{}}
	for range 3000 {
		args := make([]string, random.IntN(7))
		for i := range args {
			args[i] = pool[random.IntN(len(pool))]
		}
		o := s.run(args...)
		assert.Contains(t, []int{exitDone, exitFailed, exitUsage, exitRejected}, o.code, "%q", args)
		assert.LessOrEqual(t, strings.Count(o.stderr, "\n"), 1, "%q: %s", args, o.stderr)
		if o.code == exitUsage {
			assert.NotEmpty(t, o.stderr, "%q", args)
			assert.NotContains(t, o.stdout, "Usage", "%q", args)
		}
	}
}

func TestTheCompletionScriptsAreWhole(t *testing.T) {
	s := &shell{t: t}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		o := s.run("completion", shell)
		assert.Equal(t, exitDone, o.code)
		assert.Contains(t, o.stdout, "connectpsp")
		if program, err := exec.LookPath(shell); err == nil && shell == "bash" {
			command := exec.CommandContext(t.Context(), program, "-n")
			command.Stdin = strings.NewReader(o.stdout)
			printed, err := command.CombinedOutput()
			assert.NoError(t, err, string(printed))
		}
	}
	assert.Contains(t, s.run("__complete", "webhook", "send", "").stdout, "CASHOUT_REFUNDED")
}
