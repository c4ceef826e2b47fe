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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
)

const file = "connectpsp.yaml"

func load(t *testing.T) *contract.API {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	api, err := contract.Read(text)
	require.NoError(t, err)
	return api
}

// The next version of the provider's file is to take the place of this one.
func TestTheDescriptionIsAsItWasTakenIn(t *testing.T) {
	text, err := os.ReadFile("spec.lock")
	require.NoError(t, err)
	var lock struct{ From, Version, NormalisedSHA256 string }
	require.NoError(t, json.Unmarshal(text, &lock))
	assert.NotContains(t, lock.From, "?")
	assert.Equal(t, lock.Version, load(t).Version)
	description, err := os.ReadFile(file)
	require.NoError(t, err)
	digest := sha256.Sum256(description)
	assert.Equal(t, hex.EncodeToString(digest[:]), lock.NormalisedSHA256, "it was edited: use the overlay, or take it in with make spec-sync")
}

func TestTheDescriptionHasEveryOperationOfTheSDK(t *testing.T) {
	api := load(t)
	for _, name := range []string{
		"POST /auth/token", "POST /cash-in", "GET /cash-in/{id}", "POST /cash-in/{id}/refund", "POST /cash-out",
		"GET /cash-out/{id}", "GET /account/balance", "POST /account/rebalance",
	} {
		_, err := api.Operation(name)
		assert.NoError(t, err)
	}
}

// A name of a schema would tie gen to one form of the description.
func TestTheOverlayNamesNoSchema(t *testing.T) {
	overlay, err := os.ReadFile("overlay.yaml")
	require.NoError(t, err)
	assert.NotContains(t, string(overlay), "components")
	assert.NotContains(t, string(overlay), "schemas")
}

// examples tells the type of the SDK that each published example is read into.
var examples = map[string]any{
	"auth_token.response.json": struct {
		AccessToken string   `json:"accessToken"`
		TokenType   string   `json:"tokenType"`
		ExpiresIn   int      `json:"expiresIn"`
		IssuedAt    pix.Time `json:"issuedAt"`
	}{},
	"balance.response.200.json":                 connectpsp.Balance{},
	"create_cash_in.request.json":               connectpsp.CashInRequest{},
	"create_cash_in.response.201.json":          connectpsp.CashIn{},
	"create_cash_out_bank_account.request.json": connectpsp.CashOutRequest{},
	"create_cash_out_pix_key.request.json":      connectpsp.CashOutRequest{},
	"problem_insufficient_funds.422.json": struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{},
	"webhook_cashin_paid.json": struct {
		EventType string            `json:"eventType"`
		EventAt   pix.Time          `json:"eventAt"`
		Data      connectpsp.CashIn `json:"data"`
	}{},
}

func TestEveryPublishedExampleSurvivesTheTypesOfTheSDK(t *testing.T) {
	files, err := filepath.Glob("examples/*")
	require.NoError(t, err)
	require.Len(t, files, len(examples))
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			example, known := examples[filepath.Base(name)]
			require.True(t, known, "no type is listed for it")
			published, err := os.ReadFile(name)
			require.NoError(t, err)
			model := reflect.New(reflect.TypeOf(example)).Interface()
			require.NoError(t, json.Unmarshal(published, model))
			encoded, err := json.Marshal(model)
			require.NoError(t, err)
			assert.Equal(t, exact(t, published), exact(t, encoded))
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

// Headers are set by request editors: a signature belongs to one token, which a retry may replace.
func TestGeneratedMethodsTakeNoParametersButThoseOfThePath(t *testing.T) {
	var methods []string
	for _, declaration := range generated(t).Decls {
		method, ok := declaration.(*ast.FuncDecl)
		if !ok || method.Recv == nil || !method.Name.IsExported() {
			continue
		}
		if receiver, isPointer := method.Recv.List[0].Type.(*ast.StarExpr); !isPointer || receiver.X.(*ast.Ident).Name != "Client" {
			continue
		}
		methods = append(methods, method.Name.Name)
		for _, parameter := range method.Type.Params.List {
			_, isStruct := parameter.Type.(*ast.StarExpr)
			assert.False(t, isStruct, "%s takes parameters besides those of the path", method.Name.Name)
		}
	}
	for _, wanted := range []string{
		"AuthTokenWithBody", "CreateCashInWithBody", "GetCashIn", "RefundCashInWithBody", "CreateCashOutWithBody", "GetCashOut",
		"GetBalance", "RebalanceAccountWithBody",
	} {
		assert.True(t, slices.Contains(methods, wanted), wanted)
	}
	assert.False(t, slices.ContainsFunc(methods, func(name string) bool { return strings.HasSuffix(name, "Params") }))
}
