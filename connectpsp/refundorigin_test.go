package connectpsp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestTheJournalTellsARefundOfYoursFromAnUnrequestedReturn(t *testing.T) {
	refundBy := func(id func(*connectpsp.CashIn) string) func(*testing.T, *sandbox.Sandbox, *connectpsp.Client, *connectpsp.CashIn) {
		return func(t *testing.T, box *sandbox.Sandbox, client *connectpsp.Client, charge *connectpsp.CashIn) {
			_, err := client.RefundCashIn(t.Context(), id(charge), connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
			require.NoError(t, err)
			require.NoError(t, box.SettleRefund(charge.TransactionID))
		}
	}
	takeBack := func(t *testing.T, box *sandbox.Sandbox, _ *connectpsp.Client, charge *connectpsp.CashIn) {
		require.NoError(t, box.ReturnCashIn(charge.TransactionID))
	}
	for name, c := range map[string]struct {
		returns func(*testing.T, *sandbox.Sandbox, *connectpsp.Client, *connectpsp.CashIn)
		alter   func(*connectpsp.CashIn) // the charge that was read
		lost    bool                     // the journal
		want    connectpsp.RefundOrigin
	}{
		"a refund by transaction id": {returns: refundBy(func(c *connectpsp.CashIn) string { return c.TransactionID }), want: connectpsp.RefundRequested},
		"a refund by internal code":  {returns: refundBy(func(c *connectpsp.CashIn) string { return c.InternalCode }), want: connectpsp.RefundRequested},
		"a refund by end-to-end id":  {returns: refundBy(func(c *connectpsp.CashIn) string { return c.EndToEndID }), want: connectpsp.RefundRequested},
		"a refund whose outcome is unknown": {returns: func(t *testing.T, box *sandbox.Sandbox, client *connectpsp.Client, charge *connectpsp.CashIn) {
			require.NoError(t, box.FailNext("refundCashIn", sandbox.LoseAnswer, sandbox.LoseAnswer, sandbox.LoseAnswer, sandbox.LoseAnswer))
			_, err := client.RefundCashIn(t.Context(), charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
			require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
			require.NoError(t, box.SettleRefund(charge.TransactionID))
		}, want: connectpsp.RefundRequested},
		"a refund that was rejected, and a return": {returns: func(t *testing.T, box *sandbox.Sandbox, client *connectpsp.Client, charge *connectpsp.CashIn) {
			require.NoError(t, box.RefuseNext("refundCashIn", 422, "INSUFFICIENT_FUNDS"))
			_, err := client.RefundCashIn(t.Context(), charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
			require.ErrorIs(t, err, connectpsp.CodeInsufficientFunds)
			takeBack(t, box, client, charge)
		}, want: connectpsp.RefundUnrequested},
		"a return": {returns: takeBack, want: connectpsp.RefundUnrequested},
		"a return in part": {returns: func(t *testing.T, box *sandbox.Sandbox, _ *connectpsp.Client, charge *connectpsp.CashIn) {
			require.NoError(t, box.ReturnCashInPart(charge.TransactionID, pix.Centavos(300)))
		}, want: connectpsp.RefundUnrequested},
		"a return, and the journal is lost":   {returns: takeBack, lost: true, want: connectpsp.RefundUnclear},
		"a return without the reference":      {returns: takeBack, alter: func(c *connectpsp.CashIn) { c.ExternalReference = "" }, want: connectpsp.RefundUnclear},
		"a return without the internal code":  {returns: takeBack, alter: func(c *connectpsp.CashIn) { c.InternalCode = "" }, want: connectpsp.RefundUnclear},
		"a return without the payment's id":   {returns: takeBack, alter: func(c *connectpsp.CashIn) { c.OriginalEndToEndID = "" }, want: connectpsp.RefundUnclear},
		"a return of another charge by a mix": {returns: takeBack, alter: func(c *connectpsp.CashIn) { c.TransactionID = "another" }, want: connectpsp.RefundUnclear},
	} {
		t.Run(name, func(t *testing.T) {
			box, client := checkedSandbox(t)
			charge, err := client.CreateCashIn(t.Context(), cashInRequest())
			require.NoError(t, err)
			require.NoError(t, box.PayCashIn(charge.TransactionID))
			charge, err = client.GetCashIn(t.Context(), charge.TransactionID)
			require.NoError(t, err)
			c.returns(t, box, client, charge)
			if c.lost {
				client, err = connectpsp.New(box.Config())
				require.NoError(t, err)
			}
			returned, err := client.GetCashIn(t.Context(), charge.TransactionID)
			require.NoError(t, err)
			if c.alter != nil {
				c.alter(returned)
			}
			origin, err := client.RefundOrigin(t.Context(), returned)
			require.NoError(t, err)
			assert.Equal(t, c.want, origin)
		})
	}
}

func TestWithoutAnAnswerOfTheJournalTheOriginOfAReturnIsUnclear(t *testing.T) {
	_, client := checkedSandbox(t)
	origin, err := client.RefundOrigin(t.Context(), nil)
	assert.NoError(t, err)
	assert.Equal(t, connectpsp.RefundUnclear, origin)

	broken := newGateway(t).memoryClient(connectpsp.WithJournal(hangingFind{newNotebook()}))
	ctx, cancel := timeout(t, 0)
	defer cancel()
	origin, err = broken.RefundOrigin(ctx, &connectpsp.CashIn{TransactionID: cashInID})
	assert.Error(t, err)
	assert.Equal(t, connectpsp.RefundUnclear, origin)
}
