package connectpsp

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/internal/redact"
)

// pool keeps a transport from opening more connections than there are calls at a time. A transport
// by itself dials for every call that finds no connection free, goes on when one becomes free in
// the meantime, and so ends a burst with twice as many as it needs, each of which took the gateway
// a handshake.
//
// It waits to dial as long as there are as many connections as calls. Then one is free soon: each
// call uses but one, so one is used by none, and is given to the call that waits, or is being
// opened or closed. A call that has got one needs no other, and one that waits for long gets
// another all the same.
type pool struct {
	transport *http.Transport
	dial      func(ctx context.Context, network, address string) (net.Conn, error)

	mu          sync.Mutex
	calls       int       // from the sending to the end of the answer
	connections int       // open, or being opened
	waiting     list.List // of channels, each closed when the dial that waits for it may begin; the longest first
}

// poolPatience is for how long a call waits for a connection that should soon be free. It is not if
// opening it hangs.
const poolPatience = time.Second

const errServed = redact.Text("the call has got another connection")

func (p *pool) RoundTrip(request *http.Request) (*http.Response, error) {
	p.count(&p.calls, 1)
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		p.count(&p.calls, -1)
		return nil, err
	}
	response.Body = &pooledBody{ReadCloser: response.Body, pool: p}
	return response, nil
}

// count changes a number, and lets dials begin that may.
func (p *pool) count(number *int, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*number += by
	p.grant()
}

func (p *pool) grant() {
	for p.connections < p.calls && p.waiting.Len() > 0 {
		p.connections++
		close(p.waiting.Remove(p.waiting.Front()).(chan struct{}))
	}
}

// dialContext opens a connection when there may be one more. The call it was meant for may have
// found another by then: if that is known nobody waits for this one, and if not the next call gets
// it.
func (p *pool) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := p.claim(ctx); err != nil {
		return nil, err
	}
	connection, err := p.dial(ctx, network, address)
	if err != nil {
		p.count(&p.connections, -1)
		return nil, err
	}
	return &pooledConnection{Conn: connection, pool: p}, nil
}

// claim counts a connection, once there may be one more or patience is at its end. Its error says
// that there is no need any more.
func (p *pool) claim(ctx context.Context) error {
	granted := make(chan struct{})
	p.mu.Lock()
	place := p.waiting.PushBack(granted)
	p.grant()
	p.mu.Unlock()
	patience := time.NewTimer(poolPatience)
	defer patience.Stop()
	var err error
	select {
	case <-granted:
		return nil
	case <-patience.C:
	case <-servedBy(ctx):
		err = errServed
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-granted: // at the same moment
		if err != nil {
			p.connections--
			p.grant()
		}
	default:
		p.waiting.Remove(place)
		if err == nil {
			p.connections++
		}
	}
	return err
}

// arrival tells, to those who ask, that a call has got the connection that it wants. The zero value
// is ready.
type arrival struct {
	mu     sync.Mutex
	came   bool
	ever   bool          // also before the call wanted the next
	signal chan struct{} // is closed when it comes; nil if nobody has asked
}

type arrivalKey struct{}

// want says that the call wants a connection, the first or, when that one was dead, the next.
func (a *arrival) want(string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.came, a.signal = false, nil
}

// come says that it has got it.
func (a *arrival) come(httptrace.GotConnInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signal != nil && !a.came {
		close(a.signal)
	}
	a.came, a.ever = true, true
}

// everCame reports whether the call ever had a connection.
func (a *arrival) everCame() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ever
}

// servedBy returns what is closed when the call to which the context of a dial belongs has got a
// connection. Of requests for tokens, which are few, nothing is known.
func servedBy(ctx context.Context) <-chan struct{} {
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signal == nil {
		a.signal = make(chan struct{})
		if a.came {
			close(a.signal)
		}
	}
	return a.signal
}

// pooledBody ends a call when it is closed.
type pooledBody struct {
	io.ReadCloser
	pool *pool
	once sync.Once
}

func (b *pooledBody) Close() error {
	defer b.once.Do(func() { b.pool.count(&b.pool.calls, -1) })
	return b.ReadCloser.Close()
}

type pooledConnection struct {
	net.Conn
	pool *pool
	once sync.Once
}

func (c *pooledConnection) Close() error {
	defer c.once.Do(func() { c.pool.count(&c.pool.connections, -1) })
	return c.Conn.Close()
}
