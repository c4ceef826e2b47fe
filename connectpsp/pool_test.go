package connectpsp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// pooledClient returns a client with the SDK's own transport, and the pool in that.
func pooledClient(t *testing.T, url string) (*Client, *pool) {
	t.Helper()
	client, err := New(Config{
		ClientID: "1024", ClientSecret: auth.NewSecret("secret"), ApplicationToken: auth.NewSecret("token"), BaseURL: url,
	}, WithTokenSource(steady{}))
	require.NoError(t, err)
	return client, client.raw.Client.(once).transport.(*pool)
}

// startFor starts a server, with HTTP/2 if it is encrypted, and returns a client of it as pooledClient does.
func startFor(t *testing.T, server *httptest.Server, encrypted bool) (*Client, *pool) {
	t.Helper()
	if !encrypted {
		server.Start()
		return pooledClient(t, server.URL)
	}
	server.EnableHTTP2 = true
	server.StartTLS()
	client, pool := pooledClient(t, server.URL)
	Trust(client, server.Client().Transport.(*http.Transport).TLSClientConfig)
	return client, pool
}

func TestBurstsOpenNoMoreConnectionsThanThereAreCallsAtATime(t *testing.T) {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond)
		_, _ = io.WriteString(w, `{"transactionId":"one","status":"PAID"}`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client, _ := pooledClient(t, server.URL)
	for range 3 {
		var burst sync.WaitGroup
		for range 64 {
			burst.Go(func() {
				for range 50 {
					if _, err := client.GetCashIn(t.Context(), "one"); !assert.NoError(t, err) {
						return
					}
				}
			})
		}
		burst.Wait()
	}
	assert.LessOrEqual(t, opened.Load(), int32(64))
}

func (p *pool) waits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting.Len()
}

func TestADialThatFailedKeepsNobodyFromDialling(t *testing.T) {
	down := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer server.Close()
	transport := newTransport().(*pool)
	dial := transport.dial
	transport.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if down {
			return nil, errors.New("no route")
		}
		return dial(ctx, network, address)
	}
	client := &http.Client{Transport: transport}
	for range 100 {
		_, err := client.Get(server.URL)
		require.ErrorContains(t, err, "no route")
	}
	down = false
	response, err := client.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NoError(t, response.Body.Close())
	transport.mu.Lock()
	defer transport.mu.Unlock()
	assert.Zero(t, transport.calls)
	assert.LessOrEqual(t, transport.connections, 1)
}

func TestADialWaitsForACallOrAnEndAndNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		p := &pool{calls: 1, dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}
		first, err := p.dialContext(t.Context(), "tcp", "gateway:443")
		require.NoError(t, err)

		begun := time.Now()
		_, err = p.dialContext(t.Context(), "tcp", "gateway:443")
		require.NoError(t, err, "the first may hang: a call does not wait for it for ever")
		assert.Equal(t, poolPatience, time.Since(begun))
		assert.Equal(t, 2, p.connections)

		for _, change := range []func(){
			func() { p.count(&p.calls, 2) },
			func() { assert.NoError(t, first.Close()); assert.NoError(t, first.Close()) },
		} {
			var dialled atomic.Bool
			go func() {
				_, err := p.dialContext(t.Context(), "tcp", "gateway:443")
				assert.NoError(t, err)
				dialled.Store(true)
			}()
			synctest.Wait()
			assert.False(t, dialled.Load())
			change()
			synctest.Wait()
			assert.True(t, dialled.Load())
		}
		assert.Equal(t, 3, p.connections)
		assert.Zero(t, p.waits())
	})
}

// A call that finds a connection free while its dial waits has no use for another. One whose connection was dead when it got it
// wants the next.
func TestADialEndsWhenItsCallHasGotAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled") }}
		var call arrival
		ctx := context.WithValue(t.Context(), arrivalKey{}, &call)
		dial := func() (ended chan error) {
			ended = make(chan error, 1)
			go func() {
				_, err := p.dialContext(ctx, "tcp", "gateway:443")
				ended <- err
			}()
			synctest.Wait()
			return ended
		}
		call.want("gateway:443")
		waiting := dial()
		call.come(httptrace.GotConnInfo{})
		assert.ErrorIs(t, <-waiting, errServed)
		assert.ErrorIs(t, <-dial(), errServed, "it came before the dial asked")

		call.want("gateway:443")
		waiting = dial()
		assert.Empty(t, waiting, "the next connection is not the last")
		assert.EqualError(t, <-waiting, "dialled")
		assert.Zero(t, p.connections)
		assert.Zero(t, p.waits())

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ctx = context.WithValue(ctx, arrivalKey{}, new(arrival))
		waiting = dial()
		cancel()
		assert.ErrorIs(t, <-waiting, context.Canceled)
		assert.Zero(t, p.connections)
	})
}

// Every connection that breaks has to be counted as gone, or calls would come to wait for it.
func TestConnectionsThatBreakKeepNobodyWaiting(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(time.Millisecond)
		fate := rand.IntN(8)
		switch fate {
		case 0:
			w.Header().Set("Connection", "close")
			fallthrough
		default:
			_, _ = io.WriteString(w, "{}")
			return
		case 1, 2, 3:
		}
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		switch fate {
		case 1: // half an answer
			_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")
		case 2: // an answer, and an end that the other side is not told of in it
			_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		case 3: // a reset
			_ = connection.(*net.TCPConn).SetLinger(0)
		}
		_ = connection.Close()
	}))
	defer server.Close()
	transport := newTransport().(*pool)
	client := &http.Client{Transport: transport}
	var slowest atomic.Int64
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() {
			for i := range 30 {
				begun := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if (n+i)%10 == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond) // a caller who goes away
				}
				request, _ := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, bytes.NewReader([]byte("{}")))
				if response, err := client.Do(request); err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
				cancel()
				if took := int64(time.Since(begun)); took > slowest.Load() {
					slowest.Store(took)
				}
			}
		})
	}
	all.Wait()
	assert.Less(t, time.Duration(slowest.Load()), dialTimeout/2)
	transport.transport.CloseIdleConnections()
	assert.EventuallyWithT(t, func(t *assert.CollectT) {
		transport.transport.CloseIdleConnections()
		transport.mu.Lock()
		defer transport.mu.Unlock()
		assert.Zero(t, transport.calls)
		assert.Zero(t, transport.connections)
	}, 2*dialTimeout, 10*time.Millisecond)
}

// With the SDK's own transport a request is sent on a connection or not at all: a dial that ends after its call serves the next.
func TestACallThatEndsWhileItsConnectionIsOpenedWasNotSentAndNeverWillBe(t *testing.T) {
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
			client, pool := startFor(t, server, encrypted)
			begun, release := make(chan struct{}, 1), make(chan struct{})
			dial := pool.dial
			pool.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
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

// A caller may watch requests too, and end a call at any point of one. Only what had no connection yet was not sent.
func TestACallersOwnTraceHidesNoConnection(t *testing.T) {
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
						assert.Equal(t, "wanted", point)
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
