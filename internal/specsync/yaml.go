package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

const maxNesting = 200 // levels of nesting in the text

var (
	errTooDeep = errors.New("it is nested deeper than any description of this API")
	errTooMuch = errors.New("it stands for more than any description of this API would hold")
)

// readYAML reads YAML that has an equivalent in JSON: without anchors, with strings as names of
// members, and no name twice. It returns nil for an empty text.
func readYAML(text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var file, more yaml.Node
	switch err := decoder.Decode(&file); {
	case errors.Is(err, io.EOF), err == nil && len(file.Content) == 0:
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.Join(errors.New("it holds more than one document"), err)
	}
	left := maxNodes
	return writeOut(file.Content[0], maxNesting, &left)
}

// readJSON reads JSON. It is YAML, except for a few characters in strings.
func readJSON(text []byte) (*yaml.Node, error) {
	var escaped, lines bytes.Buffer
	json.HTMLEscape(&escaped, pairs.ReplaceAllFunc(text, func(pair []byte) []byte {
		var one string
		_ = json.Unmarshal(slices.Concat([]byte(`"`), pair, []byte(`"`)), &one)
		return []byte(one)
	}))
	if err := json.Indent(&lines, escaped.Bytes(), "", " "); err != nil {
		return nil, err
	}
	return readYAML(lines.Bytes())
}

// pairs matches the characters that JSON may write as two (surrogate pairs).
var pairs = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)

// writeOut copies a value, and replaces its aliases by their targets.
func writeOut(node *yaml.Node, levels int, left *int) (*yaml.Node, error) {
	if *left--; *left < 0 {
		return nil, errTooMuch
	}
	if levels == 0 {
		return nil, errTooDeep
	}
	if node.Kind == yaml.AliasNode {
		return writeOut(node.Alias, levels-1, left)
	}
	out := *node
	out.Anchor, out.Content = "", nil
	names := map[string]bool{}
	var merged []*yaml.Node
	for i, child := range node.Content {
		written, err := writeOut(child, levels-1, left)
		if err != nil {
			return nil, err
		}
		if node.Kind != yaml.MappingNode {
			out.Content = append(out.Content, written)
			continue
		}
		switch isName := i%2 == 0; {
		case isName && written.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("line %d: the name of a member is no text", child.Line)
		case isName && written.Tag == "!!merge":
		case isName && names[written.Value]:
			return nil, fmt.Errorf("line %d: it has %q twice in one object", child.Line, written.Value)
		case isName:
			names[written.Value] = true
			written.Tag = "!!str"
			out.Content = append(out.Content, written)
		case node.Content[i-1].Tag == "!!merge":
			merged = append(merged, written)
		default:
			out.Content = append(out.Content, written)
		}
	}
	for len(merged) > 0 {
		from := merged[0]
		merged = merged[1:]
		if from.Kind == yaml.SequenceNode {
			merged = append(from.Content, merged...)
			continue
		}
		for i := 0; i+1 < len(from.Content); i += 2 {
			if name := from.Content[i].Value; !names[name] {
				names[name] = true
				out.Content = append(out.Content, from.Content[i], from.Content[i+1])
			}
		}
	}
	return &out, nil
}
