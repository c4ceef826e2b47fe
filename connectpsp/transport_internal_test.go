package connectpsp

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// silentConn is a connection to a gateway that has vanished: what is written is lost, and nothing comes back.
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

// All calls share one connection of HTTP/2: while that is silent none gets an answer. It is found out and left.
func TestASilentConnectionOfHTTP2IsFoundOutAndLeft(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"transactionId":"one","status":"PAID"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client, pool := pooledClient(t, server.URL)
	Trust(client, server.Client().Transport.(*http.Transport).TLSClientConfig)
	require.NotZero(t, pool.transport.HTTP2.SendPingTimeout)
	require.NotZero(t, pool.transport.HTTP2.PingTimeout)
	pool.transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 50 * time.Millisecond, PingTimeout: 300 * time.Millisecond}

	var silent atomic.Bool
	closed, first := make(chan struct{}), true
	left := sync.OnceFunc(func() { close(closed) })
	dial := pool.dial
	pool.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
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
	<-closed
}
