package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// oasdiff builds the release of testdata/oasdiff. It is run, and not imported: its go.mod would
// raise kin-openapi above that of the SDK.
func oasdiff(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "oasdiff")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	_, err := output(t.Context(), filepath.Join("testdata", "oasdiff"), "go", "build", "-trimpath", "-o", program, "github.com/oasdiff/oasdiff")
	require.NoError(t, err)
	return program
}

// byOasdiff is the level of the changes that oasdiff finds: what may break does.
func byOasdiff(t *testing.T, program string, older, newer []byte) (contract.Level, string) {
	t.Helper()
	directory := t.TempDir()
	paths := []string{filepath.Join(directory, "older.json"), filepath.Join(directory, "newer.json")}
	for i, text := range [][]byte{older, newer} {
		require.NoError(t, os.WriteFile(paths[i], text, 0o600))
	}
	printed, err := output(t.Context(), directory, program, "changelog", "--format", "json", paths[0], paths[1])
	require.NoError(t, err)
	var found []struct{ Level int }
	require.NoError(t, json.Unmarshal([]byte(printed), &found), printed)
	l := contract.Nothing
	for _, one := range found {
		if one.Level > 1 { // 1 informs, 2 warns, 3 is an error
			return contract.Breaking, printed
		}
		l = contract.Additive
	}
	return l, printed
}

// understood is what the project reads in a description.
func understood(t *testing.T, text []byte) *contract.API {
	t.Helper()
	d, err := read(text)
	require.NoError(t, err)
	api, err := d.api()
	require.NoError(t, err)
	return api
}

// replaceReferences lets what refers to one schema refer to another.
func replaceReferences(value any, from, to string) {
	switch value := value.(type) {
	case object:
		for name, member := range value {
			if name == "$ref" && member == from {
				value[name] = to
			}
			replaceReferences(member, from, to)
		}
	case []any:
		for _, element := range value {
			replaceReferences(element, from, to)
		}
	}
}

