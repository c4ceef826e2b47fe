package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// holderIs returns a payer check by which one holder may pay every charge.
func holderIs(holder connectpsp.Holder) webhook.WorkerOption {
	return webhook.WithPayerCheck(func(context.Context, *connectpsp.CashIn) (connectpsp.Holder, error) { return holder, nil })
}

// paidBy returns a paid charge of a payer.
func paidBy(document, bankData string) transaction {
	c := charge(webhook.StatusPaid)
	c.paidBy = fmt.Sprintf(`"payer":{"name":"Test User","document":%q,"bankData":%s}`, document, bankData)
	return c
}

const (
	playersBank   = `{"ispb":"18236120","bank":"A bank","branch":"1","account":"94771084-0"}`
	uncheckedBank = `{"ispb":"18236120","bank":"A bank","branch":"0001","account":"94771084"}`
	otherBank     = `{"ispb":"60701190","bank":"Another bank","branch":"0417","account":"31415-9"}`
)

func TestWhoPaidDecidesTheStatusOfAPayment(t *testing.T) {
	document := connectpsp.Holder{Document: "123.456.789-09"}
	account := connectpsp.Holder{Document: player, Accounts: []connectpsp.BankData{strangersAccount, playersAccount}}
	lenient := connectpsp.Holder{Document: player, Accounts: account.Accounts, AllowUnclear: true}
	for name, c := range map[string]struct {
		holder  connectpsp.Holder
		payer   transaction
		steps   webhook.Status
		compare string // document and account, as they are observed
	}{
		"the player":                                 {document, paidBy(player, "null"), "PAID", "same unchecked"},
		"the player, from any account":               {document, paidBy(player, otherBank), "PAID", "same unchecked"},
		"the player, masked":                         {document, paidBy("***.456.789-**", "null"), "PAID", "same unchecked"},
		"another person":                             {document, paidBy(stranger, "null"), "PAID_BY_OTHER", "different unchecked"},
		"another person, masked":                     {document, paidBy("***.982.247-**", "null"), "PAID_BY_OTHER", "different unchecked"},
		"a company":                                  {document, paidBy("11222333000181", "null"), "PAID_BY_OTHER", "different unchecked"},
		"too little of a document is visible":        {document, paidBy("***.456.7**-**", "null"), "PAID_BY_UNKNOWN", "unclear unchecked"},
		"no document":                                {document, paidBy("", "null"), "PAID_BY_UNKNOWN", "unclear unchecked"},
		"a holder of whom nothing is known":          {connectpsp.Holder{}, paidBy(player, "null"), "PAID_BY_UNKNOWN", "unclear unchecked"},
		"the player, from a registered account":      {account, paidBy(player, playersBank), "PAID", "same same"},
		"the player, from another account":           {connectpsp.Holder{Document: player, Accounts: []connectpsp.BankData{playersAccount}}, paidBy(player, otherBank), "PAID_BY_OTHER", "same different"},
		"another person, from a registered account":  {account, paidBy(stranger, playersBank), "PAID_BY_OTHER", "different same"},
		"the player, without an account":             {account, paidBy(player, "null"), "PAID_BY_UNKNOWN", "same unclear"},
		"the player, without a check digit":          {account, paidBy(player, uncheckedBank), "PAID_BY_UNKNOWN", "same unclear"},
		"no document, from a registered account":     {account, paidBy("", playersBank), "PAID_BY_UNKNOWN", "unclear same"},
		"unclear things are allowed":                 {lenient, paidBy("", "null"), "PAID", "unclear unclear"},
		"different ones are not":                     {lenient, paidBy(stranger, "null"), "PAID_BY_OTHER", "different unclear"},
		"another account is not, without a document": {lenient, paidBy("", `{"ispb":"00000000","bank":"A bank","branch":"1","account":"5"}`), "PAID_BY_OTHER", "unclear different"},
		"anyone may pay":                             {connectpsp.Holder{Anyone: true}, paidBy(stranger, otherBank), "PAID", " "},
	} {
		t.Run(name, func(t *testing.T) {
			seen := new(watcher)
			r := newReceiver(t, holderIs(c.holder), webhook.WithObserver(seen))
			r.bank.set(c.payer)
			r.bank.lax = true // a document that is masked is not in the description
			r.receive(t, c.payer.event(webhook.CashInPaid))
			assert.Equal(t, ">"+string(c.steps), r.books.String())
			if c.steps == webhook.StatusPaid {
				assert.Zero(t, r.bank.read())
			} else {
				assert.Equal(t, 1, r.bank.read(), "it is reported after a read only")
				assert.True(t, r.books.transitions[0].Confirmed)
			}
			assert.Empty(t, r.reasons())
			processed := endedAs[webhook.Processing](seen)[0]
			assert.Equal(t, c.compare, processed.PayerDocument+" "+processed.PayerAccount)
			seen.assertNoPersonalData(t)
		})
	}
}

