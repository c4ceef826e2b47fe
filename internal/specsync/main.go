// Specsync brings the provider's OpenAPI description into the SDK, and tells what differs: between two descriptions, and between
// the SDK and its last release.
//
//	specsync sync [-from URL or file]      take a description in, if the SDK builds with it
//	specsync watch [-from URL or file]     the same, and open a pull request with what has changed
//	specsync report [-markdown] OLD NEW    tell what differs between two descriptions
//	specsync api                           tell what differs from the last release, and which version comes next
//	specsync release VERSION               check that the next version is the one given, and print its notes
//
// It ends with 0 if all is well, 1 if something went wrong and 2 if it was called wrongly. Report ends with 3 if the API has grown
// and with 4 if users break; api ends with 4 if users break and the version in the code does not say so.
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
)

func main() {
	directory, err := os.Getwd()
	status := 1
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // so that what lies aside is removed
		defer stop()
		status, err = run(ctx, project{directory}, http.DefaultClient, os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "specsync:", err)
	}
	os.Exit(status)
}

var errUsage = errors.New("usage: specsync sync|watch [-from URL or file] | report [-markdown] OLD NEW | api | release VERSION")

// run does what the arguments say and returns what to end with.
func run(ctx context.Context, p project, client *http.Client, arguments []string, out io.Writer) (status int, err error) {
	if len(arguments) == 0 {
		return 2, errUsage
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	from := flags.String("from", defaultURL, "where the description is")
	markdown := flags.Bool("markdown", false, "write the report for a pull request")
	if err := flags.Parse(arguments[1:]); err != nil {
		return 2, errors.Join(err, errUsage)
	}
	switch command := arguments[0]; {
	case command == "sync" && flags.NArg() == 0:
		_, err = p.sync(ctx, client, *from, out)
	case command == "watch" && flags.NArg() == 0:
		err = p.watch(ctx, client, *from, out)
	case command == "report" && flags.NArg() == 2:
		status, err = tell(ctx, flags.Arg(0), flags.Arg(1), *markdown, out)
	case command == "api" && flags.NArg() == 0:
		status, err = p.api(ctx, out)
	case command == "release" && flags.NArg() == 1:
		err = p.release(ctx, flags.Arg(0), out)
	default:
		return 2, errUsage
	}
	if err != nil {
		return 1, err
	}
	return status, nil
}

// tell writes a report about two files.
func tell(ctx context.Context, older, newer string, markdown bool, out io.Writer) (status int, err error) {
	var texts [2][]byte
	for i, path := range []string{older, newer} {
		text, err := readFile(path)
		if err != nil {
			return 0, err
		}
		if texts[i], _, err = normalise(text); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
	}
	changes, err := compare(ctx, texts[0], texts[1])
	if err != nil {
		return 0, err
	}
	text := changes.terminal()
	if markdown {
		text = changes.markdown()
	}
	_, err = io.WriteString(out, text)
	return changes.level().status(), err
}
