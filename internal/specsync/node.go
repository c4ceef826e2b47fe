package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// get returns a member of nested mappings, nil if there is none.
func get(node *yaml.Node, names ...string) *yaml.Node {
	for _, name := range names {
		i := indexOf(node, name)
		if i < 0 {
			return nil
		}
		node = node.Content[i+1]
	}
	return node
}

// indexOf returns the index of a member's name in a mapping's content, -1 if there is none.
func indexOf(node *yaml.Node, name string) int {
	if node != nil && node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return i
			}
		}
	}
	return -1
}

func remove(node *yaml.Node, name string) {
	if i := indexOf(node, name); i >= 0 {
		node.Content = slices.Delete(node.Content, i, i+2)
	}
}

// set sets a member of a mapping to a text.
func set(mapping *yaml.Node, name, value string) {
	text := func(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value} }
	if i := indexOf(mapping, name); i >= 0 {
		mapping.Content[i+1] = text(value)
		return
	}
	mapping.Content = append(mapping.Content, text(name), text(value))
}

func scalar(node *yaml.Node, names ...string) string {
	if found := get(node, names...); found != nil && found.Kind == yaml.ScalarNode {
		return found.Value
	}
	return ""
}

func keys(node *yaml.Node) (names []string) {
	if node != nil && node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(node.Content); i += 2 {
			names = append(names, node.Content[i].Value)
		}
	}
	return names
}

// walk visits all nodes.
func walk(node *yaml.Node, visit func(*yaml.Node)) {
	visit(node)
	for _, child := range node.Content {
		walk(child, visit)
	}
}

// copyOf returns a deep copy of a value.
func copyOf(node *yaml.Node) *yaml.Node {
	copied := *node
	copied.Content = nil
	for _, child := range node.Content {
		copied.Content = append(copied.Content, copyOf(child))
	}
	return &copied
}

func referenceOf(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.MappingNode {
		return ""
	}
	return scalar(node, "$ref")
}

// resolve returns the target of a reference within the file.
func (d *document) resolve(reference string) *yaml.Node {
	node := d.root
	for part := range strings.SplitSeq(strings.TrimPrefix(reference, "#/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if plain, err := url.PathUnescape(part); err == nil {
			part = plain
		}
		i, err := strconv.Atoi(part)
		if err == nil && node != nil && node.Kind == yaml.SequenceNode && 0 <= i && i < len(node.Content) {
			node = node.Content[i]
			continue
		}
		node = get(node, part)
	}
	return node
}

// deref follows references to their end. checkReferences has refused endless ones.
func (d *document) deref(node *yaml.Node) *yaml.Node {
	for reference := referenceOf(node); reference != ""; reference = referenceOf(node) {
		node = d.resolve(reference)
	}
	return node
}
