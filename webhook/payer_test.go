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
	"github.com/connectpsp/connectpsp-go/pix"
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
		assert.Equal(t, ">PAID_BY_UNKNOWN", h.stored(), "a person decides, because event and gateway differ")
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

// A GET may be poorer than the event, or an echo of the request.
func TestAnEventThatShowsAnotherPayerThanTheGatewayCreditsNobody(t *testing.T) {
	for name, c := range map[string]struct {
		holder connectpsp.Holder
		read   transaction
		event  transaction
	}{
		"the gateway shows the player": {
			connectpsp.Holder{Document: player}, paidBy(player, "null"), paidBy(stranger, otherBank),
		},
		"the gateway shows no account": {
			connectpsp.Holder{Document: player, Accounts: []connectpsp.BankData{playersAccount}, AllowUnclear: true},
			paidBy(player, "null"), paidBy(stranger, otherBank),
		},
		"the gateway shows nothing": {
			connectpsp.Holder{Document: player, AllowUnclear: true}, paidBy("", "null"), paidBy(stranger, otherBank),
		},
		"both show the player, and accounts of which none is registered": {
			connectpsp.Holder{Document: player, AllowUnclear: true}, paidBy(player, playersBank), paidBy(player, otherBank),
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, holderIs(c.holder), webhook.WithConfirmation(pix.Amount{}))
			r.bank.lax = true
			r.bank.set(c.read)
			r.receive(t, c.event.event(webhook.CashInPaid))
			assert.Equal(t, ">PAID_BY_UNKNOWN", r.books.String())
		})
	}
}

func TestAHolderWhoseDocumentCannotBeReadIsNobody(t *testing.T) {
	for _, document := range []string{"", "12345678900", " 12345678909", "123456789", "012.345.678-909", "***.*56.789-**"} {
		for _, allow := range []bool{false, true} {
			r := newReceiver(t, holderIs(connectpsp.Holder{Document: document, AllowUnclear: allow}))
			r.bank.lax = true
			r.bank.set(paidBy(stranger, otherBank))
			r.receive(t, paidBy(stranger, otherBank).event(webhook.CashInPaid))
			assert.Empty(t, r.books.String(), "%q", document)
			assert.Contains(t, r.log.String(), "the Document of the Holder from WithPayerCheck is missing, wrong or masked too far")
			if document != "" {
				assert.NotContains(t, r.log.String(), document)
			}
		}
	}
}

// The event and the response have no end-to-end id until the settlement is recorded, so only who
// paid tells two payments apart.
func TestASecondPaymentByAnotherPayerIsHeldAlsoIfTheFirstHadNoID(t *testing.T) {
	unsettled := func(c transaction) transaction {
		c.paymentID = ""
		return c
	}
	players, strangers, unknown := paidBy(player, playersBank), paidBy(stranger, otherBank), paidBy("", "null")
	for name, c := range map[string]struct {
		first, second transaction
		steps         string
		held          bool
	}{
		"a stranger, then the player":                  {unsettled(strangers), another(players), ">PAID_BY_OTHER", true},
		"a stranger, then the player, without an id":   {unsettled(strangers), unsettled(players), ">PAID_BY_OTHER", true},
		"a stranger, whose payment is settled":         {unsettled(strangers), strangers, ">PAID_BY_OTHER", false},
		"an unknown person, then the player":           {unsettled(unknown), another(players), ">PAID_BY_UNKNOWN", true},
		"an unknown person, whose payment is settled":  {unsettled(unknown), unknown, ">PAID_BY_UNKNOWN", false},
		"the player, then a stranger":                  {unsettled(players), another(strangers), ">PAID", true},
		"the player, then a stranger, without an id":   {unsettled(players), unsettled(strangers), ">PAID", true},
		"the player, whose payment is settled":         {unsettled(players), players, ">PAID", false},
		"the player, who is not shown once it settled": {unsettled(players), unknown, ">PAID", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, webhook.WithPayerCheck(isPlayer))
			r.bank.lax = true
			for _, payment := range []transaction{c.first, c.second} {
				r.bank.set(payment)
				r.receive(t, payment.event(webhook.CashInPaid))
			}
			assert.Equal(t, c.steps, r.books.String())
			if !c.held {
				assert.Empty(t, r.reasons())
				return
			}
			require.Len(t, r.reasons(), 1)
			assert.Contains(t, r.reasons()[0], "perhaps paid a second time")
		})
	}
}

