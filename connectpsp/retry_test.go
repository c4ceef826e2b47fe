package connectpsp_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestReadsAreRetriedUntilAReadableResponse(t *testing.T) {
	for name, failure := range map[string]http.HandlerFunc{
		"no response": drop, "cut": cut(200, balanceAnswer), "HTML": html(200), "408": html(408), "425": html(425),
		"429": problem(429, "RATE_LIMITED"), "500": problem(500, "INTERNAL"), "502": html(502), "503": problem(503, "X"), "504": html(504),
	} {
		t.Run(name, func(t *testing.T) {
			gateway := newGateway(t, steps(3, failure, replyJSON(200, balanceAnswer))...)
			balance, err := gateway.client().GetBalance(t.Context())
			require.NoError(t, err)
			assert.Equal(t, pix.Centavos(150000000), balance.Consolidated.TotalBalance)
			assert.Len(t, gateway.requests(), 4)
		})
	}
}

func TestARefusedReadIsNotRetriedAndReturnsTheGatewaysProblem(t *testing.T) {
	gateway := newGateway(t, problem(404, "TRANSACTION_NOT_FOUND"))
	_, err := gateway.client().GetCashOut(t.Context(), cashOutID)
	var refusal *connectpsp.APIError
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, connectpsp.APIError{
		Operation: "getCashOut", StatusCode: 404, Code: "TRANSACTION_NOT_FOUND", Title: "A title",
		Type: "https://connect-psp.redocly.app/errors/x", Detail: "Payee 529.982.247-25 was refused.",
	}, *refusal)
	assert.Len(t, gateway.requests(), 1)
}

func TestAReadThatFailsReportsTheLastResponse(t *testing.T) {
	_, err := newGateway(t, html(502)).client().GetCashIn(t.Context(), cashInID)
	var refusal *connectpsp.APIError
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, 502, refusal.StatusCode)

	_, err = newGateway(t, drop).client().GetCashIn(t.Context(), cashInID)
	assert.ErrorContains(t, err, "no readable response after 4 attempts")
	assert.NotErrorIs(t, err, connectpsp.ErrUnknownOutcome)
}

func TestAnUnreadableBalanceIsAnErrorAndNotZero(t *testing.T) {
	unreadable := `{"currency":"BRL","consolidated":{"totalBalance":1.005}}`
	balance, err := newGateway(t, replyJSON(200, unreadable)).client().GetBalance(t.Context())
	assert.Nil(t, balance)
	assert.ErrorIs(t, err, pix.ErrInvalidAmount)

	for _, body := range []string{
		`{}`, `{"error":"maintenance"}`, `{"consolidated":null}`, `{"consolidated":"x"}`,
		`{"consolidated":{"transactionalBalance":1,"proprietaryBalance":1}}`,
		`{"consolidated":{"totalBalance":1,"transactionalBalance":null,"proprietaryBalance":1}}`,
		`{"consolidated":{"totalBalance":1,"transactionalBalance":1}}`,
	} {
		balance, err := newGateway(t, replyJSON(200, body)).client().GetBalance(t.Context())
		assert.Nil(t, balance, body)
		assert.Error(t, err, body)
	}
}

func TestAResponseWithoutAStatusIsAnError(t *testing.T) {
	for _, body := range []string{`{}`, `{"error":"maintenance"}`, `{"transactionId":"a","status":5}`} {
		client := newGateway(t, replyJSON(200, body)).client()
		_, err := client.GetCashIn(t.Context(), cashInID)
		assert.ErrorContains(t, err, "no status", body)
		_, err = client.GetCashOut(t.Context(), cashOutID)
		assert.ErrorContains(t, err, "no status", body)
	}
}

func TestAResponseAboutAnotherTransactionIsAnError(t *testing.T) {
	const cashIn = `{"transactionId":"a","internalCode":"US7B1JQ","endToEndId":"D1393589320260310183012345678901",` +
		`"originalEndToEndId":"E00416968202603101827cemeFscF6AG","status":"REFUNDED","amount":10.50}`
	for id, wrong := range map[string]bool{
		"a": false, "A": false, "US7B1JQ": false, "E00416968202603101827cemeFscF6AG": false, "D1393589320260310183012345678901": false,
		"b": true, "US7B1JR": true, "E00416968202603101827cemeFscF6AH": true,
	} {
		gateway := newGateway(t, replyJSON(200, cashIn))
		_, err := gateway.client().GetCashIn(t.Context(), id)
		_, failure := gateway.client().GetCashOut(t.Context(), id)
		if !wrong {
			assert.NoError(t, err, id)
			assert.NoError(t, failure, id)
			continue
		}
		assert.ErrorContains(t, err, "another transaction", id)
		assert.ErrorContains(t, failure, "another transaction", id)
	}
	_, err := newGateway(t, replyJSON(200, `{"transactionId":"a","status":"PAID"}`)).client().GetCashIn(t.Context(), "US7B1JQ")
	assert.NoError(t, err, "an id that the response leaves out is not compared")
}

