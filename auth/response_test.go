package auth_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/answer"
)

func TestEveryResponseWithoutATokenIsAnErrorThatSaysWhetherToRetry(t *testing.T) {
	const temporary, final = true, false
	ok := func(body string) http.HandlerFunc { return reply(http.StatusOK, "application/json", body) }
	// A gateway may echo the request.
	echo := fmt.Sprintf(`{"code":%[1]q,"title":%[1]q,"detail":%[1]q,"type":%[1]q}`, clientSecret)
	page := func(status int) http.HandlerFunc { return reply(status, "text/html", "<html>"+clientSecret+"</html>") }

	for name, test := range map[string]struct {
		step      http.HandlerFunc
		status    int
		temporary bool
	}{
		"cut before the answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, temporary},
		"not HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(connection, "SSH-2.0-OpenSSH_9.9\r\n")
				_ = connection.Close()
			}
		}, 0, temporary},
		"cut inside the answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"accessToken":"token-1"}`) // readable as far as it goes, and not to be believed
		}, 200, temporary},
		"longer than is read": {ok(`{"accessToken":"` + strings.Repeat("a", answer.Limit) + `"}`), 200, temporary},

		"200 with a page":             {page(200), 200, temporary},
		"200 and empty":               {ok(``), 200, temporary},
		"200 with null":               {ok(`null`), 200, temporary},
		"200 with an array":           {ok(`[{"accessToken":"a"}]`), 200, temporary},
		"200 with a string":           {ok(`"token-1"`), 200, temporary},
		"200 that ends early":         {ok(`{"accessToken":"token-1"`), 200, temporary},
		"200 with two objects":        {ok(`{"accessToken":"token-1"}{}`), 200, temporary},
		"200 without token":           {ok(`{"tokenType":"Bearer","expiresIn":3600}`), 200, temporary},
		"200 with an error":           {ok(echo), 200, temporary},
		"token of no length":          {ok(`{"accessToken":"","expiresIn":3600}`), 200, temporary},
		"token null":                  {ok(`{"accessToken":null}`), 200, temporary},
		"token a number":              {ok(`{"accessToken":17}`), 200, temporary},
		"token an object":             {ok(`{"accessToken":{"accessToken":"a"}}`), 200, temporary},
		"token with a space":          {ok(`{"accessToken":"` + clientSecret + ` b"}`), 200, temporary},
		"token that ends in a space":  {ok(`{"accessToken":"a "}`), 200, temporary},
		"token with a newline":        {ok(`{"accessToken":"a\r\nX-Injected: 1"}`), 200, temporary},
		"token that ends in newline":  {ok(`{"accessToken":"a\n"}`), 200, temporary},
		"token with a NUL":            {ok(`{"accessToken":"a\u0000"}`), 200, temporary},
		"token with a DEL":            {ok(`{"accessToken":"a\u007f"}`), 200, temporary},
		"token beyond ASCII":          {ok(`{"accessToken":"ção"}`), 200, temporary},
		"token that is not UTF-8":     {ok("{\"accessToken\":\"a\xff\"}"), 200, temporary},
		"204":                         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204, temporary},
		"400 with a problem":          {problem(400, "INVALID_REQUEST"), 400, final},
		"401 with a problem":          {refuse, 401, final},
		"401 with a page":             {page(401), 401, final},
		"401 that repeats the secret": {reply(401, "application/problem+json", echo), 401, final},
		"403":                         {page(403), 403, final},
		"404":                         {page(404), 404, final},
		"408":                         {page(408), 408, temporary},
		"422":                         {problem(422, "UNKNOWN"), 422, final},
		"425":                         {page(425), 425, temporary},
		"429":                         {page(429), 429, temporary},
		"500 with a problem":          {fail, 500, temporary},
		"500 that repeats the secret": {reply(500, "application/problem+json", echo), 500, temporary},
		"502 with a page":             {page(502), 502, temporary},
		"503 and empty":               {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 503, temporary},
		"503 cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(503)
			_, _ = io.WriteString(w, `{"code":`)
		}, 503, temporary},
		"504 with an odd problem": {reply(504, "application/problem+json", `{"status":"x","code":7}`), 504, temporary},
		"302 with no destination": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) }, 302, final},
		"500 with a token":        {reply(500, "application/json", `{"accessToken":"token-1"}`), 500, temporary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := newHostileIssuer(t, test.step)
			source := issuer.over(t, newHTTPClient())
			failure := tokenError(t, source)
			assert.Equal(t, test.status, failure.StatusCode)
			assert.Equal(t, test.temporary, failure.Temporary())
			for _, text := range []string{failure.Error(), fmt.Sprintf("%+v", failure), fmt.Sprintf("%+v", failure.Err)} {
				assert.NotContains(t, text, clientSecret)
				assert.NotContains(t, text, "Maria")
				assert.NotContains(t, text, "token-1")
			}
			assert.Equal(t, failure.Err, failure.Unwrap())
			assert.Len(t, issuer.requests(), 1)
			if test.temporary {
				assert.Equal(t, "token-2", token(t, source), "the source does not recover")
			}
		})
	}
}

