package contract

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// payments is a small description in OpenAPI 3.1. Tests replace parts of it.
const payments = `openapi: 3.1.0
info: {title: Payments, version: 1.0.0, description: About payments.}
servers: [{url: 'https://{region}.example.com/', variables: {region: {default: br}}}]
security: [{token: []}]
paths:
  /payments/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
      - {name: labels, in: query, schema: {type: array, items: {type: string}}}
    post:
      operationId: pay
      tags: [Payments]
      requestBody:
        content:
          application/json: {schema: {$ref: '#/components/schemas/Payment'}}
      responses:
        '201':
          description: Paid.
          headers: {X-Trace: {schema: {type: string}}}
          content:
            application/json: {schema: {$ref: '#/components/schemas/Receipt'}}
        '409':
          description: Paid before.
          content:
            application/problem+json: {schema: {type: object, properties: {code: {type: string}}}}
webhooks:
  paid:
    post:
      requestBody:
        content:
          application/json: {schema: {$ref: '#/components/schemas/Event'}}
      responses: {'200': {description: Taken.}}
components:
  securitySchemes:
    token: {type: http, scheme: bearer}
    key: {type: apiKey, in: header, name: X-Key}
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://example.com/token', scopes: {pay: '', read: ''}}}}
  schemas:
    Payment:
      type: object
      required: [amount]
      properties:
        amount: {type: number}
        note: {type: string}
        extra: {type: object}
    Receipt:
      type: object
      properties:
        id: {type: string}
        paidAt: {type: string, format: date-time}
        state: {type: string, enum: [PAID, FAILED]}
    Event:
      type: object
      properties:
        eventType: {type: string, enum: [CASHIN_PAID]}
        data: {type: object, properties: {amount: {type: number}}}
    Rule: {type: string, maxLength: 5}
`

// changed is the description of payments with parts of it replaced, each of which it has.
func changed(t *testing.T, replacements ...string) *API {
	t.Helper()
	text := payments
	for i := 0; i < len(replacements); i += 2 {
		require.Contains(t, text, replacements[i])
		text = strings.Replace(text, replacements[i], replacements[i+1], 1)
	}
	api, err := Read([]byte(text))
	require.NoError(t, err, text)
	return api
}

