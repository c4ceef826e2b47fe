package main

import (
	"encoding/json"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// shapes are the description as the provider might have written it. All mean the same, but for operations that are added.
func shapes(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"as it is":                 current(t),
		"JSON":                     reshape(t, nil),
		"OpenAPI 3.1":              reshape(t, func(root object) { toOpenAPI31(root); wrapNullable(root, true) }),
		"everything written out":   writtenOut(t),
		"other names":              otherNames(t),
		"extra operations":         reshape(t, addOperations),
		"another house's":          anotherHouses(t),
		"lines that end otherwise": []byte("\xef\xbb\xbf" + strings.ReplaceAll(string(current(t)), "\n", "\r\n")),
	}
}

// toOpenAPI31 says in OpenAPI 3.1 what the description says in 3.0: null as a type, constants, webhooks, references with siblings.
func toOpenAPI31(root object) {
	root["openapi"] = "3.1.0"
	rewrite(root, func(schema object) {
		if schema["nullable"] == true {
			delete(schema, "nullable")
			schema["type"] = []any{schema["type"], "null"}
		}
		if values, ok := schema["enum"].([]any); ok && len(values) == 1 {
			delete(schema, "enum")
			schema["const"] = values[0]
		}
		if schema["$ref"] == "#/components/schemas/Failure" {
			schema["description"] = "Why, if it failed."
		}
	})
	root["webhooks"] = object{"cashIn": webhookOf("CashInEvent"), "cashOut": webhookOf("CashOutEvent")}
}

// wrapNullable says of references, and not of what they lead to, that there may be null: by allOf, or in OpenAPI 3.1 by a choice.
func wrapNullable(root object, choice bool) {
	schemas := root["components"].(object)["schemas"].(object)
	for owner, members := range map[string][]string{"Payer": {"bankData"}, "CashIn": {"pixData"}, "CashOut": {"failure", "status"}, "Refund": {"status"}} {
		for _, member := range members {
			properties := schemas[owner].(object)["properties"].(object)
			reference := properties[member].(object)
			target := schemas[strings.TrimPrefix(reference["$ref"].(string), "#/components/schemas/")].(object)
			switch {
			case !choice:
				delete(target, "nullable")
				properties[member] = object{"allOf": []any{reference}, "nullable": true}
			case member == "status":
				properties[member] = object{"anyOf": []any{reference, object{"type": "null"}}}
			default:
				target["type"] = "object"
				properties[member] = object{"oneOf": []any{object{"type": "null"}, reference}, "description": "If there is one."}
			}
		}
	}
}

func webhookOf(schema string) object {
	return webhookWith(object{"$ref": "#/components/schemas/" + schema})
}

func webhookWith(schema any) object {
	return object{"post": object{
		"requestBody": object{"content": object{"application/json": object{"schema": schema}}},
		"responses":   object{"200": object{"description": "Received."}},
	}}
}

// writtenOut is the description without references, as OpenAPI 3.1 with its events as webhooks.
func writtenOut(t testing.TB) []byte {
	d, err := read(reshape(t, nil))
	require.NoError(t, err)
	var root object
	require.NoError(t, d.root.Decode(&root))
	schemas, err := (&resolver{root, mostNodes}).resolve(root["components"].(object)["schemas"], 0)
	require.NoError(t, err)
	meaning, err := d.meaning()
	require.NoError(t, err)
	meaning["components"] = object{"securitySchemes": meaning["components"].(object)["securitySchemes"]}
	toOpenAPI31(meaning)
	rewrite(schemas.(object), func(schema object) {
		if schema["nullable"] == true {
			delete(schema, "nullable")
			schema["type"] = []any{schema["type"], "null"}
		}
	})
	meaning["webhooks"] = object{
		"cashIn": webhookWith(schemas.(object)["CashInEvent"]), "cashOut": webhookWith(schemas.(object)["CashOutEvent"]),
	}
	text, err := json.Marshal(meaning)
	require.NoError(t, err)
	return text
}

// otherNames gives every component another name.
func otherNames(t testing.TB) []byte {
	return reshape(t, func(root object) {
		components := at(t, root, "components")
		for _, kind := range []string{"schemas", "parameters", "responses"} {
			renamed := object{}
			for name, component := range at(t, components, kind) {
				renamed[name+"_Dto"] = component
			}
			components[kind] = renamed
		}
		rewrite(root, func(value object) {
			if reference, ok := value["$ref"].(string); ok {
				value["$ref"] = reference + "_Dto"
			}
		})
	})
}

