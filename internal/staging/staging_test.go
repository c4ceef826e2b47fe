package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func TestWithoutAnAccountItSaysThatItWasSkipped(t *testing.T) {
	alone(t)
	var out bytes.Buffer
	status, err := run(t.Context(), description, nil, &out)
	require.NoError(t, err)
	assert.Zero(t, status)
	assert.Contains(t, out.String(), "Skipped: no CONNECTPSP_* variable is set")
}

func TestHalfAnAccountIsNotSkipped(t *testing.T) {
	alone(t)
	t.Setenv("CONNECTPSP_CLIENT_ID", "1024")
	status, err := run(t.Context(), description, nil, new(bytes.Buffer))
	assert.Equal(t, 1, status)
	assert.ErrorContains(t, err, "CONNECTPSP_CLIENT_SECRET is not set")
}

func TestAGatewayThatDoesAsDescribedHasNoDeviation(t *testing.T) {
	status, printed, err := against(t, nil)
	require.NoError(t, err)
	assert.Zero(t, status, printed)
	assert.Contains(t, printed, "The gateway does as the description says")
	assert.Contains(t, printed, "Left out, because they move money")
	assert.Contains(t, printed, "refund a charge that is not paid: 422 CASH_IN_NOT_PAID")
}

func TestMoneyMovesOnlyWhenAskedTo(t *testing.T) {
	var moved []string
	note := func(r *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Code/100 == 2 && (r.URL.Path == "/cash-out" || strings.HasSuffix(r.URL.Path, "/refund") || strings.HasSuffix(r.URL.Path, "/rebalance")) {
			moved = append(moved, r.URL.Path)
		}
	}
	_, _, err := against(t, note)
	require.NoError(t, err)
	assert.Empty(t, moved)
	status, printed, err := against(t, note, "-move-money")
	require.NoError(t, err)
	assert.Zero(t, status, printed)
	assert.Equal(t, []string{"/cash-out", "/account/rebalance"}, moved)
}

func TestWithoutAPayeeNoMoneyMoves(t *testing.T) {
	alone(t)
	for _, name := range []string{"CLIENT_ID", "CLIENT_SECRET", "APPLICATION_TOKEN"} {
		t.Setenv("CONNECTPSP_"+name, "x")
	}
	status, err := run(t.Context(), description, []string{"-move-money"}, new(bytes.Buffer))
	assert.Equal(t, 1, status)
	assert.ErrorContains(t, err, "CONNECTPSP_TEST_PAYEE_PIX_KEY is not set")
}

func TestEveryDeviationIsNamedFieldByField(t *testing.T) {
	replace := func(path, old, text string) func(*http.Request, *httptest.ResponseRecorder) {
		return func(r *http.Request, answer *httptest.ResponseRecorder) {
			if r.URL.Path == path && answer.Code/100 == 2 {
				body := strings.Replace(answer.Body.String(), old, text, 1)
				answer.Body = bytes.NewBufferString(body)
			}
		}
	}
	for name, test := range map[string]struct {
		deviate func(*http.Request, *httptest.ResponseRecorder)
		says    string
	}{
		"a member more": {
			replace("/cash-in", `"status"`, `"feeInCents":7,"status"`), "- createCashIn response 201: /feeInCents (number)",
		},
		"a member more, deep down": {
			replace("/account/balance", `"transactional":{`, `"transactional":{"blocked":{"by":"court"},`),
			"- getBalance response 200: /banks/[]/accounts/transactional/blocked (object)",
		},
		"a required member less": {
			replace("/cash-in", `"internalCode"`, `"code"`), `createCashIn response 201: `,
		},
		"another value of an enum": {
			replace("/cash-in", `"AWAITING_PAYMENT"`, `"ON_HOLD"`), "and not ON_HOLD",
		},
		"a number as a text": {
			replace("/account/balance", `"totalBalance":`, `"total":1,"totalBalance":`), "/consolidated/total (number)",
		},
		"a date of another form": {
			replace("/account/balance", `"referenceDate":"`, `"referenceDate":"on `), "/referenceDate",
		},
		"another status": {func(r *http.Request, answer *httptest.ResponseRecorder) {
			if r.Method == http.MethodPost && r.URL.Path == "/cash-in" && answer.Code == 201 {
				answer.Code = 200
			}
		}, "createCashIn response 200: "},
		"a problem that is none": {func(r *http.Request, answer *httptest.ResponseRecorder) {
			if answer.Code == 404 {
				answer.Header().Set("Content-Type", "application/json")
			}
		}, "getCashIn response 404: "},
		"a status for another": {func(r *http.Request, answer *httptest.ResponseRecorder) {
			if answer.Code == 404 {
				answer.Code = 400
			}
		}, "read a charge that does not exist: 400 TRANSACTION_NOT_FOUND, where 404 is published"},
	} {
		t.Run(name, func(t *testing.T) {
			status, printed, err := against(t, test.deviate)
			require.NoError(t, err, printed)
			assert.Equal(t, 3, status)
			assert.Contains(t, printed, test.says)
		})
	}
}

