package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// document is an OpenAPI description as its author ordered it.
type document struct {
	root    *yaml.Node // a mapping
	version string     // info.version
	openapi string
}

// read reads a description, YAML or JSON, and refuses what is none of this API.
func read(text []byte) (*document, error) {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return nil, errors.New("it is empty")
	case trimmed[0] == '<':
		return nil, errors.New("it is a page of HTML and no description: look at the address in a browser")
	}
	if !utf8.Valid(trimmed) {
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
	d.openapi, d.version = scalar(d.root, "openapi"), scalar(d.root, "info", "version")
	if !strings.HasPrefix(d.openapi, "3.0.") && !strings.HasPrefix(d.openapi, "3.1.") {
		return nil, fmt.Errorf("it is no description in OpenAPI 3.0 or 3.1: it says %q", d.openapi)
	}
	if err := d.checkReferences(); err != nil {
		return nil, err
	}
	if err := d.isOurs(); err != nil {
		return nil, err
	}
	if _, err := d.meaning(); err != nil { // before what follows loses itself in it
		return nil, err
	}
	if text, err = d.bytes(); err != nil {
		return nil, err
	}
	if err := validate(text, openapi3.DisableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("it is not valid: %w", err)
	}
	return d, nil
}

// parse returns nil for a text that holds nothing.
func parse(text []byte) (*yaml.Node, error) {
	if text[0] == '{' {
		return readJSON(text)
	}
	return readYAML(text)
}

// validate has the description judged as a whole, but for patterns that Go cannot compile.
func validate(text []byte, options ...openapi3.ValidationOption) error {
	loader := openapi3.NewLoader() // which follows no reference out of the file
	doc, err := loader.LoadFromData(text)
	if err != nil {
		return err
	}
	contract.DropForeignPatterns(doc)
	return doc.Validate(context.Background(), options...)
}

// foreignPatterns lists the patterns that Go cannot compile, by where they are.
func foreignPatterns(text []byte) (map[string]string, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return contract.DropForeignPatterns(doc), nil
}

// examplesFault tells which of the description's examples is none of what it is an example of.
func (d *document) examplesFault() error {
	text, err := d.bytes()
	if err != nil {
		return err
	}
	return validate(text, openapi3.EnableExamplesValidation())
}

// isOurs refuses a description of another API, and one that lacks what this API has: then it was
// cut off, most likely.
func (d *document) isOurs() error {
	missing := d.missing("")
	switch prefix := d.prefix(); {
	case prefix != "" && len(d.missing(prefix)) == 0:
		return fmt.Errorf("all its paths begin with %s, and those of the SDK do not: if the API has moved there, change the paths in "+
			"internal/specsync, connectpsp/operation.go and sandbox first; if its servers could as well end with that, have the "+
			"provider say it there", prefix)
	case len(missing) == len(api):
		return fmt.Errorf("it describes another API: %q has none of this one's operations", scalar(d.root, "info", "title"))
	case len(missing) > 0:
		return fmt.Errorf("it lacks %s: it was cut off, or the provider has removed them; then remove them from the SDK first, "+
			"and from the list in internal/specsync", strings.Join(missing, ", "))
	default:
		return nil
	}
}

// missing lists the operations of this API that are not there under a prefix.
func (d *document) missing(prefix string) (operations []string) {
	for _, operation := range api {
		if found := get(d.root, "paths", d.path(prefix+operation.path), operation.method); found == nil || found.Kind != yaml.MappingNode {
			operations = append(operations, strings.ToUpper(operation.method)+" "+operation.path)
		}
	}
	return operations
}

// prefix is what comes before the first operation's path, if anything does.
func (d *document) prefix() string {
	for _, path := range keys(get(d.root, "paths")) {
		if prefix, found := strings.CutSuffix(path, api[0].path); found {
			return prefix
		}
	}
	return ""
}

// checkReferences refuses references out of the file, and those that lead nowhere.
func (d *document) checkReferences() error {
	var fault error
	walk(d.root, func(node *yaml.Node) {
		reference := referenceOf(node)
		switch {
		case fault != nil || reference == "":
		case !strings.HasPrefix(reference, "#/"):
			fault = fmt.Errorf("it refers to another file or host, %q: ask the provider for a bundled one", reference)
		case d.resolve(reference) == nil:
			fault = fmt.Errorf("it refers to %q, which it does not hold: it was cut off", reference)
		}
	})
	return fault
}

// bytes writes the description as YAML, in its own order. Nothing of its meaning changes.
func (d *document) bytes() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(d.root), encoder.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// get finds a member of nested mappings, nil if there is none.
func get(node *yaml.Node, names ...string) *yaml.Node {
	for _, name := range names {
		if node == nil || node.Kind != yaml.MappingNode {
			return nil
		}
		i := indexOf(node, name)
		if i < 0 {
			return nil
		}
		node = node.Content[i+1]
	}
	return node
}

// indexOf returns where the name of a member is in a mapping's content, -1 if nowhere.
func indexOf(node *yaml.Node, name string) int {
	if node.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return i
		}
	}
	return -1
}

func scalar(node *yaml.Node, names ...string) string {
	if found := get(node, names...); found != nil && found.Kind == yaml.ScalarNode {
		return found.Value
	}
	return ""
}

// walk visits all nodes.
func walk(node *yaml.Node, visit func(*yaml.Node)) {
	visit(node)
	for _, child := range node.Content {
		walk(child, visit)
	}
}

func referenceOf(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.MappingNode {
		return ""
	}
	return scalar(node, "$ref")
}

// resolve finds what a reference within the file leads to.
func (d *document) resolve(reference string) *yaml.Node {
	var parts []string
	for _, part := range strings.Split(strings.TrimPrefix(reference, "#/"), "/") {
		parts = append(parts, unescape(part))
	}
	return get(d.root, parts...)
}

func unescape(part string) string { return strings.NewReplacer("~1", "/", "~0", "~").Replace(part) }

// deref follows references until there is none.
func (d *document) deref(node *yaml.Node) *yaml.Node {
	for range mostNesting {
		reference := referenceOf(node)
		if reference == "" {
			return node
		}
		node = d.resolve(reference)
	}
	return nil
}

func keys(node *yaml.Node) (names []string) {
	if node != nil && node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(node.Content); i += 2 {
			names = append(names, node.Content[i].Value)
		}
	}
	slices.Sort(names)
	return names
}
