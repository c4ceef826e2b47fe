package connectpsp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// linesOf decodes a log, and drops times and durations.
func linesOf(t *testing.T, log string) []line {
	t.Helper()
	var lines []line
	for decoder := json.NewDecoder(bytes.NewReader([]byte(log))); ; {
		var one line
		err := decoder.Decode(&one)
		if err == io.EOF {
			return lines
		}
		require.NoError(t, err)
		delete(one, "time")
		delete(one, "duration")
		lines = append(lines, one)
	}
}

// logAt returns a logger of a level, and the log that it writes.
func logAt(level slog.Level) (*slog.Logger, *logOfAll) {
	log := &logOfAll{}
	return slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level})), log
}

func TestTheLogSaysWhyEachAttemptFailedAndWhyItIsRetried(t *testing.T) {
	const key = "c3969424-c863-468f-88ab-57c9c3ac0f9a"
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	address := closed.Listener.Addr().String()
	attempt := func(more line) line {
		all := line{"level": "DEBUG", "msg": "connectpsp: attempt", "event": "attempt", "operation": "createCashOut", "method": "POST", "path": "/cash-out",
			"idempotency_key": key, "external_reference": "withdrawal-42", "status": 0.0}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	for name, c := range map[string]struct {
		steps   []http.HandlerFunc
		options []connectpsp.Option
		want    []line
	}{
		"accepted": {steps: []http.HandlerFunc{replyJSON(202, cashOutAccepted)}, want: []line{{"attempt": 1.0, "status": 202.0, "outcome": "accepted"}}},
		"failed, then accepted": {steps: []http.HandlerFunc{html(503), replyJSON(202, cashOutAccepted)}, want: []line{
			{"attempt": 1.0, "status": 503.0, "outcome": "unknown", "retry": "gateway_failed"}, {"attempt": 2.0, "status": 202.0, "outcome": "accepted"}}},
		"rejected": {steps: []http.HandlerFunc{problem(422, "INSUFFICIENT_FUNDS")}, want: []line{
			{"attempt": 1.0, "status": 422.0, "outcome": "rejected", "code": "INSUFFICIENT_FUNDS"}}},
		"conflict": {steps: []http.HandlerFunc{problem(409, "DUPLICATE_EXTERNAL_REFERENCE")}, want: []line{
			{"attempt": 1.0, "status": 409.0, "outcome": "unknown", "code": "DUPLICATE_EXTERNAL_REFERENCE"}}},
		"limited": {steps: []http.HandlerFunc{problem(429, "RATE_LIMITED"), replyJSON(202, cashOutAccepted)}, want: []line{
			{"attempt": 1.0, "status": 429.0, "outcome": "rejected", "code": "RATE_LIMITED", "retry": "rate_limited"},
			{"attempt": 2.0, "status": 202.0, "outcome": "accepted"}}},
		"token expired": {steps: []http.HandlerFunc{problem(401, "TOKEN_EXPIRED"), replyJSON(202, cashOutAccepted)}, want: []line{
			{"attempt": 1.0, "status": 401.0, "outcome": "rejected", "code": "TOKEN_EXPIRED", "retry": "token_refused"},
			{"attempt": 2.0, "status": 202.0, "outcome": "accepted"}}},
		"no response": {steps: []http.HandlerFunc{drop, replyJSON(202, cashOutAccepted)}, want: []line{
			{"attempt": 1.0, "outcome": "unknown", "error": `Post "URL/cash-out": EOF`, "retry": "no_response"},
			{"attempt": 2.0, "status": 202.0, "outcome": "accepted"}}},
		"unreadable": {steps: []http.HandlerFunc{replyJSON(202, "Maria"), replyJSON(202, cashOutAccepted)}, want: []line{
			{"attempt": 1.0, "status": 202.0, "outcome": "unknown", "error": "the response is not a JSON object", "retry": "unreadable_response"},
			{"attempt": 2.0, "status": 202.0, "outcome": "accepted"}}},
		"source of tokens": {options: []connectpsp.Option{connectpsp.WithTokenSource(brokenTokens{errors.New("Maria")})}, want: []line{
			{"attempt": 1.0, "outcome": "not_sent", "error": "[redacted *errors.errorString]"}}},
		"journal": {options: []connectpsp.Option{connectpsp.WithJournal(&notebook{intents: map[string]connectpsp.Intent{}, fail: map[string]error{"sent": context.DeadlineExceeded}})}, want: []line{
			{"attempt": 1.0, "outcome": "not_sent", "error": "context deadline exceeded", "retry": "not_sent"},
			{"attempt": 2.0, "outcome": "not_sent", "error": "context deadline exceeded"}}},
		"no connection": {options: []connectpsp.Option{connectpsp.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			r.URL.Host = address
			return http.DefaultTransport.RoundTrip(r)
		})})}, want: []line{
			{"attempt": 1.0, "outcome": "not_sent", "error": `Post "http://` + address + `/cash-out": dial tcp ` + address + `: connect: connection refused`, "retry": "not_sent"},
			{"attempt": 2.0, "outcome": "not_sent", "error": `Post "http://` + address + `/cash-out": dial tcp ` + address + `: connect: connection refused`}}},
	} {
		t.Run(name, func(t *testing.T) {
			logger, log := logAt(slog.LevelDebug)
			server := httptest.NewServer(newGateway(t, c.steps...).handler)
			defer server.Close()
			client := newClient(t, server.URL, append([]connectpsp.Option{connectpsp.WithLogger(logger), connectpsp.WithTokenSource(&changingTokens{}),
				connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Nanosecond, MaxDelay: time.Nanosecond})}, c.options...)...)
			_, _ = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithIdempotencyKey(key))
			var attempts []line
			for _, one := range linesOf(t, log.String()) {
				if one["level"] == "DEBUG" {
					attempts = append(attempts, one)
				}
			}
			require.Len(t, attempts, len(c.want))
			for i, want := range c.want {
				if want["error"] == `Post "URL/cash-out": EOF` {
					want["error"] = `Post "` + server.URL + `/cash-out": EOF`
				}
				assert.Equal(t, attempt(want), attempts[i])
			}
		})
	}
}

