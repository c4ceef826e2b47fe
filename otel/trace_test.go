package connectpspotel_test

import (
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestACallIsASpanOverOneForEachRequest(t *testing.T) {
	gateway, tel := startSandbox(t), newTelemetry(t)
	client := newClient(t, gateway, connectpsp.WithObserver(tel))
	ctx, request := tel.tracers.Tracer("test").Start(t.Context(), "the user's own")
	require.NoError(t, gateway.FailNext("createCashOut", sandbox.LoseAnswer, sandbox.Unavailable))
	_, err := client.CreateCashOut(ctx, withdrawal("w-1"))
	require.NoError(t, err)
	request.End()

	assert.Equal(t, []string{
		"the user's own > connectpsp.createCashOut > POST", // the token
		"the user's own > connectpsp.createCashOut > POST",
		"the user's own > connectpsp.createCashOut > POST",
		"the user's own > connectpsp.createCashOut > POST",
		"the user's own > connectpsp.createCashOut",
		"the user's own",
	}, tel.tree())

	host, digits, err := net.SplitHostPort(gateway.Config().BaseURL[len("http://"):])
	require.NoError(t, err)
	port, err := strconv.ParseInt(digits, 10, 64)
	require.NoError(t, err)
	toGateway := func(rest map[string]any) map[string]any {
		rest["http.request.method"], rest["server.address"], rest["server.port"] = "POST", host, port
		return rest
	}
	requests := tel.named("POST")
	for n, want := range []map[string]any{
		{"connectpsp.operation": "authToken", "http.response.status_code": int64(200)},
		{"connectpsp.operation": "createCashOut", "connectpsp.outcome": "unknown", "error.type": "connection"},
		{"connectpsp.operation": "createCashOut", "connectpsp.outcome": "unknown", "error.type": "503", "http.response.status_code": int64(503),
			"http.request.resend_count": int64(1), "connectpsp.retry.reason": "no_response"},
		{"connectpsp.operation": "createCashOut", "connectpsp.outcome": "accepted", "http.response.status_code": int64(202),
			"http.request.resend_count": int64(2), "connectpsp.retry.reason": "gateway_failed"},
	} {
		assert.Equal(t, toGateway(want), attributesOf(requests[n]))
		assert.Equal(t, trace.SpanKindClient, requests[n].SpanKind)
		failed := sdktrace.Status{}
		if want["error.type"] != nil {
			failed = sdktrace.Status{Code: codes.Error}
		}
		assert.Equal(t, failed, requests[n].Status)
	}
	call := tel.named("connectpsp.createCashOut")[0]
	assert.Equal(t, map[string]any{"connectpsp.operation": "createCashOut", "connectpsp.outcome": "accepted", "connectpsp.attempts": int64(3)}, attributesOf(call))
	assert.Equal(t, trace.SpanKindInternal, call.SpanKind)
	assert.Equal(t, sdktrace.Status{}, call.Status)
	assert.Equal(t, "github.com/connectpsp/connectpsp-go/otel", call.InstrumentationScope.Name)
	assert.Equal(t, connectpsp.Version, call.InstrumentationScope.Version)
}

func TestTheCallsThatWaitForATokenAreLinkedToItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, tel := startSandbox(t, sandbox.WithMemoryNetwork()), newTelemetry(t, connectpspotel.WithURLTemplate())
		require.NoError(t, gateway.SetLatency(time.Second)) // all calls wait by then
		client := newClient(t, gateway, connectpsp.WithObserver(tel))
		var calls sync.WaitGroup
		for range 64 {
			calls.Go(func() { _, _ = client.GetBalance(t.Context()) })
		}
		calls.Wait()

		tokens := tel.named("POST /auth/token")
		require.Len(t, tokens, 1)
		spans := tel.named("connectpsp.getBalance")
		require.Len(t, spans, 64)
		linked := 0
		for _, span := range spans {
			if tokens[0].Parent.Equal(span.SpanContext) {
				assert.Empty(t, span.Links, "the request is its child")
				continue
			}
			require.Len(t, span.Links, 1)
			assert.True(t, tokens[0].SpanContext.Equal(span.Links[0].SpanContext))
			linked++
		}
		assert.Equal(t, 63, linked)

		_, err := client.GetBalance(t.Context())
		require.NoError(t, err)
		assert.Empty(t, tel.named("connectpsp.getBalance")[64].Links, "it waited for none")
	})
}

