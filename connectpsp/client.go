package connectpsp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/observe"
	"github.com/connectpsp/connectpsp-go/signing"
)

// Version is the version of the SDK, as it stands in the default User-Agent.
const Version = "0.1.0"

// Client talks to the gateway. Make one with New for each Config and share it: its methods may be
// called by any number of goroutines, and it holds the connections and the access token. It needs
// no closing. After New only its memory of payments changes.
type Client struct {
	raw        *gen.Client
	tokens     auth.TokenSource
	editors    []gen.RequestEditorFn // of every request but those for tokens
	sign       gen.RequestEditorFn
	retry      RetryPolicy
	logger     *slog.Logger   // never nil
	observers  *observe.Guard // nil if nobody observes
	retries    budget
	scope      any           // of its locks
	journal    Journal       // never nil
	window     time.Duration // from the first sending, in which Recover and ResolveCashOut send again
	clientID   string        // the namespace of derived idempotency keys
	baseURL    string
	canSign    bool
	payeeCheck func(context.Context, CashOutRequest) (Holder, error) // nil if there is none
	isLocal    func(host string) bool                                // hosts that webhooks may go to in plain http
	begun      time.Time                                             // when the client was made
	recovered  atomic.Bool                                           // Recover has reported the payments that ended
	rebalances chan struct{}                                         // holds one element while a rebalance is under way
}

// New returns a client. It sends nothing. Its error, a [*ValidationError] or ValidationErrors,
// names every field of cfg and every option that is wrong.
func New(cfg Config, opts ...Option) (*Client, error) {
	settings, base, err := check(cfg, opts)
	if err != nil {
		return nil, err
	}
	raw, err := settings.newRaw(base)
	if err != nil {
		return nil, err
	}
	tokens := settings.tokenSource
	if tokens == nil {
		tokens = settings.newCredentials(raw, cfg)
	}
	client := &Client{
		raw:        raw,
		tokens:     tokens,
		editors:    []gen.RequestEditorFn{auth.Bearer(tokens), auth.ApplicationToken(cfg.ApplicationToken)},
		sign:       signing.Editor(cfg.CryptoToken.Reveal()),
		retry:      settings.retry,
		logger:     settings.logger,
		observers:  settings.guard,
		journal:    settings.journal,
		window:     settings.window,
		clientID:   cfg.ClientID,
		baseURL:    base.String(),
		canSign:    !cfg.CryptoToken.IsZero(),
		isLocal:    settings.localHosts(base),
		rebalances: make(chan struct{}, 1),
		begun:      time.Now(),
	}
	for _, check := range settings.payeeChecks { // one at most
		client.payeeCheck = check
	}
	client.scope = client.lockScope()
	return client, nil
}

// NewTokenSource returns the token source of a client that [New] makes from the same arguments, for
// a fleet whose processes share one token:
//
//	source, err := connectpsp.NewTokenSource(config)
//	…
//	client, err := connectpsp.New(config, connectpsp.WithTokenSource(store.Tokens(source, key)))
//
// It sends nothing before the first call of Token. Its error is that of New.
func NewTokenSource(cfg Config, opts ...Option) (*auth.ClientCredentials, error) {
	settings, base, err := check(cfg, opts)
	if err != nil {
		return nil, err
	}
	raw, err := settings.newRaw(base)
	if err != nil {
		return nil, err
	}
	return settings.newCredentials(raw, cfg), nil
}

// check applies the options and checks them and the configuration. Base is the URL of the gateway.
func check(cfg Config, opts []Option) (settings, *url.URL, error) {
	settings := settings{userAgent: "connectpsp-go/" + Version}
	for _, option := range opts {
		option(&settings)
	}
	base, faults := cfg.validate(settings.private)
	settings.validate(&faults, base)
	return settings, base, faults.err()
}

// newRaw returns the raw client. Its requests have no tokens.
func (s settings) newRaw(base *url.URL) (*gen.Client, error) {
	raw, err := gen.NewClient(base.String(), gen.WithHTTPClient(newHTTPClient(s.httpClient)))
	if err != nil {
		return nil, err
	}
	raw.RequestEditors = []gen.RequestEditorFn{identifyAs(s.userAgent)}
	return raw, nil
}

// newCredentials returns the token source that requests tokens through raw, and logs its requests.
func (s settings) newCredentials(raw *gen.Client, cfg Config) *auth.ClientCredentials {
	logged := *raw
	logged.Client = loggedTokens{raw.Client, s.logger, s.guard}
	return auth.NewClientCredentials(&logged, cfg.ClientID, cfg.ClientSecret)
}

// String returns the type and the gateway's URL.
func (c *Client) String() string { return "connectpsp.Client(" + c.baseURL + ")" }

// Format prints String under every verb: fmt would read fields that calls change at the same time.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue logs String.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

func identifyAs(userAgent string) gen.RequestEditorFn {
	return func(_ context.Context, request *http.Request) error {
		request.Header.Set("Accept", "application/json, application/problem+json")
		request.Header.Set("User-Agent", userAgent)
		return nil
	}
}
