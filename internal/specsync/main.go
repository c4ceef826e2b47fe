// Specsync takes the provider's OpenAPI description into the SDK, and reports the differences. The
// Makefile has a target for each of its commands:
//
//	specsync sync [-from URL or file]      take a description in, if the SDK builds with it
//	specsync watch [-from URL or file]     the same, and open a pull request with the changes
//	specsync report OLD NEW                report the differences between two descriptions
//
// The exit status is 0 on success, 1 on failure and 2 for wrong arguments. Names of files are
// relative to the project, which is in -root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // so that temporary files are removed
	defer stop()
	status, err := run(ctx, project{"."}, http.DefaultClient, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "specsync:", err)
	}
	os.Exit(status)
}

var errUsage = errors.New("usage: specsync [-root directory] sync|watch [-from URL or file] | report OLD NEW")

// run runs the command of the arguments, and returns the exit status.
func run(ctx context.Context, p project, client *http.Client, arguments []string, out io.Writer) (status int, err error) {
	if len(arguments) > 1 && arguments[0] == "-root" {
		p.root, arguments = arguments[1], arguments[2:]
	}
	if len(arguments) == 0 {
		return 2, errUsage
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	from := flags.String("from", defaultURL, "where the description is")
	if err := flags.Parse(arguments[1:]); err != nil {
		return 2, errors.Join(err, errUsage)
	}
	switch command := arguments[0]; {
	case command == "sync" && flags.NArg() == 0:
		_, err = p.sync(ctx, client, *from, out)
	case command == "watch" && flags.NArg() == 0:
		err = p.watch(ctx, client, *from, out)
	case command == "report" && flags.NArg() == 2:
		err = p.tell(flags.Arg(0), flags.Arg(1), out)
	default:
		return 2, errUsage
	}
	if err != nil {
		return 1, err
	}
	return status, nil
}

// tell writes the report about two files.
func (p project) tell(older, newer string, out io.Writer) error {
	var apis [2]*contract.API
	for i, path := range []string{older, newer} {
		text, err := readFile(p.resolve(path))
		if err != nil {
			return err
		}
		d, err := read(text)
		if err == nil {
			apis[i], err = d.api()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	_, err := io.WriteString(out, contract.Changes(apis[0], apis[1]).Markdown())
	return err
}
