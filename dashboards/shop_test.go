package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

const receiver = "http://127.0.0.1:8080/"

var silent = slog.New(slog.DiscardHandler)

// shop is a process that pays, receives webhooks, calls Recover every minute and is scraped, in a
// bubble of testing/synctest: a sleep of the story moves the clocks of all.
type shop struct {
	t       *testing.T
	gateway *sandbox.Sandbox
	metrics *metrics.Metrics
	client  *connectpsp.Client
	journal *journal.File
	inbox   *faultyInbox
	handler *webhook.Handler
	worker  *webhook.Worker

	network  fault[*http.Request]      // of requests to the gateway
	function fault[webhook.Transition] // of the worker's function
	ingress  fault[*http.Request]      // of webhooks, before the handler

	ctx        context.Context
	stop       func()
	stopWorker func()
	running    sync.WaitGroup
	orders     atomic.Int64
	scrapes    []scrape
}

// fault decides which calls fail. The zero fault lets all pass.
type fault[T any] struct{ f atomic.Pointer[func(T) error] }

func (f *fault[T]) set(fails func(T) error) { f.f.Store(&fails) }

func (f *fault[T]) clear() { f.f.Store(nil) }

func (f *fault[T]) of(call T) error {
	if fails := f.f.Load(); fails != nil {
		return (*fails)(call)
	}
	return nil
}

var errBroken = errors.New("it is broken")

// always fails.
func always[T any](T) error { return errBroken }

// faultyInbox is an inbox in memory that can be down.
type faultyInbox struct {
	*webhook.MemoryInbox
	down atomic.Bool
}

func (i *faultyInbox) Put(ctx context.Context, item webhook.Item) (*webhook.Digest, error) {
	if i.down.Load() {
		return nil, errBroken
	}
	return i.MemoryInbox.Put(ctx, item)
}

// Claim takes as long as a database does: in the bubble a worker is infinitely quick otherwise.
func (i *faultyInbox) Claim(ctx context.Context, lease time.Duration, limit int) ([]*webhook.Claim, error) {
	claims, err := i.MemoryInbox.Claim(ctx, lease, limit)
	if len(claims) > 0 {
		time.Sleep(20 * time.Millisecond)
	}
	return claims, err
}

func (i *faultyInbox) State(ctx context.Context) (webhook.InboxState, error) {
	if i.down.Load() {
		return webhook.InboxState{}, errBroken
	}
	return i.MemoryInbox.State(ctx)
}

// scrapesOf runs a story in a shop, and returns the scrapes of it.
func scrapesOf(t *testing.T, story func(*shop), options ...webhook.WorkerOption) (scrapes []scrape) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, options...)
		defer func() {
			s.close()
			scrapes = s.scrapes
		}()
		story(s)
	})
	require.NotEmpty(t, scrapes)
	return scrapes
}

func openShop(t *testing.T, options ...webhook.WorkerOption) *shop {
	s := &shop{t: t, inbox: &faultyInbox{MemoryInbox: webhook.NewMemoryInbox()}}
	var err error
	s.gateway, err = sandbox.Start(sandbox.WithMemoryNetwork())
	require.NoError(t, err)
	require.NoError(t, s.gateway.SetLatency(80*time.Millisecond))
	s.start(options...)
	listener, err := s.gateway.Listen("127.0.0.1:8080")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.ingress.of(r) != nil {
			http.Error(w, "no such route", http.StatusNotFound)
			return
		}
		s.handler.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()

	ctx, stop := context.WithCancel(t.Context())
	s.ctx = ctx
	s.stop = func() {
		stop()
		s.running.Wait()
		assert.NoError(t, server.Close())
	}
	s.every(scrapeInterval, s.scrape)
	s.every(time.Minute, func() { _, _ = s.client.Recover(ctx) })
	s.startWorker()
	return s
}

// start makes all that a process has, with metrics that begin at 0.
func (s *shop) start(options ...webhook.WorkerOption) {
	var err error
	s.metrics = metrics.New()
	s.journal, err = journal.Open(filepath.Join(s.t.TempDir(), "payments.journal"), journal.WithObserver(s.metrics))
	require.NoError(s.t, err)
	s.client, err = connectpsp.New(s.gateway.Config(), connectpsp.WithJournal(s.journal), connectpsp.WithObserver(s.metrics),
		connectpsp.WithLogger(silent), connectpsp.WithHTTPClient(&http.Client{Transport: link{s, s.gateway.HTTPClient().Transport}}))
	require.NoError(s.t, err)
	s.handler, err = webhook.NewHandler(s.inbox, s.gateway.Config().CryptoToken)
	require.NoError(s.t, err)
	s.handler.Logger, s.handler.Observer = silent, s.metrics
	s.worker = webhook.NewWorker(s.inbox, s.client, func(_ context.Context, step webhook.Transition) error { return s.function.of(step) },
		append(options, webhook.WithObserver(s.metrics), webhook.WithLogger(silent))...)
	s.metrics.WatchPayments(s.client)
	s.metrics.WatchInbox(s.inbox)
}

func (s *shop) close() {
	s.stop()
	assert.NoError(s.t, s.gateway.Close())
	_ = s.journal.Close() // a story may have closed it
}

