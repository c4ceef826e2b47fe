package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// oasdiff compares descriptions. It is run, and not imported: its go.mod would raise that of the
// SDK.
const oasdiff = "github.com/oasdiff/oasdiff@v1.35.0"

// severities are changes that matter to this SDK otherwise than to others: its enums take every
// value, and a member that it loses, announced or not, is a field that users' code may name.
const severities = `response-property-enum-value-added info
response-mediatype-enum-value-added info
response-optional-property-removed err
response-required-property-removed-with-deprecation err
request-property-removed-with-deprecation err
request-parameter-removed-with-deprecation err
api-removed-with-deprecation err
api-path-removed-with-deprecation err
api-operation-id-removed err
api-schema-removed err
`

// compare tells what has changed between two descriptions.
func compare(ctx context.Context, older, newer []byte) (report, error) {
	directory, err := os.MkdirTemp("", "specsync")
	if err != nil {
		return report{}, err
	}
	defer os.RemoveAll(directory)
	var documents [2]*document
	var paths [2]string
	for i, text := range [][]byte{older, newer} {
		d, err := read(text)
		if err != nil {
			return report{}, err
		}
		d.exposeEvents()
		d.lowerParameters()
		d.modernise()
		if text, err = d.bytes(); err != nil {
			return report{}, err
		}
		documents[i], paths[i] = d, filepath.Join(directory, fmt.Sprintf("%d.yaml", i))
		if err := os.WriteFile(paths[i], text, 0o600); err != nil {
			return report{}, err
		}
	}
	changes, err := runOasdiff(ctx, directory, paths[0], paths[1])
	if err != nil {
		return report{}, err
	}
	unjudged, err := whatOasdiffLeavesOut(documents[0], documents[1], changes)
	if err != nil {
		return report{}, err
	}
	unchecked, err := newForeignPatterns(older, newer)
	if err != nil {
		return report{}, err
	}
	return newReport("The description", documents[0].version, documents[1].version, slices.Concat(changes, unjudged, unchecked)), nil
}

// newForeignPatterns lists the patterns that have come and that Go cannot compile. What they ask
// for, the contract tests do not see.
func newForeignPatterns(older, newer []byte) ([]change, error) {
	before, err := foreignPatterns(older)
	if err != nil {
		return nil, err
	}
	now, err := foreignPatterns(newer)
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, where := range slices.Sorted(maps.Keys(now)) {
		if pattern := now[where]; pattern != before[where] {
			changes = append(changes, change{words, where, "Go cannot compile the pattern, so no contract test checks it: `" + pattern + "`"})
		}
	}
	return changes, nil
}

// runOasdiff lists the changes as oasdiff sees them.
func runOasdiff(ctx context.Context, directory, older, newer string) ([]change, error) {
	levels := filepath.Join(directory, "severities")
	if err := os.WriteFile(levels, []byte(severities), 0o600); err != nil {
		return nil, err
	}
	output, err := output(ctx, "", "go", "run", oasdiff, "changelog", "--format", "json", "--severity-levels", levels, older, newer)
	if err != nil || len(strings.TrimSpace(output)) == 0 {
		return nil, err
	}
	var found []struct {
		ID, Text, Operation, Path string
		Level                     int
	}
	if err := json.Unmarshal([]byte(output), &found); err != nil {
		return nil, fmt.Errorf("oasdiff: %w", err)
	}
	var changes []change
	for _, one := range found {
		if strings.HasPrefix(one.ID, "api-") && strings.Contains(one.ID, "version") {
			continue // whether the provider's version should have risen more
		}
		c := change{additive, cmp.Or(strings.TrimSpace(one.Operation+" "+one.Path), whole), one.Text}
		if one.Level >= 2 { // warnings too: what may break does
			c.level = breaking
		}
		c.where = nameOfEvent(c.where)
		changes = append(changes, c)
	}
	return changes, nil
}

// whatOasdiffLeavesOut lists what has changed in words, and operations that differ in more than
// words and that oasdiff says nothing of: those are for a person to judge.
func whatOasdiffLeavesOut(older, newer *document, judged []change) ([]change, error) {
	found, err := differences(older, newer)
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, operation := range slices.Sorted(maps.Keys(found)) {
		d, where := found[operation], nameOfEvent(operation)
		var texts []string
		for _, c := range judged {
			if c.where == where {
				texts = append(texts, c.text)
			}
		}
		if unjudged := slices.DeleteFunc(d.structure, func(place string) bool { return isJudged(place, texts) }); len(unjudged) > 0 {
			changes = append(changes, change{breaking, where, "it differs in a way that no rule judges: look at " + some(unjudged)})
		}
		if len(d.words) > 0 {
			changes = append(changes, change{words, where, "its words differ at " + some(d.words)})
		}
	}
	return changes, nil
}

// isJudged reports whether what oasdiff says of an operation includes a place: the member there, or
// one that holds it, by name. Where no member is, whatever it says has to do.
func isJudged(place string, texts []string) bool {
	member := memberAt(place)
	return slices.ContainsFunc(texts, func(text string) bool {
		if member == "" {
			return true
		}
		for i, quoted := range strings.Split(text, "`") {
			if i%2 == 1 && strings.HasPrefix(member+"/", quoted+"/") {
				return true
			}
		}
		return false
	})
}

