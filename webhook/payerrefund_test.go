package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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

// inBubble runs a test with a house in a bubble, whose time is virtual.
func inBubble(t *testing.T, test func(*testing.T, *house), options ...webhook.WorkerOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, openHouse(t, []sandbox.Option{sandbox.WithMemoryNetwork()}, options...))
	})
}

func TestAProcessThatDiesAtAnyCallReportsAForeignPaymentOnceAndReturnsItOnce(t *testing.T) {
	for name, recovers := range map[string]bool{"": false, "with Recover": true} {
		t.Run(name, func(t *testing.T) {
			ended := false
			for diesAt := 1; !ended; diesAt++ {
				require.Less(t, diesAt, 500)
				inBubble(t, func(t *testing.T, h *house) {
					charge := h.charge()
					h.start(diesAt)
					first := h.running()
					h.pay(charge, stranger, strangersAccount)
					h.work()
					if recovers {
						h.restart()
						_, _ = h.running().client.Recover(t.Context()) // the process may die in it
					}
					h.pass(15 * time.Minute)
					ended = !first.IsDead()
					require.Equal(t, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", h.stored(), "it died at event %d", diesAt)
					require.Zero(t, h.balance())
					require.Empty(t, h.reasons())
					for _, request := range h.refunds() {
						require.Contains(t, request, "key 0", "no second refund was ever asked for")
					}
				}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
			}
		})
	}
}

func TestAForeignPaymentIsReturned(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.pay(h.charge(), stranger, strangersAccount)
		h.work()
		assert.Equal(t, []string{"202 key 0"}, h.refunds())
		assert.Zero(t, h.balance())
		h.pass(time.Minute)
		assert.Equal(t, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", h.stored())
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

func TestAnAutomaticRefundIsMadeOnceThroughEveryFault(t *testing.T) {
	many := func(fault sandbox.Fault) []sandbox.Fault { return slices.Repeat([]sandbox.Fault{fault}, 10) }
	for name, faults := range map[string][]sandbox.Fault{
		"the request is lost":           {sandbox.LoseRequest},
		"the response is lost":          {sandbox.LoseAnswer},
		"all responses are lost":        many(sandbox.LoseAnswer),
		"all requests are lost":         many(sandbox.LoseRequest),
		"a proxy responds":              many(sandbox.Status(502)),
		"a proxy responds after all":    many(sandbox.StatusAfterExecution(502)),
		"the gateway hangs":             {sandbox.Hang, sandbox.HangAfterExecution},
		"the gateway asks for patience": many(sandbox.TooManyRequests),
		"half a response":               many(sandbox.CutAnswer),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *house) {
				require.NoError(t, h.gateway.FailNext("refundCashIn", faults...))
				h.pay(h.charge(), stranger, strangersAccount)
				h.pass(time.Hour)
				assert.Equal(t, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", h.stored())
				assert.Zero(t, h.balance())
				assert.Empty(t, h.reasons())
				for _, request := range h.refunds() {
					assert.Contains(t, request, "key 0")
				}
			}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
		})
	}
}

func TestARefundWaitsUntilTheSettlementIsRecorded(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		for range 3 {
			require.NoError(t, h.gateway.RefuseNext("refundCashIn", 422, "MISSING_END_TO_END_ID"))
		}
		h.pay(h.charge(), stranger, strangersAccount)
		h.pass(10 * time.Minute)
		assert.Equal(t, []string{"422 key 0", "422 key 1", "422 key 2", "202 key 3"}, h.refunds(), "the gateway may repeat a refusal under its key")
		assert.Equal(t, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", h.stored())
		assert.Empty(t, h.reasons())
		assert.Contains(t, h.log.String(), "event=item.retried")
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

func TestARefundThatIsNeverPossibleIsHeldAtLast(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		for range 30 {
			require.NoError(t, h.gateway.RefuseNext("refundCashIn", 422, "MISSING_END_TO_END_ID"))
		}
		h.pay(h.charge(), stranger, strangersAccount)
		h.pass(12 * time.Hour)
		assert.Len(t, h.refunds(), 20)
		assert.Contains(t, h.reasons(), "422 MISSING_END_TO_END_ID")
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

func TestARefusedRefundIsHeldAndCanBeRetried(t *testing.T) {
	seen := new(watcher)
	inBubble(t, func(t *testing.T, h *house) {
		require.NoError(t, h.gateway.RefuseNext("refundCashIn", 422, "INSUFFICIENT_FUNDS"))
		h.pay(h.charge(), stranger, strangersAccount)
		h.pass(time.Hour)
		assert.Equal(t, ">PAID_BY_OTHER", h.stored())
		require.Len(t, h.inbox.Held(), 1)
		held := h.inbox.Held()[0]
		assert.Contains(t, held.Held, "422 INSUFFICIENT_FUNDS")
		assert.Contains(t, held.Held, "the money of another person is still here")
		assert.Contains(t, h.log.String(), "event=item.held")
		assert.Contains(t, h.log.String(), held.Key, "an operator can retry what the log says")
		assert.Equal(t, uint64(1), h.running().worker.Counts().Held)

		require.True(t, h.inbox.Retry(held.Key))
		h.pass(time.Hour)
		assert.Equal(t, []string{"422 key 0", "202 key 1"}, h.refunds(), "the gateway repeats a refusal under its key")
		assert.Equal(t, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", h.stored())
		assert.Empty(t, h.reasons())
		var results []webhook.ProcessingResult
		for _, processed := range endedAs[webhook.Processing](seen) {
			if processed.Result != webhook.ProcessingApplied && processed.Result != webhook.ProcessingStale {
				results = append(results, processed.Result)
				assert.Zero(t, processed.Lag)
			}
		}
		assert.Equal(t, []webhook.ProcessingResult{"held", "refunded"}, results)
		seen.assertNoPersonalData(t)
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn), webhook.WithObserver(seen))
}

// A code may be any text of a peer's.
func TestTheReasonOfARefusedRefundHasNoTextOfThePeers(t *testing.T) {
	for _, code := range []string{"CPF_12345678909", "ACCOUNT_BLOCKED"} {
		inBubble(t, func(t *testing.T, h *house) {
			require.NoError(t, h.gateway.RefuseNext("refundCashIn", 422, code))
			h.pay(h.charge(), stranger, strangersAccount)
			h.pass(time.Minute)
			require.Len(t, h.inbox.Held(), 1)
			assert.Equal(t, code == "ACCOUNT_BLOCKED", strings.Contains(h.reasons(), code))
			assert.NotContains(t, h.reasons()+h.log.String(), "12345678909")
		}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
	}
}

func TestARefundWithoutAnOutcomeIsHeldAtLastAndSettlesWhenThePersonHasAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		require.NoError(t, h.gateway.FailEvery("refundCashIn", 1, sandbox.LoseRequest))
		h.pay(h.charge(), stranger, strangersAccount)
		h.pass(12 * time.Hour)
		require.Len(t, h.inbox.Held(), 1)
		held := h.inbox.Held()[0]
		assert.Contains(t, held.Held, "its outcome is unknown")
		assert.Equal(t, ">PAID_BY_OTHER", h.stored())
		h.gateway.ClearFaults()

		pending, err := h.journal.Pending(t.Context())
		require.NoError(t, err)
		require.Len(t, pending, 1, "the journal has it as open")
		require.NoError(t, h.journal.Finish(t.Context(), pending[0].IdempotencyKey, connectpsp.OutcomeRejected, ""))
		require.True(t, h.inbox.Retry(held.Key))
		h.pass(time.Hour)
		assert.Equal(t, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", h.stored())
		assert.Zero(t, h.balance())
		assert.Empty(t, h.reasons())
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

func TestARefundThatSomebodyElseMadeIsNotMadeAgain(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(h *house, charge string)
		steps   string
		refunds int
		held    string
	}{
		"the payer's bank took it back": {func(h *house, charge string) {
			require.NoError(h.t, h.gateway.ReturnCashIn(charge))
		}, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED unrequested", 0, "the charge came back without a refund that the journal knows"},
		"a person asked for it by hand, and it is under way": {func(h *house, charge string) {
			other, err := connectpsp.New(h.gateway.Config(), connectpsp.WithHTTPClient(h.gateway.HTTPClient()))
			require.NoError(h.t, err)
			_, err = other.RefundCashIn(h.t.Context(), charge, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud, Description: "by hand"},
				connectpsp.WithAttempt(7))
			require.NoError(h.t, err)
		}, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *house) {
				charge := h.charge()
				h.pay(charge, stranger, strangersAccount)
				require.NoError(t, h.gateway.WaitWebhooks(t.Context()))
				worked, err := h.running().worker.Work(t.Context()) // the step
				require.NoError(t, err)
				require.True(t, worked)
				require.NoError(t, h.gateway.FailNext("CASHIN_REFUNDED", sandbox.HoldWebhook))
				c.happens(h, charge)
				h.pass(10 * time.Minute)
				h.gateway.ReleaseWebhooks()
				h.pass(10 * time.Minute)
				assert.Equal(t, c.steps, h.stored())
				assert.Len(t, h.refunds(), c.refunds)
				assert.Zero(t, h.balance())
				assert.Equal(t, c.held != "", h.reasons() != "")
				assert.Contains(t, h.reasons(), c.held)
			}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
		})
	}
}

// The refund by the charge's id may return the second payment, which is the player's.
func TestNothingIsReturnedIfTheChargeWasPaidASecondTime(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		charge := h.charge()
		h.pay(charge, stranger, strangersAccount)
		require.NoError(t, h.gateway.WaitWebhooks(t.Context()))
		h.pay(charge, player, playersAccount)
		h.pass(time.Hour)
		assert.Equal(t, ">PAID_BY_OTHER", h.stored())
		assert.Empty(t, h.refunds())
		assert.Contains(t, h.reasons(), "the charge was paid a second time, and an automatic refund may return the wrong payment")
		assert.Len(t, h.inbox.Held(), 2, "and the second payment is held, as ever")
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

// A person who returns by hand what has gone back pays it out twice.
func TestNoHeldRefundSaysThatNothingWasReturnedIfItMayHaveBeen(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		require.NoError(t, h.gateway.FailNext("refundCashIn", slices.Repeat([]sandbox.Fault{sandbox.LoseAnswer}, 10)...))
		charge := h.charge()
		h.pay(charge, stranger, strangersAccount)
		require.NoError(t, h.gateway.WaitWebhooks(t.Context()))
		for range 2 { // the step, and the first attempts of the refund
			_, err := h.running().worker.Work(t.Context())
			require.NoError(t, err)
		}
		require.NoError(t, h.gateway.FailNext("CASHIN_REFUNDED", sandbox.HoldWebhook))
		require.NoError(t, h.gateway.SettleRefund(charge))
		h.pay(charge, player, playersAccount)
		h.pass(10 * time.Minute)
		assert.NotContains(t, h.reasons(), "returned nothing")
		assert.Contains(t, h.reasons(), "whether one of them was returned before")
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

// Until the settlement is recorded neither event nor response has an end-to-end id.
func TestThePlayersOwnPaymentIsNotReturnedInPlaceOfAnothersThatHadNoID(t *testing.T) {
	for name, checks := range map[string]bool{"": true, "by a Worker without the check": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *house) {
				charge := h.charge()
				h.pay(charge, player, playersAccount)
				body, err := json.Marshal(toReturn)
				require.NoError(t, err)
				h.record(charge, webhook.TransactionState{Status: webhook.StatusPaidByOther})
				item := webhook.Item{Key: "REFUND#0/CASHIN/" + charge, Transaction: "CASHIN/" + charge, Body: body}
				_, err = h.inbox.Put(t.Context(), item)
				require.NoError(t, err)
				if !checks {
					h.options = nil
					h.start(0)
				}
				h.pass(12 * time.Hour)
				assert.Empty(t, h.stored())
				assert.Empty(t, h.refunds())
				assert.Len(t, h.inbox.Held(), 2)
				assert.Equal(t, checks, strings.Contains(h.reasons(), "the payer check does not find another person any more"))
			}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
		})
	}
}

// record records the state of a charge.
func (h *house) record(charge string, state webhook.TransactionState) {
	h.t.Helper()
	_, err := h.inbox.Put(h.t.Context(), webhook.Item{Key: "RECORD", Transaction: "CASHIN/" + charge})
	require.NoError(h.t, err)
	claim, err := one(h.inbox.Claim(h.t.Context(), time.Minute, 1))
	require.NoError(h.t, err)
	require.Equal(h.t, "RECORD", claim.Key)
	require.NoError(h.t, h.inbox.Complete(h.t.Context(), claim, func(context.Context, webhook.TransactionState) (webhook.Result, error) {
		return webhook.Result{State: state}, nil
	}))
}

func TestAReturnInPartOfAForeignPaymentIsHeldWithTheRest(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		charge := h.charge()
		require.NoError(t, h.gateway.RefuseNext("refundCashIn", 422, "MISSING_END_TO_END_ID"))
		h.pay(charge, stranger, strangersAccount)
		h.work()
		require.NoError(t, h.gateway.ReturnCashInPart(charge, pix.Centavos(50)))
		h.pass(time.Hour)
		assert.Equal(t, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED unrequested", h.stored())
		assert.Contains(t, h.reasons(), "perhaps in part")
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

// After a leak of the CryptoToken.
func TestAForgedReturnDoesNotHideThatTheMoneyOfAnotherPersonIsHere(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		charge := h.charge()
		require.NoError(t, h.gateway.RefuseNext("refundCashIn", 422, "MISSING_END_TO_END_ID"))
		h.pay(charge, stranger, strangersAccount)
		require.NoError(t, h.gateway.WaitWebhooks(t.Context()))
		for range 2 { // the step, and the refund that is refused
			_, err := h.running().worker.Work(t.Context())
			require.NoError(t, err)
		}
		paid, err := h.gateway.CashIn(charge)
		require.NoError(t, err)
		body := fmt.Sprintf(`{"eventType":"CASHIN_REFUNDED","eventAt":"2026-03-10T11:22:18Z","data":{"transactionId":%q,"internalCode":%q,`+
			`"externalReference":"order-1","status":"REFUNDED","amount":10.50,"endToEndId":%q,"originalEndToEndId":%q,"payer":{"name":"A","document":%q}}}`,
			charge, paid.InternalCode, returnID, paid.EndToEndID, stranger)
		require.NoError(t, h.gateway.SendWebhook(h.url, []byte(body)))
		h.pass(20 * time.Second)
		assert.Empty(t, h.reasons(), "the gateway may report a return late")
		h.pass(time.Hour)
		assert.Equal(t, int64(1050), h.balance().Centavos())
		assert.Contains(t, h.reasons(), "ALARM: an event said that the charge came back")
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

func TestARefundThatTheClientRefusesIsHeldAtOnceAsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn)) // its client has no CryptoToken
		r.bank.lax = true
		r.bank.set(paidBy(stranger, otherBank))
		r.receive(t, paidBy(stranger, otherBank).event(webhook.CashInPaid))
		require.Len(t, r.reasons(), 1)
		assert.Contains(t, r.reasons()[0], "cannot be sent: the client has no CryptoToken")
	})
}

func TestAWorkerWithoutTheOptionMakesTheRefundsOfOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.pay(h.charge(), stranger, strangersAccount)
		require.NoError(t, h.gateway.WaitWebhooks(t.Context()))
		worked, err := h.running().worker.Work(t.Context()) // the step
		require.NoError(t, err)
		require.True(t, worked)
		h.options = nil // a deployment that is rolled back
		h.start(0)
		h.pass(10 * time.Minute)
		assert.Equal(t, ">PAID_BY_OTHER, PAID_BY_OTHER>REFUNDED", h.stored())
		request := h.gateway.Requests().ByOperation("refundCashIn")[0]
		assert.JSONEq(t, `{"reason":"MERCHANT_ERROR","description":"not the player"}`, string(request.Body()))
	}, webhook.WithPayerCheck(isPlayer),
		webhook.WithPayerRefund(connectpsp.RefundRequest{Reason: connectpsp.RefundMerchantError, Description: "not the player"}))
}

