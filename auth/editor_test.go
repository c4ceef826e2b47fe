package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/signing"
)

const (
	applicationToken = "a99b1c3e-1111-4111-8111-0a99110ca710"
	cryptoToken      = "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11"
)

// tokens is a token source made of a function.
type tokens func(context.Context) (auth.Secret, error)

func (f tokens) Token(ctx context.Context) (auth.Secret, error) { return f(ctx) }
func (f tokens) Invalidate(auth.Secret)                         {}

func TestBearerSetsTheCurrentToken(t *testing.T) {
	type mark struct{}
	ctx := context.WithValue(t.Context(), mark{}, "the caller's")
	text := ""
	edit := auth.Bearer(tokens(func(given context.Context) (auth.Secret, error) {
		assert.Equal(t, ctx, given)
		return auth.NewSecret(text), nil
	}))
	request := httptest.NewRequest(http.MethodGet, "/account/balance", http.NoBody)
	for _, text = range []string{"a.b.c", "d.e.f"} {
		require.NoError(t, edit(ctx, request))
		assert.Equal(t, []string{"Bearer " + text}, request.Header.Values("Authorization"))
	}
}

func TestBearerReturnsTheErrorOfItsSource(t *testing.T) {
	broken := errors.New("no tokens today")
	edit := auth.Bearer(tokens(func(context.Context) (auth.Secret, error) { return auth.NewSecret("a.b.c"), broken }))
	request := httptest.NewRequest(http.MethodGet, "/account/balance", http.NoBody)
	assert.ErrorIs(t, edit(t.Context(), request), broken)
	assert.Empty(t, request.Header)
}

func TestTheApplicationTokenIsSetOnce(t *testing.T) {
	edit := auth.ApplicationToken(auth.NewSecret(applicationToken))
	request := httptest.NewRequest(http.MethodGet, "/account/balance", http.NoBody)
	for range 2 {
		require.NoError(t, edit(t.Context(), request))
		assert.Equal(t, []string{applicationToken}, request.Header.Values(auth.ApplicationTokenHeader))
	}
}

func TestAnUnsetApplicationTokenIsAnError(t *testing.T) {
	request := httptest.NewRequest(http.MethodGet, "/account/balance", http.NoBody)
	assert.EqualError(t, auth.ApplicationToken(auth.Secret{})(t.Context(), request), "auth: the application token is not set")
	assert.Empty(t, request.Header)
}

func TestASecretThatFitsNoHeaderIsNotPrinted(t *testing.T) {
	secret := auth.NewSecret(canary + "\r\nX-Injected: 1")
	for name, edit := range map[string]gen.RequestEditorFn{
		"access token":      auth.Bearer(tokens(func(context.Context) (auth.Secret, error) { return secret, nil })),
		"application token": auth.ApplicationToken(secret),
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Error("a request was sent")
			}))
			defer server.Close()
			client, err := gen.NewClient(server.URL, gen.WithRequestEditorFn(edit))
			require.NoError(t, err)
			_, err = client.GetBalance(t.Context()) //nolint:bodyclose // there is no answer
			require.Error(t, err)
			assert.False(t, gives(err.Error()), err.Error())
		})
	}
}

func TestTheRawClientWithTheEditorsFollowsTheDescription(t *testing.T) {
	issuer := newIssuer(t)
	mux := http.NewServeMux()
	mux.Handle("POST /auth/token", issuer)
	payment := func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer token-1", r.Header.Get("Authorization"))
		assert.Equal(t, applicationToken, r.Header.Get(auth.ApplicationTokenHeader))
		assert.Equal(t, signing.Sign(cryptoToken, "token-1"), r.Header.Get(signing.Header))
		reply(http.StatusAccepted, "application/json", `{"transactionId":"0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11"}`)(w, r)
	}
	mux.Handle("POST /cash-out", contract.New(t).Middleware(http.HandlerFunc(payment)))
	server := httptest.NewServer(mux)
	defer server.Close()

	httpClient := newHTTPClient()
	defer httpClient.CloseIdleConnections()
	plain, err := gen.NewClient(server.URL, gen.WithHTTPClient(httpClient))
	require.NoError(t, err)
	client, err := gen.NewClient(server.URL,
		gen.WithHTTPClient(httpClient),
		gen.WithRequestEditorFn(auth.Bearer(auth.NewClientCredentials(plain, clientID, auth.NewSecret(clientSecret)))),
		gen.WithRequestEditorFn(auth.ApplicationToken(auth.NewSecret(applicationToken))),
		gen.WithRequestEditorFn(signing.Editor(cryptoToken)),
	)
	require.NoError(t, err)
	for _, reference := range []string{"w-1", "w-2"} {
		key := idempotency.DeriveKey(clientID, "createCashOut", reference, 0)
		body := `{"amount":50.00,"externalReference":"` + reference + `","payee":{"name":"Maria Silva","document":"12345678909",` +
			`"destination":{"type":"PIX","pixKeyType":"CPF","pixKey":"12345678909"}}}`
		response, err := client.CreateCashOutWithBody(t.Context(), "application/json", strings.NewReader(body), idempotency.Editor(key))
		require.NoError(t, err)
		assert.Equal(t, http.StatusAccepted, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}
	assert.Len(t, issuer.requests(), 1)
}

func TestASourceThatWouldAuthenticateItselfFailsAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
	defer server.Close()
	var source *auth.ClientCredentials
	raw, err := gen.NewClient(server.URL, gen.WithRequestEditorFn(func(ctx context.Context, r *http.Request) error {
		return auth.Bearer(source)(ctx, r)
	}))
	require.NoError(t, err)
	source = auth.NewClientCredentials(raw, "1024", auth.NewSecret("s3cret"))
	_, err = source.Token(t.Context())
	assert.ErrorContains(t, err, "leave Bearer out of its request editors")
}

func TestAnUnsetTokenIsNotSent(t *testing.T) {
	unset := tokens(func(context.Context) (auth.Secret, error) { return auth.Secret{}, nil })
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	assert.ErrorContains(t, auth.Bearer(unset)(t.Context(), request), "unset token")
	assert.Empty(t, request.Header)
}
