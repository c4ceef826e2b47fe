package connectpsp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// gateway is a fake gateway that answers request n with step n, and any further one with the last
// step. It records the requests, checks each against the description, and issues tokens by itself.
type gateway struct {
	t       testing.TB
	handler http.Handler

	mu       sync.Mutex
	steps    []http.HandlerFunc
	tokens   int
	received []request
}

// request is a request that the gateway received, other than for a token.
type request struct {
	method, path string
	header       http.Header
	body         string
}

func newGateway(t testing.TB, steps ...http.HandlerFunc) *gateway {
	g := &gateway{t: t, steps: steps}
	g.handler = contract.New(t).Requests(http.HandlerFunc(g.serve))
	return g
}

func (g *gateway) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/auth/token" {
		g.mu.Lock()
		g.tokens++
		n := g.tokens
		g.mu.Unlock()
		tokenAnswer(fmt.Sprintf("header.payload-%d.signature", n), 3600)(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.mu.Lock()
	n := len(g.received)
	g.received = append(g.received, request{r.Method, r.URL.RequestURI(), r.Header.Clone(), string(body)})
	steps := g.steps
	g.mu.Unlock()
	if len(steps) == 0 {
		g.t.Errorf("a request that nothing was expected of: %s %s", r.Method, r.URL.Path)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	steps[min(n, len(steps)-1)](w, r)
}

func (g *gateway) requests() []request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.received
}

func (g *gateway) tokenRequests() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tokens
}

// client returns a client of the gateway over a real socket, with retry delays of milliseconds.
func (g *gateway) client(options ...connectpsp.Option) *connectpsp.Client {
	server := httptest.NewServer(g.handler)
	g.t.Cleanup(server.Close)
	return newClient(g.t, server.URL, options...)
}

func newClient(t testing.TB, url string, options ...connectpsp.Option) *connectpsp.Client {
	quick := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{BaseDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond})
	client, err := connectpsp.New(config(url), append([]connectpsp.Option{quick}, options...)...)
	require.NoError(t, err)
	return client
}

// inMemory is a transport without sockets, for tests in virtual time. It calls the hook
// WroteHeaders as net/http does.
type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
		trace.WroteHeaders()
	}
	received := r.Clone(r.Context())
	if r.Body == nil {
		received.Body = http.NoBody // as a server has it
	}
	recorder := httptest.NewRecorder()
	m.handler.ServeHTTP(recorder, received)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// memoryClient returns a client of the gateway without sockets, with the default retry policy.
func (g *gateway) memoryClient(options ...connectpsp.Option) *connectpsp.Client {
	client, err := connectpsp.New(config(memoryURL), append([]connectpsp.Option{memory(g)}, options...)...)
	require.NoError(g.t, err)
	return client
}

func reply(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func replyJSON(status int, body string) http.HandlerFunc {
	return reply(status, "application/json", body)
}

func problem(status int, code string) http.HandlerFunc {
	body, _ := json.Marshal(map[string]any{
		"type": "https://connect-psp.redocly.app/errors/x", "title": "A title", "status": status, "code": code,
		"detail": "Payee 529.982.247-25 was refused.",
	})
	return reply(status, "application/problem+json", string(body))
}

func html(status int) http.HandlerFunc {
	return reply(status, "text/html", "<html><body>proxy</body></html>")
}

func tokenAnswer(token string, expiresIn int) http.HandlerFunc {
	return replyJSON(200, `{"accessToken":"`+token+`","tokenType":"Bearer","expiresIn":`+strconv.Itoa(expiresIn)+
		`,"issuedAt":"2026-03-10T14:00:00Z"}`)
}

func retryAfter(value string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", value)
		next(w, r)
	}
}

// drop closes the connection without a response.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// cut sends half of a response.
func cut(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body[:len(body)/2])
		_ = http.NewResponseController(w).Flush() // else nothing of it leaves
		panic(http.ErrAbortHandler)
	}
}

func redirect(status int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(status)
	}
}

// silence sends no response until the client goes away.
func silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

const (
	cashOutID        = "0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11"
	cashInID         = "kk6g232xel65a0daee4dd13kk2912714964"
	cashOutAccepted  = `{"transactionId":"` + cashOutID + `","externalReference":"withdrawal-42","status":"PROCESSING","amount":50.00}`
	cashOutCompleted = `{"transactionId":"` + cashOutID + `","externalReference":"withdrawal-42","status":"COMPLETED","amount":50.00}`
	cashInAccepted   = `{"transactionId":"` + cashInID + `","internalCode":"US7B1JQ","externalReference":"order-1",` +
		`"status":"AWAITING_PAYMENT","amount":10.50,"payer":{"name":"Test User","document":"12345678909"},` +
		`"pixData":{"copyAndPaste":"000201","qrCodeImageBase64":"iVBORw0KGgo="},"requestedAt":"2026-03-10T11:20:00-03:00"}`
	refundAccepted = `{"transactionId":"` + cashInID + `","internalCode":"US7B1JQ","externalReference":"order-1",` +
		`"endToEndId":"D1393589320260310183012345678901"}`
	balanceAnswer = `{"currency":"BRL","referenceDate":"2026-03-10","consolidated":{"totalBalance":1500000,` +
		`"transactionalBalance":500000,"proprietaryBalance":1000000},"banks":[],"updatedAt":"2026-03-10T14:35:00Z"}`
)

func cashInWithStatus(status string) string {
	return `{"transactionId":"` + cashInID + `","internalCode":"US7B1JQ","externalReference":"order-1","status":"` + status +
		`","amount":10.50,"endToEndId":"D1393589320260310183012345678901","originalEndToEndId":"E00416968202603101827cemeFscF6AG",` +
		`"payer":{"name":"Test User","document":"12345678909"}}`
}

// steps returns a step n times, and then another.
func steps(n int, step, last http.HandlerFunc) []http.HandlerFunc {
	var all []http.HandlerFunc
	for range n {
		all = append(all, step)
	}
	return append(all, last)
}

// raw sends the bytes of answer and closes the connection.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the answer is lost with the connection
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(connection, answer)
		_ = connection.Close()
	}
}

// echo responds with everything that was sent to it, as a hostile or careless gateway might.
func echo(status int, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sent := fmt.Sprint(r.Header, " 12345678909 maria@example.com Maria Silva ")
		body, _ := json.Marshal(map[string]any{"type": sent, "title": sent, "status": status, "code": sent, "detail": sent, "transactionId": sent})
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Location", "https://elsewhere.example/?a="+applicationToken)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}
