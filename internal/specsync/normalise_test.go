package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func normalised(t testing.TB, text []byte) string {
	t.Helper()
	written, _, err := normalise(text)
	require.NoError(t, err)
	return string(written)
}

func TestTheDescriptionIsInItsNormalForm(t *testing.T) {
	assert.Equal(t, string(current(t)), normalised(t, current(t)))
}

func TestEveryShapeBecomesOneThatStaysAsItIs(t *testing.T) {
	for name, text := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			once := normalised(t, text)
			assert.Equal(t, once, normalised(t, []byte(once)))
		})
	}
}

// What the SDK's code is written against is there under its name, whatever the provider calls it.
func TestEveryShapeHasTheSchemasThatTheCodeKnows(t *testing.T) {
	for name, text := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			_, d, err := normalise(text)
			require.NoError(t, err)
			for _, wanted := range names {
				assert.NotNil(t, get(d.schemas(), wanted.name), wanted.name)
			}
			assert.Empty(t, d.advice())
		})
	}
}

func TestEveryShapeHasTheOperationsThatTheCodeKnows(t *testing.T) {
	for name, text := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			_, d, err := normalise(text)
			require.NoError(t, err)
			for _, wanted := range api {
				item := get(d.root, "paths", wanted.path)
				assert.Equal(t, wanted.id, scalar(item, wanted.method, "operationId"))
				eachParameter(item, func(parameter *yaml.Node) {
					declared := d.deref(parameter)
					assert.NotEqual(t, "transactionId", scalar(declared, "name"))
					if scalar(declared, "in") == "header" && parameter != declared {
						assert.Regexp(t, knownHeaders, referenceOf(parameter), "the overlay does not see that it is a header")
					}
				})
			}
		})
	}
}

// What names may change is nothing else.
func TestAnotherPlaceOfAParameterIsAnotherMeaning(t *testing.T) {
	one, err := read([]byte(smallest("/{a}/{b}", "a", "b")))
	require.NoError(t, err)
	renamed, err := read([]byte(smallest("/{c}/{d}", "c", "d")))
	require.NoError(t, err)
	turned, err := read([]byte(smallest("/{c}/{d}", "d", "c")))
	require.NoError(t, err)
	assert.NoError(t, sameMeaning(one, renamed))
	assert.Error(t, sameMeaning(one, turned))
}

// smallest is a description of nothing but the operations, and another path.
func smallest(path string, parameters ...string) string {
	text := "openapi: 3.0.3\ninfo: {title: a, version: '1'}\npaths:\n"
	for _, operation := range api {
		parameters := ""
		if strings.Contains(operation.path, "{id}") {
			parameters = "parameters: [{name: id, in: path, required: true, schema: {type: string}}], "
		}
		text += fmt.Sprintf("  %s: {%s: {%sresponses: {'200': {description: a}}}}\n", operation.path, operation.method, parameters)
	}
	text += "  " + path + ": {get: {responses: {'200': {description: a}}, parameters: ["
	for _, name := range parameters {
		text += "{name: " + name + ", in: path, required: true, schema: {type: string}}, "
	}
	return text + "]}}\n"
}

// Quotes, numbers and texts that look like others are where formats that are written anew go wrong.
func TestWritingItAnewKeepsEveryValue(t *testing.T) {
	odd := object{
		"yes": "yes", "no": "no", "null": "null", "~": "~", "1": "1", "1.0": "1.0", "0x1f": "0x1f", "1e3": "1e3", "true": "true",
		"2026-01-01": "2026-01-01", "": "", " ": " ", "- a": "- a", "#": "# no comment", ": ": ": ", "tab\t": "tab\t", "line\nbreak": "line\nbreak\n\n",
		"é": "ção 🏦", "number": 1, "float": 1.5, "flag": true, "nothing": nil, "list": []any{}, "object": object{}, "&a": "*a", "!x": "!x", "%": "%", "@": "@",
		"0o7": "0o7", "1_000": "1_000", ".inf": ".inf", "trailing ": "trailing ", "'": "'", `"`: `"`, "\u0085": "\u2028",
	}
	text := reshape(t, func(root object) { root["x-odd"] = odd })
	_, d, err := normalise(text)
	require.NoError(t, err)
	var root object
	require.NoError(t, d.root.Decode(&root))
	for name, value := range odd {
		assert.Equal(t, value, root["x-odd"].(object)[name], "%q", name)
	}
	assert.Len(t, root["x-odd"], len(odd))
}

func TestCommentsAndOrderOfYAMLStay(t *testing.T) {
	text := "# A word of the provider's.\n" + string(current(t))
	assert.Equal(t, text, normalised(t, []byte(text)))
}

// A payer who asks and one who is answered may be two schemas to the provider. The SDK has one type for both.
func TestAdviceSaysWhatToPutIntoTheOverlay(t *testing.T) {
	_, d, err := normalise(reshape(t, twoPayers(t)))
	require.NoError(t, err)
	assert.Contains(t, d.advice(), "- target: $.components.schemas.PayerInput\n    update: {x-go-type: Payer}")
	_, d, err = normalise(reshape(t, withoutEvents(t)))
	require.NoError(t, err)
	assert.Contains(t, d.advice(), "CashInEvent: {type: object, properties: {eventType: {$ref: '#/components/schemas/CashInEventType'}")
}

func TestOperationsThatTheSDKLacksAreListed(t *testing.T) {
	_, d, err := normalise(shapes(t)["extra operations"])
	require.NoError(t, err)
	assert.Equal(t, []string{"GET /pix-keys", "POST /pix-keys", "DELETE /pix-keys/{key}"}, d.notOffered())
}

func FuzzNormalise(f *testing.F) {
	_, _, err := normalise([]byte(smallest("/a")))
	require.NoError(f, err)
	f.Add([]byte(smallest("/a")))
	f.Add([]byte(smallest("/{a}/{b}", "a", "b")))
	f.Add([]byte(`{"openapi": "3.1.0", "paths": {"/cash-in": {"post": {}}}}`))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		written, d, err := normalise(text)
		if err != nil {
			return
		}
		var one, other any
		if yaml.Unmarshal(written, &one) != nil || d.root.Decode(&other) != nil {
			t.Fatal("what was written cannot be read")
		}
		again, _, err := normalise(written)
		if err != nil || string(again) != string(written) {
			t.Fatalf("the normal form of a normal form is another: %v", err)
		}
	})
}
