package metrics_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestAScrapeCountsWhatTheClientDid(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(*testing.T, *sandbox.Sandbox, *connectpsp.Client)
		counts map[string]float64
	}{
		"an accepted payment": {
			func(t *testing.T, _ *sandbox.Sandbox, client *connectpsp.Client) {
				_, err := client.CreateCashOut(t.Context(), withdrawal("w-1"))
				require.NoError(t, err)
			},
			map[string]float64{
				`client_calls_total{operation="createCashOut",outcome="accepted"}`: 1,
				`client_call_duration_seconds_count{operation="createCashOut"}`:    1,
				`client_attempts_total{outcome="accepted"}`:                        1,
			},
		},
		"a rejected payment": {
			func(t *testing.T, gateway *sandbox.Sandbox, client *connectpsp.Client) {
				require.NoError(t, gateway.RefuseNext("createCashOut", 422, "INSUFFICIENT_FUNDS"))
				_, err := client.CreateCashOut(t.Context(), withdrawal("w-1"))
				require.ErrorIs(t, err, connectpsp.CodeInsufficientFunds)
			},
			map[string]float64{
				`client_calls_total{operation="createCashOut",outcome="rejected"}`: 1,
				`client_call_duration_seconds_count{operation="createCashOut"}`:    1,
				`client_refusals_total{code="INSUFFICIENT_FUNDS"}`:                 1,
				`client_attempts_total{outcome="rejected"}`:                        1,
			},
		},
		"a code that is not published": {
			func(t *testing.T, gateway *sandbox.Sandbox, client *connectpsp.Client) {
				require.NoError(t, gateway.RefuseNext("createCashIn", 422, "MARIA_12345678909"))
				_, err := client.CreateCashIn(t.Context(), charge("o-1"))
				require.Error(t, err)
			},
			map[string]float64{
				`client_calls_total{operation="createCashIn",outcome="rejected"}`: 1,
				`client_call_duration_seconds_count{operation="createCashIn"}`:    1,
				`client_refusals_total{code="OTHER"}`:                             1,
				`client_attempts_total{outcome="rejected"}`:                       1,
				`contract_deviations_total{deviation="code"}`:                     1,
			},
		},
		"an unknown outcome that Recover settles": {
			func(t *testing.T, gateway *sandbox.Sandbox, client *connectpsp.Client) {
				require.NoError(t, gateway.FailNext("createCashOut", sandbox.LoseAnswer, sandbox.Unavailable))
				_, err := client.CreateCashOut(t.Context(), withdrawal("w-1"))
				require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
				_, err = client.Recover(t.Context())
				require.NoError(t, err)
			},
			map[string]float64{
				`client_calls_total{operation="createCashOut",outcome="unknown"}`:  1,
				`client_calls_total{operation="createCashOut",outcome="accepted"}`: 1,
				`client_recovered_total{outcome="accepted"}`:                       1,
				`client_call_duration_seconds_count{operation="createCashOut"}`:    2,
				`client_attempts_total{outcome="unknown"}`:                         2,
				`client_attempts_total{outcome="accepted"}`:                        1,
				`client_retries_total{reason="no_response"}`:                       1,
			},
		},
		"a token that the gateway revoked": {
			func(t *testing.T, gateway *sandbox.Sandbox, client *connectpsp.Client) {
				gateway.RevokeTokens()
				_, err := client.GetBalance(t.Context())
				require.NoError(t, err)
			},
			map[string]float64{
				`client_calls_total{operation="getBalance",outcome="accepted"}`: 1,
				`client_call_duration_seconds_count{operation="getBalance"}`:    1,
				`client_attempts_total{outcome="rejected"}`:                     1,
				`client_attempts_total{outcome="accepted"}`:                     1,
				`client_retries_total{reason="token_refused"}`:                  1,
				`token_requests_total{result="ok"}`:                             1,
			},
		},
		"a response about another payment": {
			func(t *testing.T, gateway *sandbox.Sandbox, client *connectpsp.Client) {
				require.NoError(t, gateway.FailNext("createCashOut", sandbox.OtherAnswer))
				_, err := client.CreateCashOut(t.Context(), withdrawal("w-1"))
				require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
			},
			map[string]float64{
				`client_calls_total{operation="createCashOut",outcome="unknown"}`: 1,
				`client_call_duration_seconds_count{operation="createCashOut"}`:   1,
				`client_attempts_total{outcome="unknown"}`:                        1,
				`contract_deviations_total{deviation="transaction"}`:              1,
			},
		},
		"a request that is not valid": {
			func(t *testing.T, _ *sandbox.Sandbox, client *connectpsp.Client) {
				_, err := client.CreateCashOut(t.Context(), withdrawal(""))
				require.ErrorIs(t, err, connectpsp.ErrNotSent)
			},
			map[string]float64{
				`client_calls_total{operation="createCashOut",outcome="invalid"}`: 1,
				`client_call_duration_seconds_count{operation="createCashOut"}`:   1,
			},
		},
		"a context that has ended": {
			func(t *testing.T, _ *sandbox.Sandbox, client *connectpsp.Client) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_, err := client.CreateCashIn(ctx, charge("o-1"))
				require.ErrorIs(t, err, connectpsp.ErrNotSent)
			},
			map[string]float64{
				`client_calls_total{operation="createCashIn",outcome="not_sent"}`: 1,
				`client_call_duration_seconds_count{operation="createCashIn"}`:    1,
			},
		},
		"a caller that leaves": {
			func(t *testing.T, gateway *sandbox.Sandbox, client *connectpsp.Client) {
				require.NoError(t, gateway.SetLatency(time.Second))
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second/2, cancel)
				_, err := client.GetBalance(ctx)
				require.ErrorIs(t, err, context.Canceled)
			},
			map[string]float64{
				`client_calls_total{operation="getBalance",outcome="failed"}`: 1,
				`client_call_duration_seconds_count{operation="getBalance"}`:  1,
				`client_attempts_total{outcome="canceled"}`:                   1,
			},
		},
		"a read that fails": {
			func(t *testing.T, gateway *sandbox.Sandbox, client *connectpsp.Client) {
				require.NoError(t, gateway.FailNext("getBalance", sandbox.Status(502), sandbox.Status(502)))
				_, err := client.GetBalance(t.Context())
				require.Error(t, err)
			},
			map[string]float64{
				`client_calls_total{operation="getBalance",outcome="failed"}`: 1,
				`client_call_duration_seconds_count{operation="getBalance"}`:  1,
				`client_attempts_total{outcome="unknown"}`:                    2,
				`client_retries_total{reason="gateway_failed"}`:               1,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gateway, m := startSandbox(t), metrics.New()
				client := newClient(t, gateway, connectpsp.WithObserver(m))
				_, err := client.GetBalance(t.Context())
				require.NoError(t, err)
				before := changes(t, m)
				c.do(t, gateway, client)
				after := changes(t, m)
				for series, value := range before {
					if after[series] -= value; after[series] == 0 {
						delete(after, series)
					}
				}
				assert.Equal(t, c.counts, after)
			})
		})
	}
}

