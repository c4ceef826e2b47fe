package main

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// names are those of the schemas that the SDK's code is written against, each with the places in the description where it is:
// an operation's request or answer, the payload of an event, or a member of another of them. A description may call them
// otherwise, or write them out where they are used. That means the same, and only the names of generated types depend on it.
var names = []struct {
	name   string
	places []string
}{
	{"CashInEvent", []string{"event CASHIN_PAID"}},
	{"CashOutEvent", []string{"event CASHOUT_COMPLETED"}},
	{"TokenRequest", []string{"post /auth/token request"}},
	{"Token", []string{"post /auth/token answer"}},
	{"CashInRequest", []string{"post /cash-in request"}},
	{"CashIn", []string{"get /cash-in/{id} answer", "post /cash-in answer", "CashInEvent.data"}},
	{"RefundRequest", []string{"post /cash-in/{id}/refund request"}},
	{"Refund", []string{"post /cash-in/{id}/refund answer"}},
	{"CashOutRequest", []string{"post /cash-out request"}},
	{"CashOut", []string{"get /cash-out/{id} answer", "post /cash-out answer", "CashOutEvent.data"}},
	{"Balance", []string{"get /account/balance answer"}},
	{"RebalanceRequest", []string{"post /account/rebalance request"}},
	{"Rebalance", []string{"post /account/rebalance answer"}},
	{"Problem", []string{"post /cash-out problem", "post /cash-in problem", "post /auth/token problem"}},

	{"OpenFinance", []string{"CashInRequest.openFinance"}},
	{"CashInStatus", []string{"CashIn.status", "Refund.status"}},
	{"Payer", []string{"CashIn.payer", "CashInRequest.payer"}},
	{"BankData", []string{"Payer.bankData"}},
	{"PixData", []string{"CashIn.pixData"}},
	{"RefundReason", []string{"RefundRequest.reason"}},
	{"Payee", []string{"CashOutRequest.payee", "CashOut.payee"}},
	{"Destination", []string{"Payee.destination"}},
	{"DestinationType", []string{"Destination.type"}},
	{"PixKeyType", []string{"Destination.pixKeyType"}},
	{"BankAccount", []string{"Destination.bankAccount"}},
	{"CashOutStatus", []string{"CashOut.status"}},
	{"Failure", []string{"CashOut.failure"}},
	{"ConsolidatedBalance", []string{"Balance.consolidated"}},
	{"BankBalance", []string{"Balance.banks[]"}},
	{"BankAccounts", []string{"BankBalance.accounts"}},
	{"AccountBalance", []string{"BankAccounts.transactional", "BankAccounts.proprietary"}},
	{"CashInEventType", []string{"CashInEvent.eventType"}},
	{"CashOutEventType", []string{"CashOutEvent.eventType"}},
}

// nameSchemas gives the schemas the names that the SDK's code knows, where they have others or none.
func (d *document) nameSchemas() {
	ours := map[string]bool{}
	for _, wanted := range names {
		ours[wanted.name] = true
	}
	for _, wanted := range names {
		for _, place := range wanted.places {
			if node := d.locate(place); node != nil {
				d.give(node, wanted.name, ours)
			}
		}
	}
}

