package connectpsp_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// watcher is an Observer that keeps the activities that have ended, and names each activity in its
// context.
type watcher struct {
	mu    sync.Mutex
	begun []any
	ended []any
	paths []string // of the ended ones, from the outermost activity
}

type pathKey struct{}

func (w *watcher) Begin(ctx context.Context, activity any) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = append(w.begun, activity)
	outer, _ := ctx.Value(pathKey{}).(string)
	return context.WithValue(ctx, pathKey{}, outer+fmt.Sprintf("/%T", activity))
}

func (w *watcher) End(ctx context.Context, activity any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, activity)
	path, _ := ctx.Value(pathKey{}).(string)
	w.paths = append(w.paths, path)
}

// ended returns the ended activities of a type, without their durations and their ids.
func endedAs[T any](w *watcher) (ended []T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, activity := range w.ended {
		if one, ok := activity.(T); ok {
			ended = append(ended, one)
		}
	}
	return ended
}

func TestAnObserverSeesTheOutcomeOfEachCall(t *testing.T) {
	invalid := cashOutRequest()
	invalid.Payee.Document = "1"
	pay := func(c *connectpsp.Client) { _, _ = c.CreateCashOut(context.Background(), cashOutRequest()) }
	read := func(c *connectpsp.Client) { _, _ = c.GetCashOut(context.Background(), cashOutID) }
	for name, test := range map[string]struct {
		steps []http.HandlerFunc
		call  func(*connectpsp.Client)
		want  connectpsp.Call
	}{
		"accepted": {[]http.HandlerFunc{replyJSON(202, cashOutAccepted)}, pay,
			connectpsp.Call{Operation: "createCashOut", Outcome: "accepted", Attempts: 1}},
		"accepted at last": {[]http.HandlerFunc{drop, html(502), replyJSON(202, cashOutAccepted)}, pay,
			connectpsp.Call{Operation: "createCashOut", Outcome: "accepted", Attempts: 3}},
		"invalid": {nil, func(c *connectpsp.Client) { _, _ = c.CreateCashOut(context.Background(), invalid) },
			connectpsp.Call{Operation: "createCashOut", Outcome: "invalid"}},
		"rejected": {[]http.HandlerFunc{problem(422, "INSUFFICIENT_FUNDS")}, pay,
			connectpsp.Call{Operation: "createCashOut", Outcome: "rejected", Code: "INSUFFICIENT_FUNDS", Attempts: 1}},
		"rejected with a new code": {[]http.HandlerFunc{problem(422, "PAYEE_LIMIT")}, pay,
			connectpsp.Call{Operation: "createCashOut", Outcome: "rejected", Code: "OTHER", Attempts: 1}},
		"conflict": {[]http.HandlerFunc{problem(409, "DUPLICATED_REFERENCE")}, pay,
			connectpsp.Call{Operation: "createCashOut", Outcome: "unknown", Code: "OTHER", Attempts: 1}},
		"unknown": {[]http.HandlerFunc{html(500)}, pay,
			connectpsp.Call{Operation: "createCashOut", Outcome: "unknown", Attempts: 4}},
		"not sent": {nil, func(c *connectpsp.Client) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _ = c.CreateCashOut(ctx, cashOutRequest())
		}, connectpsp.Call{Operation: "createCashOut", Outcome: "not_sent"}},
		"read": {[]http.HandlerFunc{replyJSON(200, cashOutCompleted)}, read,
			connectpsp.Call{Operation: "getCashOut", Outcome: "accepted", Attempts: 1}},
		"read of none": {[]http.HandlerFunc{problem(404, "NOT_FOUND")}, read,
			connectpsp.Call{Operation: "getCashOut", Outcome: "rejected", Code: "OTHER", Attempts: 1}},
		"read of a proxy's page": {[]http.HandlerFunc{html(403)}, read,
			connectpsp.Call{Operation: "getCashOut", Outcome: "failed", Attempts: 1}},
		"read failed": {[]http.HandlerFunc{html(503)}, read,
			connectpsp.Call{Operation: "getCashOut", Outcome: "failed", Attempts: 4}},
		"refund": {[]http.HandlerFunc{replyJSON(202, refundAccepted)}, func(c *connectpsp.Client) {
			_, _ = c.RefundCashIn(context.Background(), cashInID, fraud)
		}, connectpsp.Call{Operation: "refundCashIn", Outcome: "accepted", Attempts: 1}},
		"rebalance": {[]http.HandlerFunc{replyJSON(200, `{"success":true}`)}, func(c *connectpsp.Client) {
			_, _ = c.RebalanceAccount(context.Background(), cashOutRequest().Amount)
		}, connectpsp.Call{Operation: "rebalanceAccount", Outcome: "accepted", Attempts: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := new(watcher)
			test.call(newGateway(t, test.steps...).client(connectpsp.WithObserver(seen)))
			calls := endedAs[connectpsp.Call](seen)
			require.Len(t, calls, 1)
			call := calls[0]
			assert.Positive(t, call.Duration)
			if call.Attempts > 0 {
				assert.Positive(t, call.Token, "it waited for the first token")
			}
			call.Duration, call.Token = 0, 0
			call.ExternalReference, call.IdempotencyKey, call.TransactionID = "", "", ""
			assert.Equal(t, test.want, call)
			assert.Len(t, endedAs[connectpsp.Attempt](seen), test.want.Attempts)
			assert.Len(t, seen.begun, len(seen.ended))
		})
	}
}