func TestUndocumentedBehaviourIsReportedBesideDeviations(t *testing.T) {
	status, printed, err := against(t, func(_ *http.Request, answer *httptest.ResponseRecorder) {
		answer.Header().Set("X-Ratelimit-Remaining", "17")
	})
	require.NoError(t, err)
	assert.Zero(t, status)
	assert.Contains(t, printed, "### Headers that the description does not declare\n\n- X-Ratelimit-Remaining\n")
	assert.Contains(t, printed, "- createCashIn response 201: /paymentUrl", "declared, and never sent")
	assert.Contains(t, printed, "- a charge with another key and the same externalReference: 409 DUPLICATE_EXTERNAL_REFERENCE\n")
}

func TestAnOutageEndsTheRunAndSaysSo(t *testing.T) {
	status, _, err := against(t, func(_ *http.Request, answer *httptest.ResponseRecorder) {
		answer.Code = http.StatusBadGateway
		answer.Body = bytes.NewBufferString("<html>")
	})
	assert.Equal(t, 1, status)
	assert.ErrorContains(t, err, "could not read the balance")
}

// account sets the variables of an account at a gateway where nobody listens.
func account(t *testing.T) {
	t.Helper()
	alone(t)
	for _, name := range []string{"CLIENT_ID", "CLIENT_SECRET", "APPLICATION_TOKEN"} {
		t.Setenv("CONNECTPSP_"+name, "x")
	}
	t.Setenv("CONNECTPSP_BASE_URL", "http://127.0.0.1:1")
}

func TestARunThatCannotStartSaysWhy(t *testing.T) {
	account(t)
	status, err := run(t.Context(), "nowhere.yaml", nil, new(bytes.Buffer))
	assert.Equal(t, 1, status)
	assert.ErrorContains(t, err, "nowhere.yaml")
	status, err = run(t.Context(), description, nil, new(bytes.Buffer))
	assert.Equal(t, 1, status)
	assert.ErrorIs(t, err, connectpsp.ErrNotSent)
	t.Setenv("CONNECTPSP_BASE_URL", "http://example.com")
	status, err = run(t.Context(), description, nil, new(bytes.Buffer))
	assert.Equal(t, 1, status)
	assert.ErrorContains(t, err, "BaseURL")
}

// What becomes of a second key for one reference is one of the things that are not published.
func TestTheOutcomeOfASecondKeyIsReported(t *testing.T) {
	for told, transaction := range map[string]string{"the first is answered": "", "a second one is created": "another"} {
		var first []byte
		_, printed, err := against(t, func(r *http.Request, answer *httptest.ResponseRecorder) {
			if r.Method != http.MethodPost || r.URL.Path != "/cash-in" {
				return
			}
			if answer.Code == 201 {
				first = answer.Body.Bytes()
				return
			}
			answer.Code = 201
			answer.Header().Set("Content-Type", "application/json")
			answer.Body = bytes.NewBuffer(bytes.Replace(first, []byte(`"transactionId":"`), []byte(`"transactionId":"`+transaction), 1))
		})
		require.NoError(t, err)
		assert.Contains(t, printed, "a charge with another key and the same externalReference: "+told)
	}
}

func TestInvalidArgumentsAreExplained(t *testing.T) {
	for _, arguments := range [][]string{{"now"}, {"-move"}} {
		status, err := run(t.Context(), description, arguments, new(bytes.Buffer))
		assert.Equal(t, 2, status)
		assert.ErrorContains(t, err, "usage: staging")
	}
}
