package connectpsp_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func TestReconcileIgnoresNil(t *testing.T) {
	client := newGateway(t).memoryClient()
	assert.NotPanics(t, func() { assert.NoError(t, client.ReconcileCashOut(t.Context(), nil)) })
}

func TestAReadRecordsNoInvalidTransactionID(t *testing.T) {
	gateway := newGateway(t, redirect(303, "/"),
		replyJSON(200, `{"transactionId":"Maria Silva 12345678909","internalCode":"CODE1","externalReference":"withdrawal-42","status":"COMPLETED","amount":50.00}`))
	client := gateway.memoryClient()
	_, _ = client.CreateCashOut(t.Context(), cashOutRequest())
	_, err := client.GetCashOut(t.Context(), "CODE1")
	require.NoError(t, err)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(-1))
	assert.NotContains(t, err.Error(), "Maria")
}

func TestAReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newGateway(t, replyJSON(200, cashInWithStatus("REFUNDED"))).memoryClient(connectpsp.WithJournal(hangingFind{newNotebook()}))
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		begun := time.Now()
		_, err := client.GetCashIn(ctx, cashInID)
		assert.NoError(t, err, "it was read, and the journal is found open again")
		assert.LessOrEqual(t, time.Since(begun), 2*time.Second)
	})
}

func TestAFinalStatusEndsTheOpenPaymentInTheJournal(t *testing.T) {
	charge := func(status string) string {
		return `{"transactionId":"` + cashInID + `","internalCode":"` + chargeCode + `","externalReference":"order-1","endToEndId":"D1",` +
			`"originalEndToEndId":"` + chargeE2E + `","status":"` + status + `","amount":10.50}`
	}
	payment := func(status string) string {
		return `{"transactionId":"` + cashOutID + `","externalReference":"withdrawal-42","status":"` + status + `","amount":50.00}`
	}
	for name, c := range map[string]struct {
		open func(*connectpsp.Client) error
		read func(*connectpsp.Client) error
		says string
		ends bool
	}{
		"a payment that completed": {openCashOut(t), readCashOut(t), payment("COMPLETED"), true},
		"a payment that failed":    {openCashOut(t), readCashOut(t), payment("FAILED"), true},
		"a payment under way":      {openCashOut(t), readCashOut(t), payment("PROCESSING"), false},
		"another amount":           {openCashOut(t), readCashOut(t), strings.Replace(payment("COMPLETED"), "50.00", "5.00", 1), false},
		"a charge that was paid": {
			func(c *connectpsp.Client) error { return second(c.CreateCashIn(t.Context(), cashInRequest())) },
			readCashIn(t), charge("PAID"), true,
		},
		"a charge that is awaited": {
			func(c *connectpsp.Client) error { return second(c.CreateCashIn(t.Context(), cashInRequest())) },
			readCashIn(t), charge("AWAITING_PAYMENT"), false,
		},
		"a refund by transaction id": {openRefund(t, cashInID), readCashIn(t), charge("REFUNDED"), true},
		"a refund by code":           {openRefund(t, chargeCode), readCashIn(t), charge("REFUNDED"), true},
		"a refund by end-to-end id":  {openRefund(t, chargeE2E), readCashIn(t), charge("REFUNDED"), true},
		"a refund that is not done":  {openRefund(t, cashInID), readCashIn(t), charge("PAID"), false},
	} {
		t.Run(name, func(t *testing.T) {
			book := newNotebook()
			gateway := newGateway(t, redirect(303, "/"), replyJSON(200, c.says))
			client := gateway.memoryClient(connectpsp.WithJournal(book))
			require.Equal(t, unknown, outcomeOf(c.open(client)))
			require.NoError(t, c.read(client))
			require.Equal(t, c.ends, len(book.open()) == 0)
			for _, intent := range book.intents {
				assert.Equal(t, c.ends, intent.Body == nil, "personal data of a payment that ended")
			}
		})
	}
}

func openCashOut(t *testing.T) func(*connectpsp.Client) error {
	return func(c *connectpsp.Client) error { return second(c.CreateCashOut(t.Context(), cashOutRequest())) }
}

func openRefund(t *testing.T, id string) func(*connectpsp.Client) error {
	return func(c *connectpsp.Client) error { return second(c.RefundCashIn(t.Context(), id, fraud)) }
}

func readCashOut(t *testing.T) func(*connectpsp.Client) error {
	return func(c *connectpsp.Client) error { return second(c.GetCashOut(t.Context(), cashOutID)) }
}

func readCashIn(t *testing.T) func(*connectpsp.Client) error {
	return func(c *connectpsp.Client) error { return second(c.GetCashIn(t.Context(), cashInID)) }
}
