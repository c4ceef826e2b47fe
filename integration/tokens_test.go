package integration

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/sqlstore"
)

var tokenKey = auth.NewSecret("8f0c5d1e2b3a49687786a5b4c3d2e1f00112233445566778899aabbccddeeff0")

// issuer gives out numbered tokens at POST /auth/token, and counts them.
type issuer struct {
	*httptest.Server
	issued atomic.Int64
	fails  atomic.Int64 // the status of the response, 0 for a token
	life   atomic.Int64 // in seconds
	hold   chan struct{}
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	i.life.Store(3600)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := i.issued.Add(1)
		if i.hold != nil {
			<-i.hold
		}
		w.Header().Set("Content-Type", "application/json")
		if status := i.fails.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		_, _ = fmt.Fprintf(w, `{"accessToken":"header.payload.secret%d","expiresIn":%d}`, n, i.life.Load())
	}))
	t.Cleanup(i.Close)
	return i
}

// tokens returns the source of tokens of another process.
func (i *issuer) tokens(t *testing.T, store *sqlstore.Store, clientID string, key auth.Secret) auth.TokenSource {
	client, err := gen.NewClient(i.URL)
	require.NoError(t, err)
	return store.Tokens(auth.NewClientCredentials(client, clientID, auth.NewSecret("client-secret")), key)
}

func token(t *testing.T, source auth.TokenSource) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := source.Token(ctx)
	require.NoError(t, err)
	return got.Reveal()
}

