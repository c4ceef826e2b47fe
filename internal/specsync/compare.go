package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// oasdiff compares descriptions. It is run, and not imported: its go.mod would raise that of the SDK.
const oasdiff = "github.com/oasdiff/oasdiff@v1.35.0"

// severities are changes that matter to this SDK otherwise than to others: its enums take every value, and a member that it loses, announced
// or not, is a field that users' code may name.
const severities = `response-property-enum-value-added info
response-mediatype-enum-value-added info
response-optional-property-removed err
response-required-property-removed-with-deprecation err
request-property-removed-with-deprecation err
request-parameter-removed-with-deprecation err
api-removed-with-deprecation err
api-path-removed-with-deprecation err
api-operation-id-removed err
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
	return newReport("The description", documents[0].version, documents[1].version, append(changes, unjudged...)), nil
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

// whatOasdiffLeavesOut lists what has changed in words, and operations that differ in more than words and that oasdiff says
// nothing of: those are for a person to judge.
func whatOasdiffLeavesOut(older, newer *document, judged []change) ([]change, error) {
	found, err := differences(older, newer)
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, operation := range slices.Sorted(maps.Keys(found)) {
		d, where := found[operation], nameOfEvent(operation)
		known := slices.ContainsFunc(judged, func(c change) bool { return c.where == where })
		if len(d.structure) > 0 && !known {
			changes = append(changes, change{breaking, where, "it differs in a way that no rule judges: look at " + some(d.structure)})
		}
		if len(d.words) > 0 {
			changes = append(changes, change{words, where, "its words differ at " + some(d.words)})
		}
	}
	return changes, nil
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

// nameOfEvent writes the operation that exposeEvents made as what it stands for.
func nameOfEvent(operation string) string {
	if event, ok := strings.CutPrefix(operation, "GET "+eventPath); ok {
		return "webhooks about a " + event
	}
	return operation
}

// exposeEvents shows the payloads of webhooks as answers, which is what they are to their receiver. Where they stand oasdiff
// does not compare them, or as if they were sent.
func (d *document) exposeEvents() {
	for event, about := range map[string]string{"CASHIN_PAID": "cash-in", "CASHOUT_COMPLETED": "cash-out"} {
		schema := d.event(event)
		if schema == nil {
			continue
		}
		text := fmt.Sprintf("get:\n  operationId: webhook-%s\n  responses:\n    '200':\n      description: An event.\n"+
			"      content: {application/json: {schema: {}}}\n", about)
		var operation yaml.Node
		if err := yaml.Unmarshal([]byte(text), &operation); err != nil {
			panic(err) // of a constant
		}
		item := operation.Content[0]
		*get(item, "get", "responses", "200", "content", "application/json", "schema") = *schema
		add(get(d.root, "paths"), eventPath+about, item)
	}
	if i := indexOf(d.root, "webhooks"); i >= 0 {
		d.root.Content = slices.Delete(d.root.Content, i, i+2)
	}
}

// modernise says in the words of OpenAPI 3.1 what 3.0 says in others, as far as that is common: what is the same reads the same.
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
