package connectpsp_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/pix"
)

// wireTypes are the types of requests and answers, each with the model that is generated from the
// description.
var wireTypes = []struct{ own, model any }{
	{connectpsp.CashInRequest{}, gen.CashInRequest{}},
	{connectpsp.OpenFinance{}, gen.OpenFinance{}},
	{connectpsp.Payer{}, gen.Payer{}},
	{connectpsp.BankData{}, gen.BankData{}},
	{connectpsp.CashIn{}, gen.CashIn{}},
	{connectpsp.PIXData{}, gen.PIXData{}},
	{connectpsp.RefundRequest{}, gen.RefundRequest{}},
	{connectpsp.Refund{}, gen.Refund{}},
	{connectpsp.CashOutRequest{}, gen.CashOutRequest{}},
	{connectpsp.Payee{}, gen.Payee{}},
	{connectpsp.Destination{}, gen.Destination{}},
	{connectpsp.BankAccount{}, gen.BankAccount{}},
	{connectpsp.CashOut{}, gen.CashOut{}},
	{connectpsp.Failure{}, gen.Failure{}},
	{connectpsp.Balance{}, gen.Balance{}},
	{connectpsp.ConsolidatedBalance{}, gen.ConsolidatedBalance{}},
	{connectpsp.BankBalance{}, gen.BankBalance{}},
	{connectpsp.BankAccounts{}, gen.BankAccounts{}},
	{connectpsp.AccountBalance{}, gen.AccountBalance{}},
	{connectpsp.Rebalance{}, gen.Rebalance{}},
}

// The tests below are of every type: one that is added has to be added to the list.
func TestEveryTypeOfARequestOrAnswerIsTested(t *testing.T) {
	listed := make(map[string]bool)
	for _, each := range wireTypes {
		listed[reflect.TypeOf(each.own).Name()] = true
	}
	files, err := filepath.Glob("types*.go")
	require.NoError(t, err)
	declared := make(map[string]bool)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			if spec, ok := node.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				if _, isStruct := spec.Type.(*ast.StructType); isStruct {
					declared[spec.Name.Name] = true
				}
			}
			return true
		})
	}
	assert.Equal(t, declared, listed)
}

// A new version of the description that has a field more or less fails here, and nowhere in the
// programs of users.
func TestTheTypesHaveTheFieldsOfTheDescription(t *testing.T) {
	for _, each := range wireTypes {
		own := reflect.TypeOf(each.own)
		assert.Equal(t, members(reflect.TypeOf(each.model)), members(own), own)
	}
}

// members returns what a type is, by the names of JSON: without the names of types and fields, and
// the order.
func members(t reflect.Type) any {
	switch {
	case t == reflect.TypeFor[pix.Amount]() || t == reflect.TypeFor[pix.Time]():
		return t.String()
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice:
		return []any{t.Kind().String(), members(t.Elem())}
	case t.Kind() == reflect.Struct:
		fields := make(map[string]any)
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			fields[name] = members(field.Type)
		}
		return fields
	default:
		return t.Kind().String()
	}
}

// A gateway and a journal recognise a call that is repeated by its bytes, also after the SDK was
// updated in between.
func TestTheBytesOfARequestAreThoseOfTheDescriptionsModel(t *testing.T) {
	for _, each := range wireTypes {
		own := reflect.TypeOf(each.own)
		switch each.own.(type) {
		case connectpsp.CashInRequest, connectpsp.RefundRequest, connectpsp.CashOutRequest:
		default:
			continue
		}
		full := reflect.New(own)
		fill(full.Elem(), "ç<&>")
		for name, request := range map[string]any{"full": full.Interface(), "empty": each.own} {
			t.Run(own.Name()+" "+name, func(t *testing.T) {
				body, err := json.Marshal(request)
				require.NoError(t, err)
				model := reflect.New(reflect.TypeOf(each.model)).Interface()
				require.NoError(t, json.Unmarshal(body, model))
				want, err := json.Marshal(model)
				require.NoError(t, err)
				assert.Equal(t, string(want), string(body))
			})
		}
	}
}

// fill gives every field in a value something other than zero; texts are given the text and the
// name of the field.
func fill(value reflect.Value, text string) {
	switch value.Interface().(type) {
	case pix.Amount:
		value.Set(reflect.ValueOf(pix.Centavos(1050)))
		return
	case pix.Time:
		value.Set(reflect.ValueOf(pix.Time{Time: time.Date(2026, 3, 10, 14, 20, 0, 0, time.UTC)}))
		return
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString(text)
	case reflect.Int:
		value.SetInt(30)
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), text)
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		fill(value.Index(0), text)
	case reflect.Struct:
		for field, into := range value.Fields() {
			fill(into, text+field.Name+";")
		}
	default:
		panic("a field of a kind that the tests do not know: " + value.Type().String())
	}
}
