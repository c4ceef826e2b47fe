package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bodyOf reads a schema in a version of OpenAPI as the response of the only operation there is.
// Other schemas are those that it may refer to.
func bodyOf(version, schema, others string) (Body, error) {
	api, err := Read(fmt.Appendf(nil, `openapi: %s
info: {title: Bodies, version: 1.0.0}
paths:
  /body:
    get:
      responses: {'200': {description: ok, content: {application/json: {schema: %s}}}}
components: {schemas: {%s}}
`, version, schema, others))
	if err != nil {
		return nil, err
	}
	return api.Operations[0].Response("2"), nil
}

// However a description puts its schemas together, the same traffic reads the same.
func TestABodyReadsTheSameHoweverItsSchemasAreComposed(t *testing.T) {
	const (
		first, later = "3.0.3", "3.1.0"
		a            = "A: {type: object, required: [id], properties: {id: {type: string}}}"
		b            = "B: {type: object, required: [n], properties: {n: {type: number}}}"
		refA, refB   = "{$ref: '#/components/schemas/A'}", "{$ref: '#/components/schemas/B'}"
	)
	for name, test := range map[string]struct{ version, schema, others, is string }{
		"in place":                    {first, "{type: object, required: [id], properties: {id: {type: string}}}", "", ":object, id:string!"},
		"by reference":                {first, refA, a, ":object, id:string!"},
		"all of one":                  {first, "{allOf: [" + refA + "]}", a, ":object, id:string!"},
		"all of two":                  {first, "{allOf: [" + refA + ", " + refB + "]}", a + ", " + b, ":object, id:string!, n:number!"},
		"all of one twice":            {first, "{allOf: [{properties: {a: " + refA + "}}, {properties: {a: " + refA + "}}]}", a, ":object, a:object, a.id:string!"},
		"required beside":             {first, "{allOf: [" + refB + ", {required: [id]}], properties: {id: {type: string}}}", b, ":object, id:string!, n:number!"},
		"required, and not described": {first, "{type: object, required: [id]}", "", ":object, id:any!"},
		"one of one":                  {first, "{oneOf: [" + refA + "]}", a, ":object, id:string!"},
		"one of two":                  {first, "{oneOf: [" + refA + ", " + refB + "]}", a + ", " + b, ":object, id:string, n:number"},
		"one of one and null":         {later, "{oneOf: [" + refA + ", {type: 'null'}]}", a, ":object?, id:string!"},
		"any of one and null":         {later, "{anyOf: [{type: 'null'}, " + refA + "]}", a, ":object?, id:string!"},
		"any of types":                {later, "{anyOf: [{type: string}, {type: integer}]}", "", ":integer|string"},
		"any of a type and anything":  {later, "{anyOf: [{type: string}, {}]}", "", ":any"},
		"one of texts":                {first, "{oneOf: [{type: string, enum: [A]}, {type: string, enum: [B]}]}", "", ":string[A B]"},
		"one of texts or any":         {first, "{oneOf: [{type: string, enum: [A]}, {type: string}]}", "", ":string"},
		"all of texts":                {first, "{allOf: [{type: string, enum: [A, B]}, {enum: [B, C]}]}", "", ":string[B]"},
		"a member described twice":    {first, "{oneOf: [{properties: {a: {type: string}}}, {properties: {a: {type: integer}}}]}", "", ":object, a:integer|string"},
		"the same member twice":       {first, "{oneOf: [{properties: {a: " + refA + "}}, {properties: {a: " + refA + "}}]}", a, ":object, a:object, a.id:string!"},
		"a member of more parts": {first, "{oneOf: [{allOf: [{properties: {a: {type: string}}}, {properties: {a: {maxLength: 3}}}]}, {properties: {a: {type: number}}}]}", "",
			":object, a:number|string maxLength=3"},
		"a list of types":             {later, "{type: [string, 'null']}", "", ":string?"},
		"several types":               {later, "{type: [string, number]}", "", ":number|string"},
		"nullable":                    {first, "{type: string, nullable: true}", "", ":string?"},
		"null among the values":       {later, "{enum: [A, null]}", "", ":string?[A]"},
		"const":                       {later, "{const: A}", "", ":string[A]"},
		"a list":                      {first, "{type: array, items: " + refA + "}", a, ":array, []:object!, [].id:string!"},
		"a list by its elements":      {later, "{items: {type: string}}", "", ":array, []:string!"},
		"one of two lists":            {first, "{oneOf: [{type: array, items: {type: string}}, {type: array, items: {type: integer}}]}", "", ":array, []:integer|string!"},
		"members of any name":         {first, "{type: object, properties: {m: {type: object, additionalProperties: " + refA + "}}}", a, ":object, m:object, m{}:object, m{}.id:string!"},
		"no others":                   {first, "{type: object, additionalProperties: false}", "", ":object additionalProperties=false"},
		"others, as goes unsaid":      {first, "{type: object, additionalProperties: true}", "", ":object"},
		"the form of an integer":      {first, "{type: integer, format: int64}", "", ":integer"},
		"the form of a text":          {first, "{type: string, format: uuid}", "", ":string format=\"uuid\""},
		"rules that differ, all kept": {first, "{allOf: [{type: string, maxLength: 3}, {maxLength: 5}, {maxLength: 3}]}", "", ":string maxLength=3 and 5"},
		"rules of one of two":         {first, "{oneOf: [{type: string, format: uuid}, {type: string, format: email}]}", "", ":string format=\"email\" or \"uuid\""},
		"a schema that nothing meets": {later, "{type: object, properties: {a: false}}", "", ":object, a:any never=true"},
		"anything":                    {first, "{}", "", ":any"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := bodyOf(test.version, test.schema, test.others)
			require.NoError(t, err)
			assert.Equal(t, test.is, brief(body))
		})
	}
}

