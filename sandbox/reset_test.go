package sandbox_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestAfterAResetTheSameCallsGetTheSameBytesAgain(t *testing.T) {
	receiver := newReceiver(t)
	g := start(t, sandbox.WithSeed(1), sandbox.WithTime(noon), sandbox.WithKeyLifetime(time.Hour))
	play := func() (told []string) {
		g.token = g.newToken()
		charge := g.newCashIn("order-1", receiver.URL)
		require.NoError(t, g.PayCashIn(charge.TransactionID))
		require.NoError(t, g.CompleteCashOut(g.newCashOut("withdrawal-1", receiver.URL).TransactionID))
		g.waitWebhooks()
		taken, err := g.Snapshot()
		require.NoError(t, err)
		for _, delivery := range g.Deliveries() {
			header, _ := g.Sent(delivery.EventID)
			told = append(told, header.Get("X-Connect-Signature"))
		}
		return append(told, string(taken), string(g.get("/account/balance").body), g.token, g.Config().CryptoToken.Reveal())
	}
	g.Reset() // a client has fetched a token
	first := play()

	g.RotateCryptoToken()
	require.NoError(t, g.SetKeyLifetime(time.Minute))
	g.SetUniqueReferences(false)
	g.SetRepeatedRefusals(false)
	require.NoError(t, g.SetBalances(pix.Centavos(1), pix.Centavos(1)))
	require.NoError(t, g.FailNext("CASHIN_REFUNDED", sandbox.HoldWebhook))
	require.NoError(t, g.ReturnCashOut(g.CashOuts()[0].TransactionID))
	require.NoError(t, g.FailEvery("getBalance", 1, sandbox.Status(502)))
	require.NoError(t, g.SetRateLimit(1, 1))
	require.NoError(t, g.SetLatency(time.Millisecond))
	require.NoError(t, g.Advance(time.Hour))
	g.Reset()
	assert.Empty(t, g.CashIns())
	assert.Empty(t, g.CashOuts())
	assert.Empty(t, g.Deliveries())
	assert.Empty(t, g.Requests())
	assert.Equal(t, noon, g.Now())
	g.get("/account/balance").problem(401, "TOKEN_EXPIRED")

	assert.Equal(t, first, play())
	g.post("/cash-out", cashOutBody("withdrawal-1", "1.00", "")).problem(409, "DUPLICATE_EXTERNAL_REFERENCE")
}

func TestARotatedCryptoTokenIsNewAlsoAfterAnEarlierStateWasRestored(t *testing.T) {
	g := start(t)
	taken, err := g.Snapshot()
	require.NoError(t, err)
	g.RotateCryptoToken()
	rotated := g.Config().CryptoToken.Reveal()
	require.NoError(t, g.Restore(taken))
	assert.Equal(t, rotated, g.Config().CryptoToken.Reveal(), "a snapshot has no credentials")
	g.RotateCryptoToken()
	assert.NotEqual(t, rotated, g.Config().CryptoToken.Reveal())
}

func TestAnEarlierPaymentOfAChargeFindsTheCharge(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	first := g.CashIns()[0].EndToEndID
	require.NoError(t, g.PayCashInWith(charge.TransactionID, sandbox.Payment{}))
	require.NoError(t, g.ReturnCashInPart(charge.TransactionID, pix.Centavos(1)))
	payment := g.newCashOut("withdrawal-1", "")
	require.NoError(t, g.CompleteCashOut(payment.TransactionID))
	original := g.CashOuts()[0].EndToEndID
	require.NoError(t, g.ReturnCashOutPart(payment.TransactionID, pix.Centavos(1)))
	for _, id := range []string{first, charge.TransactionID, charge.InternalCode, g.CashIns()[0].EndToEndID, g.CashIns()[0].OriginalEndToEndID} {
		found, err := g.CashIn(id)
		require.NoError(t, err)
		assert.Equal(t, g.CashIns()[0], found)
	}
	for _, id := range []string{original, payment.TransactionID, payment.InternalCode, g.CashOuts()[0].EndToEndID} {
		found, err := g.CashOut(id)
		require.NoError(t, err)
		assert.Equal(t, g.CashOuts()[0], found)
	}
	_, err := g.CashIn(payment.TransactionID)
	assert.ErrorIs(t, err, sandbox.ErrNotFound)
	_, err = g.CashOut(charge.TransactionID)
	assert.ErrorIs(t, err, sandbox.ErrNotFound)
}

func TestHeldWebhooksGoOutInReverseOrder(t *testing.T) {
	receiver := newReceiver(t)
	g := start(t, sandbox.WithSeed(1))
	require.NoError(t, g.FailEvery("CASHIN_PAID", 1, sandbox.HoldWebhook))
	for _, reference := range []string{"one", "two", "three"} {
		require.NoError(t, g.PayCashIn(g.newCashIn(reference, receiver.URL).TransactionID))
	}
	assert.Equal(t, 3, g.ReleaseWebhooksInReverse())
	g.waitWebhooks()
	for i, reference := range []string{"three", "two", "one"} {
		assert.Contains(t, string(receiver.all()[i].body), `"externalReference":"`+reference+`"`)
	}
}
