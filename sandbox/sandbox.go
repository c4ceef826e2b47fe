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
	// ErrNotFound is wrapped by the error of a method that was given the id of no transaction of
	// the sandbox.
	ErrNotFound = errors.New("sandbox: not found")

	// ErrTransition is wrapped by the error of a method that would bring a transaction into a state
	// that cannot follow the one it is in. Nothing has changed then.
	ErrTransition = errors.New("sandbox: transition not allowed")
)

// Sandbox is a gateway in memory. It is also an http.Handler, for those who want to serve it
// themselves. All its methods may be called by several goroutines at once. The zero value is of no
// use: call Start, and Close in the end.
//
// Ids given to its methods may be a transactionId, an internalCode or an endToEndId.
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

	mu                sync.Mutex // guards all below; the dispatcher's lock may be taken under it, not the other way round
	faults            map[string][]Fault
	tokens            map[string]time.Time // when each of them expires
	signingKey        []byte               // of the tokens
	remembered        map[string]memory    // by idempotency key
	cashIns           map[string]*cashIn   // by each of its ids
	cashOuts          map[string]*cashOut  // by each of its ids
	cashInReferences  map[string]bool
	cashOutReferences map[string]bool
	transactional     int64 // centavos
	proprietary       int64 // centavos
	balanceUpdatedAt  time.Time
}

// Start returns a sandbox that listens on a free port of 127.0.0.1, over plain HTTP. Its
// credentials are new, its balances are those of WithBalance, and there is no transaction. It fails
// if an option is not acceptable or if it cannot listen.
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
		remembered:        make(map[string]memory),
		cashIns:           make(map[string]*cashIn),
		cashOuts:          make(map[string]*cashOut),
		cashInReferences:  make(map[string]bool),
		cashOutReferences: make(map[string]bool),
		transactional:     settings.transactional.Centavos(),
		proprietary:       settings.proprietary.Centavos(),
	}
	s.balanceUpdatedAt = s.Now()
	s.dispatcher = startCourier(&s.clock, cryptoToken)
	s.gateway = settings.middleware(http.HandlerFunc(s.serveGateway))
	s.server = &http.Server{Handler: s, ConnState: s.countConnections, ReadHeaderTimeout: 10 * time.Second}
	s.serving.Go(func() {
		// It always ends with an error: Close has been called.
		_ = s.server.Serve(listener)
	})
	return s, nil
}

// URL returns the base URL of the gateway, such as "http://127.0.0.1:41235", without a slash at its
// end.
func (s *Sandbox) URL() string { return s.config.BaseURL }

// Config returns what a client needs to talk to the sandbox: its base URL and its credentials.
// Their CryptoToken is also the secret of its webhooks.
func (s *Sandbox) Config() connectpsp.Config { return s.config }

// Close stops the gateway: connections are cut, webhooks that wait are dropped, those under way are
// cut. It returns when all goroutines of the sandbox have ended, so it waits for a middleware that
// is still working, and must not be called from one. Calling it again does nothing and returns the
// same error.
//
// The other methods still work afterwards, but no webhook is sent.
func (s *Sandbox) Close() error {
	s.closeOnce.Do(func() {
		s.closeErr = s.server.Close()
		s.serving.Wait()
		s.connections.Wait()
		s.dispatcher.close()
	})
	return s.closeErr
}

// countConnections lets Close wait for the goroutines of connections, which http.Server.Close does
// not.
func (s *Sandbox) countConnections(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.connections.Done()
	}
}
