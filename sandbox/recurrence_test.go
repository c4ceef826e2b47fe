package sandbox_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// statuses returns those of so many reads of the balance.
func (g *gateway) statuses(n int) (statuses []int) {
	g.t.Helper()
	for range n {
		statuses = append(statuses, g.get("/account/balance").status)
	}
	return statuses
}

func TestEveryNthRequestFailsUntilTheFaultsAreCleared(t *testing.T) {
	g := start(t)
	require.NoError(t, g.FailEvery("getBalance", 3, sandbox.Status(502)))
	assert.Equal(t, []int{200, 200, 502, 200, 200, 502, 200}, g.statuses(7))
	require.NoError(t, g.FailEvery("getBalance", 1, sandbox.Status(503)))
	assert.Equal(t, []int{503, 502, 503}, g.statuses(3), "of two faults the first one that was set")
	require.NoError(t, g.FailNext("getBalance", sandbox.Status(504), 0))
	require.NoError(t, g.RefuseNext("getBalance", 422, "LIMIT_EXCEEDED"))
	assert.Equal(t, []int{504, 200, 422, 503}, g.statuses(4), "faults of FailNext come first, and count")
	require.NoError(t, g.FailNext("getBalance", sandbox.Status(504)))
	g.ClearFaults()
	assert.Equal(t, []int{200, 200, 200}, g.statuses(3))
}

func TestEveryNthWebhookFails(t *testing.T) {
	receiver := newReceiver(t)
	g := start(t)
	require.NoError(t, g.FailEvery("CASHIN_PAID", 2, sandbox.LoseWebhook))
	for _, reference := range []string{"one", "two", "three", "four"} {
		require.NoError(t, g.PayCashIn(g.newCashIn(reference, receiver.URL).TransactionID))
	}
	g.waitWebhooks()
	assert.Len(t, receiver.all(), 2)
}

func TestASeedDecidesWhichRequestsFailWithAProbability(t *testing.T) {
	draw := func(seed uint64, interrupted bool) []int {
		g := start(t, sandbox.WithSeed(seed))
		require.NoError(t, g.FailWithProbability("getBalance", 0.25, sandbox.Status(502)))
		first := g.statuses(100)
		if interrupted {
			taken, err := g.Snapshot()
			require.NoError(t, err)
			g = start(t, sandbox.WithSeed(seed))
			require.NoError(t, g.Restore(taken))
			g.token = g.newToken()
		}
		return append(first, g.statuses(100)...)
	}
	first := draw(1, false)
	assert.Equal(t, first, draw(1, true), "a snapshot goes on with the same draws")
	assert.NotEqual(t, first, draw(2, false))
	failed := len(slices.DeleteFunc(first, func(status int) bool { return status != 502 }))
	assert.InDelta(t, 50, failed, 20, "about a quarter")

	g := start(t)
	require.NoError(t, g.FailWithProbability("getBalance", 1, sandbox.Status(502)))
	assert.Equal(t, slices.Repeat([]int{502}, 20), g.statuses(20))
}

func TestARecurringFaultThatDoesNotApplyIsRefused(t *testing.T) {
	g := start(t)
	for _, n := range []int{0, -1} {
		assert.ErrorIs(t, g.FailEvery("getBalance", n, sandbox.Hang), sandbox.ErrInvalid)
	}
	for _, probability := range []float64{0, -0.1, 1.1, math.NaN(), math.Inf(1)} {
		assert.ErrorIs(t, g.FailWithProbability("getBalance", probability, sandbox.Hang), sandbox.ErrInvalid)
	}
	for operation, fault := range map[string]sandbox.Fault{
		"getNothing": sandbox.Hang, "getBalance": sandbox.LoseWebhook, "CASHIN_PAID": sandbox.Hang, "createCashIn": 0,
	} {
		assert.ErrorIs(t, g.FailEvery(operation, 1, fault), sandbox.ErrInvalid)
		assert.ErrorIs(t, g.FailWithProbability(operation, 1, fault), sandbox.ErrInvalid)
	}
	g.transactional()
}

func TestTheBalancesCanBeSet(t *testing.T) {
	g := start(t)
	require.NoError(t, g.SetBalances(pix.Centavos(49_99), pix.Centavos(0)))
	g.post("/cash-out", cashOutBody("withdrawal-1", "50.00", "")).problem(422, "INSUFFICIENT_FUNDS")
	for _, wrong := range []pix.Amount{pix.Centavos(-1), pix.Centavos(1_000_000_000_000)} {
		assert.ErrorIs(t, g.SetBalances(wrong, pix.Centavos(1)), sandbox.ErrInvalid)
		assert.ErrorIs(t, g.SetBalances(pix.Centavos(1), wrong), sandbox.ErrInvalid)
	}
	transactional, proprietary := g.balances()
	assert.Equal(t, []string{"49.99", "0.00"}, []string{transactional, proprietary})
}
