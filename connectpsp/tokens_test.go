package connectpsp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
)

// fixedToken is a token source with one token.
type fixedToken string

func (t fixedToken) Token(context.Context) (auth.Secret, error) {
	return auth.NewSecret(string(t)), nil
}

func (t fixedToken) Invalidate(auth.Secret) {}

// brokenTokens is a token source that always fails.
type brokenTokens struct{ err error }

func (b brokenTokens) Token(context.Context) (auth.Secret, error) { return auth.Secret{}, b.err }

func (b brokenTokens) Invalidate(auth.Secret) {}

// changingTokens is a token source that returns another token each time.
type changingTokens struct{ n atomic.Int32 }

func (c *changingTokens) Token(context.Context) (auth.Secret, error) {
	return auth.NewSecret("header.payload." + strconv.Itoa(int(c.n.Add(1)))), nil
}

func (c *changingTokens) Invalidate(auth.Secret) {}

// gatedToken is a token source whose first call closes asked and waits for give. The others get a
// token at once.
type gatedToken struct {
	begun       atomic.Bool
	asked, give chan struct{}
}

func newGatedToken() *gatedToken {
	return &gatedToken{asked: make(chan struct{}), give: make(chan struct{})}
}

func (g *gatedToken) Token(ctx context.Context) (auth.Secret, error) {
	if g.begun.CompareAndSwap(false, true) {
		close(g.asked)
		<-g.give
	}
	return auth.NewSecret("a.b.c"), nil
}

func (g *gatedToken) Invalidate(auth.Secret) {}

// fallibleTokens is a token source that fails, after a call of fail, as one that asks the gateway.
type fallibleTokens struct {
	mu  sync.Mutex
	err error
}

func (f *fallibleTokens) fail(t *testing.T, how http.HandlerFunc) {
	server := httptest.NewServer(how)
	defer server.Close()
	raw, err := gen.NewClient(server.URL)
	require.NoError(t, err)
	_, err = auth.NewClientCredentials(raw, clientID, auth.NewSecret(clientSecret)).Token(t.Context())
	require.Error(t, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fallibleTokens) Token(context.Context) (auth.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return auth.NewSecret("header.payload.signature"), f.err
}

func (f *fallibleTokens) Invalidate(auth.Secret) {}

// tokenService is a token source that asks a service with the context of the call.
type tokenService string

func (s tokenService) Token(ctx context.Context) (auth.Secret, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, string(s), http.NoBody)
	if err != nil {
		return auth.Secret{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return auth.Secret{}, err
	}
	return auth.NewSecret("header.payload.signature"), response.Body.Close()
}

func (s tokenService) Invalidate(auth.Secret) {}
