package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
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

func TestATransactionThatIsFoundLateIsApplied(t *testing.T) {
	for name, begin := range map[string]func(*receiver, *testing.T){
		"that an event told of": func(r *receiver, t *testing.T) { r.receive(t, paid) },
		"that is watched":       func(r *receiver, t *testing.T) { require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
				begin(r, t)
				r.pass(t, 12*time.Minute)
				assert.Empty(t, r.reasons())
				assert.GreaterOrEqual(t, r.bank.read(), 9, "it is looked for again and again")
				r.bank.set(charge(webhook.StatusPaid))
				r.pass(t, 10*time.Minute)
				assert.Equal(t, ">PAID", r.books.String())
				assert.NotContains(t, r.log.String(), "ALARM")
			})
		})
	}
}

func TestThePageOfAProxyIsTreatedLikeAnOutage(t *testing.T) {
	for name, begin := range map[string]func(*receiver, *testing.T){
		"for an event": func(r *receiver, t *testing.T) { r.receive(t, paid) },
		"for a watch":  func(r *receiver, t *testing.T) { require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
				r.bank.intercept(http.StatusNotFound, "<html>default backend - 404</html>")
				begin(r, t)
				r.pass(t, 2*time.Hour)
				assert.Empty(t, r.reasons())
				r.bank.intercept(0, "")
				r.bank.set(charge(webhook.StatusPaid))
				r.pass(t, 2*time.Hour)
				assert.Equal(t, ">PAID", r.books.String())
				assert.NotContains(t, r.log.String(), "ALARM")
			})
		})
	}
}

func TestAHangingGatewayDelaysOnlyItemsThatNeedConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(100_00)))
		r.bank.hang(true)
		const large, small = 50, 50
		for n := range large {
			d := deposit(n, pix.Centavos(100_00))
			r.bank.set(d)
			require.Equal(t, 200, deliver(r, d.event(webhook.CashInPaid)))
		}
		stop := run(t, r.worker, 1)
		defer stop()
		for n := range small {
			time.Sleep(time.Second)
			require.Equal(t, 200, deliver(r, deposit(large+n, pix.Centavos(1)).event(webhook.CashInPaid)))
			time.Sleep(time.Second)
			assert.EqualValues(t, n+1, r.worker.Counts().Applied, "within a second")
		}
		r.bank.hang(false)
		time.Sleep(10 * time.Minute)
		assert.EqualValues(t, large+small, r.worker.Counts().Applied)
		assert.Empty(t, r.reasons())
		assert.LessOrEqual(t, r.bank.mostWaiting, 8)
	})
}

// untried is an inbox that records the attempts of items that were postponed without being tried.
type untried struct {
	webhook.Inbox
	attempts []int
}

func (u *untried) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	if strings.Contains(reason, "too slow") {
		u.attempts = append(u.attempts, claim.Attempts)
	}
	return u.Inbox.Postpone(ctx, claim, due, reason)
}

func TestAnItemPostponedForASlowGatewayUsesNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		inbox := &untried{Inbox: r.inbox}
		r.bank.hang(true)
		for n := range 20 {
			require.Equal(t, 200, deliver(r, deposit(n, pix.Centavos(1)).event(webhook.CashInPaid)))
		}
		worker := webhook.NewWorker(inbox, r.bank.client(t), r.books.apply, webhook.WithConfirmation(pix.Centavos(0)))
		stop := run(t, worker, 1)
		time.Sleep(5 * time.Second)
		stop()
		assert.Equal(t, make([]int, 12), inbox.attempts, "eight are asked about")
	})
}

// A hanging gateway must not use up the time of the function.
func TestAConfirmationTakesTenSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		r.bank.hang(true)
		require.Equal(t, 200, deliver(r, paid))
		begun := time.Now()
		worked, err := r.worker.Work(t.Context())
		require.NoError(t, err)
		assert.True(t, worked)
		assert.Equal(t, 10*time.Second, time.Since(begun))
		assert.EqualValues(t, 1, r.worker.Counts().Failed)
	})
}

// No item is postponed while the gateway is fast.
func TestConfirmationsRunAsFastAsTheGatewayResponds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
		const deposits = 200
		for n := range deposits {
			d := deposit(n, pix.Centavos(1))
			r.bank.set(d)
			require.Equal(t, 200, deliver(r, d.event(webhook.CashInPaid)))
		}
		r.bank.delay = 100 * time.Millisecond
		var within, most int
		var mu sync.Mutex
		worker := webhook.NewWorker(r.inbox, r.bank.client(t), func(context.Context, webhook.Transition) error {
			mu.Lock()
			within++
			most = max(most, within)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			within--
			mu.Unlock()
			return nil
		}, webhook.WithConfirmation(pix.Centavos(0)))
		stop := run(t, worker, 1)
		defer stop()
		time.Sleep(4 * time.Second)
		assert.EqualValues(t, deposits, worker.Counts().Applied)
		assert.Equal(t, 1, most, "one Run calls the function for one step at a time")
	})
}

func TestA404AfterAnOutageIsRetried(t *testing.T) {
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

// The function succeeds only after its order is stored, and by then the gateway answers one 404.
func TestA404AfterTheFunctionFailedIsRetried(t *testing.T) {
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

// A cache in between returns one wrong response.
func TestAResponseAboutAnotherTransactionIsTreatedLikeAnOutage(t *testing.T) {
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

func TestAReadThatEndsItsGoroutineDoesNotStopRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		client, err := connectpsp.New(connectpsp.Config{
			ClientID: "1024", ClientSecret: auth.NewSecret("client-secret"),
			ApplicationToken: auth.NewSecret("0d8a5c0e-8f0f-4c62-9b8b-4b6f1f7c2a11"), BaseURL: "https://gateway.example",
		}, connectpsp.WithHTTPClient(&http.Client{Transport: goexit{}}), connectpsp.WithTokenSource(fixedToken{}))
		require.NoError(t, err)
		worker := webhook.NewWorker(r.inbox, client, r.books.apply, webhook.WithConfirmation(pix.Centavos(1050)))
		stop := run(t, worker, 1)
		require.Equal(t, 200, deliver(r, paid))
		time.Sleep(time.Second)
		require.Equal(t, 200, deliver(r, deposit(1, pix.Centavos(1)).event(webhook.CashInPaid)))
		time.Sleep(time.Second)
		assert.EqualValues(t, 1, worker.Counts().Applied)
		stop()
	})
}

// goexit is a transport that ends its goroutine, as FailNow does in the test of a user.
type goexit struct{ http.RoundTripper }

func (goexit) RoundTrip(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil }
