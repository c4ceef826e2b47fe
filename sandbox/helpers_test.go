package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
)

// token is the response to a token request, and problem that to a refused request.
type (
	token struct {
		AccessToken, TokenType string
		ExpiresIn              int
		IssuedAt               time.Time
	}
	problem struct {
		Type, Title  string
		Status       int
		Code, Detail string
	}
)

// gateway is a sandbox with a plain client that has a token.
type gateway struct {
	*sandbox.Sandbox
	t     *testing.T
	token string
}

// start returns a gateway whose requests and answers are checked against the description.
func start(t *testing.T, opts ...sandbox.Option) *gateway {
	t.Helper()
	checked := sandbox.WithMiddleware(contract.New(t).Middleware)
	return startUnchecked(t, append([]sandbox.Option{checked}, opts...)...)
}

// startUnchecked is for requests that are against the description on purpose.
func startUnchecked(t *testing.T, opts ...sandbox.Option) *gateway {
	t.Helper()
	s, err := sandbox.Start(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	g := &gateway{Sandbox: s, t: t}
	g.token = g.newToken()
	return g
}

func (g *gateway) newToken() string {
	g.t.Helper()
	var token token
	credentials := fmt.Sprintf(`{"clientId":%q,"clientSecret":%q}`,
		g.Config().ClientID, g.Config().ClientSecret.Reveal())
	g.post("/auth/token", credentials).into(200, &token)
	return token.AccessToken
}

// reply is a complete response.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

func (r reply) into(status int, value any) {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s", r.body)
	require.Equal(r.t, "application/json", r.header.Get("Content-Type"))
	require.NoError(r.t, json.Unmarshal(r.body, value))
}

// problem asserts that the response is this problem, complete and in the published form.
func (r reply) problem(status int, code string) problem {
	r.t.Helper()
	var told problem
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.DisallowUnknownFields()
	require.NoError(r.t, decoder.Decode(&told), "%s", r.body)
	assert.Equal(r.t, "application/problem+json", r.header.Get("Content-Type"))
	assert.Equal(r.t, status, r.status)
	assert.Equal(r.t, status, told.Status)
	assert.Equal(r.t, code, told.Code)
	kebab := strings.ReplaceAll(strings.ToLower(code), "_", "-")
	assert.Equal(r.t, "https://connect-psp.redocly.app/errors/"+kebab, told.Type)
	assert.Equal(r.t, kebab, strings.ReplaceAll(strings.ToLower(told.Title), " ", "-"))
	assert.NotEmpty(r.t, told.Detail)
	return told
}

// attempt sends a request with all the headers it may need. The edits come last.
func (g *gateway) attempt(method, path, body string, edits ...func(*http.Request)) (reply, error) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// A body of no known type has no GetBody, so the transport does not repeat the request.
	request, err := http.NewRequestWithContext(ctx, method, g.URL()+path, io.NopCloser(strings.NewReader(body)))
	require.NoError(g.t, err)
	request.ContentLength = int64(len(body))
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	} else {
		request.Body, request.ContentLength = nil, 0
	}
	if path != "/auth/token" {
		request.Header.Set("Authorization", "Bearer "+g.token)
		request.Header.Set("ApplicationToken", g.Config().ApplicationToken.Reveal())
	}
	if strings.HasSuffix(path, "/refund") || path == "/cash-out" || path == "/account/rebalance" {
		request.Header.Set("DigitalSignature", signing.Sign(g.Config().CryptoToken.Reveal(), g.token))
	}
	for _, edit := range edits {
		edit(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	received, err := io.ReadAll(response.Body)
	return reply{g.t, response.StatusCode, response.Header, received}, err
}

func (g *gateway) send(method, path, body string, edits ...func(*http.Request)) reply {
	g.t.Helper()
	answer, err := g.attempt(method, path, body, edits...)
	require.NoError(g.t, err)
	return answer
}

func (g *gateway) post(path, body string, edits ...func(*http.Request)) reply {
	g.t.Helper()
	return g.send(http.MethodPost, path, body, edits...)
}

func (g *gateway) get(path string) reply {
	g.t.Helper()
	return g.send(http.MethodGet, path, "")
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

func key(value string) func(*http.Request) { return header("X-Idempotency-Key", value) }

// newCashIn creates a charge of R$ 10.50 whose events go to webhookURL, unless that is empty.
func (g *gateway) newCashIn(reference, webhookURL string) connectpsp.CashIn {
	g.t.Helper()
	var charge connectpsp.CashIn
	g.post("/cash-in", cashInBody(reference, webhookURL)).into(201, &charge)
	return charge
}

func (g *gateway) newCashOut(reference, webhookURL string) connectpsp.CashOut {
	g.t.Helper()
	var payment connectpsp.CashOut
	g.post("/cash-out", cashOutBody(reference, "50.00", webhookURL)).into(202, &payment)
	return payment
}

func cashInBody(reference, webhookURL string) string {
	return fmt.Sprintf(`{"amount":10.50,"externalReference":%q%s,"expirationInMinutes":30,
		"payer":{"name":"Maria Silva","document":"12345678909"}}`, reference, optional("webhookUrl", webhookURL))
}

func cashOutBody(reference, amount, webhookURL string) string {
	return fmt.Sprintf(`{"amount":%s,"externalReference":%q%s,"description":"Withdrawal",
		"payee":{"name":"Maria Silva","document":"12345678909",
			"destination":{"type":"PIX","pixKeyType":"EMAIL","pixKey":"maria@example.com"}}}`,
		amount, reference, optional("webhookUrl", webhookURL))
}

func optional(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf(`,%q:%q`, name, value)
}

// refund accepts the refund of a charge.
func (g *gateway) refund(id string) connectpsp.Refund {
	g.t.Helper()
	var refund connectpsp.Refund
	g.post("/cash-in/"+id+"/refund", `{"reason":"CUSTOMER_REQUEST"}`).into(202, &refund)
	return refund
}

func (g *gateway) cashIn(id string) connectpsp.CashIn {
	g.t.Helper()
	var charge connectpsp.CashIn
	g.get("/cash-in/"+id).into(200, &charge)
	return charge
}

func (g *gateway) cashOut(id string) connectpsp.CashOut {
	g.t.Helper()
	var payment connectpsp.CashOut
	g.get("/cash-out/"+id).into(200, &payment)
	return payment
}

// balances returns the transactional and the proprietary balance in reais.
func (g *gateway) balances() (transactional, proprietary string) {
	g.t.Helper()
	var balance connectpsp.Balance
	g.get("/account/balance").into(200, &balance)
	return balance.Consolidated.TransactionalBalance.String(), balance.Consolidated.ProprietaryBalance.String()
}

func (g *gateway) transactional() string {
	g.t.Helper()
	transactional, _ := g.balances()
	return transactional
}

func (g *gateway) waitWebhooks() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(g.t, g.WaitWebhooks(ctx))
}

// soon receives from a channel, and fails the test if nothing comes within half a minute.
func soon[T any](t *testing.T, from <-chan T) (received T) {
	t.Helper()
	select {
	case received = <-from:
	case <-time.After(30 * time.Second):
		require.FailNow(t, "nothing came")
	}
	return received
}

// receiver records the webhooks that it receives, and answers with statuses in order, then with
// 200.
type receiver struct {
	*httptest.Server
	arrived chan struct{}

	mu       sync.Mutex
	received []received
	statuses []int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.received = append(r.received, received{request.Header, body})
	status := http.StatusOK
	if len(r.statuses) > 0 {
		status, r.statuses = r.statuses[0], r.statuses[1:]
	}
	r.mu.Unlock()
	w.WriteHeader(status)
	r.arrived <- struct{}{}
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T, statuses ...int) *receiver {
	t.Helper()
	r := &receiver{arrived: make(chan struct{}, 1000), statuses: statuses}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}
