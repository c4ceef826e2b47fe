package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// server is a sandbox with its API over a socket. Each call is checked against the description that
// the server serves.
type server struct {
	t       *testing.T
	gateway *sandbox.Sandbox
	client  *connectpsp.Client
	url     string
	routes  routers.Router
}

func start(t *testing.T, options ...control.Option) *server {
	gateway, err := sandbox.Start()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, gateway.Close()) })
	web := httptest.NewServer(control.New(gateway, options...))
	t.Cleanup(web.Close)
	s := &server{t: t, gateway: gateway, url: web.URL}
	config := gateway.Config()
	config.BaseURL = web.URL
	s.client, err = connectpsp.New(config)
	require.NoError(t, err)
	response, err := http.Get(web.URL + "/_sandbox/openapi.json")
	require.NoError(t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	description, err := openapi3.NewLoader().LoadFromData(data)
	require.NoError(t, err)
	require.NoError(t, description.Validate(t.Context()))
	s.routes, err = gorillamux.NewRouter(description)
	require.NoError(t, err)
	return s
}

// call makes a call of the API, and returns the status and the result.
func (s *server) call(method, path, body string) (int, map[string]any) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+"/_sandbox/v1"+path, strings.NewReader(body))
	require.NoError(s.t, err)
	request.Header.Set("Content-Type", "application/json")
	route, parameters, err := s.routes.FindRoute(request)
	require.NoError(s.t, err, path)
	input := &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route}
	invalid := openapi3filter.ValidateRequest(context.Background(), input)
	request.Body = io.NopCloser(strings.NewReader(body))
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	if response.StatusCode < 300 && body != "" {
		assert.NoError(s.t, invalid, "a request that is served is described")
	}
	output := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: response.StatusCode, Header: response.Header,
		Body: io.NopCloser(bytes.NewReader(data))}
	assert.NoError(s.t, openapi3filter.ValidateResponse(context.Background(), output), "%s: %s", path, data)
	result := map[string]any{}
	if len(data) > 0 && data[0] == '{' {
		require.NoError(s.t, json.Unmarshal(data, &result))
	}
	return response.StatusCode, result
}

func (s *server) charge(reference, webhookURL string) *connectpsp.CashIn {
	s.t.Helper()
	charge, err := s.client.CreateCashIn(s.t.Context(), connectpsp.CashInRequest{Amount: pix.Centavos(12_34), ExternalReference: reference,
		WebhookURL: webhookURL, Payer: connectpsp.Payer{Name: "Test User", Document: "12345678909"}})
	require.NoError(s.t, err)
	return charge
}

