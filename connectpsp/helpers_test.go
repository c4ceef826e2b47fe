package connectpsp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
)

const (
	clientID         = "1024"
	clientSecret     = "c1f6a1f0-0000-4000-8000-00005ec7e700"
	applicationToken = "a99b1c3e-1111-4111-8111-0a99110ca710"
	cryptoToken      = "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11"
)

func config(url string) connectpsp.Config {
	return connectpsp.Config{
		ClientID:         clientID,
		ClientSecret:     auth.NewSecret(clientSecret),
		ApplicationToken: auth.NewSecret(applicationToken),
		CryptoToken:      auth.NewSecret(cryptoToken),
		BaseURL:          url,
	}
}

// memoryURL is the address of gateways without sockets.
const memoryURL = "https://gateway.example"

func cashOutRequest() connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount:            pix.Centavos(5000),
		ExternalReference: "withdrawal-42",
		WebhookURL:        "https://merchant.example/webhooks/connectpsp",
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909"),
		},
	}
}

func cashInRequest() connectpsp.CashInRequest {
	return connectpsp.CashInRequest{
		Amount:            pix.Centavos(1050),
		ExternalReference: "order-1",
		Payer:             connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	}
}

const (
	chargeCode  = "US7B1JQ"
	chargeE2E   = "E1393589320260310182712345678901"
	otherCharge = "zz6g232xel65a0daee4dd13kk2912714999"
)

// chargeAnswer is the response of GET /cash-in/{id} for each of the three ids of the charge.
const chargeAnswer = `{"transactionId":"` + cashInID + `","internalCode":"` + chargeCode + `","endToEndId":"` + chargeE2E + `","status":"PAID","amount":10.50}`

var fraud = connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}

// The outcomes of a call. A call that ends in none of them breaks the first promise about money.
const (
	accepted = "accepted"
	rejected = "rejected"
	conflict = "conflict: an APIError whose outcome is unknown"
	unknown  = "unknown"
)

func outcomeOf(err error) string {
	var apiError *connectpsp.APIError
	var validation *connectpsp.ValidationError
	var doubt *connectpsp.UnknownOutcomeError
	switch {
	case err == nil:
		return accepted
	case errors.As(err, &doubt) && errors.Is(err, connectpsp.ErrUnknownOutcome):
		return unknown
	case errors.As(err, &apiError) && errors.Is(err, connectpsp.ErrUnknownOutcome):
		return conflict
	case errors.As(err, &apiError), errors.As(err, &validation):
		return rejected
	default:
		return "none of the three: " + err.Error()
	}
}

func asUnknown(err error) (*connectpsp.UnknownOutcomeError, bool) {
	var doubt *connectpsp.UnknownOutcomeError
	return doubt, errors.As(err, &doubt)
}

// doubtAbout returns the error of a cash-out whose outcome is unknown, decoded from its JSON.
func doubtAbout(t *testing.T, step http.HandlerFunc) *connectpsp.UnknownOutcomeError {
	_, err := newGateway(t, step).memoryClient().CreateCashOut(t.Context(), cashOutRequest())
	return queued(t, must2(asUnknown(err)))
}

func queued(t *testing.T, doubt *connectpsp.UnknownOutcomeError) *connectpsp.UnknownOutcomeError {
	written, err := json.Marshal(doubt)
	require.NoError(t, err)
	read := new(connectpsp.UnknownOutcomeError)
	require.NoError(t, json.Unmarshal(written, read))
	return read
}

func fields(err error) []string {
	var one *connectpsp.ValidationError
	var all connectpsp.ValidationErrors
	switch {
	case errors.As(err, &all):
		names := make([]string, len(all))
		for i, fault := range all {
			names[i] = fault.Field
		}
		return names
	case errors.As(err, &one):
		return []string{one.Field}
	default:
		return nil
	}
}

func keyOf(r request) string { return r.header.Get("X-Idempotency-Key") }

// requireSameIntent asserts that all requests carry one key and one body, and each a signature that
// belongs to its token.
func requireSameIntent(t *testing.T, requests []request) {
	t.Helper()
	require.NotEmpty(t, requests)
	for _, r := range requests {
		assert.NotEmpty(t, r.header.Get("X-Idempotency-Key"))
		assert.Equal(t, requests[0].header.Get("X-Idempotency-Key"), r.header.Get("X-Idempotency-Key"))
		assert.Equal(t, requests[0].body, r.body)
		if signature := r.header.Get("DigitalSignature"); signature != "" {
			assert.Equal(t, signing.Sign(cryptoToken, r.header.Get("Authorization")[len("Bearer "):]), signature)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func must2[T any](value T, ok bool) T {
	if !ok {
		panic("not there")
	}
	return value
}

func second[T any](_ T, err error) error { return err }

// receive returns the next value of a channel, or a zero value if the channel is closed. It fails
// the test after a minute.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case received := <-from:
		return received
	case <-time.After(time.Minute):
		require.FailNow(t, "nothing came through the channel")
		panic("unreachable")
	}
}

func timeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// memory makes a client talk to the gateway without sockets.
func memory(g *gateway) connectpsp.Option {
	return connectpsp.WithHTTPClient(&http.Client{Transport: inMemory{g.handler}})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerOf(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), ProtoMajor: 1, ProtoMinor: 1}
}

// checkedSandbox returns a sandbox whose every exchange is checked against the description, and a
// client for it.
func checkedSandbox(t *testing.T) (*sandbox.Sandbox, *connectpsp.Client) {
	box, err := sandbox.Start(sandbox.WithMiddleware(contract.New(t).Middleware))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, box.Close()) })
	quick := connectpsp.RetryPolicy{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}
	return box, must(connectpsp.New(box.Config(), connectpsp.WithRetryPolicy(quick)))
}

func transactional(t *testing.T, client *connectpsp.Client) pix.Amount {
	balance, err := client.GetBalance(t.Context())
	require.NoError(t, err)
	return balance.Consolidated.TransactionalBalance
}

const (
	accessToken   = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2ln"
	proxyPassword = "pr0xy-pa55"
	// words is text that a broken or hostile peer may send: everything that it knows or was sent.
	words = accessToken + " " + clientSecret + " " + applicationToken + " " + cryptoToken + " " + proxyPassword +
		" Maria Silva 12345678909 123.456.789-09 maria@example.com Test User"
)

// logOfAll is a buffer for the lines of a log that several goroutines write.
type logOfAll struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *logOfAll) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(line)
}

func (l *logOfAll) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

// logger writes every line as text and as JSON.
func (l *logOfAll) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	return slog.New(slog.NewMultiHandler(slog.NewTextHandler(l, options), slog.NewJSONHandler(l, options)))
}

// wireTypes are the types of requests and responses.
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

// fill sets every field in a value. A string is set to text and the names of the fields that lead
// to it.
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
