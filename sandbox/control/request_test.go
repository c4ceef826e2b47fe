package control_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// send sends a request as it is, also one that the description does not have.
func (s *server) send(method, target, body string) (*http.Response, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url, strings.NewReader(body))
	require.NoError(s.t, err)
	request.URL.Opaque = "//" + request.URL.Host + target // nothing is cleaned or escaped
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response, string(data)
}

// snapshot returns the state of the gateway without its time, which runs.
func (s *server) snapshot() string {
	s.t.Helper()
	taken, err := s.gateway.Snapshot()
	require.NoError(s.t, err)
	var members map[string]json.RawMessage
	require.NoError(s.t, json.Unmarshal(taken, &members))
	delete(members, "time")
	rest, err := json.Marshal(members)
	require.NoError(s.t, err)
	return string(rest)
}

func TestARequestThatIsWrongGetsOneLineThatSaysWhatToDo(t *testing.T) {
	s := start(t)
	charge := s.charge("order-1", "http://127.0.0.1:9/")
	paid := s.charge("order-2", "")
	require.NoError(t, s.gateway.PayCashIn(paid.TransactionID))
	require.NoError(t, s.gateway.SetBalances(charge.Amount, charge.Amount))
	payment := s.pay("withdrawal-1")
	v1, pay, give := "/_sandbox/v1", "/_sandbox/v1/cash-ins/"+charge.TransactionID+"/pay", "/_sandbox/v1/cash-ins/"+paid.TransactionID+"/return"
	for name, c := range map[string]struct {
		method, target, body string
		status               int
		says                 string
	}{
		"no id":                    {"POST", v1 + "/cash-ins//pay", "", 404, "openapi.json"},
		"two slashes":              {"POST", "/_sandbox//v1/cash-ins/" + charge.TransactionID + "/pay", "", 404, "openapi.json"},
		"a slash at the end":       {"POST", pay + "/", "", 404, "openapi.json"},
		"dots":                     {"GET", v1 + "/cash-ins/../state", "", 404, "openapi.json"},
		"dots as an id":            {"GET", v1 + "/cash-ins/..", "", 404, "no transaction"},
		"an escaped slash":         {"POST", v1 + "/cash-ins/a%2Fpay", "", 405, "use GET or HEAD"},
		"escaped slashes in an id": {"POST", v1 + "/cash-ins/a%2Fb%2f/pay", "", 404, "no transaction"},
		"an escaped path":          {"GET", "/%5Fsandbox/v1/state", "", 404, "openapi.json"},
		"a NUL in an id":           {"POST", v1 + "/cash-ins/%00/pay", "", 404, "no transaction"},
		"no UTF-8 in an id":        {"POST", v1 + "/cash-ins/%ff%fe/pay", "", 404, "no transaction"},
		"a huge id":                {"POST", v1 + "/cash-ins/" + strings.Repeat("a", 100_000) + "/pay", "", 404, "no transaction"},
		"a payment as a charge":    {"POST", v1 + "/cash-ins/" + payment.TransactionID + "/pay", "", 404, "no transaction"},
		"no resource":              {"GET", v1, "", 404, "openapi.json"},
		"a directory":              {"GET", "/_sandbox/page/", "", 404, "openapi.json"},
		"a file outside the page":  {"GET", "/_sandbox/page/..%2fpage.go", "", 404, "openapi.json"},
		"a parameter too many":     {"GET", v1 + "/cash-outs?reference=order-1", "", 400, `there is no parameter "reference": there is externalReference`},
		"a parameter of none":      {"GET", v1 + "/state?x=1", "", 400, "takes none"},
		"a parameter twice":        {"GET", v1 + "/cash-outs?externalReference=a&externalReference=b", "", 400, "twice"},
		"a query in shreds":        {"GET", v1 + "/cash-outs?externalReference=%zz", "", 400, "escape"},
		"a change by GET":          {"GET", pay, "", 405, "use POST"},
		"a change by HEAD":         {"HEAD", pay, "", 405, ""},
		"a change by PUT":          {"PUT", pay, "{}", 405, "use POST"},
		"a read by POST":           {"POST", v1 + "/state", "{}", 405, "use GET or HEAD"},
		"a read by DELETE":         {"DELETE", v1 + "/cash-ins/" + charge.TransactionID, "", 405, "use GET or HEAD"},
		"OPTIONS":                  {"OPTIONS", pay, "", 405, "use POST"},
		"an unknown method":        {"BREW", v1 + "/reset", "", 405, "use POST"},

		"a repeated member":       {"POST", pay, `{"amount":1,"amount":2}`, 400, `"amount" occurs twice`},
		"another case":            {"POST", pay, `{"Amount":1}`, 400, `no member "Amount"`},
		"a repeated inner member": {"POST", pay, `{"payer":{"name":"a","name":"b"}}`, 400, `"payer.name" occurs twice`},
		"an unknown inner member": {"POST", pay, `{"payer":{"cpf":"1"}}`, 400, "name, document, bankData"},
		"a wrong inner type":      {"POST", pay, `{"payer":{"bankData":[]}}`, 400, "payer.bankData must be a JSON object"},
		"a number as a string":    {"POST", pay, `{"amount":"12.34"}`, 400, "number of reais"},
		"a third of a centavo":    {"POST", pay, `{"amount":0.333}`, 400, "two decimals"},
		"a huge amount":           {"POST", pay, `{"amount":1e300}`, 400, "amount"},
		"an amount above PIX's":   {"POST", pay, `{"amount":99999999999999}`, 400, "amount must be from"},
		"a negative amount":       {"POST", pay, `{"amount":-0.01}`, 400, "amount must be from"},
		"an amount of zero":       {"POST", pay, `{"amount":0}`, 400, "leave it out"},
		"null":                    {"POST", pay, `{"amount":null}`, 400, "leave it out"},
		"a NUL":                   {"POST", pay, "\x00", 400, "JSON object"},
		"no UTF-8":                {"POST", pay, "{\"payer\":{\"name\":\"\xff\"}}", 400, "UTF-8"},
		"half an object":          {"POST", pay, `{"payer":{"name":"a"}`, 400, "one JSON object"},
		"an array":                {"POST", pay, `[]`, 400, "JSON object"},
		"deep arrays":             {"POST", pay, strings.Repeat("[", 100_000), 400, "JSON object"},
		"deep objects":            {"POST", pay, strings.Repeat(`{"payer":`, 100_000), 400, "JSON object"},
		"an unwanted member":      {"POST", v1 + "/reset", `{"now":true}`, 400, "takes none"},
		"a huge unknown member":   {"POST", pay, `{"` + strings.Repeat("a", 1_000_000) + `":1}`, 400, "no member"},
		"a huge body":             {"POST", pay, `{"payer":{"name":"` + strings.Repeat("a", 16<<20) + `"}}`, 413, "16 MiB"},

		"a return of zero":         {"POST", give, `{"amount":0}`, 400, "at least R$ 0.01"},
		"a return of too much":     {"POST", give, `{"amount":12.35}`, 400, "only R$ 12.34"},
		"a return without money":   {"POST", give, ``, 409, "balance is too low"},
		"nothing to contradict":    {"POST", v1 + "/cash-outs/" + payment.TransactionID + "/contradict", "", 409, "PROCESSING"},
		"back in time":             {"POST", v1 + "/clock/advance", `{"seconds":-1}`, 400, "restore an earlier snapshot or reset"},
		"beyond time":              {"POST", v1 + "/clock/advance", `{"seconds":3162240001}`, 400, "at most"},
		"a missing member":         {"POST", v1 + "/clock/advance", "", 400, `"seconds" is missing: the members are seconds`},
		"half a second":            {"POST", v1 + "/clock/advance", `{"seconds":0.5}`, 400, "an integer"},
		"half the balances":        {"POST", v1 + "/balances", `{"transactionalBalance":1}`, 400, `"proprietaryBalance" is missing`},
		"a negative balance":       {"POST", v1 + "/balances", `{"transactionalBalance":-1,"proprietaryBalance":0}`, 400, "balance must be from"},
		"a negative lifetime":      {"POST", v1 + "/keys/lifetime", `{"seconds":-1}`, 400, "negative"},
		"time that overflows":      {"POST", v1 + "/clock/advance", `{"seconds":-18446744073}`, 400, "at least 0"},
		"a latency that overflows": {"POST", v1 + "/latency", `{"milliseconds":-18446744073710}`, 400, "at least 0"},
		"a latency beyond limits":  {"POST", v1 + "/latency", `{"milliseconds":18446744073710}`, 400, "at most"},
		"a part of nothing":        {"POST", give, `{"amount":0}`, 400, "at least R$ 0.01"},
		"a part of null":           {"POST", give, `{"amount":null}`, 400, "leave it out"},
		"a payment of nothing":     {"POST", pay, `{"amount":0}`, 400, "leave it out"},
		"a payment of null":        {"POST", pay, `{"amount":null}`, 400, "leave it out"},
		"a page that is no UTF-8":  {"GET", "/_sandbox/page/%ff", "", 404, "openapi.json"},
		"a lifetime for ever":      {"POST", v1 + "/keys/lifetime", `{"seconds":9223372036854775807}`, 400, "at most"},
		"a latency for ever":       {"POST", v1 + "/latency", `{"milliseconds":9223372036854775807}`, 400, "at most"},
		"unique as a text":         {"POST", v1 + "/references", `{"unique":"false"}`, 400, "true or false"},
		"no repetition":            {"POST", v1 + "/transactions/" + charge.TransactionID + "/redeliver", `{"times":0}`, 400, "from 1 to 1000"},
		"no such fault":            {"POST", v1 + "/faults", `{"operation":"getBalance","faults":["Hang","Bang"]}`, 400, `"Bang"`},
		"a fault of another kind":  {"POST", v1 + "/faults", `{"operation":"getBalance","faults":["Hang","LoseWebhook"]}`, 400, "no fault of getBalance"},
		"every zeroth":             {"POST", v1 + "/faults/every", `{"operation":"getBalance","n":0,"fault":"Hang"}`, 400, "at least 1"},
		"more than certain":        {"POST", v1 + "/faults/probability", `{"operation":"getBalance","probability":1.5,"fault":"Hang"}`, 400, "at most 1"},
		"a probability as a text":  {"POST", v1 + "/faults/probability", `{"operation":"getBalance","probability":"1","fault":"Hang"}`, 400, "a number"},
		"a webhook for no one":     {"POST", v1 + "/webhooks/send", `{"url":"file:///etc/passwd","body":{}}`, 400, "http or https"},
		"a webhook of nothing":     {"POST", v1 + "/webhooks/send", `{"url":"http://127.0.0.1:9/"}`, 400, `"body" is missing`},
		"an unreadable snapshot":   {"POST", v1 + "/restore", `{"version":1,"charges":[null]}`, 400, "snapshot"},
		"an empty snapshot":        {"POST", v1 + "/restore", ``, 400, "no snapshot"},
		"a long operation":         {"POST", v1 + "/faults", `{"operation":"` + strings.Repeat("a", 1_000_000) + `","faults":[]}`, 400, "no operation"},
		"a fault that never recur": {"POST", v1 + "/faults/every", `{"operation":"getBalance","n":2,"fault":"None"}`, 400, "no fault that recurs"},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.snapshot()
			response, body := s.send(c.method, c.target, c.body)
			assert.Equal(t, c.status, response.StatusCode, "%.300s", body)
			assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
			assert.Equal(t, c.status == http.StatusMethodNotAllowed, response.Header.Get("Allow") != "")
			if c.method != http.MethodHead {
				var problem struct{ Error string }
				require.NoError(t, json.Unmarshal([]byte(body), &problem), "%.300s", body)
				assert.Contains(t, problem.Error, c.says)
				assert.Equal(t, 1, strings.Count(body, "\n"), "one line")
				assert.Less(t, len(body), 1000)
			}
			assert.Equal(t, before, s.snapshot(), "nothing has changed")
		})
	}
}

