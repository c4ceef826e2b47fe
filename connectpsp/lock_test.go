package connectpsp_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func TestConcurrentCallsForOnePaymentAreSentOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		under, most := 0, 0
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			under--
			mu.Unlock()
			replyJSON(202, cashOutAccepted)(w, r)
		})
		client := gateway.memoryClient()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := client.CreateCashOut(t.Context(), cashOutRequest())
				assert.NoError(t, err)
			})
		}
		all.Wait()
		assert.Equal(t, 1, most)
		requireSameIntent(t, gateway.requests())
	})
}

func TestCallsForDifferentPaymentsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			replyJSON(202, `{"transactionId":"`+cashOutID+`"}`)(w, r)
		}).memoryClient()
		begun := time.Now()
		var all sync.WaitGroup
		for n := range 50 {
			all.Go(func() {
				request := cashOutRequest()
				request.ExternalReference = strconv.Itoa(n)
				_, err := client.CreateCashOut(t.Context(), request)
				assert.NoError(t, err)
			})
		}
		all.Wait()
		assert.Less(t, time.Since(begun), 2*time.Second)
	})
}

// By the time the second call gets the lock, the first caller may already pay in some other way.
func TestACallThatWaitedForARejectedOneIsRejectedAndNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			problem(422, "INSUFFICIENT_FUNDS")(w, r)
		}, replyJSON(202, cashOutAccepted))
		client := gateway.memoryClient()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				_, err := client.CreateCashOut(t.Context(), cashOutRequest())
				assert.Equal(t, rejected, outcomeOf(err))
				assert.ErrorIs(t, err, connectpsp.CodeInsufficientFunds)
			})
		}
		all.Wait()
		assert.Len(t, gateway.requests(), 1)
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		assert.NoError(t, err, "a call that begins afterwards is a new one")
	})
}

func TestACallThatWaitedForOneThatWasNotSentIsNotSentEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, replyJSON(202, cashOutAccepted))
		client := gateway.memoryClient(connectpsp.WithTokenSource(&slowToken{}))
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			_, err := client.CreateCashOut(ctx, cashOutRequest())
			assert.ErrorIs(t, err, connectpsp.ErrNotSent)
		})
		synctest.Wait()
		all.Go(func() {
			later, cancel := timeout(t, time.Minute)
			defer cancel()
			_, err := client.CreateCashOut(later, cashOutRequest())
			assert.ErrorIs(t, err, connectpsp.ErrNotSent, "the first caller may have given the money back")
		})
		all.Wait()
		assert.Empty(t, gateway.requests())
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		assert.NoError(t, err, "a call that begins afterwards is a new one")
	})
}

// slowToken is a token source whose first call waits until its context ends.
type slowToken struct{ once sync.Once }

func (s *slowToken) Token(ctx context.Context) (token auth.Secret, err error) {
	s.once.Do(func() { <-ctx.Done(); err = ctx.Err() })
	if err == nil {
		token, err = fixedToken("a.b.c").Token(ctx)
	}
	return token, err
}

func (s *slowToken) Invalidate(auth.Secret) {}

func TestACallThatStopsWaitingForTheLockHasAnUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Second)
			replyJSON(202, cashOutAccepted)(w, r)
		})
		client := gateway.memoryClient()
		begun := time.Now()
		go func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) }()
		time.Sleep(time.Second)
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		older := doubtAbout(t, redirect(303, "/"))
		older.FirstSentAt = older.FirstSentAt.Add(-time.Minute)
		_, err := client.ResolveCashOut(ctx, older, cashOutRequest())
		require.Equal(t, unknown, outcomeOf(err))
		assert.Equal(t, older.FirstSentAt, must2(asUnknown(err)).FirstSentAt)

		ctx, cancel = timeout(t, time.Second)
		defer cancel()
		_, err = client.CreateCashOut(ctx, cashOutRequest())
		require.Equal(t, unknown, outcomeOf(err))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "another call for this payment is under way")
		doubt := must2(asUnknown(err))
		assert.Zero(t, doubt.Attempts)
		assert.Equal(t, begun, doubt.FirstSentAt)
		time.Sleep(time.Minute)
	})
}

// The call that holds the lock repeats one that was sent long before.
func TestACallThatStopsWaitingReportsWhenThePaymentWasFirstSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			if first {
				first = false
				redirect(303, "/")(w, r)
				return
			}
			time.Sleep(10 * time.Second)
			replyJSON(202, cashOutAccepted)(w, r)
		}).memoryClient()
		begun := time.Now()
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		require.Equal(t, unknown, outcomeOf(err))
		time.Sleep(5 * time.Minute)
		go func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) }()
		time.Sleep(time.Second)
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		_, err = client.CreateCashOut(ctx, cashOutRequest())
		require.Equal(t, unknown, outcomeOf(err))
		assert.True(t, begun.Equal(must2(asUnknown(err)).FirstSentAt), "it would be taken to be replayable for too long")
		time.Sleep(time.Minute)
	})
}

func TestACallThatStopsWaitingReportsTheKeyOfTheOpenAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Second)
			replyJSON(202, cashOutAccepted)(w, r)
		})
		client := gateway.memoryClient()
		go func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) }()
		time.Sleep(time.Second)
		for name, option := range map[string]connectpsp.CallOption{"another attempt": connectpsp.WithAttempt(1), "a faulty key": connectpsp.WithIdempotencyKey("")} {
			ctx, cancel := timeout(t, time.Second)
			_, err := client.CreateCashOut(ctx, cashOutRequest(), option)
			cancel()
			require.Equal(t, unknown, outcomeOf(err))
			assert.Equal(t, keyOf(gateway.requests()[0]), must2(asUnknown(err)).IdempotencyKey, name)
		}
		time.Sleep(time.Minute)
	})
}

