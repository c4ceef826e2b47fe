package sandbox_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestTheConfigurationIsReadyForAClientAndNewEachTime(t *testing.T) {
	first, second := start(t).Config(), start(t).Config()

	u, err := url.Parse(first.BaseURL)
	require.NoError(t, err)
	assert.Equal(t, "http", u.Scheme)
	assert.Equal(t, "127.0.0.1", u.Hostname())
	assert.Empty(t, u.Path)
	for _, secret := range []string{first.ClientSecret.Reveal(), first.ApplicationToken.Reveal(), first.CryptoToken.Reveal()} {
		assert.NoError(t, uuid.Validate(secret))
	}
	assert.Empty(t, strings.Trim(first.ClientID, "0123456789"))
	assert.NotEqual(t, first.ClientSecret.Reveal(), second.ClientSecret.Reveal())
	assert.NotEqual(t, first.ApplicationToken.Reveal(), second.ApplicationToken.Reveal())
	assert.NotEqual(t, first.CryptoToken.Reveal(), second.CryptoToken.Reveal())
}

func TestInvalidOptionsAreRefused(t *testing.T) {
	for name, option := range map[string]sandbox.Option{
		"negative transactional": sandbox.WithBalance(pix.Centavos(-1), pix.Centavos(0)),
		"negative proprietary":   sandbox.WithBalance(pix.Centavos(0), pix.Centavos(-1)),
		"balance too large":      sandbox.WithBalance(pix.Centavos(1_000_000_000_000), pix.Centavos(0)),
		"lifetime too short":     sandbox.WithTokenLifetime(time.Second - 1),
		"no lifetime of keys":    sandbox.WithKeyLifetime(0),
		"time too early":         sandbox.WithTime(time.Time{}),
		"time too late":          sandbox.WithTime(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sandbox.Start(option)
			assert.Error(t, err)
			assert.Nil(t, s)
		})
	}
}

func TestUnknownPathsAndMethodsAreAnsweredWithAProblem(t *testing.T) {
	g := startUnchecked(t)
	for _, path := range []string{"/", "/nothing", "/cash-in/", "/cash-in/a/b", "/cash-in//refund", "/cash-out/x/refund"} {
		g.get(path).problem(404, "NOT_FOUND")
	}
	g.get("/cash-in").problem(405, "METHOD_NOT_ALLOWED")
	g.post("/cash-in/x", "{}").problem(405, "METHOD_NOT_ALLOWED")
	g.send(http.MethodDelete, "/account/balance", "").problem(405, "METHOD_NOT_ALLOWED")
}

func TestTheSandboxCanBeServedByAnotherServer(t *testing.T) {
	g := startUnchecked(t)
	server := httptest.NewServer(g)
	defer server.Close()
	response, err := http.Get(server.URL + "/account/balance")
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
}

func TestCloseLeavesNoGoroutineAndNoListener(t *testing.T) {
	before := runtime.NumGoroutine()
	receiver := newReceiver(t)
	g := startUnchecked(t)
	address := strings.TrimPrefix(g.URL(), "http://")
	for range 3 {
		charge := g.newCashIn(uuid.NewString(), receiver.URL)
		require.NoError(t, g.PayCashIn(charge.TransactionID))
	}
	open, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer open.Close()

	require.NoError(t, g.Close())
	require.NoError(t, g.Close(), "closing twice")
	receiver.Close()
	http.DefaultClient.CloseIdleConnections()

	_, err = net.Dial("tcp", address)
	assert.Error(t, err)
	// Those of net/http's clients end a moment after their connections. Eventually would count its
	// own.
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before)
}

func TestCloseWaitsForTheMiddleware(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var left sync.WaitGroup
	left.Add(1)
	ended := false
	s, err := sandbox.Start(sandbox.WithMiddleware(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-leave
			ended = true
		})
	}))
	require.NoError(t, err)
	go func() {
		defer left.Done()
		response, err := http.Get(s.URL() + "/account/balance")
		if err == nil {
			response.Body.Close()
		}
	}()
	soon(t, entered)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		assert.NoError(t, s.Close())
	}()
	left.Wait() // the connection is cut
	select {
	case <-closed:
		t.Error("Close has not waited")
	default:
	}
	close(leave)
	soon(t, closed)
	assert.True(t, ended)
}

func TestAHijackedConnectionDoesNotBlockClose(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	s, err := sandbox.Start(sandbox.WithMiddleware(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := http.NewResponseController(w).Hijack()
			assert.NoError(t, err)
			hijacked <- connection
		})
	}))
	require.NoError(t, err)
	client, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Write([]byte("GET /account/balance HTTP/1.1\r\nHost: sandbox\r\n\r\n"))
	require.NoError(t, err)
	connection := soon(t, hijacked)
	require.NoError(t, s.Close())
	require.NoError(t, connection.Close())
}

func TestManyGoroutinesMayUseTheSandboxAtOnce(t *testing.T) {
	receiver := newReceiver(t)
	g := start(t)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 5 {
				charge := g.newCashIn(uuid.NewString(), receiver.URL)
				assert.NoError(t, g.PayCashIn(charge.InternalCode))
				g.refund(charge.TransactionID)
				assert.NoError(t, g.SettleRefund(charge.TransactionID))
				payment := g.newCashOut(uuid.NewString(), receiver.URL)
				assert.NoError(t, g.CompleteCashOut(payment.TransactionID))
				assert.NoError(t, g.ReturnCashOut(payment.TransactionID))
				g.Advance(time.Millisecond)
				g.Deliveries()
			}
		})
	}
	workers.Wait()
	g.waitWebhooks()
	assert.Equal(t, "500000.00", g.transactional(), "everything went back")
	assert.Len(t, g.Deliveries(), 8*5*4)
}