func (s *server) pay(reference string) *connectpsp.CashOut {
	s.t.Helper()
	payment, err := s.client.CreateCashOut(s.t.Context(), connectpsp.CashOutRequest{Amount: pix.Centavos(5_00), ExternalReference: reference,
		Payee: connectpsp.Payee{Name: "Maria Silva", Document: "12345678909", Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")}})
	require.NoError(s.t, err)
	return payment
}

func TestAChargeIsMovedOverHTTP(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		calls  []string // a path and a body
		status string
	}{
		"paid":              {[]string{"pay", ""}, "PAID"},
		"paid by another":   {[]string{"pay", `{"payer":{"name":"Jose Souza","document":"98765432100"},"amount":12.34}`}, "PAID"},
		"expired":           {[]string{"expire", ""}, "EXPIRED"},
		"cancelled":         {[]string{"cancel", "{}"}, "CANCELLED"},
		"paid late":         {[]string{"expire", "", "pay", ""}, "PAID"},
		"returned":          {[]string{"pay", "", "return", ""}, "REFUNDED"},
		"returned in parts": {[]string{"pay", "", "return", `{"amount":2.34}`, "return", `{"amount":10}`}, "REFUNDED"},
		"paid twice":        {[]string{"pay", "", "pay", ""}, "PAID"},
	} {
		t.Run(name, func(t *testing.T) {
			charge := s.charge(name, "")
			for n := 0; n < len(c.calls); n += 2 {
				status, result := s.call("POST", "/cash-ins/"+charge.TransactionID+"/"+c.calls[n], c.calls[n+1])
				require.Equal(t, 200, status, result)
			}
			status, result := s.call("GET", "/cash-ins/"+charge.InternalCode, "")
			assert.Equal(t, 200, status)
			assert.Equal(t, c.status, result["status"])
		})
	}
	charge := s.charge("refunded", "")
	require.NoError(t, s.gateway.PayCashIn(charge.TransactionID))
	_, err := s.client.RefundCashIn(t.Context(), charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundCustomerRequest})
	require.NoError(t, err)
	status, result := s.call("POST", "/cash-ins/"+charge.TransactionID+"/settle-refund", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, "REFUNDED", result["status"])
}

func TestAPaymentIsMovedOverHTTP(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		calls  []string
		status string
	}{
		"complete":                  {[]string{"complete", ""}, "COMPLETED"},
		"failed":                    {[]string{"fail", `{"code":"ACCOUNT_CLOSED","message":"closed"}`}, "FAILED"},
		"failed for a usual reason": {[]string{"fail", ""}, "FAILED"},
		"cancelled":                 {[]string{"cancel", ""}, "CANCELLED"},
		"returned":                  {[]string{"complete", "", "return", ""}, "REFUNDED"},
		"returned in parts":         {[]string{"complete", "", "return", `{"amount":2}`, "return", `{"amount":3.00}`}, "REFUNDED"},
		"contradicted":              {[]string{"fail", "", "contradict", ""}, "COMPLETED"},
	} {
		t.Run(name, func(t *testing.T) {
			payment := s.pay(name)
			for n := 0; n < len(c.calls); n += 2 {
				status, result := s.call("POST", "/cash-outs/"+payment.TransactionID+"/"+c.calls[n], c.calls[n+1])
				require.Equal(t, 200, status, result)
			}
			status, result := s.call("GET", "/cash-outs/"+payment.TransactionID, "")
			assert.Equal(t, 200, status)
			assert.Equal(t, c.status, result["status"])
		})
	}
}

func TestTheRestOfTheSandboxIsControlledOverHTTP(t *testing.T) {
	s := start(t)
	hooks := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		hooks <- string(body)
	}))
	defer receiver.Close()
	charge := s.charge("order-1", receiver.URL)

	status, _ := s.call("POST", "/faults", `{"operation":"CASHIN_PAID","faults":["HoldWebhook"]}`)
	require.Equal(t, 204, status)
	require.NoError(t, s.gateway.PayCashIn(charge.TransactionID))
	_, result := s.call("POST", "/webhooks/release", "")
	assert.EqualValues(t, 1, result["released"])
	assert.Contains(t, <-hooks, "CASHIN_PAID")
	status, _ = s.call("POST", "/transactions/"+charge.TransactionID+"/redeliver", `{"times":3}`)
	assert.Equal(t, 204, status)
	status, _ = s.call("POST", "/webhooks/send", `{"url":"`+receiver.URL+`","body":{"eventType":"OTHER"}}`)
	assert.Equal(t, 204, status)
	require.NoError(t, s.gateway.WaitWebhooks(t.Context()))
	assert.Len(t, hooks, 4)

	_, err := s.client.GetBalance(t.Context())
	require.NoError(t, err)
	for path, body := range map[string]string{"/tokens/revoke": "", "/keys/forget": "", "/crypto-token/rotate": "", "/latency": `{"milliseconds":1}`,
		"/rate-limit": `{"perSecond":100,"burst":100}`, "/refusals": `{"operation":"getBalance","status":422,"code":"LIMIT_EXCEEDED"}`} {
		status, result := s.call("POST", path, body)
		assert.Equal(t, 204, status, result)
	}
	_, err = s.client.GetBalance(t.Context())
	assert.ErrorIs(t, err, connectpsp.ErrorCode("LIMIT_EXCEEDED"))

	before := s.gateway.Now()
	status, _ = s.call("POST", "/clock/advance", `{"seconds":259200}`)
	assert.Equal(t, 200, status)
	assert.GreaterOrEqual(t, s.gateway.Now().Sub(before).Hours(), 72.0)

	for _, path := range []string{"/state", "/credentials", "/cash-ins", "/cash-ins?externalReference=order-1", "/cash-outs",
		"/cash-outs?externalReference=none", "/deliveries", "/requests", "/cash-ins/" + charge.TransactionID + "/qr-code"} {
		status, _ := s.call("GET", path, "")
		assert.Equal(t, 200, status, path)
	}
	_, state := s.call("GET", "/state", "")
	assert.Len(t, state["deliveries"], 5)
	assert.Contains(t, state["deliveries"].([]any)[0].(map[string]any)["body"], "CASHIN_PAID")
}

