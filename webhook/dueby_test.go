package webhook_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// withDue returns the steps, with those marked that are due and not ended.
func (r *receiver) withDue() string {
	var steps []string
	for _, t := range r.books.transitions {
		step := fmt.Sprintf("%s>%s", t.From, t.To)
		if t.Late {
			step += " due"
		}
		steps = append(steps, step)
	}
	return strings.Join(steps, ", ")
}

// lateLines returns how often the log says that a payment is late.
func (r *receiver) lateLines() int { return strings.Count(r.log.String(), "event=payment.late") }

func TestAPaymentThatIsLateIsToldOnceAndHasNotFailed(t *testing.T) {
	for name, test := range map[string]struct {
		polled bool // by WatchCashOut too
		status webhook.Status
		ends   string // the event that comes later
		steps  string
	}{
		"nothing is recorded yet": {false, webhook.StatusProcessing, completed, "PROCESSING>PROCESSING due, >COMPLETED"},
		"a poll has read it":      {true, webhook.StatusProcessing, completed, ">PROCESSING, PROCESSING>PROCESSING due, PROCESSING>COMPLETED"},
		"it fails later":          {true, webhook.StatusProcessing, failed, ">PROCESSING, PROCESSING>PROCESSING due, PROCESSING>FAILED"},
		"of an unknown status":    {false, "DISPUTED", completed, "PROCESSING>PROCESSING due, >COMPLETED"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t)
				r.bank.set(payment(test.status))
				due := time.Now().Add(2 * time.Hour)
				if test.polled {
					require.NoError(t, r.worker.WatchCashOut(t.Context(), paymentID))
				}
				for range 2 { // the second does nothing
					require.NoError(t, r.worker.WatchDueBy(t.Context(), paymentID, due))
				}
				r.pass(t, 2*time.Hour-time.Minute)
				assert.NotContains(t, r.withDue(), "due")
				assert.Zero(t, r.lateLines())
				r.pass(t, 2*time.Minute)
				require.Contains(t, r.withDue(), "due")
				late := r.books.transitions[len(r.books.transitions)-1]
				assert.Equal(t, webhook.KindCashOut, late.Kind)
				assert.Equal(t, paymentID, late.TransactionID)
				require.NotNil(t, late.CashOut)
				assert.Equal(t, "withdrawal-42", late.CashOut.ExternalReference)
				assert.True(t, late.Confirmed)
				assert.Nil(t, late.Event)
				assert.False(t, late.Contradiction || late.MissedPayment || late.LatePayment)
				r.pass(t, 20*time.Hour)
				r.receive(t, test.ends)
				r.pass(t, 5*time.Hour)
				assert.Equal(t, test.steps, r.withDue())
				assert.Equal(t, 1, r.lateLines())
				assert.Contains(t, r.log.String(), "level=ERROR msg=\"webhook: a payment is not known to have ended at its due time\"")
				assert.Empty(t, r.reasons())
			})
		})
	}
}

func TestAPaymentThatHasEndedAtItsDueTimeIsNotLate(t *testing.T) {
	for name, test := range map[string]struct {
		event string // before it is due, empty if its webhook is lost
		ends  webhook.Status
		steps string
		reads int
	}{
		"completed":                  {completed, webhook.StatusCompleted, ">COMPLETED", 0},
		"failed":                     {failed, webhook.StatusFailed, ">FAILED", 0},
		"returned":                   {returned, webhook.StatusRefunded, ">REFUNDED", 0},
		"completed, event lost":      {"", webhook.StatusCompleted, ">COMPLETED", 1},
		"failed, event lost":         {"", webhook.StatusFailed, ">FAILED", 1},
		"cancelled, which has none":  {"", webhook.StatusCancelled, ">CANCELLED", 1},
		"returned, both events lost": {"", webhook.StatusRefunded, ">REFUNDED", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t)
				r.bank.set(payment(webhook.StatusProcessing))
				require.NoError(t, r.worker.WatchDueBy(t.Context(), paymentID, time.Now().Add(2*time.Hour)))
				r.pass(t, time.Hour)
				r.bank.set(payment(test.ends))
				if test.event != "" {
					r.receive(t, test.event)
				}
				r.pass(t, 30*time.Hour)
				assert.Equal(t, test.steps, r.withDue())
				assert.Equal(t, test.reads, r.bank.read())
				assert.Zero(t, r.lateLines())
				assert.Empty(t, r.reasons())
			})
		})
	}
}

func TestADueTimeThatHasPassedIsLookedAtNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(payment(webhook.StatusProcessing))
		require.NoError(t, r.worker.WatchDueBy(t.Context(), paymentID, time.Now().Add(-72*time.Hour)))
		state, err := r.inbox.State(t.Context())
		require.NoError(t, err)
		assert.Equal(t, webhook.InboxState{Due: 1, OldestDue: time.Now()}, state, "the queue does not lag")
		r.work(t)
		assert.Equal(t, "PROCESSING>PROCESSING due", r.withDue())
	})
}