// advice says what to put into the overlay for schemas that are one type to the SDK and two in the description, or that it lacks.
// It is empty if there are none.
func (d *document) advice() string {
	var text strings.Builder
	for _, wanted := range names {
		if get(d.schemas(), wanted.name) == nil {
			fmt.Fprintf(&text, "\n  # nothing was found at: %s\n  - target: $.components.schemas\n    update:\n      %s: %s",
				strings.Join(wanted.places, "; "), wanted.name, cmp.Or(published[wanted.name], "{type: object, properties: {}} # name them"))
			continue
		}
		for _, place := range wanted.places[1:] {
			node := d.locate(place)
			name, isComponent := strings.CutPrefix(referenceOf(node), "#/components/schemas/")
			owner, member, isMember := strings.Cut(place, ".")
			var target string
			switch {
			case node == nil || name == wanted.name || referenceOf(get(d.schemas(), name)) != "":
				continue
			case isComponent:
				target = "$.components.schemas." + name
			case isMember:
				target = fmt.Sprintf("$.components.schemas.%s.properties.%s", owner, member)
			default:
				continue // a type that nothing refers to
			}
			fmt.Fprintf(&text, "\n  # %s is another schema than %s at: %s\n  - target: %s\n    update: {x-go-type: %s}",
				place, wanted.name, wanted.places[0], target, goName(wanted.name))
		}
	}
	if text.Len() == 0 {
		return ""
	}
	return "\nThis may be why. If it is, add to the actions in openapi/overlay.yaml:" + text.String()
}

// published are schemas that a description may well leave out, as the provider's guide on webhooks has them.
var published = map[string]string{
	"CashInEvent": "{type: object, properties: {eventType: {$ref: '#/components/schemas/CashInEventType'}, " +
		"eventAt: {type: string, format: date-time}, data: {$ref: '#/components/schemas/CashIn'}}}",
	"CashOutEvent": "{type: object, properties: {eventType: {$ref: '#/components/schemas/CashOutEventType'}, " +
		"eventAt: {type: string, format: date-time}, data: {$ref: '#/components/schemas/CashOut'}}}",
	"CashInEventType":  "{type: string, enum: [CASHIN_PAID, CASHIN_REFUNDED]}",
	"CashOutEventType": "{type: string, enum: [CASHOUT_COMPLETED, CASHOUT_FAILED, CASHOUT_REFUNDED]}",
}

// goName writes the name of a schema as the generator does.
func goName(name string) string { return strings.Replace(name, "Pix", "PIX", 1) }

// give gives the schema at a place a name.
func (d *document) give(node *yaml.Node, name string, ours map[string]bool) {
	schemas := d.schemas()
	taken := get(schemas, name)
	current, isComponent := strings.CutPrefix(referenceOf(node), "#/components/schemas/")
	switch {
	case isComponent && (current == name || taken != nil):
	case isComponent && !ours[current]:
		d.rename(current, name)
	case isComponent: // one schema stands for two of ours
		add(schemas, name, reference(current))
	case taken != nil && same(taken, node):
		*node = *reference(name)
	case taken == nil:
		moved := *node
		add(schemas, name, &moved)
		*node = *reference(name)
	}
}

// rename gives a component another name, wherever it is referred to.
func (d *document) rename(from, to string) {
	schemas := d.schemas()
	schemas.Content[indexOf(schemas, from)].Value = to
	walk(d.root, func(node *yaml.Node) {
		if referenceOf(node) == "#/components/schemas/"+from {
			get(node, "$ref").Value = "#/components/schemas/" + to
		}
	})
}

// schemas returns the components' schemas, which there are then.
func (d *document) schemas() *yaml.Node {
	node := d.root
	for _, name := range []string{"components", "schemas"} {
		if get(node, name) == nil {
			add(node, name, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
		}
		node = get(node, name)
	}
	return node
}

func add(mapping *yaml.Node, name string, value *yaml.Node) {
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, value)
}

func reference(name string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	add(node, "$ref", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "#/components/schemas/" + name})
	return node
}

func same(one, other *yaml.Node) bool {
	var first, second any
	return one.Decode(&first) == nil && other.Decode(&second) == nil && reflect.DeepEqual(first, second)
}

