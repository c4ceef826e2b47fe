package webhook_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestAWatchFindsATransactionWithoutAWebhook(t *testing.T) {
	for name, c := range map[string]struct {
		begins, ends transaction
		watch        func(*webhook.Worker, *testing.T) error
		after        time.Duration
		steps        string
	}{
		"a charge": {charge(webhook.StatusAwaitingPayment), charge(webhook.StatusPaid), func(w *webhook.Worker, t *testing.T) error {
			return w.WatchCashIn(t.Context(), chargeID)
		}, 3 * time.Minute, ">AWAITING_PAYMENT, AWAITING_PAYMENT>PAID"},
		"a payment": {payment(webhook.StatusProcessing), payment(webhook.StatusFailed), func(w *webhook.Worker, t *testing.T) error {
			return w.WatchCashOut(t.Context(), paymentID)
		}, 10 * time.Minute, ">PROCESSING, PROCESSING>FAILED"},
		"a payment that is cancelled": {payment(webhook.StatusProcessing), payment(webhook.StatusCancelled), func(w *webhook.Worker, t *testing.T) error {
			return w.WatchCashOut(t.Context(), paymentID)
		}, 10 * time.Minute, ">PROCESSING, PROCESSING>CANCELLED"},
		"a charge that is cancelled": {charge(webhook.StatusAwaitingPayment), charge(webhook.StatusCancelled), func(w *webhook.Worker, t *testing.T) error {
			return w.WatchCashIn(t.Context(), chargeID)
		}, 10 * time.Minute, ">AWAITING_PAYMENT, AWAITING_PAYMENT>CANCELLED"},
		"a refund": {charge(webhook.StatusPaid), charge(webhook.StatusRefunded), func(w *webhook.Worker, t *testing.T) error {
			return w.WatchRefund(t.Context(), chargeID)
		}, 5 * time.Hour, ">PAID, PAID>REFUNDED"},
		"a refund that is not settled": {charge(webhook.StatusPaid), charge(webhook.StatusRefunded), func(w *webhook.Worker, t *testing.T) error {
			return w.WatchRecovered(t.Context(), []connectpsp.Recovered{
				{Operation: "createCashOut", Err: &connectpsp.UnknownOutcomeError{}}, {Operation: "refundCashIn", Err: connectpsp.ErrNotSent},
				{Operation: "refundCashIn", TransactionID: chargeID, Err: &connectpsp.UnknownOutcomeError{}},
			})
		}, 5 * time.Hour, ">PAID, PAID>REFUNDED"},
		"an accepted refund that was recovered": {charge(webhook.StatusPaid), charge(webhook.StatusRefunded), func(w *webhook.Worker, t *testing.T) error {
			return w.WatchRecovered(t.Context(), []connectpsp.Recovered{{Operation: "refundCashIn", TransactionID: chargeID}})
		}, 5 * time.Hour, ">PAID, PAID>REFUNDED"},
		"a charge that was recovered": {charge(webhook.StatusAwaitingPayment), charge(webhook.StatusPaid), func(w *webhook.Worker, t *testing.T) error {
			return w.WatchRecovered(t.Context(), []connectpsp.Recovered{{Operation: "createCashIn", TransactionID: chargeID}})
		}, 5 * time.Hour, ">AWAITING_PAYMENT, AWAITING_PAYMENT>PAID"},
		"what was recovered": {payment(webhook.StatusProcessing), payment(webhook.StatusCompleted), func(w *webhook.Worker, t *testing.T) error {
			return w.WatchRecovered(t.Context(), []connectpsp.Recovered{
				{Operation: "createCashOut", Err: connectpsp.ErrNotSent}, {Operation: "createCashOut", TransactionID: paymentID},
			})
		}, 23 * time.Hour, ">PROCESSING, PROCESSING>COMPLETED"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t)
				r.bank.set(c.begins)
				require.NoError(t, c.watch(r.worker, t))
				require.NoError(t, c.watch(r.worker, t), "a second time does nothing")
				r.pass(t, c.after)
				r.bank.set(c.ends)
				r.pass(t, 25*time.Hour)
				assert.Equal(t, c.steps, r.books.String())
				assert.Empty(t, r.reasons())
				assert.True(t, r.books.transitions[0].Confirmed)
				assert.Nil(t, r.books.transitions[0].Event)
				assert.LessOrEqual(t, r.bank.read(), 6, "one read for every rung")
			})
		})
	}
}