func TestNoRetryPolicyBreaksACall(t *testing.T) {
	for _, policy := range []connectpsp.RetryPolicy{
		{MaxAttempts: 100, BaseDelay: time.Minute, MaxDelay: time.Millisecond},
		{MaxAttempts: 3, BaseDelay: math.MaxInt64, MaxDelay: math.MaxInt64},
		{BaseDelay: time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := timeout(t, time.Second)
			defer cancel()
			_, err := newGateway(t, problem(500, "X")).memoryClient(connectpsp.WithRetryPolicy(policy)).CreateCashOut(ctx, cashOutRequest())
			assert.Equal(t, unknown, outcomeOf(err))
		})
	}
}

func TestAMalformedFieldDoesNotFailARead(t *testing.T) {
	cashIn, err := newGateway(t, replyJSON(200,
		`{"transactionId":"a","status":"PAID","amount":10.5,"paidAt":"soon","internalCode":7,"payer":null}`)).
		client().GetCashIn(t.Context(), cashInID)
	require.NoError(t, err)
	assert.Equal(t, connectpsp.CashIn{TransactionID: "a", Status: connectpsp.CashInPaid, Amount: pix.Centavos(1050)}, *cashIn)
}

// Over many calls the delays must come close to zero and to the bound, and never exceed it.
func TestRetryDelaysHaveFullJitterBelowABoundThatDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shortest, longest := [3]time.Duration{time.Hour, time.Hour, time.Hour}, [3]time.Duration{}
		var times []time.Time
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			times = append(times, time.Now())
			problem(500, "INTERNAL")(w, r)
		})
		for range 300 {
			times = nil
			_, err := gateway.memoryClient().GetBalance(t.Context())
			require.Error(t, err)
			require.Len(t, times, 4)
			for i := range 3 {
				wait := times[i+1].Sub(times[i])
				shortest[i], longest[i] = min(shortest[i], wait), max(longest[i], wait)
			}
		}
		for i, bound := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
			assert.Less(t, shortest[i], bound/10)
			assert.Greater(t, longest[i], bound*9/10)
			assert.LessOrEqual(t, longest[i], bound)
		}
	})
}

func TestRetryAfterIsObeyedOrTheCallStops(t *testing.T) {
	for _, status := range []int{429, 503} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			gateway := newGateway(t, retryAfter("7", problem(status, "LATER")), replyJSON(202, cashOutAccepted))
			_, err := gateway.memoryClient().CreateCashOut(t.Context(), cashOutRequest())
			require.NoError(t, err)
			assert.GreaterOrEqual(t, time.Since(begun), 7*time.Second)
		})
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			date := time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat)
			gateway := newGateway(t, retryAfter(date, problem(status, "LATER")), replyJSON(202, cashOutAccepted))
			_, err := gateway.memoryClient().CreateCashOut(t.Context(), cashOutRequest())
			require.NoError(t, err)
			assert.GreaterOrEqual(t, time.Since(begun), 8*time.Second)
		})
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			ahead := time.Now().Add(10 * time.Minute).UTC() // the gateway's clock is
			later := func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", ahead.Format(http.TimeFormat))
				retryAfter(ahead.Add(9*time.Second).Format(http.TimeFormat), problem(status, "LATER"))(w, r)
			}
			_, err := newGateway(t, later, replyJSON(202, cashOutAccepted)).memoryClient().CreateCashOut(t.Context(), cashOutRequest())
			require.NoError(t, err)
			assert.Equal(t, 9*time.Second, time.Since(begun).Truncate(time.Second))
		})
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			gateway := newGateway(t, retryAfter("31", problem(status, "LATER")))
			_, err := gateway.memoryClient().CreateCashOut(t.Context(), cashOutRequest())
			require.Error(t, err)
			assert.Zero(t, time.Since(begun))
			assert.Len(t, gateway.requests(), 1)
			var refusal *connectpsp.APIError
			var doubt *connectpsp.UnknownOutcomeError
			if status == 429 {
				require.ErrorAs(t, err, &refusal)
				assert.Equal(t, 31*time.Second, refusal.RetryAfter)
			} else {
				require.ErrorAs(t, err, &doubt)
				assert.Equal(t, 31*time.Second, doubt.RetryAfter)
			}
		})
	}
}

