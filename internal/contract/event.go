package contract

import (
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// event is the body of a webhook. A description may have it under webhooks, x-webhooks or
// callbacks, or as a schema without references to it.
type event struct {
	schema *openapi3.SchemaRef
	types  []string // its event types; the name of the webhook if it has none of this API
}

// kinds are the kinds of transactions, each with a member of data that the other kind lacks.
var kinds = []struct {
	about, owner string
	types        []string
}{
	{"cash-in", "payer", []string{"CASHIN_PAID", "CASHIN_REFUNDED"}},
	{"cash-out", "payee", []string{"CASHOUT_COMPLETED", "CASHOUT_FAILED", "CASHOUT_REFUNDED"}},
}

// aboutOf returns the kind of an event's transaction, also for a type that is not published.
func aboutOf(eventType string) string {
	if strings.HasPrefix(eventType, "CASHOUT_") {
		return "cash-out"
	}
	return "cash-in"
}

func findEvents(doc *openapi3.T, bodies *flattener) []event {
	var events []event
	add := func(name string, schema *openapi3.SchemaRef) {
		for _, one := range choices(schema) {
			types := typesOfEvent(bodies.flatten(one))
			if len(types) == 0 && name != "" {
				types = []string{"webhook " + name}
			}
			if len(types) > 0 {
				events = append(events, event{one, types})
			}
		}
	}
	addItem := func(name string, item *openapi3.PathItem) {
		for _, operation := range item.Operations() {
			if operation.RequestBody != nil && operation.RequestBody.Value != nil {
				if schema := jsonOf(operation.RequestBody.Value.Content); schema != nil {
					add(name, schema)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Webhooks)) {
		addItem(name, doc.Webhooks[name])
	}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		for _, operation := range doc.Paths.Value(path).Operations() {
			for _, name := range slices.Sorted(maps.Keys(operation.Callbacks)) {
				for _, item := range operation.Callbacks[name].Value.Map() {
					addItem(name, item)
				}
			}
		}
	}
	if doc.Components != nil {
		for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
			if schema := doc.Components.Schemas[name]; isEvent(schema) {
				add("", schema)
			}
		}
	}
	return events
}

// isEvent reports whether a schema looks like the body of a webhook, without flattening it: schemas
// that no operation uses may be anything.
func isEvent(schema *openapi3.SchemaRef) bool {
	_, hasType := memberOf(schema, "eventType", maxDepth)
	_, hasData := memberOf(schema, "data", maxDepth)
	return hasType && hasData
}

// memberOf returns a member of a schema or of its parts.
func memberOf(schema *openapi3.SchemaRef, name string, depth int) (*openapi3.SchemaRef, bool) {
	if schema == nil || schema.Value == nil || depth == 0 {
		return nil, false
	}
	if found := schema.Value.Properties[name]; found != nil {
		return found, true
	}
	for _, part := range slices.Concat(schema.Value.AllOf, schema.Value.OneOf, schema.Value.AnyOf) {
		if found, ok := memberOf(part, name, depth-1); ok {
			return found, true
		}
	}
	return nil, false
}

// choices returns the alternative schemas of a value.
func choices(schema *openapi3.SchemaRef) []*openapi3.SchemaRef {
	if schema == nil || schema.Value == nil {
		return nil
	}
	parts := slices.Concat(schema.Value.OneOf, schema.Value.AnyOf)
	if len(parts) == 0 || len(schema.Value.Properties) > 0 {
		return []*openapi3.SchemaRef{schema}
	}
	return slices.DeleteFunc(parts, func(part *openapi3.SchemaRef) bool {
		return part.Value == nil || part.Value.Type.Is(openapi3.TypeNull)
	})
}

// typesOfEvent returns the types of an event by its body. If eventType has no enum, the members of
// data decide.
func typesOfEvent(body Body) []string {
	kind, hasType := body["eventType"]
	_, hasData := body["data"]
	switch {
	case !hasType || !hasData:
		return nil
	case kind.Enum != nil:
		return kind.Enum
	}
	var types []string
	for _, known := range kinds {
		if _, found := body["data."+known.owner]; found {
			types = append(types, known.types...)
		}
	}
	return types
}

// body returns the body of an event of a type. If data is a choice, the kind of the type decides.
func (e event) body(bodies *flattener, eventType string) Body {
	body := bodies.flatten(e.schema)
	data, _ := memberOf(e.schema, "data", maxDepth)
	parts := choices(data)
	if len(parts) < 2 {
		return body
	}
	owner := kinds[0].owner
	if aboutOf(eventType) == kinds[1].about {
		owner = kinds[1].owner
	}
	for _, part := range parts {
		if _, found := memberOf(part, owner, maxDepth); !found {
			continue
		}
		maps.DeleteFunc(body, func(path string, _ Member) bool { return strings.HasPrefix(path, "data.") })
		for path, member := range bodies.flatten(part) {
			if path != "" {
				body["data."+path] = member
			}
		}
		break
	}
	return body
}
