package connectpsp_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// A transport that sends a payment twice is noticed by the SDK's own trace.
func TestAnObserverCannotHideThatAPaymentWasSentTwice(t *testing.T) {
	gateway := newGateway(t, replyJSON(202, cashOutAccepted), problem(422, "INSUFFICIENT_FUNDS"))
	twice := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path != "/auth/token" {
			body, _ := io.ReadAll(r.Body)
			first := r.Clone(r.Context())
			first.Body, r.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
			_, _ = inMemory{gateway.handler}.RoundTrip(first)
		}
		return inMemory{gateway.handler}.RoundTrip(r)
	})
	tracing := hostile{func(ctx context.Context) context.Context {
		return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() {}})
	}, func() {}}
	_, err := newClient(t, memoryURL, connectpsp.WithObserver(tracing), connectpsp.WithHTTPClient(&http.Client{Transport: twice})).
		CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err), "the money has moved")
}

// The request for a token is for all that wait.
func TestTheTraceOfACallerHasNoPartInTheRequestForAToken(t *testing.T) {
	for name, hook := range map[string]func(string){
		"panics": func(string) { panic("a bug") }, "exits": func(string) { runtime.Goexit() }, "is called": func(string) { t.Error("it is called") },
	} {
		server := httptest.NewServer(newGateway(t).handler)
		defer server.Close()
		source, err := connectpsp.NewTokenSource(config(server.URL))
		require.NoError(t, err, name)
		ctx, cancel := timeout(t, time.Minute)
		_, err = source.Token(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: hook, DNSStart: func(httptrace.DNSStartInfo) { hook("") }}))
		cancel()
		assert.NoError(t, err, name)
	}
}

func TestAnObserverCannotChangeWhyACallEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := new(watcher)
		cancels := hostile{func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			return ctx
		}, func() {}}
		client := newGateway(t, silence).memoryClient(connectpsp.WithObserver(seen), connectpsp.WithObserver(cancels))
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		_, err := client.GetBalance(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, "timeout", endedAs[connectpsp.Attempt](seen)[0].Error)
	})
}

// The context of an earlier request for a token says that a source would wait for itself.
func TestAnObserverThatReturnsAnEarlierContextChangesNoCall(t *testing.T) {
	var earlier atomic.Value
	keeps := hostile{func(ctx context.Context) context.Context {
		if kept, is := earlier.Load().(context.Context); is {
			return kept
		}
		earlier.Store(ctx)
		return ctx
	}, func() {}}
	client := newGateway(t, replyJSON(202, cashOutAccepted), problem(401, "TOKEN_EXPIRED"), replyJSON(202, cashOutAccepted)).client(connectpsp.WithObserver(keeps))
	for range 2 {
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		assert.NoError(t, err)
	}
}

func TestACallFromWithinAnObserverIsNotObserved(t *testing.T) {
	seen := new(watcher)
	var client *connectpsp.Client
	asks := hostile{func(ctx context.Context) context.Context { _, _ = client.GetBalance(ctx); return ctx }, func() {}}
	client = newGateway(t, replyJSON(200, balanceAnswer)).client(connectpsp.WithObserver(seen), connectpsp.WithObserver(asks))
	_, err := client.GetBalance(t.Context())
	require.NoError(t, err)
	assert.Len(t, endedAs[connectpsp.Call](seen), 1)
}

func TestACashOutThatIsResolvedByReadingHasItsTransactionID(t *testing.T) {
	seen := new(watcher)
	client := newGateway(t, replyJSON(200, cashOutCompleted)).client(connectpsp.WithObserver(seen))
	doubt := doubtAbout(t, html(500))
	doubt.BaseURL, doubt.TransactionID = strings.TrimSuffix(strings.TrimPrefix(client.String(), "connectpsp.Client("), ")"), cashOutID
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	calls := endedAs[connectpsp.Call](seen)
	assert.Equal(t, cashOutID, calls[len(calls)-1].TransactionID)
}
