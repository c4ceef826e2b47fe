package contract

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAGoodExchangeIsNoFinding(t *testing.T) {
	tests := map[string]exchange{
		"get": getting(), "create": creating(), "refund": refunding(), "authenticate": authenticating(),
	}
	escaped := getting()
	escaped.target = "/cash-in/a%2Fb"
	tests["escaped id"] = escaped
	problem := getting()
	problem.status, problem.contentType = 404, "application/problem+json; charset=utf-8"
	problem.answer = `{"title":"Not Found","status":404,"code":"NOT_FOUND"}`
	tests["problem"] = problem
	null := getting()
	null.answer = strings.Replace(cashIn, `"status"`, `"endToEndId":null,"paidAt":null,"pixData":null,"status"`, 1)
	tests["null where allowed"] = null
	dated := getting()
	dated.target, dated.answer = "/account/balance?date=2026-03-10", `{"currency":"BRL","referenceDate":"2026-03-10",`+
		`"consolidated":{"totalBalance":1,"transactionalBalance":1,"proprietaryBalance":0},"banks":[],"updatedAt":"2026-03-10T14:35:00Z"}`
	tests["declared query parameter"] = dated
	withoutKey := creating()
	withoutKey.header = identified("Content-Type", jsonType)
	tests["without the optional key"] = withoutKey
	for name, e := range tests {
		t.Run(name, func(t *testing.T) {
			checker, found := recording(t)
			w := httptest.NewRecorder()
			checker.Middleware(e).ServeHTTP(w, e.request())
			assert.Empty(t, found.all)
			checker.Requests(e).ServeHTTP(httptest.NewRecorder(), e.request())
			assert.Empty(t, found.all)
		})
	}
}

func TestABreachInTheRequestIsAFinding(t *testing.T) {
	with := func(e exchange, name string, values ...string) exchange {
		e.header = e.header.Clone()
		delete(e.header, http.CanonicalHeaderKey(name))
		for _, value := range values {
			e.header.Add(name, value)
		}
		return e
	}
	sending := func(e exchange, body string) exchange {
		e.body = body
		return e
	}
	to := func(e exchange, method, target string) exchange {
		e.method, e.target = method, target
		return e
	}
	tests := map[string]struct {
		exchange exchange
		want     string
	}{
		"no ApplicationToken":           {with(getting(), "ApplicationToken"), `"ApplicationToken" in header`},
		"empty ApplicationToken":        {with(getting(), "ApplicationToken", ""), `"ApplicationToken" in header`},
		"malformed ApplicationToken":    {with(getting(), "ApplicationToken", "no-uuid"), `"ApplicationToken" in header`},
		"two ApplicationTokens":         {with(getting(), "ApplicationToken", key, key), "comes 2 times"},
		"no bearer":                     {with(getting(), "Authorization"), "bearer"},
		"empty bearer":                  {with(getting(), "Authorization", "Bearer "), "bearer"},
		"bearer in small letters":       {with(getting(), "Authorization", "bearer a.b.c"), "bearer"},
		"bearer with a line in it":      {with(getting(), "Authorization", "Bearer a b"), "bearer"},
		"basic":                         {with(getting(), "Authorization", "Basic YTpi"), "bearer"},
		"two bearers":                   {with(getting(), "Authorization", "Bearer a", "Bearer b"), "comes 2 times"},
		"no DigitalSignature":           {with(refunding(), "DigitalSignature"), `"DigitalSignature" in header`},
		"short DigitalSignature":        {with(refunding(), "DigitalSignature", "abcd"), `"DigitalSignature" in header`},
		"DigitalSignature in capitals":  {with(refunding(), "DigitalSignature", strings.ToUpper(signature)), `"DigitalSignature" in header`},
		"malformed key":                 {with(creating(), "X-Idempotency-Key", "order-1"), `"X-Idempotency-Key" in header`},
		"empty key":                     {with(creating(), "X-Idempotency-Key", ""), `"X-Idempotency-Key" in header`},
		"no content type":               {with(creating(), "Content-Type"), "Content-Type"},
		"wrong content type":            {with(creating(), "Content-Type", "text/plain"), "Content-Type"},
		"no body":                       {sending(creating(), ""), "required but missing"},
		"broken body":                   {sending(creating(), "{"), "request body"},
		"missing member":                {sending(creating(), `{"amount":1,"externalReference":"r"}`), "payer"},
		"amount as text":                {sending(creating(), strings.Replace(request, "1.5", `"1.5"`, 1)), "/amount"},
		"amount below a centavo":        {sending(creating(), strings.Replace(request, "1.5", "0.001", 1)), "/amount"},
		"document with dots":            {sending(creating(), strings.Replace(request, "12345678909", "123.456.789-09", 1)), "/payer/document"},
		"null where not allowed":        {sending(creating(), strings.Replace(request, `"r"`, "null", 1)), "/externalReference"},
		"read-only member":              {sending(creating(), strings.Replace(request, `"name"`, `"bankData":{},"name"`, 1)), "bankData"},
		"unknown reason":                {sending(refunding(), `{"reason":"WHY_NOT"}`), "/reason"},
		"unknown path":                  {to(getting(), "GET", "/cash-ins/t1"), "no matching operation"},
		"unknown method":                {to(getting(), "DELETE", "/cash-in/t1"), "method not allowed"},
		"undeclared query parameter":    {to(getting(), "GET", "/cash-in/t1?verbose=1"), `"verbose" is not declared`},
		"malformed query parameter":     {to(getting(), "GET", "/account/balance?date=10/03/2026"), `"date" in query`},
		"body where there is none":      {sending(getting(), "{}"), "body not allowed"},
		"body that is much too long":    {sending(creating(), strings.Repeat(" ", bodyLimit)+request), "longer than"},
		"clientId as a number":          {sending(authenticating(), `{"clientId":1,"clientSecret":"s"}`), "/clientId"},
		"no ApplicationToken on refund": {with(refunding(), "ApplicationToken"), `"ApplicationToken" in header`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			checker, found := recording(t)
			checker.Requests(test.exchange).ServeHTTP(httptest.NewRecorder(), test.exchange.request())
			require.NotEmpty(t, found.all)
			assert.Contains(t, found.text(), test.want)

			checker, found = recording(t)
			checker.Middleware(test.exchange).ServeHTTP(httptest.NewRecorder(), test.exchange.request())
			assert.Contains(t, found.text(), test.want)
		})
	}
}

