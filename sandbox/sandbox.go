package sandbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/google/uuid"
)

var (
	// ErrNotFound is wrapped by the error of a method if the sandbox has no transaction with the
	// id.
	ErrNotFound = errors.New("sandbox: not found")

	// ErrTransition is wrapped by the error of a method if the transaction cannot move from its
	// status to the new one. Nothing has changed then.
	ErrTransition = errors.New("sandbox: transition not allowed")
)

// Sandbox is a gateway in memory. It is also an [http.Handler], so a program can serve it by
// itself. Goroutines may call all methods concurrently. The zero value is not usable: call [Start],
// and [Sandbox.Close] at the end.
//
// The id that a method takes may be a transactionId, an internalCode or an endToEndId.
type Sandbox struct {
	config        connectpsp.Config
	tokenLifetime time.Duration
	clock         clock
	dispatcher    *dispatcher

	gateway     http.Handler // inside of the caller's middleware
	server      *http.Server
	serving     sync.WaitGroup // the goroutine that accepts connections
	connections sync.WaitGroup
	closeOnce   sync.Once
	closeErr    error

	mu                sync.Mutex // guards the fields below; lock it before the dispatcher's, never after
	faults            map[string][]Fault
	tokens            map[string]time.Time // the expiry of each token
	signingKey        []byte               // of the tokens
	executed          map[string]execution // by idempotency key
	cashIns           map[string]*cashIn   // by each of its ids
	cashOuts          map[string]*cashOut  // by each of its ids
	cashInReferences  map[string]bool
	cashOutReferences map[string]bool
	transactional     int64 // centavos
	proprietary       int64 // centavos
	balanceUpdatedAt  time.Time
}

// Start returns a sandbox that listens on a free port of 127.0.0.1, over plain HTTP. It has new
// credentials, the balances of [WithBalance] and no transaction. Start fails if an option is
// invalid or no port is free.
func Start(opts ...Option) (*Sandbox, error) {
	settings := defaultOptions()
	for _, option := range opts {
		option(&settings)
	}
	if err := settings.validate(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	cryptoToken := uuid.NewString()
	s := &Sandbox{
		config: connectpsp.Config{
			ClientID:         strconv.Itoa(1000 + rand.IntN(9000)),
			ClientSecret:     auth.NewSecret(uuid.NewString()),
			ApplicationToken: auth.NewSecret(uuid.NewString()),
			CryptoToken:      auth.NewSecret(cryptoToken),
			BaseURL:          "http://" + listener.Addr().String(),
		},
		tokenLifetime:     settings.tokenLifetime,
		faults:            make(map[string][]Fault),
		tokens:            make(map[string]time.Time),
		signingKey:        []byte(uuid.NewString()),
		executed:          make(map[string]execution),
		cashIns:           make(map[string]*cashIn),
		cashOuts:          make(map[string]*cashOut),
		cashInReferences:  make(map[string]bool),
		cashOutReferences: make(map[string]bool),
		transactional:     settings.transactional.Centavos(),
		proprietary:       settings.proprietary.Centavos(),
	}
	s.balanceUpdatedAt = s.Now()
	s.dispatcher = startDispatcher(&s.clock, cryptoToken)
	s.gateway = settings.middleware(http.HandlerFunc(s.serveGateway))
	s.server = &http.Server{Handler: s, ConnState: s.countConnections, ReadHeaderTimeout: 10 * time.Second}
	s.serving.Go(func() {
		// Serve always returns an error, after Close.
		_ = s.server.Serve(listener)
	})
	return s, nil
}

// URL returns the base URL of the gateway, such as "http://127.0.0.1:41235", without a slash at the
// end.
func (s *Sandbox) URL() string { return s.config.BaseURL }

// Config returns the base URL and the credentials of the sandbox, for [connectpsp.New]. Its
// CryptoToken is also the secret that webhooks are signed with.
func (s *Sandbox) Config() connectpsp.Config { return s.config }

// Close stops the gateway: it cuts connections, drops webhooks that wait and cuts those under way.
// It returns when all goroutines of the sandbox have ended. So it waits for a middleware that is
// still running; do not call it from one. A second call does nothing and returns the same error.
//
// The other methods still work after Close, but no webhook is sent.
func (s *Sandbox) Close() error {
	s.closeOnce.Do(func() {
		s.closeErr = s.server.Close()
		s.serving.Wait()
		s.connections.Wait()
		s.dispatcher.close()
	})
	return s.closeErr
}

// countConnections counts open connections, so that Close can wait for their goroutines.
// [http.Server.Close] does not wait for them.
func (s *Sandbox) countConnections(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.connections.Done()
	}
}
