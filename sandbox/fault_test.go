package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestAFaultLosesWhatItSaysAndNothingElse(t *testing.T) {
	for _, test := range []struct {
		name     string
		fault    sandbox.Fault
		executed bool
		check    func(*testing.T, reply, error)
	}{
		{"LoseRequest", sandbox.LoseRequest, false, isCut},
		{"LoseAnswer", sandbox.LoseAnswer, true, isCut},
		{"CutAnswer", sandbox.CutAnswer, true, isHalf},
		{"Unavailable", sandbox.Unavailable, false, isUnavailable},
		{"UnavailableAfterExecution", sandbox.UnavailableAfterExecution, true, isUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t)
			g.FailNext("createCashOut", test.fault)
			g.newCashIn("order-1", "")
			once, body := idempotency.NewKey(), cashOutBody("withdrawal-1", "50.00", "")

			answer, err := g.attempt(http.MethodPost, "/cash-out", body, key(once))
			test.check(t, answer, err)
			want := "500000.00"
			if test.executed {
				want = "499950.00"
			}
			assert.Equal(t, want, g.transactional())

			g.post("/cash-out", body, key(once)).into(202, &connectpsp.CashOut{})
			assert.Equal(t, "499950.00", g.transactional(), "the same key returns the outcome")
		})
	}
}

func isCut(t *testing.T, answer reply, err error) {
	t.Helper()
	assert.Error(t, err)
	assert.Zero(t, answer.status)
}

func isHalf(t *testing.T, answer reply, err error) {
	t.Helper()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, 202, answer.status)
	assert.Equal(t, "application/json", answer.header.Get("Content-Type"))
	assert.NotEmpty(t, answer.body)
	assert.False(t, json.Valid(answer.body))
}

func isUnavailable(t *testing.T, answer reply, err error) {
	t.Helper()
	assert.NoError(t, err)
	assert.Equal(t, 503, answer.status)
	assert.Equal(t, "text/html; charset=utf-8", answer.header.Get("Content-Type"))
	assert.Contains(t, string(answer.body), "<html>")
}

func TestFaultsApplyOnceEachInOrder(t *testing.T) {
	g := start(t)
	g.FailNext("getBalance", sandbox.Unavailable, 0)
	g.FailNext("getBalance", sandbox.Unavailable)
	for _, want := range []int{503, 200, 503, 200} {
		assert.Equal(t, want, g.get("/account/balance").status)
	}
}

func TestAnOperationThatDoesNotExistCannotFail(t *testing.T) {
	g := start(t)
	assert.ErrorIs(t, g.FailNext("createCashout", sandbox.LoseAnswer), sandbox.ErrInvalid)
	assert.ErrorIs(t, g.FailNext("createCashout"), sandbox.ErrInvalid)
}

func TestAFaultThatDoesNotApplyIsRefused(t *testing.T) {
	g := start(t)
	for _, fault := range []sandbox.Fault{-1, 50, sandbox.LoseWebhook, sandbox.PreviousSignature, sandbox.Status(5), sandbox.Status(-5), sandbox.Status(199), sandbox.Status(1000), sandbox.StatusAfterExecution(199)} {
		assert.ErrorIs(t, g.FailNext("getBalance", 0, fault), sandbox.ErrInvalid, "%v", fault)
	}
	for _, fault := range []sandbox.Fault{sandbox.LoseRequest, sandbox.Status(503), sandbox.Status(101), 50, -1} {
		assert.ErrorIs(t, g.FailNext("CASHIN_PAID", 0, fault), sandbox.ErrInvalid, "%v", fault)
	}
	g.transactional()
}

func TestARefusalHasAStatusAndACode(t *testing.T) {
	g := start(t)
	assert.ErrorIs(t, g.RefuseNext("createCashout", 422, "CODE"), sandbox.ErrInvalid)
	assert.ErrorIs(t, g.RefuseNext("CASHIN_PAID", 422, "CODE"), sandbox.ErrInvalid)
	for _, status := range []int{0, 200, 399, 600} {
		assert.ErrorIs(t, g.RefuseNext("getBalance", status, "CODE"), sandbox.ErrInvalid)
	}
	for _, code := range []string{"", "_", "A__B", "A_", "lower", "A B", "\n"} {
		assert.ErrorIs(t, g.RefuseNext("getBalance", 422, code), sandbox.ErrInvalid)
	}
	require.NoError(t, g.RefuseNext("getBalance", 422, "DAILY_LIMIT_2"))
	g.get("/account/balance").problem(422, "DAILY_LIMIT_2")
	g.transactional()
}

