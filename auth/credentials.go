package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/answer"
	"github.com/connectpsp/connectpsp-go/internal/observe"
	"github.com/connectpsp/connectpsp-go/internal/redact"
)

const (
	fetchTimeout     = 30 * time.Second // of one POST /auth/token
	refusalRetention = 5 * time.Second  // a final refusal is returned again for so long without a request
	maxPause         = 30 * time.Second // the longest Retry-After that is obeyed
	renewalBackoff   = 5 * time.Second  // between failed renewals while the old token lives
	assumedLife      = time.Minute      // of a token that does not state its lifetime
	maxLife          = 24 * time.Hour   // the longest lifetime that is believed
)

// ClientCredentials is the [TokenSource] that exchanges a client id and secret for tokens at POST
// /auth/token.
//
// Requests are a single flight: any number of goroutines share one, and each of them waits no
// longer than its own context allows. The lifetime of a token is counted by the local clock from
// the moment when the token arrives, so a wrong clock on either side does no harm.
//
// In the last quarter of the lifetime the token is renewed in the background, while callers go on
// with the old one. The moment is random, so that a fleet does not renew in step. If the renewal
// fails, the old token stays until it expires. If the gateway refuses the credentials, the refusal
// is final and is returned for five seconds without a request. If the gateway responds with
// Retry-After, that error is returned for as long as the gateway asks, up to thirty seconds.
//
// ClientCredentials does not retry; its callers do, if [Error.Temporary] reports true. Goroutines
// may share it. Make it with [NewClientCredentials]; the zero value is not usable.
type ClientCredentials struct {
	client       *gen.Client
	clientID     string
	clientSecret Secret

	current atomic.Pointer[cachedToken] // nil before the first token and after Invalidate

	mu           sync.Mutex
	flight       *flight // the request under way, nil if there is none
	refusal      *Error  // the last refusal, which callers get without a request until refusalUntil
	refusalUntil time.Time
}

// cachedToken is a token with the ages at which it should be renewed and at which it expires. Ages
// come from time.Since, which reads the monotonic clock only: half the cost of time.Now.
type cachedToken struct {
	token             Secret
	received          time.Time
	renewAge, endsAge time.Duration
}

func (t *cachedToken) age() time.Duration { return time.Since(t.received) }

// flight is a single flight: one POST /auth/token and all callers that wait for it. Token and err
// are set before done is closed.
type flight struct {
	done    chan struct{}
	token   Secret
	err     error
	request observe.TokenFlight
}

// fetching is the key of the context of a token request. Its value is the source that requests.
type fetching struct{ observe.Own }

// errOwnToken is returned instead of a deadlock, when a source would wait for itself.
var errOwnToken = errors.New("auth: the client that fetches tokens needs a token itself: leave Bearer out of its request editors")

// errNoEnd is the error of a request whose transport ended the goroutine.
var errNoEnd = errors.New("the HTTP client ended the goroutine of the request")

// NewClientCredentials returns a token source that requests tokens through client. The client must
// not follow redirects, and must not have [Bearer] of this source among its request editors. No
// request is made before the first call of [ClientCredentials.Token].
func NewClientCredentials(client *gen.Client, clientID string, clientSecret Secret) *ClientCredentials {
	return &ClientCredentials{client: client, clientID: clientID, clientSecret: clientSecret}
}

// Token returns a live token. It waits only if there is none. Its error is the context's if ctx
// ends before there is a token, and otherwise an [*Error].
func (c *ClientCredentials) Token(ctx context.Context) (Secret, error) {
	if cached := c.current.Load(); cached != nil {
		if age := cached.age(); age < cached.endsAge {
			if age >= cached.renewAge {
				c.renew(ctx, cached, age)
			}
			return cached.token, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return Secret{}, err
	}
	if ctx.Value(fetching{}) == c {
		return Secret{}, errOwnToken
	}
	shared := c.join(ctx, time.Now())
	select {
	case <-shared.done:
		observe.WaitedFor(ctx, &shared.request)
		return shared.token, shared.err
	case <-ctx.Done():
		return Secret{}, ctx.Err()
	}
}

// Invalidate drops token if it is the cached one, so that the next call of Token requests another.
func (c *ClientCredentials) Invalidate(token Secret) {
	for {
		cached := c.current.Load()
		if cached == nil || cached.token.Reveal() != token.Reveal() || c.current.CompareAndSwap(cached, nil) {
			return
		}
	}
}

// Fetch requests a token from the gateway, and returns it with its remaining life. It neither uses
// nor changes the cached token of Token. It is for a [TokenSource] that shares tokens between
// processes. The error is an [*Error].
func (c *ClientCredentials) Fetch(ctx context.Context) (token Secret, life time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, fetching{}, c), fetchTimeout)
	defer cancel()
	fetched, failure := c.fetch(ctx)
	if failure != nil {
		return Secret{}, 0, failure
	}
	return fetched.token, fetched.endsAge - fetched.age(), nil
}

// Identity returns the client id and the base URL of the gateway, with a space between them.
func (c *ClientCredentials) Identity() string { return c.clientID + " " + c.client.Server }

// String returns the type and the client id.
func (c *ClientCredentials) String() string { return "auth.ClientCredentials(" + c.clientID + ")" }

