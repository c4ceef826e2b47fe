package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// watcher is an Observer that keeps the activities that have ended, and names each activity in its
// context.
type watcher struct {
	mu    sync.Mutex
	begun []any
	ended []any
}

type pathKey struct{}

// pathOf returns the activities that a context is within, from the outermost.
func pathOf(ctx context.Context) string {
	path, _ := ctx.Value(pathKey{}).(string)
	return path
}

func (w *watcher) Begin(ctx context.Context, activity any) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = append(w.begun, activity)
	return context.WithValue(ctx, pathKey{}, pathOf(ctx)+fmt.Sprintf("/%T", activity))
}

func (w *watcher) End(_ context.Context, activity any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, activity)
}

// endedAs returns the ended activities of a type.
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

// assertNoPersonalData checks that the activities hold none of what the events of the tests hold.
func (w *watcher) assertNoPersonalData(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	text, err := json.Marshal([]any{w.begun, w.ended})
	require.NoError(t, err)
	for _, secret := range []string{"Test User", "Maria", "12345678909", cryptoToken, inID, outID, "10.5"} {
		assert.NotContains(t, string(text), secret)
	}
}

func TestAnObserverSeesTheResultOfEachDelivery(t *testing.T) {
	another := strings.Replace(paid, "10.50", "20.50", 1)
	require.NotEqual(t, paid, another)
	disputed := strings.Replace(paid, "CASHIN_PAID", "CASHIN_DISPUTED", 1)
	request := func(body, signature string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/webhooks/connectpsp", strings.NewReader(body))
		r.Header.Set("X-Connect-Signature", signature)
		r.Header.Set("X-Event-Id", "delivery-1")
		return r
	}
	get := request("", "")
	get.Method = http.MethodGet
	short := request(paid, sign(paid))
	short.Body = brokenBody{}
	slow := request(paid, sign(paid))
	slow.Body = slowBody{}
	for name, test := range map[string]struct {
		before  string // an event that was delivered before
		inbox   webhook.Inbox
		request *http.Request
		want    webhook.Delivery
	}{
		"stored":                 {request: request(paid, sign(paid)), want: webhook.Delivery{Result: "stored", Status: 200, Type: webhook.CashInPaid, TransactionID: chargeID}},
		"of an unknown type":     {request: request(disputed, sign(disputed)), want: webhook.Delivery{Result: "stored", Status: 200, Type: "OTHER", TransactionID: chargeID}},
		"duplicate":              {before: paid, request: request(paid, sign(paid)), want: webhook.Delivery{Result: "duplicate", Status: 200, Type: webhook.CashInPaid, TransactionID: chargeID}},
		"conflicting":            {before: paid, request: request(another, sign(another)), want: webhook.Delivery{Result: "conflicting", Status: 200, Type: webhook.CashInPaid, TransactionID: chargeID}},
		"quarantined":            {request: request("{}", sign("{}")), want: webhook.Delivery{Result: "quarantined", Status: 200}},
		"with a wrong signature": {request: request(paid, sign("another")), want: webhook.Delivery{Result: "invalid_signature", Status: 401}},
		"by another method":      {request: get, want: webhook.Delivery{Result: "wrong_method", Status: 405}},
		"too large":              {request: request(strings.Repeat(" ", 1<<17), ""), want: webhook.Delivery{Result: "too_large", Status: 413}},
		"broken":                 {request: short, want: webhook.Delivery{Result: "broken", Status: 400}},
		"too slow":               {request: slow, want: webhook.Delivery{Result: "too_slow", Status: 408}},
		"not stored":             {inbox: brokenInbox{}, request: request(paid, sign(paid)), want: webhook.Delivery{Result: "unavailable", Status: 503, Type: webhook.CashInPaid, TransactionID: chargeID}},
	} {
		t.Run(name, func(t *testing.T) {
			inbox := test.inbox
			if inbox == nil {
				inbox = webhook.NewMemoryInbox()
			}
			handler, seen := newHandler(t, inbox), new(watcher)
			handler.Observer, handler.Logger = seen, slog.New(slog.DiscardHandler)
			if test.before != "" {
				require.Equal(t, 200, deliver(newHandler(t, inbox), test.before))
			}
			handler.ServeHTTP(httptest.NewRecorder(), test.request)
			deliveries := endedAs[webhook.Delivery](seen)
			require.Len(t, deliveries, 1)
			assert.Positive(t, deliveries[0].Duration)
			deliveries[0].Duration, test.want.DeliveryID = 0, "delivery-1"
			assert.Equal(t, test.want, deliveries[0])
			assert.Equal(t, []any{webhook.Delivery{DeliveryID: "delivery-1"}}, seen.begun)
			seen.assertNoPersonalData(t)
		})
	}
}

