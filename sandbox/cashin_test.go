package sandbox_test

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestANewChargeCanBePaidByItsQRCode(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")

	assert.Regexp(t, regexp.MustCompile(`^[a-z0-9]{35}$`), charge.TransactionID)
	assert.Regexp(t, regexp.MustCompile(`^[A-Z0-9]{7}$`), charge.InternalCode)
	assert.Equal(t, "order-1", charge.ExternalReference)
	assert.Equal(t, connectpsp.CashInAwaitingPayment, charge.Status)
	assert.Equal(t, pix.Centavos(1050), charge.Amount)
	assert.Equal(t, connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"}, charge.Payer)
	_, offset := charge.RequestedAt.Zone()
	assert.Equal(t, -3*60*60, offset)
	assert.WithinDuration(t, g.Now(), charge.RequestedAt.Time, 10*time.Second)

	require.NotNil(t, charge.PIXData)
	code, err := pix.ParseBRCode(charge.PIXData.CopyAndPaste)
	require.NoError(t, err)
	assert.Equal(t, charge.Amount, code.Amount)
	assert.Contains(t, code.URL, charge.TransactionID)
	assert.True(t, code.SingleUse)
	image, err := base64.StdEncoding.DecodeString(charge.PIXData.QRCodeImageBase64)
	require.NoError(t, err)
	_, err = png.Decode(bytes.NewReader(image))
	require.NoError(t, err)

	read := g.cashIn(charge.TransactionID)
	assert.Nil(t, read.PIXData, "getCashIn does not repeat it")
	charge.PIXData = nil
	assert.Equal(t, charge, read)
}

func TestOpenFinanceReturnsAURLInPlaceOfAQRCode(t *testing.T) {
	g := start(t)
	var charge connectpsp.CashIn
	g.post("/cash-in", `{"amount":1,"externalReference":"order-1","openFinance":{"redirectUrl":"https://shop.example/back"},
		"payer":{"name":"Maria Silva","document":"12345678909"}}`).into(201, &charge)
	assert.Nil(t, charge.PIXData)
	assert.Contains(t, charge.PaymentURL, charge.TransactionID)
	require.NoError(t, g.PayCashIn(charge.TransactionID))
}

func TestAPaymentSettlesTheChargeAndTheBalance(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	require.NoError(t, g.PayCashIn(charge.TransactionID))

	paid := g.cashIn(charge.TransactionID)
	assert.Equal(t, connectpsp.CashInPaid, paid.Status)
	id, err := pix.ParseEndToEndID(paid.EndToEndID)
	require.NoError(t, err)
	assert.False(t, id.IsReturn())
	assert.WithinDuration(t, g.Now(), id.Time(), 2*time.Minute)
	assert.Empty(t, paid.OriginalEndToEndID)
	assert.False(t, paid.PaidAt.IsZero())
	require.NotNil(t, paid.Payer.BankData)
	assert.Len(t, paid.Payer.BankData.ISPB, 8)
	assert.Equal(t, "500010.50", g.transactional())

	for _, id := range []string{charge.InternalCode, paid.EndToEndID} {
		assert.Equal(t, paid, g.cashIn(id), "by each of its ids")
	}
}

func TestAChargeExpiresAtItsTime(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	g.Advance(29 * time.Minute)
	assert.Equal(t, connectpsp.CashInAwaitingPayment, g.cashIn(charge.TransactionID).Status)
	g.Advance(time.Minute)
	expired := g.cashIn(charge.TransactionID)
	assert.Equal(t, connectpsp.CashInExpired, expired.Status)
	assert.WithinDuration(t, charge.RequestedAt.Add(30*time.Minute), expired.ExpiredAt.Time, time.Second)
	assert.ErrorIs(t, g.PayCashIn(charge.TransactionID), sandbox.ErrTransition)
}

func TestAChargeWithoutExpiryExpiresAfterADay(t *testing.T) {
	g := start(t)
	var charge connectpsp.CashIn
	g.post("/cash-in", `{"amount":1,"externalReference":"order-1","payer":{"name":"Maria Silva","document":"12345678909"}}`).
		into(201, &charge)
	g.Advance(24*time.Hour - time.Minute)
	g.token = g.newToken()
	assert.Equal(t, connectpsp.CashInAwaitingPayment, g.cashIn(charge.TransactionID).Status)
	g.Advance(time.Minute)
	assert.Equal(t, connectpsp.CashInExpired, g.cashIn(charge.TransactionID).Status)
}

func TestOnlyAnOpenChargeIsPaidExpiredOrCancelled(t *testing.T) {
	moves := func(g *gateway) map[connectpsp.CashInStatus]func(string) error {
		return map[connectpsp.CashInStatus]func(string) error{
			connectpsp.CashInPaid:      g.PayCashIn,
			connectpsp.CashInExpired:   g.ExpireCashIn,
			connectpsp.CashInCancelled: g.CancelCashIn,
		}
	}
	g := start(t)
	for status, move := range moves(g) {
		charge := g.newCashIn("order-"+string(status), "")
		require.NoError(t, move(charge.TransactionID))
		moved := g.cashIn(charge.TransactionID)
		assert.Equal(t, status, moved.Status)
		for _, again := range moves(g) {
			assert.ErrorIs(t, again(charge.TransactionID), sandbox.ErrTransition)
		}
		assert.Equal(t, moved, g.cashIn(charge.TransactionID))
	}
	for _, move := range moves(g) {
		assert.ErrorIs(t, move("nothing"), sandbox.ErrNotFound)
	}
	g.get("/cash-in/nothing").problem(404, "TRANSACTION_NOT_FOUND")
}

func TestAReferenceIsUsedForOneCharge(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	g.post("/cash-in", cashInBody("order-1", "")).problem(409, "DUPLICATE_EXTERNAL_REFERENCE")
	require.NoError(t, g.CancelCashIn(charge.TransactionID))
	g.post("/cash-in", cashInBody("order-1", "")).problem(409, "DUPLICATE_EXTERNAL_REFERENCE")
	g.newCashOut("order-1", "")
}

func TestARefundIsSettledLater(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	paid := g.cashIn(charge.TransactionID)

	refund := g.refund(charge.TransactionID)
	assert.Equal(t, charge.TransactionID, refund.TransactionID)
	assert.Equal(t, charge.InternalCode, refund.InternalCode)
	assert.Equal(t, "order-1", refund.ExternalReference)
	assert.Equal(t, paid.EndToEndID, refund.OriginalEndToEndID)
	id, err := pix.ParseEndToEndID(refund.EndToEndID)
	require.NoError(t, err)
	assert.True(t, id.IsReturn())
	assert.Equal(t, "500000.00", g.transactional(), "taken at once")
	assert.Equal(t, paid, g.cashIn(refund.EndToEndID), "still paid")

	require.NoError(t, g.SettleRefund(refund.EndToEndID))
	refunded := g.cashIn(charge.TransactionID)
	assert.Equal(t, connectpsp.CashInRefunded, refunded.Status)
	assert.Equal(t, refund.EndToEndID, refunded.EndToEndID)
	assert.Equal(t, paid.EndToEndID, refunded.OriginalEndToEndID)
	assert.False(t, refunded.RefundedAt.IsZero())
	assert.Equal(t, "500000.00", g.transactional())
	assert.ErrorIs(t, g.SettleRefund(charge.TransactionID), sandbox.ErrTransition)
}

func TestARefusedRefundNamesTheReason(t *testing.T) {
	g := start(t)
	refund := func(id string) reply { return g.post("/cash-in/"+id+"/refund", `{"reason":"FRAUD"}`) }

	refund("nothing").problem(404, "TRANSACTION_NOT_FOUND")
	open := g.newCashIn("open", "").TransactionID
	refund(open).problem(422, "CASH_IN_NOT_PAID")
	assert.ErrorIs(t, g.SettleRefund(open), sandbox.ErrTransition)
	assert.ErrorIs(t, g.SettleRefund("nothing"), sandbox.ErrNotFound)

	expired := g.newCashIn("expired", "").TransactionID
	require.NoError(t, g.ExpireCashIn(expired))
	refund(expired).problem(422, "CASH_IN_EXPIRED")

	cancelled := g.newCashIn("cancelled", "").TransactionID
	require.NoError(t, g.CancelCashIn(cancelled))
	refund(cancelled).problem(422, "CASH_IN_CANCELLED")

	paid := g.newCashIn("paid", "").TransactionID
	require.NoError(t, g.PayCashIn(paid))
	assert.ErrorIs(t, g.SettleRefund(paid), sandbox.ErrTransition, "none was accepted")
	g.refund(paid)
	refund(paid).problem(422, "CASH_IN_ALREADY_REFUNDED")
	require.NoError(t, g.SettleRefund(paid))
	refund(paid).problem(422, "CASH_IN_ALREADY_REFUNDED")

	poor := g.newCashIn("poor", "").TransactionID
	require.NoError(t, g.PayCashIn(poor))
	g.post("/account/rebalance", `{"targetAmount":10.49}`)
	refund(poor).problem(422, "INSUFFICIENT_FUNDS")
	assert.Equal(t, "10.49", g.transactional())
}