func TestAnInvalidRequestIsUnknownWhileAnotherCallForThePaymentIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			redirect(303, "/")(w, r)
		})
		client := gateway.memoryClient()
		go func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) }()
		synctest.Wait()
		typo := cashOutRequest()
		typo.Payee.Document = "111"
		_, err := client.CreateCashOut(t.Context(), typo)
		assert.Equal(t, unknown, outcomeOf(err), "the other call's payment may be made")
		ctx, cancel := timeout(t, 0)
		defer cancel()
		_, err = client.CreateCashOut(ctx, typo)
		assert.Equal(t, unknown, outcomeOf(err))
	})
}

func TestTwoPaymentsUnderOneKeyAreNotBothSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			body := must(io.ReadAll(r.Body))
			if strings.Contains(string(body), "withdrawal-42") {
				replyJSON(202, cashOutAccepted)(w, r)
				return
			}
			replyJSON(202, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-43"}`)(w, r)
		})
		client := gateway.memoryClient()
		key := connectpsp.WithIdempotencyKey("5f0f1d2c-0000-4000-8000-000000000099")
		other := cashOutRequest()
		other.ExternalReference = "withdrawal-43"
		var all sync.WaitGroup
		for _, payment := range []connectpsp.CashOutRequest{cashOutRequest(), other} {
			all.Go(func() { _, _ = client.CreateCashOut(t.Context(), payment, key) })
		}
		all.Wait()
		assert.Len(t, gateway.requests(), 1, "the second payment would get the first one's response")
	})
}

func TestAnOpenPaymentThatWaitsForItsKeyIsNotRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, redirect(303, "/"), func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Second)
			replyJSON(202, `{"transactionId":"`+cashOutID+`"}`)(w, nil)
		})
		client := gateway.memoryClient()
		key := connectpsp.WithIdempotencyKey("5f0f1d2c-0000-4000-8000-000000000099")
		require.Equal(t, unknown, outcomeOf(second(client.CreateCashOut(t.Context(), cashOutRequest()))))
		other := cashOutRequest()
		other.ExternalReference = "withdrawal-43"
		go func() { _, _ = client.CreateCashOut(t.Context(), other, key) }()
		synctest.Wait()
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		_, err := client.CreateCashOut(ctx, cashOutRequest(), key)
		assert.Equal(t, unknown, outcomeOf(err), "%v", err)
		time.Sleep(time.Minute)
	})
}

func TestAPanicOfTheTransportReleasesTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		gateway := newGateway(t, replyJSON(202, cashOutAccepted))
		inner := inMemory{gateway.handler}
		client := must(connectpsp.New(config(memoryURL), connectpsp.WithTokenSource(fixedToken("a.b.c")), connectpsp.WithHTTPClient(&http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if n.Add(1) == 1 {
					panic("a bug in a middleware")
				}
				return inner.RoundTrip(r)
			})})))
		assert.Panics(t, func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) })
		ctx, cancel := timeout(t, time.Hour)
		defer cancel()
		_, err := client.CreateCashOut(ctx, cashOutRequest())
		assert.NoError(t, err)
	})
}

// A journal of the caller's may panic, and a net/http server recovers from that.
func TestAPanicOfTheJournalReleasesTheLock(t *testing.T) {
	book := panickyJournal{newNotebook(), new(bool)}
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient(connectpsp.WithJournal(book))
	*book.panics = true
	assert.Panics(t, func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) })
	assert.Panics(t, func() {
		_, _ = client.CreateCashOut(t.Context(), connectpsp.CashOutRequest{ExternalReference: "withdrawal-42"})
	})
	*book.panics = false
	ctx, cancel := timeout(t, 5*time.Second)
	defer cancel()
	_, err := client.CreateCashOut(ctx, cashOutRequest())
	assert.NoError(t, err)
}

// Recover may still send a payment whose rejection is not recorded.
func TestAPanicOfTheJournalSharesNoRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			problem(422, "INSUFFICIENT_FUNDS")(w, r)
		}, replyJSON(202, cashOutAccepted))
		client := gateway.memoryClient(connectpsp.WithJournal(panickyFinish{newNotebook()}))
		first := make(chan struct{})
		go func() {
			defer close(first)
			assert.Panics(t, func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) })
		}()
		synctest.Wait()
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, accepted, outcomeOf(err), "%v", err)
		receive(t, first)
	})
}

// panickyFinish is a journal that panics when it is to record a rejection.
type panickyFinish struct{ *notebook }

func (p panickyFinish) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	if outcome == connectpsp.OutcomeRejected {
		panic("a bug in the journal")
	}
	return p.notebook.Finish(ctx, key, outcome, transactionID)
}

type panickyJournal struct {
	*notebook
	panics *bool
}

func (p panickyJournal) Sent(ctx context.Context, key string, at time.Time) error {
	if *p.panics {
		panic("a bug in the journal")
	}
	return p.notebook.Sent(ctx, key, at)
}

func (p panickyJournal) Find(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	if *p.panics {
		panic("a bug in the journal")
	}
	return p.notebook.Find(ctx, intent)
}