func TestAForeignPaymentIsReportedOnceWhateverTheGatewayDelivers(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(h *house, charge string)
		steps   string
		gained  int64
	}{
		"the player pays": {func(h *house, charge string) {
			h.pay(charge, player, playersAccount)
		}, ">PAID", 1050},
		"another person pays": {func(h *house, charge string) {
			h.pay(charge, stranger, strangersAccount)
		}, ">PAID_BY_OTHER", 0},
		"the event comes six times": {func(h *house, charge string) {
			h.pay(charge, stranger, strangersAccount)
			for range 5 {
				h.work()
				require.NoError(h.t, h.gateway.Redeliver(charge))
			}
		}, ">PAID_BY_OTHER", 0},
		"the refund settles, and the events come in reverse": {func(h *house, charge string) {
			require.NoError(h.t, h.gateway.FailNext("CASHIN_PAID", sandbox.HoldWebhook))
			require.NoError(h.t, h.gateway.FailNext("CASHIN_REFUNDED", sandbox.HoldWebhook))
			h.pay(charge, stranger, strangersAccount)
			require.NoError(h.t, h.running().worker.WatchCashIn(h.t.Context(), charge))
			require.NoError(h.t, h.gateway.Redeliver(charge))
			h.work()
			require.NoError(h.t, h.gateway.SettleRefund(charge))
			h.gateway.ReleaseWebhooksInReverse()
		}, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", 0},
		"the payment came back before its event came": {func(h *house, charge string) {
			require.NoError(h.t, h.gateway.FailNext("CASHIN_PAID", sandbox.HoldWebhook))
			h.pay(charge, stranger, strangersAccount)
			require.NoError(h.t, h.gateway.ReturnCashIn(charge))
			h.work()
			h.gateway.ReleaseWebhooks()
		}, ">REFUNDED missed unrequested", 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := openHouse(t, nil, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
			c.happens(h, h.charge())
			h.work()
			assert.Equal(t, c.steps, h.stored())
			assert.Equal(t, c.gained, h.balance().Centavos())
			assert.LessOrEqual(t, len(h.refunds()), 1)
			assert.Empty(t, h.reasons())
		})
	}
}

func TestAPollFindsAForeignPaymentWhoseEventNeverComes(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		charge := h.charge()
		require.NoError(t, h.gateway.FailNext("CASHIN_PAID", sandbox.LoseWebhook))
		require.NoError(t, h.gateway.FailNext("CASHIN_REFUNDED", sandbox.LoseWebhook))
		require.NoError(t, h.running().worker.WatchCashIn(t.Context(), charge))
		h.pass(2 * time.Minute)
		h.pay(charge, stranger, strangersAccount)
		h.pass(time.Hour)
		assert.Equal(t, ">AWAITING_PAYMENT, AWAITING_PAYMENT>PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", h.stored())
		assert.Equal(t, []string{"202 key 0"}, h.refunds())
		assert.Empty(t, h.reasons())
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

func TestAForgedPayerNeitherCreditsNorReturnsMoney(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		charge := h.charge()
		forged, _ := h.gateway.CashIn(charge)
		forged.Status = connectpsp.CashInPaid
		forged.Payer.Document = stranger
		body := fmt.Sprintf(`{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{"transactionId":%q,"internalCode":%q,`+
			`"externalReference":"order-1","status":"PAID","amount":10.50,"payer":{"name":"A","document":%q}}}`, charge, forged.InternalCode, stranger)
		require.NoError(t, h.gateway.SendWebhook(h.url, []byte(body)))
		h.pass(time.Minute)
		assert.Empty(t, h.stored(), "it is not paid")
		h.pay(charge, player, playersAccount)
		h.pass(2 * time.Hour)
		assert.Equal(t, ">PAID", h.stored(), "the gateway counts")
		assert.Empty(t, h.refunds())
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

func TestTheGatewayMayKnowAnAccountThatTheEventLacks(t *testing.T) {
	r := newReceiver(t, holderIs(connectpsp.Holder{Document: player, Accounts: []connectpsp.BankData{playersAccount}}))
	r.bank.set(paidBy(player, playersBank))
	r.receive(t, paid)
	assert.Equal(t, ">PAID", r.books.String())
	assert.Equal(t, 1, r.bank.read())
}

func TestACheckThatFailsIsRetriedAndThenHeld(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error": func() error { return errors.New("the players are away") },
		"a panic":  func() error { panic("a bug") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := true
				r := newReceiver(t, webhook.WithPayerCheck(func(ctx context.Context, charge *connectpsp.CashIn) (connectpsp.Holder, error) {
					assert.Equal(t, "order-1", charge.ExternalReference)
					if failing {
						return connectpsp.Holder{}, fail()
					}
					return connectpsp.Holder{Document: player}, nil
				}))
				r.receive(t, paid)
				r.pass(t, 12*time.Hour)
				assert.Empty(t, r.books.String())
				require.Len(t, r.reasons(), 1)
				assert.Contains(t, r.reasons()[0], "20 times")
				failing = false
				require.True(t, r.inbox.Retry(r.inbox.Held()[0].Key))
				r.work(t)
				assert.Equal(t, ">PAID", r.books.String())
			})
		})
	}
}

