package connectpsp_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func cashOutWithStatus(status string) string {
	return `{"transactionId":"` + cashOutID + `","status":"` + status + `"}`
}

func TestWaitingEndsWithEveryFinalStatus(t *testing.T) {
	for _, status := range []string{"PAID", "EXPIRED", "REFUNDED", "CANCELLED"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := timeout(t, time.Hour)
			defer cancel()
			gateway := newGateway(t, steps(5, replyJSON(200, cashInAccepted), replyJSON(200, cashInWithStatus(status)))...)
			cashIn, err := gateway.memoryClient().WaitCashIn(ctx, cashInID)
			require.NoError(t, err)
			assert.Equal(t, connectpsp.CashInStatus(status), cashIn.Status)
			assert.Len(t, gateway.requests(), 6)
		})
	}
	for _, status := range []string{"COMPLETED", "FAILED", "REFUNDED", "CANCELLED"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := timeout(t, time.Hour)
			defer cancel()
			gateway := newGateway(t, replyJSON(200, cashOutWithStatus("PROCESSING")), replyJSON(200, cashOutWithStatus("HELD_BY_BANK")),
				replyJSON(200, cashOutWithStatus(status)))
			cashOut, err := gateway.memoryClient().WaitCashOut(ctx, cashOutID)
			require.NoError(t, err)
			assert.Equal(t, connectpsp.CashOutStatus(status), cashOut.Status)
		})
	}
}

func TestWaitingGoesOnThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := timeout(t, 24*time.Hour)
		defer cancel()
		gateway := newGateway(t, append(steps(40, html(503), silence), steps(10, html(429), replyJSON(200, cashOutWithStatus("COMPLETED")))...)...)
		_, err := gateway.memoryClient().WaitCashOut(ctx, cashOutID)
		require.NoError(t, err)
	})
}

func TestWaitingGoesOnWhileNothingCanBeSent(t *testing.T) {
	for name, isOut := range map[string]func(path string) bool{
		"no token":      func(path string) bool { return path == "/auth/token" },
		"no connection": func(string) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := timeout(t, time.Hour)
				defer cancel()
				begun := time.Now()
				gateway := newGateway(t, replyJSON(200, cashOutWithStatus("COMPLETED")))
				network := roundTripper(func(r *http.Request) (*http.Response, error) {
					if isOut(r.URL.Path) && time.Since(begun) < 10*time.Minute {
						return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
					}
					return inMemory{gateway.handler}.RoundTrip(r)
				})
				_, err := gateway.memoryClient(connectpsp.WithHTTPClient(&http.Client{Transport: network})).WaitCashOut(ctx, cashOutID)
				require.NoError(t, err)
				assert.InDelta(t, 10*time.Minute, time.Since(begun), float64(20*time.Second))
			})
		})
	}
}

func TestWaitingStopsAtARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ctx, cancel := timeout(t, time.Hour)
		defer cancel()
		_, err := newGateway(t, problem(403, "X")).memoryClient().WaitCashIn(ctx, cashInID)
		var refusal *connectpsp.APIError
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, 403, refusal.StatusCode)
		assert.Zero(t, time.Since(begun))
	})
}

func TestWaitingGoesOnWhileATransactionIsNotFoundYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := timeout(t, time.Hour)
		defer cancel()
		missing := problem(404, "TRANSACTION_NOT_FOUND")
		gateway := newGateway(t, slices.Concat(
			steps(8, missing, html(503)),
			steps(30, replyJSON(200, cashOutWithStatus("PROCESSING")), missing), // for minutes
			[]http.HandlerFunc{replyJSON(200, cashOutWithStatus("COMPLETED"))},
		)...)
		cashOut, err := gateway.memoryClient().WaitCashOut(ctx, cashOutID)
		require.NoError(t, err)
		assert.Equal(t, connectpsp.CashOutCompleted, cashOut.Status)
	})
}

func TestWaitingEndsIfATransactionIsNotFoundForAMinute(t *testing.T) {
	for name, found := range map[string][]http.HandlerFunc{
		"never read":  nil,
		"read before": steps(29, replyJSON(200, cashInAccepted), replyJSON(200, cashInAccepted)), // for minutes
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := timeout(t, time.Hour)
				defer cancel()
				var missing time.Time
				gateway := newGateway(t, append(found, func(w http.ResponseWriter, r *http.Request) {
					if missing.IsZero() {
						missing = time.Now()
					}
					problem(404, "TRANSACTION_NOT_FOUND")(w, r)
				})...)
				_, err := gateway.memoryClient().WaitCashIn(ctx, cashInID)
				var refusal *connectpsp.APIError
				require.ErrorAs(t, err, &refusal)
				assert.Equal(t, 404, refusal.StatusCode)
				assert.InDelta(t, time.Minute, time.Since(missing), float64(11*time.Second))
			})
		})
	}
}

func TestWaitingForATransactionThatIsNotFoundEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ctx, cancel := timeout(t, 10*time.Second)
		defer cancel()
		_, err := newGateway(t, problem(404, "TRANSACTION_NOT_FOUND")).memoryClient().WaitCashOut(ctx, cashOutID)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		var refusal *connectpsp.APIError
		require.ErrorAs(t, err, &refusal, "it says why it is still waiting")
		assert.Equal(t, 404, refusal.StatusCode)
		assert.Equal(t, 10*time.Second, time.Since(begun))
	})
}

func TestWaitingEndsWithTheContextAndReportsTheLastStatus(t *testing.T) {
	for _, step := range []http.HandlerFunc{replyJSON(200, cashOutWithStatus("PROCESSING")), silence} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			ctx, cancel := timeout(t, time.Hour)
			defer cancel()
			gateway := newGateway(t, replyJSON(200, cashOutWithStatus("PROCESSING")), step)
			cashOut, err := gateway.memoryClient().WaitCashOut(ctx, cashOutID)
			assert.Nil(t, cashOut)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorContains(t, err, `last status "PROCESSING"`)
			assert.Equal(t, time.Hour, time.Since(begun))
		})
	}
}

func TestWaitingReadsLessOftenAsTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := timeout(t, time.Hour)
		defer cancel()
		gateway := newGateway(t, replyJSON(200, cashOutWithStatus("PROCESSING")))
		_, _ = gateway.memoryClient().WaitCashOut(ctx, cashOutID)
		assert.Less(t, len(gateway.requests()), 600)
		assert.Greater(t, len(gateway.requests()), 350)
	})
}