// anotherHouses is the description as other tools write it: headers and the id once for a path, under names of their own or none, other
// ids of operations or none, problems as the default, any type of content, numbers as statuses, null beside references, and what is the
// same said once.
func anotherHouses(t testing.TB) []byte {
	var root object
	require.NoError(t, json.Unmarshal(reshape(t, nil), &root))
	wrapNullable(root, false)
	parameters := at(t, root, "components", "parameters")
	for name, other := range map[string]string{"ApplicationToken": "AppKey", "DigitalSignature": "Hmac", "IdempotencyKey": "Once", "TransactionId": "TxId"} {
		parameters[other] = parameters[name]
		delete(parameters, name)
		rewrite(root, func(value object) {
			if value["$ref"] == "#/components/parameters/"+name {
				value["$ref"] = "#/components/parameters/" + other
			}
		})
	}
	at(t, parameters, "TxId")["name"] = "transactionId"
	renamed := object{}
	for path, item := range at(t, root, "paths") {
		for method, operation := range maps.Clone(item.(object)) {
			operation := operation.(object)
			if method == "get" {
				delete(operation, "operationId")
			} else {
				operation["operationId"] = "post" + path
			}
			if declared, ok := operation["parameters"]; ok { // no path of this API has two operations
				item.(object)["parameters"] = declared
				delete(operation, "parameters")
			}
			answers := object{"default": at(t, operation, "responses", "401")}
			for status, answer := range at(t, operation, "responses") {
				if content, ok := answer.(object)["content"].(object); ok {
					answers[status] = object{"description": "Done.", "content": object{"*/*": content["application/json"]}}
				}
			}
			operation["responses"] = answers
		}
		renamed[strings.ReplaceAll(path, "{id}", "{transactionId}")] = item
	}
	root["paths"] = renamed
	text, err := yaml.Marshal(root)
	require.NoError(t, err)
	said := regexp.MustCompile(`"(\d{3})":`).ReplaceAllString(string(text), "$1:")
	return []byte(strings.Replace(said, "Payee:\n", "Payee: &payee\n", 1) + "x-payee: *payee\n")
}

func addOperations(root object) {
	answer := func(schema object) object {
		return object{"200": object{"description": "ok", "content": object{"application/json": object{"schema": schema}}}}
	}
	key := object{"type": "object", "properties": object{"key": object{"type": "string"}, "owner": object{"$ref": "#/components/schemas/Payee"}}}
	root["components"].(object)["schemas"].(object)["DirectoryKey"] = key
	one := object{"$ref": "#/components/schemas/DirectoryKey"}
	page := object{"name": "page", "in": "query", "schema": object{"type": "integer"}}
	signature := object{"$ref": "#/components/parameters/DigitalSignature"}
	root["paths"].(object)["/pix-keys"] = object{
		"get": object{"operationId": "listPixKeys", "parameters": []any{page}, "responses": answer(object{"type": "array", "items": one})},
		"post": object{"operationId": "createPixKey", "parameters": []any{signature},
			"requestBody": object{"content": object{"application/json": object{"schema": one}}}, "responses": answer(one)},
	}
	root["paths"].(object)["/pix-keys/{key}"] = object{"delete": object{
		"operationId": "deletePixKey", "responses": object{"204": object{"description": "gone"}},
		"parameters": []any{object{"name": "key", "in": "path", "required": true, "schema": object{"type": "string"}}},
	}}
}

// twoPayers changes the description to one with a payer of its own in the request of a charge.
func twoPayers(t testing.TB) func(object) {
	return func(root object) {
		schemas := at(t, root, "components", "schemas")
		input := maps.Clone(at(t, schemas, "Payer"))
		input["properties"] = maps.Clone(at(t, input, "properties"))
		delete(at(t, input, "properties"), "bankData")
		schemas["PayerInput"] = input
		at(t, schemas, "CashInRequest", "properties", "payer")["$ref"] = "#/components/schemas/PayerInput"
	}
}

// withoutEvents changes the description to one without webhooks, which many leave to their guides.
func withoutEvents(t testing.TB) func(object) {
	return func(root object) {
		schemas := at(t, root, "components", "schemas")
		for _, name := range []string{"CashInEvent", "CashInEventType", "CashOutEvent", "CashOutEventType"} {
			delete(schemas, name)
		}
	}
}

// rewrite visits all objects.
func rewrite(value any, visit func(object)) {
	switch value := value.(type) {
	case object:
		visit(value)
		for _, member := range value {
			rewrite(member, visit)
		}
	case []any:
		for _, element := range value {
			rewrite(element, visit)
		}
	}
}