func TestAForeignPaymentIsAPaymentInEveryOtherWay(t *testing.T) {
	byOther := func(c transaction) transaction {
		c.paidBy = paidBy(stranger, "null").paidBy
		return c
	}
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, holderIs(connectpsp.Holder{Document: player}))
		r.bank.set(charge(webhook.StatusExpired))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		r.pass(t, 2*time.Minute)
		r.bank.set(byOther(charge(webhook.StatusPaid)))
		for range 2 {
			r.receive(t, byOther(charge(webhook.StatusPaid)).event(webhook.CashInPaid))
		}
		assert.Equal(t, ">EXPIRED, EXPIRED>PAID_BY_OTHER late", r.books.String())
		r.receive(t, another(charge(webhook.StatusPaid)).event(webhook.CashInPaid))
		require.Len(t, r.reasons(), 1)
		assert.Contains(t, r.reasons()[0], "paid a second time")
		r.bank.set(byOther(charge(webhook.StatusRefunded)))
		r.receive(t, refunded)
		assert.Equal(t, ">EXPIRED, EXPIRED>PAID_BY_OTHER late, PAID_BY_OTHER>REFUNDED", r.books.String())
	})
}

// The gateway has no such status. If it sends one, that is no reason to skip the check.
func TestAStatusOfTheSDKInTheGatewaysMouthIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithPayerCheck(isPlayer))
		r.bank.set(charge(webhook.StatusPaidByOther))
		r.bank.lax = true
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		r.receive(t, charge(webhook.StatusPaidByUnknown).event("CASHIN_PAID_BY_OTHER"))
		r.pass(t, time.Hour)
		assert.Empty(t, r.books.String())
	})
}

func TestWithoutACheckAForeignPaymentIsAnyPayment(t *testing.T) {
	r := newReceiver(t)
	r.receive(t, paidBy(stranger, otherBank).event(webhook.CashInPaid))
	assert.Equal(t, ">PAID", r.books.String())
	assert.Zero(t, r.bank.read())
}

func TestOptionsOfThePayerThatCannotWorkPanic(t *testing.T) {
	bank := newBank(t)
	client := bank.client(t)
	for name, options := range map[string]func() []webhook.WorkerOption{
		"no function":         func() []webhook.WorkerOption { return []webhook.WorkerOption{webhook.WithPayerCheck(nil)} },
		"a refund of nothing": func() []webhook.WorkerOption { return []webhook.WorkerOption{webhook.WithPayerRefund(toReturn)} },
		"a refund without a reason": func() []webhook.WorkerOption {
			return []webhook.WorkerOption{webhook.WithPayerRefund(connectpsp.RefundRequest{}), webhook.WithPayerCheck(isPlayer)}
		},
	} {
		assert.Panics(t, func() {
			webhook.NewWorker(webhook.NewMemoryInbox(), client, func(context.Context, webhook.Transition) error { return nil }, options()...)
		}, name)
	}
	assert.NotPanics(t, func() {
		webhook.NewWorker(webhook.NewMemoryInbox(), client, func(context.Context, webhook.Transition) error { return nil },
			webhook.WithPayerRefund(toReturn), webhook.WithPayerCheck(isPlayer))
	})
}