func TestAnObserverSeesTheIDsOfACall(t *testing.T) {
	seen := new(watcher)
	client := newGateway(t, replyJSON(202, cashOutAccepted)).client(connectpsp.WithObserver(seen))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithIdempotencyKey("6f1c9b8e-5d7a-4c3b-9e2f-1a2b3c4d5e6f"))
	require.NoError(t, err)
	call := endedAs[connectpsp.Call](seen)[0]
	assert.Equal(t, "withdrawal-42", call.ExternalReference)
	assert.Equal(t, "6f1c9b8e-5d7a-4c3b-9e2f-1a2b3c4d5e6f", call.IdempotencyKey)
	assert.Equal(t, cashOutID, call.TransactionID)
}

func TestAnObserverSeesWhyEachAttemptFailedAndWhyTheNextFollows(t *testing.T) {
	seen := new(watcher)
	gateway := newGateway(t, problem(401, "TOKEN_EXPIRED"), drop, html(503), retryAfter("0", problem(429, "RATE_LIMITED")), replyJSON(202, cashOutAccepted))
	gateway.handler = http.HandlerFunc(gateway.serve) // a 429 is not in the description
	policy := connectpsp.RetryPolicy{MaxAttempts: 9, BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}
	_, err := gateway.client(connectpsp.WithObserver(seen), connectpsp.WithRetryPolicy(policy)).CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	attempts := endedAs[connectpsp.Attempt](seen)
	for n := range attempts {
		assert.Positive(t, attempts[n].Duration)
		assert.NotEmpty(t, attempts[n].Server)
		attempts[n].Duration, attempts[n].Server = 0, ""
	}
	attempt := func(number int, reason connectpsp.RetryReason, rest connectpsp.Attempt) connectpsp.Attempt {
		rest.Operation, rest.Method, rest.Path, rest.Number, rest.Reason = "createCashOut", "POST", "/cash-out", number, reason
		return rest
	}
	assert.Equal(t, []connectpsp.Attempt{
		attempt(1, "", connectpsp.Attempt{Status: 401, Outcome: "rejected", Code: "TOKEN_EXPIRED"}),
		attempt(2, connectpsp.RetryToken, connectpsp.Attempt{Outcome: "unknown", Error: "connection"}),
		attempt(3, connectpsp.RetryNoResponse, connectpsp.Attempt{Status: 503, Outcome: "unknown"}),
		attempt(4, connectpsp.RetryGatewayFailed, connectpsp.Attempt{Status: 429, Outcome: "rejected", Code: "OTHER", Deviation: "code"}),
		attempt(5, connectpsp.RetryRateLimited, connectpsp.Attempt{Status: 202, Outcome: "accepted"}),
	}, attempts)
	tokens := endedAs[connectpsp.TokenRequest](seen)
	require.Len(t, tokens, 2)
	assert.Equal(t, 200, tokens[1].Status)
	assert.Equal(t, tokens[0].Number+1, tokens[1].Number)
}

func TestAnObserverSeesResponsesThatDeviateFromTheDescription(t *testing.T) {
	for want, step := range map[string]http.HandlerFunc{
		"body":        replyJSON(202, `{"status":"PROCESSING"}`),
		"transaction": replyJSON(202, `{"transactionId":"`+cashOutID+`","externalReference":"another","status":"PROCESSING"}`),
		"status":      redirect(302, "/"),
		"code":        problem(422, "NEWEST_CODE"),
	} {
		seen := new(watcher)
		_, err := newGateway(t, step).client(connectpsp.WithObserver(seen)).CreateCashOut(t.Context(), cashOutRequest())
		require.Error(t, err)
		assert.Equal(t, want, endedAs[connectpsp.Attempt](seen)[0].Deviation)
	}
}

