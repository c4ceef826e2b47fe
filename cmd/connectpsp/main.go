// Connectpsp receives and sends PIX payments from the command line, tests webhooks, reads and
// writes BR Codes, repairs inboxes and journals, and serves the sandbox.
//
// The credentials come from the environment, in the variables CONNECTPSP_CLIENT_ID and so on, or
// from a file of mode 0600 (--env-file). No flag takes a secret, and no output has one.
//
// A command that moves money asks first, writes the payment to a journal before it sends anything,
// and settles the payments that an earlier command left open. So a command that was killed is run
// again, unchanged: the idempotency key derives from the reference, and the payment is made once.
//
// Exit status:
//
//	0  accepted, or done
//	1  another failure, which is no rejection
//	2  wrong use, such as a faulty field or an id that does not exist: nothing was done
//	   (with a Go stack trace, such as that of a lack of memory: unknown)
//	3  rejected for certain, so no money moved; or accepted, and undone or returned later
//	4  unknown: the money may have moved; the output says which command settles it
//	5  nothing was sent, and no earlier call for the payment is open
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func main() {
	os.Exit(runProcess())
}

// runProcess runs the command of this process. Its signals end the command as Ctrl-C does, and a
// pipe that is closed ends the output only: each outcome is reported.
func runProcess() int {
	signal.Ignore(syscall.SIGPIPE)
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	return run(ctx, processEnvironment())
}

// environment is the world outside of the program.
type environment struct {
	args           []string // without the name of the program
	stdin          io.Reader
	stdout, stderr io.Writer
	lookup         func(name string) string // of a variable, "" if it is not set
	interactive    bool                     // a person reads stderr and types on stdin
	columns        int                      // of the terminal on stdout, 0 if stdout is none
	silence        time.Duration            // after which webhook listen says what to check
	retry          connectpsp.RetryPolicy   // the zero value but in tests
}

func processEnvironment() environment {
	e := environment{args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, lookup: os.Getenv, silence: 30 * time.Second}
	e.interactive = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
	if columns, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && os.Getenv("TERM") != "dumb" {
		e.columns = columns
	}
	return e
}

// run runs one command and returns the exit status. It ends early when ctx does.
func run(ctx context.Context, e environment) (code int) {
	a := &app{environment: e}
	defer func() {
		if recover() != nil {
			code = a.crashed(debug.Stack())
		}
	}()
	return a.end(a.newRoot().ExecuteContext(ctx))
}
