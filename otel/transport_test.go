package connectpspotel_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestATransportOfOtelhttpOpensNoMoreConnections(t *testing.T) {
	plain := connectionsOf(t, func(transport *http.Transport) http.RoundTripper { return transport })
	wrapped := connectionsOf(t, func(transport *http.Transport) http.RoundTripper {
		return otelhttp.NewTransport(transport, otelhttp.WithTracerProvider(newTelemetry(t).tracers))
	})
	assert.Equal(t, plain, wrapped)
	assert.LessOrEqual(t, wrapped, 64)
}

// connectionsOf returns how many connections a client opens for 3,200 calls in bursts of 64.
func connectionsOf(t *testing.T, wrap func(*http.Transport) http.RoundTripper) int {
	t.Helper()
	gateway := startSandbox(t, sandbox.WithMiddleware(meeting(64)))
	transport := connectpsp.NewTransport()
	var connections atomic.Int64
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connections.Add(1)
		return dial(ctx, network, address)
	}
	client := newClient(t, gateway, connectpsp.WithObserver(newTelemetry(t)), connectpsp.WithHTTPClient(&http.Client{Transport: wrap(transport)}))
	for range 50 {
		var calls sync.WaitGroup
		for range 64 {
			calls.Go(func() {
				_, err := client.GetBalance(t.Context())
				assert.NoError(t, err)
			})
		}
		calls.Wait()
	}
	return int(connections.Load())
}

// meeting lets the requests for a balance through when n of them are there.
func meeting(n int) func(http.Handler) http.Handler {
	var mu sync.Mutex
	here, together := 0, make(chan struct{})
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/account/balance" {
				mu.Lock()
				wait := together
				if here++; here == n {
					close(together)
					here, together = 0, make(chan struct{})
				}
				mu.Unlock()
				select {
				case <-wait:
				case <-r.Context().Done():
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// The gateway is another company: it learns of a trace only if the user says so.
func TestRequestsHaveATraceParentOnlyThroughOtelhttp(t *testing.T) {
	global := otel.GetTextMapPropagator()
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	t.Cleanup(func() { otel.SetTextMapPropagator(global) })

	for name, test := range map[string]struct {
		transport http.RoundTripper
		parent    string // the name of the span that the gateway learns of
	}{
		"by default": {connectpsp.NewTransport(), ""},
		"otelhttp":   {otelhttp.NewTransport(connectpsp.NewTransport()), "HTTP POST"},
		"as in the guide": {otelhttp.NewTransport(connectpsp.NewTransport(), otelhttp.WithPropagators(propagation.TraceContext{}),
			otelhttp.WithTracerProvider(noop.NewTracerProvider())), "POST"},
	} {
		t.Run(name, func(t *testing.T) {
			gateway, tel := startSandbox(t), newTelemetry(t)
			options := []connectpsp.Option{connectpsp.WithObserver(tel), connectpsp.WithHTTPClient(&http.Client{Transport: test.transport})}
			require.NoError(t, gateway.FailNext("createCashOut", sandbox.Unavailable))
			member, err := baggage.NewMember("customer", personDocument)
			require.NoError(t, err)
			carrying, err := baggage.New(member)
			require.NoError(t, err)
			_, err = newClient(t, gateway, options...).CreateCashOut(baggage.ContextWithBaggage(t.Context(), carrying), withdrawal("w-1"))
			require.NoError(t, err)

			requests := gateway.Requests()
			require.Len(t, requests, 3)
			for n, request := range requests {
				carried := request.Header().Get("traceparent")
				assert.Equal(t, name == "otelhttp", request.Header().Get("baggage") != "", "the guide sends none")
				if test.parent == "" {
					assert.Empty(t, carried)
					continue
				}
				span := tel.named(test.parent)[n].SpanContext
				assert.Equal(t, "00-"+span.TraceID().String()+"-"+span.SpanID().String()+"-01", carried)
			}
		})
	}
}