// brokenBody is the body of a request whose connection broke.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("the connection broke") }
func (brokenBody) Close() error             { return nil }

// slowBody is the body of a request that takes too long.
type slowBody struct{ brokenBody }

func (slowBody) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// panickingBody is a body of middleware that aborts the request.
type panickingBody struct{ brokenBody }

func (panickingBody) Read([]byte) (int, error) { panic(http.ErrAbortHandler) }

func TestADeliveryThatIsAbortedHasAnEnd(t *testing.T) {
	handler, seen := newHandler(t, webhook.NewMemoryInbox()), new(watcher)
	handler.Observer = seen
	r := httptest.NewRequest(http.MethodPost, "/", panickingBody{})
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { handler.ServeHTTP(httptest.NewRecorder(), r) })
	deliveries := endedAs[webhook.Delivery](seen)
	require.Len(t, deliveries, 1)
	assert.Equal(t, webhook.DeliveryBroken, deliveries[0].Result)
	assert.Zero(t, deliveries[0].Status)
}

// faultyInbox is an inbox whose calls fail with the errors that are set.
type faultyInbox struct {
	*webhook.MemoryInbox
	complete, postpone, hold error
}

func (f *faultyInbox) Complete(
	ctx context.Context, claim *webhook.Claim, change func(context.Context, webhook.TransactionState) (webhook.Result, error),
) error {
	if f.complete == nil {
		return f.MemoryInbox.Complete(ctx, claim, change)
	}
	if _, err := change(ctx, webhook.TransactionState{}); err != nil {
		return err
	}
	return f.complete
}

func (f *faultyInbox) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	if f.postpone != nil {
		return f.postpone
	}
	return f.MemoryInbox.Postpone(ctx, claim, due, reason)
}

func (f *faultyInbox) Hold(ctx context.Context, claim *webhook.Claim, reason string) error {
	if f.hold != nil {
		return f.hold
	}
	return f.MemoryInbox.Hold(ctx, claim, reason)
}

