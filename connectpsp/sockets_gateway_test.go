package connectpsp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
)

// socketGateway is a gateway behind real sockets. It remembers keys and references, and draws a
// fault for every request.
type socketGateway struct {
	t      testing.TB
	server *httptest.Server
	orders sync.Map    // *socketOrder by the part of its references before the slash
	calm   atomic.Bool // no more faults

	handling    sync.WaitGroup
	tokens      atomic.Int64
	requests    atomic.Int64
	connections atomic.Int64 // that were not closed at once
}

// socketOrder is the gateway's state of one order of the caller, who may pay it under several
// references one after another.
type socketOrder struct {
	mu         sync.Mutex
	chance     *rand.Rand
	forgetful  bool // it does not remember keys
	keys       map[string]bool
	references map[string]bool
	executed   int // under all references
	received   int // requests
	late       []func()
	story      []string // of the faults, printed if the test fails
}

// newSocketGateway starts a gateway with one of the protocols. If checked, requests are checked
// against the description.
func newSocketGateway(t testing.TB, protocol string, checked bool) *socketGateway {
	g := &socketGateway{t: t}
	var handler http.Handler = http.HandlerFunc(g.serve)
	if checked {
		handler = contract.New(t).Requests(handler)
	}
	g.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.handling.Add(1)
		defer g.handling.Done()
		handler.ServeHTTP(w, r)
	}))
	g.server.Listener = unreliableListener{g.server.Listener, g}
	g.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are broken off
	g.server.Config.ConnContext = func(ctx context.Context, connection net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, connection)
	}
	switch protocol {
	case overHTTP:
		g.server.Start()
	case overTLS:
		g.server.TLS = newServerTLS()
		g.server.StartTLS()
	case overHTTP2:
		g.server.TLS = newServerTLS()
		g.server.EnableHTTP2 = true
		g.server.StartTLS()
	}
	return g
}

// close stops the gateway, and executes the requests that are still due.
func (g *socketGateway) close() {
	g.server.Close()
	g.handling.Wait()
	g.orders.Range(func(_, order any) bool {
		order.(*socketOrder).catchUp()
		return true
	})
}

func (g *socketGateway) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case !g.calm.Load() && rand.IntN(60) == 0:
		panic(http.ErrAbortHandler) // before anything is read
	case r.URL.Path == "/auth/token":
		if !g.calm.Load() && rand.IntN(20) == 0 {
			whole.send(w, r, http.StatusServiceUnavailable, "")
			return
		}
		tokenAnswer(fmt.Sprintf("header.payload-%d.signature", g.tokens.Add(1)), 3600)(w, r)
		return
	case r.URL.Path != "/cash-out":
		g.t.Errorf("a request that nobody asked for: %s %s", r.Method, r.URL.Path)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	g.requests.Add(1)
	var request struct {
		ExternalReference string
		Amount            pix.Amount
	}
	if err := json.Unmarshal(body, &request); err != nil {
		g.t.Errorf("a body that nobody sent: %v", err)
		return
	}
	if signing.Sign(cryptoToken, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) != r.Header.Get(signing.Header) {
		g.t.Error("a signature that is not that of the token")
	}
	name, _, _ := strings.Cut(request.ExternalReference, "/")
	found, _ := g.orders.Load(name)
	order := found.(*socketOrder)
	fault := g.draw(order, r.ProtoMajor == 2)
	status, answer := order.receive(fault, r.Header.Get("X-Idempotency-Key"), request.ExternalReference, request.Amount)
	fault.ending.send(w, r, status, answer)
}

// draw draws the fault of a request. Faults that end a connection are rarer if many requests share
// it.
func (g *socketGateway) draw(order *socketOrder, shared bool) socketFault {
	order.mu.Lock()
	defer order.mu.Unlock()
	if g.calm.Load() {
		return socketFaults[0]
	}
	fault := drawSocketFault(order.chance.IntN)
	if shared && fault.ending >= reset && order.chance.IntN(4) != 0 {
		fault = drawSocketFault(order.chance.IntN)
	}
	return fault
}

// receive handles a request with a fault.
func (o *socketOrder) receive(fault socketFault, key, reference string, amount pix.Amount) (status int, body string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.received++
	if o.chance.IntN(3) == 0 {
		o.catchUpLocked()
	}
	o.story = append(o.story, reference+" "+fault.name)
	if fault.executes {
		status, body = o.execute(key, reference, amount, fault.poor)
	}
	if fault.late {
		o.late = append(o.late, func() { o.execute(key, reference, amount, false) })
	}
	if fault.status != 0 {
		status, body = fault.status, fault.body
	}
	return status, body
}

// execute executes a payment and returns the response.
func (o *socketOrder) execute(key, reference string, amount pix.Amount, poor bool) (status int, body string) {
	accepted := `{"transactionId":"` + key + `","externalReference":"` + reference + `","status":"PROCESSING","amount":` + amount.String() + `}`
	switch {
	case o.keys[key] && !o.forgetful:
		return 202, accepted
	case o.references[reference]:
		return 409, `{"code":"DUPLICATE_EXTERNAL_REFERENCE"}`
	case poor:
		return 422, `{"code":"INSUFFICIENT_FUNDS"}`
	}
	o.keys[key], o.references[reference] = true, true
	o.executed++
	return 202, accepted
}

// catchUp executes the requests that were to be executed later.
func (o *socketOrder) catchUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.catchUpLocked()
}

func (o *socketOrder) catchUpLocked() {
	for _, execute := range o.late {
		execute()
	}
	o.late = nil
}

// unreliableListener closes some connections at once.
type unreliableListener struct {
	net.Listener
	gateway *socketGateway
}

func (l unreliableListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.gateway.calm.Load() || rand.IntN(60) != 0 {
			l.gateway.connections.Add(1)
			return connection, nil
		}
		_ = connection.Close()
	}
}