func TestTheErrorNamesTheCause(t *testing.T) {
	for want, failure := range map[string]*auth.Error{
		"auth: no access token: the gateway refused the client id and secret (401)": {StatusCode: 401, Detail: "Maria"},
		"auth: no access token: the gateway answered 503":                           {StatusCode: 503, Title: "Maria"},
		"auth: no access token: unexpected EOF":                                     {StatusCode: 200, Err: io.ErrUnexpectedEOF},
	} {
		assert.EqualError(t, failure, want)
	}
}

func TestARefusedConnectionIsATemporaryFailure(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	raw, err := gen.NewClient(server.URL)
	require.NoError(t, err)
	failure := tokenError(t, auth.NewClientCredentials(raw, clientID, auth.NewSecret(clientSecret)))
	assert.Zero(t, failure.StatusCode)
	assert.True(t, failure.Temporary())
	assert.NotContains(t, failure.Error(), clientSecret)
}

// elsewhere is a host that credentials must not reach. It records its requests.
type elsewhere struct {
	mu       sync.Mutex
	received strings.Builder
	requests int
}

func (e *elsewhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests++
	fmt.Fprintln(&e.received, r.Method, r.URL, r.Header, string(body))
	http.NotFound(w, r)
}

func TestRedirectsNeverCarryTheSecretElsewhere(t *testing.T) {
	for _, follows := range []bool{false, true} {
		for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
			t.Run(fmt.Sprintf("%d, client follows %t", status, follows), func(t *testing.T) {
				other := new(elsewhere)
				server := httptest.NewServer(other)
				defer server.Close()
				issuer := newHostileIssuer(t, func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, server.URL+"/auth/token", status)
				})
				client := newHTTPClient()
				if follows {
					client.CheckRedirect = nil
				}
				failure := tokenError(t, issuer.over(t, client))
				assert.False(t, failure.Temporary())
				assert.Len(t, issuer.requests(), 1)

				other.mu.Lock()
				defer other.mu.Unlock()
				assert.NotContains(t, other.received.String(), clientSecret)
				assert.NotContains(t, other.received.String(), "clientSecret")
				if !follows || status >= 307 {
					assert.Zero(t, other.requests, other.received.String())
					assert.Equal(t, status, failure.StatusCode)
				}
			})
		}
	}
}

// doer is an HTTP client that answers every request with one response.
type doer struct {
	status int
	body   string
}

func (d doer) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: d.status, Body: io.NopCloser(strings.NewReader(d.body))}, nil
}

func FuzzTokenResponse(f *testing.F) {
	for _, body := range []string{
		`{"accessToken":"header.payload.signature","tokenType":"Bearer","expiresIn":3600,"issuedAt":"2026-03-10T14:00:00Z"}`,
		`{"accessToken":"a","expiresIn":"3600"}`, `{"accessToken":"a","expiresIn":-1}`, `{"accessToken":"a","expiresIn":1e400}`,
		`{"expiresIn":{},"issuedAt":7,"accessToken":"a"}`, `{"AccessToken":"a","accesstoken":"b c"}`,
		`{"accessToken":"a b"}`, `{"accessToken":"a\r\nb"}`, `{"accessToken":"\ud800"}`, `{"accessToken":["a"]}`,
		`{"code":"INVALID_CREDENTIALS","status":401}`, `<html></html>`, `null`, `[]`, `{`, ``,
	} {
		for _, status := range []int{200, 204, 302, 401, 503} {
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		client, err := gen.NewClient("https://gateway.test", gen.WithHTTPClient(doer{status, body}))
		require.NoError(t, err)
		source := auth.NewClientCredentials(client, clientID, auth.NewSecret(clientSecret))
		secret, err := source.Token(t.Context())
		if err != nil {
			var failure *auth.Error
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, status, failure.StatusCode)
			assert.True(t, secret.IsZero())
			assert.True(t, utf8.ValidString(failure.Error()))
			assert.NotContains(t, failure.Error(), clientSecret)
			return
		}
		assert.Equal(t, 2, status/100)
		sent := new(strings.Builder)
		request := httptest.NewRequest(http.MethodGet, "https://gateway.test/", http.NoBody)
		require.NoError(t, auth.Bearer(source)(t.Context(), request))
		require.NoError(t, request.Write(sent))
		assert.Contains(t, sent.String(), "\r\nAuthorization: Bearer "+secret.Reveal()+"\r\n", "the token is not sent as it is")
		assert.NotContains(t, secret.Reveal(), " ")
		assert.NotEmpty(t, secret.Reveal())
	})
}
