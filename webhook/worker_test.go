package webhook_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// books is a user's state: what the function was told.
type books struct {
	mu          sync.Mutex
	transitions []webhook.Transition
	fail        error // of the function
}

func (b *books) apply(_ context.Context, t webhook.Transition) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.transitions = append(b.transitions, t)
	return nil
}

func (b *books) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text []string
	for _, t := range b.transitions {
		step := fmt.Sprintf("%s>%s", t.From, t.To)
		for _, mark := range []struct {
			name string
			set  bool
		}{{" missed", t.MissedPayment}, {" late", t.LatePayment}, {" contradiction", t.Contradiction}} {
			if mark.set {
				step += mark.name
			}
		}
		text = append(text, step)
	}
	return strings.Join(text, ", ")
}

// receiver is all that a user has.
type receiver struct {
	*webhook.Handler
	worker *webhook.Worker
	inbox  *webhook.MemoryInbox
	bank   *bank
	books  *books
	log    *bytes.Buffer
}

func newReceiver(t testing.TB, options ...webhook.WorkerOption) *receiver {
	return newReceiverOn(t, webhook.NewMemoryInbox(), options...)
}

func newReceiverOn(t testing.TB, inbox *webhook.MemoryInbox, options ...webhook.WorkerOption) *receiver {
	r := &receiver{inbox: inbox, bank: newBank(t), books: &books{}, log: &bytes.Buffer{}}
	r.Handler = newHandler(t, r.inbox)
	logged := webhook.WithLogger(slog.New(slog.NewTextHandler(r.log, nil)))
	r.worker = webhook.NewWorker(r.inbox, r.bank.client(t), r.books.apply, append(options, logged)...)
	return r
}

// soon receives from a channel. What does not come in half a minute never will.
func soon[T any](t testing.TB, from <-chan T) (received T) {
	t.Helper()
	select {
	case received = <-from:
	case <-time.After(30 * time.Second):
		require.FailNow(t, "nothing came")
	}
	return received
}

// work works off all that is due, which comes to an end.
func (r *receiver) work(t testing.TB) {
	t.Helper()
	for range 10_000 {
		worked, err := r.worker.Work(t.Context())
		require.NoError(t, err)
		if !worked {
			return
		}
	}
	require.FailNow(t, "the same is due again and again")
}

// receive delivers bodies, each worked off before the next.
func (r *receiver) receive(t testing.TB, bodies ...string) {
	for _, body := range bodies {
		require.Equal(t, 200, deliver(r, body))
		r.work(t)
	}
}

// reasons tells why items are kept for a person.
func (r *receiver) reasons() (reasons []string) {
	for _, item := range r.inbox.Held() {
		reasons = append(reasons, item.Held)
	}
	slices.Sort(reasons)
	return reasons
}

