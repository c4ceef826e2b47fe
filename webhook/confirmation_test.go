package webhook_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestAPartialReturnIsConfirmed(t *testing.T) {
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.bank.set(charge(webhook.StatusPaid))
	r.receive(t, paid)
	whole := charge(webhook.StatusRefunded)
	part := whole
	part.amount = pix.Centavos(300)
	r.bank.set(whole)
	r.receive(t, part.event(webhook.CashInRefunded))
	assert.Equal(t, ">PAID, PAID>REFUNDED", r.books.String())
	assert.Empty(t, r.reasons())
}

func TestAForgedAmountDoesNotAvoidConfirmation(t *testing.T) {
	t.Run("return", func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(1000)))
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		forged := charge(webhook.StatusRefunded)
		forged.amount, forged.paymentID = pix.Centavos(1), ""
		r.receive(t, forged.event(webhook.CashInRefunded))
		r.bank.set(charge(webhook.StatusPaid))
		r.receive(t, paid)
		assert.Equal(t, ">PAID", r.books.String())
	})
	t.Run("failure", func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(1000)))
		r.bank.set(payment(webhook.StatusProcessing))
		forged := payment(webhook.StatusFailed)
		forged.amount = pix.Centavos(1)
		r.receive(t, forged.event(webhook.CashOutFailed))
		assert.Empty(t, r.books.String())
	})
}

func TestTheEndToEndIDOfAConfirmedPaymentIsKept(t *testing.T) {
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	truth := charge(webhook.StatusPaid)
	truth.paymentID = "" // the gateway leaves it out
	r.bank.set(truth)
	r.receive(t, paid, another(charge(webhook.StatusPaid)).event(webhook.CashInPaid))
	assert.Equal(t, ">PAID", r.books.String())
	assert.Len(t, r.reasons(), 1)
}

func TestAReturnIsNotBelievedUntilTheGatewayTellsItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		unnamed := charge(webhook.StatusRefunded)
		unnamed.returnID = ""
		r.bank.set(unnamed)
		r.receive(t, refunded)
		assert.Empty(t, r.books.String())
		assert.Empty(t, r.reasons(), "it is tried again")
		r.bank.set(charge(webhook.StatusRefunded))
		r.pass(t, 10*time.Minute)
		assert.Equal(t, ">REFUNDED missed", r.books.String())
		assert.Empty(t, r.reasons())
	})
}

func TestAForgedPaymentOfAnOpenChargeRaisesAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		r.receive(t, paid)
		r.pass(t, 12*time.Hour)
		require.Len(t, r.reasons(), 1)
		assert.Contains(t, r.reasons()[0], "ALARM")
	})
}

func TestWithConfirmationAForgedEventRaisesAnAlarmAndMovesNoMoney(t *testing.T) {
	altered := func(change func(*transaction)) string {
		c := charge(webhook.StatusPaid)
		change(&c)
		return c.event(webhook.CashInPaid)
	}
	for name, c := range map[string]struct {
		body   string
		truth  transaction
		reason string // empty if it will be tried again
	}{
		"no such charge":    {paid, transaction{}, "ALARM"},
		"another amount":    {altered(func(c *transaction) { c.amount = pix.Centavos(1051) }), charge(webhook.StatusPaid), "ALARM"},
		"another order":     {altered(func(c *transaction) { c.reference = "order-2" }), charge(webhook.StatusPaid), "ALARM"},
		"another payment":   {altered(func(c *transaction) { c.paymentID = outID }), charge(webhook.StatusPaid), "ALARM"},
		"it is not paid":    {paid, charge(webhook.StatusAwaitingPayment), ""},
		"it is cancelled":   {paid, charge(webhook.StatusCancelled), ""},
		"an unknown status": {paid, charge("DISPUTED"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
				r.bank.set(c.truth)
				r.receive(t, c.body)
				r.pass(t, patience)
				assert.Empty(t, r.books.String())
				if c.reason == "" {
					assert.Empty(t, r.reasons())
					assert.Contains(t, r.log.String(), "does not confirm")
					return
				}
				require.Len(t, r.reasons(), 1)
				assert.Contains(t, r.reasons()[0], c.reason)
			})
		})
	}
}

