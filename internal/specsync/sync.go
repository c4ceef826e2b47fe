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
	"path/filepath"
)

// project is a checkout of the SDK.
type project struct{ root string }

func (p project) description() string { return filepath.Join(p.root, "openapi", "connectpsp.yaml") }
func (p project) lock() string        { return filepath.Join(p.root, "openapi", "spec.lock") }
func (p project) generated() string   { return filepath.Join(p.root, "gen", "gen.gen.go") }

// sync brings a description in: it downloads, judges, names and compares it, tries the SDK with it, and writes it down only if
// all of that went well.
func (p project) sync(ctx context.Context, client *http.Client, from string, out io.Writer) (report, error) {
	refuse := func(err error) (report, error) {
		return report{}, fmt.Errorf("the description at %s was not taken, and nothing was changed: %w", from, err)
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
		last = source{} // it tells of another file than this one
	}
	text, now, err := fetch(ctx, client, from, last)
	if errors.Is(err, errUnchanged) {
		fmt.Fprintln(out, "Nothing has changed since the last download.")
		return report{}, nil
	}
	if err != nil {
		return refuse(err)
	}
	description, d, err := normalise(text)
	if err != nil {
		return refuse(err)
	}
	now.Normalised, now.Version, now.OpenAPI, now.NotOffered = sum(description), d.version, d.openapi, d.notOffered()
	if now.Normalised == last.Normalised {
		fmt.Fprintln(out, "Nothing has changed: the description is the one that the SDK is made from.")
		return report{}, nil
	}

	changes, err := compare(ctx, older, description)
	if err != nil {
		return refuse(err)
	}
	fmt.Fprint(out, changes.terminal())
	for _, operation := range now.NotOffered {
		fmt.Fprintf(out, "The SDK has no method for %s; see CONTRIBUTING.md.\n", oneLine(operation))
	}
	if err := d.examplesFault(); err != nil {
		fmt.Fprintf(out, "Its own examples contradict it, which is a question to the provider: %s\n", oneLine(err.Error()))
	}

	generated, err := p.try(ctx, description)
	if err != nil {
		kept, failure := keep(description)
		return refuse(errors.Join(fmt.Errorf("%w%s\nThe description is kept at %s: correct openapi/overlay.yaml, then run make spec-sync FROM=%s",
			err, d.advice(), kept, kept), failure))
	}
	lock, err := now.text()
	if err != nil {
		return refuse(err)
	}
	if err := p.put(older, []file{{p.generated(), generated}, {p.description(), description}, {p.lock(), lock}}); err != nil {
		return refuse(err)
	}
	fmt.Fprintln(out, "The SDK builds with it. Look at git diff, run make contract and make api, and follow CONTRIBUTING.md.")
	return changes, nil
}

// normalise writes a description in the form in which the SDK keeps it: as YAML, with the names that its code knows.
func normalise(text []byte) ([]byte, *document, error) {
	before, err := read(text)
	if err != nil {
		return nil, nil, err
	}
	d, err := read(text)
	if err != nil {
		return nil, nil, err
	}
	d.nameOperations()
	d.writeOutHeaders()
	d.nameSchemas()
	normalised, err := d.bytes()
	if err != nil {
		return nil, nil, err
	}
	after, err := read(normalised)
	if err != nil {
		return nil, nil, fmt.Errorf("written anew: %w", err)
	}
	return normalised, after, sameMeaning(before, after)
}

// try generates the raw client from a description and builds everything with it, tests too, beside the project and without
// touching it. It returns what it generated.
func (p project) try(ctx context.Context, description []byte) ([]byte, error) {
	directory, err := os.MkdirTemp("", "specsync")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)
	for _, pattern := range []string{"go.mod", "go.sum", "gen/*", "openapi/*.yaml", "openapi/*.tmpl"} {
		if err := p.copyTo(directory, pattern); err != nil {
			return nil, err
		}
	}
	beside := project{directory}
	if err := os.WriteFile(beside.description(), description, 0o600); err != nil {
		return nil, err
	}
	if _, err := output(ctx, directory, "go", "generate", "./gen"); err != nil {
		return nil, fmt.Errorf("the overlay no longer fits: adjust the targets named here to the names in the new description: %w", err)
	}
	generated, err := readFile(beside.generated())
	if err != nil {
		return nil, err
	}
	overlay := filepath.Join(directory, "overlay.json")
	mapping := fmt.Sprintf(`{"Replace":{%q:%q}}`, p.generated(), beside.generated())
	if err := os.WriteFile(overlay, []byte(mapping), 0o600); err != nil {
		return nil, err
	}
	for _, command := range []string{"build", "vet"} {
		if _, err := output(ctx, p.root, "go", command, "-overlay", overlay, "./..."); err != nil {
			return nil, fmt.Errorf("a type or field that the SDK's code uses is gone or another; if only its name or form is, "+
				"say so in openapi/overlay.yaml (x-go-name, x-go-type, enum, or remove for a parameter that is new): %w", err)
		}
	}
	return generated, nil
}

// copyTo copies the files of a pattern. What they link to is copied, for else it would be written to.
func (p project) copyTo(directory, pattern string) error {
	here := os.DirFS(p.root)
	names, err := fs.Glob(here, pattern)
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := fs.ReadFile(here, name)
		if err != nil {
			return err
		}
		copied := filepath.Join(directory, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(copied), 0o755), os.WriteFile(copied, text, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// put writes what a sync has made, unless the description is no longer the one that it began with.
func (p project) put(older []byte, files []file) error {
	now, err := readFile(p.description())
	if err != nil || !bytes.Equal(now, older) {
		return errors.Join(errors.New("openapi/connectpsp.yaml was changed in the meantime: try again"), err)
	}
	return replace(files)
}

// keep writes a description where it can be worked on.
func keep(text []byte) (string, error) {
	file, err := os.CreateTemp("", "connectpsp-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	return file.Name(), errors.Join(err, file.Close())
}
