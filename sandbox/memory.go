package sandbox

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// memoryAddress is the address of the gateway on a memory network. No program listens there on a
// real one.
const memoryAddress = "127.0.0.1:1"

// WithMemoryNetwork makes the sandbox listen on pipes within the process in place of a port, so
// that it works in a bubble of [testing/synctest]. There a sleep takes no time, and moves the
// clocks of the sandbox, the client, its journal and the webhook.Worker together:
//
//	synctest.Test(t, func(t *testing.T) {
//		gateway, err := sandbox.Start(sandbox.WithMemoryNetwork())
//		…
//		defer gateway.Close()
//		client, err := connectpsp.New(gateway.Config(), connectpsp.WithHTTPClient(gateway.HTTPClient()))
//		…
//		time.Sleep(25 * time.Hour) // the charge has expired, and the client fetches a new token
//
// The receiver of webhooks must listen on the same network, and be closed before the bubble ends:
//
//	listener, err := gateway.Listen("127.0.0.1:8080") // its WebhookURL is http://127.0.0.1:8080
//	…
//	receiver := &http.Server{Handler: handler}
//	defer receiver.Close()
//	go receiver.Serve(listener)
func WithMemoryNetwork() Option {
	return func(o *options) { o.memoryNetwork = true }
}

// HTTPClient returns a client that reaches the sandbox, for [connectpsp.WithHTTPClient]. With
// [WithMemoryNetwork] it connects to nothing but the sandbox and the listeners of [Sandbox.Listen].
// The caller owns it.
func (s *Sandbox) HTTPClient() *http.Client {
	transport := connectpsp.NewTransport()
	transport.Proxy = nil
	if s.network.memory != nil {
		transport.DialContext = s.network.memory.dial
	}
	return &http.Client{Transport: transport}
}

// Listen returns a listener for a receiver of webhooks. With [WithMemoryNetwork] the address, such
// as "127.0.0.1:8080", is one of the memory network; without it Listen is [net.Listen] for TCP. The
// caller closes the listener. The error wraps [ErrInvalid] if the address of a memory network has
// no port or is in use.
func (s *Sandbox) Listen(address string) (net.Listener, error) {
	if s.network.memory == nil {
		return net.Listen("tcp", address)
	}
	return s.network.memory.listen(address)
}

// network is where the sandbox listens and sends webhooks: the loopback interface if memory is nil.
type network struct {
	memory  *memoryNetwork
	private bool // webhooks go to private networks too
}

func newNetwork(o options) network {
	n := network{private: o.privateNetwork}
	if o.memoryNetwork {
		n.memory = &memoryNetwork{listeners: make(map[string]*pipeListener)}
	}
	return n
}

func (n network) listenGateway() (net.Listener, error) {
	if n.memory == nil {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	return n.memory.listen(memoryAddress)
}

// memoryNetwork is a network of pipes.
type memoryNetwork struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener // by address
}

func (n *memoryNetwork) listen(address string) (net.Listener, error) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return nil, fmt.Errorf("%w: the address of a listener must be a host and a port", ErrInvalid)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[address] != nil {
		return nil, fmt.Errorf("%w: the address %s is in use", ErrInvalid, address)
	}
	listener := &pipeListener{network: n, address: address, dialed: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = listener
	return listener, nil
}

func (n *memoryNetwork) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	listener := n.listeners[address]
	n.mu.Unlock()
	refused := fmt.Errorf("sandbox: nothing listens on %s of the memory network", address)
	if listener == nil {
		return nil, refused
	}
	here, there := net.Pipe()
	select {
	case listener.dialed <- there:
		return here, nil
	case <-listener.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipeListener is a listener of a memory network. It is its own address.
type pipeListener struct {
	network *memoryNetwork
	address string
	dialed  chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case connection := <-l.dialed:
		return connection, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		delete(l.network.listeners, l.address)
		close(l.closed)
	})
	return nil
}

func (l *pipeListener) Addr() net.Addr { return l }

// Network implements [net.Addr].
func (l *pipeListener) Network() string { return "memory" }

// String implements [net.Addr].
func (l *pipeListener) String() string { return l.address }
