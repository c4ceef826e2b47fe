package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

var (
	// ErrNotFound is wrapped by the error of a method if the sandbox has no transaction with the
	// id.
	ErrNotFound = errors.New("sandbox: not found")

	// ErrTransition is wrapped by the error of a method if the transaction cannot move from its
	// status to the new one. Nothing has changed then.
	ErrTransition = errors.New("sandbox: transition not allowed")

	// ErrInvalid is wrapped by the error of a method if an argument is invalid. Nothing has changed
	// then.
	ErrInvalid = errors.New("sandbox: invalid argument")
)

// Sandbox is a gateway in memory. It is also an [http.Handler], so a program can serve it by
// itself. Goroutines may call all methods concurrently. The zero value is not usable: call [Start],
// and [Sandbox.Close] at the end.
//
// The id that a method takes may be a transactionId, an internalCode or an endToEndId.
type Sandbox struct {
	baseURL     string
	settings    options
	chance      chance
	credentials chance
	clock       clock
	moving      sync.Mutex // held by Advance and the like; lock it before mu
	network     network
	dispatcher  *dispatcher

	gateway     http.Handler // inside of the caller's middleware
	server      *http.Server
	serving     sync.WaitGroup // the goroutine that accepts connections
	connections sync.WaitGroup
	closing     chan struct{} // closed by Close
	closeOnce   sync.Once
	closeErr    error

	mu                guard // guards the fields below; lock it before the dispatcher's, never after
	config            connectpsp.Config
	rotations         uint64 // of the CryptoToken
	keyLifetime       time.Duration
	uniqueReferences  bool
	repeatedRefusals  bool
	failures          map[string][]failure    // by operation or event type
	recurrences       map[string][]recurrence // by operation or event type
	latency           time.Duration
	limit             rateLimit
	requests          []*admitted
	tokens            map[string]time.Time // the expiry of each token
	signingKey        []byte               // of the tokens
	drawn             map[string]uint64    // how many ids of each purpose
	executed          map[string]execution // by idempotency key
	charges           []*cashIn            // in the order of their creation
	payments          []*cashOut           // in the order of their creation
	nextExpiry        time.Time            // no charge is due before it
	cashIns           map[string]*cashIn   // by each of its ids
	cashOuts          map[string]*cashOut  // by each of its ids
	cashInReferences  map[string]bool
	cashOutReferences map[string]bool
	held              []*event // by HoldWebhook
	transactional     int64    // centavos
	proprietary       int64    // centavos
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
	s := &Sandbox{
		settings:    settings,
		chance:      chanceOf(settings.seed),
		credentials: chanceOf(cmp.Or(settings.credentials, settings.seed)),
		network:     newNetwork(settings),
		closing:     make(chan struct{}),
	}
	if settings.time != nil {
		s.clock.fixed = settings.time.UTC().Round(0)
	}
	listener, err := s.network.listenGateway()
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s.baseURL = "http://" + listener.Addr().String()
	s.signingKey = []byte(s.chance.uuid("key of the access tokens", 0))
	s.dispatcher = startDispatcher(&s.clock, s.chance, s.network, settings.seed != nil)
	s.Reset()
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
func (s *Sandbox) URL() string { return s.baseURL }

// Close stops the gateway: it cuts connections, drops webhooks that wait and cuts those under way.
// It returns when all goroutines of the sandbox have ended. So it waits for a middleware that is
// still running; do not call it from one. A second call does nothing and returns the same error.
//
// The other methods still work after Close, but no webhook is sent.
func (s *Sandbox) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
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
