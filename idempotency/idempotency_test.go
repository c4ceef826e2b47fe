package idempotency_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/contract"
)

const key = "391546be-ee7d-48bb-b74c-18ab1c9efc2b"

var version4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestNewKeysAreRandomUUIDsOfVersion4(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		key := idempotency.NewKey()
		assert.Regexp(t, version4, key)
		assert.False(t, seen[key], "the same key twice")
		seen[key] = true
	}
}

// intent is what DeriveKey takes.
type intent struct {
	namespace, operation, externalReference string
	attempt                                 int
}

func (i intent) key() string {
	return idempotency.DeriveKey(i.namespace, i.operation, i.externalReference, i.attempt)
}

// These keys were computed with another implementation. They must never change: a payment that was
// sent by one version of this package and is sent again by the next would be made twice.
func TestDerivedKeysNeverChange(t *testing.T) {
	for want, intent := range map[string]intent{
		"391546be-ee7d-48bb-b74c-18ab1c9efc2b": {"1024", "createCashOut", "withdrawal-user-42-001", 0},
		"4292ce01-7d02-4e7c-8bc9-a83c576b2087": {"1024", "createCashOut", "withdrawal-user-42-001", 1},
		"037c40bc-813f-4c0d-9c4b-d0baedb5e9df": {"1024", "createCashIn", "withdrawal-user-42-001", 0},
		"cf20f8e1-d6ee-422f-b8f3-3e161c190aa9": {"1024", "createCashIn", "test-order-001", 0},
		"23ee30de-890e-4e27-ad09-2c81b4ddf326": {"1024", "createCashIn", "pedido-ção-日本", 0},
		"835d3c12-c0f5-4d12-b43c-a22cf8258f7a": {"", "", "", 0},
	} {
		assert.Equal(t, want, intent.key(), "%+v", intent)
	}
}

func TestDerivedKeysDifferByEveryArgument(t *testing.T) {
	intents := []intent{
		{"1024", "createCashOut", "ref", 0},
		{"1025", "createCashOut", "ref", 0},
		{"1024", "createCashIn", "ref", 0},
		{"1024", "createCashOut", "reg", 0},
		{"1024", "createCashOut", "REF", 0},
		{"1024", "createCashOut", "ref ", 0},
		{"1024", "createCashOut", "ref", 1},
		{"1024", "createCashOut", "ref", 256},
		// The same letters, cut elsewhere.
		{"1024c", "reateCashOut", "ref", 0},
		{"1024", "createCashOutr", "ef", 0},
		{"1024createCashOut", "", "ref", 0},
		{"1024createCashOutref", "", "", 0},
		{"", "1024createCashOutref", "", 0},
		{"", "", "1024createCashOutref", 0},
		{"1024", "createCashOut\x00ref", "", 0},
		{"1024", "createCashOut", "\x00ref", 0},
	}
	of := map[string]intent{}
	for _, intent := range intents {
		key := intent.key()
		assert.Regexp(t, version4, key)
		assert.NotContains(t, of, key, "%+v", intent)
		of[key] = intent
	}
}

func TestDerivedKeysHaveTheFormOfVersion4(t *testing.T) {
	for attempt := range 1000 {
		assert.Regexp(t, version4, intent{"1024", "createCashOut", "ref", attempt}.key())
	}
}

func TestOnlyUUIDsInTheirUsualFormAreKeysAndTheyAreSentInLowerCase(t *testing.T) {
	for name, test := range map[string]struct {
		key string
		ok  bool
	}{
		"version 4":     {key, true},
		"upper case":    {strings.ToUpper(key), true},
		"version 7":     {"0195f2c8-7a3e-7c4b-8f21-3d5e6a7b8c9d", true},
		"nil UUID":      {"00000000-0000-0000-0000-000000000000", false},
		"max UUID":      {"ffffffff-ffff-ffff-ffff-FFFFFFFFFFFF", false},
		"empty":         {"", false},
		"not a UUID":    {"order-1", false},
		"36 characters": {"withdrawal-user-42-001-of-2026-03-10", false},
		"no hyphens":    {strings.ReplaceAll(key, "-", ""), false},
		"braces":        {"{" + key + "}", false},
		"URN":           {"urn:uuid:" + key, false},
		"newline":       {key[:35] + "\n", false},
		"trailing CRLF": {key + "\r\n", false},
		"space before":  {" " + key[:35], false},
		"not hex":       {"g" + key[1:], false},
		"hyphen moved":  {"391546b-eee7d-48bb-b74c-18ab1c9efc2b", false},
		"beyond ASCII":  {"é" + key[2:], false},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, "/cash-out", http.NoBody)
			parsed, parseErr := idempotency.ParseKey(test.key)
			err := idempotency.Editor(test.key)(t.Context(), request)
			if test.ok {
				assert.NoError(t, parseErr)
				assert.NoError(t, err)
				assert.Equal(t, strings.ToLower(test.key), parsed)
				assert.Equal(t, []string{parsed}, request.Header.Values(idempotency.Header))
				return
			}
			assert.ErrorIs(t, parseErr, idempotency.ErrInvalidKey)
			assert.ErrorIs(t, err, idempotency.ErrInvalidKey)
			assert.Empty(t, request.Header)
		})
	}
}

