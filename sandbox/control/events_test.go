package control_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

const eventsAddress = "127.0.0.1:8420"

// serveInMemory serves a sandbox and its API in a bubble of testing/synctest.
func serveInMemory(t *testing.T, options ...sandbox.Option) *sandbox.Sandbox {
	gateway, err := sandbox.Start(append(options, sandbox.WithMemoryNetwork())...)
	require.NoError(t, err)
	listener, err := gateway.Listen(eventsAddress)
	require.NoError(t, err)
	server := &http.Server{Handler: control.New(gateway)}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		assert.NoError(t, server.Close())
		assert.NoError(t, gateway.Close())
	})
	return gateway
}

// events reads the events of a sandbox.
type events struct {
	t     *testing.T
	lines *bufio.Scanner
}

func subscribe(t *testing.T, gateway *sandbox.Sandbox) events {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+eventsAddress+"/_sandbox/v1/events", nil)
	require.NoError(t, err)
	client := gateway.HTTPClient()
	response, err := client.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() {
		response.Body.Close()
		client.CloseIdleConnections()
	})
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return events{t, lines}
}

// next returns the next event: its type, which is empty for a state, and its data.
func (e events) next() (kind, data string) {
	e.t.Helper()
	for e.lines.Scan() {
		line := e.lines.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			kind = strings.TrimPrefix(line, "event: ")
		case strings.HasPrefix(line, "data: "):
			data = strings.TrimPrefix(line, "data: ")
		case line == "" && data != "":
			return kind, data
		}
	}
	require.Fail(e.t, "the events have ended", "%v", e.lines.Err())
	return "", ""
}

func TestTheEventsTellOfEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := serveInMemory(t, sandbox.WithTime(noon))
		one, other := subscribe(t, gateway), subscribe(t, gateway)
		balance := func(e events) float64 {
			kind, data := e.next()
			assert.Empty(t, kind)
			var state struct {
				TransactionalBalance float64
				Now                  time.Time
			}
			require.NoError(t, json.Unmarshal([]byte(data), &state))
			assert.Equal(t, gateway.Now(), state.Now)
			return state.TransactionalBalance
		}
		assert.Equal(t, []float64{500_000, 500_000}, []float64{balance(one), balance(other)})
		for _, amount := range []float64{1, 2, 3} {
			time.Sleep(time.Second)
			require.NoError(t, gateway.SetBalances(pix.Centavos(int64(100*amount)), pix.Centavos(0)))
			assert.Equal(t, []float64{amount, amount}, []float64{balance(one), balance(other)})
		}
	})
}

func TestTheEventsOfASandboxThatIsIdleAreTheSecondsOfItsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := serveInMemory(t)
		all := subscribe(t, gateway)
		kind, _ := all.next()
		assert.Empty(t, kind)
		for range 100 {
			kind, data := all.next()
			assert.Equal(t, "clock", kind)
			assert.Equal(t, gateway.Now().Truncate(time.Second).Format(time.RFC3339), data)
		}
	})
}

func TestASubscriberThatDoesNotReadIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := serveInMemory(t)
		dial := gateway.HTTPClient().Transport.(*http.Transport).DialContext
		connection, err := dial(t.Context(), "tcp", eventsAddress)
		require.NoError(t, err)
		defer connection.Close()
		_, err = io.WriteString(connection, "GET /_sandbox/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = connection.Write([]byte("x"))
		assert.ErrorIs(t, err, io.ErrClosedPipe)
	})
}
