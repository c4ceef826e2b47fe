package connectpsp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
)

// steady is a source of one token.
type steady struct{}

func (steady) Token(context.Context) (auth.Secret, error) { return auth.NewSecret("a.b.c"), nil }
func (steady) Invalidate(auth.Secret)                     {}

// ownTransport returns a client with the SDK's own transport, and that transport.
func ownTransport(t *testing.T, url string) (*Client, *http.Transport) {
	t.Helper()
	client, err := New(Config{
		ClientID: "1024", ClientSecret: auth.NewSecret("secret"), ApplicationToken: auth.NewSecret("token"), BaseURL: url,
	}, WithTokenSource(steady{}))
	require.NoError(t, err)
	return client, client.raw.Client.(*http.Client).Transport.(*http.Transport)
}

// startFor starts a server, with HTTP/2 if it is encrypted, and returns a client for it as
// ownTransport does.
func startFor(t *testing.T, server *httptest.Server, encrypted bool) (*Client, *http.Transport) {
	t.Helper()
	if !encrypted {
		server.Start()
		return ownTransport(t, server.URL)
	}
	server.EnableHTTP2 = true
	server.StartTLS()
	client, transport := ownTransport(t, server.URL)
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	return client, transport
}

// silentConn is a connection to a gateway that has vanished: writes are lost, and nothing can be
// read.
type silentConn struct {
	net.Conn
	silent *atomic.Bool
	left   func()
}

func (c silentConn) Write(p []byte) (int, error) {
	if c.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c silentConn) Close() error {
	if c.silent.Load() {
		c.left()
	}
	return c.Conn.Close()
}

// All calls share one HTTP/2 connection, and none gets a response while that is silent.
func TestASilentHTTP2ConnectionIsDetectedAndClosed(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"transactionId":"one","status":"PAID"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client, transport := ownTransport(t, server.URL)
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	require.NotZero(t, transport.HTTP2.SendPingTimeout)
	require.NotZero(t, transport.HTTP2.PingTimeout)
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 50 * time.Millisecond, PingTimeout: 300 * time.Millisecond}

	var silent atomic.Bool
	closed, first := make(chan struct{}), true
	left := sync.OnceFunc(func() { close(closed) })
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		if first && err == nil {
			first = false
			return silentConn{connection, &silent, left}, nil
		}
		return connection, err
	}
	_, err := client.GetCashIn(t.Context(), "one")
	require.NoError(t, err)
	silent.Store(true)
	_, err = client.GetCashIn(t.Context(), "one")
	assert.NoError(t, err, "a read is repeated on a new connection")
	select {
	case <-closed:
	case <-time.After(time.Minute):
		assert.Fail(t, "the silent connection was not left")
	}
}

// With the SDK's own transport a request is sent on a connection or not at all: a dial that ends
// after its call serves the next.
func TestACallThatEndsWhileDiallingIsNeverSent(t *testing.T) {
	for protocol, encrypted := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(protocol, func(t *testing.T) {
			var received atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				received.Add(1)
				assert.Equal(t, protocol, strings.TrimSuffix(r.Proto, ".0"))
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, `{"transactionId":"one","status":"AWAITING_PAYMENT"}`)
			}))
			defer server.Close()
			client, transport := startFor(t, server, encrypted)
			begun, release := make(chan struct{}, 1), make(chan struct{})
			dial := transport.DialContext
			transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				begun <- struct{}{}
				<-release
				return dial(ctx, network, address)
			}
			request := CashInRequest{Amount: pix.Centavos(1), ExternalReference: "order-1", Payer: Payer{Name: "Test User", Document: "12345678909"}}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-begun
				cancel()
			}()
			_, err := client.CreateCashIn(ctx, request)
			require.ErrorIs(t, err, ErrNotSent)
			close(release)
			assert.Zero(t, received.Load())
			_, err = client.CreateCashIn(t.Context(), request)
			require.NoError(t, err)
			assert.EqualValues(t, 1, received.Load())
		})
	}
}

// The caller's own httptrace may cancel a call at any point. Once the headers are written the
// request may have been sent.
func TestNotSentIsTrueWhereverTheCallersTraceEndsTheCall(t *testing.T) {
	for protocol, encrypted := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(protocol, func(t *testing.T) {
			var received sync.Map
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				received.Store(r.Header.Get(idempotency.Header), true)
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, `{"transactionId":"one","status":"AWAITING_PAYMENT"}`)
			}))
			defer server.Close()
			client, _ := startFor(t, server, encrypted)
			unsent := map[string]bool{}
			for range 50 {
				for point, at := range map[string]func(end func()) *httptrace.ClientTrace{
					"wanted": func(end func()) *httptrace.ClientTrace {
						return &httptrace.ClientTrace{GetConn: func(string) { end() }}
					},
					"got": func(end func()) *httptrace.ClientTrace {
						return &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { end() }}
					},
					"written": func(end func()) *httptrace.ClientTrace { return &httptrace.ClientTrace{WroteHeaders: end} },
				} {
					ctx, end := context.WithCancel(t.Context())
					key := idempotency.NewKey()
					_, err := client.CreateCashIn(httptrace.WithClientTrace(ctx, at(end)), CashInRequest{
						Amount: pix.Centavos(1), ExternalReference: key, Payer: Payer{Name: "Test User", Document: "12345678909"},
					}, WithIdempotencyKey(key))
					end()
					if errors.Is(err, ErrNotSent) {
						assert.NotEqual(t, "written", point)
						unsent[key] = true
					}
				}
			}
			server.Close() // when all that was sent has been handled
			for key := range unsent {
				_, ok := received.Load(key)
				assert.False(t, ok, key)
			}
			if !encrypted { // a connection of HTTP/2 that there is already takes the request all the same, more often than not
				assert.NotEmpty(t, unsent)
			}
		})
	}
}
