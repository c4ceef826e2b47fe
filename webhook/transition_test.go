package webhook_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestASecondPaymentIsHeldWhateverCameBefore(t *testing.T) {
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
		"of a charge":                         {[]string{paid, paidAgain}, ">PAID", "paid a second time"},
		"of a charge, delivered twice":        {[]string{paid, paidAgain, paidAgain, paid}, ">PAID", "paid a second time"},
		"of a charge that was returned":       {[]string{paid, refunded, paidAgain}, ">PAID, PAID>REFUNDED", "paid a second time"},
		"of a charge whose return came first": {[]string{refunded, paid, paidAgain}, ">REFUNDED missed", "paid a second time"},
		"of a charge, and its return":         {[]string{paid, returnOfAnother}, ">PAID", "paid a second time"},
		"of a cash-out":                       {[]string{completed, completedAgain}, ">COMPLETED", "made a second time"},
		"of a cash-out that was returned":     {[]string{completed, returned, completedAgain}, ">COMPLETED, COMPLETED>REFUNDED", "made a second time"},
		"the first one's id came late":        {[]string{strings.Replace(paid, `"endToEndId":"`+inID+`",`, "", 1), paid, paidAgain}, ">PAID", "paid a second time"},
		"none: the same again":                {[]string{paid, anew, paid}, ">PAID", ""},
		"none: the same after its return":     {[]string{paid, refunded, anew, paid}, ">PAID, PAID>REFUNDED", ""},
		"none: only the return's id":          {[]string{paid, refunded, late}, ">PAID, PAID>REFUNDED", ""},
		"none: a failure has no id":           {[]string{failed, failed}, ">FAILED", ""},
		"none: it failed, and is made":        {[]string{failed, completed}, ">FAILED, FAILED>COMPLETED contradiction", ""},
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

func TestASecondPaymentFoundByReadingIsHeld(t *testing.T) {
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

func TestAStatusNeverMovesBackWhateverTheOrderOfEvents(t *testing.T) {
	other := payment(webhook.StatusRefunded)
	other.returnID = otherID
	again := other.event(webhook.CashOutRefunded)
	for name, c := range map[string]struct {
		bodies []string
		truth  transaction // what the gateway answers
		steps  string
	}{
		"a charge":                           {[]string{paid, refunded}, transaction{}, ">PAID, PAID>REFUNDED"},
		"a charge, the payment late":         {[]string{refunded, paid}, transaction{}, ">REFUNDED missed"},
		"a charge, all twice":                {[]string{paid, paid, refunded, paid, refunded}, transaction{}, ">PAID, PAID>REFUNDED"},
		"a payment":                          {[]string{completed, returned}, transaction{}, ">COMPLETED, COMPLETED>REFUNDED"},
		"a payment, its end late":            {[]string{returned, completed}, transaction{}, ">REFUNDED missed"},
		"a payment that fails":               {[]string{failed, failed}, transaction{}, ">FAILED"},
		"a payment returned in two parts":    {[]string{completed, returned, again, returned, again}, transaction{}, ">COMPLETED, COMPLETED>REFUNDED, REFUNDED>REFUNDED"},
		"returned, the id of which is late":  {[]string{strings.Replace(returned, `"endToEndId":"`+returnID+`",`, "", 1), returned}, transaction{}, ">REFUNDED missed"},
		"failed, and completed in truth":     {[]string{failed, completed}, payment(webhook.StatusCompleted), ">FAILED, FAILED>COMPLETED contradiction"},
		"failed, and returned in truth":      {[]string{failed, returned}, payment(webhook.StatusRefunded), ">FAILED, FAILED>REFUNDED missed contradiction"},
		"completed, and failed in truth":     {[]string{completed, failed}, payment(webhook.StatusFailed), ">COMPLETED, COMPLETED>FAILED contradiction"},
		"completed, and never failed":        {[]string{completed, failed}, payment(webhook.StatusCompleted), ">COMPLETED"},
		"returned, and never failed":         {[]string{returned, failed}, payment(webhook.StatusRefunded), ">REFUNDED missed"},
		"completed, returned, never failed":  {[]string{completed, failed}, payment(webhook.StatusRefunded), ">COMPLETED, COMPLETED>REFUNDED"},
		"completed, and of a status unknown": {[]string{completed, failed}, payment("DISPUTED"), ">COMPLETED"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.bank.set(c.truth)
			r.receive(t, c.bodies...)
			assert.Equal(t, c.steps, r.books.String())
			for _, step := range r.books.transitions {
				assert.Equal(t, step.Contradiction, step.Confirmed && strings.Contains(c.steps, "contradiction"))
			}
		})
	}
}

func TestATransitionHoldsTheDataOfItsEvent(t *testing.T) {
	r := newReceiver(t)
	r.receive(t, paid)
	require.Len(t, r.books.transitions, 1)
	step := r.books.transitions[0]
	assert.Equal(t, webhook.KindCashIn, step.Kind)
	assert.Equal(t, chargeID, step.TransactionID)
	assert.Equal(t, pix.Centavos(1050), step.CashIn.Amount)
	assert.Equal(t, "order-1", step.CashIn.ExternalReference)
	assert.Nil(t, step.CashOut)
	assert.Equal(t, webhook.CashInPaid, step.Event.Type)
	assert.Equal(t, "6f0c1c0e-58a3-4a7b-8f43-3c1a5f5e0b11", step.Event.DeliveryID)
	assert.False(t, step.Confirmed)
	assert.Equal(t, webhook.WorkerCounts{Applied: 1}, r.worker.Counts())
	for _, printed := range []string{fmt.Sprint(step), fmt.Sprintf("%+v", step), step.LogValue().String()} {
		assert.Equal(t, `CASHIN `+chargeID+`: "" to "PAID"`, printed)
	}
}

func TestAPaymentAfterExpiryIsMarkedAsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(charge(webhook.StatusExpired))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		time.Sleep(time.Minute)
		r.work(t)
		r.receive(t, paid)
		assert.Equal(t, ">EXPIRED, EXPIRED>PAID late", r.books.String())
	})
}

