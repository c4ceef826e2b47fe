package openapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/contract"
)

const file = "connectpsp.yaml"

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	require.NoError(t, err)
	return doc
}

// origin is what spec.lock says of the description.
type origin struct {
	From             string
	OpenAPI          string
	Version          string
	NormalisedSHA256 string
	NotOffered       []string
}

func readOrigin(t *testing.T) (lock origin) {
	t.Helper()
	text, err := os.ReadFile("spec.lock")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &lock))
	return lock
}

// What is the SDK's own goes into overlay.yaml, so that the next version of the provider's file can
// take the place of this one.
func TestTheDescriptionIsAsItWasTakenIn(t *testing.T) {
	lock := readOrigin(t)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	digest := sha256.Sum256(text)
	assert.Equal(t, hex.EncodeToString(digest[:]), lock.NormalisedSHA256, "it was edited: use the overlay, or take it in with make spec-sync")
	doc := load(t)
	assert.Equal(t, lock.OpenAPI, doc.OpenAPI)
	assert.Equal(t, lock.Version, doc.Info.Version)
}

func TestTheDescriptionIsValid(t *testing.T) {
	options := []openapi3.ValidationOption{openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation()}
	if readOrigin(t).From != file { // examples of the provider's own may contradict it; those of the reconstruction are ours
		options = []openapi3.ValidationOption{openapi3.DisableExamplesValidation()}
	}
	doc := load(t)
	contract.DropForeignPatterns(doc)
	assert.NoError(t, doc.Validate(t.Context(), options...))
}

func TestBothEnvironmentsAreServers(t *testing.T) {
	var servers []string
	for _, server := range load(t).Servers {
		servers = append(servers, server.URL)
	}
	assert.Equal(t, []string{"https://api.homologacao.connectpsp.com", "https://api.connectpsp.com"}, servers)
}

func TestEveryOperationIsDescribed(t *testing.T) {
	operations := make(map[string]string)
	for path, item := range load(t).Paths.Map() {
		for method, operation := range item.Operations() {
			operations[operation.OperationID] = method + " " + path
		}
	}
	want := map[string]string{
		"authToken":        "POST /auth/token",
		"createCashIn":     "POST /cash-in",
		"getCashIn":        "GET /cash-in/{id}",
		"refundCashIn":     "POST /cash-in/{id}/refund",
		"createCashOut":    "POST /cash-out",
		"getCashOut":       "GET /cash-out/{id}",
		"getBalance":       "GET /account/balance",
		"rebalanceAccount": "POST /account/rebalance",
	}
	for id, operation := range operations {
		if slices.Contains(readOrigin(t).NotOffered, operation) {
			delete(operations, id)
		}
	}
	assert.Equal(t, want, operations)
}

// examples tells what each published example is one of.
var examples = map[string]struct {
	schema string
	model  any
	sent   bool // by the integrator; the others are received
}{
	"auth_token.response.json":                  {"Token", gen.Token{}, false},
	"balance.response.200.json":                 {"Balance", gen.Balance{}, false},
	"create_cash_in.request.json":               {"CashInRequest", gen.CashInRequest{}, true},
	"create_cash_in.response.201.json":          {"CashIn", gen.CashIn{}, false},
	"create_cash_out_bank_account.request.json": {"CashOutRequest", gen.CashOutRequest{}, true},
	"create_cash_out_pix_key.request.json":      {"CashOutRequest", gen.CashOutRequest{}, true},
	"problem_insufficient_funds.422.json":       {"Problem", gen.Problem{}, false},
	"webhook_cashin_paid.json":                  {"CashInEvent", gen.CashInEvent{}, false},
}

func TestEveryPublishedExampleIsValidAndSurvivesTheGeneratedType(t *testing.T) {
	files, err := filepath.Glob("examples/*")
	require.NoError(t, err)
	require.Len(t, files, len(examples))
	doc := load(t)
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			example, known := examples[filepath.Base(name)]
			require.True(t, known, "nobody said what it is an example of")
			published, err := os.ReadFile(name)
			require.NoError(t, err)

			schema := doc.Components.Schemas[example.schema]
			if schema == nil {
				require.True(t, strings.HasSuffix(example.schema, "Event"))
				t.Skip("the description leaves webhooks out")
			}
			direction := openapi3.VisitAsResponse()
			if example.sent {
				direction = openapi3.VisitAsRequest()
			}
			validate := func(text []byte) error {
				var value any
				require.NoError(t, json.Unmarshal(text, &value))
				options := []openapi3.SchemaValidationOption{direction, openapi3.MultiErrors(), openapi3.EnableFormatValidation()}
				if doc.IsOpenAPI31OrLater() {
					options = append(options, openapi3.EnableJSONSchema2020())
				}
				return schema.Value.VisitJSON(value, options...)
			}
			assert.NoError(t, validate(published))

			model := reflect.New(reflect.TypeOf(example.model)).Interface()
			require.NoError(t, json.Unmarshal(published, model))
			encoded, err := json.Marshal(model)
			require.NoError(t, err)
			assert.Equal(t, exact(t, published), exact(t, encoded))
			assert.NoError(t, validate(encoded))
		})
	}
}