func TestALatePaymentIsLoggedWhileTheGatewayCannotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		ends  webhook.Status
		steps string
	}{
		"and told then":                         {webhook.StatusProcessing, "PROCESSING>PROCESSING due"},
		"and it has ended when it is read then": {webhook.StatusCompleted, ">COMPLETED"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t)
				r.bank.set(payment(webhook.StatusProcessing))
				require.NoError(t, r.worker.WatchDueBy(t.Context(), paymentID, time.Now().Add(time.Hour)))
				r.bank.fail(http.StatusInternalServerError)
				r.pass(t, time.Hour+10*time.Second)
				assert.Equal(t, "", r.withDue())
				assert.NotZero(t, r.lateLines())
				r.pass(t, 30*time.Minute)
				r.bank.fail(0)
				r.bank.set(payment(test.ends))
				r.pass(t, 2*time.Hour)
				assert.Equal(t, test.steps, r.withDue())
				assert.Empty(t, r.reasons())
			})
		})
	}
}

func TestALatePaymentIsToldUntilTheFunctionSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(payment(webhook.StatusProcessing))
		require.NoError(t, r.worker.WatchDueBy(t.Context(), paymentID, time.Now()))
		r.books.fail = errDown
		r.pass(t, time.Minute)
		r.books.fail = nil
		r.pass(t, time.Hour)
		assert.Equal(t, "PROCESSING>PROCESSING due", r.withDue())
	})
}

// A forged event was applied before the payment was read.
func TestALatePaymentOfAnotherAmountRaisesAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(payment(webhook.StatusProcessing))
		require.NoError(t, r.worker.WatchCashOut(t.Context(), paymentID))
		r.pass(t, time.Minute)
		other := payment(webhook.StatusProcessing)
		other.amount = pix.Centavos(1)
		r.bank.set(other)
		require.NoError(t, r.worker.WatchDueBy(t.Context(), paymentID, time.Now()))
		r.work(t)
		assert.Equal(t, ">PROCESSING", r.withDue())
		require.Len(t, r.reasons(), 1)
		assert.Contains(t, r.reasons()[0], "ALARM")
	})
}

func TestTheDueTimeOfARecoveredPaymentIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.bank.set(payment(webhook.StatusProcessing))
		due := time.Now().Add(2 * time.Hour)
		require.NoError(t, r.worker.WatchRecovered(t.Context(), []connectpsp.Recovered{
			{Operation: connectpsp.OperationCreateCashOut, DueBy: due, Err: &connectpsp.UnknownOutcomeError{}},
			{Operation: connectpsp.OperationCreateCashOut, DueBy: due, Err: connectpsp.ErrNotSent},
			{Operation: connectpsp.OperationCreateCashOut, DueBy: due, TransactionID: paymentID},
			{Operation: connectpsp.OperationCreateCashOut, TransactionID: "without-one"},
		}))
		r.pass(t, 3*time.Hour)
		assert.Equal(t, ">PROCESSING, PROCESSING>PROCESSING due", r.withDue())
	})
}

func TestADueTimeNeedsATransactionAndATime(t *testing.T) {
	r := newReceiver(t)
	for field, watch := range map[string]func() error{
		"transactionID": func() error { return r.worker.WatchDueBy(t.Context(), "", time.Now()) },
		"due":           func() error { return r.worker.WatchDueBy(t.Context(), paymentID, time.Time{}) },
	} {
		var invalid *connectpsp.ValidationError
		require.ErrorAs(t, watch(), &invalid)
		assert.Equal(t, field, invalid.Field)
		assert.Equal(t, connectpsp.InvalidEmpty, invalid.Code)
	}
}

func TestAnObserverSeesThatAPaymentIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := new(watcher)
		r := newReceiver(t, webhook.WithObserver(seen))
		r.bank.set(payment(webhook.StatusProcessing))
		require.NoError(t, r.worker.WatchDueBy(t.Context(), paymentID, time.Now().Add(time.Minute)))
		r.pass(t, 2*time.Minute)
		processed := endedAs[webhook.Processing](seen)
		require.Len(t, processed, 1)
		processed[0].Duration = 0
		assert.Equal(t, webhook.Processing{
			Kind: webhook.KindCashOut, Attempt: 1, Result: webhook.ProcessingApplied, From: webhook.StatusProcessing, To: webhook.StatusProcessing,
			Late: true, TransactionID: paymentID, ExternalReference: "withdrawal-42",
		}, processed[0])
	})
}
