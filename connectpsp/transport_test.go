package connectpsp_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestNoRedirectIsFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s reached another host", r.Method, r.URL)
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		gateway := newGateway(t, redirect(status, elsewhere.URL))
		client := gateway.client(connectpsp.WithHTTPClient(&http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return nil }, // the caller's would follow
		}))
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		_, err = client.GetBalance(t.Context())
		var refusal *connectpsp.APIError
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, status, refusal.StatusCode)
		assert.ErrorContains(t, err, "never followed")
		assert.Len(t, gateway.requests(), 2)
	}
}

func TestTheCallersHTTPClientAndNetHTTPsGlobalsStayAsTheyWere(t *testing.T) {
	globalClient, globalTransport := *http.DefaultClient, http.DefaultTransport.(*http.Transport).Clone()
	mine := &http.Client{Timeout: time.Minute}
	for _, given := range []*http.Client{mine, http.DefaultClient, nil} {
		gateway := newGateway(t, replyJSON(200, balanceAnswer))
		_, err := gateway.client(connectpsp.WithHTTPClient(given)).GetBalance(t.Context())
		require.NoError(t, err)
	}
	assert.Nil(t, mine.CheckRedirect)
	assert.Nil(t, mine.Transport)
	assert.Equal(t, time.Minute, mine.Timeout)
	assert.Equal(t, globalClient.Timeout, http.DefaultClient.Timeout)
	assert.Nil(t, http.DefaultClient.CheckRedirect)
	assert.Nil(t, http.DefaultClient.Transport)
	now := http.DefaultTransport.(*http.Transport)
	assert.Equal(t, globalTransport.MaxIdleConnsPerHost, now.MaxIdleConnsPerHost)
	assert.Equal(t, globalTransport.IdleConnTimeout, now.IdleConnTimeout)
}

func TestTheCallersTimeoutBoundsEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, attempts := range []int{1, 3} {
			gateway := newGateway(t, silence)
			client := gateway.memoryClient(
				connectpsp.WithHTTPClient(&http.Client{Transport: inMemory{gateway.handler}, Timeout: 2 * time.Second}),
				connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: attempts, BaseDelay: time.Nanosecond, MaxDelay: time.Nanosecond}))
			begun := time.Now()
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			assert.Equal(t, unknown, outcomeOf(err))
			assert.Equal(t, time.Duration(attempts)*2*time.Second, time.Since(begun).Round(time.Second))
			assert.Len(t, gateway.requests(), attempts)
		}
	})
}

// deadConnection serves the first request of each connection, and closes the connection after it
// has read the second.
func deadConnection(t *testing.T) (*httptest.Server, *atomic.Int32) {
	var posts atomic.Int32
	var mu sync.Mutex
	seen := map[string]int{}
	handler := contract.New(t).Requests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost && r.URL.Path == "/cash-out" {
			posts.Add(1)
		}
		mu.Lock()
		seen[r.RemoteAddr]++
		second := seen[r.RemoteAddr] == 2
		mu.Unlock()
		if second {
			drop(w, r)
		}
		replyJSON(202, cashOutAccepted)(w, r)
	}))
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server, &posts
}

// net/http replays a POST with X-Idempotency-Key when a kept-alive connection dies. Every send must
// be the SDK's own.
func TestNetHTTPReplaysNothing(t *testing.T) {
	server, posts := deadConnection(t)
	once := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})
	client := newClient(t, server.URL, once, connectpsp.WithTokenSource(fixedToken("a.b.c")))

	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
	assert.EqualValues(t, 2, posts.Load())
}

// net/http replays a request only with GetBody, in every version of HTTP, with a key or without.
func TestNoPaymentRequestHasGetBody(t *testing.T) {
	posts := 0
	watching := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			posts++
			assert.Nil(t, r.GetBody, r.URL.Path)
		}
		return nil, io.ErrUnexpectedEOF
	})
	client := newClient(t, memoryURL, connectpsp.WithHTTPClient(&http.Client{Transport: watching}),
		connectpsp.WithTokenSource(fixedToken("a.b.c")), connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}))
	_, _ = client.CreateCashOut(t.Context(), cashOutRequest())
	_, _ = client.CreateCashIn(t.Context(), cashInRequest())
	_, _ = client.RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	_, _ = client.RebalanceAccount(t.Context(), pix.Centavos(1))
	assert.Equal(t, 4, posts)
}