// Format prints String under every verb: fmt would race with renewals for the fields.
func (c *ClientCredentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue logs String.
func (c *ClientCredentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// renew starts a request in the background. Only the goroutine that moves renewAge starts one; all
// others return without the lock.
func (c *ClientCredentials) renew(ctx context.Context, cached *cachedToken, age time.Duration) {
	later := *cached
	later.renewAge = age + renewalBackoff
	if !c.current.CompareAndSwap(cached, &later) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	paused := c.refusal != nil && c.refusal.Temporary() && time.Now().Before(c.refusalUntil)
	if c.flight == nil && c.current.Load() == &later && !paused {
		c.startLocked(ctx)
	}
}

// join returns the flight to wait for: the one under way, a new one, or a completed one if the
// result is known already.
func (c *ClientCredentials) join(ctx context.Context, now time.Time) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cached := c.current.Load(); cached != nil && cached.age() < cached.endsAge {
		return completed(cached.token, nil)
	}
	if c.flight != nil {
		return c.flight
	}
	if c.refusal != nil && now.Before(c.refusalUntil) {
		refusal := *c.refusal
		if refusal.Temporary() {
			passed := min(refusal.RetryAfter, maxPause) - c.refusalUntil.Sub(now)
			refusal.RetryAfter -= passed
		}
		return completed(Secret{}, &refusal)
	}
	return c.startLocked(ctx)
}

func completed(token Secret, err error) *flight {
	done := make(chan struct{})
	close(done)
	return &flight{done: done, token: token, err: err}
}

// startLocked starts a request. The request keeps the values of ctx, such as a span, and outlives
// ctx, because other callers wait for it too.
func (c *ClientCredentials) startLocked(ctx context.Context) *flight {
	shared := &flight{done: make(chan struct{})}
	c.flight = shared
	ctx = observe.WithFlight(observe.Detach(ctx), &shared.request)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, fetching{}, c), fetchTimeout)
		defer cancel()
		var next *cachedToken
		err := &Error{Err: errNoEnd}
		defer func() { c.complete(shared, next, err) }()
		next, err = c.fetch(ctx)
	}()
	return shared
}

func (c *ClientCredentials) complete(shared *flight, next *cachedToken, err *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flight = nil
	c.refusal = nil
	if err != nil {
		shared.err = err
		if !err.Temporary() {
			c.refusal, c.refusalUntil = err, time.Now().Add(refusalRetention)
		} else if err.RetryAfter > 0 {
			c.refusal, c.refusalUntil = err, time.Now().Add(min(err.RetryAfter, maxPause))
		}
	} else {
		shared.token = next.token
		c.current.Store(next)
	}
	close(shared.done)
}

func (c *ClientCredentials) fetch(ctx context.Context) (*cachedToken, *Error) {
	credentials, err := json.Marshal(tokenRequest{c.clientID, c.clientSecret.Reveal()})
	if err != nil {
		return nil, &Error{Err: err}
	}
	handed := false // whether the request reached the HTTP client
	response, err := c.client.AuthTokenWithBody(ctx, "application/json", bytes.NewReader(credentials), func(_ context.Context, request *http.Request) error {
		request.GetBody = nil // so net/http cannot send the credentials again after a redirect (redirectBehavior)
		handed = true
		return nil
	})
	if err != nil {
		if handed { // otherwise a request editor of the caller failed, and its error has no text of a peer
			err = redact.Error(err)
		}
		return nil, &Error{Err: err}
	}
	received := time.Now()
	body, err := answer.Read(response)
	if response.StatusCode/100 != 2 {
		problem := answer.Problem(body)
		return nil, &Error{
			StatusCode: response.StatusCode,
			Type:       problem.Type,
			Title:      problem.Title,
			Code:       problem.Code,
			Detail:     problem.Detail,
			RetryAfter: answer.RetryAfter(response.Header),
		}
	}
	if err != nil {
		return nil, &Error{StatusCode: response.StatusCode, Err: err}
	}
	var token tokenResponse
	// An odd field beside the token does not matter, and the error could quote the response.
	_ = json.Unmarshal(body, &token)
	if !sendable(token.AccessToken) {
		return nil, &Error{StatusCode: response.StatusCode, Err: errors.New("the response has no token that can be sent")}
	}
	return newCachedToken(NewSecret(token.AccessToken), token.ExpiresIn, received), nil
}

// tokenRequest and tokenResponse are the bodies of POST /auth/token, reduced to the members in use.
// The lifetime is in seconds.
type (
	tokenRequest struct {
		ClientID     string `json:"clientId"`
		ClientSecret string `json:"clientSecret"`
	}
	tokenResponse struct {
		AccessToken string `json:"accessToken"`
		ExpiresIn   int    `json:"expiresIn"`
	}
)

func newCachedToken(token Secret, expiresIn int, received time.Time) *cachedToken {
	life := maxLife
	if expiresIn <= 0 {
		life = assumedLife
	} else if expiresIn < int(maxLife/time.Second) {
		life = time.Duration(expiresIn) * time.Second
	}
	early := life/8 + rand.N(life/8)
	return &cachedToken{token: token, received: received, renewAge: life - early, endsAge: life}
}

// sendable reports whether a token is visible ASCII, as a header value must be.
func sendable(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