func TestEveryReadHasAHEAD(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/", "/healthz", "/readyz", "/_sandbox/openapi.json", "/_sandbox/v1/state", "/_sandbox/v1/events", "/_sandbox/page/app.js"} {
		response, body := s.send("HEAD", path, "")
		assert.Equal(t, 200, response.StatusCode, path)
		assert.Empty(t, body)
	}
}

func TestAReturnInPartsStatesHowMuchHasBeenReturned(t *testing.T) {
	s := start(t)
	charge, payment := s.charge("order-1", ""), s.pay("withdrawal-1")
	_, result := s.call("POST", "/cash-ins/"+charge.TransactionID+"/pay", "")
	assert.NotContains(t, result, "returnedAmount")
	_, result = s.call("POST", "/cash-outs/"+payment.TransactionID+"/complete", "")
	assert.NotContains(t, result, "returnedAmount")
	for _, returned := range []float64{2, 4} {
		_, result = s.call("POST", "/cash-ins/"+charge.TransactionID+"/return", `{"amount":2}`)
		assert.Equal(t, []any{12.34, returned}, []any{result["amount"], result["returnedAmount"]})
		_, result = s.call("POST", "/cash-outs/"+payment.TransactionID+"/return", `{"amount":2}`)
		assert.Equal(t, []any{5.0, returned}, []any{result["amount"], result["returnedAmount"]})
	}
	_, state := s.call("GET", "/state", "")
	assert.Equal(t, 4.0, state["cashIns"].([]any)[0].(map[string]any)["returnedAmount"])
	_, result = s.call("POST", "/cash-ins/"+charge.TransactionID+"/pay", "")
	assert.NotContains(t, result, "returnedAmount", "of the second payment")
	_, err := s.gateway.Returned("nothing")
	assert.ErrorIs(t, err, sandbox.ErrNotFound)
}

func TestAnEarlierPaymentFindsItsChargeOverHTTP(t *testing.T) {
	s := start(t)
	charge := s.charge("order-1", "")
	_, first := s.call("POST", "/cash-ins/"+charge.TransactionID+"/pay", "")
	earlier := url.PathEscape(first["endToEndId"].(string))
	status, second := s.call("POST", "/cash-ins/"+earlier+"/pay", `{"amount":1}`)
	assert.Equal(t, 200, status)
	assert.NotEqual(t, first["endToEndId"], second["endToEndId"])
	status, found := s.call("GET", "/cash-ins/"+earlier, "")
	assert.Equal(t, 200, status)
	assert.Equal(t, second, found)
	assert.Equal(t, string(connectpsp.CashInPaid), found["status"])
}