// locate finds the schema at a place, as it is written there: a reference, or the schema itself.
func (d *document) locate(place string) *yaml.Node {
	if eventType, ok := strings.CutPrefix(place, "event "); ok {
		return d.event(eventType)
	}
	parts := strings.Fields(place)
	if len(parts) == 3 {
		operation := d.deref(get(d.root, "paths", parts[1], parts[0]))
		switch parts[2] {
		case "request":
			return schemaOf(d.deref(get(operation, "requestBody")))
		case "answer":
			return d.answer(operation, "2")
		default:
			return d.answer(operation, "4")
		}
	}
	name, member, _ := strings.Cut(place, ".")
	member, items := strings.CutSuffix(member, "[]")
	node := d.property(get(d.schemas(), name), member)
	if items {
		node = get(d.deref(node), "items")
	}
	return node
}

// property finds a member of a schema, also where the schema is put together of several.
func (d *document) property(schema *yaml.Node, member string) *yaml.Node {
	schema = d.deref(schema)
	if found := get(schema, "properties", member); found != nil {
		return d.unwrap(found)
	}
	for _, of := range []string{"allOf", "oneOf", "anyOf"} {
		if parts := get(schema, of); parts != nil {
			for _, part := range parts.Content {
				if found := d.property(part, member); found != nil {
					return found
				}
			}
		}
	}
	return nil
}

// unwrap returns the schema that a member has if it is not null: allOf, anyOf or oneOf of it and little else.
func (d *document) unwrap(node *yaml.Node) *yaml.Node {
	for _, of := range []string{"allOf", "anyOf", "oneOf"} {
		parts := get(node, of)
		if parts == nil || get(node, "properties") != nil {
			continue
		}
		var real []*yaml.Node
		for _, part := range parts.Content {
			if scalar(part, "type") != "null" {
				real = append(real, part)
			}
		}
		if len(real) == 1 {
			return real[0]
		}
	}
	return node
}

// answer finds the schema of the first answer whose status begins with a digit. Problems may be the default.
func (d *document) answer(operation *yaml.Node, class string) *yaml.Node {
	answers := get(operation, "responses")
	for _, status := range keys(answers) { // digits come before letters
		if strings.HasPrefix(status, class) || class == "4" && status == "default" {
			if schema := schemaOf(d.deref(get(answers, status))); schema != nil {
				return schema
			}
		}
	}
	return nil
}

// schemaOf returns the schema of the JSON in a body. Some generators of descriptions call it */*.
func schemaOf(body *yaml.Node) *yaml.Node {
	content := get(body, "content")
	for _, mediaType := range keys(content) {
		if strings.Contains(mediaType, "json") || mediaType == "*/*" {
			return get(content, mediaType, "schema")
		}
	}
	return nil
}

// event finds the payload of an event: in webhooks or callbacks, or the component whose eventType may be it.
func (d *document) event(eventType string) *yaml.Node {
	var candidates []*yaml.Node
	for _, place := range []string{"webhooks", "x-webhooks"} {
		webhooks := get(d.root, place)
		for _, name := range keys(webhooks) {
			candidates = append(candidates, schemaOf(d.deref(get(d.deref(get(webhooks, name)), "post", "requestBody"))))
		}
	}
	for _, path := range keys(get(d.root, "paths")) {
		callbacks := get(d.root, "paths", path, "post", "callbacks")
		for _, name := range keys(callbacks) {
			callback := d.deref(get(callbacks, name))
			for _, expression := range keys(callback) {
				candidates = append(candidates, schemaOf(d.deref(get(callback, expression, "post", "requestBody"))))
			}
		}
	}
	for _, name := range keys(d.schemas()) {
		candidates = append(candidates, reference(name))
	}
	for _, candidate := range candidates {
		if candidate != nil && d.tells(candidate, eventType) {
			return candidate
		}
	}
	return nil
}

// tells reports whether a schema is that of an event of a type.
func (d *document) tells(schema *yaml.Node, eventType string) bool {
	member := d.deref(d.property(schema, "eventType"))
	if member == nil || d.property(schema, "data") == nil {
		return false
	}
	if scalar(member, "const") == eventType {
		return true
	}
	values := get(member, "enum")
	return values != nil && slices.ContainsFunc(values.Content, func(value *yaml.Node) bool { return value.Value == eventType })
}
