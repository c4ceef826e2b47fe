package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What users of the API feel is what a change is called, wherever it is.
func TestEveryChangeIsCalledWhatItIs(t *testing.T) {
	needsWhole(t)
	schema := func(root object, names ...string) object {
		return at(t, root, append([]string{"components", "schemas"}, names...)...)
	}
	grow := func(list object, name string, value any) { list[name] = append(list[name].([]any), value) }
	nothingMore := func(object) {}
	perType := func(root object) { // an event of its own for each type, as webhooks of OpenAPI 3.1
		toOpenAPI31WithoutSiblings(root)
		refunded := object{"type": "object", "properties": object{
			"eventType": object{"const": "CASHIN_REFUNDED"}, "data": object{"$ref": "#/components/schemas/CashIn"}, "reason": object{"type": "string"},
		}}
		root["webhooks"].(object)["cash-in {refunded}"] = webhookWith(refunded)
	}
	for name, test := range map[string]struct {
		before, change func(object)
		level          level
		says           []string
	}{
		"a required member of a request more": {nothingMore, func(root object) {
			schema(root, "CashOutRequest", "properties")["purpose"] = object{"type": "string"}
			grow(schema(root, "CashOutRequest"), "required", "purpose")
		}, breaking, []string{"breaking  POST /cash-out: added the new required request property `purpose`"}},
		"an optional one": {nothingMore, func(root object) {
			schema(root, "CashOutRequest", "properties")["purpose"] = object{"type": "string"}
		}, additive, nil},
		"a value less that may be sent": {nothingMore, func(root object) { schema(root, "RefundReason")["enum"] = []any{"FRAUD"} }, breaking, nil},
		"a value more in a list of an answer": {
			func(root object) { schema(root, "BankBalance", "properties", "bank")["enum"] = []any{"A"} },
			func(root object) { schema(root, "BankBalance", "properties", "bank")["enum"] = []any{"A", "B"} }, additive, []string{"banks/items/bank"},
		},
		"a type of event more": {nothingMore, func(root object) { grow(schema(root, "CashInEventType"), "enum", "CASHIN_DISPUTED") }, additive,
			[]string{"webhooks about a cash-in"}},
		"a type of event more, in OpenAPI 3.1": {toOpenAPI31WithoutSiblings, func(root object) {
			toOpenAPI31WithoutSiblings(root)
			grow(schema(root, "CashInEventType"), "enum", "CASHIN_DISPUTED")
		}, additive, []string{"webhooks about a cash-in"}},
		"a member less in an event": {nothingMore, func(root object) { delete(schema(root, "CashOutEvent", "properties"), "eventAt") }, breaking,
			[]string{"breaking  webhooks about a cash-out: removed"}},
		"a member less in an event of a webhook of its own": {perType, func(root object) {
			perType(root)
			delete(at(t, root, "webhooks", "cash-in {refunded}", "post", "requestBody", "content", "application/json", "schema", "properties"), "reason")
		}, breaking, []string{"breaking  the webhook cash-in {refunded}: removed"}},
		"another type in an answer": {nothingMore, func(root object) { schema(root, "Balance", "properties", "currency")["type"] = "integer" }, breaking, nil},
		"an operation less":         {addOperations, nothingMore, breaking, []string{"breaking  DELETE /pix-keys/{key}", "breaking  the description: removed the schema"}},
		"parameters said once for a path": {nothingMore, func(root object) {
			item := at(t, root, "paths", "/cash-in/{id}")
			item["parameters"] = at(t, item, "get")["parameters"]
			delete(at(t, item, "get"), "parameters")
		}, nothing, nil},
		"a pattern that only ECMAScript knows": {nothingMore, func(root object) {
			schema(root, "CashInRequest", "properties", "externalReference")["pattern"] = `^(?=.*\S)`
		}, breaking, []string{"words     /components/schemas/CashInRequest/properties/externalReference: Go cannot compile"}},
		"words": {nothingMore, func(root object) { schema(root, "CashOut")["description"] = "Another text." }, words, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := compare(t.Context(), reshape(t, test.before), reshape(t, test.change))
			require.NoError(t, err)
			assert.Equal(t, test.level, r.level(), r.terminal())
			for _, text := range test.says {
				assert.Contains(t, r.terminal(), text)
			}
		})
	}
}

// OpenAPI has the regular expressions of ECMAScript, and those know more than Go's.
func TestAPatternThatGoCannotCompileIsTakenInAndReported(t *testing.T) {
	const where = "/components/schemas/CashInRequest/properties/externalReference"
	with := func(pattern string) []byte {
		return reshape(t, func(root object) {
			at(t, root, "components", "schemas", "CashInRequest", "properties", "externalReference")["pattern"] = pattern
			at(t, root, "components", "schemas", "CashInRequest", "properties", "payer")["example"] = object{"pattern": "(?=no schema)"}
		})
	}
	lookahead := with(`^(?=.*\S)[A-Za-z0-9_.-]{1,64}$`)
	written, d, err := normalise(lookahead)
	require.NoError(t, err)
	assert.Contains(t, string(written), `^(?=.*\S)[A-Za-z0-9_.-]{1,64}$`, "the description stays the provider's")
	assert.NoError(t, d.examplesFault(), "its examples do not contradict what cannot be checked")

	told, err := newForeignPatterns(current(t), written)
	require.NoError(t, err)
	assert.Equal(t, []change{{words, where, "Go cannot compile the pattern, so no contract test checks it: `^(?=.*\\S)[A-Za-z0-9_.-]{1,64}$`"}}, told)
	told, err = newForeignPatterns(written, written)
	require.NoError(t, err)
	assert.Empty(t, told, "it is no news")
	told, err = newForeignPatterns(written, with(`^[A-Za-z0-9_.-]{1,64}$`))
	require.NoError(t, err)
	assert.Empty(t, told)
}

// Something harmless about an operation is no word about the rest of it.
func TestAJudgementIsOfThePlaceThatItNames(t *testing.T) {
	const schema = "responses.200.content.application/json.schema."
	for _, test := range []struct {
		place, text string
		judged      bool
	}{
		{schema + "properties.fee.multipleOf", "the `fee` response property became", true},
		{schema + "properties.fee.multipleOf", "added the optional property `note` to the response with the `200` status", false},
		{schema + "properties.data.properties.fee.multipleOf", "added the optional property `data/note`", false},
		{schema + "properties.data.properties.fee.type", "added the optional property `data`", true},
		{schema + "properties.banks.items.properties.bank.enum[B]", "added `B` to `banks/items/bank`", true},
		{schema + "properties.data.required[fee]", "the response property `data/fee` became optional", true},
		{schema + "required[fee]", "added the new required request property `fee`", true},
		{schema + "allOf[0].properties.fee.type", "the `/allOf[#1]/fee` changed", true},
		{"requestBody.required", "request body became optional", true},
	} {
		assert.Equal(t, test.judged, isJudged(test.place, []string{test.text}), test)
	}
	assert.False(t, isJudged("requestBody.required", nil))
}