func TestChangesAreBreakingAdditiveOrWordsOnly(t *testing.T) {
	for name, test := range map[string]struct {
		from, to string
		level    Level
		says     string
	}{
		"nothing":                        {"", "", Nothing, ""},
		"the version alone":              {"version: 1.0.0", "version: 1.0.1", Nothing, ""},
		"a server gone":                  {"default: br", "default: us", Breaking, "the server https://br.example.com is gone"},
		"a slash at the end of a server": {"example.com/'", "example.com'", Nothing, ""},
		"one more server":                {"servers: [", "servers: [{url: 'https://b.example.com'}, ", Additive, "https://b.example.com is new"},
		"a server of a path":             {"    post:\n      operationId", "    servers: [{url: 'https://c.example.com'}]\n    post:\n      operationId", Breaking, "https://c.example.com"},
		"a server of an operation":       {"operationId: pay", "operationId: pay\n      servers: [{url: 'https://c.example.com'}]", Breaking, "https://c.example.com"},
		"another name in a path":         {"/payments/{id}:\n    parameters:\n      - {name: id", "/payments/{key}:\n    parameters:\n      - {name: key", Otherwise, "gen has other names"},
		"a number in a path":             {"in: path, required: true, schema: {type: string}", "in: path, required: true, schema: {type: integer}", Breaking, "path 1 parameter is of type integer, and was string"},
		"another id":                     {"operationId: pay", "operationId: send", Otherwise, "gen has other names"},
		"one more scheme at once":        {"{token: []}", "{token: [], oauth: [pay]}", Breaking, "secured by http bearer with oauth2 pay, and was by http bearer"},
		"one more scheme to choose":      {"{token: []}", "{token: []}, {oauth: [pay]}", Additive, "http bearer, oauth2 pay"},
		"no token needed":                {"{token: []}", "{token: []}, {}", Additive, "http bearer, nothing"},
		"no security":                    {"operationId: pay", "operationId: pay\n      security: []", Additive, "secured by nothing"},
		"another scheme":                 {"{token: []}", "{oauth: [pay]}", Breaking, "secured by oauth2 pay"},
		"a key besides":                  {"{token: []}", "{token: [], key: []}", Breaking, "the header X-Key parameter is new and required"},
		"a key to choose":                {"{token: []}", "{token: []}, {key: []}", Additive, "header X-Key"},
		"an Authorization by hand":       {"type: http, scheme: bearer", "type: apiKey, in: header, name: Authorization", Nothing, ""},
		"an optional parameter":          {"      - {name: labels", "      - {name: X-Tenant, in: header, schema: {type: string}}\n      - {name: labels", Additive, "the header X-Tenant parameter is new"},
		"a parameter gone":               {"      - {name: labels, in: query, schema: {type: array, items: {type: string}}}\n", "", Otherwise, "the query labels parameter is gone"},
		"a parameter required":           {"name: labels, in: query", "name: labels, in: query, required: true", Breaking, "now required"},
		"how a parameter is written":     {"name: labels, in: query", "name: labels, in: query, style: pipeDelimited", Breaking, "style"},
		"what is written as usual":       {"name: labels, in: query", "name: labels, in: query, style: form, explode: true", Nothing, ""},
		"elements of a parameter":        {"items: {type: string}", "items: {type: integer}", Breaking, "members"},
		"a parameter in words":           {"name: labels, in: query", "name: labels, in: query, description: Some., deprecated: true", Otherwise, "words about its parameters"},
		"a body that is required":        {"requestBody:\n        content", "requestBody:\n        required: true\n        content", Breaking, "the body is now required"},
		"another type of request":        {"application/json: {schema: {$ref: '#/components/schemas/Payment'}}", "application/pay+json: {schema: {$ref: '#/components/schemas/Payment'}}", Breaking, "no longer be application/json"},
		"a form besides":                 {"application/json: {schema: {$ref: '#/components/schemas/Payment'}}", "application/json: {schema: {$ref: '#/components/schemas/Payment'}}\n          multipart/form-data: {schema: {type: object}}", Additive, "it may be multipart/form-data"},
		"a form only":                    {"application/json: {schema: {$ref: '#/components/schemas/Payment'}}", "multipart/form-data: {schema: {type: object}}", Breaking, "it has no JSON any more"},
		"another type of problem":        {"application/problem+json", "application/json", Additive, "no longer be application/problem+json"},
		"no JSON in a problem":           {"application/problem+json", "text/plain", Additive, "no JSON is declared for some of them"},
		"no JSON in a response":          {"application/json: {schema: {$ref: '#/components/schemas/Receipt'}}", "text/plain: {schema: {type: string}}", Breaking, "it has no JSON any more"},
		"another success":                {"'201'", "'202'", Additive, "the SDK takes any 2xx"},
		"a refusal gone":                 {"'409'", "'422'", Otherwise, "it may be refused with 422"},
		"a header of a response gone":    {"          headers: {X-Trace: {schema: {type: string}}}\n", "", Otherwise, "no longer has the header X-Trace"},
		"a header of a response":         {"headers: {", "headers: {x-request-id: {schema: {type: string}}, ", Additive, "it has the header X-Request-Id now"},
		"another header of a response":   {"X-Trace: {schema: {type: string}}", "X-Trace: {schema: {type: integer}}", Breaking, "the header X-Trace is of type integer"},
		"a header in words":              {"X-Trace: {", "X-Trace: {description: For support., ", Otherwise, "words about its headers"},
		"a link":                         {"description: Paid.\n", "description: Paid.\n          links: {again: {operationId: pay}}\n", Otherwise, "its words differ"},
		"a callback":                     {"operationId: pay", "operationId: pay\n      callbacks: {done: {'{$request.body#/url}': {post: {responses: {'200': {description: ok}}}}}}", Otherwise, "its words differ"},
		"a webhook's response":           {"responses: {'200': {description: Taken.}}", "responses: {'202': {description: Taken.}}", Otherwise, "its words differ"},
		"a webhook's header":             {"    post:\n      requestBody:\n        content:\n          application/json: {schema: {$ref: '#/components/schemas/Event", "    post:\n      parameters: [{name: X-Signature, in: header, schema: {type: string}}]\n      requestBody:\n        content:\n          application/json: {schema: {$ref: '#/components/schemas/Event", Otherwise, "its words differ"},
		"an event gone":                  {"enum: [CASHIN_PAID]", "enum: [CASHIN_REFUNDED]", Breaking, "event CASHIN_PAID: it is gone"},
		"a member of an event":           {"properties: {amount: {type: number}}}", "properties: {amount: {type: number}, fee: {type: number}}}", Additive, "`data.fee` is new"},
		"a member of an event gone":      {"properties: {amount: {type: number}}}", "properties: {fee: {type: number}}}", Breaking, "`data.amount` is gone"},
		"a number that may be no money":  {"        id: {type: string}", "        id: {type: string}\n        rate: {type: number}", Additive, "is it money?"},
		"a number that is money":         {"        id: {type: string}", "        id: {type: string}\n        fee: {type: number}", Additive, "`fee` is new"},
		"a member of a request gone":     {"        note: {type: string}\n", "", Breaking, "`note` is no longer read"},
		"a required member of a request": {"required: [amount]", "required: [amount, purpose]", Breaking, "`purpose` is new and required"},
		"a wider type of a request":      {"note: {type: string}", "note: {type: [string, number]}", Otherwise, "number|string, and was string"},
		"any type of a request":          {"note: {type: string}", "note: {}", Otherwise, "of type any"},
		"a narrower type of a response":  {"id: {type: string}", "id: {type: [string, 'null']}", Otherwise, "may be null in one of the two"},
		"a time that is a date":          {"format: date-time", "format: date", Breaking, `format "date", and had "date-time"`},
		"a time that is said no more":    {", format: date-time", "", Otherwise, "no format any more"},
		"a value of a response gone":     {"[PAID, FAILED]", "[PAID]", Otherwise, "is no longer FAILED"},
		"a value of a response":          {"[PAID, FAILED]", "[PAID, FAILED, HELD]", Additive, "may be HELD"},
		"any value of a response":        {", enum: [PAID, FAILED]", "", Additive, "may be anything now"},
		"only a value of a response":     {"id: {type: string}", "id: {type: string, const: A}", Otherwise, "may only be A now"},
		"only a value of a request":      {"note: {type: string}", "note: {type: string, const: A}", Breaking, "may only be A now"},
		"the form of a number":           {"amount: {type: number}", "amount: {type: number, format: float}", Otherwise, "words about its members"},
		"the title":                      {"title: Payments", "title: Charges", Otherwise, "its words differ"},
		"no others in a request":         {"extra: {type: object}", "extra: {type: object, additionalProperties: false}", Otherwise, "additionalProperties false"},
		"a pattern for other machines":   {"id: {type: string}", "id: {type: string, pattern: '^(?=A)'}", Otherwise, "Go cannot compile the pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			report := Changes(changed(t), changed(t, test.from, test.to))
			assert.Equal(t, test.level, report.Level(), report.String())
			assert.Contains(t, report.String(), test.says)
		})
	}
}