// After a leak of the CryptoToken.
func TestAForgedPlayerRaisesAnAlarmWhenTheGatewayShowsAStranger(t *testing.T) {
	r := newReceiver(t, webhook.WithPayerCheck(isPlayer))
	r.bank.lax = true
	strangers := paidBy(stranger, otherBank)
	r.bank.set(strangers)
	r.receive(t, paidBy(player, playersBank).event(webhook.CashInPaid)) // forged, with the true ids and amount
	require.Equal(t, ">PAID", r.books.String())
	r.receive(t, strangers.event(webhook.CashInPaid))
	require.Len(t, r.reasons(), 1)
	assert.Contains(t, r.reasons()[0], "ALARM: the gateway reports another payer")
}

func TestAWorkerWithoutTheCheckLeavesASecondPaymentToOneThatHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithPayerCheck(isPlayer))
		r.bank.lax = true
		first := paidBy(stranger, otherBank)
		first.paymentID = ""
		r.bank.set(first)
		r.receive(t, first.event(webhook.CashInPaid))
		checking := r.worker
		r.worker = webhook.NewWorker(r.inbox, r.bank.client(t), r.books.apply)
		second := another(paidBy(player, playersBank))
		r.bank.set(second)
		r.receive(t, second.event(webhook.CashInPaid))
		assert.Empty(t, r.reasons())
		r.worker = checking
		r.pass(t, time.Minute)
		require.Len(t, r.reasons(), 1)
		assert.Contains(t, r.reasons()[0], "perhaps paid a second time")
		assert.Equal(t, ">PAID_BY_OTHER", r.books.String())
	})
}

// A newer version may have a status for a payment that must not be credited.
func TestAStateThatANewerVersionRecordedIsLeftToThatVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithPayerCheck(isPlayer))
		r.bank.set(charge(webhook.StatusPaid))
		_, err := r.inbox.Put(t.Context(), webhook.Item{Key: "NEWER", Transaction: "CASHIN/" + chargeID})
		require.NoError(t, err)
		claim, err := one(r.inbox.Claim(t.Context(), time.Minute, 1))
		require.NoError(t, err)
		recorded := webhook.TransactionState{Status: "PAID_BY_MACHINE", PaymentID: inID}
		require.NoError(t, r.inbox.Complete(t.Context(), claim, func(context.Context, webhook.TransactionState) (webhook.Result, error) {
			return webhook.Result{State: recorded}, nil
		}))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		_, err = r.inbox.Put(t.Context(), webhook.Item{Key: "REFUND#0/CASHIN/" + chargeID, Transaction: "CASHIN/" + chargeID, Body: []byte("{}")})
		require.NoError(t, err)
		r.receive(t, paid)
		assert.Empty(t, r.reasons(), "a Worker of the newer version may still take it")
		r.pass(t, 12*time.Hour)
		assert.Empty(t, r.books.String())
		require.Len(t, r.reasons(), 3)
		for _, reason := range r.reasons() {
			assert.Contains(t, reason, "a newer version of the SDK")
		}
	})
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
		"a refund with a description that the client refuses": func() []webhook.WorkerOption {
			request := connectpsp.RefundRequest{Reason: connectpsp.RefundFraud, Description: "not the player\n"}
			return []webhook.WorkerOption{webhook.WithPayerRefund(request), webhook.WithPayerCheck(isPlayer)}
		},
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