func TestKeywordsThatNoProgramReadsAreWords(t *testing.T) {
	body, err := bodyOf("3.1.0", "{type: integer, format: int64, title: A, description: B, deprecated: true, examples: [1], x-unit: BRL, $comment: C}", "")
	require.NoError(t, err)
	assert.Empty(t, body[""].Rules)
	for _, word := range []string{"int64", "A", "B", "deprecated", "examples", "BRL", "C"} {
		assert.Contains(t, body[""].Words, word)
	}
}

func TestARecursiveSchemaIsRefused(t *testing.T) {
	for name, others := range map[string]string{
		"in a member":  "A: {type: object, properties: {a: {$ref: '#/components/schemas/A'}}}",
		"in elements":  "A: {type: array, items: {$ref: '#/components/schemas/A'}}",
		"in a part":    "A: {allOf: [{$ref: '#/components/schemas/B'}]}, B: {allOf: [{$ref: '#/components/schemas/A'}]}",
		"in a keyword": "A: {type: object, properties: {b: {not: {$ref: '#/components/schemas/A'}}}}",
		"in any name":  "A: {type: object, additionalProperties: {$ref: '#/components/schemas/A'}}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bodyOf("3.1.0", "{$ref: '#/components/schemas/A'}", others)
			assert.ErrorContains(t, err, "holds itself")
		})
	}
}

func TestABodyThatIsMuchTooLargeIsRefused(t *testing.T) {
	var others []string
	for i := range 12 {
		next := fmt.Sprintf("{$ref: '#/components/schemas/S%d'}", i+1)
		others = append(others, fmt.Sprintf("S%d: {type: object, properties: {a: %s, b: %s, c: %s}}", i, next, next, next))
	}
	_, err := bodyOf("3.0.3", "{$ref: '#/components/schemas/S0'}", strings.Join(append(others, "S12: {type: string}"), ", "))
	assert.ErrorContains(t, err, "more members than any description")

	deep := "{type: string}"
	for range maxDepth + 2 {
		deep = "{type: object, properties: {a: " + deep + "}}"
	}
	_, err = bodyOf("3.0.3", deep, "")
	assert.ErrorContains(t, err, "more members than any description")
}

func TestAnUndefinedSecuritySchemeIsNoPanic(t *testing.T) {
	assert.NotPanics(t, func() {
		_, _ = Read([]byte("openapi: 3.0.3\ninfo: {title: a, version: '1'}\nsecurity: [{nowhere: []}]\n" +
			"paths: {/a: {get: {responses: {'200': {description: ok}}}}}\n"))
	})
}

func TestAnOperationThatIsNotThereIsNamed(t *testing.T) {
	api, err := Read([]byte("openapi: 3.0.3\ninfo: {title: a, version: '1'}\npaths: {'/a/{b}': {get: {parameters: [{name: b, in: path, required: true, " +
		"schema: {type: string}}], responses: {default: {description: ok, content: {'*/*': {schema: {type: string}}}}}}}}\n"))
	require.NoError(t, err)
	operation, err := api.Operation("GET /a/{id}")
	require.NoError(t, err)
	assert.Equal(t, "GET /a/{}", operation.Name())
	assert.NotNil(t, operation.Response("4"), "a problem may be the default")
	_, err = api.Operation("POST /a/{id}")
	assert.EqualError(t, err, "the description has no POST /a/{id}")
}