func TestA502IsNotRetriedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, err := newGateway(t, html(502), replyJSON(202, cashOutAccepted)).memoryClient().CreateCashOut(t.Context(), cashOutRequest())
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(begun), time.Second)
	})
}

func TestTheRetryPolicyBoundsTheAttempts(t *testing.T) {
	for _, attempts := range []int{1, 2, 7} {
		gateway := newGateway(t, drop)
		policy := connectpsp.RetryPolicy{MaxAttempts: attempts, BaseDelay: time.Microsecond, MaxDelay: time.Microsecond}
		_, err := gateway.client(connectpsp.WithRetryPolicy(policy)).CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.Len(t, gateway.requests(), attempts)
	}
}

func TestNoAttemptBeginsAfterNinetySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var last time.Time
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			last = time.Now()
			retryAfter("20", problem(503, "LATER"))(w, r)
		})
		policy := connectpsp.RetryPolicy{MaxAttempts: 1000}
		_, err := gateway.memoryClient(connectpsp.WithRetryPolicy(policy)).CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.LessOrEqual(t, last.Sub(begun), 90*time.Second)
		assert.Len(t, gateway.requests(), 5)
	})
}

func TestNoAttemptBeginsAfterNinetySecondsWithANewTokenEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, requests := time.Now(), 0
		slow := func(reply http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				assert.LessOrEqual(t, time.Since(begun), 90*time.Second)
				requests++
				time.Sleep(28 * time.Second)
				reply(w, r)
			}
		}
		gateway := newGateway(t, slow(html(503)), slow(html(503)), slow(html(503)), slow(problem(401, "TOKEN_EXPIRED")), slow(html(503)))
		_, err := gateway.memoryClient().CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.Equal(t, 4, requests)
	})
}

func TestACallDoesNotWaitForARetryThatWouldMissTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := newGateway(t, retryAfter("6", problem(503, "LATER"))).memoryClient().CreateCashOut(ctx, cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, time.Since(begun))
	})
}

// No virtual time may pass between the cancellation and the return.
func TestACancelledCallReturnsAtOnce(t *testing.T) {
	never := func(ctx context.Context) (*http.Response, error) { <-ctx.Done(); return nil, ctx.Err() }
	// The transport reads the body of the request, so it is sent.
	body := func(ctx context.Context) (*http.Response, error) {
		return &http.Response{StatusCode: 202, Header: http.Header{}, Body: blockedBody{ctx}}, nil
	}
	unavailable := func(context.Context) (*http.Response, error) {
		return &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"20"}}, Body: http.NoBody}, nil
	}
	for name, c := range map[string]struct {
		answer func(context.Context) (*http.Response, error)
		token  bool
	}{
		"for a token": {never, false}, "for an answer": {never, true}, "for a body": {body, true}, "between attempts": {unavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := []connectpsp.Option{connectpsp.WithHTTPClient(&http.Client{Transport: roundTripper(
					func(r *http.Request) (*http.Response, error) {
						_, _ = io.Copy(io.Discard, r.Body)
						return c.answer(r.Context())
					})})}
				if c.token {
					options = append(options, connectpsp.WithTokenSource(fixedToken("a.b.c")))
				}
				client := must(connectpsp.New(config(memoryURL), options...))
				ctx, cancel := context.WithCancel(t.Context())
				cancelled := time.Now().Add(time.Second)
				time.AfterFunc(time.Second, cancel)
				_, err := client.CreateCashOut(ctx, cashOutRequest())
				assert.Equal(t, cancelled, time.Now())
				assert.ErrorIs(t, err, context.Canceled)
				if c.token {
					assert.Equal(t, unknown, outcomeOf(err))
				} else {
					assert.ErrorIs(t, err, connectpsp.ErrNotSent)
					time.Sleep(time.Minute) // lets the request for a token end before the bubble does
				}
			})
		})
	}
}

// blockedBody is the body of a response that never arrives.
type blockedBody struct{ ctx context.Context }

func (b blockedBody) Read([]byte) (int, error) { <-b.ctx.Done(); return 0, b.ctx.Err() }
func (b blockedBody) Close() error             { return nil }

func TestAFailingTokenSourceIsNotRetried(t *testing.T) {
	source := brokenTokens{errors.New("the fleet's store is shut")}
	gateway := newGateway(t)
	_, err := gateway.client(connectpsp.WithTokenSource(source)).CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, rejected, outcomeOf(err))
	assert.ErrorIs(t, err, connectpsp.ErrNotSent)
	assert.ErrorContains(t, err, "the fleet's store is shut")
}