func TestAScrapeCountsWhatNeedsATokenAndHasNone(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*connectpsp.Config)
		fault  sandbox.Fault
		counts map[string]float64
	}{
		"credentials that are wrong": {
			func(config *connectpsp.Config) { config.ClientSecret = auth.NewSecret("another") }, 0,
			map[string]float64{
				`client_calls_total{operation="createCashIn",outcome="not_sent"}`: 1,
				`client_call_duration_seconds_count{operation="createCashIn"}`:    1,
				`client_refusals_total{code="INVALID_CREDENTIALS"}`:               1,
				`token_requests_total{result="refused"}`:                          1,
			},
		},
		"a gateway that fails": {
			func(config *connectpsp.Config) {}, sandbox.Unavailable,
			map[string]float64{
				`client_calls_total{operation="createCashIn",outcome="not_sent"}`: 1,
				`client_call_duration_seconds_count{operation="createCashIn"}`:    1,
				`token_requests_total{result="failed"}`:                           2,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gateway, m := startSandbox(t), metrics.New()
				require.NoError(t, gateway.FailNext("authToken", c.fault, c.fault))
				config := gateway.Config()
				c.config(&config)
				client, err := connectpsp.New(config, connectpsp.WithObserver(m), connectpsp.WithHTTPClient(gateway.HTTPClient()),
					connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 2}))
				require.NoError(t, err)
				_, err = client.CreateCashIn(t.Context(), charge("o-1"))
				require.ErrorIs(t, err, connectpsp.ErrNotSent)
				assert.Equal(t, c.counts, changes(t, m))
			})
		})
	}
}
