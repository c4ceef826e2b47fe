package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

const (
	maxPaths = 1000
	maxNodes = 300_000 // values in a description with all references expanded
)

// document is an OpenAPI description in its author's order.
type document struct {
	root  *yaml.Node // a mapping
	notes []string   // the changes to the form in which the SDK keeps it
}

// read reads a description in YAML or JSON, and normalises it. It refuses other files, and
// descriptions that need the network to be read.
func read(text []byte) (*document, error) {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return nil, errors.New("it is empty")
	case trimmed[0] == '<':
		return nil, errors.New("it is a page of HTML: look at the address in a browser")
	case !utf8.Valid(trimmed):
		return nil, errors.New("it is not written in UTF-8")
	}
	root, err := parse(trimmed)
	if err != nil {
		return nil, fmt.Errorf("it is neither YAML nor JSON, or was cut off: %w", err)
	}
	if root == nil || root.Kind != yaml.MappingNode {
		return nil, errors.New("it is not an OpenAPI description: it is not an object")
	}
	d := &document{root: root}
	if err := d.checkVersion(); err != nil {
		return nil, err
	}
	if n := len(keys(get(d.root, "paths"))); n > maxPaths {
		return nil, fmt.Errorf("it has %d paths, and any description of this API has fewer than %d", n, maxPaths)
	}
	if err := d.checkReferences(); err != nil {
		return nil, err
	}
	d.normalise()
	return d, nil
}

// parse returns nil for an empty text. It accepts lines that begin with tabs: that is not valid
// YAML, but the meaning is clear.
func parse(text []byte) (*yaml.Node, error) {
	if json.Valid(text) {
		return readJSON(text)
	}
	root, err := readYAML(text)
	if err != nil && bytes.Contains(text, []byte("\n\t")) {
		if again, failure := readYAML(expandTabs(text)); failure == nil {
			return again, nil
		}
	}
	return root, err
}

func expandTabs(text []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		rest := bytes.TrimLeft(line, " \t")
		out.Write(bytes.ReplaceAll(line[:len(line)-len(rest)], []byte("\t"), []byte("  ")))
		out.Write(rest)
	}
	return out.Bytes()
}

// checkVersion refuses versions other than OpenAPI 3. It reads OpenAPI 3.2 as 3.1 where that is
// possible.
func (d *document) checkVersion() error {
	version := get(d.root, "openapi")
	switch said := scalar(d.root, "openapi"); {
	case scalar(d.root, "swagger") != "":
		return errors.New("it is written in Swagger 2.0: ask the provider for OpenAPI 3, or convert it first")
	case strings.HasPrefix(said, "3.0") || strings.HasPrefix(said, "3.1"):
	case strings.HasPrefix(said, "3.2"):
		d.note("it says OpenAPI %s and is read as 3.1", said)
		version.Value = "3.1.1"
		remove(d.root, "$self")
	default:
		return fmt.Errorf("it is no description in OpenAPI 3.0, 3.1 or 3.2: it says %q", said)
	}
	if strings.Count(version.Value, ".") == 1 {
		version.Value += ".1"
	}
	version.Tag, version.Style = "!!str", 0
	if version := get(d.root, "info", "version"); version != nil && version.Kind == yaml.ScalarNode && version.Tag != "!!str" {
		d.note("its version %s is a number", version.Value)
		version.Tag, version.Style = "!!str", yaml.SingleQuotedStyle
	}
	return nil
}

func (d *document) note(format string, arguments ...any) {
	if text := fmt.Sprintf(format, arguments...); !slices.Contains(d.notes, text) {
		d.notes = append(d.notes, text)
	}
}

// checkReferences refuses references out of the file, references to nothing, and endless recursion.
func (d *document) checkReferences() error {
	var fault error
	walk(d.root, func(node *yaml.Node) {
		reference := referenceOf(node)
		switch {
		case fault != nil || reference == "":
		case !strings.HasPrefix(reference, "#/"):
			fault = fmt.Errorf("it refers to another file or host, %q: bundle it first (npx @redocly/cli bundle), or ask the provider "+
				"for a bundled one", reference)
		case d.resolve(reference) == nil:
			fault = fmt.Errorf("it refers to %q, which it does not hold: it was cut off", reference)
		}
	})
	if fault != nil {
		return fault
	}
	w := weigher{document: d, known: map[*yaml.Node]int{}, under: map[*yaml.Node]bool{}, endless: map[*yaml.Node]bool{}}
	if w.weigh(d.root) > maxNodes {
		return errTooMuch
	}
	for _, name := range []string{"paths", "webhooks", "x-webhooks"} {
		if w.endless[get(d.root, name)] {
			return errors.New("a schema holds itself, which no body of this API does: give it an end, or take it out")
		}
	}
	for _, kind := range keys(get(d.root, "components")) {
		for _, name := range keys(get(d.root, "components", kind)) {
			if w.endless[get(d.root, "components", kind, name)] {
				d.note("%s holds itself, and was left out: no operation has it", name)
				remove(get(d.root, "components", kind), name)
			}
		}
	}
	return nil
}

// weigher counts the values of a node with all references expanded, and finds recursion.
type weigher struct {
	*document
	known          map[*yaml.Node]int
	under, endless map[*yaml.Node]bool
}

func (w *weigher) weigh(node *yaml.Node) int {
	if node == nil {
		return 0
	}
	if w.under[node] || w.endless[node] {
		maps.Copy(w.endless, w.under)
	}
	if weight, found := w.known[node]; found || w.under[node] {
		return weight
	}
	w.under[node] = true
	weight := 1
	if reference := referenceOf(node); reference != "" {
		weight += w.weigh(w.resolve(reference))
	}
	for _, child := range node.Content {
		weight = min(weight+w.weigh(child), 10*maxNodes)
	}
	delete(w.under, node)
	w.known[node] = weight
	return weight
}

// api returns the API that the description describes.
func (d *document) api() (*contract.API, error) {
	text, err := d.bytes()
	if err != nil {
		return nil, err
	}
	read, err := contract.Read(text)
	if err != nil {
		return nil, fmt.Errorf("it is not valid: %w", err)
	}
	return read, nil
}

// bytes returns the description as YAML, in its author's order.
func (d *document) bytes() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(d.root), encoder.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