func TestEachTokenRequestIsLogged(t *testing.T) {
	for name, c := range map[string]struct {
		token http.HandlerFunc
		want  line
	}{
		"issued":  {tokenAnswer(accessToken, 3600), line{"status": 200.0}},
		"refused": {problem(401, "INVALID_CREDENTIALS"), line{"status": 401.0}},
		"lost":    {raw(words), line{"error": `Post "URL/auth/token": malformed HTTP [redacted]`}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/auth/token" {
					c.token(w, r)
					return
				}
				replyJSON(200, balanceAnswer)(w, r)
			}))
			defer server.Close()
			logger, log := logAt(slog.LevelDebug)
			_, err := newClient(t, server.URL, connectpsp.WithLogger(logger)).GetBalance(t.Context())
			lines := linesOf(t, log.String())
			require.NotEmpty(t, lines)
			want := line{"level": "DEBUG", "msg": "connectpsp: token request", "event": "token.request", "operation": "authToken"}
			for name, value := range c.want {
				want[name] = value
			}
			if want["error"] != nil {
				want["error"] = `Post "` + server.URL + `/auth/token": malformed HTTP [redacted]`
			}
			assert.Equal(t, want, lines[0])
			if name == "refused" {
				require.Error(t, err)
				assert.Equal(t, "INVALID_CREDENTIALS", lines[1]["code"], "the line of the attempt has the gateway's code")
			}
		})
	}
}