func TestAContradictionIsNotAppliedOnTheEventAlone(t *testing.T) {
	r := newReceiver(t)
	r.bank.fail(503)
	r.receive(t, failed, completed)
	assert.Equal(t, ">FAILED", r.books.String())
	assert.Equal(t, 1, r.bank.read())
	assert.Contains(t, r.log.String(), "will be retried")
	assert.Empty(t, r.inbox.Held())
}

func TestASecondBodyForAnEventIsNotApplied(t *testing.T) {
	forged := charge(webhook.StatusPaid)
	forged.amount = pix.Centavos(999900)
	r := newReceiver(t)
	r.bank.set(charge(webhook.StatusPaid))
	r.receive(t, paid, forged.event(webhook.CashInPaid))
	assert.Equal(t, ">PAID", r.books.String())
	require.Len(t, r.reasons(), 1)
	assert.Contains(t, r.reasons()[0], "ALARM")
	assert.Contains(t, r.log.String(), "level=ERROR")

	// A body that the gateway has encoded again.
	r = newReceiver(t)
	r.bank.set(charge(webhook.StatusPaid))
	r.receive(t, paid, strings.Replace(paid, "11:22:18", "11:22:19", 1))
	assert.Equal(t, ">PAID", r.books.String())
	assert.Equal(t, 1, r.bank.read())
	assert.Empty(t, r.reasons())
}

// The forged event came first and was applied.
func TestASecondBodyThatTheGatewayConfirmsRaisesAnAlarmAboutTheFirst(t *testing.T) {
	for name, forge := range map[string]func(*transaction){
		"amount":    func(c *transaction) { c.amount = pix.Centavos(999900) },
		"reference": func(c *transaction) { c.reference = "order-of-a-thief" },
	} {
		t.Run(name, func(t *testing.T) {
			forged := charge(webhook.StatusPaid)
			forge(&forged)
			r := newReceiver(t)
			r.bank.set(charge(webhook.StatusPaid))
			r.receive(t, forged.event(webhook.CashInPaid), paid)
			assert.Equal(t, ">PAID", r.books.String())
			require.Len(t, r.reasons(), 1)
			assert.Contains(t, r.reasons()[0], "ALARM")
		})
	}
}

// A part of a payment was returned, and the event may state the amount of that part.
func TestAReturnMayHaveAnotherAmountThanThePayment(t *testing.T) {
	part := payment(webhook.StatusRefunded)
	part.amount = pix.Centavos(2000)
	r := newReceiver(t)
	r.bank.set(part)
	r.receive(t, completed, strings.Replace(completed, "11:22:18", "11:22:19", 1))
	assert.Equal(t, ">COMPLETED", r.books.String())
	assert.Len(t, r.reasons(), 1, "an event of the payment with another amount than the gateway's is held")

	r = newReceiver(t)
	r.bank.set(part)
	r.receive(t, completed, part.event(webhook.CashOutRefunded), strings.Replace(part.event(webhook.CashOutRefunded), "11:22:18", "11:22:19", 1))
	assert.Equal(t, ">COMPLETED, COMPLETED>REFUNDED", r.books.String())
	assert.Empty(t, r.reasons())

	r = newReceiver(t)
	r.bank.set(payment(webhook.StatusFailed))
	r.receive(t, part.event(webhook.CashOutRefunded), failed)
	assert.Equal(t, ">REFUNDED missed, REFUNDED>FAILED contradiction", r.books.String())
	assert.Empty(t, r.reasons())
}
