package sandbox_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
)

func TestAWebhookIsSignedAndHoldsTheDataOfARead(t *testing.T) {
	checker := contract.New(t)
	for _, test := range []struct {
		event string
		run   func(*gateway, string) (path string)
	}{
		{"CASHIN_PAID", func(g *gateway, url string) string {
			charge := g.newCashIn("order-1", url)
			require.NoError(t, g.PayCashIn(charge.TransactionID))
			return "/cash-in/" + charge.TransactionID
		}},
		{"CASHIN_REFUNDED", func(g *gateway, url string) string {
			charge := g.newCashIn("order-1", url)
			require.NoError(t, g.PayCashIn(charge.TransactionID))
			g.waitWebhooks()
			g.refund(charge.TransactionID)
			require.NoError(t, g.SettleRefund(charge.TransactionID))
			return "/cash-in/" + charge.TransactionID
		}},
		{"CASHOUT_COMPLETED", func(g *gateway, url string) string {
			payment := g.newCashOut("withdrawal-1", url)
			require.NoError(t, g.CompleteCashOut(payment.TransactionID))
			return "/cash-out/" + payment.TransactionID
		}},
		{"CASHOUT_FAILED", func(g *gateway, url string) string {
			payment := g.newCashOut("withdrawal-1", url)
			require.NoError(t, g.FailCashOut(payment.TransactionID, "PIX_KEY_NOT_FOUND", "No such key."))
			return "/cash-out/" + payment.TransactionID
		}},
		{"CASHOUT_REFUNDED", func(g *gateway, url string) string {
			payment := g.newCashOut("withdrawal-1", url)
			require.NoError(t, g.CompleteCashOut(payment.TransactionID))
			g.waitWebhooks()
			require.NoError(t, g.ReturnCashOut(payment.TransactionID))
			return "/cash-out/" + payment.TransactionID
		}},
	} {
		t.Run(test.event, func(t *testing.T) {
			receiver := newReceiver(t)
			g := start(t)
			path := test.run(g, receiver.URL)
			g.waitWebhooks()

			all := receiver.all()
			last := all[len(all)-1]
			checker.Webhook(last.body)
			assert.Equal(t, "application/json", last.header.Get("Content-Type"))
			assert.Equal(t, hex.EncodeToString(signing.Sum(g.Config().CryptoToken.Reveal(), last.body)),
				last.header.Get("X-Connect-Signature"))
			assert.NoError(t, uuid.Validate(last.header.Get("X-Event-Id")))

			var event struct {
				EventType string
				EventAt   string
				Data      json.RawMessage
			}
			require.NoError(t, json.Unmarshal(last.body, &event))
			assert.Equal(t, test.event, event.EventType)
			assert.True(t, strings.HasSuffix(event.EventAt, "Z"), "in UTC")
			assert.Equal(t, string(g.get(path).body), string(event.Data))

			deliveries := g.Deliveries()
			delivery := deliveries[len(deliveries)-1]
			assert.WithinDuration(t, g.Now(), delivery.Time, 10*time.Second)
			assert.Equal(t, sandbox.Delivery{
				EventType:     test.event,
				TransactionID: path[strings.LastIndex(path, "/")+1:],
				URL:           receiver.URL,
				EventID:       last.header.Get("X-Event-Id"),
				Attempt:       1,
				StatusCode:    200,
				Time:          delivery.Time,
			}, delivery)
		})
	}
}

func TestUnpublishedEventsAndTransactionsWithoutAURLSendNoWebhook(t *testing.T) {
	receiver := newReceiver(t)
	g := start(t)
	require.NoError(t, g.ExpireCashIn(g.newCashIn("order-1", receiver.URL).TransactionID))
	require.NoError(t, g.CancelCashIn(g.newCashIn("order-2", receiver.URL).TransactionID))
	require.NoError(t, g.CancelCashOut(g.newCashOut("withdrawal-1", receiver.URL).TransactionID))
	require.NoError(t, g.PayCashIn(g.newCashIn("order-3", "").TransactionID))
	g.waitWebhooks()
	assert.Empty(t, g.Deliveries())
	assert.Empty(t, receiver.all())
}

func TestAWebhookIsRetriedUntilItIsAnswered200(t *testing.T) {
	statuses := []int{500, 201, 204, 302, 404}
	receiver := newReceiver(t, statuses...)
	g := start(t)
	require.NoError(t, g.PayCashIn(g.newCashIn("order-1", receiver.URL).TransactionID))
	for i := range statuses {
		soon(t, receiver.arrived)
		g.Advance(time.Second << i)
	}
	g.waitWebhooks()

	all, deliveries := receiver.all(), g.Deliveries()
	require.Len(t, all, len(statuses)+1)
	ids := make(map[string]bool)
	for i, delivery := range deliveries {
		assert.Equal(t, append(statuses, 200)[i], delivery.StatusCode)
		assert.Equal(t, i+1, delivery.Attempt)
		assert.Empty(t, delivery.Error)
		assert.Equal(t, all[i].header.Get("X-Event-Id"), delivery.EventID)
		assert.Equal(t, all[0].body, all[i].body)
		ids[delivery.EventID] = true
		if i > 0 {
			assert.GreaterOrEqual(t, delivery.Time.Sub(deliveries[i-1].Time), time.Second<<(i-1))
		}
	}
	assert.Len(t, ids, len(all), "each attempt has its own id")
}

