package sandbox_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestAnAcceptedPaymentIsProcessingAndDebited(t *testing.T) {
	g := start(t)
	payment := g.newCashOut("withdrawal-1", "")
	assert.NoError(t, uuid.Validate(payment.TransactionID))
	assert.Len(t, payment.InternalCode, 7)
	assert.Equal(t, "withdrawal-1", payment.ExternalReference)
	assert.Equal(t, connectpsp.CashOutProcessing, payment.Status)
	assert.Equal(t, pix.Centavos(5000), payment.Amount)
	assert.Equal(t, "Withdrawal", payment.Description)
	assert.Equal(t, connectpsp.Destination{Type: "PIX", PIXKeyType: "EMAIL", PIXKey: "maria@example.com"}, payment.Payee.Destination)
	assert.False(t, payment.RequestedAt.IsZero())
	assert.Empty(t, payment.EndToEndID)
	assert.Equal(t, payment, g.cashOut(payment.InternalCode))
	assert.Equal(t, "499950.00", g.transactional())
}

func TestAPaymentMayGoToABankAccount(t *testing.T) {
	g := start(t)
	var payment connectpsp.CashOut
	g.post("/cash-out", `{"amount":0.01,"externalReference":"withdrawal-1","payee":{"name":"ACME","document":"00000000000191",
		"destination":{"type":"BANK_ACCOUNT",
			"bankAccount":{"ispb":"18236120","branch":"0001","account":"947710840","accountType":"PAYMENT"}}}}`).into(202, &payment)
	require.NotNil(t, payment.Payee.Destination.BankAccount)
	assert.Equal(t, connectpsp.BankAccount{ISPB: "18236120", Branch: "0001", Account: "947710840", AccountType: "PAYMENT"},
		*payment.Payee.Destination.BankAccount)
}

func TestACompletedPaymentMayBeReturned(t *testing.T) {
	g := start(t)
	payment := g.newCashOut("withdrawal-1", "")
	require.NoError(t, g.CompleteCashOut(payment.TransactionID))
	completed := g.cashOut(payment.TransactionID)
	assert.Equal(t, connectpsp.CashOutCompleted, completed.Status)
	assert.Regexp(t, "^E", completed.EndToEndID)
	assert.False(t, completed.CompletedAt.IsZero())
	assert.Equal(t, "499950.00", g.transactional())

	require.NoError(t, g.ReturnCashOut(completed.EndToEndID))
	returned := g.cashOut(payment.TransactionID)
	assert.Equal(t, connectpsp.CashOutRefunded, returned.Status)
	assert.Regexp(t, "^D", returned.EndToEndID)
	assert.Equal(t, completed.EndToEndID, returned.OriginalEndToEndID)
	assert.False(t, returned.RefundedAt.IsZero())
	assert.Equal(t, "500000.00", g.transactional())
	for _, id := range []string{returned.EndToEndID, returned.OriginalEndToEndID, returned.InternalCode} {
		assert.Equal(t, returned, g.cashOut(id))
	}
}

func TestAFailedPaymentSaysWhyAndGivesTheMoneyBack(t *testing.T) {
	g := start(t)
	payment := g.newCashOut("withdrawal-1", "")
	require.NoError(t, g.FailCashOut(payment.TransactionID, "PIX_KEY_NOT_FOUND", "No such key."))
	failed := g.cashOut(payment.TransactionID)
	assert.Equal(t, connectpsp.CashOutFailed, failed.Status)
	assert.Equal(t, &connectpsp.Failure{Code: connectpsp.FailurePIXKeyNotFound, Message: "No such key."}, failed.Failure)
	assert.Empty(t, failed.EndToEndID)
	assert.False(t, failed.FailedAt.IsZero())
	assert.Equal(t, "500000.00", g.transactional())
}

func TestACancelledPaymentGivesTheMoneyBack(t *testing.T) {
	g := start(t)
	payment := g.newCashOut("withdrawal-1", "")
	require.NoError(t, g.CancelCashOut(payment.TransactionID))
	cancelled := g.cashOut(payment.TransactionID)
	assert.Equal(t, connectpsp.CashOutCancelled, cancelled.Status)
	assert.False(t, cancelled.CancelledAt.IsZero())
	assert.Equal(t, "500000.00", g.transactional())
}

func TestAPaymentMovesOnlyFromItsPreviousStatus(t *testing.T) {
	g := start(t)
	fail := func(id string) error { return g.FailCashOut(id, "CODE", "message") }
	prepare := map[connectpsp.CashOutStatus][]func(string) error{
		connectpsp.CashOutProcessing: nil,
		connectpsp.CashOutCompleted:  {g.CompleteCashOut},
		connectpsp.CashOutFailed:     {fail},
		connectpsp.CashOutCancelled:  {g.CancelCashOut},
		connectpsp.CashOutRefunded:   {g.CompleteCashOut, g.ReturnCashOut},
	}
	for status, steps := range prepare {
		id := g.newCashOut("withdrawal-"+string(status), "").TransactionID
		for _, step := range steps {
			require.NoError(t, step(id))
		}
		before := g.cashOut(id)
		require.Equal(t, status, before.Status)
		if status != connectpsp.CashOutCompleted {
			assert.ErrorIs(t, g.ReturnCashOut(id), sandbox.ErrTransition)
		}
		if status != connectpsp.CashOutProcessing {
			assert.ErrorIs(t, g.CompleteCashOut(id), sandbox.ErrTransition)
			assert.ErrorIs(t, g.CancelCashOut(id), sandbox.ErrTransition)
			assert.ErrorIs(t, fail(id), sandbox.ErrTransition)
		}
		assert.Equal(t, before, g.cashOut(id))
	}
	for _, move := range []func(string) error{g.CompleteCashOut, g.CancelCashOut, g.ReturnCashOut, fail} {
		assert.ErrorIs(t, move("nothing"), sandbox.ErrNotFound)
	}
	g.get("/cash-out/nothing").problem(404, "TRANSACTION_NOT_FOUND")
	g.get("/cash-out/"+g.newCashIn("order-1", "").TransactionID).problem(404, "TRANSACTION_NOT_FOUND")
}

func TestAReferenceIsUsedForOnePaymentEvenIfItFailed(t *testing.T) {
	g := start(t)
	payment := g.newCashOut("withdrawal-1", "")
	require.NoError(t, g.FailCashOut(payment.TransactionID, "CODE", "message"))
	g.post("/cash-out", cashOutBody("withdrawal-1", "50.00", "")).problem(409, "DUPLICATE_EXTERNAL_REFERENCE")
	assert.Equal(t, "500000.00", g.transactional())
}

func TestAPaymentAboveTheBalanceIsRefusedAndFreesItsReference(t *testing.T) {
	g := start(t, sandbox.WithBalance(pix.Centavos(100_00), pix.Centavos(0)))
	problem := g.post("/cash-out", cashOutBody("withdrawal-1", "100.01", "")).problem(422, "INSUFFICIENT_FUNDS")
	assert.Equal(t, "The requested amount of R$ 100.01 exceeds the available balance of R$ 100.00.", problem.Detail)
	assert.Equal(t, "100.00", g.transactional())
	g.post("/cash-out", cashOutBody("withdrawal-1", "100.00", "")).into(202, &connectpsp.CashOut{})
	assert.Equal(t, "0.00", g.transactional())
}
