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
	"github.com/connectpsp/connectpsp-go/internal/redact"
)

const (
	fetchTimeout   = 30 * time.Second // of one POST /auth/token
	refusalMemory  = 5 * time.Second  // a final refusal is repeated for so long without asking the gateway
	longestPause   = 30 * time.Second // that a Retry-After is heeded for
	renewalBackoff = 5 * time.Second  // between renewals that fail while the old token lives
	assumedLife    = time.Minute      // of a token that does not say how long it lives
	longestLife    = 24 * time.Hour   // the most that is believed
)

// ClientCredentials is the TokenSource that exchanges a client id and secret for tokens at POST
// /auth/token.
//
// However many goroutines ask, one request is made, and each of them waits no longer than its own
// context allows. A token's life is counted on the local clock from the moment it arrives, so a
// wrong clock on either side does no harm. In the last quarter of that life, at a random moment so
// that a fleet does not renew in step, the token is renewed in the background while everybody goes
// on using the old one; if that fails, the old one stays until it ends. A refusal of the
// credentials is final and repeated for five seconds without asking again; an answer with
// Retry-After for as long as that says, up to thirty seconds.
//
// It does not retry: its callers do, as Error.Temporary says. It may be shared by goroutines. Make
// it with NewClientCredentials.
type ClientCredentials struct {
	client       *gen.Client
	clientID     string
	clientSecret Secret

	current atomic.Pointer[cachedToken] // nil before the first token and after Invalidate

	mu           sync.Mutex
	inFlight     *inFlight // the request under way, nil if there is none
	refusal      *Error    // the last answer, if it is to be repeated for a while
	refusalUntil time.Time
}

// cachedToken is a token with the ages at which it should be renewed and at which it ends.
// time.Since reads the monotonic clock alone, which is half the cost of time.Now.
type cachedToken struct {
	token             Secret
	received          time.Time
	renewAge, endsAge time.Duration
}

func (l *cachedToken) age() time.Duration { return time.Since(l.received) }

// inFlight is a single flight: one POST /auth/token and all callers that wait for it. Token and err
// are set before done is closed.
type inFlight struct {
	done  chan struct{}
	token Secret
	err   error
}

// fetching marks the context of a request for a token with the source that makes it.
type fetching struct{}

// errOwnToken keeps a source from waiting for itself for ever.
var errOwnToken = errors.New("auth: the client that fetches the tokens asks for one itself; leave Bearer out of its request editors")

// NewClientCredentials returns a token source that asks through client, which must not follow
// redirects and must not have Bearer of this source among its request editors. No request is made
// before the first call of Token.
func NewClientCredentials(client *gen.Client, clientID string, clientSecret Secret) *ClientCredentials {
	return &ClientCredentials{client: client, clientID: clientID, clientSecret: clientSecret}
}

// Token returns a live token. It waits only if there is none; then it returns the context's error
// if ctx ends first, or an
// *Error if the token could not be had.
func (c *ClientCredentials) Token(ctx context.Context) (Secret, error) {
	if held := c.current.Load(); held != nil {
		if age := held.age(); age < held.endsAge {
			if age >= held.renewAge {
				c.renew(held, age)
			}
			return held.token, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return Secret{}, err
	}
	if ctx.Value(fetching{}) == c {
		return Secret{}, errOwnToken
	}
	shared := c.join(time.Now())
	select {
	case <-shared.done:
		return shared.token, shared.err
	case <-ctx.Done():
		return Secret{}, ctx.Err()
	}
}

// Invalidate drops token if it is the one held, so that the next call of Token fetches another.
func (c *ClientCredentials) Invalidate(token Secret) {
	for {
		held := c.current.Load()
		if held == nil || held.token.Reveal() != token.Reveal() || c.current.CompareAndSwap(held, nil) {
			return
		}
	}
}

// String returns the type and the client id.
func (c *ClientCredentials) String() string { return "auth.ClientCredentials(" + c.clientID + ")" }

// Format prints String under every verb: fmt would read fields that a renewal changes at the same
// time.
func (c *ClientCredentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue logs String.
func (c *ClientCredentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// renew starts a request in the background. Only the goroutine that moves renewAge does; the others
// never touch the lock.
func (c *ClientCredentials) renew(held *cachedToken, age time.Duration) {
	later := *held
	later.renewAge = age + renewalBackoff
	if !c.current.CompareAndSwap(held, &later) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	paused := c.refusal != nil && c.refusal.Temporary() && time.Now().Before(c.refusalUntil)
	if c.inFlight == nil && c.current.Load() == &later && !paused {
		c.start()
	}
}

// join returns the request to wait for: the one under way, a new one, or a finished one if the
// answer is known.
func (c *ClientCredentials) join(now time.Time) *inFlight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.current.Load(); held != nil && held.age() < held.endsAge {
		return completed(held.token, nil)
	}
	if c.inFlight != nil {
		return c.inFlight
	}
	if c.refusal != nil && now.Before(c.refusalUntil) {
		refusal := *c.refusal
		if refusal.Temporary() {
			passed := min(refusal.RetryAfter, longestPause) - c.refusalUntil.Sub(now)
			refusal.RetryAfter -= passed
		}
		return completed(Secret{}, &refusal)
	}
	return c.start()
}

func completed(token Secret, err error) *inFlight {
	done := make(chan struct{})
	close(done)
	return &inFlight{done: done, token: token, err: err}
}

// start begins a request that outlives the context of whoever asked first. The lock is held.
func (c *ClientCredentials) start() *inFlight {
	shared := &inFlight{done: make(chan struct{})}
	c.inFlight = shared
	go func() {
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), fetching{}, c), fetchTimeout)
		defer cancel()
		next, err := c.fetch(ctx)
		c.complete(shared, next, err)
	}()
	return shared
}

func (c *ClientCredentials) complete(shared *inFlight, next *cachedToken, err *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight = nil
	c.refusal = nil
	if err != nil {
		shared.err = err
		if !err.Temporary() {
			c.refusal, c.refusalUntil = err, time.Now().Add(refusalMemory)
		} else if err.RetryAfter > 0 {
			c.refusal, c.refusalUntil = err, time.Now().Add(min(err.RetryAfter, longestPause))
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
		if handed { // else one of the caller's request editors failed, in its own words
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
	var token tokenAnswer
	// An odd field beside the token does not matter, and the error could quote the answer.
	_ = json.Unmarshal(body, &token)
	if !sendable(token.AccessToken) {
		return nil, &Error{StatusCode: response.StatusCode, Err: errors.New("the response holds no token that can be sent")}
	}
	return newCachedToken(NewSecret(token.AccessToken), token.ExpiresIn, received), nil
}

// tokenRequest and tokenAnswer are the bodies of POST /auth/token, as far as they are used. The
// lifetime is in seconds.
type (
	tokenRequest struct {
		ClientID     string `json:"clientId"`
		ClientSecret string `json:"clientSecret"`
	}
	tokenAnswer struct {
		AccessToken string `json:"accessToken"`
		ExpiresIn   int    `json:"expiresIn"`
	}
)

func newCachedToken(token Secret, expiresIn int, received time.Time) *cachedToken {
	life := longestLife
	if expiresIn <= 0 {
		life = assumedLife
	} else if expiresIn < int(longestLife/time.Second) {
		life = time.Duration(expiresIn) * time.Second
	}
	early := life/8 + rand.N(life/8)
	return &cachedToken{token: token, received: received, renewAge: life - early, endsAge: life}
}

// sendable reports whether a token is visible ASCII, as a header value must be.
func sendable(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