func TestConfirmationPassesOnTheGatewaysData(t *testing.T) {
	for _, c := range []struct {
		from  int64
		reads int
	}{{0, 1}, {1050, 1}, {1051, 0}} {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(c.from)))
		r.bank.set(charge(webhook.StatusPaid))
		r.receive(t, paid, paid)
		assert.Equal(t, ">PAID", r.books.String())
		assert.Equal(t, c.reads, r.bank.read())
		assert.Equal(t, c.reads == 1, r.books.transitions[0].Confirmed)
		assert.NotNil(t, r.books.transitions[0].Event)
	}
	// The gateway has a later status.
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.bank.set(charge(webhook.StatusRefunded))
	r.receive(t, paid, refunded)
	assert.Equal(t, ">REFUNDED missed", r.books.String())
	// After a return the id of the payment stands in another field.
	late := strings.Replace(paid, `"endToEndId":"`+inID, `"originalEndToEndId":"`+inID+`","endToEndId":"`+returnID, 1)
	r = newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.bank.set(charge(webhook.StatusRefunded))
	r.receive(t, late)
	assert.Equal(t, ">REFUNDED missed", r.books.String())
	short := charge(webhook.StatusRefunded)
	short.paymentID = "" // the gateway need not tell the original id
	r = newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.bank.set(short)
	r.receive(t, paid)
	assert.Equal(t, ">REFUNDED missed", r.books.String())
	// A field that the event or the response leaves out is not compared, and never taken from the
	// event.
	r = newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.bank.set(payment(webhook.StatusCompleted))
	r.receive(t, `{"eventType":"CASHOUT_COMPLETED","eventAt":"2026-03-10T11:22:18Z","data":{"transactionId":"`+paymentID+`"}}`)
	assert.Equal(t, ">COMPLETED", r.books.String())
	assert.Equal(t, pix.Centavos(5000), r.books.transitions[0].CashOut.Amount)
}

// A forger chooses the amount too.
func TestAnEventWithoutAnAmountIsConfirmedWhateverTheThreshold(t *testing.T) {
	for _, amount := range []string{"", `,"amount":null`, `,"amount":0`, `,"amount":-10.50`} {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(1051)))
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		r.receive(t, `{"eventType":"CASHIN_PAID","data":{"transactionId":"`+chargeID+`","externalReference":"order-1"`+amount+`}}`)
		assert.Empty(t, r.books.String(), amount)
		assert.Equal(t, 1, r.bank.read(), amount)
	}
}

// The function gets the amount of the gateway, and is not called while the gateway cannot be read.
func TestAnUnreadableAmountIsReadFromTheGateway(t *testing.T) {
	event := strings.Replace(paid, "10.50", "10.505", 1)
	r := newReceiver(t)
	r.bank.set(charge(webhook.StatusPaid))
	r.receive(t, event, event)
	assert.Equal(t, ">PAID", r.books.String())
	assert.Equal(t, 1, r.bank.read())
	assert.Equal(t, pix.Centavos(1050), r.books.transitions[0].CashIn.Amount)
	assert.Empty(t, r.reasons())

	r = newReceiver(t)
	r.bank.set(charge(webhook.StatusAwaitingPayment))
	r.receive(t, event)
	assert.Empty(t, r.books.String())
	assert.Empty(t, r.reasons(), "it is tried again")

	r = newReceiver(t) // other numbers are none of its business
	r.receive(t, strings.Replace(paid, `"amount"`, `"exchangeRate":1.125,"amount"`, 1))
	assert.Equal(t, ">PAID", r.books.String())
	assert.Zero(t, r.bank.read())
}

// A payment is returned in two parts, and the gateway answers with the second before the first is
// processed.
func TestConfirmationReadsAnEarlierReturnByItsEndToEndID(t *testing.T) {
	first, second := payment(webhook.StatusRefunded), payment(webhook.StatusRefunded)
	second.returnID = otherID
	bodies := []string{first.event(webhook.CashOutRefunded), second.event(webhook.CashOutRefunded)}
	for name, c := range map[string]struct {
		set   func(*bank)
		steps string
		held  int
	}{
		"it is known":     {func(b *bank) { b.transactions[returnID] = first }, ">REFUNDED missed, REFUNDED>REFUNDED", 0},
		"it is not known": {func(*bank) {}, ">REFUNDED missed", 1},
		"it is another payment's": {func(b *bank) {
			other := first
			other.id = "2b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11"
			b.transactions[returnID] = other
		}, ">REFUNDED missed", 1},
		"another is answered": {func(b *bank) { b.transactions[returnID] = second }, ">REFUNDED missed", 0}, // and it is tried again
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
				r.bank.set(second)
				c.set(r.bank)
				r.receive(t, bodies...)
				r.pass(t, patience)
				assert.Equal(t, c.steps, r.books.String())
				assert.Len(t, r.reasons(), c.held)
				assert.NotContains(t, strings.Join(r.reasons(), ""), "no such transaction", "the payment is known")
				if name == "it is known" {
					assert.Equal(t, returnID, r.books.transitions[0].CashOut.EndToEndID)
					assert.Equal(t, otherID, r.books.transitions[1].CashOut.EndToEndID)
				}
			})
		})
	}
}

// The gateway answers with the last payment of a charge, which must not raise the alarm of a stolen
// CryptoToken.
func TestConfirmationReadsAnEarlierPaymentByItsEndToEndID(t *testing.T) {
	first, last := charge(webhook.StatusPaid), another(charge(webhook.StatusPaid))
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.bank.set(last)
	r.bank.transactions[inID] = first
	r.receive(t, first.event(webhook.CashInPaid), last.event(webhook.CashInPaid))
	assert.Equal(t, ">PAID", r.books.String())
	assert.Equal(t, inID, r.books.transitions[0].CashIn.EndToEndID)
	require.Len(t, r.reasons(), 1)
	assert.Contains(t, r.reasons()[0], "paid a second time")
	assert.NotContains(t, r.log.String(), "ALARM")
}

func TestAnEventWhoseDataContradictItsTypeIsConfirmedFirst(t *testing.T) {
	event := func(transaction transaction, kind webhook.EventType, stated webhook.Status) string {
		transaction.status = stated
		return transaction.event(kind)
	}
	in, out := charge(webhook.StatusPaid), payment(webhook.StatusCompleted)
	for name, c := range map[string]struct {
		body  string
		asked bool
	}{
		"paid and cancelled":             {event(in, webhook.CashInPaid, webhook.StatusCancelled), true},
		"paid and expired":               {event(in, webhook.CashInPaid, webhook.StatusExpired), true},
		"paid and awaited":               {event(in, webhook.CashInPaid, webhook.StatusAwaitingPayment), true},
		"returned and paid":              {event(in, webhook.CashInRefunded, webhook.StatusPaid), true},
		"completed and failed":           {event(out, webhook.CashOutCompleted, webhook.StatusFailed), true},
		"completed and cancelled":        {event(out, webhook.CashOutCompleted, webhook.StatusCancelled), true},
		"completed and under way":        {event(out, webhook.CashOutCompleted, webhook.StatusProcessing), true},
		"failed and completed":           {event(out, webhook.CashOutFailed, webhook.StatusCompleted), true},
		"failed and returned":            {event(out, webhook.CashOutFailed, webhook.StatusRefunded), true},
		"failed and under way":           {event(out, webhook.CashOutFailed, webhook.StatusProcessing), true},
		"paid, and returned by now":      {event(in, webhook.CashInPaid, webhook.StatusRefunded), false},
		"completed, and returned by now": {event(out, webhook.CashOutCompleted, webhook.StatusRefunded), false},
		"failed, being cancelled":        {event(out, webhook.CashOutFailed, webhook.StatusCancelled), false},
		"paid, with a status unknown":    {event(in, webhook.CashInPaid, "DISPUTED"), false},
		"paid, without a status":         {event(in, webhook.CashInPaid, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.bank.fail(503)
			r.receive(t, c.body)
			assert.Equal(t, c.asked, r.bank.read() == 1)
			assert.Equal(t, c.asked, r.books.String() == "", "nothing happens on the event alone")
		})
	}
	// The response of the gateway decides.
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		r.receive(t, event(in, webhook.CashInPaid, webhook.StatusAwaitingPayment))
		r.pass(t, time.Minute)
		assert.Empty(t, r.books.String())
		r.bank.set(charge(webhook.StatusPaid))
		r.pass(t, 10*time.Minute)
		assert.Equal(t, ">PAID", r.books.String())
		assert.True(t, r.books.transitions[0].Confirmed)
	})
}

// patience is a little longer than a transaction that the gateway does not find is read again.
const patience = 20 * time.Minute
