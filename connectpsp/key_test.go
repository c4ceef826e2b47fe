package connectpsp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
)

func TestARestartedProcessSendsTheSameKey(t *testing.T) {
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	_, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	_, err = gateway.client().CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	requireSameIntent(t, gateway.requests())
	// A literal: with another value, payments that are open during an upgrade would be sent under a
	// new key.
	assert.Equal(t, "c3969424-c863-468f-88ab-57c9c3ac0f9a", keyOf(gateway.requests()[0]))
	assert.Equal(t, uuid.Version(4), uuid.MustParse(keyOf(gateway.requests()[0])).Version())
}

func TestKeysDifferByReferenceAttemptAndOperation(t *testing.T) {
	gateway := newGateway(t, problem(400, "X"))
	client := gateway.client()
	other := cashOutRequest()
	other.ExternalReference = "withdrawal-43"
	sameReference := cashInRequest()
	sameReference.ExternalReference = "withdrawal-42"

	_, _ = client.CreateCashOut(t.Context(), cashOutRequest())
	_, _ = client.CreateCashOut(t.Context(), other)
	_, _ = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(1))
	_, _ = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(2))
	_, _ = client.CreateCashIn(t.Context(), sameReference)
	keys := map[string]bool{}
	for _, r := range gateway.requests() {
		keys[keyOf(r)] = true
	}
	assert.Len(t, keys, 5)

	_, _ = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(0))
	_, _ = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(2))
	requests := gateway.requests()
	assert.Equal(t, keyOf(requests[0]), keyOf(requests[5]), "attempt zero is the default")
	assert.Equal(t, keyOf(requests[3]), keyOf(requests[6]))
}

func TestARefundThatIsRepeatedHasTheSameKey(t *testing.T) {
	refund := connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}
	gateway := newGateway(t, drop, replyJSON(202, refundAccepted))
	client := gateway.client()
	for range 2 {
		_, err := client.RefundCashIn(t.Context(), cashInID, refund)
		require.NoError(t, err)
	}
	requests := gateway.requests()
	require.Len(t, requests, 3)
	requireSameIntent(t, requests)
	assert.Equal(t, idempotency.DeriveKey(config("").ClientID, "refundCashIn", cashInID, 0), keyOf(requests[0]))
}

func TestTheCallersKeyIsUsed(t *testing.T) {
	const key = "5f0c6a57-6c2b-4a55-9a0b-0b8c6a3f9a11"
	gateway := newGateway(t, problem(400, "X"))
	client := gateway.client()
	_, err := client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithIdempotencyKey(key))
	var refusal *connectpsp.APIError
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, key, refusal.IdempotencyKey)
	_, _ = client.CreateCashIn(t.Context(), cashInRequest(), connectpsp.WithIdempotencyKey(key))
	_, _ = client.RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}, connectpsp.WithIdempotencyKey(key))
	for _, r := range gateway.requests() {
		assert.Equal(t, key, keyOf(r))
	}
}

func TestReferencesThatDifferOnlyInCaseAreTwoPayments(t *testing.T) {
	client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		replyJSON(202, `{"transactionId":"`+cashOutID+`"}`)(w, r)
	}).memoryClient()
	upper, lower := cashOutRequest(), cashOutRequest()
	upper.ExternalReference, lower.ExternalReference = strings.ToUpper(cashOutID), cashOutID
	must(client.CreateCashOut(t.Context(), upper))
	_, err := client.CreateCashOut(t.Context(), lower)
	assert.NoError(t, err, "one key for two payments: the second can never be made")
}