// Whatever is taken out of a description or put into it, there and back, a line says so.
func TestNoDifferenceIsLost(t *testing.T) {
	for name, said := range map[string][2]string{
		"multipleOf":             {"note: {type: string}", "note: {type: string}\n        steps: {type: number, multipleOf: 2}"},
		"uniqueItems":            {"extra: {type: object}", "extra: {type: array, uniqueItems: true}"},
		"not":                    {"note: {type: string}", "note: {type: string, not: {const: A}}"},
		"behind not":             {"note: {type: string}", "note: {type: string, not: {$ref: '#/components/schemas/Rule'}}"},
		"if":                     {"extra: {type: object}", "extra: {type: object, if: {required: [a]}, then: {required: [b]}}"},
		"else":                   {"extra: {type: object}", "extra: {type: object, if: {required: [a]}, else: {required: [b]}}"},
		"dependentRequired":      {"extra: {type: object}", "extra: {type: object, dependentRequired: {a: [b]}}"},
		"dependentSchemas":       {"extra: {type: object}", "extra: {type: object, dependentSchemas: {a: {required: [b]}}}"},
		"patternProperties":      {"extra: {type: object}", "extra: {type: object, patternProperties: {'^x': {type: string}}}"},
		"propertyNames":          {"extra: {type: object}", "extra: {type: object, propertyNames: {maxLength: 3}}"},
		"minProperties":          {"extra: {type: object}", "extra: {type: object, minProperties: 1}"},
		"unevaluatedProperties":  {"extra: {type: object}", "extra: {type: object, unevaluatedProperties: false}"},
		"members of any name":    {"extra: {type: object}", "extra: {type: object, additionalProperties: {type: string}}"},
		"contains":               {"extra: {type: object}", "extra: {type: array, contains: {type: string}}"},
		"prefixItems":            {"extra: {type: object}", "extra: {type: array, prefixItems: [{type: string}]}"},
		"readOnly":               {"note: {type: string}", "note: {type: string, readOnly: true}"},
		"nothing at all":         {"note: {type: string}", "note: false"},
		"contentMediaType":       {"note: {type: string}", "note: {type: string, contentMediaType: text/html}"},
		"discriminator":          {"extra: {type: object}", "extra: {type: object, discriminator: {propertyName: kind}}"},
		"an extension":           {"note: {type: string}", "note: {type: string, x-unit: BRL}"},
		"allowReserved":          {"in: query, ", "in: query, allowReserved: true, "},
		"content of a parameter": {"in: query, schema: {type: array, items: {type: string}}", "in: query, content: {application/json: {schema: {type: array, items: {type: string}}}}"},
		"an encoding":            {"application/json: {schema: {$ref: '#/components/schemas/Payment'}}", "multipart/form-data: {schema: {type: object, properties: {a: {type: string}}}, encoding: {a: {contentType: text/plain}}}"},
		"an example":             {"application/json: {schema: {$ref: '#/components/schemas/Receipt'}}", "application/json: {schema: {$ref: '#/components/schemas/Receipt'}, example: {id: a}}"},
		"words of a scheme":      {"scheme: bearer", "scheme: bearer, bearerFormat: JWT"},
		"words of a response":    {"description: Paid.", "description: It is paid."},
		"words of a server":      {"servers: [{", "servers: [{description: Production, "},
		"deprecated":             {"operationId: pay", "operationId: pay\n      deprecated: true"},
	} {
		t.Run(name, func(t *testing.T) {
			without, with := changed(t), changed(t, said[0], said[1])
			assert.NotEqual(t, Nothing, Changes(without, with).Level())
			assert.NotEqual(t, Nothing, Changes(with, without).Level())
		})
	}
}