// link is the network between the client and the gateway.
type link struct {
	s     *shop
	inner http.RoundTripper
}

func (l link) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := l.s.network.of(request); err != nil {
		return nil, err
	}
	return l.inner.RoundTrip(request)
}

func (l link) CloseIdleConnections() {
	l.inner.(*http.Transport).CloseIdleConnections()
}

// unreachable is a network on which no request leaves.
func unreachable(*http.Request) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: errBroken}
}

// mute is a network on which requests leave, and no response comes.
func mute(request *http.Request) error {
	if request.Body != nil {
		_, _ = io.Copy(io.Discard, request.Body)
	}
	return &net.OpError{Op: "read", Net: "tcp", Err: errBroken}
}

func (s *shop) startWorker() {
	ctx, stop := context.WithCancel(s.ctx)
	done := make(chan struct{})
	s.running.Go(func() {
		defer close(done)
		s.worker.Run(ctx)
	})
	s.stopWorker = func() {
		stop()
		<-done
	}
}

// every calls do at intervals.
func (s *shop) every(interval time.Duration, do func()) {
	s.running.Go(func() {
		for ticks := time.Tick(interval); ; {
			select {
			case <-ticks:
				do()
			case <-s.ctx.Done():
				return
			}
		}
	})
}

func (s *shop) scrape() {
	response := httptest.NewRecorder()
	s.metrics.ServeHTTP(response, httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, "/metrics", nil))
	s.scrapes = append(s.scrapes, scrape{time.Now(), "pod-1", response.Body.Bytes()})
}

// pass lets time pass, during which customers deposit and withdraw twice a minute.
func (s *shop) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(30 * time.Second) {
		s.running.Go(s.trade)
	}
}

// trade is one deposit and one withdrawal. Either may fail: customers leave then.
func (s *shop) trade() {
	if charge, err := s.client.CreateCashIn(s.ctx, s.charge()); err == nil {
		s.sleep(3 * time.Second)
		_ = s.gateway.PayCashIn(charge.TransactionID)
	}
	if payment, err := s.client.CreateCashOut(s.ctx, s.withdrawal()); err == nil {
		s.sleep(3 * time.Second)
		_ = s.gateway.CompleteCashOut(payment.TransactionID)
	}
}

func (s *shop) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

func (s *shop) charge() connectpsp.CashInRequest {
	return connectpsp.CashInRequest{
		Amount: pix.Centavos(1050), ExternalReference: fmt.Sprint("deposit-", s.orders.Add(1)), WebhookURL: receiver,
		Payer: connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
	}
}

func (s *shop) withdrawal() connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount: pix.Centavos(3000), ExternalReference: fmt.Sprint("withdrawal-", s.orders.Add(1)), WebhookURL: receiver,
		Payee: connectpsp.Payee{
			Name: "Maria Silva", Document: "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	}
}

// charged makes a charge that succeeds, and returns its id.
func (s *shop) charged() string {
	s.t.Helper()
	charge, err := s.client.CreateCashIn(s.ctx, s.charge())
	require.NoError(s.t, err)
	return charge.TransactionID
}

// payAs makes a charge that is paid by a person from an account. Its refund settles.
func (s *shop) payAs(document, account string) {
	s.t.Helper()
	id := s.charged()
	s.do(s.gateway.PayCashInWith(id, sandbox.Payment{Payer: connectpsp.Payer{
		Document: document, BankData: &connectpsp.BankData{ISPB: "99999999", Account: account},
	}}))
	time.Sleep(10 * time.Second)
	if underWay, err := s.gateway.RefundUnderWay(id); err == nil && underWay {
		s.do(s.gateway.SettleRefund(id))
	}
}

// sent makes a payment that succeeds, and returns its id.
func (s *shop) sent() string {
	s.t.Helper()
	payment, err := s.client.CreateCashOut(s.ctx, s.withdrawal())
	require.NoError(s.t, err)
	return payment.TransactionID
}

// leave reads the balance, and does not wait for the response.
func (s *shop) leave() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	defer time.AfterFunc(40*time.Millisecond, cancel).Stop()
	_, err := s.client.GetBalance(ctx)
	require.ErrorIs(s.t, err, context.Canceled)
}

// do expects that calls have succeeded.
func (s *shop) do(calls ...error) {
	s.t.Helper()
	for _, err := range calls {
		require.NoError(s.t, err)
	}
}

// post posts a webhook without a valid signature.
func (s *shop) post() {
	s.t.Helper()
	response, err := s.gateway.HTTPClient().Post(receiver, "application/json", http.NoBody)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
}

// forge posts a signed event about a payment that was not made, as one who has the CryptoToken can.
func (s *shop) forge() {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{
		"eventType": "CASHIN_PAID", "eventAt": time.Now().UTC().Format(time.RFC3339),
		"data": map[string]any{
			"transactionId": "kk6g232xel65a0daee4dd13kk2912714964", "externalReference": "deposit-0", "status": "PAID", "amount": 99.00,
			"endToEndId": "E12345678202611270700abcdefghijk",
		},
	})
	s.do(err, s.gateway.SendWebhook(receiver, body))
}
