package connectpsp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestMoneyMovesOnceThroughEveryFault(t *testing.T) {
	faults := map[string][]sandbox.Fault{
		"nothing":              {},
		"the request is lost":  {sandbox.LoseRequest},
		"the answer is lost":   {sandbox.LoseAnswer},
		"the answer is cut":    {sandbox.CutAnswer},
		"503":                  {sandbox.Unavailable},
		"503 though it did it": {sandbox.UnavailableAfterExecution},
		"everything, in turn":  {sandbox.LoseRequest, sandbox.UnavailableAfterExecution, sandbox.LoseAnswer},
	}
	for name, faults := range faults {
		t.Run(name, func(t *testing.T) {
			box, client := checkedSandbox(t)
			before := transactional(t, client).Centavos()

			box.FailNext("createCashIn", faults...)
			charge, err := client.CreateCashIn(t.Context(), cashInRequest())
			require.NoError(t, err)
			require.NoError(t, box.PayCashIn(charge.TransactionID))
			assert.Equal(t, before+1050, transactional(t, client).Centavos())

			box.FailNext("createCashOut", faults...)
			_, err = client.CreateCashOut(t.Context(), cashOutRequest())
			require.NoError(t, err)
			assert.Equal(t, before+1050-5000, transactional(t, client).Centavos())

			box.FailNext("refundCashIn", faults...)
			_, err = client.RefundCashIn(t.Context(), charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
			require.NoError(t, err)
			assert.Equal(t, before-5000, transactional(t, client).Centavos())

			box.FailNext("rebalanceAccount", faults...)
			_, err = client.RebalanceAccount(t.Context(), pix.Centavos(1_000_00))
			require.NoError(t, err)
			assert.Equal(t, int64(1_000_00), transactional(t, client).Centavos())

			box.FailNext("authToken", faults...)
			box.RevokeTokens()
			_, err = client.GetCashIn(t.Context(), charge.TransactionID)
			require.NoError(t, err)
		})
	}
}

func TestAProgramThatDiesAfterSendingPaysOnce(t *testing.T) {
	box, client := checkedSandbox(t)
	before := transactional(t, client).Centavos()
	box.FailNext("createCashOut", sandbox.LoseAnswer)
	once := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})
	_, err := must(connectpsp.New(box.Config(), once)).CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))

	payment, err := must(connectpsp.New(box.Config())).CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	assert.NotEmpty(t, payment.TransactionID)
	assert.Equal(t, before-5000, transactional(t, client).Centavos())
}

func TestAnotherPaymentUnderTheSameReferenceIsNeverRejected(t *testing.T) {
	box, client := checkedSandbox(t)
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	other := cashOutRequest()
	other.Amount = pix.Centavos(6000)
	_, err = client.CreateCashOut(t.Context(), other)
	assert.Equal(t, unknown, outcomeOf(err), "the key was used with another body, by this client")
	_, err = must(connectpsp.New(box.Config())).CreateCashOut(t.Context(), other)
	assert.Equal(t, conflict, outcomeOf(err), "and by another")
	_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(1))
	assert.Equal(t, unknown, outcomeOf(err), "the client remembers the payment under another key")
	_, err = must(connectpsp.New(box.Config())).CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(1))
	assert.Equal(t, conflict, outcomeOf(err), "the reference exists under another key")
}

func TestConcurrentCallsForOnePaymentPayOnce(t *testing.T) {
	box, client := checkedSandbox(t)
	before := transactional(t, client).Centavos()
	box.FailNext("createCashOut", sandbox.LoseAnswer, sandbox.LoseRequest, 0, sandbox.CutAnswer, sandbox.Unavailable)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			assert.Equal(t, accepted, outcomeOf(err), "%v", err)
		})
	}
	group.Wait()
	assert.Equal(t, before-5000, transactional(t, client).Centavos())
}

func TestEveryWebhookOfTheSandboxFollowsTheDescriptionAndParses(t *testing.T) {
	box, client := checkedSandbox(t)
	checker := contract.New(t)
	events := make(chan *webhook.Event, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		checker.Webhook(body)
		event, err := webhook.Parse(body, r.Header, box.Config().CryptoToken)
		if assert.NoError(t, err) {
			events <- event
		}
	}))
	defer receiver.Close()
	expect := func(kind webhook.EventType) *webhook.Event {
		ctx, cancel := timeout(t, time.Minute)
		defer cancel()
		require.NoError(t, box.WaitWebhooks(ctx))
		event := receive(t, events)
		assert.Equal(t, kind, event.Type)
		return event
	}
	charge, payment := cashInRequest(), cashOutRequest()
	charge.WebhookURL, payment.WebhookURL = receiver.URL, receiver.URL
	cashIn, err := client.CreateCashIn(t.Context(), charge)
	require.NoError(t, err)
	require.NoError(t, box.PayCashIn(cashIn.TransactionID))
	paid := expect(webhook.CashInPaid)
	read, err := client.GetCashIn(t.Context(), paid.CashIn.EndToEndID)
	require.NoError(t, err)
	assert.Equal(t, read, paid.CashIn, "an event holds the data of a GET")
	_, err = client.RefundCashIn(t.Context(), cashIn.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	require.NoError(t, err)
	require.NoError(t, box.SettleRefund(cashIn.TransactionID))
	expect(webhook.CashInRefunded)

	for i, end := range []struct {
		kind webhook.EventType
		make func(id string) error
	}{
		{webhook.CashOutCompleted, box.CompleteCashOut},
		{webhook.CashOutFailed, func(id string) error { return box.FailCashOut(id, "PIX_KEY_NOT_FOUND", "No such key.") }},
	} {
		payment.ExternalReference = string(rune('a' + i))
		cashOut, err := client.CreateCashOut(t.Context(), payment)
		require.NoError(t, err)
		require.NoError(t, end.make(cashOut.TransactionID))
		event := expect(end.kind)
		read, err := client.GetCashOut(t.Context(), cashOut.TransactionID)
		require.NoError(t, err)
		assert.Equal(t, read, event.CashOut)
		if end.kind == webhook.CashOutCompleted {
			require.NoError(t, box.ReturnCashOut(cashOut.TransactionID))
			expect(webhook.CashOutRefunded)
		}
	}
}
