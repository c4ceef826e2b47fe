package connectpsp

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
)

// pool keeps a transport from opening more connections than there are calls at a time. A transport by itself dials for every call
// that finds no connection free, goes on when one becomes free in the meantime, and so ends a burst with twice as many as it
// needs, each of which took the gateway a handshake.
//
// It waits to dial as long as there are as many connections as calls. Then one is free soon: each call uses but one, so one is
// used by none, and is given to the call that waits, or is being opened or closed.
type pool struct {
	transport *http.Transport
	dial      func(ctx context.Context, network, address string) (net.Conn, error)

	mu          sync.Mutex
	calls       int           // from the sending to the end of the answer
	connections int           // open, or being opened
	waiting     chan struct{} // is closed when a dial that waits should look again; nil if none waits
}

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

// count changes a number, and wakes the dials that wait.
func (p *pool) count(number *int, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*number += by
	if p.waiting != nil {
		close(p.waiting)
		p.waiting = nil
	}
}

// dialContext opens a connection when there are fewer than calls. The call it was meant for may have found another by then, and
// another call gets this one; if there is no use for it, it gives up after a while.
func (p *pool) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	patience, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	for again := p.claim(); again != nil; again = p.claim() {
		select {
		case <-again:
		case <-patience.Done():
			return nil, patience.Err()
		}
	}
	connection, err := p.dial(ctx, network, address)
	if err != nil {
		p.count(&p.connections, -1)
		return nil, err
	}
	return &pooledConnection{Conn: connection, pool: p}, nil
}

// claim counts a connection if there may be one more, and else returns what to wait for.
func (p *pool) claim() (again <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.connections < p.calls {
		p.connections++
		return nil
	}
	if p.waiting == nil {
		p.waiting = make(chan struct{})
	}
	return p.waiting
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