func TestTheBackoffHasALongestDelayAndALastAttempt(t *testing.T) {
	statuses := make([]int, sandbox.MaxAttempts)
	for i := range statuses {
		statuses[i] = 500
	}
	receiver := newReceiver(t, statuses...)
	g := start(t)
	require.NoError(t, g.PayCashIn(g.newCashIn("order-1", receiver.URL).TransactionID))
	for range sandbox.MaxAttempts {
		soon(t, receiver.arrived)
		g.Advance(time.Minute)
	}
	g.waitWebhooks()
	g.Advance(time.Hour)
	g.waitWebhooks()
	assert.Len(t, g.Deliveries(), sandbox.MaxAttempts)
}

func TestARetryWaitsForItsTime(t *testing.T) {
	receiver := newReceiver(t, 500)
	g := start(t, sandbox.WithTime(noon))
	require.NoError(t, g.PayCashIn(g.newCashIn("order-1", receiver.URL).TransactionID))
	soon(t, receiver.arrived)
	require.NoError(t, g.Advance(time.Second-1))
	assert.ErrorIs(t, g.WaitWebhooks(cancelled(t)), context.Canceled)
	assert.Len(t, receiver.all(), 1)
	require.NoError(t, g.Advance(1))
	assert.Len(t, receiver.all(), 2)
	assert.NoError(t, g.WaitWebhooks(cancelled(t)), "nothing waits")
}

// A dispatcher that does not notice the new time would sleep in real time, in every test that moves
// the clock.
func TestMovingTheClockSendsDueWebhooksAtOnce(t *testing.T) {
	for name, move := range map[string]func(*gateway) error{
		"Advance": func(g *gateway) error { return g.Advance(time.Hour) },
		"SetTime": func(g *gateway) error { return g.SetTime(g.Now().Add(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			receiver := newReceiver(t, 500, 500, 500, 500, 500, 500, 500) // a minute of real time
			g := start(t)
			require.NoError(t, g.PayCashIn(g.newCashIn("order-1", receiver.URL).TransactionID))
			begun := time.Now()
			require.NoError(t, move(g))
			assert.Len(t, receiver.all(), 8)
			assert.Less(t, time.Since(begun), 30*time.Second)
		})
	}
}

func TestARetryAlsoComesByTheRealClock(t *testing.T) {
	receiver := newReceiver(t, 500)
	g := start(t)
	require.NoError(t, g.PayCashIn(g.newCashIn("order-1", receiver.URL).TransactionID))
	g.waitWebhooks()
	assert.Len(t, receiver.all(), 2)
}

func TestADeliveryThatTimesOutIsRetried(t *testing.T) {
	calls := make(chan struct{}, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls <- struct{}{}
		if len(calls) == 1 {
			// The server notices that the client has gone only when the body has been read.
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}
	}))
	defer receiver.Close()
	g := start(t)
	g.SetAnswerTimeout(100 * time.Millisecond)
	require.NoError(t, g.PayCashIn(g.newCashIn("order-1", receiver.URL).TransactionID))
	g.waitWebhooks()
	deliveries := g.Deliveries()
	require.GreaterOrEqual(t, len(deliveries), 2)
	assert.Zero(t, deliveries[0].StatusCode)
	assert.Contains(t, deliveries[0].Error, "Timeout")
	assert.Equal(t, 200, deliveries[len(deliveries)-1].StatusCode)
}

func TestARedirectIsNotFollowed(t *testing.T) {
	elsewhere := newReceiver(t)
	receiver := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	g := startUnchecked(t)
	require.NoError(t, g.PayCashIn(g.newCashIn("order-1", receiver.URL).TransactionID))
	require.Eventually(t, func() bool { return len(g.Deliveries()) > 0 }, 10*time.Second, time.Millisecond)
	receiver.Close()
	require.NoError(t, g.Close())
	assert.Equal(t, http.StatusTemporaryRedirect, g.Deliveries()[0].StatusCode)
	assert.Empty(t, elsewhere.all())
}