func TestABodyOfUnknownLengthIsNoticed(t *testing.T) {
	checker, found := recording(t)
	e := getting()
	e.body = "{}"
	r := e.request()
	r.ContentLength = -1
	checker.Requests(e).ServeHTTP(httptest.NewRecorder(), r)
	assert.Contains(t, found.text(), "body not allowed")
}

func TestABreachInTheResponseIsAFinding(t *testing.T) {
	answering := func(status int, contentType, answer string) exchange {
		e := getting()
		e.status, e.contentType, e.answer = status, contentType, answer
		return e
	}
	accepted := creating()
	accepted.status = 202
	tests := map[string]struct {
		exchange exchange
		want     string
	}{
		"undeclared status":             {accepted, "response 202"},
		"undeclared 5xx":                {answering(502, "text/html", "<html>"), "response 502"},
		"redirect":                      {answering(307, jsonType, ""), "not declared"},
		"wrong content type":            {answering(200, "text/html", cashIn), "Content-Type"},
		"problem with another type":     {answering(404, jsonType, `{"title":"t","status":404,"code":"C"}`), "Content-Type"},
		"problem without a code":        {answering(404, "application/problem+json", `{"title":"t","status":404}`), "code"},
		"empty":                         {answering(200, jsonType, ""), "decode"},
		"broken":                        {answering(200, jsonType, "{"), "decode"},
		"array":                         {answering(200, jsonType, "["+cashIn+"]"), "must be an object"},
		"missing member":                {answering(200, jsonType, `{"transactionId":"t1"}`), "internalCode"},
		"amount as text":                {answering(200, jsonType, strings.Replace(cashIn, "1.5", `"1.5"`, 1)), "/amount"},
		"unknown status":                {answering(200, jsonType, strings.Replace(cashIn, "PAID", "SETTLED", 1)), "/status"},
		"null where not allowed":        {answering(200, jsonType, strings.Replace(cashIn, `"PAID"`, "null", 1)), "/status"},
		"date without a time":           {answering(200, jsonType, strings.Replace(cashIn, `"status"`, `"paidAt":"2026-03-10","status"`, 1)), "/paidAt"},
		"nested member of another type": {answering(200, jsonType, strings.Replace(cashIn, `"n"`, "1", 1)), "/payer/name"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			checker, found := recording(t)
			checker.Middleware(test.exchange).ServeHTTP(httptest.NewRecorder(), test.exchange.request())
			require.NotEmpty(t, found.all)
			assert.Contains(t, found.text(), test.want)

			checker, found = recording(t)
			checker.Requests(test.exchange).ServeHTTP(httptest.NewRecorder(), test.exchange.request())
			assert.Empty(t, found.all, "Requests looks at no answer")
		})
	}
}

func TestFindingsRepeatNoValue(t *testing.T) {
	checker, found := recording(t)
	e := creating()
	e.header.Set("ApplicationToken", "a-very-secret-token")
	e.header.Set("Authorization", "Basic c2VjcmV0")
	e.body = strings.Replace(request, "12345678909", "529.982.247-25", 1)
	e.answer = strings.Replace(cashIn, "12345678909", "529.982.247-25", 1)
	checker.Middleware(e).ServeHTTP(httptest.NewRecorder(), e.request())
	require.Len(t, found.all, 2)
	for _, value := range []string{"a-very-secret-token", "c2VjcmV0", "529.982.247-25"} {
		assert.NotContains(t, found.text(), value)
	}
}

func TestTrafficPassesThroughUnchanged(t *testing.T) {
	for name, wrap := range map[string]func(*Checker, http.Handler) http.Handler{
		"Middleware": (*Checker).Middleware, "Requests": (*Checker).Requests,
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{0, 1, bodyLimit, bodyLimit + 1, 3 * bodyLimit} {
				checker, _ := recording(t)
				sent := strings.Repeat("x", size)
				var got string
				handler := wrap(checker, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					assert.NoError(t, err)
					got = string(body)
					w.Header()["X-Two"] = []string{"1", "2"}
					w.WriteHeader(418)
					_, _ = io.WriteString(w, "answer")
				}))
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/cash-in", strings.NewReader(sent)))
				assert.Equal(t, sent, got)
				assert.Equal(t, 418, w.Code)
				assert.Equal(t, []string{"1", "2"}, w.Header()["X-Two"])
				assert.Equal(t, "answer", w.Body.String())
			}
		})
	}
}

func TestAnAbortedResponseIsNotChecked(t *testing.T) {
	checker, found := recording(t)
	abort := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(502)
		panic(http.ErrAbortHandler)
	})
	for _, handler := range []http.Handler{checker.Middleware(abort), checker.Requests(abort)} {
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
			handler.ServeHTTP(httptest.NewRecorder(), getting().request())
		})
	}
	assert.Empty(t, found.all)
}

func TestRequestsLetsAHandlerHijack(t *testing.T) {
	checker, found := recording(t)
	server := httptest.NewServer(checker.Requests(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			_ = connection.Close()
		}
	})))
	defer server.Close()
	r, err := http.NewRequest(http.MethodPost, server.URL+"/cash-in", strings.NewReader(request))
	require.NoError(t, err)
	r.Header = creating().header
	_, err = server.Client().Do(r)
	require.Error(t, err)
	assert.Empty(t, found.all)
}

// brokenBody gives a part of a request and then fails, as the connection of a client that goes away
// does.
type brokenBody struct{ io.Reader }

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestHalfARequestIsNoFindingAndFailsInTheHandler(t *testing.T) {
	checker, found := recording(t)
	handler := checker.Requests(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}))
	r := creating().request()
	r.Body = io.NopCloser(brokenBody{strings.NewReader(request[:20])})
	handler.ServeHTTP(httptest.NewRecorder(), r)
	assert.Empty(t, found.all)
}

func TestWebhookChecksTheEventThatTheTypeNames(t *testing.T) {
	event := func(kind, data string) string {
		return fmt.Sprintf(`{"eventType":%q,"eventAt":"2026-03-10T11:22:18Z","data":%s}`, kind, data)
	}
	bank := strings.Replace(cashIn, `"name"`, `"bankData":{"ispb":"00000000"},"name"`, 1)
	tests := map[string]struct{ body, want string }{
		"cash-in":                  {event("CASHIN_PAID", cashIn), ""},
		"the account that paid":    {event("CASHIN_PAID", bank), ""},
		"cash-out":                 {event("CASHOUT_COMPLETED", `{"transactionId":"`+key+`"}`), ""},
		"cash-out without a uuid":  {event("CASHOUT_COMPLETED", `{"transactionId":"t1"}`), "/data/transactionId"},
		"cash-in in a cash-out":    {event("CASHOUT_FAILED", cashIn), "/data/transactionId"},
		"cash-out in a cash-in":    {event("CASHIN_PAID", `{"transactionId":"`+key+`"}`), "internalCode"},
		"unknown cash-in type":     {event("CASHIN_LOST", cashIn), "/eventType"},
		"unknown type":             {event("PING", cashIn), "/eventType"},
		"type of another kind":     {`{"eventType":1}`, "webhook"},
		"date without a time":      {strings.Replace(event("CASHIN_PAID", cashIn), "T11:22:18Z", "", 1), "/eventAt"},
		"null where not allowed":   {event("CASHIN_PAID", "null"), "/data"},
		"no JSON":                  {"x", "webhook"},
		"more than one JSON value": {event("CASHIN_PAID", cashIn) + "{}", "webhook"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			checker, found := recording(t)
			checker.Webhook([]byte(test.body))
			if test.want == "" {
				assert.Empty(t, found.all)
				return
			}
			require.NotEmpty(t, found.all)
			assert.Contains(t, found.text(), test.want)
		})
	}
}

func TestADescriptionWithoutEventsStillChecksTheirData(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "description.yaml"))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "api.yaml")
	without, _, found := strings.Cut(string(text), "    CashInEvent:\n")
	require.True(t, found)
	require.NoError(t, os.WriteFile(file, []byte(without), 0o600))
	findings := new(findings)
	checker, err := Open(file, findings.add)
	require.NoError(t, err)
	checker.Webhook([]byte(`{"eventType":"CASHIN_PAID","data":` + cashIn + `}`))
	assert.Empty(t, findings.all)
	checker.Webhook([]byte(`{"eventType":"CASHOUT_COMPLETED","data":{"transactionId":"t1"}}`))
	assert.Contains(t, findings.text(), "/transactionId")
}

func TestOperationsAreReadThroughReferences(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "description.yaml"))
	require.NoError(t, err)
	api, err := Read(text)
	require.NoError(t, err)
	var operations []string
	for _, o := range api.Operations {
		operations = append(operations, fmt.Sprintf("%s %s public=%t signed=%t keyed=%t", o.ID, o.Name(), o.Public, o.Signed, o.Keyed))
	}
	assert.Equal(t, []string{
		"getBalance GET /account/balance public=false signed=false keyed=false",
		"rebalanceAccount POST /account/rebalance public=false signed=true keyed=false",
		"authToken POST /auth/token public=true signed=false keyed=false",
		"createCashIn POST /cash-in public=false signed=false keyed=true",
		"getCashIn GET /cash-in/{} public=false signed=false keyed=false",
		"refundCashIn POST /cash-in/{}/refund public=false signed=true keyed=true",
		"createCashOut POST /cash-out public=false signed=true keyed=true",
		"getCashOut GET /cash-out/{} public=false signed=false keyed=false",
	}, operations)
}

// fakeT is a test that only takes notes.
type fakeT struct {
	testing.TB
	errors   int
	cleanups []func()
}

func (f *fakeT) Helper()               {}
func (f *fakeT) Errorf(string, ...any) { f.errors++ }
func (f *fakeT) Cleanup(fn func())     { f.cleanups = append(f.cleanups, fn) }