func TestASnapshotIsRestoredOverHTTP(t *testing.T) {
	s := start(t)
	charge := s.charge("order-1", "")
	status, snapshot := s.call("GET", "/snapshot", "")
	require.Equal(t, 200, status)
	require.NoError(t, s.gateway.PayCashIn(charge.TransactionID))
	data, err := json.Marshal(snapshot)
	require.NoError(t, err)
	status, result := s.call("POST", "/restore", string(data))
	assert.Equal(t, 204, status, result)
	assert.Equal(t, connectpsp.CashInAwaitingPayment, s.gateway.CashIns()[0].Status)
	status, _ = s.call("POST", "/restore", `{"version":99}`)
	assert.Equal(t, 400, status)
	assert.Len(t, s.gateway.CashIns(), 1)
}

func TestALargeStateIsRestoredOverHTTP(t *testing.T) {
	s := start(t)
	s.charge("order-1", "")
	require.NoError(t, s.gateway.SendWebhook("http://127.0.0.1:9/", make([]byte, 49<<20))) // it waits for its next attempt
	response, taken := s.send("GET", "/_sandbox/v1/snapshot", "")
	require.Equal(t, 200, response.StatusCode)
	require.Greater(t, len(taken), 64<<20)
	require.NoError(t, s.gateway.CancelCashIn(s.gateway.CashIns()[0].TransactionID))
	response, refusal := s.send("POST", "/_sandbox/v1/restore", taken)
	assert.Equal(t, 204, response.StatusCode, refusal)
	assert.Equal(t, connectpsp.CashInAwaitingPayment, s.gateway.CashIns()[0].Status)
}

func TestBadInputIsRefusedInOneLineAndChangesNothing(t *testing.T) {
	s := start(t)
	charge := s.charge("order-1", "")
	for name, c := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"no such charge":     {"/cash-ins/nothing/pay", "", 404, "no transaction with this id"},
		"no such payment":    {"/cash-outs/nothing/complete", "", 404, "no transaction with this id"},
		"the wrong status":   {"/cash-ins/" + charge.TransactionID + "/return", "", 409, "transition not allowed"},
		"no JSON":            {"/cash-ins/" + charge.TransactionID + "/pay", "<x>", 400, "the body must be a JSON object"},
		"a wrong type":       {"/cash-ins/" + charge.TransactionID + "/pay", `{"amount":"a lot"}`, 400, `"amount" must be a number of reais`},
		"an unknown member":  {"/cash-ins/" + charge.TransactionID + "/pay", `{"amuont":1}`, 400, `there is no member "amuont": the members are payer, amount`},
		"two values":         {"/cash-ins/" + charge.TransactionID + "/pay", `{} {}`, 400, "with nothing after it"},
		"a negative amount":  {"/cash-ins/" + charge.TransactionID + "/pay", `{"amount":-1}`, 400, "amount"},
		"a wrong document":   {"/cash-ins/" + charge.TransactionID + "/pay", `{"payer":{"document":"123"}}`, 400, "CPF"},
		"no such operation":  {"/faults", `{"operation":"nothing","faults":["Hang"]}`, 400, "nothing"},
		"no such fault":      {"/faults", `{"operation":"getBalance","faults":["Nothing"]}`, 400, "Nothing"},
		"back in time":       {"/clock/advance", `{"seconds":-1}`, 400, "forward"},
		"too far":            {"/clock/advance", `{"seconds":9223372036854775807}`, 400, "at most"},
		"too many":           {"/transactions/" + charge.TransactionID + "/redeliver", `{"times":1000000}`, 400, "1000"},
		"never sent":         {"/transactions/" + charge.TransactionID + "/redeliver", ``, 404, "sent no webhook"},
		"a negative latency": {"/latency", `{"milliseconds":-1}`, 400, "negative"},
		"half a limit":       {"/rate-limit", `{"perSecond":1}`, 400, ""},
		"a refusal of 200":   {"/refusals", `{"operation":"getBalance","status":200,"code":"X"}`, 400, "status"},
		"no receiver":        {"/webhooks/send", `{"url":"here","body":{}}`, 400, "URL"},
	} {
		t.Run(name, func(t *testing.T) {
			status, result := s.call("POST", c.path, c.body)
			assert.Equal(t, c.status, status, result)
			said, _ := result["error"].(string)
			assert.Contains(t, said, c.says)
			assert.NotEmpty(t, said)
			assert.NotContains(t, said, "\n")
			assert.Equal(t, connectpsp.CashInAwaitingPayment, s.gateway.CashIns()[0].Status)
		})
	}
}

