package sandbox_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// Situations are made at random, one after the other, of a few transactions. Whatever their order:
// an error changes nothing, no centavo is lost, and every read and every webhook follows the
// description.
func TestSituationsInAnyOrderKeepTheBooksEqual(t *testing.T) {
	checker := contract.New(t)
	receiver := newReceiver(t)
	g := start(t, sandbox.WithTime(noon), sandbox.WithSeed(1), sandbox.WithTokenLifetime(1000*time.Hour))
	random := rand.New(rand.NewPCG(1, 2))
	balance := int64(500_000_00)
	last := make(map[string]int64) // of each transaction: what of its last payment has not come back
	refunds := make(map[string]bool)
	charges, payments := []string{"nothing"}, []string{"nothing"}
	one := func(ids []string) string { return ids[random.IntN(len(ids))] }
	snapshot := func() string {
		taken, err := g.Snapshot()
		require.NoError(t, err)
		return string(taken)
	}
	completed := func(id string) bool {
		for _, payment := range g.CashOuts().ByStatus(connectpsp.CashOutCompleted) {
			if payment.TransactionID == id {
				return true
			}
		}
		return false
	}

	errors := 0
	for step := range 600 {
		id, out := one(charges), one(payments)
		amount := pix.Centavos(random.Int64N(6_00))
		before, made := snapshot(), completed(out)
		var err error
		switch random.IntN(14) {
		case 0:
			charges = append(charges, g.newCashIn(fmt.Sprint("order-", step), receiver.URL).TransactionID)
		case 1:
			payments = append(payments, g.newCashOut(fmt.Sprint("withdrawal-", step), receiver.URL).TransactionID)
			balance -= 50_00
		case 2:
			if err = g.PayCashIn(id); err == nil {
				balance, last[id] = balance+10_50, 10_50
			}
		case 3:
			if err = g.PayCashInWith(id, sandbox.Payment{Amount: amount}); err == nil {
				if amount.IsZero() {
					amount = pix.Centavos(10_50)
				}
				balance, last[id] = balance+amount.Centavos(), amount.Centavos()
			}
		case 4:
			if err = g.ReturnCashIn(id); err == nil {
				balance, last[id] = balance-last[id], 0
			}
		case 5:
			if err = g.ReturnCashInPart(id, amount); err == nil {
				balance, last[id] = balance-amount.Centavos(), last[id]-amount.Centavos()
			}
		case 6:
			answer := g.post("/cash-in/"+id+"/refund", `{"reason":"FRAUD"}`)
			if answer.status == 202 {
				balance, refunds[id] = balance-last[id], true
			}
		case 7:
			if err = g.SettleRefund(id); err == nil {
				assert.True(t, refunds[id])
				last[id], refunds[id] = 0, false
			}
		case 8:
			if err = g.CompleteCashOut(out); err == nil {
				last[out] = 50_00
			}
		case 9:
			if err = g.FailCashOut(out, "PIX_KEY_NOT_FOUND", "No such key."); err == nil {
				balance += 50_00
			}
		case 10:
			if err = g.CancelCashOut(out); err == nil {
				balance += 50_00
			}
		case 11:
			if err = g.ReturnCashOut(out); err == nil {
				balance, last[out] = balance+last[out], 0
			}
		case 12:
			if err = g.ReturnCashOutPart(out, amount); err == nil {
				balance, last[out] = balance+amount.Centavos(), last[out]-amount.Centavos()
			}
		case 13:
			if err = g.ContradictCashOut(out); err == nil && made {
				balance, last[out] = balance+50_00, 0
			} else if err == nil {
				balance, last[out] = balance-50_00, 50_00
			}
		}
		if err != nil {
			errors++
			require.Equal(t, before, snapshot(), "%v", err)
		}
		g.waitWebhooks()
		require.GreaterOrEqual(t, last[id], int64(0))
		require.GreaterOrEqual(t, last[out], int64(0))
		require.Equal(t, pix.Centavos(balance).String(), g.transactional(), "step %d", step)
	}
	for _, charge := range g.CashIns() {
		for _, id := range []string{charge.TransactionID, charge.EndToEndID, charge.OriginalEndToEndID} {
			if id != "" {
				read := g.cashIn(id)
				assert.LessOrEqual(t, read.Amount.Centavos(), charge.Amount.Centavos(), "it may be that of a part")
				read.Amount = charge.Amount
				assert.Equal(t, charge, read)
			}
		}
	}
	for _, payment := range g.CashOuts() {
		assert.Equal(t, pix.Centavos(50_00), payment.Amount)
		read := g.cashOut(payment.TransactionID)
		read.Amount = payment.Amount
		assert.Equal(t, payment, read)
	}
	assert.Greater(t, errors, 100)
	assert.Greater(t, len(receiver.all()), 100)
	for _, webhook := range receiver.all() {
		checker.Webhook(webhook.body)
	}
}
