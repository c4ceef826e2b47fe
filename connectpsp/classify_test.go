package connectpsp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestAStructuredErrorIsRetriedLikeAnEmptyOne(t *testing.T) {
	for _, status := range []int{408, 429, 500, 502, 503, 504} {
		for name, body := range map[string]http.HandlerFunc{
			"problem": problem(status, "X"),
			"empty":   reply(status, "", ""),
			"page":    html(status),
			"list":    reply(status, "application/json", `{"error":{"code":"X","message":"a"},"errors":[{"status":"500"}]}`),
			"odd":     reply(status, "application/problem+json", `{"status":"`+http.StatusText(status)+`","code":7,"title":[],"detail":{}}`),
		} {
			gateway := newGateway(t, body, body, replyJSON(202, cashOutAccepted))
			_, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest())
			assert.NoError(t, err, "%d with %s", status, name)
			assert.Len(t, gateway.requests(), 3, "%d with %s", status, name)
		}
	}
}

func TestNoErrorStatusYieldsANilError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})
		for status := 300; status < 600; status++ {
			for _, body := range []string{"", "{}", "null", cashOutAccepted, cashInAccepted, balanceAnswer, `{"success":true}`} {
				client := newGateway(t, replyJSON(status, body)).memoryClient(policy)
				_, cashOut := client.CreateCashOut(t.Context(), cashOutRequest())
				_, cashIn := client.CreateCashIn(t.Context(), cashInRequest())
				_, refund := client.RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
				_, rebalance := client.RebalanceAccount(t.Context(), pix.Centavos(1))
				_, balance := client.GetBalance(t.Context())
				_, read := client.GetCashIn(t.Context(), cashInID)
				for i, err := range []error{cashOut, cashIn, refund, rebalance, balance, read} {
					require.Error(t, err, "%d %s, call %d", status, body, i)
				}
				for i, err := range []error{cashOut, cashIn, refund, rebalance} {
					assert.Contains(t, []string{rejected, conflict, unknown}, outcomeOf(err), "%d %s, call %d", status, body, i)
				}
			}
		}
	})
}

// FuzzCashOutResponse feeds any response to a cash-out: the client must not panic, and must never
// report an accepted payment as rejected.
func FuzzCashOutResponse(f *testing.F) {
	for _, body := range []string{
		cashOutAccepted, `{"code":"INSUFFICIENT_FUNDS"}`, "", "null", "[]", `{"transactionId":7}`, `{"amount":1e999,"transactionId":"a"}`,
		`{"transactionId":"a","amount":"50.00","status":null}`, `{"status":"500"}`, "<html>", `{"amount":`, "\xff\xfe",
		`{"transactionId":"a","payee":{"destination":{"bankAccount":[]}}}`, strings.Repeat("[", 20000),
	} {
		for _, status := range []uint16{200, 202, 204, 302, 400, 401, 409, 422, 429, 500, 503} {
			f.Add(status, "application/json", "1", []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status uint16, contentType, retryAfter string, body []byte) {
		code := 200 + int(status)%400
		answer := roundTripper(func(r *http.Request) (*http.Response, error) {
			recorded := must(inMemory{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.Header().Set("Retry-After", retryAfter)
				w.WriteHeader(code)
				_, _ = w.Write(body)
			})}.RoundTrip(r))
			return recorded, nil
		})
		client := must(connectpsp.New(config(memoryURL), connectpsp.WithHTTPClient(&http.Client{Transport: answer}),
			connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}), connectpsp.WithTokenSource(fixedToken("a.b.c"))))
		cashOut, err := client.CreateCashOut(t.Context(), cashOutRequest())
		outcome := outcomeOf(err)
		switch {
		case code/100 == 2:
			assert.Contains(t, []string{accepted, unknown}, outcome)
			if outcome == accepted {
				assert.NotEmpty(t, cashOut.TransactionID)
				assert.True(t, json.Valid(body))
			}
		case code >= 500 || code/100 == 3:
			assert.Equal(t, unknown, outcome)
		default:
			assert.Contains(t, []string{rejected, conflict, unknown}, outcome)
		}
		if err != nil {
			assert.NotContains(t, err.Error(), "12345678909")
		}
		if _, err = client.GetBalance(t.Context()); err == nil {
			assert.Equal(t, 2, code/100)
		}
	})
}

// No such code is published. A caller who reads a rejection pays again, so a code that may mean
// that this payment exists already is a conflict.
func TestAnErrorCodeThatMayMeanADuplicateIsAConflict(t *testing.T) {
	for code, want := range map[string]string{
		"IDEMPOTENT_REPLAY":       conflict,
		"DUPLICATE_REFERENCE":     conflict,
		"PAGAMENTO_DUPLICADO":     conflict,
		"ALREADY_PAID":            conflict,
		"STATE_CONFLICT":          conflict,
		"KEY_IN_USE":              conflict,
		"REFERENCE_USED":          conflict,
		"UNIQUE_VIOLATION":        conflict,
		"PAYMENT_IN_PROGRESS":     conflict,
		"STILL_PROCESSING":        conflict,
		"PAYMENT_PENDING":         conflict,
		"REFUNDED":                conflict,
		"REFERENCE_EXISTS":        conflict,
		"reference_exists":        conflict,
		"REFERENCIA_JA_EXISTENTE": conflict,
		"PIX_KEY_DOES_NOT_EXIST":  rejected,
		"CHAVE_NAO_EXISTE":        rejected,
		"PIX_KEY_NOT_FOUND":       rejected,
	} {
		_, err := newGateway(t, problem(422, code)).client().CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, want, outcomeOf(err), code)
	}
}

func TestAnErrorCodeThatMayMeanAnEarlierRefundIsAConflict(t *testing.T) {
	for _, code := range []string{"REFUND_IN_PROGRESS", "CASH_IN_REFUND_PENDING", "EXTERNAL_REFERENCE_NOT_UNIQUE", "EXTERNAL_REFERENCE_IN_USE", "KEY_REUSED", "CASH_IN_REFUNDED", "REFERENCIA_JA_EXISTE", "EXTERNAL_REFERENCE_USED", "CASH_OUT_PROCESSING"} {
		_, err := newGateway(t, problem(422, code)).client().RefundCashIn(t.Context(), cashInID, fraud)
		assert.ErrorIs(t, err, connectpsp.ErrUnknownOutcome, code)
	}
}

func TestJSONOfAProxyIsNoRejection(t *testing.T) {
	for _, body := range []string{`{"code":"FORBIDDEN","message":"Request blocked by the firewall"}`, `{"Code":"AccessDenied","RequestId":"x"}`, `{"code":"1020"}`} {
		_, err := newGateway(t, replyJSON(403, body)).client().CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err), "%v", err)
	}
}