func TestStatusesOnlyMoveUpWhateverTheOrderOfEvents(t *testing.T) {
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

func TestAContradictionMovesNothingOnTheEventAlone(t *testing.T) {
	r := newReceiver(t)
	r.bank.fail(503)
	r.receive(t, failed, completed)
	assert.Equal(t, ">FAILED", r.books.String())
	assert.Equal(t, 1, r.bank.read())
	assert.Contains(t, r.log.String(), "will be tried again")
	assert.Empty(t, r.inbox.Held())
}

func TestATransitionTellsAllThereIsToKnow(t *testing.T) {
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

// A payment that is made after its charge has expired is money all the same.
func TestALatePaymentIsMarked(t *testing.T) {
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

func TestASecondBodyForAnEventIsNotBelieved(t *testing.T) {
	forged := charge(webhook.StatusPaid)
	forged.amount = pix.Centavos(999900)
	r := newReceiver(t)
	r.bank.set(charge(webhook.StatusPaid))
	r.receive(t, paid, forged.event(webhook.CashInPaid))
	assert.Equal(t, ">PAID", r.books.String())
	require.Len(t, r.reasons(), 1)
	assert.Contains(t, r.reasons()[0], "ALARM")
	assert.Contains(t, r.log.String(), "level=ERROR")

	// One that the gateway has written anew.
	r = newReceiver(t)
	r.bank.set(charge(webhook.StatusPaid))
	r.receive(t, paid, strings.Replace(paid, "11:22:18", "11:22:19", 1))
	assert.Equal(t, ">PAID", r.books.String())
	assert.Equal(t, 1, r.bank.read())
	assert.Empty(t, r.reasons())
}

// patience is for how long a transaction is looked for that the gateway does not find, and a little
// more.
const patience = 20 * time.Minute

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
		"no such charge":   {paid, transaction{}, "ALARM"},
		"another amount":   {altered(func(c *transaction) { c.amount = pix.Centavos(1051) }), charge(webhook.StatusPaid), "ALARM"},
		"another order":    {altered(func(c *transaction) { c.reference = "order-2" }), charge(webhook.StatusPaid), "ALARM"},
		"another payment":  {altered(func(c *transaction) { c.paymentID = outID }), charge(webhook.StatusPaid), "ALARM"},
		"it is not paid":   {paid, charge(webhook.StatusAwaitingPayment), ""},
		"it is cancelled":  {paid, charge(webhook.StatusCancelled), ""},
		"nobody knows yet": {paid, charge("DISPUTED"), ""},
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

func TestConfirmationPassesOnWhatTheGatewayAnswers(t *testing.T) {
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
	// The gateway knows more by now.
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.bank.set(charge(webhook.StatusRefunded))
	r.receive(t, paid, refunded)
	assert.Equal(t, ">REFUNDED missed", r.books.String())
	// The payment is the same, wherever its id stands by then.
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
	// A field that one of them leaves out is not compared, and never taken from the event.
	r = newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.bank.set(payment(webhook.StatusCompleted))
	r.receive(t, `{"eventType":"CASHOUT_COMPLETED","eventAt":"2026-03-10T11:22:18Z","data":{"transactionId":"`+paymentID+`"}}`)
	assert.Equal(t, ">COMPLETED", r.books.String())
	assert.Equal(t, pix.Centavos(5000), r.books.transitions[0].CashOut.Amount)
}

// Whoever forges an event chooses its amount, too.
func TestAnEventWithoutAnAmountIsConfirmedFromAnyAmount(t *testing.T) {
	for _, amount := range []string{"", `,"amount":null`, `,"amount":0`, `,"amount":-10.50`} {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(1051)))
		r.bank.set(charge(webhook.StatusAwaitingPayment))
		r.receive(t, `{"eventType":"CASHIN_PAID","data":{"transactionId":"`+chargeID+`","externalReference":"order-1"`+amount+`}}`)
		assert.Empty(t, r.books.String(), amount)
		assert.Equal(t, 1, r.bank.read(), amount)
	}
}

// What the event says of the money is unknown, so the function is given what the gateway says, and
// nothing if that cannot be had.
func TestAnAmountThatIsNoMoneyIsReadFromTheGateway(t *testing.T) {
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

// A payment comes back in two parts, and the gateway tells of the second by the time the first is
// worked off.
func TestConfirmationReadsAReturnThatIsNotTheLastByItsOwnID(t *testing.T) {
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

// The forged event came first and was believed. The right one tells.
func TestASecondBodyThatIsRightRaisesAnAlarmAboutTheFirst(t *testing.T) {
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

// A part of a payment came back, and the gateway may state the part's amount.
func TestTheAmountOfAReturnIsNotThatOfThePayment(t *testing.T) {
	part := payment(webhook.StatusRefunded)
	part.amount = pix.Centavos(2000)
	r := newReceiver(t)
	r.bank.set(part)
	r.receive(t, completed, strings.Replace(completed, "11:22:18", "11:22:19", 1))
	assert.Equal(t, ">COMPLETED", r.books.String())
	assert.Len(t, r.reasons(), 1, "an event of the payment with another amount than the gateway's is for a person")

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

// An item that was kept under the event's own key, by a version that did not see what it is about.
func TestAnEventThatIsReadAtLastIsNotTakenForItsOwnDuplicate(t *testing.T) {
	now := time.Now()
	event, err := parse(paid)
	require.NoError(t, err)
	for _, mark := range []string{"", "#sha256:00"} {
		r := newReceiver(t)
		r.bank.set(charge(webhook.StatusPaid))
		_, err = r.inbox.Put(t.Context(), webhook.Item{Key: event.Key() + mark, Body: []byte(paid), ReceivedAt: now, Due: now})
		require.NoError(t, err)
		r.work(t)
		assert.Equal(t, ">PAID", r.books.String())
		assert.Equal(t, mark != "", r.books.transitions[0].Confirmed, "what is doubted stays so")
	}
}

func TestAHeldItemCanBeDismissedAndPrintsNoPersonalData(t *testing.T) {
	r := newReceiver(t)
	disputed := strings.Replace(paid, "CASHIN_PAID", "CASHIN_DISPUTED", 1)
	r.receive(t, disputed)
	require.Len(t, r.inbox.Held(), 1)
	item := r.inbox.Held()[0]
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("held", "item", item, "claim", webhook.Claim{Item: item})
	for _, printed := range []string{fmt.Sprint(item), fmt.Sprintf("%+v", []webhook.Item{item}), fmt.Sprintf("%#v", &item), fmt.Sprintf("%d", item), log.String()} {
		assert.Contains(t, printed, item.Key)
		assert.Contains(t, printed, "does not know its type")
		assert.NotContains(t, printed, "Test User")
		assert.NotContains(t, printed, fmt.Sprint(item.Body)[1:20])
	}
	assert.True(t, r.inbox.Dismiss(item.Key))
	assert.False(t, r.inbox.Dismiss(item.Key))
	assert.False(t, r.inbox.Retry(item.Key))
	assert.Empty(t, r.inbox.Held())
	r.receive(t, disputed)
	assert.EqualValues(t, 1, r.Counts().Duplicates, "it is known for ever")
}

func TestAFunctionThatFailsIsCalledAgainUntilAPersonIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		r.books.fail = errDown
		r.receive(t, paid)
		begun, calls := time.Now(), 1
		for len(r.inbox.Held()) == 0 {
			time.Sleep(time.Second)
			worked, err := r.worker.Work(t.Context())
			require.NoError(t, err)
			if worked {
				calls++
			}
		}
		assert.Equal(t, 21, calls, "the last one holds it")
		assert.InDelta(t, 9*time.Hour, time.Since(begun), float64(time.Hour))
		assert.Contains(t, r.reasons()[0], "20 times")
		assert.Contains(t, r.log.String(), errDown.Error())
		assert.Equal(t, webhook.WorkerCounts{Failed: 20, Held: 1}, r.worker.Counts())

		r.books.fail = nil
		require.True(t, r.inbox.Retry(r.inbox.Held()[0].Key))
		r.work(t)
		assert.Equal(t, ">PAID", r.books.String())
		assert.False(t, r.inbox.Retry("CASHIN_PAID/"+chargeID+"/"+inID), "it is not held any more")
	})
}

func TestAPanicOfTheFunctionIsAFailureLikeOthers(t *testing.T) {
	r := newReceiver(t)
	worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(context.Context, webhook.Transition) error { panic("a bug") })
	require.Equal(t, 200, deliver(r, paid))
	worked, err := worker.Work(t.Context())
	assert.True(t, worked)
	assert.NoError(t, err)
	assert.Equal(t, webhook.WorkerCounts{Failed: 1}, worker.Counts())
}

func TestWhatCannotBeReadIsKeptForAPersonAndWorkedOffWhenItCan(t *testing.T) {
	r := newReceiver(t)
	r.receive(t, "<html>", strings.Replace(paid, "CASHIN_PAID", "CASHIN_DISPUTED", 1), strings.Replace(paid, "CASHIN_PAID", "SOMETHING", 1))
	require.Len(t, r.inbox.Held(), 3)
	assert.Empty(t, r.books.String())
	for _, item := range r.inbox.Held() {
		require.True(t, r.inbox.Retry(item.Key))
	}
	r.work(t)
	assert.Len(t, r.inbox.Held(), 3, "it still cannot be read")

	// As if the SDK could not read this body when it was received.
	now := time.Now()
	_, err := r.inbox.Put(t.Context(), webhook.Item{Key: "QUARANTINE#00", Body: []byte(paid), ReceivedAt: now, Due: now})
	require.NoError(t, err)
	r.work(t)
	r.receive(t, paid)
	assert.Equal(t, ">PAID", r.books.String())
	assert.Equal(t, uint64(1), r.Handler.Counts().Duplicates)
}

func TestALeaseThatIsOverGivesTheItemToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		require.Equal(t, 200, deliver(r, paid))
		claim, err := r.inbox.Claim(t.Context(), 2*time.Minute)
		require.NoError(t, err)
		require.NotNil(t, claim) // and its process dies
		r.work(t)
		assert.Empty(t, r.books.String())
		time.Sleep(2 * time.Minute)
		r.work(t)
		assert.Equal(t, ">PAID", r.books.String())
		assert.ErrorIs(t, r.inbox.Hold(t.Context(), claim, "late"), webhook.ErrClaimLost)
		assert.ErrorIs(t, r.inbox.Postpone(t.Context(), claim, time.Now(), "late"), webhook.ErrClaimLost)
		assert.ErrorIs(t, r.inbox.Complete(t.Context(), claim, nil), webhook.ErrClaimLost)
	})
}

func TestAWorkerRunsUntilItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.worker.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, 200, deliver(r, paid))
		require.Equal(t, 200, deliver(r, refunded))
		time.Sleep(time.Second)
		assert.Equal(t, ">PAID, PAID>REFUNDED", r.books.String())
		cancel()
		assert.ErrorIs(t, soon(t, ended), context.Canceled)
	})
}

func TestTheFunctionHasLessTimeThanALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		begun := time.Now()
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
			<-ctx.Done()
			assert.Equal(t, 100*time.Second, time.Since(begun))
			return ctx.Err()
		})
		require.Equal(t, 200, deliver(r, paid))
		worked, err := worker.Work(t.Context())
		require.NoError(t, err)
		assert.True(t, worked)
		assert.Equal(t, webhook.WorkerCounts{Failed: 1}, worker.Counts())
	})
}

// heedfulInbox heeds its context, as a database does.
type heedfulInbox struct{ *webhook.MemoryInbox }

func (h heedfulInbox) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return h.MemoryInbox.Postpone(ctx, claim, due, reason)
}

// A worker is told to end in the middle of its work, and another begins at once.
func TestAnItemThatIsInterruptedIsNotLeftUntilItsLeaseIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		ctx, cancel := context.WithCancel(t.Context())
		worker := webhook.NewWorker(heedfulInbox{r.inbox}, r.bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
			cancel()
			return ctx.Err()
		})
		require.Equal(t, 200, deliver(r, paid))
		assert.ErrorIs(t, worker.Run(ctx), context.Canceled)
		time.Sleep(time.Second)
		r.work(t)
		assert.Equal(t, ">PAID", r.books.String())
	})
}

