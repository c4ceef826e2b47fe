package control

import (
	"encoding"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// object is a JSON object of the description.
type object = map[string]any

// serveDescription serves the OpenAPI description of the API, which is made of the routes.
func serveDescription(w http.ResponseWriter, r *http.Request) {
	respond(w, http.StatusOK, describe("http://"+r.Host+prefix))
}

func describe(server string) object {
	paths := object{}
	for _, route := range routes {
		methods, _ := paths[route.path].(object)
		if methods == nil {
			methods = object{}
			paths[route.path] = methods
		}
		methods[strings.ToLower(route.method)] = route.describe()
	}
	paths["/events"] = object{"get": object{
		"operationId": "watch", "summary": "The state as a server-sent event, at first and after each change; each second of a clock that runs is an event clock",
		"responses": object{"200": object{"description": "Events without end", "content": object{"text/event-stream": object{}}}},
	}}
	return object{
		"openapi": "3.0.3",
		"info": object{"title": "ConnectPSP sandbox: control", "version": "1",
			"description": "Controls a sandbox: plays the payer, the banks, the network and time. It is not an API of the provider."},
		"servers": []any{object{"url": server}},
		"paths":   paths,
	}
}

func (o route) describe() object {
	parameters := []any{}
	if strings.Contains(o.path, "{id}") {
		parameters = append(parameters, object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"},
			"description": "The transactionId, internalCode or endToEndId"})
	}
	if o.query != "" {
		parameters = append(parameters, object{"name": o.query, "in": "query", "schema": object{"type": "string"}})
	}
	responses := object{"default": object{"description": "A refusal: nothing has changed", "content": jsonOf(reflect.TypeFor[problem]())}}
	if o.result == nil {
		responses["204"] = object{"description": "Done"}
	} else {
		responses["200"] = object{"description": "Done", "content": jsonOf(o.result)}
	}
	operation := object{"operationId": o.id, "summary": o.summary, "parameters": parameters, "responses": responses}
	if o.body != nil {
		schema := schemaOf(o.body)
		_, hasRequired := schema["required"]
		operation["requestBody"] = object{"required": hasRequired, "content": object{"application/json": object{"schema": schema}}}
	}
	return operation
}

func jsonOf(t reflect.Type) object {
	return object{"application/json": object{"schema": schemaOf(t)}}
}

// schemaOf returns the schema of the JSON that encoding/json makes of a type.
func schemaOf(t reflect.Type) object {
	switch {
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem())
	case t == reflect.TypeFor[pix.Amount]():
		return object{"type": "number", "description": "In reais, with at most two decimals"}
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[pix.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	default:
		return structSchema(t)
	}
}

func structSchema(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, m := range membersOf(t) {
		properties[m.name] = schemaOf(t.FieldByIndex(m.index).Type)
		if m.required {
			required = append(required, m.name)
		}
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}