func TestFiftyProcessesThatStartAtOnceAskForOneToken(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway := newIssuer(t)
		var all sync.WaitGroup
		for range 50 {
			source := gateway.tokens(t, openStore(t, s, db), "1024", tokenKey)
			for range 2 {
				all.Go(func() {
					got, err := source.Token(t.Context())
					assert.NoError(t, err)
					assert.Equal(t, "header.payload.secret1", got.Reveal())
				})
			}
		}
		all.Wait()
		assert.EqualValues(t, 1, gateway.issued.Load())
		var sealed []byte
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT sealed FROM connectpsp_token`).Scan(&sealed))
		assert.NotContains(t, string(sealed), "secret")

		other := gateway.tokens(t, openStore(t, s, db), "2048", tokenKey)
		assert.Equal(t, "header.payload.secret2", token(t, other), "of another integration")
	})
}

func TestATokenThatWasRevokedIsReplacedOnce(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway := newIssuer(t)
		var sources []auth.TokenSource
		for range 4 {
			sources = append(sources, gateway.tokens(t, openStore(t, s, db), "1024", tokenKey))
		}
		for round := range int64(3) {
			var all sync.WaitGroup
			for _, source := range sources {
				for range 4 {
					all.Go(func() {
						source.Invalidate(auth.NewSecret(fmt.Sprintf("header.payload.secret%d", round)))
						got, err := source.Token(t.Context())
						assert.NoError(t, err)
						assert.Equal(t, fmt.Sprintf("header.payload.secret%d", round+1), got.Reveal())
					})
				}
			}
			all.Wait()
			assert.Equal(t, round+1, gateway.issued.Load())
		}
		sources[0].Invalidate(auth.NewSecret("header.payload.secret1"))
		assert.Equal(t, "header.payload.secret3", token(t, sources[0]), "a 401 of an older token replaces nothing")
		assert.EqualValues(t, 3, gateway.issued.Load())
	})
}

func TestARenewalThatFailsLeavesTheLiveToken(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway := newIssuer(t)
		first, second := gateway.tokens(t, openStore(t, s, db), "1024", tokenKey), gateway.tokens(t, openStore(t, s, db), "1024", tokenKey)
		token(t, first)
		gateway.fails.Store(http.StatusServiceUnavailable)
		execute(t, db, `UPDATE connectpsp_token SET renew_at = 0`)
		assert.Equal(t, "header.payload.secret1", token(t, second))
		require.Equal(t, "header.payload.secret1", token(t, second), "it is to be renewed now")
		require.Eventually(t, func() bool { return gateway.issued.Load() == 2 }, 10*time.Second, 5*time.Millisecond)
		assert.Equal(t, "header.payload.secret1", token(t, second))
		assert.Equal(t, "header.payload.secret1", token(t, first))
	})
}

func TestATokenIsRenewedByOneProcessWhileAllGoOn(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway := newIssuer(t)
		token(t, gateway.tokens(t, openStore(t, s, db), "1024", tokenKey))
		execute(t, db, `UPDATE connectpsp_token SET renew_at = 0`)
		for range 5 {
			source := gateway.tokens(t, openStore(t, s, db), "1024", tokenKey)
			require.Contains(t, token(t, source), "secret")
			require.Contains(t, token(t, source), "secret")
		}
		require.Eventually(t, func() bool {
			return number(t, db, `SELECT version FROM connectpsp_token`) == 2
		}, 10*time.Second, 5*time.Millisecond)
		assert.Equal(t, "header.payload.secret2", token(t, gateway.tokens(t, openStore(t, s, db), "1024", tokenKey)))
		assert.EqualValues(t, 2, gateway.issued.Load())
	})
}

func TestAWrongKeyIsAnErrorAndNothingIsSent(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway := newIssuer(t)
		token(t, gateway.tokens(t, openStore(t, s, db), "1024", tokenKey))
		other := auth.NewSecret(strings.Repeat("another key ", 3))
		for name, c := range map[string]struct {
			key  auth.Secret
			says string
		}{"another": {other, "give all processes the same key"}, "short": {auth.NewSecret("short"), "32 characters"}, "unset": {auth.Secret{}, "32 characters"}} {
			for _, ended := range []bool{false, true} {
				if ended {
					execute(t, db, `UPDATE connectpsp_token SET ends_at = 0`)
				}
				_, err := gateway.tokens(t, openStore(t, s, db), "1024", c.key).Token(t.Context())
				assert.ErrorContains(t, err, c.says, name)
				assert.NotContains(t, err.Error(), "another key ")
			}
		}
		assert.EqualValues(t, 1, gateway.issued.Load())
		execute(t, db, `UPDATE connectpsp_token SET ends_at = fetched_until + 9000000000000000, integration = '2048 ' || substr(integration, 6)`)
		_, err := gateway.tokens(t, openStore(t, s, db), "2048", tokenKey).Token(t.Context())
		assert.ErrorContains(t, err, "another integration", "a row cannot be moved to another client id")
	})
}

func TestAProcessThatDiesWhileItAsksForATokenIsSucceeded(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway := newIssuer(t)
		gateway.hold = make(chan struct{})
		first, second := gateway.tokens(t, openStore(t, s, db), "1024", tokenKey), gateway.tokens(t, openStore(t, s, db), "1024", tokenKey)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = first.Token(ctx) }()
		require.Eventually(t, func() bool { return gateway.issued.Load() == 1 }, 10*time.Second, time.Millisecond)
		if s.dialect == sqlstore.PostgreSQL {
			assert.Zero(t, number(t, db, `SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()`))
		}
		soon, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer end()
		_, err := second.Token(soon)
		assert.ErrorIs(t, err, context.DeadlineExceeded, "it waits as long as its own context lasts")
		assert.EqualValues(t, 1, gateway.issued.Load())

		cancel() // the first is gone, and its lease is over
		execute(t, db, `UPDATE connectpsp_token SET fetched_until = 0`)
		require.Eventually(t, func() bool { return gateway.issued.Load() == 2 }, 10*time.Second, time.Millisecond)
		close(gateway.hold)
		assert.Contains(t, token(t, second), "secret")
	})
}

func TestARefusalOfTheCredentialsIsToldToAllAndNotAskedForAgainAtOnce(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway := newIssuer(t)
		gateway.fails.Store(http.StatusUnauthorized)
		for range 5 {
			_, err := gateway.tokens(t, openStore(t, s, db), "1024", tokenKey).Token(t.Context())
			var failure *auth.Error
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, http.StatusUnauthorized, failure.StatusCode)
			assert.False(t, failure.Temporary())
		}
		assert.EqualValues(t, 1, gateway.issued.Load())
		gateway.fails.Store(0)
		execute(t, db, `UPDATE connectpsp_token SET fetched_until = 0`)
		assert.Contains(t, token(t, gateway.tokens(t, openStore(t, s, db), "1024", tokenKey)), "secret")
	})
}

// countingSource gives out the same token until it is invalidated.
type countingSource struct{ invalidated atomic.Int64 }

func (c *countingSource) Token(context.Context) (auth.Secret, error) {
	return auth.NewSecret(fmt.Sprintf("token%d", c.invalidated.Load())), nil
}
func (c *countingSource) Invalidate(auth.Secret) { c.invalidated.Add(1) }

func TestTokensOfAnySourceAreShared(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		source := &countingSource{}
		first, second := openStore(t, s, db).Tokens(source, tokenKey), openStore(t, s, db).Tokens(source, tokenKey)
		assert.Equal(t, "token0", token(t, first))
		assert.Equal(t, "token0", token(t, second))
		first.Invalidate(auth.NewSecret("token0"))
		assert.Equal(t, "token1", token(t, first))
		second.Invalidate(auth.NewSecret("token0"))
		assert.Equal(t, "token1", token(t, second))
		assert.Equal(t, "sqlstore.Tokens(any source)", fmt.Sprintf("%v", first))
	})
}