// The memory for links is bounded.
func TestACallHasNoLinkToARequestForATokenThatIsForgottenOrNotExported(t *testing.T) {
	link := func(tel *telemetry, requests, number int64) int {
		tel.spans.Reset()
		for n := range requests {
			activity := connectpsp.TokenRequest{Number: n + 1}
			tel.End(tel.Begin(t.Context(), activity), activity)
		}
		tel.End(tel.Begin(t.Context(), connectpsp.Call{}), connectpsp.Call{Token: number})
		return len(tel.named("connectpsp.")[0].Links)
	}
	assert.Equal(t, 1, link(newTelemetry(t), 64, 1))
	assert.Equal(t, 0, link(newTelemetry(t), 65, 1))
	assert.Equal(t, 1, link(newTelemetry(t), 65, 65))
	assert.Equal(t, 0, link(newTelemetry(t), 1, 2))

	tel := newTelemetry(t)
	unsampled := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	ctx, _ := unsampled.Tracer("test").Start(t.Context(), "not sampled")
	tel.End(tel.Begin(ctx, connectpsp.TokenRequest{Number: 1}), connectpsp.TokenRequest{Number: 1})
	assert.Equal(t, 0, link(tel, 0, 1))
}

func TestSpansHavePathsOnlyOnRequestAndThenTheTemplate(t *testing.T) {
	for name, options := range map[string][]connectpspotel.Option{
		"GET":                nil,
		"GET /cash-out/{id}": {connectpspotel.WithURLTemplate()},
	} {
		gateway, tel := startSandbox(t), newTelemetry(t, options...)
		_, err := newClient(t, gateway, connectpsp.WithObserver(tel)).GetCashOut(t.Context(), "8f2b3c1d-0000-4000-8000-000000000001")
		require.Error(t, err)
		spans := tel.named(name)
		require.Len(t, spans, 1)
		template := attributesOf(spans[0])["url.template"]
		assert.Equal(t, options != nil, template == "/cash-out/{id}")
	}
}

func TestTheStatusOfASpanSaysWhetherTheActivityFailed(t *testing.T) {
	for name, c := range map[string]struct {
		activity any
		want     string // error.type
	}{
		"accepted call":       {connectpsp.Call{Outcome: connectpsp.CallAccepted}, ""},
		"settled call":        {connectpsp.Call{Outcome: connectpsp.CallSettled}, ""},
		"invalid call":        {connectpsp.Call{Outcome: connectpsp.CallInvalid}, "invalid"},
		"rejected call":       {connectpsp.Call{Outcome: connectpsp.CallRejected, Code: connectpsp.CodeInsufficientFunds}, "rejected"},
		"unknown call":        {connectpsp.Call{Outcome: connectpsp.CallUnknown}, "unknown"},
		"accepted":            {connectpsp.Attempt{Method: "POST", Status: 202, Outcome: connectpsp.CallAccepted}, ""},
		"rejected":            {connectpsp.Attempt{Method: "POST", Status: 422, Outcome: connectpsp.CallRejected}, "422"},
		"503 that was cut":    {connectpsp.Attempt{Method: "POST", Status: 503, Error: "connection", Outcome: connectpsp.CallUnknown}, "503"},
		"no response":         {connectpsp.Attempt{Method: "POST", Error: "timeout", Outcome: connectpsp.CallUnknown}, "timeout"},
		"redirect":            {connectpsp.Attempt{Method: "POST", Status: 302, Outcome: connectpsp.CallUnknown, Deviation: "status"}, "unknown"},
		"200 of a proxy":      {connectpsp.Attempt{Method: "POST", Status: 200, Outcome: connectpsp.CallUnknown, Deviation: "body"}, "unknown"},
		"token":               {connectpsp.TokenRequest{Status: 200}, ""},
		"refused token":       {connectpsp.TokenRequest{Status: 401}, "401"},
		"no token":            {connectpsp.TokenRequest{Error: "dns"}, "dns"},
		"write":               {connectpsp.JournalWrite{Step: "begin"}, ""},
		"failed write":        {connectpsp.JournalWrite{Step: "begin", Failed: true}, "failed"},
		"stored delivery":     {webhook.Delivery{Status: 200, Result: webhook.DeliveryStored}, ""},
		"forged delivery":     {webhook.Delivery{Status: 401, Result: webhook.DeliveryInvalidSignature}, ""},
		"delivery not stored": {webhook.Delivery{Status: 503, Result: webhook.DeliveryUnavailable}, "unavailable"},
		"applied item":        {webhook.Processing{Result: webhook.ProcessingApplied}, ""},
		"deferred item":       {webhook.Processing{Result: webhook.ProcessingDeferred}, ""},
		"retried item":        {webhook.Processing{Result: webhook.ProcessingRetried}, "retried"},
		"held item":           {webhook.Processing{Result: webhook.ProcessingHeld, Alarm: true}, "held"},
		"panic":               {webhook.Processing{Result: webhook.ProcessingRetried, Panicked: true}, "panic"},
	} {
		t.Run(name, func(t *testing.T) {
			tel := newTelemetry(t)
			tel.End(tel.Begin(t.Context(), c.activity), c.activity)
			span := tel.spans.GetSpans()[0]
			if c.want == "" {
				assert.Equal(t, sdktrace.Status{}, span.Status)
				assert.NotContains(t, attributesOf(span), "error.type")
				return
			}
			assert.Equal(t, sdktrace.Status{Code: codes.Error}, span.Status)
			assert.Equal(t, c.want, attributesOf(span)["error.type"])
		})
	}
}

func TestAServerWithoutAPortHasThatOfHTTPS(t *testing.T) {
	tel := newTelemetry(t)
	activity := connectpsp.TokenRequest{Server: "api.example.com"}
	tel.End(tel.Begin(t.Context(), activity), activity)
	attributes := attributesOf(tel.spans.GetSpans()[0])
	assert.Equal(t, "api.example.com", attributes["server.address"])
	assert.Equal(t, int64(443), attributes["server.port"])
}

// Later versions of the SDK may have more activities.
func TestAnActivityThatIsNotKnownHasNoSpanAndEndsNoOther(t *testing.T) {
	tel := newTelemetry(t)
	outer := tel.Begin(t.Context(), connectpsp.Call{Operation: connectpsp.OperationGetBalance})
	tel.End(tel.Begin(outer, struct{}{}), struct{}{})
	assert.True(t, trace.SpanFromContext(outer).IsRecording())
	tel.End(outer, connectpsp.Call{Outcome: connectpsp.CallAccepted})
	assert.Equal(t, []string{"connectpsp.getBalance"}, tel.tree())
}

func TestWithoutProvidersTheGlobalOnesAreUsed(t *testing.T) {
	tel := newTelemetry(t)
	reader := sdkmetric.NewManualReader()
	tracers, meters := otel.GetTracerProvider(), otel.GetMeterProvider()
	otel.SetTracerProvider(tel.tracers)
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	t.Cleanup(func() {
		otel.SetTracerProvider(tracers)
		otel.SetMeterProvider(meters)
	})
	observer, activity := connectpspotel.New(), connectpsp.TokenRequest{Status: 200}
	observer.End(observer.Begin(t.Context(), activity), activity)
	assert.Len(t, tel.named("POST"), 1)
	tel.metrics = reader
	assert.Equal(t, map[string]float64{`token.requests{result="ok"}`: 1}, tel.collect(t))
}

func TestTwoObserversEndTheirOwnSpans(t *testing.T) {
	gateway, one, other := startSandbox(t), newTelemetry(t), newTelemetry(t)
	_, err := newClient(t, gateway, connectpsp.WithObserver(one), connectpsp.WithObserver(other)).CreateCashOut(t.Context(), withdrawal("w-1"))
	require.NoError(t, err)
	for _, tel := range []*telemetry{one, other} {
		assert.Len(t, tel.spans.GetSpans(), 3)
		assert.Equal(t, "accepted", attributesOf(tel.named("connectpsp.createCashOut")[0])["connectpsp.outcome"])
	}
}