func TestAnUnknownOutcomeIsLoggedOnceAsAnError(t *testing.T) {
	cashOut := func(c *connectpsp.Client) error {
		_, err := c.CreateCashOut(t.Context(), cashOutRequest())
		return err
	}
	for name, c := range map[string]struct {
		steps []http.HandlerFunc
		call  func(*connectpsp.Client) error
		want  line
	}{
		"no response": {[]http.HandlerFunc{drop}, cashOut, line{"operation": "createCashOut", "external_reference": "withdrawal-42", "status": 0.0}},
		"then refused": {[]http.HandlerFunc{html(502), problem(422, "INSUFFICIENT_FUNDS")}, cashOut,
			line{"operation": "createCashOut", "external_reference": "withdrawal-42", "status": 422.0, "code": "INSUFFICIENT_FUNDS"}},
		"conflict": {[]http.HandlerFunc{problem(409, "DUPLICATE_EXTERNAL_REFERENCE")}, cashOut,
			line{"operation": "createCashOut", "external_reference": "withdrawal-42", "status": 409.0, "code": "DUPLICATE_EXTERNAL_REFERENCE"}},
		"charge": {[]http.HandlerFunc{html(500)}, func(c *connectpsp.Client) error {
			_, err := c.CreateCashIn(t.Context(), cashInRequest())
			return err
		}, line{"operation": "createCashIn", "external_reference": "order-1", "status": 500.0}},
		"refund": {[]http.HandlerFunc{html(500)}, func(c *connectpsp.Client) error {
			_, err := c.RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
			return err
		}, line{"operation": "refundCashIn", "transaction_id": cashInID, "status": 500.0}},
		"rebalance": {[]http.HandlerFunc{html(500)}, func(c *connectpsp.Client) error {
			_, err := c.RebalanceAccount(t.Context(), pix.Centavos(1))
			return err
		}, line{"operation": "rebalanceAccount", "status": 500.0}},
		"not resolved": {[]http.HandlerFunc{html(500)}, func(c *connectpsp.Client) error {
			_, err := c.ResolveCashOut(t.Context(), nil, cashOutRequest())
			return err
		}, line{"operation": "createCashOut", "external_reference": "withdrawal-42", "status": 0.0}},
	} {
		t.Run(name, func(t *testing.T) {
			logger, log := logAt(slog.LevelInfo)
			err := c.call(newGateway(t, c.steps...).client(connectpsp.WithLogger(logger)))
			require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
			lines := linesOf(t, log.String())
			require.Len(t, lines, 1)
			assert.Equal(t, "ERROR", lines[0]["level"])
			for name, value := range c.want {
				assert.Equal(t, value, lines[0][name], name)
			}
			var unknown *connectpsp.UnknownOutcomeError
			if errors.As(err, &unknown) {
				assert.Equal(t, unknown.FirstSentAt.Format(time.RFC3339Nano), lines[0]["first_sent_at"])
				assert.Equal(t, unknown.IdempotencyKey, lines[0].text("idempotency_key"))
			}
		})
	}
}

func TestAcceptedAndRejectedCallsAreLoggedAtDebugOnly(t *testing.T) {
	logger, log := logAt(slog.LevelInfo)
	for _, step := range []http.HandlerFunc{replyJSON(202, cashOutAccepted), problem(422, "INSUFFICIENT_FUNDS")} {
		_, _ = newGateway(t, step).client(connectpsp.WithLogger(logger)).CreateCashOut(t.Context(), cashOutRequest())
	}
	_, err := newGateway(t, html(503)).client(connectpsp.WithLogger(logger)).GetCashIn(t.Context(), cashInID)
	require.Error(t, err)
	assert.Empty(t, log.String())
}

// A refund whose response was lost is accepted if the charge reads as refunded.
func TestARefundThatTheChargeConfirmsIsNotLoggedAsUnknown(t *testing.T) {
	logger, log := logAt(slog.LevelInfo)
	gateway := newGateway(t, drop, problem(422, "CASH_IN_ALREADY_REFUNDED"), replyJSON(200, cashInWithStatus("REFUNDED")))
	_, err := gateway.client(connectpsp.WithLogger(logger)).RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	require.NoError(t, err)
	assert.Empty(t, log.String())
}

func TestEachRecoveredPaymentIsLoggedAsAWarning(t *testing.T) {
	logger, log := logAt(slog.LevelInfo)
	gateway := newGateway(t, html(500), html(500), html(500), html(500), html(500), html(500), html(500), html(500), replyJSON(202, cashOutAccepted))
	client := gateway.client(connectpsp.WithLogger(logger))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
	for _, want := range []string{"unknown", "accepted"} {
		before := len(linesOf(t, log.String()))
		_, err = client.Recover(t.Context())
		require.NoError(t, err)
		lines := linesOf(t, log.String())[before:]
		require.Len(t, lines, 1, "and no error besides")
		assert.Equal(t, "WARN", lines[0]["level"])
		assert.Equal(t, want, lines[0]["outcome"])
		assert.Equal(t, "createCashOut", lines[0]["operation"])
		assert.Equal(t, "withdrawal-42", lines[0]["external_reference"])
		assert.NotEmpty(t, lines[0]["idempotency_key"])
	}
}

// The event that must not be overlooked is logged without any option.
func TestUnknownOutcomesGoToTheDefaultLogger(t *testing.T) {
	logger, log := logAt(slog.LevelInfo)
	silent := slog.Default()
	slog.SetDefault(logger)
	defer slog.SetDefault(silent)
	for _, options := range [][]connectpsp.Option{nil, {connectpsp.WithLogger(nil)}, {connectpsp.WithLogger(slog.New(slog.DiscardHandler))}} {
		_, err := newGateway(t, html(502)).client(options...).CreateCashOut(t.Context(), cashOutRequest())
		require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
	}
	assert.Len(t, linesOf(t, log.String()), 2)
}

// line is one line of a log.
type line map[string]any

func (l line) text(name string) string {
	text, _ := l[name].(string)
	return text
}
