package webhook_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

var _ = auth.NewSecret
var _ = connectpsp.New
var _ = runtime.Goexit
var _ = slog.New
var _ = errors.New
var _ = http.NoBody
var _ = context.Background

// 1
func TestAPartOfAPaymentThatComesBackIsConfirmed(t *testing.T) {
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

// 2
func TestAThiefDoesNotChooseWhetherAnEventIsConfirmed(t *testing.T) {
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

// 3
func TestAnOutageBeforeA404IsNoReasonToBelieveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		r.bank.fail(503)
		r.receive(t, paid)
		r.pass(t, 20*time.Minute)
		r.bank.fail(0) // not found at first
		r.pass(t, 20*time.Minute)
		r.bank.set(charge(webhook.StatusPaid))
		r.pass(t, 3*time.Hour)
		assert.Equal(t, ">PAID", r.books.String())
		assert.Empty(t, r.reasons())
	})
}

// 3b the order comes late, then one 404
func TestAFunctionThatFailedIsNoReasonToBelieveOne404(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		r.bank.set(charge(webhook.StatusPaid))
		r.books.fail = errors.New("no such order")
		r.receive(t, paid)
		r.pass(t, 30*time.Minute)
		r.bank.fail(404)
		r.books.fail = nil
		r.pass(t, 10*time.Minute)
		r.bank.fail(0)
		r.pass(t, 2*time.Hour)
		assert.Equal(t, ">PAID", r.books.String())
		assert.NotContains(t, r.log.String(), "ALARM")
	})
}

// 4
func TestItemsThatWaitForTheirTurnHaveTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		for n := range 40 {
			d := deposit(n, pix.Centavos(1))
			r.bank.set(d)
			require.Equal(t, 200, deliver(r, d.event(webhook.CashInPaid)))
		}
		r.bank.delay = 100 * time.Millisecond
		least := time.Hour
		expired := 0
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
			end, _ := ctx.Deadline()
			least = min(least, time.Until(end))
			select {
			case <-time.After(20 * time.Second):
				return nil
			case <-ctx.Done():
				expired++
				return ctx.Err()
			}
		}, webhook.WithConfirmation(pix.Centavos(0)))
		stop := run(t, worker, 1)
		time.Sleep(40*20*time.Second + time.Minute)
		stop()
		t.Log(worker.Counts(), least, expired)
		assert.Zero(t, worker.Counts().Failed)
		assert.Greater(t, least, 90*time.Second)
		assert.EqualValues(t, 40, worker.Counts().Applied)
	})
}

// 4b: held though nothing is wrong
func TestNothingIsHeldBecauseTheFunctionIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		const n = 400
		for n := range n {
			d := deposit(n, pix.Centavos(1))
			r.bank.set(d)
			require.Equal(t, 200, deliver(r, d.event(webhook.CashInPaid)))
		}
		r.bank.delay = 100 * time.Millisecond
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
			select {
			case <-time.After(45 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, webhook.WithConfirmation(pix.Centavos(0)), webhook.WithLogger(slog.New(slog.DiscardHandler)))
		stop := run(t, worker, 1)
		time.Sleep(48 * time.Hour)
		stop()
		t.Log(worker.Counts())
		assert.Empty(t, r.reasons())
		assert.EqualValues(t, n, worker.Counts().Applied)
	})
}

// 5
func TestTheIDOfAConfirmedPaymentIsNotForgotten(t *testing.T) {
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	truth := charge(webhook.StatusPaid)
	truth.paymentID = "" // the gateway leaves it out
	r.bank.set(truth)
	r.receive(t, paid, another(charge(webhook.StatusPaid)).event(webhook.CashInPaid))
	assert.Equal(t, ">PAID", r.books.String())
	t.Log(r.log.String())
	assert.Len(t, r.reasons(), 1)
}

// 6
type lostHold struct{ webhook.Inbox }

func (lostHold) Hold(context.Context, *webhook.Claim, string) error { return webhook.ErrClaimLost }

func TestWhatIsNotHeldIsNotCountedAsHeld(t *testing.T) {
	r := newReceiver(t)
	worker := webhook.NewWorker(lostHold{r.inbox}, r.bank.client(t), r.books.apply, webhook.WithLogger(slog.New(slog.NewTextHandler(r.log, nil))))
	r.receive(t, paid)
	require.Equal(t, 200, deliver(r, another(charge(webhook.StatusPaid)).event(webhook.CashInPaid)))
	_, err := worker.Work(t.Context())
	require.NoError(t, err)
	assert.Zero(t, worker.Counts().Held)
	assert.NotContains(t, r.log.String(), "level=ERROR")
}

// 8
type goexit struct{ http.RoundTripper }

func (goexit) RoundTrip(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil }

func TestAReadingThatDoesNotReturnDoesNotStopRun(t *testing.T) {
	r := newReceiver(t)
	client, err := connectpsp.New(connectpsp.Config{
		ClientID: "1024", ClientSecret: auth.NewSecret("client-secret"),
		ApplicationToken: auth.NewSecret("0d8a5c0e-8f0f-4c62-9b8b-4b6f1f7c2a11"), BaseURL: "https://gateway.example",
	}, connectpsp.WithHTTPClient(&http.Client{Transport: goexit{}}), connectpsp.WithTokenSource(fixedToken{}))
	require.NoError(t, err)
	worker := webhook.NewWorker(r.inbox, client, r.books.apply, webhook.WithConfirmation(pix.Centavos(1050)))
	require.Equal(t, 200, deliver(r, paid))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = worker.Run(ctx) }()
	time.Sleep(time.Second)
	require.Equal(t, 200, deliver(r, deposit(1, pix.Centavos(1)).event(webhook.CashInPaid)))
	time.Sleep(time.Second)
	assert.EqualValues(t, 1, worker.Counts().Applied)
	cancel()
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
		t.Error("Run does not end")
	}
}

// 10 return of a second payment told without original
func TestAnUnconfirmedReturnIDIsNotAdopted(t *testing.T) {
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	whole := charge(webhook.StatusRefunded)
	whole.returnID = ""
	r.bank.set(whole)
	r.receive(t, refunded)
	t.Log(r.books.String(), r.reasons())
}

// 12 a cache in between mixes up one answer
func TestOneAnswerAboutAnotherTransactionIsLikeAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		r.bank.transactions[chargeID] = deposit(7, pix.Centavos(1050))
		r.receive(t, paid)
		r.bank.set(charge(webhook.StatusPaid))
		r.pass(t, 10*time.Minute)
		assert.Equal(t, ">PAID", r.books.String())
		assert.Empty(t, r.reasons())
	})
}

// The commonest forgery: an open charge is said to be paid.
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
