package control_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// The parts of the calls that FuzzControl makes. Each line of its input is a method, a path and a
// body; CHARGE and PAYMENT stand for the ids of transactions.
var fuzzedCalls = []string{
	"POST /cash-ins/CHARGE0/pay", `POST /cash-ins/CHARGE0/pay {"amount":1.23,"payer":{"name":"Jose","document":"98765432100"}}`,
	"POST /cash-ins/CHARGE0/expire", "POST /cash-ins/CHARGE1/cancel", "POST /cash-ins/CHARGE1/return", `POST /cash-ins/CHARGE1/return {"amount":0.01}`,
	"POST /cash-ins/CHARGE1/settle-refund", "POST /cash-ins/CHARGE1/pay", "GET /cash-ins/CHARGE1", "GET /cash-ins/CHARGE0/qr-code",
	"POST /cash-outs/PAYMENT0/complete", `POST /cash-outs/PAYMENT0/fail {"code":"ACCOUNT_CLOSED","message":"closed"}`, "POST /cash-outs/PAYMENT0/cancel",
	"POST /cash-outs/PAYMENT0/return", `POST /cash-outs/PAYMENT1/return {"amount":1}`, "POST /cash-outs/PAYMENT1/contradict", "POST /cash-outs/PAYMENT0/contradict",
	`POST /transactions/CHARGE1/redeliver {"times":2}`, "POST /transactions/PAYMENT0/redeliver", "POST /webhooks/release", `POST /webhooks/release {"reverse":true}`,
	`POST /webhooks/send {"url":"http://127.0.0.1:9/","body":{"eventType":"OTHER"}}`, `POST /webhooks/send {"url":"http://192.0.2.1/","body":1}`,
	`POST /faults {"operation":"CASHIN_PAID","faults":["HoldWebhook","DoubleWebhook","LoseWebhook","PreviousSignature","None"]}`,
	`POST /faults {"operation":"getBalance","faults":["Hang","Status(502)","StatusAfterExecution(200)"]}`,
	`POST /faults/every {"operation":"CASHIN_PAID","n":2,"fault":"HoldWebhook"}`, `POST /faults/probability {"operation":"CASHOUT_FAILED","probability":0.5,"fault":"LoseWebhook"}`,
	"POST /faults/clear", `POST /refusals {"operation":"createCashOut","status":422,"code":"LIMIT_EXCEEDED"}`, `POST /latency {"milliseconds":3}`,
	`POST /rate-limit {"perSecond":5,"burst":10}`, `POST /clock/advance {"seconds":90}`, `POST /clock/advance {"seconds":3162240000}`, `POST /balances {"transactionalBalance":0.5,"proprietaryBalance":0}`,
	"POST /keys/forget", `POST /keys/lifetime {"seconds":1200}`, `POST /references {"unique":false}`, `POST /refusals/repeated {"repeated":false}`,
	"POST /tokens/revoke", "POST /crypto-token/rotate", "POST /reset", "GET /state", "GET /credentials", "GET /cash-ins?externalReference=order-0", "GET /cash-outs",
	"GET /deliveries", "GET /requests", "GET /snapshot", `POST /restore {"version":1}`, "GET /cash-ins//pay", "PUT /reset", "OPTIONS /state", "HEAD /state",
}

// Whatever the calls are: none panics, each is answered with JSON and never with a 5xx, what is
// refused changes nothing, and a snapshot that is restored is the same state.
func FuzzControl(f *testing.F) {
	gateway, err := sandbox.Start(sandbox.WithTime(noon), sandbox.WithSeed(1), sandbox.WithMemoryNetwork())
	require.NoError(f, err)
	f.Cleanup(func() { _ = gateway.Close() })
	client, err := connectpsp.New(gateway.Config(), connectpsp.WithHTTPClient(gateway.HTTPClient()))
	require.NoError(f, err)
	known := make(map[string]string)
	for n, number := range []string{"0", "1"} {
		charge, err := client.CreateCashIn(f.Context(), connectpsp.CashInRequest{Amount: pix.Centavos(12_34), ExternalReference: "order-" + number,
			WebhookURL: "http://127.0.0.1:9/", Payer: connectpsp.Payer{Name: "Test User", Document: "12345678909"}})
		require.NoError(f, err)
		payment, err := client.CreateCashOut(f.Context(), connectpsp.CashOutRequest{Amount: pix.Centavos(5_00), ExternalReference: "withdrawal-" + number,
			WebhookURL: "http://127.0.0.1:9/", Payee: connectpsp.Payee{Name: "Maria Silva", Document: "12345678909",
				Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")}})
		require.NoError(f, err)
		known["CHARGE"+number], known["PAYMENT"+number] = charge.TransactionID, payment.TransactionID
		if n == 1 {
			require.NoError(f, gateway.PayCashIn(charge.TransactionID))
			_, err = client.RefundCashIn(f.Context(), charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
			require.NoError(f, err)
			require.NoError(f, gateway.CompleteCashOut(payment.TransactionID))
		}
	}
	snapshot := func(t testing.TB) []byte {
		t.Helper()
		require.NoError(t, gateway.Advance(0)) // no webhook is under way then
		taken, err := gateway.Snapshot()
		require.NoError(t, err)
		return taken
	}
	begin := snapshot(f)
	handler := control.New(gateway)

	f.Add(strings.Join(fuzzedCalls, "\n"))
	for n := range fuzzedCalls {
		f.Add(fuzzedCalls[n] + "\n" + fuzzedCalls[(n*7+3)%len(fuzzedCalls)] + "\n" + fuzzedCalls[(n*11+5)%len(fuzzedCalls)])
	}
	f.Fuzz(func(t *testing.T, calls string) {
		gateway.Reset()
		require.NoError(t, gateway.Restore(begin))
		lines := strings.Split(calls, "\n")
		for _, line := range lines[:min(len(lines), 100)] {
			method, rest, _ := strings.Cut(line, " ")
			target, body, _ := strings.Cut(rest, " ")
			for name, id := range known {
				target = strings.ReplaceAll(target, name, id)
			}
			parsed, err := url.ParseRequestURI("/_sandbox/v1" + target)
			if err != nil || strings.HasPrefix(target, "/events") || !isMethod(method) {
				continue
			}
			before := snapshot(t)
			recorder := httptest.NewRecorder()
			request := &http.Request{Method: method, URL: parsed, Host: "localhost", Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
			handler.ServeHTTP(recorder, request.WithContext(t.Context()))
			response := recorder.Body.Bytes()
			require.Less(t, recorder.Code, 500, "%s: %s", line, response)
			if recorder.Code == http.StatusNoContent {
				require.Empty(t, response)
			} else {
				require.True(t, json.Valid(response), "%s: %s", line, response)
				require.Equal(t, 1, bytes.Count(response, []byte("\n")), "%s: one line", line)
			}
			after := snapshot(t)
			if recorder.Code >= 400 || method != http.MethodPost {
				require.Equal(t, string(before), string(after), "%s: %d, and nothing has changed", line, recorder.Code)
			}
			require.NoError(t, gateway.Restore(after), "%s", line)
			require.JSONEq(t, string(after), string(snapshot(t)), "%s: the same state", line)
		}
	})
}

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// isMethod reports whether a client can send a method.
func isMethod(method string) bool {
	return slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}, method)
}