// unsteadyInbox fails in all its methods until it is mended.
type unsteadyInbox struct {
	webhook.Inbox
	mended atomic.Bool
}

func (u *unsteadyInbox) Claim(ctx context.Context, lease time.Duration) (*webhook.Claim, error) {
	if !u.mended.Load() {
		return nil, errDown
	}
	return u.Inbox.Claim(ctx, lease)
}

func TestAWorkerOutlivesAFailureOfItsInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		inbox := &unsteadyInbox{Inbox: r.inbox}
		worker := webhook.NewWorker(inbox, r.bank.client(t), r.books.apply, webhook.WithLogger(slog.New(slog.NewTextHandler(r.log, nil))))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.Equal(t, 200, deliver(r, paid))
		time.AfterFunc(30*time.Second, func() { inbox.mended.Store(true) })
		assert.ErrorIs(t, worker.Run(ctx), context.DeadlineExceeded)
		assert.Equal(t, ">PAID", r.books.String())
		assert.Contains(t, r.log.String(), "the database is down")
		assert.Less(t, strings.Count(r.log.String(), "\n"), 200, "it does not spin")
	})
}

func TestAWorkerThatCouldNotWorkIsNotMade(t *testing.T) {
	r := newReceiver(t)
	assert.Panics(t, func() { webhook.NewWorker(nil, r.bank.client(t), r.books.apply) })
	assert.Panics(t, func() { webhook.NewWorker(r.inbox, nil, r.books.apply) })
	assert.Panics(t, func() { webhook.NewWorker(r.inbox, r.bank.client(t), nil) })
}

func TestNothingThatIsLoggedHoldsPersonalData(t *testing.T) {
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	r.receive(t, paid, completed, failed, "<html>", strings.Replace(paid, "CASHIN_PAID", "CASHIN_DISPUTED", 1))
	r.bank.fail(500)
	r.receive(t, refunded)
	require.Contains(t, r.log.String(), "level=WARN")
	require.Contains(t, r.log.String(), "level=ERROR")
	for _, personal := range []string{"Test User", "Maria", "12345678909", "maria@example.com"} {
		assert.NotContains(t, r.log.String(), personal)
	}
}
