package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

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