// A transport of the caller's that retries by itself sees one response for two requests. If that is
// a refusal, the other request may have been executed.
func TestARefusalAfterTheTransportRepeatedTheRequestIsUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		second http.HandlerFunc
		want   string
	}{
		"refused":  {problem(422, "INSUFFICIENT_FUNDS"), unknown},
		"conflict": {problem(409, "DUPLICATE_EXTERNAL_REFERENCE"), unknown},
		"accepted": {replyJSON(202, cashOutAccepted), accepted},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := newGateway(t, drop, c.second)
			pool := http.DefaultTransport.(*http.Transport).Clone()
			defer pool.CloseIdleConnections()
			replaying := roundTripper(func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				for range 2 {
					again := r.Clone(r.Context())
					again.Body = io.NopCloser(bytes.NewReader(body))
					response, sendErr := pool.RoundTrip(again)
					if err = sendErr; err == nil {
						return response, nil
					}
				}
				return nil, err
			})
			client := gateway.client(connectpsp.WithHTTPClient(&http.Client{Transport: replaying}),
				connectpsp.WithTokenSource(fixedToken("a.b.c")))
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			assert.Equal(t, c.want, outcomeOf(err))
			assert.Len(t, gateway.requests(), 2)
		})
	}
}

func TestResponseBodiesAreReadUpToALimit(t *testing.T) {
	bomb := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			zipped := gzip.NewWriter(w)
			for r.Context().Err() == nil {
				if _, err := zipped.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}
	}
	once := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})
	var raw connectpsp.RawResponse
	_, err := newGateway(t, bomb(202)).client(once).CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithRawResponse(&raw))
	assert.Equal(t, unknown, outcomeOf(err))
	assert.Len(t, raw.Body, 2<<20)
	_, err = newGateway(t, bomb(422)).client(once).CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err), "a problem that is not read to its end may name a conflict")
}

func TestResponseHeadersAreReadUpToALimit(t *testing.T) {
	gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("a", 128<<10))
		replyJSON(202, cashOutAccepted)(w, r)
	})
	_, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
}

func TestInsecureSkipVerifyIsRefusedExceptOnLoopback(t *testing.T) {
	careless := connectpsp.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}})
	_, err := connectpsp.New(config(""), careless)
	assert.Equal(t, []string{"WithHTTPClient"}, fields(err))
	_, err = connectpsp.New(config("https://127.0.0.1:8443"), careless)
	assert.NoError(t, err)
}

func TestATypedNilTransportIsAnErrorAndNoPanic(t *testing.T) {
	var none *http.Transport
	_, err := connectpsp.New(config(""), connectpsp.WithHTTPClient(&http.Client{Transport: none}))
	assert.Equal(t, []string{"WithHTTPClient"}, fields(err))
}

func TestOldTLSIsRefusedAndNothingSent(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	_, err := newClient(t, server.URL, connectpsp.WithTokenSource(fixedToken("a.b.c"))).CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, rejected, outcomeOf(err))
	assert.ErrorIs(t, err, connectpsp.ErrNotSent)
}

func TestBurstsReuseConnections(t *testing.T) {
	const callers = 64
	var opened atomic.Int32
	gateway := newGateway(t, replyJSON(200, balanceAnswer))
	server := httptest.NewUnstartedServer(gateway.handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := newClient(t, server.URL, connectpsp.WithTokenSource(fixedToken("a.b.c")))
	for range 5 {
		var group sync.WaitGroup
		for range callers {
			group.Go(func() {
				_, err := client.GetBalance(t.Context())
				assert.NoError(t, err)
			})
		}
		group.Wait()
	}
	assert.LessOrEqual(t, opened.Load(), int32(2*callers), "five bursts would need five times as many")
}

func TestTheUserAgentNamesTheSDKOrTheCaller(t *testing.T) {
	gateway := newGateway(t, replyJSON(200, balanceAnswer))
	_, err := gateway.client().GetBalance(t.Context())
	require.NoError(t, err)
	_, err = gateway.client(connectpsp.WithUserAgent("wallet/3")).GetBalance(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "connectpsp-go/"+connectpsp.Version, gateway.requests()[0].header.Get("User-Agent"))
	assert.Equal(t, "wallet/3", gateway.requests()[1].header.Get("User-Agent"))
}

func TestClientsOfOneTokenSourceShareAToken(t *testing.T) {
	gateway := newGateway(t, replyJSON(200, balanceAnswer))
	var agents []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/token" {
			agents = append(agents, r.UserAgent())
		}
		gateway.handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	source, err := connectpsp.NewTokenSource(config(server.URL), connectpsp.WithUserAgent("wallet/3"))
	require.NoError(t, err)
	assert.Empty(t, agents, "nothing is sent before a token is needed")
	for range 2 {
		_, err := newClient(t, server.URL, connectpsp.WithTokenSource(source)).GetBalance(t.Context())
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"wallet/3"}, agents)
	assert.Equal(t, clientID+" "+server.URL+"/", source.Identity())
}

func TestATokenSourceIsRefusedForTheReasonsOfItsClient(t *testing.T) {
	wrong := config("http://example.com")
	_, ofClient := connectpsp.New(wrong)
	_, err := connectpsp.NewTokenSource(wrong)
	require.Error(t, err)
	assert.Equal(t, ofClient, err)
}
