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

func TestAPaymentWithoutParticularsIsThatOfTheCharge(t *testing.T) {
	g := start(t, sandbox.WithTime(noon))
	one, other := g.newCashIn("order-1", ""), g.newCashIn("order-2", "")
	require.NoError(t, g.PayCashIn(one.TransactionID))
	require.NoError(t, g.PayCashInWith(other.TransactionID, sandbox.Payment{}))
	first, second := g.cashIn(one.TransactionID), g.cashIn(other.TransactionID)
	assert.Equal(t, first.Payer, second.Payer)
	assert.Equal(t, first.Amount, second.Amount)
	assert.Equal(t, first.Status, second.Status)
}

func TestAnInvalidPaymentIsRefused(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	for name, payment := range map[string]sandbox.Payment{
		"document":           {Payer: connectpsp.Payer{Document: "12345678900"}},
		"document with dots": {Payer: connectpsp.Payer{Document: "123.456.789-09"}},
		"no ISPB":            {Payer: connectpsp.Payer{BankData: &connectpsp.BankData{}}},
		"ISPB":               {Payer: connectpsp.Payer{BankData: &connectpsp.BankData{ISPB: "1234567x"}}},
		"negative amount":    {Amount: pix.Centavos(-1)},
		"amount too large":   {Amount: pix.Centavos(1_000_000_000_000)},
	} {
		assert.ErrorIs(t, g.PayCashInWith(charge.TransactionID, payment), sandbox.ErrInvalid, name)
	}
	assert.ErrorIs(t, g.PayCashInWith("nothing", sandbox.Payment{}), sandbox.ErrNotFound)
	assert.Equal(t, connectpsp.CashInAwaitingPayment, g.cashIn(charge.TransactionID).Status)
	assert.Equal(t, "500000.00", g.transactional())
}

func TestAChargeIsPaidTooLate(t *testing.T) {
	g := start(t, sandbox.WithTime(noon))
	charge := g.newCashIn("order-1", "")
	require.NoError(t, g.Advance(40*time.Minute))
	require.NoError(t, g.PayCashInWith(charge.TransactionID, sandbox.Payment{}))
	paid := g.cashIn(charge.TransactionID)
	assert.Equal(t, connectpsp.CashInPaid, paid.Status)
	assert.Equal(t, noon.Add(30*time.Minute), paid.ExpiredAt.UTC())
	assert.Equal(t, noon.Add(40*time.Minute), paid.PaidAt.UTC())
	assert.Equal(t, "500010.50", g.transactional())
}

func TestEachOfTwoPaymentsOfAChargeCanBeRead(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	first := g.cashIn(charge.TransactionID)
	require.NoError(t, g.PayCashInWith(charge.TransactionID, sandbox.Payment{Amount: pix.Centavos(100)}))
	second := g.cashIn(charge.TransactionID)
	assert.NotEqual(t, first.EndToEndID, second.EndToEndID)
	assert.Equal(t, pix.Centavos(100), second.Amount)
	assert.Equal(t, first, g.cashIn(first.EndToEndID))
	assert.Equal(t, second, g.cashIn(second.EndToEndID))
	assert.Equal(t, "500011.50", g.transactional())

	require.NoError(t, g.ReturnCashIn(charge.TransactionID))
	require.NoError(t, g.PayCashInWith(charge.TransactionID, sandbox.Payment{}))
	third := g.cashIn(charge.TransactionID)
	assert.Equal(t, charge.Amount, third.Amount)
	assert.Empty(t, third.OriginalEndToEndID)
	assert.True(t, third.RefundedAt.IsZero())
	assert.Equal(t, connectpsp.CashInRefunded, g.cashIn(second.EndToEndID).Status)
	assert.Equal(t, first, g.cashIn(first.EndToEndID))
	g.refund(charge.TransactionID)
	assert.ErrorIs(t, g.PayCashInWith(charge.TransactionID, sandbox.Payment{}), sandbox.ErrTransition, "a refund is on its way")
}