// Whether a change breaks is judged twice, by rules of this project and by oasdiff's. Where they
// differ there is a reason. What does not break is compared with nothing but breaking.
func TestVerdictsAgreeWithOasdiffsWhereBothJudge(t *testing.T) {
	const (
		nothing, otherwise = contract.Nothing, contract.Otherwise
		additive, breaking = contract.Additive, contract.Breaking
	)
	const (
		uncompared = "oasdiff does not compare it"
		notSent    = "the SDK sends neither null nor this parameter"
		notNeeded  = "the SDK depends neither on a member being there nor on its being no null"
		saidLess   = "a format that is said no more may still be kept, and the SDK reads what differs from it as empty"
		takesAny   = "the enums of the SDK take every value"
		anyStatus  = "the SDK takes any 2xx"
		anyMedia   = "the SDK reads a problem by its members, whatever its media type"
		noHeader   = "the SDK depends on no header of a response"
		emptied    = "a field of the SDK would always be empty, whether the member was required or not"
		silently   = "who leaves it out gets something else than before, without being told"
		asBefore   = "each member is where it was, and the others are new"
	)
	get := func(root object, path string) object { return at(t, root, "paths", path, "get") }
	post := func(root object, path string) object { return at(t, root, "paths", path, "post") }
	schema := func(root object, name string) object { return at(t, root, "components", "schemas", name) }
	members := func(root object, name string) object { return at(t, schema(root, name), "properties") }
	responses := func(root object) object { return at(t, post(root, "/cash-in"), "responses") }
	set := func(name, member, keyword string, value any) func(object) {
		return func(root object) { at(t, members(root, name), member)[keyword] = value }
	}
	unset := func(name, member, keyword string) func(object) {
		return func(root object) { delete(at(t, members(root, name), member), keyword) }
	}
	needs := func(name string, names ...any) func(object) {
		return func(root object) { schema(root, name)["required"] = names }
	}
	add := func(name, member string, value object) func(object) {
		return func(root object) { members(root, name)[member] = value }
	}
	drop := func(name, member string) func(object) {
		return func(root object) { delete(members(root, name), member) }
	}
	values := func(name string, values ...any) func(object) {
		return func(root object) { schema(root, name)["enum"] = values }
	}
	both := func(changes ...func(object)) func(object) {
		return func(root object) {
			for _, change := range changes {
				change(root)
			}
		}
	}
	parameter := func(name, in string, required bool) func(object) {
		return func(root object) {
			balance := get(root, "/account/balance")
			balance["parameters"] = append(balance["parameters"].([]any),
				object{"name": name, "in": in, "required": required, "schema": object{"type": "string"}})
		}
	}
	date := func(keyword string, value any) func(object) {
		return func(root object) {
			get(root, "/account/balance")["parameters"].([]any)[1].(object)[keyword] = value
		}
	}
	id := func(keyword string, value any) func(object) {
		return func(root object) { get(root, "/cash-in/{id}")["parameters"].([]any)[1].(object)[keyword] = value }
	}
	ping := func(root object) {
		at(t, root, "paths")["/ping"] = object{"get": object{"responses": object{"204": object{"description": "ok"}}}}
	}
	header := func(root object) {
		at(t, responses(root), "201")["headers"] = object{"X-Trace": object{"schema": object{"type": "string"}}}
	}
	production := func(root object) { root["servers"].([]any)[1].(object)["url"] = "https://api.example.com" }
	secured := func(root object) {
		at(t, root, "components", "securitySchemes")["certificate"] = object{"type": "mutualTLS"}
		root["openapi"] = "3.1.0"
		root["security"] = []any{object{"bearerAuth": []any{}, "certificate": []any{}}}
	}
	modern := func(root object) { root["openapi"] = "3.1.0" }
	webhook := func(root object) {
		modern(root)
		content := object{"application/json": object{"schema": object{"$ref": "#/components/schemas/LostEvent"}}}
		root["webhooks"] = object{"lost": object{"post": object{
			"requestBody": object{"content": content},
			"responses":   object{"200": object{"description": "taken"}},
		}}}
	}
	lost := func(root object) {
		at(t, root, "components", "schemas")["LostEvent"] = object{"type": "object", "properties": object{"eventType": object{"type": "string"}}}
	}
	const jsonType = "application/json"
	list := object{"type": "array", "items": object{"type": "string"}}

	program, same := oasdiff(t), reshape(t, nil)
	kept := understood(t, same)
	for _, test := range []struct {
		name           string
		change         func(object)
		ours, oasdiffs contract.Level
		reason         string
		told           []string     // all of it is in our report
		from           func(object) // what the older description differs in from the current one, nil in nothing
	}{
		{name: "an operation is gone", change: func(root object) { delete(at(t, root, "paths"), "/cash-out/{id}") }, ours: breaking, oasdiffs: breaking},
		{name: "an operation is new", change: ping, ours: additive, oasdiffs: additive},
		{name: "an operation says the same of itself in other words", change: func(root object) { get(root, "/account/balance")["description"] = "Another text." }, ours: otherwise, oasdiffs: nothing},
		{name: "an operation has another id", change: func(root object) { post(root, "/cash-in")["operationId"] = "charge" }, ours: nothing, oasdiffs: additive},
		{name: "an operation that the SDK lacks has another id", change: func(root object) { get(root, "/ping")["operationId"] = "pong" }, ours: otherwise, oasdiffs: additive, from: ping},
		{name: "an operation has another tag", change: func(root object) { post(root, "/cash-in")["tags"] = []any{"Charges"} }, ours: otherwise, oasdiffs: additive},
		{name: "an operation is deprecated", change: func(root object) { post(root, "/cash-in")["deprecated"] = true }, ours: otherwise, oasdiffs: additive},
		{name: "an operation has a server of its own", change: func(root object) {
			post(root, "/cash-in")["servers"] = []any{object{"url": "https://elsewhere.example.com"}}
		}, ours: breaking, oasdiffs: nothing, reason: uncompared},
		{name: "an operation has a callback", change: func(root object) {
			post(root, "/cash-in")["callbacks"] = object{"paid": object{"{$request.body#/webhookUrl}": object{"post": object{"responses": object{"200": object{"description": "ok"}}}}}}
		}, ours: otherwise, oasdiffs: nothing},
		{name: "the parameter of a path has another name", change: func(root object) {
			id("name", "charge")(root)
			paths := at(t, root, "paths")
			paths["/cash-in/{charge}"] = paths["/cash-in/{id}"]
			delete(paths, "/cash-in/{id}")
		}, ours: nothing, oasdiffs: nothing},
		{name: "the parameter of a path is of another type", change: id("schema", object{"type": "integer"}), ours: breaking, oasdiffs: breaking},
		{name: "the parameter of a path has a pattern", change: id("schema", object{"type": "string", "pattern": "^E"}), ours: breaking, oasdiffs: breaking},
		{name: "a query parameter is new", change: parameter("bank", "query", false), ours: additive, oasdiffs: additive},
		{name: "a required query parameter is new", change: parameter("bank", "query", true), ours: breaking, oasdiffs: breaking},
		{name: "a query parameter is gone", change: func(root object) {
			balance := get(root, "/account/balance")
			balance["parameters"] = balance["parameters"].([]any)[:1]
		}, ours: otherwise, oasdiffs: breaking, reason: notSent},
		{name: "a query parameter is required", change: date("required", true), ours: breaking, oasdiffs: breaking},
		{name: "a query parameter is of another type", change: date("schema", object{"type": "integer"}), ours: breaking, oasdiffs: breaking},
		{name: "a query parameter is written in another way", change: date("explode", false), ours: breaking, oasdiffs: nothing, reason: uncompared, from: date("schema", list)},
		{name: "a header is new", change: parameter("X-Tenant", "header", false), ours: additive, oasdiffs: additive},
		{name: "a required header is new", change: parameter("X-Tenant", "header", true), ours: breaking, oasdiffs: breaking},
		{name: "a member of a request is new", change: add("CashOutRequest", "purpose", object{"type": "string"}), ours: additive, oasdiffs: additive},
		{name: "a required member of a request is new", change: both(add("RefundRequest", "purpose", object{"type": "string"}), needs("RefundRequest", "reason", "purpose")), ours: breaking, oasdiffs: breaking},
		{name: "a member of a request is gone", change: drop("CashOutRequest", "description"), ours: breaking, oasdiffs: breaking},
		{name: "a member of a request becomes required", change: needs("RefundRequest", "reason", "description"), ours: breaking, oasdiffs: breaking},
		{name: "a member of a request becomes optional", change: needs("CashOutRequest", "amount", "payee"), ours: otherwise, oasdiffs: additive},
		{name: "a number of a request is an integer", change: set("CashOutRequest", "amount", "type", "integer"), ours: breaking, oasdiffs: breaking},
		{name: "an integer of a request is a number", change: set("CashInRequest", "expirationInMinutes", "type", "number"), ours: otherwise, oasdiffs: additive},
		{name: "a number of a request is a text", change: set("RebalanceRequest", "targetAmount", "type", "string"), ours: breaking, oasdiffs: breaking},
		{name: "a value of a request is new", change: values("DestinationType", "PIX", "BANK_ACCOUNT", "WALLET"), ours: additive, oasdiffs: breaking, reason: takesAny},
		{name: "a value of a request is gone", change: values("DestinationType", "PIX"), ours: breaking, oasdiffs: breaking},
		{name: "a text of a request takes some values only", change: set("RefundRequest", "description", "enum", []any{"A", "B"}), ours: breaking, oasdiffs: breaking},
		{name: "a text of a request takes all values", change: func(root object) { delete(schema(root, "DestinationType"), "enum") }, ours: additive, oasdiffs: breaking, reason: takesAny},
		{name: "a minimum of a request is raised", change: set("CashOutRequest", "amount", "minimum", 1), ours: breaking, oasdiffs: breaking},
		{name: "a minimum of a request is lowered", change: set("CashInRequest", "expirationInMinutes", "minimum", 0), ours: otherwise, oasdiffs: additive},
		{name: "a minimum of a request is new", change: set("RebalanceRequest", "targetAmount", "minimum", 1), ours: breaking, oasdiffs: breaking, from: unset("RebalanceRequest", "targetAmount", "minimum")},
		{name: "a minimum of a request is gone", change: unset("CashOutRequest", "amount", "minimum"), ours: otherwise, oasdiffs: additive},
		{name: "a text of a request has a longest", change: set("CashOutRequest", "description", "maxLength", 10), ours: breaking, oasdiffs: breaking},
		{name: "a text of a request has a pattern", change: set("CashOutRequest", "description", "pattern", "^[a-z]+$"), ours: breaking, oasdiffs: breaking},
		{name: "a text of a request has another pattern", change: set("BankAccount", "ispb", "pattern", "^[0-9]{9}$"), ours: breaking, oasdiffs: breaking},
		{name: "a text of a request has a format", change: set("CashOutRequest", "description", "format", "uuid"), ours: breaking, oasdiffs: breaking},
		{name: "a number of a request has steps", change: set("CashOutRequest", "amount", "multipleOf", 0.05), ours: breaking, oasdiffs: breaking},
		{name: "a default of a request is another", change: set("CashInRequest", "expirationInMinutes", "default", 60), ours: breaking, oasdiffs: additive, reason: silently},
		{name: "a default of a request is new", change: set("CashOutRequest", "description", "default", "PIX"), ours: otherwise, oasdiffs: additive},
		{name: "a default of a request is gone", change: unset("CashInRequest", "expirationInMinutes", "default"), ours: breaking, oasdiffs: additive, reason: silently},
		{name: "a member of a request may be null", change: set("CashOutRequest", "description", "nullable", true), ours: otherwise, oasdiffs: additive},
		{name: "a member of a request may be null no more", change: unset("CashOutRequest", "description", "nullable"), ours: otherwise, oasdiffs: breaking, reason: notSent, from: set("CashOutRequest", "description", "nullable", true)},
		{name: "a request takes no other members", change: func(root object) { schema(root, "CashOutRequest")["additionalProperties"] = false }, ours: otherwise, oasdiffs: nothing},
		{name: "a request is read in another format", change: func(root object) {
			content := at(t, post(root, "/cash-out"), "requestBody", "content")
			content["application/vnd.pix+json"] = content[jsonType]
			delete(content, jsonType)
		}, ours: breaking, oasdiffs: nothing, reason: uncompared},
		{name: "a request is optional", change: func(root object) { post(root, "/cash-out")["requestBody"].(object)["required"] = false }, ours: otherwise, oasdiffs: additive},
		{name: "a request becomes required", change: func(root object) { post(root, "/cash-out")["requestBody"].(object)["required"] = true }, ours: breaking, oasdiffs: breaking, from: func(root object) { post(root, "/cash-out")["requestBody"].(object)["required"] = false }},
		{name: "a member of a response is new", change: add("CashIn", "payerBank", object{"type": "string"}), ours: additive, oasdiffs: additive},
		{name: "an optional member of a response is gone", change: drop("CashIn", "paymentUrl"), ours: breaking, oasdiffs: additive, reason: emptied},
		{name: "a required member of a response is gone", change: both(drop("Rebalance", "success"), needs("Rebalance", "message")), ours: breaking, oasdiffs: breaking},
		{name: "a member of a response becomes optional", change: needs("CashIn", "transactionId"), ours: otherwise, oasdiffs: breaking, reason: notNeeded},
		{name: "a member of a response becomes required", change: needs("Rebalance", "success", "message"), ours: otherwise, oasdiffs: additive},
		{name: "a number of a response is a text", change: set("CashIn", "amount", "type", "string"), ours: breaking, oasdiffs: breaking},
		{name: "an integer of a response is a number", change: set("Problem", "status", "type", "number"), ours: breaking, oasdiffs: breaking},
		{
			name: "a number of a response is an integer", change: set("CashIn", "amount", "type", "integer"), ours: breaking, oasdiffs: additive,
			reason: "it may count centavos",
		},
		{name: "a value of a response is new", change: values("CashOutStatus", "PROCESSING", "COMPLETED", "FAILED", "REFUNDED", "CANCELLED", "ON_HOLD"), ours: additive, oasdiffs: breaking, reason: takesAny},
		{name: "a value of a response is gone", change: values("CashOutStatus", "PROCESSING", "COMPLETED", "FAILED", "REFUNDED"), ours: otherwise, oasdiffs: additive},
		{name: "a text of a response may be anything", change: func(root object) { delete(schema(root, "CashOutStatus"), "enum") }, ours: additive, oasdiffs: breaking, reason: takesAny},
		{name: "a text of a response is one of some values", change: set("Balance", "currency", "enum", []any{"BRL"}), ours: otherwise, oasdiffs: additive},
		{name: "a member of a response may be null", change: set("CashIn", "internalCode", "nullable", true), ours: otherwise, oasdiffs: breaking, reason: notNeeded},
		{name: "a text of a response has lost its format", change: unset("CashOut", "transactionId", "format"), ours: otherwise, oasdiffs: breaking, reason: saidLess},
		{name: "a time of a response is a date", change: set("CashIn", "paidAt", "format", "date"), ours: breaking, oasdiffs: breaking},
		{name: "a time of a response is any text", change: unset("CashIn", "paidAt", "format"), ours: otherwise, oasdiffs: breaking, reason: saidLess},
		{name: "a member is described in other words", change: set("CashIn", "amount", "description", "Another text."), ours: otherwise, oasdiffs: nothing},
		{name: "a member is deprecated", change: set("CashIn", "paymentUrl", "deprecated", true), ours: otherwise, oasdiffs: additive},
		{name: "a member of a response is inside of another", change: func(root object) {
			amount := members(root, "CashIn")["amount"]
			add("CashIn", "value", object{"type": "object", "properties": object{"amount": amount}})(root)
			drop("CashIn", "amount")(root)
			needs("CashIn", "transactionId")(root)
		}, ours: breaking, oasdiffs: breaking},
		{name: "a response is wrapped", change: func(root object) {
			at(t, get(root, "/account/balance"), "responses", "200", "content", jsonType)["schema"] = object{"type": "object", "properties": object{"data": object{"$ref": "#/components/schemas/Balance"}}}
		}, ours: breaking, oasdiffs: breaking},
		{name: "a success has another status", change: func(root object) {
			responses(root)["200"] = responses(root)["201"]
			delete(responses(root), "201")
		}, ours: additive, oasdiffs: breaking, reason: anyStatus},
		{name: "a success has one more status", change: func(root object) { responses(root)["200"] = responses(root)["201"] }, ours: additive, oasdiffs: additive},
		{name: "a refusal is gone", change: func(root object) { delete(responses(root), "409") }, ours: otherwise, oasdiffs: additive},
		{name: "a refusal is new", change: func(root object) {
			at(t, get(root, "/account/balance"), "responses")["422"] = object{"$ref": "#/components/responses/Conflict"}
		}, ours: otherwise, oasdiffs: additive},
		{name: "a problem has another media type", change: func(root object) {
			content := at(t, root, "components", "responses", "Conflict", "content")
			content[jsonType] = content["application/problem+json"]
			delete(content, "application/problem+json")
		}, ours: additive, oasdiffs: breaking, reason: anyMedia},
		{name: "a header of a response is new", change: header, ours: additive, oasdiffs: additive},
		{name: "a header of a response is gone", change: func(root object) { delete(at(t, responses(root), "201"), "headers") }, ours: otherwise, oasdiffs: additive, from: header},
		{name: "a header of a response is required, and is no more", change: func(root object) { delete(at(t, responses(root), "201"), "headers") }, ours: otherwise, oasdiffs: breaking, reason: noHeader, from: func(root object) {
			header(root)
			at(t, responses(root), "201", "headers", "X-Trace")["required"] = true
		}},
		{name: "a scheme of security is new", change: secured, ours: breaking, oasdiffs: breaking, from: modern},
		{name: "an operation needs no token", change: func(root object) { get(root, "/account/balance")["security"] = []any{} }, ours: additive, oasdiffs: additive},
		{name: "an operation needs a token", change: func(root object) { delete(post(root, "/auth/token"), "security") }, ours: breaking, oasdiffs: breaking},
		{name: "security is another", change: func(root object) {
			at(t, root, "components", "securitySchemes")["bearerAuth"] = object{"type": "http", "scheme": "basic"}
		}, ours: breaking, oasdiffs: breaking},
		{name: "production is elsewhere", change: production, ours: breaking, oasdiffs: nothing, reason: uncompared, told: []string{"the server https://api.connectpsp.com is gone"}},
		{name: "production is elsewhere, and wants another scheme", change: both(production, secured), ours: breaking, oasdiffs: breaking, told: []string{"the server https://api.connectpsp.com is gone", "it is secured by http bearer with mutualTLS"}, from: modern},
		{name: "a schema has another name", change: func(root object) {
			schemas := at(t, root, "components", "schemas")
			schemas["Charge"] = schemas["CashIn"]
			delete(schemas, "CashIn")
			replaceReferences(root, "#/components/schemas/CashIn", "#/components/schemas/Charge")
		}, ours: nothing, oasdiffs: additive},
		{name: "a schema is written where it is used", change: func(root object) { members(root, "CashIn")["status"] = schema(root, "CashInStatus") }, ours: nothing, oasdiffs: nothing},
		{name: "a member of a request is one of two", change: func(root object) {
			members(root, "Payee")["destination"] = object{"oneOf": []any{object{"$ref": "#/components/schemas/Destination"}, object{"$ref": "#/components/schemas/BankAccount"}}}
		}, ours: additive, oasdiffs: breaking, reason: asBefore},
		{name: "a member of a response is one of one", change: func(root object) {
			members(root, "CashIn")["payer"] = object{"oneOf": []any{object{"$ref": "#/components/schemas/Payer"}}}
		}, ours: nothing, oasdiffs: breaking, reason: asBefore},
		{name: "a webhook is new", change: webhook, ours: additive, oasdiffs: additive, from: func(root object) {
			modern(root)
			lost(root)
		}},
		{name: "a webhook is gone", change: func(root object) { delete(root, "webhooks") }, ours: breaking, oasdiffs: breaking, from: func(root object) {
			webhook(root)
			lost(root)
		}},
		{name: "an event is gone", change: values("CashInEventType", "CASHIN_PAID"), ours: breaking, oasdiffs: nothing, reason: uncompared},
		{name: "an event is new", change: values("CashInEventType", "CASHIN_PAID", "CASHIN_REFUNDED", "CASHIN_EXPIRED"), ours: additive, oasdiffs: nothing},
		{name: "a member of an event is new", change: add("CashOutEvent", "sequence", object{"type": "integer"}), ours: additive, oasdiffs: nothing},
		{name: "the title is another", change: func(root object) { at(t, root, "info")["title"] = "PIX" }, ours: otherwise, oasdiffs: nothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			older, before, change := same, kept, test.change
			if test.from != nil {
				older, change = reshape(t, test.from), both(test.from, test.change)
				before = understood(t, older)
			}
			newer := reshape(t, change)
			report := contract.Changes(before, understood(t, newer))
			theirs, printed := byOasdiff(t, program, older, newer)
			assert.Equal(t, test.ours, report.Level(), report.String())
			assert.Equal(t, test.oasdiffs, theirs, printed)
			differ := (test.ours == breaking) != (test.oasdiffs == breaking)
			assert.Equal(t, differ, test.reason != "", "a reason is for where the two differ")
			for _, text := range test.told {
				assert.Contains(t, report.String(), text)
			}
		})
	}
}