// The request, the token and the journal get the values of the observer's context.
func TestTheContextOfAnObserverReachesEverythingWithinTheCall(t *testing.T) {
	seen := new(watcher)
	var sent sync.Map // by path of the request
	inner := inMemory{newGateway(t, replyJSON(202, cashOutAccepted)).handler}
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		sent.Store(r.URL.Path, r.Context().Value(pathKey{}))
		return inner.RoundTrip(r)
	})
	book := pathJournal{newNotebook(), new(sync.Map)}
	client := must(connectpsp.New(config(memoryURL), connectpsp.WithObserver(seen), connectpsp.WithJournal(book),
		connectpsp.WithHTTPClient(&http.Client{Transport: transport})))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	requested, _ := sent.Load("/cash-out")
	assert.Equal(t, "/connectpsp.Call/connectpsp.Attempt", requested)
	token, _ := sent.Load("/auth/token")
	assert.Equal(t, "/connectpsp.Call/connectpsp.TokenRequest", token)
	for _, step := range []string{"begin", "sent", "finish"} {
		path, _ := book.paths.Load(step)
		assert.Equal(t, "/connectpsp.Call", path, step)
	}
	assert.Equal(t, []string{"/connectpsp.Call/connectpsp.TokenRequest", "/connectpsp.Call/connectpsp.Attempt", "/connectpsp.Call"}, seen.paths)
}

// pathJournal notes the path of the context of each write.
type pathJournal struct {
	*notebook
	paths *sync.Map
}

func (p pathJournal) Begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	p.paths.Store("begin", ctx.Value(pathKey{}))
	return p.notebook.Begin(ctx, intent)
}

func (p pathJournal) Sent(ctx context.Context, key string, at time.Time) error {
	p.paths.Store("sent", ctx.Value(pathKey{}))
	return p.notebook.Sent(ctx, key, at)
}

func (p pathJournal) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, id string) error {
	p.paths.Store("finish", ctx.Value(pathKey{}))
	return p.notebook.Finish(ctx, key, outcome, id)
}

func TestCallsThatWaitForOneTokenNameItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := new(watcher)
		gateway := newGateway(t, replyJSON(200, balanceAnswer))
		inner := inMemory{gateway.handler}
		slow := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/auth/token" {
				time.Sleep(time.Second) // all calls wait by then
			}
			return inner.RoundTrip(r)
		})
		client := must(connectpsp.New(config(memoryURL), connectpsp.WithObserver(seen), connectpsp.WithHTTPClient(&http.Client{Transport: slow})))
		var calls sync.WaitGroup
		for range 64 {
			calls.Go(func() { _, _ = client.GetBalance(t.Context()) })
		}
		calls.Wait()
		tokens := endedAs[connectpsp.TokenRequest](seen)
		require.Len(t, tokens, 1)
		ended := endedAs[connectpsp.Call](seen)
		require.Len(t, ended, 64)
		for _, call := range ended {
			assert.Equal(t, tokens[0].Number, call.Token)
		}
		_, _ = client.GetBalance(t.Context())
		assert.Zero(t, endedAs[connectpsp.Call](seen)[64].Token, "it waited for none")
	})
}

// hostile is an observer that does what it should not.
type hostile struct {
	begin func(context.Context) context.Context
	end   func()
}

func (h hostile) Begin(ctx context.Context, _ any) context.Context { return h.begin(ctx) }

func (h hostile) End(context.Context, any) { h.end() }

