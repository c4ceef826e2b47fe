package connectpsp_test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// What well-known payment SDKs get wrong, and this one must not.

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

func TestNoRefusalEverYieldsANilError(t *testing.T) {
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

// FuzzAnyAnswerToACashOut: whatever the gateway answers, the client does not panic, and accepted
// money is never reported as rejected.
func FuzzAnyAnswerToACashOut(f *testing.F) {
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
		client := must(connectpsp.New(config("https://gateway.example"), connectpsp.WithHTTPClient(&http.Client{Transport: answer}),
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

func TestAProgramThatImportsTheClientLinksLittle(t *testing.T) {
	output, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	require.NoError(t, err)
	for _, path := range strings.Fields(string(output)) {
		own := strings.HasPrefix(path, "github.com/connectpsp/connectpsp-go/")
		assert.True(t, own || path == "github.com/google/uuid" || path == "github.com/oapi-codegen/runtime" ||
			strings.HasPrefix(path, "github.com/oapi-codegen/runtime/") || path == "github.com/apapsch/go-jsonmerge/v2", path)
	}
}

// TestPackagesImportOnlyLowerFloors keeps the house in order: a package imports only what lies
// below it.
func TestPackagesImportOnlyLowerFloors(t *testing.T) {
	const module = "github.com/connectpsp/connectpsp-go/"
	floors := map[string]int{"pix": 0, "internal/redact": 0, "internal/api": 0, "internal/jitter": 0, "gen": 1, "internal/answer": 1,
		"auth": 2, "signing": 2, "idempotency": 2, "connectpsp": 3,
		"webhook": 4, "journal": 4, "sandbox": 4, "webhook/sqlinbox": 5, "examples/quickstart": 5}
	output, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../...").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(output)) {
		paths := strings.Fields(line)
		from := strings.TrimPrefix(paths[0], module)
		if _, has := floors[from]; strings.HasPrefix(from, "internal/") && !has || from == "openapi" {
			continue // for tests only
		}
		assert.Contains(t, floors, from)
		for _, path := range paths[1:] {
			if to, own := strings.CutPrefix(path, module); own {
				assert.True(t, floors[to] < floors[from], "%s imports %s", from, to)
			}
		}
	}
}
