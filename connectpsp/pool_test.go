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
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBurstsOpenNoMoreConnectionsThanThereAreCallsAtATime(t *testing.T) {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(time.Millisecond)
		_, _ = io.WriteString(w, "{}")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := &http.Client{Transport: newTransport()}
	for range 3 {
		var burst sync.WaitGroup
		for range 64 {
			burst.Go(func() {
				for range 20 {
					response, err := client.Get(server.URL)
					if !assert.NoError(t, err) {
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					assert.NoError(t, response.Body.Close())
				}
			})
		}
		burst.Wait()
	}
	assert.LessOrEqual(t, opened.Load(), int32(64))
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
	assert.Zero(t, transport.calls)
	assert.LessOrEqual(t, transport.connections, 1)
}

func TestADialWaitsForACallOrAnEndAndNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		p := &pool{calls: 1, dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}
		first, err := p.dialContext(t.Context(), "tcp", "gateway:443")
		require.NoError(t, err)

		begun := time.Now()
		_, err = p.dialContext(t.Context(), "tcp", "gateway:443")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, dialTimeout, time.Since(begun))

		for _, change := range []func(){
			func() { p.count(&p.calls, 1) },
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
		assert.Equal(t, 2, p.connections)
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
