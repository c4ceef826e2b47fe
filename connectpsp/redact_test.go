package connectpsp_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// shownFields are the fields of type string that may be printed: ids of a payment, and constants of
// the API.
var shownFields = map[string]bool{
	"CashInRequest.ExternalReference":  true,
	"CashIn.ExternalReference":         true,
	"CashIn.TransactionID":             true,
	"CashIn.Status":                    true,
	"RefundRequest.Reason":             true,
	"Refund.ExternalReference":         true,
	"Refund.TransactionID":             true,
	"Refund.Status":                    true,
	"CashOutRequest.ExternalReference": true,
	"CashOut.ExternalReference":        true,
	"CashOut.TransactionID":            true,
	"CashOut.Status":                   true,
	"Failure.Code":                     true,
	"BankBalance.ISPB":                 true,
}

func TestRequestsAndResponsesPrintNoPersonalData(t *testing.T) {
	for _, each := range wireTypes {
		kind := reflect.TypeOf(each)
		t.Run(kind.Name(), func(t *testing.T) {
			value := reflect.New(kind)
			fill(value.Elem(), "Maria;")
			hideShown(value.Elem())
			inHex := hex.EncodeToString([]byte("Maria"))
			for line := range strings.Lines(everyPrint(value)) {
				for _, canary := range []string{"Maria", inHex, strings.ToUpper(inHex)} {
					assert.NotContains(t, line, canary)
				}
			}
		})
	}
}

// hideShown empties the fields that may be printed.
func hideShown(value reflect.Value) {
	for field, into := range value.Fields() {
		if shownFields[value.Type().Name()+"."+field.Name] {
			into.SetZero()
		}
	}
}

// everyPrint prints what value points to in every way that the package makes a promise about.
func everyPrint(value reflect.Value) string {
	pointer, plain := value.Interface(), value.Elem().Interface()
	type ofTheUser struct {
		Name  string
		Value any
	}
	kind := value.Type().Elem()
	field := reflect.StructField{Name: "Nested", Type: kind}
	nested := reflect.New(reflect.StructOf([]reflect.StructField{field})).Elem()
	nested.Field(0).Set(value.Elem())
	slice := reflect.MakeSlice(reflect.SliceOf(kind), 1, 1)
	slice.Index(0).Set(value.Elem())
	inside := []any{
		slice.Interface(),
		nested.Interface(),
		nested.Addr().Interface(),
		[]any{pointer},
		ofTheUser{"nested", plain},
		&ofTheUser{"nested", pointer},
		map[string]any{"value": plain},
	}

	var out bytes.Buffer
	toText := slog.New(slog.NewTextHandler(&out, nil))
	toJSON := slog.New(slog.NewJSONHandler(&out, nil))
	plainLog := log.New(&out, "", 0)
	page := template.Must(template.New("").Parse(`{{.}} {{printf "%v %+v" . .}}`))
	for _, each := range append([]any{plain, pointer}, inside...) {
		for _, verb := range "vsqxXdtbocUeEfgG" {
			for _, flag := range []string{"", "+", "#", "-", " ", "0", "40", ".3"} {
				fmt.Fprintf(&out, "%"+flag+string(verb)+"\n", each)
			}
		}
		fmt.Fprint(&out, each)
		fmt.Fprintln(&out, each)
		plainLog.Print(each)
		_ = page.Execute(&out, each)
		fmt.Fprintln(&out)
		toText.Info("paid", "value", each, slog.Group("group", "value", each))
	}
	for _, each := range []any{plain, pointer} {
		toJSON.Info("paid", "value", each, slog.Group("group", "value", each))
	}
	return out.String()
}

func TestRequestsAndResponsesPrintTheIDsOfThePayment(t *testing.T) {
	payer := connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"}
	payee := connectpsp.Payee{Name: "Maria Silva", Document: "12345678909"}
	amount := pix.Centavos(1050)
	for _, test := range []struct {
		value any
		want  string
	}{
		{
			connectpsp.CashInRequest{ExternalReference: "order-1", Amount: amount, Payer: payer},
			"connectpsp.CashInRequest[external_reference=order-1 amount=10.50]",
		},
		{
			connectpsp.CashIn{
				ExternalReference: "order-1", TransactionID: "tx1", Status: connectpsp.CashInPaid,
				Amount: amount, Payer: payer,
			},
			"connectpsp.CashIn[external_reference=order-1 transaction_id=tx1 status=PAID amount=10.50]",
		},
		{
			connectpsp.CashOutRequest{ExternalReference: "w-1", Amount: amount, Payee: payee},
			"connectpsp.CashOutRequest[external_reference=w-1 amount=10.50]",
		},
		{
			&connectpsp.CashOut{TransactionID: "tx2", Payee: payee},
			"connectpsp.CashOut[transaction_id=tx2]",
		},
		{
			connectpsp.Refund{TransactionID: "tx1", Status: connectpsp.CashInRefunded, Amount: amount},
			"connectpsp.Refund[transaction_id=tx1 status=REFUNDED amount=10.50]",
		},
		{
			connectpsp.RefundRequest{Reason: connectpsp.RefundFraud, Description: "Maria Silva"},
			"connectpsp.RefundRequest[reason=FRAUD]",
		},
		{
			connectpsp.Failure{Code: connectpsp.FailurePIXKeyNotFound, Message: "maria@example.com?"},
			"connectpsp.Failure[code=PIX_KEY_NOT_FOUND]",
		},
		{connectpsp.Rebalance{Success: true}, "connectpsp.Rebalance[success=true]"},
		{payee, "connectpsp.Payee[redacted]"},
		{[]connectpsp.Payer{payer}, "[connectpsp.Payer[redacted]]"},
		{(*connectpsp.CashIn)(nil), "<nil>"},
	} {
		assert.Equal(t, test.want, fmt.Sprint(test.value))
	}

	var out bytes.Buffer
	charge := &connectpsp.CashIn{ExternalReference: "order-1", Amount: pix.Centavos(1050), Payer: payer}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("paid", "charge", charge)
	assert.Contains(t, out.String(), `"charge":{"external_reference":"order-1","amount":10.50}`)
}