func TestAnObserverSeesTheResultOfEachItem(t *testing.T) {
	event := func(bodies ...string) func(*testing.T, *webhook.Worker, webhook.Inbox) {
		return func(t *testing.T, _ *webhook.Worker, inbox webhook.Inbox) {
			for _, body := range bodies {
				require.Equal(t, 200, deliver(newHandler(t, inbox), body))
			}
		}
	}
	watch := func(t *testing.T, worker *webhook.Worker, _ webhook.Inbox) {
		require.NoError(t, worker.WatchCashIn(t.Context(), chargeID))
		time.Sleep(time.Minute)
	}
	late := func(t *testing.T, worker *webhook.Worker, inbox webhook.Inbox) {
		watch(t, worker, inbox)
		parsed, err := parse(paid)
		require.NoError(t, err)
		now := time.Now()
		_, err = inbox.Put(t.Context(), webhook.Item{
			Key: parsed.Key(), Transaction: "CASHIN/" + chargeID, Body: []byte(paid), ReceivedAt: now, Due: now.Add(time.Minute),
		})
		require.NoError(t, err)
	}
	disputed := strings.Replace(paid, "CASHIN_PAID", "CASHIN_DISPUTED", 1)
	of := func(p webhook.Processing) webhook.Processing {
		p.Kind, p.TransactionID, p.ExternalReference = webhook.KindCashIn, chargeID, "order-1"
		if p.Attempt == 0 {
			p.Attempt = 1
		}
		return p
	}
	for name, test := range map[string]struct {
		put      func(*testing.T, *webhook.Worker, webhook.Inbox)
		function func() error
		bank     []transaction
		inbox    faultyInbox
		confirm  bool
		items    int // of which the last is looked at, 0 means 1
		want     webhook.Processing
	}{
		"a step": {put: event(paid), want: of(webhook.Processing{Result: "applied", To: webhook.StatusPaid})},
		"a missed payment": {put: event(refunded),
			want: of(webhook.Processing{Result: "applied", To: webhook.StatusRefunded, MissedPayment: true, ReturnUnclear: true})},
		"an event out of order": {put: event(refunded, paid), items: 2, want: of(webhook.Processing{Result: "stale"})},
		"a late payment": {put: late, items: 2, bank: []transaction{charge(webhook.StatusExpired)},
			want: of(webhook.Processing{Result: "applied", From: webhook.StatusExpired, To: webhook.StatusPaid, LatePayment: true})},
		"a contradiction": {put: event(failed, completed), items: 2, bank: []transaction{payment(webhook.StatusCompleted)},
			want: webhook.Processing{Kind: webhook.KindCashOut, Attempt: 1, Result: "applied", From: webhook.StatusFailed, To: webhook.StatusCompleted,
				Contradiction: true, TransactionID: paymentID, ExternalReference: payment(webhook.StatusCompleted).reference}},
		"a watch that goes on": {put: watch, bank: []transaction{charge("AWAITING_PAYMENT")}, items: 2,
			want: of(webhook.Processing{Result: "watched"})},
		"a watch that finds the payment": {put: watch, bank: []transaction{charge(webhook.StatusPaid)},
			want: of(webhook.Processing{Result: "applied", To: webhook.StatusPaid})},
		"a function that fails": {put: event(paid), function: func() error { return errors.New("the wallet is closed") },
			want: of(webhook.Processing{Result: "retried"})},
		"a function that panics": {put: event(paid), function: func() error { panic("a bug") },
			want: of(webhook.Processing{Result: "retried", Panicked: true})},
		"a commit that fails": {put: event(refunded), inbox: faultyInbox{complete: errDown},
			want: of(webhook.Processing{Result: "retried"})},
		"an event of an unknown type": {put: event(disputed),
			want: webhook.Processing{Kind: webhook.KindCashIn, TransactionID: chargeID, Attempt: 1, Result: "held"}},
		"an amount that is not the gateway's": {put: event(paid), confirm: true, bank: []transaction{deposit(1, pix.Centavos(2000))},
			want: of(webhook.Processing{Result: "held", Alarm: true})},
		"an alarm that cannot be held": {put: event(paid), confirm: true, bank: []transaction{deposit(1, pix.Centavos(2000))}, inbox: faultyInbox{hold: errDown},
			want: of(webhook.Processing{Result: "lost"})},
		"another Worker's item":    {put: event(paid), inbox: faultyInbox{complete: webhook.ErrClaimLost}, want: of(webhook.Processing{Result: "lost"})},
		"a locked transaction":     {put: event(paid), inbox: faultyInbox{complete: webhook.ErrLocked}, want: of(webhook.Processing{Result: "deferred"})},
		"an inbox that is failing": {put: event(paid), inbox: faultyInbox{complete: errDown, postpone: errDown}, want: of(webhook.Processing{Result: "lost"})},
		"an item of an earlier version": {put: func(t *testing.T, _ *webhook.Worker, inbox webhook.Inbox) {
			parsed, err := parse(paid)
			require.NoError(t, err)
			_, err = inbox.Put(t.Context(), webhook.Item{Key: parsed.Key(), Body: []byte(paid), ReceivedAt: time.Now(), Due: time.Now()})
			require.NoError(t, err)
		}, want: of(webhook.Processing{Result: "deferred"})},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen, inbox := new(watcher), test.inbox
				inbox.MemoryInbox = webhook.NewMemoryInbox()
				bank := newBank(t)
				for _, known := range test.bank {
					if known.kind == webhook.KindCashIn {
						known.id = chargeID
					}
					bank.set(known)
				}
				options := []webhook.WorkerOption{webhook.WithObserver(seen), webhook.WithObserver(nil), webhook.WithLogger(slog.New(slog.DiscardHandler))}
				if test.confirm {
					options = append(options, webhook.WithConfirmation(pix.Amount{}))
				}
				worker := webhook.NewWorker(&inbox, bank.client(t), func(context.Context, webhook.Transition) error {
					time.Sleep(time.Millisecond)
					if test.function != nil {
						return test.function()
					}
					return nil
				}, options...)
				test.put(t, worker, &inbox)
				for n := range max(test.items, 1) {
					time.Sleep(time.Duration(n) * 5 * time.Minute) // until the next read of a watch
					worked, err := worker.Work(t.Context())
					require.True(t, worked, "%v", err)
				}
				processed := endedAs[webhook.Processing](seen)
				require.Len(t, processed, max(test.items, 1))
				last := processed[len(processed)-1]
				last.Duration, last.Lag = 0, 0
				assert.Equal(t, test.want, last)
				seen.assertNoPersonalData(t)
			})
		})
	}
}

func TestAnObserverSeesHowLongAnEventHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := new(watcher)
		r := newReceiver(t, webhook.WithObserver(seen))
		r.bank.set(charge("AWAITING_PAYMENT"))
		require.Equal(t, 200, deliver(r, completed))
		require.NoError(t, r.worker.WatchCashIn(t.Context(), chargeID))
		time.Sleep(5 * time.Minute)
		r.work(t)
		processed := endedAs[webhook.Processing](seen)
		require.Len(t, processed, 2)
		for _, p := range processed {
			if p.Kind == webhook.KindCashOut {
				assert.Equal(t, 5*time.Minute, p.Lag)
			} else {
				assert.Zero(t, p.Lag, "a read at a set time waits for nothing")
			}
		}
	})
}

// contextInbox notes the path of the context of each call.
type contextInbox struct {
	*webhook.MemoryInbox
	paths sync.Map
}

func (i *contextInbox) Put(ctx context.Context, item webhook.Item) (*webhook.Digest, error) {
	i.paths.Store("put", pathOf(ctx))
	return i.MemoryInbox.Put(ctx, item)
}

func (i *contextInbox) Complete(
	ctx context.Context, claim *webhook.Claim, change func(context.Context, webhook.TransactionState) (webhook.Result, error),
) error {
	i.paths.Store("complete", pathOf(ctx))
	return i.MemoryInbox.Complete(ctx, claim, change)
}

func TestTheContextOfAnObserverReachesTheInboxTheGatewayAndTheFunction(t *testing.T) {
	seen, inbox := new(watcher), &contextInbox{MemoryInbox: webhook.NewMemoryInbox()}
	bank := newBank(t, charge(webhook.StatusPaid))
	bank.seen = func(r *http.Request) { inbox.paths.Store("read", pathOf(r.Context())) }
	handler := newHandler(t, inbox)
	handler.Observer = seen
	worker := webhook.NewWorker(inbox, bank.client(t), func(ctx context.Context, _ webhook.Transition) error {
		inbox.paths.Store("function", pathOf(ctx))
		return nil
	}, webhook.WithObserver(seen), webhook.WithConfirmation(pix.Amount{}))
	require.Equal(t, 200, deliver(handler, paid))
	worked, err := worker.Work(t.Context())
	require.NoError(t, err)
	require.True(t, worked)
	for call, want := range map[string]string{
		"put": "/webhook.Delivery", "complete": "/webhook.Processing", "read": "/webhook.Processing", "function": "/webhook.Processing",
	} {
		path, _ := inbox.paths.Load(call)
		assert.Equal(t, want, path, call)
	}
}

// stuck is an observer that does not return.
type stuck struct{ watcher }

func (s *stuck) Begin(context.Context, any) context.Context {
	time.Sleep(time.Hour)
	return nil
}

func TestAnObserverThatHangsDelaysNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		observer := new(stuck)
		r := newReceiver(t, webhook.WithObserver(observer))
		r.Observer, r.Logger = observer, slog.New(slog.DiscardHandler)
		begun := time.Now()
		for n := range 100 {
			r.receive(t, deposit(n, pix.Centavos(1050)).event(webhook.CashInPaid))
		}
		assert.Len(t, r.books.transitions, 100)
		assert.LessOrEqual(t, time.Since(begun), 250*time.Millisecond)
		time.Sleep(2 * time.Hour) // until the observer has returned
	})
}
