package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// readJSON reads JSON into the form of YAML, its members in their order. YAML's own parser takes most of JSON and not all.
func readJSON(text []byte) (*yaml.Node, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	node, err := readValue(decoder, deepest)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the end of its JSON")
	}
	return node, nil
}

func readValue(decoder *json.Decoder, levels int) (*yaml.Node, error) {
	if levels == 0 {
		return nil, errTooDeep
	}
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	delimiter, isNested := token.(json.Delim)
	if !isNested {
		node := new(yaml.Node)
		return node, node.Encode(plainValue(token))
	}
	node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if delimiter == '[' {
		node = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	}
	known := map[string]bool{}
	for decoder.More() {
		if node.Kind == yaml.MappingNode {
			name, err := readValue(decoder, levels-1)
			if err != nil {
				return nil, err
			}
			if known[name.Value] {
				return nil, fmt.Errorf("it has %q twice in one object", name.Value)
			}
			known[name.Value] = true
			node.Content = append(node.Content, name)
		}
		value, err := readValue(decoder, levels-1)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, value)
	}
	_, err = decoder.Token() // the end
	return node, err
}

// plainValue turns a number into one of YAML, without rounding it.
func plainValue(token json.Token) any {
	number, isNumber := token.(json.Number)
	if !isNumber {
		return token
	}
	tag := "!!float"
	if _, err := number.Int64(); err == nil {
		tag = "!!int"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: number.String()}
}