func TestEveryFaultHasANameThatCanBeReadBack(t *testing.T) {
	faults := []sandbox.Fault{0, sandbox.Status(200), sandbox.Status(999), sandbox.StatusAfterExecution(504)}
	for fault := sandbox.LoseRequest; fault <= sandbox.TooManyRequests; fault++ {
		faults = append(faults, fault)
	}
	for fault := sandbox.LoseWebhook; fault <= sandbox.PreviousSignature; fault++ {
		faults = append(faults, fault)
	}
	names := make(map[string]bool)
	for _, fault := range faults {
		text, err := fault.MarshalText()
		require.NoError(t, err)
		var read sandbox.Fault
		require.NoError(t, read.UnmarshalText(text))
		assert.Equal(t, fault, read)
		assert.NotContains(t, string(text), "Fault")
		names[string(text)] = true
	}
	assert.Len(t, names, len(faults))
	assert.Equal(t, "Status(502)", sandbox.Status(502).String())
	assert.Equal(t, "Fault(50)", sandbox.Fault(50).String())
	for _, wrong := range []string{"", "LoseEverything", "Status", "Status()", "Status(20)", "Status(502", "Status(x)", "StatusAfterExecution(1)", "Fault(50)", "status(502)"} {
		read := sandbox.Hang
		assert.ErrorIs(t, read.UnmarshalText([]byte(wrong)), sandbox.ErrInvalid, wrong)
		assert.Equal(t, sandbox.Hang, read)
	}
}

func TestAProxysPageHasItsStatus(t *testing.T) {
	g := startUnchecked(t)
	for _, status := range []int{200, 204, 302, 404, 502, 799, 999} {
		require.NoError(t, g.FailNext("createCashIn", sandbox.Status(status), sandbox.StatusAfterExecution(status)))
		for range 2 {
			client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL()+"/cash-in", http.NoBody)
			require.NoError(t, err)
			response, err := client.Do(request)
			require.NoError(t, err)
			assert.Equal(t, status, response.StatusCode)
			assert.Equal(t, "text/html; charset=utf-8", response.Header.Get("Content-Type"))
			assert.Equal(t, status == 302, response.Header.Get("Location") != "")
			require.NoError(t, response.Body.Close())
		}
	}
}

func TestAHangingRequestEndsWithTheSandbox(t *testing.T) {
	for name, hang := range map[string]func(*gateway) error{
		"Hang":               func(g *gateway) error { return g.FailNext("getBalance", sandbox.Hang) },
		"HangAfterExecution": func(g *gateway) error { return g.FailNext("getBalance", sandbox.HangAfterExecution) },
		"latency":            func(g *gateway) error { return g.SetLatency(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t)
			require.NoError(t, hang(g))
			ended := make(chan error, 1)
			go func() {
				_, err := g.attempt(http.MethodGet, "/account/balance", "", func(*http.Request) { http.DefaultClient.CloseIdleConnections() })
				ended <- err
			}()
			require.Eventually(t, func() bool { return len(g.Requests().ByOperation("getBalance")) == 1 }, 10*time.Second, time.Millisecond)
			require.NoError(t, g.Close())
			assert.Error(t, soon(t, ended))
		})
	}
	assert.ErrorIs(t, start(t).SetLatency(-1), sandbox.ErrInvalid)
}

func TestTheRateLimitIsATokenBucketOnTheSandboxsClock(t *testing.T) {
	g := start(t, sandbox.WithTime(noon))
	for _, wrong := range [][2]int{{-1, 1}, {0, 1}, {1, 0}, {1, -1}} {
		assert.ErrorIs(t, g.SetRateLimit(wrong[0], wrong[1]), sandbox.ErrInvalid)
	}
	require.NoError(t, g.SetRateLimit(2, 3))
	served := func() (n int) {
		for range 10 {
			if g.get("/account/balance").status == 200 {
				n++
			}
		}
		return n
	}
	assert.Equal(t, 3, served(), "the burst")
	refused := g.get("/account/balance")
	refused.problem(429, "TOO_MANY_REQUESTS")
	assert.Equal(t, "1", refused.header.Get("Retry-After"))
	require.NoError(t, g.Advance(time.Second))
	assert.Equal(t, 2, served())
	require.NoError(t, g.Advance(time.Minute))
	assert.Equal(t, 3, served(), "no more than the burst")
	require.NoError(t, g.SetRateLimit(0, 0))
	assert.Equal(t, 10, served())
}

func TestAResponseAboutAnotherTransactionHasItsIDs(t *testing.T) {
	g := start(t)
	require.NoError(t, g.FailNext("createCashOut", sandbox.OtherAnswer))
	require.NoError(t, g.FailNext("getBalance", sandbox.OtherAnswer))
	var other connectpsp.CashOut
	g.post("/cash-out", cashOutBody("withdrawal-1", "50.00", "")).into(202, &other)
	assert.NotEqual(t, g.CashOuts()[0].TransactionID, other.TransactionID)
	assert.NotEqual(t, "withdrawal-1", other.ExternalReference)
	assert.Equal(t, "499950.00", g.transactional(), "a balance has no ids")
}

func TestTheMiddlewareSeesCompleteResponsesOnly(t *testing.T) {
	var seen atomic.Int32
	g := startUnchecked(t, sandbox.WithMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if r.URL.Path == "/account/balance" {
				seen.Add(1)
			}
		})
	}))
	faults := []sandbox.Fault{
		sandbox.LoseRequest, sandbox.LoseAnswer, sandbox.CutAnswer, sandbox.Unavailable, sandbox.UnavailableAfterExecution,
	}
	g.FailNext("getBalance", faults...)
	for range faults {
		// A connection that has served nothing yet keeps the transport from repeating the GET.
		_, _ = g.attempt(http.MethodGet, "/account/balance", "", func(*http.Request) { http.DefaultClient.CloseIdleConnections() })
	}
	require.Equal(t, int32(3), seen.Load())
	g.transactional()
}
