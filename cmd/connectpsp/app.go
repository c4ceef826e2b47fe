package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// app is one run of the program.
type app struct {
	environment

	// The flags that every command has.
	json       bool
	production bool
	private    bool // --private-network
	envFile    string

	variable func(name string) string // of the environment or of --env-file
	started  bool                     // the command line was right, and the command runs
	settle   string                   // the command that settles the payment of this one, once its journal is open
	printed  bool                     // an object was printed
}

func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "connectpsp",
		Short: "PIX payments through ConnectPSP from the command line",
		Long: `PIX payments through ConnectPSP from the command line.

The credentials come from CONNECTPSP_CLIENT_ID, CONNECTPSP_CLIENT_SECRET,
CONNECTPSP_APPLICATION_TOKEN, CONNECTPSP_CRYPTO_TOKEN, CONNECTPSP_ENVIRONMENT
(staging or production) and CONNECTPSP_BASE_URL, or from a file (--env-file).

Exit status: 0 accepted, or done; 2 wrong use: a flag, a file, a variable or an id, nothing was
done; 3 rejected, so no money moved, or accepted and then undone or returned; 4 unknown: the money
may have moved; 5 not sent; 1 another failure, which is no rejection.`,
		Example:           "  connectpsp sandbox\n  connectpsp doctor",
		Version:           connectpsp.Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              noSuchCommand,
		RunE:              func(command *cobra.Command, _ []string) error { return command.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			a.variable, err = a.variables()
			return err
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print one JSON object")
	flags.BoolVar(&a.production, "production", false, "the configuration is for production, where money is real")
	flags.BoolVar(&a.private, "private-network", false, "the gateway is a sandbox on a private network, such as http://sandbox:8420 in another container")
	flags.StringVar(&a.envFile, "env-file", "", "read the variables from `FILE`, of mode 0600, and not from the environment")
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error { return flagError(command, err) })
	root.SetArgs(append([]string{}, a.args...)) // nil stands for those of the process
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)

	root.AddCommand(a.families()...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	a.finish(root)
	return root
}

// families returns the commands below the root.
func (a *app) families() []*cobra.Command {
	return []*cobra.Command{a.cashIn(), a.cashOut(), a.balance(), a.rebalance(), a.wait(), a.webhook(), a.brcode(), a.key(), a.inbox(), a.journal(), a.doctor(), a.sandbox(), a.conformance()}
}

// finish completes the commands below a command: examples of the commands that cobra adds, and the
// mark that a command has started.
func (a *app) finish(command *cobra.Command) {
	for _, below := range command.Commands() {
		a.finish(below)
	}
	switch {
	case command.Name() == "help":
		command.Example = "  connectpsp help cash-out create"
	case command.Name() == "completion":
		command.Example = "  source <(connectpsp completion bash)"
		command.Args, command.RunE = noSuchCommand, needsCommand
	case command.HasParent() && command.Parent().Name() == "completion":
		command.Example = "  connectpsp completion " + command.Name()
	}
	if run := command.RunE; run != nil {
		command.RunE = func(command *cobra.Command, args []string) error {
			a.started = true
			return run(command, args)
		}
	}
}

// leaf returns a command that does something. Its arguments are those that its usage line names.
func leaf(use, short, example string, run func(ctx context.Context, args []string) error) *cobra.Command {
	names := strings.Fields(use)[1:]
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  connectpsp " + strings.ReplaceAll(example, "\n", "\n  connectpsp "),
		Args: func(command *cobra.Command, args []string) error {
			if len(args) != len(names) {
				return usage("give %s; see %s --help", counted(names), command.CommandPath())
			}
			return requiredFlags(command)
		},
		RunE: func(command *cobra.Command, args []string) error { return run(command.Context(), args) },
	}
}

func counted(names []string) string {
	if len(names) == 0 {
		return "flags only, no argument"
	}
	return "one argument, " + strings.Join(names, " ")
}

// family returns a command that only has others below it.
func family(use, short, example string, below ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Example: "  connectpsp " + example, Args: noSuchCommand, RunE: needsCommand}
	command.AddCommand(below...)
	return command
}

// noSuchCommand refuses arguments. It does not repeat them: they may be personal data.
func noSuchCommand(command *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage("there is no such command: %s has %s", command.CommandPath(), below(command))
}

func needsCommand(command *cobra.Command, _ []string) error {
	return usage("a command is missing: %s has %s", command.CommandPath(), below(command))
}

func below(command *cobra.Command) string {
	var names []string
	for _, one := range command.Commands() {
		if one.IsAvailableCommand() {
			names = append(names, one.Name())
		}
	}
	return strings.Join(names, ", ")
}

// flagError describes a wrong flag without its value, which may be personal data.
func flagError(command *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	text := "a flag is not written as --name or --name=value"
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case errors.As(err, &unknown):
		text = "there is no such flag"
		if name := unknown.GetSpecifiedName(); strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") == "" {
			text = "there is no flag --" + name
		}
		if unknown.GetSpecifiedShortnames() != "" {
			text = "the only flag of one letter is -h"
		}
	case errors.As(err, &missing):
		text = "--" + missing.GetSpecifiedName() + " needs a value"
	case errors.As(err, &invalid):
		text = fmt.Sprintf("--%s takes a value of type %s", invalid.GetFlag().Name, invalid.GetFlag().Value.Type())
	}
	return usage("%s; see %s --help", text, command.CommandPath())
}

// requiredFlags returns an error that names the required flags which are not given.
func requiredFlags(command *cobra.Command) error {
	var missing []string
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Annotations[cobra.BashCompOneRequiredFlag] != nil && !flag.Changed {
			missing = append(missing, "--"+flag.Name)
		}
	})
	if len(missing) > 0 {
		return usage("give %s; see %s --help", strings.Join(missing, ", "), command.CommandPath())
	}
	return nil
}

// required marks flags that a command cannot do without.
func required(command *cobra.Command, flags ...string) *cobra.Command {
	for _, flag := range flags {
		if err := command.MarkFlagRequired(flag); err != nil {
			panic(err) // the flag is not defined
		}
	}
	return command
}