func TestARefundThatCannotBeReadIsHeld(t *testing.T) {
	for name, item := range map[string]webhook.Item{
		"its body is erased":         {Key: "REFUND#0/CASHIN/" + chargeID, Transaction: "CASHIN/" + chargeID},
		"it has no number":           {Key: "REFUND#x/CASHIN/" + chargeID, Transaction: "CASHIN/" + chargeID, Body: []byte("{}")},
		"it has no transaction":      {Key: "REFUND#0/", Body: []byte("{}")},
		"its state is not recorded":  {Key: "REFUND#0/CASHIN/" + chargeID, Transaction: "CASHIN/" + chargeID, Body: []byte(`{"reason":"FRAUD"}`)},
		"it is of a later version's": {Key: "REFUND#0/CASHIN/" + chargeID, Transaction: "CASHIN/" + chargeID, Body: []byte(`["?"]`)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.bank.set(charge(webhook.StatusPaid))
			_, err := r.inbox.Put(t.Context(), item)
			require.NoError(t, err)
			r.work(t)
			require.Len(t, r.reasons(), 1)
			assert.Contains(t, r.reasons()[0], "returned")
		})
	}
}

func TestAPaymentThatIsUnclearIsNeverReturned(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		h.pay(h.charge(), player, connectpsp.BankData{ISPB: "18236120", Branch: "0001", Account: "94771084"})
		h.pass(12 * time.Hour)
		assert.Equal(t, ">PAID_BY_UNKNOWN", h.stored())
		assert.Empty(t, h.refunds())
		assert.Empty(t, h.reasons())
	}, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn))
}

// Two workers on one inbox, and the item of the refund is claimed by both after its lease.
func TestWorkersThatRunAtOnceReturnAForeignPaymentOnce(t *testing.T) {
	h := openHouse(t, nil, webhook.WithPayerCheck(isPlayer), webhook.WithPayerRefund(toReturn), webhook.WithConcurrency(4))
	stop := run(t, h.running().worker, 3)
	defer stop()
	for range 20 {
		h.orders++
		h.pay(h.charge(), stranger, strangersAccount)
	}
	require.Eventually(t, func() bool { return h.balance().IsZero() }, 30*time.Second, 10*time.Millisecond)
	assert.Len(t, h.refunds(), 20)
}
