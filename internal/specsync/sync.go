package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// project is a checkout of the SDK.
type project struct{ root string }

func (p project) description() string { return filepath.Join(p.root, "openapi", "connectpsp.yaml") }
func (p project) lock() string        { return filepath.Join(p.root, "openapi", "spec.lock") }
func (p project) generated() string   { return filepath.Join(p.root, "gen", "gen.gen.go") }

// sync takes a description in. It fetches it, checks that it describes this API, normalises it,
// compares it, and tries the SDK with it in a copy. Then it writes all files or none. It returns
// the report as Markdown, empty if nothing has changed.
func (p project) sync(ctx context.Context, client *http.Client, from string, out io.Writer) (string, error) {
	refuse := func(err error) (string, error) {
		return "", fmt.Errorf("the description at %s was not taken, and nothing was changed: %w", origin(from), err)
	}
	last, err := readLock(p.lock())
	if err != nil {
		return refuse(fmt.Errorf("%s: %w", p.lock(), err))
	}
	older, err := readFile(p.description())
	if err != nil {
		return refuse(err)
	}
	if sum(older) != last.Normalised {
		last = source{} // spec.lock describes another file
	}
	text, err := fetch(ctx, client, p.resolve(from))
	if err != nil {
		return refuse(err)
	}
	d, err := read(text)
	if err != nil {
		return refuse(err)
	}
	if err := d.isOurs(); err != nil {
		return refuse(err)
	}
	api, err := d.api()
	if err != nil {
		return refuse(err)
	}
	description, err := d.bytes()
	if err != nil {
		return refuse(err)
	}
	now := source{
		From: origin(from), FetchedAt: time.Now().UTC().Truncate(time.Second), SHA256: sum(text),
		Normalised: sum(description), Version: api.Version, OpenAPI: scalar(d.root, "openapi"),
	}
	if now.Normalised == last.Normalised {
		fmt.Fprintln(out, "Nothing has changed: the description is the one that the SDK is made from.")
		return "", nil
	}
	if fault := contract.ExamplesFault(description); fault != nil {
		first, _, _ := strings.Cut(fault.Error(), "\n")
		d.note("Its own examples contradict it, which is a question to the provider: %s", first)
	}
	changes, err := p.changes(older, api, d.notes)
	if err != nil {
		return refuse(err)
	}
	fmt.Fprint(out, changes)

	generated, findings, err := p.try(ctx, description)
	if err != nil {
		return refuse(err)
	}
	fmt.Fprint(out, findings)
	lock, err := now.text()
	if err != nil {
		return refuse(err)
	}
	if err := p.put(older, []file{{p.generated(), generated}, {p.description(), description}, {p.lock(), lock}}); err != nil {
		return refuse(err)
	}
	fmt.Fprintln(out, "It was taken: the SDK builds with it. Look at git diff, and follow CONTRIBUTING.md.")
	return changes.Markdown() + "\n" + findings.Markdown(), nil
}

// resolve returns the name of a file relative to the project: the program runs in its own
// directory.
func (p project) resolve(from string) string {
	if strings.Contains(from, "://") || filepath.IsAbs(from) {
		return from
	}
	return filepath.Join(p.root, from)
}

// changes compares a description with the present one. The error says that the present one cannot
// be read.
func (p project) changes(older []byte, api *contract.API, notes []string) (contract.Report, error) {
	var before *contract.API
	kept, err := read(older)
	if err == nil {
		before, err = kept.api()
	}
	if err != nil {
		return contract.Report{}, fmt.Errorf("openapi/connectpsp.yaml, which it is compared with: %w", err)
	}
	changes := contract.Changes(before, api)
	for _, note := range notes {
		changes.Changes = append(changes.Changes, contract.Change{Level: contract.Otherwise, Where: "the whole file", Text: note})
	}
	return changes, nil
}

// try works in a copy of the project. It generates the raw client from a description, compiles all
// packages and tests with it, and runs the contract tests. It returns the generated code and the
// findings.
func (p project) try(ctx context.Context, description []byte) ([]byte, contract.Report, error) {
	directory, err := os.MkdirTemp("", "specsync")
	if err != nil {
		return nil, contract.Report{}, err
	}
	defer os.RemoveAll(directory)
	if err := p.copyTo(directory); err != nil {
		return nil, contract.Report{}, err
	}
	beside := project{directory}
	if err := os.WriteFile(beside.description(), description, 0o600); err != nil {
		return nil, contract.Report{}, err
	}
	if _, err := output(ctx, directory, "go", "generate", "./gen"); err != nil {
		return nil, contract.Report{}, fmt.Errorf("the generator cannot read it; if it is right, openapi/overlay.yaml has to help: %w", err)
	}
	// One check of vet is enough to compile all packages and tests. With -trimpath all copies share
	// the build cache.
	if _, err := output(ctx, directory, "go", "vet", "-atomic", "-trimpath", "./..."); err != nil {
		return nil, contract.Report{}, fmt.Errorf("what is generated from it does not compile; if it is right, openapi/overlay.yaml has to help: %w", err)
	}
	generated, err := readFile(beside.generated())
	if err != nil {
		return nil, contract.Report{}, err
	}
	findings, err := beside.contract(ctx)
	return generated, findings, err
}

// contract runs the tests that compare the SDK with the description and with the generated code,
// and parses their log.
func (p project) contract(ctx context.Context) (contract.Report, error) {
	printed, err := output(ctx, p.root, "go", "test", "-trimpath", "-vet=off", "-count=1", "-v", "-run", "TheDescriptions$|Generated", "./openapi")
	if failure := new(exec.ExitError); err != nil && !errors.As(err, &failure) || ctx.Err() != nil {
		return contract.Report{}, errors.Join(err, ctx.Err())
	}
	var findings []contract.Change
	for line := range strings.Lines(printed) {
		_, text, found := strings.Cut(line, ": breaks: ")
		l := contract.Breaking
		if !found {
			_, text, found = strings.Cut(line, ": news: ")
			l = contract.Additive
		}
		where, text, _ := strings.Cut(strings.TrimSpace(text), ": ")
		if one := (contract.Change{Level: l, Where: where, Text: text}); found && !slices.Contains(findings, one) {
			findings = append(findings, one)
		}
	}
	if err != nil && !slices.ContainsFunc(findings, func(c contract.Change) bool { return c.Level == contract.Breaking }) {
		return contract.Report{}, err
	}
	return contract.NewReport("The SDK beside it", "", "", findings), nil
}

// copyTo copies the project without git's files and build results.
func (p project) copyTo(directory string) error {
	return filepath.WalkDir(p.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(p.root, path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "out"):
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(directory, name), 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(directory, name), text, 0o600)
	})
}

// put writes the results of a sync, unless the description has changed since the sync began.
func (p project) put(older []byte, files []file) error {
	now, err := readFile(p.description())
	if err != nil || !bytes.Equal(now, older) {
		return errors.Join(errors.New("openapi/connectpsp.yaml was changed in the meantime: try again"), err)
	}
	return replace(files)
}

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