// memberAt is the member of a body that a place is in, as oasdiff writes it. It is empty if there
// is none, or if schemas are put together of others, which oasdiff has names for.
func memberAt(place string) string {
	_, inBody, _ := strings.Cut(place, ".schema.")
	var names []string
	segments := strings.Split(inBody, ".")
	for i := 0; i < len(segments); i++ {
		label, isRequired := strings.CutPrefix(segments[i], "required[")
		switch {
		case segments[i] == "properties" && i+1 < len(segments):
			i++
			names = append(names, segments[i])
		case segments[i] == "items":
			names = append(names, "items")
		case strings.Contains(segments[i], "Of["):
			return ""
		case isRequired:
			return strings.Join(append(names, strings.TrimSuffix(label, "]")), "/")
		}
	}
	return strings.Join(names, "/")
}

// some names the first few of many places.
func some(places []string) string {
	const few = 4
	if len(places) <= few {
		return strings.Join(places, ", ")
	}
	return fmt.Sprintf("%s and %d more places", strings.Join(places[:few], ", "), len(places)-few)
}

const eventPath = "/-/webhook/"

// events are the payloads that the SDK has a type for: an event of each, and what they are about.
var events = []struct{ event, about string }{{"CASHIN_PAID", "cash-in"}, {"CASHOUT_COMPLETED", "cash-out"}}

// nameOfEvent writes the operation that exposeEvents made as what it stands for.
func nameOfEvent(operation string) string {
	name, ok := strings.CutPrefix(operation, "GET "+eventPath)
	if !ok {
		return operation
	}
	if unescaped, err := url.PathUnescape(name); err == nil {
		name = unescaped
	}
	for _, known := range events {
		if name == known.about {
			return "webhooks about a " + name
		}
	}
	return "the webhook " + name
}

// exposeEvents shows the payloads of webhooks as answers, which is what they are to their receiver.
// Where they stand oasdiff does not compare them, or as if they were sent.
func (d *document) exposeEvents() {
	var exposed []*yaml.Node
	expose := func(name string, schema *yaml.Node) {
		if schema == nil || slices.ContainsFunc(exposed, func(other *yaml.Node) bool { return same(other, schema) }) {
			return
		}
		exposed = append(exposed, schema)
		text := fmt.Sprintf("get:\n  operationId: %q\n  responses:\n    '200':\n      description: An event.\n"+
			"      content: {application/json: {schema: {}}}\n", "webhook-"+name)
		var operation yaml.Node
		if err := yaml.Unmarshal([]byte(text), &operation); err != nil {
			panic(err) // of an escaped name in a constant
		}
		item := operation.Content[0]
		shown := get(item, "get", "responses", "200", "content", "application/json", "schema")
		*shown = *copyOf(schema)
		add(get(d.root, "paths"), eventPath+name, item)
	}
	for _, known := range events {
		expose(known.about, d.event(known.event))
	}
	for _, place := range []string{"webhooks", "x-webhooks"} {
		webhooks := get(d.root, place)
		for _, name := range keys(webhooks) {
			expose(url.PathEscape(name), schemaOf(d.deref(get(d.deref(get(webhooks, name)), "post", "requestBody"))))
		}
		if i := indexOf(d.root, place); i >= 0 {
			d.root.Content = slices.Delete(d.root.Content, i, i+2)
		}
	}
}

// lowerParameters declares the parameters of paths for each of their operations, which means the
// same.
func (d *document) lowerParameters() {
	paths := get(d.root, "paths")
	for _, path := range keys(paths) {
		item := get(paths, path)
		shared := get(item, "parameters")
		if shared == nil {
			continue
		}
		for _, method := range keys(item) {
			if !isMethod(method) {
				continue
			}
			operation := get(item, method)
			if get(operation, "parameters") == nil {
				add(operation, "parameters", &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"})
			}
			own := get(operation, "parameters")
			for _, parameter := range shared.Content {
				if !slices.ContainsFunc(own.Content, func(other *yaml.Node) bool { return d.isSameParameter(parameter, other) }) {
					own.Content = append(own.Content, parameter)
				}
			}
		}
		i := indexOf(item, "parameters")
		item.Content = slices.Delete(item.Content, i, i+2)
	}
}

func (d *document) isSameParameter(one, other *yaml.Node) bool {
	one, other = d.deref(one), d.deref(other)
	return scalar(one, "in") == scalar(other, "in") && scalar(one, "name") == scalar(other, "name")
}

// modernise says in the words of OpenAPI 3.1 what 3.0 says in others, as far as that is common:
// what is the same reads the same.
func (d *document) modernise() {
	get(d.root, "openapi").Value = "3.1.0"
	walk(d.root, func(schema *yaml.Node) {
		kind := get(schema, "type")
		if i := indexOf(schema, "nullable"); i >= 0 && kind != nil && kind.Kind == yaml.ScalarNode {
			if schema.Content[i+1].Value == "true" {
				alone := *kind
				*kind = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{
					&alone, {Kind: yaml.ScalarNode, Tag: "!!str", Value: "null"},
				}}
			}
			schema.Content = slices.Delete(schema.Content, i, i+2)
		}
		if i := indexOf(schema, "const"); i >= 0 && indexOf(schema, "enum") < 0 {
			schema.Content[i].Value = "enum"
			schema.Content[i+1] = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{schema.Content[i+1]}}
		}
	})
}

// output runs a program and returns what it prints. Its error holds what it says of a failure.
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
