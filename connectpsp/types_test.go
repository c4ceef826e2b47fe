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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// Other tests go through this list: a type that is added has to be added to it.
func TestEveryTypeOfARequestOrResponseIsTested(t *testing.T) {
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

// The gateway and the journal compare the body of a repeated call, also after an update of the SDK.
func TestTheEncodingOfARequestNeverChanges(t *testing.T) {
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