// What differs deep inside of a keyword, or behind a reference in it, is seen as well.
func TestADifferenceInsideOfAKeywordIsSeen(t *testing.T) {
	for name, part := range map[string]string{
		"not":         "note: {type: string, not: {$ref: '#/components/schemas/Rule'}}",
		"any name":    "note: {type: object, additionalProperties: {$ref: '#/components/schemas/Rule'}}",
		"if":          "note: {if: {$ref: '#/components/schemas/Rule'}, then: {maxLength: 3}}",
		"prefixItems": "note: {type: array, prefixItems: [{type: object, properties: {a: {$ref: '#/components/schemas/Rule'}}}]}",
		"all of":      "note: {allOf: [{maxLength: 9}, {$ref: '#/components/schemas/Rule'}]}",
		"one of":      "note: {oneOf: [{type: string, maxLength: 9}, {$ref: '#/components/schemas/Rule'}]}",
	} {
		t.Run(name, func(t *testing.T) {
			older := changed(t, "note: {type: string}", part)
			assert.Equal(t, Breaking, Changes(older, changed(t, "note: {type: string}", part, "maxLength: 5", "maxLength: 4")).Level())
			assert.Equal(t, Otherwise, Changes(older, changed(t, "note: {type: string}", part, "maxLength: 5", "maxLength: 5, description: A rule.")).Level())
		})
	}
	form := "application/json: {schema: {$ref: '#/components/schemas/Payment'}}"
	encoded := "application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {$ref: '#/components/schemas/Rule'}}}}"
	report := Changes(changed(t, form, encoded), changed(t, form, encoded, "maxLength: 5", "maxLength: 4"))
	assert.Equal(t, Breaking, report.Level())
	assert.Contains(t, report.String(), "application/x-www-form-urlencoded is written in another way")
}

