package sandbox_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestTheSameKeyReturnsTheSameResponse(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	balance := g.transactional()
	for name, c := range map[string]struct{ path, body string }{
		"a charge":                {"/cash-in", cashInBody("order-2", "")},
		"a charge of OpenFinance": {"/cash-in", strings.Replace(cashInBody("order-3", ""), "{", `{"openFinance":{"redirectUrl":"https://example.com/"},`, 1)},
		"a payment":               {"/cash-out", cashOutBody("withdrawal-1", "50.00", "")},
		"a refund":                {"/cash-in/" + charge.TransactionID + "/refund", `{"reason":"FRAUD"}`},
	} {
		t.Run(name, func(t *testing.T) {
			once := idempotency.NewKey()
			first := g.post(c.path, c.body, key(once))
			require.Equal(t, 2, first.status/100)
			g.RevokeTokens()
			g.token = g.newToken()
			second := g.post(c.path, c.body, key(strings.ToUpper(once)))
			assert.Equal(t, first.status, second.status)
			assert.Equal(t, first.header.Get("Content-Type"), second.header.Get("Content-Type"))
			assert.Equal(t, first.body, second.body)
		})
	}
	assert.Equal(t, "500010.50", balance)
	assert.Equal(t, "499950.00", g.transactional(), "each was executed once")
}

func TestConcurrentRequestsUnderOneKeyAreExecutedOnce(t *testing.T) {
	g := start(t)
	once, body := idempotency.NewKey(), cashOutBody("withdrawal-1", "50.00", "")
	answers := make([]reply, 8)
	var senders sync.WaitGroup
	for i := range answers {
		senders.Go(func() { answers[i] = g.post("/cash-out", body, key(once)) })
	}
	senders.Wait()
	for _, answer := range answers {
		assert.Equal(t, answers[0].body, answer.body)
		assert.Equal(t, 202, answer.status)
	}
	assert.Equal(t, "499950.00", g.transactional())
}

func TestAnotherRequestCannotUseTheKey(t *testing.T) {
	g := start(t)
	once := idempotency.NewKey()
	first := g.post("/cash-out", cashOutBody("withdrawal-1", "50.00", ""), key(once))
	g.post("/cash-out", cashOutBody("withdrawal-1", "50.0", ""), key(once)).problem(422, "IDEMPOTENCY_KEY_REUSED")
	g.post("/cash-in", cashInBody("order-1", ""), key(once)).problem(422, "IDEMPOTENCY_KEY_REUSED")
	again := g.post("/cash-out", cashOutBody("withdrawal-1", "50.00", ""), key(once))
	assert.Equal(t, first.body, again.body, "the first one is not forgotten")
}

func TestABusinessRefusalIsReplayed(t *testing.T) {
	g := start(t, sandbox.WithBalance(pix.Centavos(0), pix.Centavos(100_00)))
	poor := idempotency.NewKey()
	g.post("/cash-out", cashOutBody("withdrawal-1", "50.00", ""), key(poor)).problem(422, "INSUFFICIENT_FUNDS")
	g.post("/account/rebalance", `{"targetAmount":100}`)
	g.post("/cash-out", cashOutBody("withdrawal-1", "50.00", ""), key(poor)).problem(422, "INSUFFICIENT_FUNDS")
	g.newCashOut("withdrawal-1", "")
	duplicate := idempotency.NewKey()
	g.post("/cash-out", cashOutBody("withdrawal-1", "50.00", ""), key(duplicate)).problem(409, "DUPLICATE_EXTERNAL_REFERENCE")
	g.post("/cash-out", cashOutBody("withdrawal-1", "50.00", ""), key(duplicate)).problem(409, "DUPLICATE_EXTERNAL_REFERENCE")
	assert.Equal(t, "50.00", g.transactional())
}

func TestAnInvalidRequestLeavesTheKeyUnused(t *testing.T) {
	g := startUnchecked(t)
	once, body := idempotency.NewKey(), cashOutBody("withdrawal-1", "50.00", "")
	g.post("/cash-out", body, key(once), header("Authorization", "")).problem(401, "TOKEN_EXPIRED")
	g.post("/cash-out", body, key(once), header("DigitalSignature", "")).problem(422, "INVALID_SIGNATURE")
	g.post("/cash-out", "{}", key(once)).problem(400, "INVALID_REQUEST")
	g.post("/cash-in/nothing/refund", `{"reason":"FRAUD"}`, key(once)).problem(404, "TRANSACTION_NOT_FOUND")
	g.post("/cash-out", body, key(once)).into(202, &connectpsp.CashOut{})
}

func TestAKeyMustBeAUUID(t *testing.T) {
	g := startUnchecked(t)
	for _, wrong := range []string{"order-1", strings.ReplaceAll(idempotency.NewKey(), "-", ""), "{" + idempotency.NewKey() + "}"} {
		g.post("/cash-in", cashInBody("order-1", ""), key(wrong)).problem(400, "INVALID_REQUEST")
	}
	g.newCashIn("order-1", "")
}

func TestRebalancingIgnoresTheKey(t *testing.T) {
	g := startUnchecked(t)
	once := idempotency.NewKey()
	g.post("/account/rebalance", `{"targetAmount":1}`, key(once)).into(200, &connectpsp.Rebalance{})
	g.post("/account/rebalance", `{"targetAmount":2}`, key(once)).into(200, &connectpsp.Rebalance{})
	assert.Equal(t, "2.00", g.transactional())
}
