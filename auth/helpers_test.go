package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
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

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/contract"
)

const (
	clientID     = "1024"
	clientSecret = "c1f6a1f0-0000-4000-8000-canary5ec7e7"
)

// issuer is the gateway's POST /auth/token. It answers request n, counted from 1, with step n, and
// with the token "token-n" for an hour when there are no more steps.
type issuer struct {
	http.Handler

	mu    sync.Mutex
	steps []http.HandlerFunc
	asked []time.Time
}

// tokenRequest is the body of a request for a token.
type tokenRequest struct{ ClientID, ClientSecret string }

// newIssuer returns an issuer whose requests and responses are checked against the description.
func newIssuer(t testing.TB, steps ...http.HandlerFunc) *issuer {
	i := &issuer{steps: steps}
	i.Handler = contract.New(t).Middleware(i.verify(t))
	return i
}

// newHostileIssuer returns an issuer whose requests are checked, and whose responses may be
// anything.
func newHostileIssuer(t testing.TB, steps ...http.HandlerFunc) *issuer {
	i := &issuer{steps: steps}
	i.Handler = contract.New(t).Requests(i.verify(t))
	return i
}

func (i *issuer) verify(t testing.TB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request tokenRequest
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&request))
		assert.Equal(t, tokenRequest{clientID, clientSecret}, request)
		i.serve(w, r)
	})
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked = append(i.asked, time.Now())
	n := len(i.asked)
	answer := issue(fmt.Sprintf("token-%d", n), 3600)
	if n <= len(i.steps) {
		answer = i.steps[n-1]
	}
	i.mu.Unlock()
	answer(w, r)
}

// requests returns the times of the requests.
func (i *issuer) requests() []time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]time.Time(nil), i.asked...)
}

// then appends steps.
func (i *issuer) then(steps ...http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.steps = append(i.steps, steps...)
}

// source returns a token source for i without sockets.
func (i *issuer) source(t testing.TB) *auth.ClientCredentials {
	t.Helper()
	client, err := gen.NewClient("https://gateway.test", gen.WithHTTPClient(&http.Client{Transport: inMemory{i}}))
	require.NoError(t, err)
	return auth.NewClientCredentials(client, clientID, auth.NewSecret(clientSecret))
}

// over returns a token source for i over a socket.
func (i *issuer) over(t testing.TB, client *http.Client) *auth.ClientCredentials {
	t.Helper()
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	t.Cleanup(client.CloseIdleConnections)
	raw, err := gen.NewClient(server.URL, gen.WithHTTPClient(client))
	require.NoError(t, err)
	return auth.NewClientCredentials(raw, clientID, auth.NewSecret(clientSecret))
}

// inMemory is a transport to a handler. A response after the end of the request's context is lost.
type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(request *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	m.handler.ServeHTTP(recorder, request)
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

func reply(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func issue(token string, expiresIn int) http.HandlerFunc {
	return reply(http.StatusOK, "application/json",
		fmt.Sprintf(`{"accessToken":%q,"tokenType":"Bearer","expiresIn":%d}`, token, expiresIn))
}

func problem(status int, code string) http.HandlerFunc {
	return reply(status, "application/problem+json", fmt.Sprintf(
		`{"type":"https://errors.test/x","title":"Title","status":%d,"code":%q,"detail":"Detail of Maria Silva"}`, status, code))
}

var (
	refuse = problem(http.StatusUnauthorized, "INVALID_CREDENTIALS")
	fail   = problem(http.StatusInternalServerError, "INTERNAL_ERROR")
)

// hold returns a step that waits until release is closed.
func hold(next http.HandlerFunc) (step http.HandlerFunc, release chan struct{}) {
	release = make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			next(w, r)
		case <-r.Context().Done():
		}
	}, release
}

// slow returns a step that waits for latency.
func slow(latency time.Duration, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(latency)
		next(w, r)
	}
}

// token returns the token of source, and fails the test if there is none.
func token(t testing.TB, source auth.TokenSource) string {
	t.Helper()
	secret, err := source.Token(t.Context())
	require.NoError(t, err)
	return secret.Reveal()
}

// tokenError returns the *auth.Error of source, and fails the test if there is a token.
func tokenError(t testing.TB, source auth.TokenSource) *auth.Error {
	t.Helper()
	secret, err := source.Token(context.Background())
	require.Error(t, err)
	assert.True(t, secret.IsZero(), "a token beside an error")
	var failure *auth.Error
	require.ErrorAs(t, err, &failure)
	return failure
}

// newHTTPClient returns a client with connections of its own that follows no redirects.
func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{}, CheckRedirect: stay}
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

const canary = "canary-7f3a"

// gives reports whether output holds the canary as text, hexadecimal, decimal bytes or base64.
func gives(output string) bool {
	output = strings.ToLower(output)
	for _, separator := range []string{" ", ",", "0x", "\n", "u+00"} {
		output = strings.ReplaceAll(output, separator, "")
	}
	var decimal strings.Builder
	for _, b := range []byte("canary") {
		fmt.Fprint(&decimal, b)
	}
	forms := []string{"canary", hex.EncodeToString([]byte("canary")), decimal.String()}
	for shift := range 3 { // base64 of the same text differs by where it starts
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("-", shift) + canary))
		forms = append(forms, strings.ToLower(encoded[4:10]))
	}
	for _, form := range forms {
		if strings.Contains(output, form) {
			return true
		}
	}
	return false
}

// dump returns what testify prints of a value when a test fails: it follows pointers into
// unexported fields and calls no methods.
func dump(value any) string {
	var output recorded
	assert.ElementsMatch(&output, []any{value}, []any{})
	return output.String()
}

type recorded struct{ strings.Builder }

func (r *recorded) Errorf(format string, arguments ...any) { fmt.Fprintf(r, format, arguments...) }
