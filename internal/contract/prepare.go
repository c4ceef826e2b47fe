package contract

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// load reads a description, and calls prepare for it unless that is nil. Webhooks that a
// description in OpenAPI 3.0 has under x-webhooks become schemas, so that they are found.
func load(text []byte, prepare func(map[string]any)) (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	if _, hasWebhooks := doc.Extensions["x-webhooks"]; !hasWebhooks && prepare == nil {
		return doc, nil
	}
	written, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	var root map[string]any
	if err := json.Unmarshal(written, &root); err != nil {
		return nil, err
	}
	nameWebhooks(root)
	if prepare != nil {
		prepare(root)
	}
	if written, err = json.Marshal(root); err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(written)
}

// nameWebhooks adds the bodies under x-webhooks to the schemas.
func nameWebhooks(root map[string]any) {
	webhooks := object(root["x-webhooks"])
	if len(webhooks) == 0 {
		return
	}
	components := object(root["components"])
	schemas := object(components["schemas"])
	for name, item := range webhooks {
		for _, operation := range object(item) {
			for mediaType, media := range object(object(object(operation)["requestBody"])["content"]) {
				if schema := object(media)["schema"]; schema != nil && isJSON(mediaType) {
					schemas["x-webhook-"+strings.Map(inComponentName, name)] = schema
				}
			}
		}
	}
	components["schemas"] = schemas
	root["components"] = components
	delete(root, "x-webhooks")
}

func inComponentName(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// object returns a JSON object, an empty one if the value is none.
func object(value any) map[string]any {
	members, isObject := value.(map[string]any)
	if !isObject {
		return map[string]any{}
	}
	return members
}

// alwaysSent lists the members that the SDK sends in every request that has them. It leaves out
// other members when they are empty, even if a description requires them.
var alwaysSent = []string{
	"clientId", "clientSecret", "amount", "externalReference", "payer", "payee", "name", "document", "destination", "type", "reason",
	"targetAmount", "ispb", "branch", "account", "accountType",
}

// prepareRequests removes the rules about requests that Compare checks.
func prepareRequests(root map[string]any) {
	eachSchema(root, func(schema map[string]any) {
		if names, isList := schema["required"].([]any); isList {
			schema["required"] = slices.DeleteFunc(names, func(name any) bool {
				text, _ := name.(string)
				return !slices.Contains(alwaysSent, text)
			})
		}
		open(schema)
	})
	eachOperation(root, func(operation map[string]any) {
		declareJSON(object(operation["requestBody"]), "application/json")
	})
	for _, body := range object(object(root["components"])["requestBodies"]) {
		declareJSON(object(body), "application/json")
	}
}

// prepareResponses removes the rules about responses that Compare checks.
func prepareResponses(root map[string]any) {
	eachSchema(root, func(schema map[string]any) {
		delete(schema, "required")
		delete(schema, "enum")
		delete(schema, "const")
		if kind := schema["type"]; kind != nil && strings.HasPrefix(root["openapi"].(string), "3.0") {
			schema["nullable"] = true
		} else if text, isText := kind.(string); isText {
			schema["type"] = []any{text, "null"}
		}
		open(schema)
	})
	eachOperation(root, func(operation map[string]any) {
		responses := object(operation["responses"])
		for _, response := range responses {
			declareJSON(object(response), "application/json", "application/problem+json")
		}
		for _, status := range []string{"200", "201", "202"} {
			for _, other := range []string{"200", "201", "202", "203", "2XX", "default"} {
				if responses[status] == nil && responses[other] != nil {
					responses[status] = responses[other]
				}
			}
		}
		if responses["default"] == nil {
			responses["default"] = map[string]any{"description": "Compare says which statuses are declared."}
		}
	})
	for _, response := range object(object(root["components"])["responses"]) {
		declareJSON(object(response), "application/json", "application/problem+json")
	}
}

// open allows other members in an object, and several matches of a choice.
func open(schema map[string]any) {
	if schema["additionalProperties"] == false {
		delete(schema, "additionalProperties")
	}
	delete(schema, "unevaluatedProperties")
	delete(schema, "discriminator")
	if choice, found := schema["oneOf"]; found && schema["anyOf"] == nil {
		schema["anyOf"] = choice
		delete(schema, "oneOf")
	}
}

// declareJSON declares the JSON of a body under more media types, and removes its headers.
func declareJSON(body map[string]any, mediaTypes ...string) {
	delete(body, "headers")
	content := object(body["content"])
	for mediaType, media := range content {
		if !isJSON(mediaType) {
			continue
		}
		for _, name := range mediaTypes {
			if content[name] == nil {
				content[name] = media
			}
		}
		break
	}
}

// eachOperation visits the operations under paths.
func eachOperation(root map[string]any, visit func(map[string]any)) {
	for _, item := range object(root["paths"]) {
		for name, operation := range object(item) {
			if name != "parameters" && object(operation)["responses"] != nil {
				visit(object(operation))
			}
		}
	}
}

// eachSchema visits the schemas of bodies, but not those of parameters.
func eachSchema(root map[string]any, visit func(map[string]any)) {
	var schema func(value any)
	all := func(value any) {
		for _, member := range object(value) {
			schema(member)
		}
	}
	schema = func(value any) {
		members := object(value)
		if len(members) == 0 {
			return
		}
		for _, name := range []string{"properties", "patternProperties", "$defs"} {
			all(members[name])
		}
		for _, name := range []string{"allOf", "oneOf", "anyOf"} {
			list, _ := members[name].([]any)
			for _, part := range list {
				schema(part)
			}
		}
		for _, name := range []string{"items", "additionalProperties", "not", "if", "then", "else"} {
			schema(members[name])
		}
		visit(members)
	}
	var body func(name string, value any)
	body = func(name string, value any) {
		switch members := value.(type) {
		case []any:
			for _, element := range members {
				body("", element)
			}
		case map[string]any:
			for name, member := range members {
				switch name {
				case "schema":
					schema(member)
				case "parameters", "headers", "example", "examples":
				case "schemas":
					all(member)
				default:
					body(name, member)
				}
			}
		}
	}
	body("", root)
}
