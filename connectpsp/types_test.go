package connectpsp_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// wireTypes are the types of requests and answers.
var wireTypes = []any{
	connectpsp.CashInRequest{},
	connectpsp.OpenFinance{},
	connectpsp.Payer{},
	connectpsp.BankData{},
	connectpsp.CashIn{},
	connectpsp.PIXData{},
	connectpsp.RefundRequest{},
	connectpsp.Refund{},
	connectpsp.CashOutRequest{},
	connectpsp.Payee{},
	connectpsp.Destination{},
	connectpsp.BankAccount{},
	connectpsp.CashOut{},
	connectpsp.Failure{},
	connectpsp.Balance{},
	connectpsp.ConsolidatedBalance{},
	connectpsp.BankBalance{},
	connectpsp.BankAccounts{},
	connectpsp.AccountBalance{},
	connectpsp.Rebalance{},
}

// The tests below are of every type: one that is added has to be added to the list.
func TestEveryTypeOfARequestOrAnswerIsTested(t *testing.T) {
	listed := make(map[string]bool)
	for _, each := range wireTypes {
		listed[reflect.TypeOf(each).Name()] = true
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	declared := make(map[string]bool)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			if spec, ok := node.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				structure, isStruct := spec.Type.(*ast.StructType)
				if isStruct && slices.ContainsFunc(structure.Fields.List, func(field *ast.Field) bool { return field.Tag != nil }) {
					declared[spec.Name.Name] = true
				}
			}
			return true
		})
	}
	assert.Equal(t, declared, listed)
}

// A gateway and a journal recognise a call that is repeated by its bytes, also after the SDK was
// updated in between.
func TestTheBytesOfARequestStayAsTheyAre(t *testing.T) {
	for _, test := range []struct {
		request     any
		empty, full string
	}{
		{&connectpsp.CashInRequest{}, `{"amount":0.00,"externalReference":"","payer":{"document":"","name":""}}`, `{"amount":10.50,"expirationInMinutes":30,"externalReference":"ç\u003c\u0026\u003eExternalReference;","openFinance":{"redirectUrl":"ç\u003c\u0026\u003eOpenFinance;RedirectURL;"},"payer":{"bankData":{"account":"ç\u003c\u0026\u003ePayer;BankData;Account;","bank":"ç\u003c\u0026\u003ePayer;BankData;Bank;","branch":"ç\u003c\u0026\u003ePayer;BankData;Branch;","ispb":"ç\u003c\u0026\u003ePayer;BankData;ISPB;"},"document":"ç\u003c\u0026\u003ePayer;Document;","name":"ç\u003c\u0026\u003ePayer;Name;"},"webhookUrl":"ç\u003c\u0026\u003eWebhookURL;"}`},
		{&connectpsp.RefundRequest{}, `{"reason":""}`, `{"description":"ç\u003c\u0026\u003eDescription;","reason":"ç\u003c\u0026\u003eReason;"}`},
		{&connectpsp.CashOutRequest{}, `{"amount":0.00,"externalReference":"","payee":{"destination":{"type":""},"document":"","name":""}}`, `{"amount":10.50,"description":"ç\u003c\u0026\u003eDescription;","externalReference":"ç\u003c\u0026\u003eExternalReference;","payee":{"destination":{"bankAccount":{"account":"ç\u003c\u0026\u003ePayee;Destination;BankAccount;Account;","accountType":"ç\u003c\u0026\u003ePayee;Destination;BankAccount;AccountType;","branch":"ç\u003c\u0026\u003ePayee;Destination;BankAccount;Branch;","ispb":"ç\u003c\u0026\u003ePayee;Destination;BankAccount;ISPB;"},"pixKey":"ç\u003c\u0026\u003ePayee;Destination;PIXKey;","pixKeyType":"ç\u003c\u0026\u003ePayee;Destination;PIXKeyType;","type":"ç\u003c\u0026\u003ePayee;Destination;Type;"},"document":"ç\u003c\u0026\u003ePayee;Document;","name":"ç\u003c\u0026\u003ePayee;Name;"},"webhookUrl":"ç\u003c\u0026\u003eWebhookURL;"}`},
	} {
		empty, err := json.Marshal(test.request)
		require.NoError(t, err)
		assert.Equal(t, test.empty, string(empty))
		fill(reflect.ValueOf(test.request).Elem(), "ç<&>")
		body, err := json.Marshal(test.request)
		require.NoError(t, err)
		assert.Equal(t, test.full, string(body))
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
