// Release reports the changes for users since the last release, in the exported Go API and in the
// description, and the next version. The Makefile has a target for each of its commands:
//
//	release api              report the changes and the next version
//	release check VERSION    check that a version may be released, and print its notes
//
// The exit status is 0 on success, 1 on failure and 2 for wrong arguments. The status of api is 4
// if users break and the version in the code is too low for that.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // so that temporary files are removed
	defer stop()
	directory, err := os.Getwd()
	status := 1
	if err == nil {
		status, err = run(ctx, project{directory}, os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
	}
	os.Exit(status)
}

var errUsage = errors.New("usage: release api | check VERSION")

// run runs the command of the arguments, and returns the exit status.
func run(ctx context.Context, p project, arguments []string, out io.Writer) (status int, err error) {
	switch {
	case len(arguments) == 1 && arguments[0] == "api":
		status, err = p.api(ctx, out)
	case len(arguments) == 2 && arguments[0] == "check":
		err = p.check(ctx, arguments[1], out)
	default:
		return 2, errUsage
	}
	if err != nil {
		return 1, err
	}
	return status, nil
}

// project is a checkout of the SDK.
type project struct{ root string }

func (p project) description() string { return filepath.Join(p.root, "openapi", "connectpsp.yaml") }

// output runs a program and returns its output. The error includes the output of a failure.
func output(ctx context.Context, directory, name string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Dir = directory
	printed, err := cmd.Output()
	var failure *exec.ExitError
	if errors.As(err, &failure) {
		err = fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(arguments, " "), err, printed, failure.Stderr)
	}
	return string(printed), err
}