func TestEditorReplacesTheKeyAndLeavesTheBody(t *testing.T) {
	request, err := http.NewRequest(http.MethodPost, "https://gateway.test/cash-out", strings.NewReader("body"))
	require.NoError(t, err)
	require.NotNil(t, request.GetBody, "net/http could replay this request")
	request.Header.Set(idempotency.Header, idempotency.NewKey())

	require.NoError(t, idempotency.Editor(key)(t.Context(), request))
	assert.Equal(t, []string{key}, request.Header.Values(idempotency.Header))
	assert.Nil(t, request.GetBody)
	body, err := io.ReadAll(request.Body)
	require.NoError(t, err)
	assert.Equal(t, "body", string(body))
}

// A server takes a whole POST and then drops the connection: for all anyone knows, the payment is
// made. Without the editor, net/http sends it once more and the caller never hears of it. The
// second case shows that.
func TestAPOSTIsSentOnceEvenIfItsConnectionDies(t *testing.T) {
	headerOnly := func(_ context.Context, request *http.Request) error {
		request.Header.Set(idempotency.Header, key)
		return nil
	}
	t.Run("with the editor", func(t *testing.T) {
		sent, err := sendOnDyingConnection(t, idempotency.Editor(key))
		assert.Error(t, err)
		assert.EqualValues(t, 1, sent)
	})
	t.Run("with the header alone", func(t *testing.T) {
		sent, err := sendOnDyingConnection(t, headerOnly)
		assert.NoError(t, err)
		assert.EqualValues(t, 2, sent, "net/http does not replay any more: the editor could be simpler")
	})
}

const (
	contentType = "application/json"
	cashIn      = `{"amount":10.50,"externalReference":"w-1","payer":{"name":"Maria Silva","document":"12345678909"}}`
)

// sendOnDyingConnection sends a POST on a kept-alive connection that dies once the server has read
// it, and counts how many arrive.
func sendOnDyingConnection(t *testing.T, edit gen.RequestEditorFn) (posts int32, err error) {
	var arrived atomic.Int32
	server := httptest.NewServer(contract.New(t).Requests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusNotFound)
		case assert.NoError(t, err) && assert.Contains(t, string(body), "w-1") && arrived.Add(1) == 1:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusConflict)
		}
	})))
	defer server.Close()
	identify := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer header.payload.signature")
		request.Header.Set("ApplicationToken", "a99b1c3e-1111-4111-8111-0a99110ca710")
		return nil
	}
	client, err := gen.NewClient(server.URL, gen.WithHTTPClient(server.Client()), gen.WithRequestEditorFn(identify))
	require.NoError(t, err)

	warm, err := client.GetCashIn(t.Context(), "tx1")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, warm.Body)
	require.NoError(t, err)
	require.NoError(t, warm.Body.Close())

	var connections []bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { connections = append(connections, info.Reused) },
	})
	response, err := client.CreateCashInWithBody(ctx, contentType, strings.NewReader(cashIn), edit)
	if err == nil {
		require.NoError(t, response.Body.Close())
	}
	require.NotEmpty(t, connections)
	require.True(t, connections[0], "the connection was not kept alive, so the test shows nothing")
	return arrived.Load(), err
}

func TestEveryKeyedOperationTakesTheEditor(t *testing.T) {
	checker := contract.New(t)
	keys := map[string]string{}
	server := httptest.NewServer(checker.Requests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys[r.Method+" "+r.URL.Path] = r.Header.Get("X-Idempotency-Key")
		w.WriteHeader(http.StatusInternalServerError)
	})))
	defer server.Close()
	identify := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer header.payload.signature")
		request.Header.Set("ApplicationToken", "a99b1c3e-1111-4111-8111-0a99110ca710")
		request.Header.Set("DigitalSignature", "7730a774c9741be02b7be8970d667bfac0bf75eb82f82330daeeead9afd176d9")
		return nil
	}
	client, err := gen.NewClient(server.URL, gen.WithRequestEditorFn(identify))
	require.NoError(t, err)

	edit := idempotency.Editor(key)
	for _, send := range []func() (*http.Response, error){
		func() (*http.Response, error) {
			return client.CreateCashInWithBody(t.Context(), contentType, strings.NewReader(cashIn), edit)
		},
		func() (*http.Response, error) {
			body := `{"amount":10.50,"externalReference":"w-1","payee":{"name":"Maria Silva","document":"12345678909",` +
				`"destination":{"type":"PIX","pixKeyType":"CPF","pixKey":"12345678909"}}}`
			return client.CreateCashOutWithBody(t.Context(), contentType, strings.NewReader(body), edit)
		},
		func() (*http.Response, error) {
			return client.RefundCashInWithBody(t.Context(), "tx1", contentType, strings.NewReader(`{"reason":"FRAUD"}`), edit)
		},
	} {
		response, err := send()
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}

	want := map[string]string{"POST /cash-in": key, "POST /cash-out": key, "POST /cash-in/tx1/refund": key}
	assert.Equal(t, want, keys)
}