func TestAFaultyObserverChangesNoPayment(t *testing.T) {
	nothing := func() {}
	same := func(ctx context.Context) context.Context { return ctx }
	for name, observer := range map[string]hostile{
		"panics at begin": {func(context.Context) context.Context { panic("a bug") }, nothing},
		"panics at end":   {same, func() { panic("a bug") }},
		"ends its goroutine": {func(context.Context) context.Context {
			panic(nil) //nolint:govet // as careless code does
		}, nothing},
		"returns nil": {func(context.Context) context.Context { return nil }, nothing},
		"ends the context": {func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx
		}, nothing},
		"shortens the context": {func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(ctx, time.Nanosecond)
			context.AfterFunc(ctx, cancel)
			return ctx
		}, nothing},
		"blocks at begin": {func(context.Context) context.Context { time.Sleep(time.Hour); return context.Background() }, nothing},
		"blocks at end":   {same, func() { time.Sleep(time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gateway := newGateway(t, replyJSON(202, cashOutAccepted))
				log := new(logOfAll)
				client := gateway.memoryClient(connectpsp.WithObserver(observer), connectpsp.WithLogger(log.logger()))
				begun := time.Now()
				for range 100 {
					_, err := client.CreateCashOut(t.Context(), cashOutRequest())
					require.NoError(t, err)
				}
				assert.LessOrEqual(t, time.Since(begun), 100*time.Millisecond, "it waits for an observer once")
				assert.Len(t, gateway.requests(), 100)
				time.Sleep(2 * time.Hour) // until the observer has returned
			})
		})
	}
}

func TestAnObserverCannotTakeAwayTheDeadlineOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forgets := hostile{func(context.Context) context.Context { return context.Background() }, func() {}}
		client := newGateway(t, silence).memoryClient(connectpsp.WithObserver(forgets))
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		begun := time.Now()
		_, err := client.CreateCashOut(ctx, cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.Equal(t, time.Second, time.Since(begun))
	})
}

func TestAnObserverThatWasLateIsCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		seen := new(watcher)
		lazy := lazyWatcher{seen, &slow}
		client := newGateway(t, replyJSON(200, balanceAnswer)).memoryClient(connectpsp.WithObserver(lazy))
		slow.Store(true)
		_, err := client.GetBalance(t.Context())
		require.NoError(t, err)
		slow.Store(false)
		time.Sleep(time.Hour)
		_, err = client.GetBalance(t.Context())
		require.NoError(t, err)
		assert.Len(t, endedAs[connectpsp.Call](seen), 1, "the first call's begin was missed, and so its end")
	})
}

// lazyWatcher is a watcher that takes a minute for each begin while it is slow.
type lazyWatcher struct {
	*watcher
	slow *atomic.Bool
}

func (l lazyWatcher) Begin(ctx context.Context, activity any) context.Context {
	if l.slow.Load() {
		time.Sleep(time.Minute)
	}
	return l.watcher.Begin(ctx, activity)
}

func TestSeveralObserversSeeEachCallAndOneThatHangsTakesNothingFromAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := new(watcher), new(watcher)
		stuck := hostile{func(ctx context.Context) context.Context { time.Sleep(time.Hour); return ctx }, func() {}}
		client := newGateway(t, replyJSON(200, balanceAnswer)).memoryClient(
			connectpsp.WithObserver(one), connectpsp.WithObserver(stuck), connectpsp.WithObserver(nil), connectpsp.WithObserver(other))
		for range 3 {
			_, err := client.GetBalance(t.Context())
			require.NoError(t, err)
		}
		assert.Len(t, endedAs[connectpsp.Call](one), 3)
		assert.Len(t, endedAs[connectpsp.Call](other), 3)
		time.Sleep(2 * time.Hour)
	})
}

// After a panic there is neither a result nor an error, and the money may have moved.
func TestACallThatPanicsIsSeenAsUnknown(t *testing.T) {
	seen := new(watcher)
	client := must(connectpsp.New(config(memoryURL), connectpsp.WithObserver(seen), connectpsp.WithTokenSource(fixedToken("a.b.c")),
		connectpsp.WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("a bug in a middleware") })})))
	assert.Panics(t, func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) })
	assert.Equal(t, connectpsp.CallUnknown, endedAs[connectpsp.Call](seen)[0].Outcome)
}

func TestAnObserverSeesWhatRecoverDoesWithEachPayment(t *testing.T) {
	gateway := newGateway(t, html(500), html(500), html(500), html(500), replyJSON(202, cashOutAccepted))
	book := connectpsp.WithJournal(newNotebook())
	quick := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond})
	_, err := gateway.memoryClient(book, quick).CreateCashOut(t.Context(), cashOutRequest())
	require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
	seen := new(watcher)
	recovered, err := gateway.memoryClient(book, connectpsp.WithObserver(seen)).Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	calls := endedAs[connectpsp.Call](seen)
	require.Len(t, calls, 1)
	assert.True(t, calls[0].Recovering)
	assert.Equal(t, connectpsp.CallAccepted, calls[0].Outcome)
}
