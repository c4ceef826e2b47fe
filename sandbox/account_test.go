package sandbox_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestTheBalancesAddUp(t *testing.T) {
	// One in the morning in UTC is still the day before in Brazil.
	g := start(t, sandbox.WithTime(time.Date(2026, 3, 11, 1, 0, 0, 0, time.UTC)))
	g.newCashOut("withdrawal-1", "")
	var balance connectpsp.Balance
	g.get("/account/balance?date=2026-03-10").into(200, &balance)
	assert.Equal(t, "BRL", balance.Currency)
	assert.Equal(t, "2026-03-10", balance.ReferenceDate)
	assert.Equal(t, pix.Centavos(1_499_950_00), balance.Consolidated.TotalBalance)
	assert.Equal(t, pix.Centavos(499_950_00), balance.Consolidated.TransactionalBalance)
	assert.Equal(t, pix.Centavos(1_000_000_00), balance.Consolidated.ProprietaryBalance)
	require.Len(t, balance.Banks, 1)
	assert.Equal(t, balance.Consolidated.TransactionalBalance, balance.Banks[0].Accounts.Transactional.Balance)
	assert.Equal(t, balance.Consolidated.ProprietaryBalance, balance.Banks[0].Accounts.Proprietary.Balance)
	assert.WithinDuration(t, g.Now(), balance.UpdatedAt.Time, 10*time.Second)
}

func TestAnInvalidDateIsRefused(t *testing.T) {
	startUnchecked(t).get("/account/balance?date=yesterday").problem(400, "INVALID_REQUEST")
}

func TestRebalancingSetsATargetWithinTheTotal(t *testing.T) {
	g := start(t, sandbox.WithBalance(pix.Centavos(100_00), pix.Centavos(50_00)))
	for _, step := range []struct{ target, transactional, proprietary string }{
		{"120.00", "120.00", "30.00"},
		{"120.00", "120.00", "30.00"},
		{"0", "0.00", "150.00"},
		{"150", "150.00", "0.00"},
		{"20.5", "20.50", "129.50"},
	} {
		var done connectpsp.Rebalance
		g.post("/account/rebalance", `{"targetAmount":`+step.target+`}`).into(200, &done)
		assert.True(t, done.Success)
		transactional, proprietary := g.balances()
		assert.Equal(t, step.transactional, transactional)
		assert.Equal(t, step.proprietary, proprietary)
	}
	g.post("/account/rebalance", `{"targetAmount":150.01}`).problem(422, "INSUFFICIENT_FUNDS")
	assert.Equal(t, "20.50", g.transactional())
}