func TestALimitBreaksWhenItIsTighter(t *testing.T) {
	for name, test := range map[string]struct {
		from, to string
		level    Level
	}{
		"a higher minimum":          {"minimum: 1", "minimum: 2", Breaking},
		"a lower minimum":           {"minimum: 2", "minimum: 1", Otherwise},
		"a lower maximum":           {"maximum: 2", "maximum: 1", Breaking},
		"a higher maximum":          {"maximum: 1", "maximum: 2", Otherwise},
		"a higher exclusive limit":  {"exclusiveMinimum: 1", "exclusiveMinimum: 2", Breaking},
		"a lower exclusive maximum": {"exclusiveMaximum: 2", "exclusiveMaximum: 1", Breaking},
		"no limit":                  {"minimum: 1", "x-a: 1", Otherwise},
		"a limit":                   {"x-a: 1", "minimum: 1", Breaking},
		"another default":           {"default: 1", "default: 2", Breaking},
		"no default":                {"default: 1", "x-a: 1", Breaking},
		"a default":                 {"x-a: 1", "default: 1", Otherwise},
		"another step":              {"multipleOf: 1", "multipleOf: 2", Breaking},
	} {
		t.Run(name, func(t *testing.T) {
			number := func(rule string) *API {
				return changed(t, "amount: {type: number}", "amount: {type: number, "+rule+"}")
			}
			assert.Equal(t, test.level, Changes(number(test.from), number(test.to)).Level())
		})
	}
}

func TestANewBodyBreaksOnlyIfItIsRequired(t *testing.T) {
	body := "      requestBody:\n        content:\n          application/json: {schema: {$ref: '#/components/schemas/Payment'}}\n      responses:\n        '201'"
	none := changed(t, body, "      responses:\n        '201'")
	assert.Equal(t, Additive, Changes(none, changed(t)).Level())
	assert.Equal(t, Breaking, Changes(none, changed(t, "requestBody:\n        content", "requestBody:\n        required: true\n        content")).Level())
}

func TestANewOperationIsAdditiveAndARemovedOneBreaks(t *testing.T) {
	more := changed(t, "paths:\n", "paths:\n  /ping: {get: {responses: {'204': {description: ok}}}}\n")
	assert.Contains(t, Changes(changed(t), more).String(), "additive   GET /ping: it is new")
	assert.Contains(t, Changes(more, changed(t)).String(), "breaking   GET /ping: it is gone")
}

func TestARemovedPatternThatGoCannotCompileIsSeen(t *testing.T) {
	foreign := changed(t, "id: {type: string}", "id: {type: string, pattern: '^(?=A)'}")
	assert.Contains(t, Changes(foreign, changed(t)).String(), "which Go cannot compile, is gone")
}
