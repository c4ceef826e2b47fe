package signing_test

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/signing"
)

const cryptoToken = "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11"

// The signatures were made with openssl dgst -sha256 -hmac.
func TestSignatureIsTheOneThatOpenSSLMakes(t *testing.T) {
	for name, test := range map[string]struct{ key, message, signature string }{
		"access token": {
			cryptoToken, "header.payload.signature",
			"7730a774c9741be02b7be8970d667bfac0bf75eb82f82330daeeead9afd176d9",
		},
		"webhook body": {
			cryptoToken, `{"eventType":"CASHIN_PAID","data":{"amount":10.00}}`,
			"6514cf78ee8ac6400f2b947779fa4bda9cf8e5c02e6712ad4b074a1a8e1355a3",
		},
		"same body with the amount written otherwise": {
			cryptoToken, `{"eventType":"CASHIN_PAID","data":{"amount":10}}`,
			"2d6ae5dd6d3ec1cac49c54f9e31a4e4b5600eba86e5cc3567da252a702c94026",
		},
		"key beyond ASCII": {
			"ção", "abc",
			"60763b385933bef2f0f54523bfae4640d0c25362396eb75be0f9381e24dc011a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.signature, signing.Sign(test.key, test.message))
			assert.Equal(t, test.signature, hex.EncodeToString(signing.Sum(test.key, []byte(test.message))))
		})
	}
}

func withToken(token string) *http.Request {
	request := httptest.NewRequest(http.MethodPost, "/cash-out", http.NoBody)
	request.Header.Set("Authorization", "Bearer "+token)
	return request
}

func TestSignatureFollowsTheToken(t *testing.T) {
	edit := signing.Editor(cryptoToken)
	for _, token := range []string{"a.b.c", "a.b.c", "d.e.f", "a.b.c", "a.b.C", "a.b.c"} {
		request := withToken(token)
		require.NoError(t, edit(t.Context(), request))
		assert.Equal(t, signing.Sign(cryptoToken, token), request.Header.Get(signing.Header))
	}
}

func TestNewTokenReplacesTheSignatureOfTheOldOne(t *testing.T) {
	edit := signing.Editor(cryptoToken)
	request := withToken("a.b.c")
	require.NoError(t, edit(t.Context(), request))
	request.Header.Set("Authorization", "Bearer d.e.f")
	require.NoError(t, edit(t.Context(), request))
	assert.Equal(t, []string{signing.Sign(cryptoToken, "d.e.f")}, request.Header.Values(signing.Header))
}

func TestNoTokenTravelsWithTheSignatureOfAnother(t *testing.T) {
	edit := signing.Editor(cryptoToken)
	tokens := []string{"a.b.c", "d.e.f"}
	signatures := []string{signing.Sign(cryptoToken, tokens[0]), signing.Sign(cryptoToken, tokens[1])}
	var group sync.WaitGroup
	for worker := range 64 {
		group.Go(func() {
			for i := range 100 {
				which := (worker + i) % 2
				request := withToken(tokens[which])
				if !assert.NoError(t, edit(t.Context(), request)) {
					return
				}
				if !assert.Equal(t, signatures[which], request.Header.Get(signing.Header)) {
					return
				}
			}
		})
	}
	group.Wait()
}

func TestATokenIsSignedOnce(t *testing.T) {
	edit := signing.Editor(cryptoToken)
	sign := func() string {
		request := withToken("a.b.c")
		require.NoError(t, edit(t.Context(), request))
		return request.Header.Get(signing.Header)
	}
	first, second := sign(), sign()
	assert.Same(t, unsafe.StringData(first), unsafe.StringData(second), "the second signature was computed anew")
}

func TestTheSignatureDoesNotDependOnTheBody(t *testing.T) {
	edit := signing.Editor(cryptoToken)
	for _, body := range []string{"", `{"amount":1.00}`, `{"amount":1000000.00}`} {
		request := withToken("header.payload.signature")
		request.Body = io.NopCloser(strings.NewReader(body))
		require.NoError(t, edit(t.Context(), request))
		assert.Equal(t, "7730a774c9741be02b7be8970d667bfac0bf75eb82f82330daeeead9afd176d9", request.Header.Get(signing.Header))
		left, err := io.ReadAll(request.Body)
		require.NoError(t, err)
		assert.Equal(t, body, string(left), "the editor consumed the body")
	}
}

func TestNothingIsSignedWithoutKey(t *testing.T) {
	request := withToken("a.b.c")
	assert.ErrorIs(t, signing.Editor("")(t.Context(), request), signing.ErrNoKey)
	assert.NotContains(t, request.Header, http.CanonicalHeaderKey(signing.Header))
}

func TestNothingIsSignedWithoutToken(t *testing.T) {
	edit := signing.Editor(cryptoToken)
	require.NoError(t, edit(t.Context(), withToken("a.b.c"))) // remembered, and of no use to the others
	for name, header := range map[string]http.Header{
		"no Authorization": {},
		"empty":            {"Authorization": {""}},
		"scheme only":      {"Authorization": {"Bearer"}},
		"empty token":      {"Authorization": {"Bearer "}},
		"another scheme":   {"Authorization": {"Basic a.b.c"}},
		"token only":       {"Authorization": {"a.b.c"}},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, "/cash-out", http.NoBody)
			request.Header = header
			err := edit(t.Context(), request)
			assert.ErrorIs(t, err, signing.ErrNoToken)
			assert.NotContains(t, err.Error(), "a.b.c")
			assert.NotContains(t, err.Error(), cryptoToken)
			assert.NotContains(t, request.Header, http.CanonicalHeaderKey(signing.Header))
		})
	}
}

func TestSignedOperationsAreAsTheDescriptionWantsThem(t *testing.T) {
	const token = "header.payload.signature"
	checker := contract.New(t)
	signed := map[string]int{}
	server := httptest.NewServer(checker.Requests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(signing.Header) == signing.Sign(cryptoToken, token) {
			signed[r.Method+" "+r.URL.Path]++
		}
		w.WriteHeader(http.StatusInternalServerError)
	})))
	defer server.Close()
	client, err := gen.NewClient(server.URL)
	require.NoError(t, err)

	identify := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("ApplicationToken", "a99b1c3e-1111-4111-8111-0a99110ca710")
		return nil
	}
	sign := signing.Editor(cryptoToken)
	const contentType = "application/json"
	for _, send := range []func() (*http.Response, error){
		func() (*http.Response, error) {
			body := `{"amount":50.00,"externalReference":"w-1","payee":{"name":"Maria Silva","document":"12345678909",` +
				`"destination":{"type":"PIX","pixKeyType":"CPF","pixKey":"12345678909"}}}`
			return client.CreateCashOutWithBody(t.Context(), contentType, strings.NewReader(body), identify, sign)
		},
		func() (*http.Response, error) {
			body := strings.NewReader(`{"reason":"FRAUD"}`)
			return client.RefundCashInWithBody(t.Context(), "tx1", contentType, body, identify, sign)
		},
		func() (*http.Response, error) {
			body := strings.NewReader(`{"targetAmount":50.00}`)
			return client.RebalanceAccountWithBody(t.Context(), contentType, body, identify, sign)
		},
	} {
		response, err := send()
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}

	want := map[string]int{"POST /cash-out": 1, "POST /cash-in/tx1/refund": 1, "POST /account/rebalance": 1}
	assert.Equal(t, want, signed)
}