func TestNothingIsSentToAnotherMachine(t *testing.T) {
	g := start(t)
	for _, url := range []string{
		"https://example.com/hook", "http://10.0.0.1/hook", "http://0.0.0.0/hook", "http://[2001:db8::1]/hook",
		"http://localhost.example.com/hook", "http://127.0.0.1.example.com/hook", "http://127.0.0.1@example.com/hook",
	} {
		charge := g.newCashIn("order-"+url, url)
		require.NoError(t, g.PayCashIn(charge.TransactionID))
		deliveries := g.Deliveries()
		refused := deliveries[len(deliveries)-1]
		assert.Equal(t, url, refused.URL)
		assert.Contains(t, refused.Error, "refused")
		assert.Zero(t, refused.Attempt)
		assert.Empty(t, refused.EventID)
	}
	g.waitWebhooks()
	// It must fail before it dials: a connection that the other machine refuses would not do.
	for _, url := range []string{"http://192.0.2.1/", "http://[2001:db8::1]/", "http://0.0.0.0:9/"} {
		assert.ErrorContains(t, g.DialWebhooks(url), "to loopback addresses only", "not even past the first check")
	}
	assert.Error(t, g.DialWebhooks(":"))
}

func TestAPrivateNetworkIsReachedOnlyIfAskedFor(t *testing.T) {
	g := start(t, sandbox.WithPrivateNetwork())
	for _, url := range []string{"http://192.0.2.1/", "http://[2001:db8::1]/", "http://0.0.0.0:9/"} {
		assert.ErrorContains(t, g.DialWebhooks(url), "refused: a sandbox", "a public address")
	}
	receiver := newReceiver(t)
	require.NoError(t, g.PayCashIn(g.newCashIn("order-1", receiver.URL).TransactionID))
	g.waitWebhooks()
	assert.Len(t, receiver.all(), 1)
	// Nothing may listen on a private address here, so only the refusal to dial is looked for.
	if err := g.DialWebhooks("http://10.255.255.1:9/"); err != nil {
		assert.NotContains(t, err.Error(), "refused: a sandbox")
	}
}

func TestAReceiverMayBeOnAnyLoopbackAddress(t *testing.T) {
	receiver := newReceiver(t)
	g := start(t)
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST", "[::ffff:127.0.0.1]"} {
		url := strings.Replace(receiver.URL, "127.0.0.1", host, 1)
		require.NoError(t, g.PayCashIn(g.newCashIn("order-"+host, url).TransactionID))
	}
	g.waitWebhooks()
	assert.Len(t, receiver.all(), 4)
}

func TestARedeliveryHasTheSameBytesAndANewID(t *testing.T) {
	receiver := newReceiver(t)
	g := start(t)
	charge := g.newCashIn("order-1", receiver.URL)
	assert.ErrorIs(t, g.Redeliver(charge.TransactionID), sandbox.ErrNotFound, "nothing was sent yet")
	assert.ErrorIs(t, g.Redeliver("nothing"), sandbox.ErrNotFound)
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	g.waitWebhooks()
	g.refund(charge.TransactionID)
	require.NoError(t, g.Redeliver(charge.InternalCode))
	g.waitWebhooks()
	payment := g.newCashOut("withdrawal-1", receiver.URL)
	require.NoError(t, g.CompleteCashOut(payment.TransactionID))
	g.waitWebhooks()
	require.NoError(t, g.Redeliver(payment.TransactionID))
	g.waitWebhooks()

	all := receiver.all()
	require.Len(t, all, 4)
	for i := 0; i < len(all); i += 2 {
		assert.Equal(t, all[i].body, all[i+1].body)
		assert.NotEqual(t, all[i].header.Get("X-Event-Id"), all[i+1].header.Get("X-Event-Id"))
	}
}

func TestWebhooksAreDeliveredConcurrently(t *testing.T) {
	const count = 4
	var together sync.WaitGroup
	together.Add(count)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		together.Done()
		together.Wait()
	}))
	defer receiver.Close()
	g := start(t)
	for range count {
		require.NoError(t, g.CompleteCashOut(g.newCashOut(uuid.NewString(), receiver.URL).TransactionID))
	}
	g.waitWebhooks()
	assert.Len(t, g.Deliveries(), count)
}

func TestAClosedSandboxSendsNothingMore(t *testing.T) {
	entered := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(entered)
		<-r.Context().Done()
	}))
	defer receiver.Close()
	g := start(t)
	charge := g.newCashIn("order-1", receiver.URL)
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	soon(t, entered)
	waited := make(chan error, 1)
	go func() { waited <- g.WaitWebhooks(context.Background()) }()
	require.NoError(t, g.Close())
	assert.ErrorIs(t, soon(t, waited), http.ErrServerClosed)
	require.NoError(t, g.Redeliver(charge.TransactionID))
	deliveries := g.Deliveries()
	require.Len(t, deliveries, 1)
	assert.NotEmpty(t, deliveries[0].Error)
	assert.Equal(t, "CASHIN_PAID", deliveries[0].EventType)
}
