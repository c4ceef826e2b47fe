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

const secondID = "E99999999202603101828lmnopqrstuv1"

// another returns a transaction under the end-to-end id of a second payment.
func another(t transaction) transaction {
	t.paymentID = secondID
	return t
}

func TestASecondPaymentIsKeptForAPersonWhateverCameBefore(t *testing.T) {
	paidAgain := another(charge(webhook.StatusPaid)).event(webhook.CashInPaid)
	completedAgain := another(payment(webhook.StatusCompleted)).event(webhook.CashOutCompleted)
	returnOfAnother := another(charge(webhook.StatusRefunded)).event(webhook.CashInRefunded)
	anew := strings.Replace(paid, "11:22:18", "11:22:19", 1)
	late := strings.Replace(anew, inID, returnID, 1)
	for name, c := range map[string]struct {
		bodies []string
		steps  string
		held   string // why the second payment is held, if it is one
	}{
		"of a charge":                      {[]string{paid, paidAgain}, ">PAID", "paid a second time"},
		"of a charge, told twice":          {[]string{paid, paidAgain, paidAgain, paid}, ">PAID", "paid a second time"},
		"of a charge that was returned":    {[]string{paid, refunded, paidAgain}, ">PAID, PAID>REFUNDED", "paid a second time"},
		"of a charge whose return is told": {[]string{refunded, paid, paidAgain}, ">REFUNDED missed", "paid a second time"},
		"of a charge, and its return":      {[]string{paid, returnOfAnother}, ">PAID", "paid a second time"},
		"of a cash-out":                    {[]string{completed, completedAgain}, ">COMPLETED", "made a second time"},
		"of a cash-out that was returned":  {[]string{completed, returned, completedAgain}, ">COMPLETED, COMPLETED>REFUNDED", "made a second time"},
		"the first one's id is told late":  {[]string{strings.Replace(paid, `"endToEndId":"`+inID+`",`, "", 1), paid, paidAgain}, ">PAID", "paid a second time"},
		"none: the same again":             {[]string{paid, anew, paid}, ">PAID", ""},
		"none: the same after its return":  {[]string{paid, refunded, anew, paid}, ">PAID, PAID>REFUNDED", ""},
		"none: only the return's id":       {[]string{paid, refunded, late}, ">PAID, PAID>REFUNDED", ""},
		"none: a failure has no id":        {[]string{failed, failed}, ">FAILED", ""},
		"none: it failed, and is made":     {[]string{failed, completed}, ">FAILED, FAILED>COMPLETED contradiction", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			truth := charge(webhook.StatusPaid)
			if strings.Contains(c.steps, "REFUNDED") {
				truth = charge(webhook.StatusRefunded)
			}
			r.bank.set(truth, payment(webhook.StatusCompleted))
			r.receive(t, c.bodies...)
			assert.Equal(t, c.steps, r.books.String())
			if c.held == "" {
				assert.Empty(t, r.reasons())
				return
			}
			require.Len(t, r.reasons(), 1)
			assert.Contains(t, r.reasons()[0], c.held)
			assert.Contains(t, r.reasons()[0], "dismiss this item")
			assert.EqualValues(t, 1, r.worker.Counts().Held)
			assert.Contains(t, r.log.String(), "level=ERROR")
		})
	}
}

// The gateway tells of the last payment of a charge. That is no reason to think that the
// CryptoToken was stolen.
func TestConfirmationReadsAPaymentThatIsNotTheLastByItsOwnID(t *testing.T) {
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

func TestASecondPaymentThatIsFoundByReadingIsKeptForAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.receive(t, paid)
		require.NoError(t, r.worker.WatchRefund(t.Context(), chargeID))
		r.bank.set(another(charge(webhook.StatusRefunded)))
		r.pass(t, time.Minute)
		assert.Equal(t, ">PAID", r.books.String(), "the payment that is known was not returned")
		require.Len(t, r.reasons(), 1)
		assert.Contains(t, r.reasons()[0], "paid a second time")
	})
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
	// What the gateway answers counts.
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

func TestAUUIDIsTheSameInCapitals(t *testing.T) {
	capitals := func(body string) string { return strings.Replace(body, paymentID, strings.ToUpper(paymentID), 1) }
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	shouted := payment(webhook.StatusCompleted)
	shouted.id = strings.ToUpper(paymentID)
	r.bank.set(shouted)
	r.bank.transactions[paymentID] = shouted
	r.receive(t, completed, capitals(completed), capitals(completed))
	assert.Equal(t, ">COMPLETED", r.books.String())
	assert.Equal(t, webhook.Counts{Stored: 1, Conflicting: 1, Duplicates: 1}, r.Handler.Counts())
	r.bank.set(payment(webhook.StatusRefunded))
	r.receive(t, returned)
	assert.Equal(t, ">COMPLETED, COMPLETED>REFUNDED", r.books.String())
	assert.Empty(t, r.reasons())

	one, err := parse(completed)
	require.NoError(t, err)
	other, err := parse(capitals(completed))
	require.NoError(t, err)
	assert.Equal(t, one.Key(), other.Key())
	one, err = parse(paid)
	require.NoError(t, err)
	other, err = parse(strings.Replace(paid, chargeID, strings.ToUpper(chargeID), 1))
	require.NoError(t, err)
	assert.NotEqual(t, one.Key(), other.Key(), "of other ids the capitals matter")
}
