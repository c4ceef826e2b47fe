package sandbox_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestEachPartOfAReturnHasAnIDAndAnAmountOfItsOwn(t *testing.T) {
	for name, test := range map[string]struct {
		make func(*gateway) (id string)
		part func(*gateway, string, pix.Amount) error
		rest func(*gateway, string) error
		read func(*gateway, string) (amount pix.Amount, id, original, status string)
		left string // the balance in the end
	}{
		"charge": {
			func(g *gateway) string {
				id := g.newCashIn("order-1", "").TransactionID
				require.NoError(t, g.PayCashIn(id))
				return id
			},
			func(g *gateway, id string, amount pix.Amount) error { return g.ReturnCashInPart(id, amount) },
			func(g *gateway, id string) error { return g.ReturnCashIn(id) },
			func(g *gateway, id string) (pix.Amount, string, string, string) {
				charge := g.cashIn(id)
				return charge.Amount, charge.EndToEndID, charge.OriginalEndToEndID, string(charge.Status)
			},
			"500000.00",
		},
		"payment": {
			func(g *gateway) string {
				id := g.newCashOut("withdrawal-1", "").TransactionID
				require.NoError(t, g.CompleteCashOut(id))
				return id
			},
			func(g *gateway, id string, amount pix.Amount) error { return g.ReturnCashOutPart(id, amount) },
			func(g *gateway, id string) error { return g.ReturnCashOut(id) },
			func(g *gateway, id string) (pix.Amount, string, string, string) {
				payment := g.cashOut(id)
				return payment.Amount, payment.EndToEndID, payment.OriginalEndToEndID, string(payment.Status)
			},
			"500000.00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t)
			id := test.make(g)
			whole, paid, _, _ := test.read(g, id)
			assert.ErrorIs(t, test.part(g, id, pix.Centavos(0)), sandbox.ErrInvalid)
			assert.ErrorIs(t, test.part(g, id, pix.Centavos(-1)), sandbox.ErrInvalid)
			assert.ErrorIs(t, test.part(g, id, pix.Centavos(whole.Centavos()+1)), sandbox.ErrInvalid)
			require.NoError(t, test.part(g, id, pix.Centavos(100)))
			require.NoError(t, test.part(g, id, pix.Centavos(200)))
			assert.ErrorIs(t, test.part(g, id, pix.Centavos(whole.Centavos()-299)), sandbox.ErrInvalid)
			_, second, _, _ := test.read(g, id)
			require.NoError(t, test.rest(g, id))
			assert.ErrorIs(t, test.rest(g, id), sandbox.ErrTransition)
			assert.ErrorIs(t, test.part(g, id, pix.Centavos(1)), sandbox.ErrTransition)
			assert.ErrorIs(t, test.part(g, "nothing", pix.Centavos(1)), sandbox.ErrNotFound)
			assert.ErrorIs(t, test.rest(g, "nothing"), sandbox.ErrNotFound)

			amount, last, original, status := test.read(g, id)
			assert.Equal(t, pix.Centavos(whole.Centavos()-300), amount)
			assert.Equal(t, paid, original)
			assert.Equal(t, "REFUNDED", status)
			amount, read, original, _ := test.read(g, second)
			assert.Equal(t, pix.Centavos(200), amount)
			assert.Equal(t, second, read)
			assert.Equal(t, paid, original)
			assert.NotEqual(t, second, last)
			assert.Equal(t, test.left, g.transactional())
		})
	}
}

func TestAChargeThatWasReturnedCannotBeRefunded(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	assert.ErrorIs(t, g.ReturnCashIn(charge.TransactionID), sandbox.ErrTransition, "it is not paid")
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	require.NoError(t, g.ReturnCashInPart(charge.TransactionID, pix.Centavos(1)))
	g.post("/cash-in/"+charge.TransactionID+"/refund", `{"reason":"FRAUD"}`).problem(422, "CASH_IN_ALREADY_REFUNDED")
	assert.ErrorIs(t, g.SettleRefund(charge.TransactionID), sandbox.ErrTransition)
}

func TestAReturnNeedsTheMoneyAndNoRefundOnItsWay(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	g.post("/account/rebalance", `{"targetAmount":10.49}`).into(200, &connectpsp.Rebalance{})
	assert.ErrorIs(t, g.ReturnCashIn(charge.TransactionID), sandbox.ErrTransition)
	assert.Equal(t, connectpsp.CashInPaid, g.cashIn(charge.TransactionID).Status)
	g.post("/account/rebalance", `{"targetAmount":10.50}`).into(200, &connectpsp.Rebalance{})
	g.refund(charge.TransactionID)
	assert.ErrorIs(t, g.ReturnCashIn(charge.TransactionID), sandbox.ErrTransition)
	assert.ErrorIs(t, g.ReturnCashInPart(charge.TransactionID, pix.Centavos(1)), sandbox.ErrTransition)
}

func TestAContradictionMovesTheMoneyToo(t *testing.T) {
	g := start(t, sandbox.WithBalance(pix.Centavos(60_00), pix.Centavos(0)))
	payment := g.newCashOut("withdrawal-1", "")
	assert.ErrorIs(t, g.ContradictCashOut(payment.TransactionID), sandbox.ErrTransition, "it is processing")
	assert.ErrorIs(t, g.ContradictCashOut("nothing"), sandbox.ErrNotFound)
	require.NoError(t, g.FailCashOut(payment.TransactionID, "PIX_KEY_NOT_FOUND", "No such key."))
	assert.Equal(t, "60.00", g.transactional())
	require.NoError(t, g.ContradictCashOut(payment.TransactionID))
	made := g.cashOut(payment.TransactionID)
	assert.Equal(t, connectpsp.CashOutCompleted, made.Status)
	assert.Nil(t, made.Failure)
	assert.Equal(t, "10.00", g.transactional())
	require.NoError(t, g.ContradictCashOut(payment.TransactionID))
	failed := g.cashOut(payment.TransactionID)
	assert.Equal(t, connectpsp.CashOutFailed, failed.Status)
	assert.Empty(t, failed.EndToEndID)
	assert.NotNil(t, failed.Failure)
	assert.Equal(t, "60.00", g.transactional())
	assert.ErrorIs(t, g.ReturnCashOut(payment.TransactionID), sandbox.ErrTransition)
	g.newCashOut("withdrawal-2", "")
	assert.ErrorIs(t, g.ContradictCashOut(payment.TransactionID), sandbox.ErrTransition, "the money is spent")
	assert.Equal(t, failed, g.cashOut(payment.TransactionID))
}