// number is a JSON number by its value: 10, 10.0 and 1e1 are one.
type number string

// exact decodes JSON for comparison, with numbers that no float has rounded.
func exact(t *testing.T, text []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	require.NoError(t, decoder.Decode(&value))
	var convert func(any) any
	convert = func(value any) any {
		switch value := value.(type) {
		case json.Number:
			rational, ok := new(big.Rat).SetString(value.String())
			require.True(t, ok)
			return number(rational.RatString())
		case []any:
			for i := range value {
				value[i] = convert(value[i])
			}
		case map[string]any:
			for name := range value {
				value[name] = convert(value[name])
			}
		}
		return value
	}
	return convert(value)
}

func TestNumbersAreComparedExactly(t *testing.T) {
	assert.Equal(t, exact(t, []byte(`{"a":[10.00]}`)), exact(t, []byte(`{"a":[10]}`)))
	assert.NotEqual(t, exact(t, []byte(`9007199254740993`)), exact(t, []byte(`9007199254740992`)), "one float64")
	assert.NotEqual(t, exact(t, []byte(`10`)), exact(t, []byte(`"10"`)))
}

func generated(t *testing.T) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "../gen/gen.gen.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	return parsed
}

func TestNoGeneratedTypeIsAFloat(t *testing.T) {
	ast.Inspect(generated(t), func(node ast.Node) bool {
		if name, ok := node.(*ast.Ident); ok {
			assert.NotContains(t, []string{"float32", "float64"}, name.Name)
		}
		return true
	})
}

// Absent and zero are the same to an integrator, but for objects.
func TestNoGeneratedFieldOrParameterPointsToAScalar(t *testing.T) {
	parsed := generated(t)
	scalars := map[string]bool{
		"string": true, "bool": true, "byte": true, "int": true, "int32": true, "int64": true,
		"pix.Amount": true, "pix.Time": true, "pix.KeyType": true, "time.Time": true,
	}
	// Twice, as a type may be declared before the one that it stands for.
	for range 2 {
		ast.Inspect(parsed, func(node ast.Node) bool {
			if declared, ok := node.(*ast.TypeSpec); ok && scalars[typeName(declared.Type)] {
				scalars[declared.Name.Name] = true
			}
			return true
		})
	}
	require.True(t, scalars["CashInStatus"] && scalars["PIXKeyType"])
	ast.Inspect(parsed, func(node ast.Node) bool {
		field, ok := node.(*ast.Field)
		if !ok {
			return true
		}
		if pointer, ok := field.Type.(*ast.StarExpr); ok {
			assert.False(t, scalars[typeName(pointer.X)], "%v is a pointer to %s", field.Names, typeName(pointer.X))
		}
		return true
	})
}

// Headers are set by request editors: a signature belongs to one token, which a retry may replace.
func TestNoGeneratedMethodTakesAHeader(t *testing.T) {
	headers := make(map[string]bool)
	for _, item := range load(t).Paths.Map() {
		for _, operation := range item.Operations() {
			for _, parameter := range slices.Concat(item.Parameters, operation.Parameters) {
				if parameter.Value.In == openapi3.ParameterInHeader {
					headers[strings.ToLower(parameter.Value.Name)] = true
				}
			}
		}
	}
	require.Len(t, headers, 3)

	parsed := generated(t)
	structs := make(map[string]*ast.StructType)
	ast.Inspect(parsed, func(node ast.Node) bool {
		if declared, ok := node.(*ast.TypeSpec); ok {
			if fields, ok := declared.Type.(*ast.StructType); ok {
				structs[declared.Name.Name] = fields
			}
		}
		return true
	})
	methods := 0
	for _, declaration := range parsed.Decls {
		method, ok := declaration.(*ast.FuncDecl)
		if !ok || method.Recv == nil || !method.Name.IsExported() {
			continue
		}
		methods++
		for _, parameter := range method.Type.Params.List {
			switch typed := parameter.Type.(type) {
			case *ast.Ident:
				assert.NotContains(t, []string{"ApplicationToken", "DigitalSignature", "IdempotencyKey"}, typed.Name, method.Name.Name)
			case *ast.StarExpr:
				fields := structs[typeName(typed.X)]
				require.NotNil(t, fields, method.Name.Name)
				for _, field := range fields.Fields.List {
					tag := reflect.StructTag(strings.Trim(field.Tag.Value, "`"))
					name, _, _ := strings.Cut(tag.Get("json"), ",")
					assert.False(t, headers[strings.ToLower(name)], "%s takes the header %s", method.Name.Name, name)
				}
			}
		}
	}
	assert.GreaterOrEqual(t, methods, 8)
}

// typeName writes a type as in the source, "" if it is more than a name.
func typeName(expression ast.Expr) string {
	switch expression := expression.(type) {
	case *ast.Ident:
		return expression.Name
	case *ast.SelectorExpr:
		return typeName(expression.X) + "." + expression.Sel.Name
	}
	return ""
}