func TestAFindingFailsTheTestUntilItEnds(t *testing.T) {
	fake := new(fakeT)
	checker := New(fake)
	checker.Webhook([]byte("x"))
	assert.Equal(t, 1, fake.errors)
	for _, fn := range fake.cleanups {
		fn()
	}
	checker.Webhook([]byte("x"))
	assert.Equal(t, 1, fake.errors)
}

func TestADescriptionThatIsNotValidIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"missing": "",
		"no YAML": "{",
		"invalid": "openapi: 3.0.3\ninfo: {title: x, version: '1'}\npaths: {/a: {get: {}}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "api.yaml")
			if text != "" {
				require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			}
			_, err := Open(file, func(error) {})
			assert.Error(t, err)
		})
	}
}

// OpenAPI 3.1 is judged by other code than 3.0.
func TestNoFindingShowsAValueInOpenAPI31Either(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "description.yaml"))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "description.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.NewReplacer("openapi: 3.0.3", "openapi: 3.1.0", "nullable: true", "",
		"    CashIn:\n", "    CashIn:\n      if: {required: [nothing]}\n      then: {required: [status]}\n").Replace(string(text))), 0o600))
	found := new(findings)
	checker, err := Open(file, found.add)
	require.NoError(t, err)
	for _, answer := range []string{
		strings.Replace(cashIn, `"12345678909"`, `"canary"`, 1),
		strings.Replace(cashIn, `"12345678909"`, `{"canary":1}`, 1),
		strings.Replace(cashIn, `"PAID"`, `"canary"`, 1),
		strings.Replace(cashIn, `"PAID"`, `"ON_HOLD"`, 1),
		strings.Replace(cashIn, `1.5`, `"canary"`, 1),
		strings.Replace(cashIn, `"amount"`, `"requestedAt":"canary","amount"`, 1),
	} {
		before := len(found.all)
		e := getting()
		e.answer = answer
		checker.Middleware(e).ServeHTTP(httptest.NewRecorder(), e.request())
		assert.Greater(t, len(found.all), before, answer)
	}
	before := len(found.all)
	checker.Webhook([]byte(`{"eventType":"CASHIN_PAID","eventAt":"2026-01-01T00:00:00Z","data":` + strings.Replace(cashIn, `"12345678909"`, `"canary"`, 1) + "}"))
	checker.Webhook([]byte(`{"eventType":"canary","eventAt":"2026-01-01T00:00:00Z","data":` + strings.Replace(cashIn, `1.5`, `"canary"`, 1) + "}"))
	assert.Greater(t, len(found.all), before+1)
	assert.NotContains(t, found.text(), "canary")
	assert.Contains(t, found.text(), "/payer/document: it is not as pattern says")
	assert.Contains(t, found.text(), "/status: it is not as enum says, and not ON_HOLD")
}

// Headers that authenticate may be declared as what secures an operation, too.
func TestKeysAreCheckedWhereTheyAreWhatSecuresAnOperation(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "description.yaml"))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "description.yaml")
	changed := []byte(strings.NewReplacer(
		"        - $ref: '#/components/parameters/ApplicationToken'\n", "",
		"        - $ref: '#/components/parameters/DigitalSignature'\n", "",
		"  - bearerAuth: []\n", "  - bearerAuth: []\n    key: []\n    signature: []\n",
		"  securitySchemes:\n", "  securitySchemes:\n    key: {type: apiKey, in: header, name: ApplicationToken}\n"+
			"    signature: {type: apiKey, in: header, name: DigitalSignature}\n",
	).Replace(string(text)))
	require.NoError(t, os.WriteFile(file, changed, 0o600))
	found := new(findings)
	checker, err := Open(file, found.add)
	require.NoError(t, err)
	api, err := Read(changed)
	require.NoError(t, err)
	for _, operation := range api.Operations {
		assert.Equal(t, operation.ID != "authToken", operation.Signed, operation.ID)
	}
	e := getting()
	e.header.Set("DigitalSignature", signature)
	checker.Middleware(e).ServeHTTP(httptest.NewRecorder(), e.request())
	assert.Empty(t, found.all)
	e.header.Del("ApplicationToken")
	checker.Middleware(e).ServeHTTP(httptest.NewRecorder(), e.request())
	assert.Contains(t, found.text(), "ApplicationToken")
}