func TestOtherSitesAndHostsAreRefused(t *testing.T) {
	s := start(t, control.WithHosts("sandbox"))
	charge := s.charge("order-1", "")
	for name, c := range map[string]struct {
		method, path, host string
		header             map[string]string
		status             int
	}{
		"this machine":                        {"GET", "/", "127.0.0.1:8420", nil, 200},
		"this machine by name":                {"GET", "/_sandbox/v1/state", "localhost", nil, 200},
		"this machine, IPv6":                  {"GET", "/_sandbox/v1/state", "[::1]:8420", nil, 200},
		"a name that is allowed":              {"GET", "/_sandbox/v1/state", "sandbox:8420", nil, 200},
		"an address in a container":           {"GET", "/_sandbox/v1/state", "172.17.0.2:8420", nil, 200},
		"another name":                        {"GET", "/", "evil.test", nil, 403},
		"a name that resolves here":           {"GET", "/_sandbox/v1/state", "127.0.0.1.evil.test:8420", nil, 403},
		"no name":                             {"GET", "/_sandbox/v1/credentials", "", nil, 403},
		"another site":                        {"POST", "/_sandbox/v1/keys/forget", "127.0.0.1", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"another origin":                      {"POST", "/_sandbox/v1/keys/forget", "127.0.0.1", map[string]string{"Origin": "https://evil.test"}, 403},
		"a change by GET":                     {"GET", "/_sandbox/v1/cash-ins/" + charge.TransactionID + "/pay", "127.0.0.1", nil, 405},
		"no such resource":                    {"GET", "/_sandbox/nothing", "127.0.0.1", nil, 404},
		"the gateway":                         {"POST", "/auth/token", "127.0.0.1", nil, 400},
		"the gateway, another name":           {"POST", "/auth/token", "evil.test", map[string]string{"Origin": "http://evil.test"}, 403},
		"the gateway, another site":           {"POST", "/cash-in", "127.0.0.1", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"the gateway, a name that is allowed": {"GET", "/account/balance", "sandbox:8420", nil, 401},
		"health":                              {"GET", "/healthz", "127.0.0.1", nil, 200},
		"readiness":                           {"GET", "/readyz", "127.0.0.1", nil, 200},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(c.method, c.path, nil)
			request.Host = c.host
			for name, value := range c.header {
				request.Header.Set(name, value)
			}
			recorder := httptest.NewRecorder()
			control.New(s.gateway, control.WithHosts("sandbox")).ServeHTTP(recorder, request)
			assert.Equal(t, c.status, recorder.Code, recorder.Body)
			isGateway := strings.HasPrefix(name, "the gateway")
			switch {
			case isGateway && c.status == 403:
				assert.Regexp(t, `"code":"(HOST|ORIGIN)_NOT_ALLOWED","detail":".+: .+"}\n$`, recorder.Body.String())
			case c.status == 403:
				assert.Regexp(t, `^{"error":".+: .+"}\n$`, recorder.Body.String())
			case !isGateway:
				assert.Contains(t, recorder.Header().Get("Content-Security-Policy"), "default-src 'none'")
			}
		})
	}
	assert.Equal(t, connectpsp.CashInAwaitingPayment, s.gateway.CashIns()[0].Status)
}

func TestThePageIsSmallAndLoadsNothingFromOutside(t *testing.T) {
	var size int
	err := filepath.WalkDir("page", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		size += len(data)
		for _, address := range regexp.MustCompile(`https?://[^\s"']+`).FindAllString(string(data), -1) {
			assert.Equal(t, "http://www.w3.org/2000/svg", address, path)
		}
		assert.NotRegexp(t, `innerHTML|insertAdjacentHTML|document\.write|eval\(|\bstyle=`, string(data), path)
		return err
	})
	require.NoError(t, err)
	assert.Less(t, size, 100<<10)
}