func TestAWatchReadsOnItsScheduleAndIsThenHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(payment(webhook.StatusProcessing))
		require.NoError(t, r.worker.WatchCashOut(t.Context(), paymentID))
		begun, reads := time.Now(), []time.Duration(nil)
		for time.Since(begun) < 48*time.Hour {
			before := r.bank.read()
			r.pass(t, 10*time.Second)
			if r.bank.read() > before {
				reads = append(reads, time.Since(begun))
			}
		}
		assert.Equal(t, []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}, reads)
		assert.Equal(t, []string{"it is still not final: ask the provider"}, r.reasons())
	})
}

// The user may have paid again after the cancellation.
func TestACancelledPaymentThatCompletesIsAContradiction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(payment(webhook.StatusCancelled))
		require.NoError(t, r.worker.WatchCashOut(t.Context(), paymentID))
		r.pass(t, time.Minute)
		r.bank.fail(503)
		r.receive(t, completed)
		assert.Equal(t, ">CANCELLED", r.books.String())
		r.bank.fail(0)
		r.bank.set(payment(webhook.StatusCompleted))
		r.pass(t, time.Minute)
		assert.Equal(t, ">CANCELLED, CANCELLED>COMPLETED contradiction", r.books.String())
	})
}

// The last read may find a new status that is not final.
func TestAWatchIsHeldIfItsLastReadIsNotFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(payment("DISPUTED"))
		require.NoError(t, r.worker.WatchCashOut(t.Context(), paymentID))
		r.pass(t, 23*time.Hour)
		r.bank.set(payment(webhook.StatusProcessing))
		r.pass(t, 2*time.Hour)
		assert.Equal(t, ">PROCESSING", r.books.String())
		assert.Equal(t, []string{"it is still not final: ask the provider"}, r.reasons())
	})
}

// An unpaid charge is not held until it must have expired.
func TestAChargeIsWatchedUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		r.pass(t, 7*24*time.Hour)
		assert.Empty(t, r.reasons())
		r.bank.set(charge(webhook.StatusExpired))
		r.pass(t, 25*24*time.Hour)
		assert.Equal(t, ">AWAITING_PAYMENT, AWAITING_PAYMENT>EXPIRED", r.books.String())
		assert.Empty(t, r.reasons())

		r = newReceiver(t)
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		r.pass(t, 32*24*time.Hour)
		assert.Equal(t, []string{"it is still not final: ask the provider"}, r.reasons())
	})
}

func TestAWatchOfAnUnknownTransactionRaisesNoAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), "../account"))
		r.pass(t, 10*time.Minute)
		assert.Len(t, r.reasons(), 1, "a new transaction may not be found yet")
		r.pass(t, 10*time.Minute)
		assert.Equal(t, []string{
			"the gateway does not know the transaction, so it is no longer polled: watch it by its transactionId",
			"the transaction must be read from the gateway, and its id is not a valid one",
		}, r.reasons())
		assert.NotContains(t, r.log.String(), "ALARM")
	})
}

// A forged event was applied before the watch read the charge.
func TestAReadThatContradictsAnEventRaisesAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		forged := charge(webhook.StatusPaid)
		forged.amount = pix.Centavos(999900)
		r.receive(t, forged.event(webhook.CashInPaid))
		r.bank.set(charge(webhook.StatusPaid))
		require.NoError(t, r.worker.WatchRefund(t.Context(), chargeID))
		r.pass(t, time.Minute)
		require.Len(t, r.reasons(), 1)
		assert.Contains(t, r.reasons()[0], "ALARM")
	})
}

func TestAWatchEndsWithTheEventAndReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		require.NoError(t, r.worker.WatchCashOut(t.Context(), paymentID))
		require.NoError(t, r.worker.WatchRefund(t.Context(), chargeID))
		r.receive(t, failed, refunded)
		r.pass(t, 25*time.Hour)
		assert.Zero(t, r.bank.read())
		assert.Empty(t, r.reasons())
	})
}

func TestAnEventAfterTheReadChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(payment(webhook.StatusRefunded))
		require.NoError(t, r.worker.WatchCashOut(t.Context(), paymentID))
		r.pass(t, time.Minute)
		r.receive(t, returned, completed)
		assert.Equal(t, ">REFUNDED missed", r.books.String())
	})
}

func TestAReadThatIsOlderThanAnEventIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		require.NoError(t, r.worker.WatchRefund(t.Context(), chargeID))
		r.receive(t, paid)
		r.pass(t, time.Hour)
		assert.Equal(t, ">PAID", r.books.String())
		assert.Contains(t, r.log.String(), "an older status")
		r.bank.set(charge(webhook.StatusRefunded))
		r.pass(t, time.Hour)
		assert.Equal(t, ">PAID, PAID>REFUNDED", r.books.String())
	})
}

func TestAChargeIsReadOnItsScheduleForAMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		begun, reads := time.Now(), []time.Duration(nil)
		for time.Since(begun) < 40*24*time.Hour {
			before := r.bank.read()
			r.pass(t, time.Minute)
			if r.bank.read() > before {
				reads = append(reads, time.Since(begun))
			}
		}
		const day = 24 * time.Hour
		assert.Equal(t, []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, day, day + time.Hour,
			3 * day, 8 * day, 31 * day}, reads)
	})
}

// The inbox commits what the function puts into it together with the step.
func TestAWatchStartedByTheFunctionIsStoredOnlyIfItsStepIs(t *testing.T) {
	for name, failure := range map[string]error{"": nil, "the function fails": errDown} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t)
				r.bank.set(charge(webhook.StatusPaid))
				var worker *webhook.Worker
				var after context.Context
				worker = webhook.NewWorker(r.inbox, r.bank.client(t), func(ctx context.Context, step webhook.Transition) error {
					after = ctx
					for range 2 {
						assert.NoError(t, worker.WatchRefund(ctx, step.TransactionID))
					}
					return failure
				})
				require.Equal(t, 200, deliver(r, paid))
				_, err := worker.Work(t.Context())
				require.NoError(t, err)
				const key = "READ#REFUND/CASHIN/" + chargeID
				earlier, err := r.inbox.Put(t.Context(), webhook.Item{Key: key, Held: "a probe"})
				require.NoError(t, err)
				assert.Equal(t, failure == nil, earlier != nil)
				// After the step its context is like any other.
				require.NoError(t, worker.WatchCashIn(context.WithoutCancel(after), chargeID))
				earlier, err = r.inbox.Put(t.Context(), webhook.Item{Key: "READ#PAYMENT/CASHIN/" + chargeID})
				require.NoError(t, err)
				assert.NotNil(t, earlier)
			})
		})
	}
}

func TestAWatchNeedsTheTransactionID(t *testing.T) {
	r := newReceiver(t)
	var invalid *connectpsp.ValidationError
	require.ErrorAs(t, r.worker.WatchCashIn(t.Context(), ""), &invalid)
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.transactions["US7B1JQ"] = charge(webhook.StatusPaid)
		require.NoError(t, r.worker.WatchCashIn(t.Context(), "US7B1JQ"))
		r.pass(t, time.Minute)
		require.Len(t, r.reasons(), 1)
		assert.Contains(t, r.reasons()[0], "another transactionId")
	})
}

// The limit of twenty attempts is for each read: a charge is read ten times within a month.
func TestAWatchThatOutlivesOutagesIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		for _, calm := range []time.Duration{90 * time.Minute, 14 * time.Hour, 24 * time.Hour} { // so that each outage meets a reading
			r.bank.fail(http.StatusInternalServerError)
			r.pass(t, 4*time.Hour)
			r.bank.fail(0)
			r.pass(t, calm)
		}
		assert.Empty(t, r.reasons())
		assert.Greater(t, int(r.worker.Counts().Failed), 20)
	})
}
