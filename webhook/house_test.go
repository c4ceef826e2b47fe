package webhook_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/mortal"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

const (
	player   = "12345678909" // has registered playersAccount
	stranger = "52998224725"
)

var (
	playersAccount   = connectpsp.BankData{ISPB: "18236120", Branch: "0001", Account: "947710840"}
	strangersAccount = connectpsp.BankData{ISPB: "60701190", Branch: "0417", Account: "31415-9"}
	toReturn         = connectpsp.RefundRequest{Reason: connectpsp.RefundMerchantError}
)

// isPlayer is the function of a payer check by which only the player may pay.
func isPlayer(context.Context, *connectpsp.CashIn) (connectpsp.Holder, error) {
	return connectpsp.Holder{Document: player, Accounts: []connectpsp.BankData{playersAccount}}, nil
}

// house is the service of a bookmaker over a sandbox. Its stores outlive its process, which may
// die.
type house struct {
	t       testing.TB
	gateway *sandbox.Sandbox
	inbox   *webhook.MemoryInbox
	journal connectpsp.Journal
	url     string // of its webhooks
	options []webhook.WorkerOption
	log     strings.Builder
	orders  int // of charges, 0 for the first

	mu        sync.Mutex
	process   *process
	committed []webhook.Transition // steps whose completion the inbox has stored
}

// process is a client, a handler and a Worker that die together at one of their calls of the inbox,
// the journal or the gateway.
type process struct {
	*house
	*mortal.Process
	client  *connectpsp.Client
	handler *webhook.Handler
	worker  *webhook.Worker
}

// openHouse starts a service whose Worker checks who paid.
func openHouse(t testing.TB, gateway []sandbox.Option, options ...webhook.WorkerOption) *house {
	h := &house{t: t, inbox: webhook.NewMemoryInbox(), options: options}
	var err error
	h.gateway, err = sandbox.Start(gateway...)
	require.NoError(t, err)
	payments, err := journal.Open(filepath.Join(t.TempDir(), "payments.journal"))
	require.NoError(t, err)
	h.journal = payments
	listener, err := h.gateway.Listen("127.0.0.1:0")
	require.NoError(t, err)
	h.url = "http://" + listener.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.restart()
		h.running().handler.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		assert.NoError(t, server.Close())
		assert.NoError(t, h.gateway.Close())
		assert.NoError(t, payments.Close())
	})
	h.start(0)
	return h
}

func (h *house) running() *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.process
}

// start starts a process that dies at an event, see [mortal.New].
func (h *house) start(diesAt int) {
	p := &process{house: h, Process: mortal.New(diesAt)}
	var err error
	p.client, err = connectpsp.New(h.gateway.Config(), connectpsp.WithJournal(p.Journal(h.journal)), connectpsp.WithLogger(slog.New(slog.DiscardHandler)),
		connectpsp.WithHTTPClient(p.HTTPClient(h.gateway.HTTPClient())))
	require.NoError(h.t, err)
	inbox := p.Inbox(recordingInbox{h.inbox, h})
	p.handler, err = webhook.NewHandler(inbox, h.gateway.Config().CryptoToken)
	require.NoError(h.t, err)
	logger := slog.New(slog.NewTextHandler(&h.log, nil))
	p.handler.Logger = slog.New(slog.DiscardHandler)
	p.worker = webhook.NewWorker(inbox, p.client, func(ctx context.Context, step webhook.Transition) error {
		steps := ctx.Value(stepsKey{}).(*[]webhook.Transition)
		*steps = append(*steps, step)
		return nil
	}, append(slices.Clip(h.options), webhook.WithLogger(logger))...)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.process = p
}

// restart replaces a process that has died.
func (h *house) restart() {
	if h.running().IsDead() {
		h.start(0)
	}
}

// charge makes a charge of R$ 10.50 for the player.
func (h *house) charge() string {
	h.t.Helper()
	charge, err := h.running().client.CreateCashIn(h.t.Context(), connectpsp.CashInRequest{
		Amount: pix.Centavos(1050), ExternalReference: fmt.Sprint("order-", max(h.orders, 1)), WebhookURL: h.url,
		Payer: connectpsp.Payer{Name: "Maria Silva", Document: player},
	})
	require.NoError(h.t, err)
	return charge.TransactionID
}

// pay pays a charge as a person from an account.
func (h *house) pay(charge, document string, account connectpsp.BankData) {
	h.t.Helper()
	require.NoError(h.t, h.gateway.PayCashInWith(charge, sandbox.Payment{Payer: connectpsp.Payer{Document: document, BankData: &account}}))
}

// work waits for the webhooks and processes the items that are due.
func (h *house) work() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Minute)
	defer cancel()
	require.NoError(h.t, h.gateway.WaitWebhooks(ctx))
	for range 10_000 {
		worked, err := h.running().worker.Work(ctx)
		if !worked || err != nil {
			return
		}
	}
	require.FailNow(h.t, "the same is due again and again")
}

// pass lets time pass in a bubble, in which the gateway settles the refunds that it has accepted.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
		h.work()
		h.restart()
		for _, charge := range h.gateway.CashIns() {
			if underWay, err := h.gateway.RefundUnderWay(charge.TransactionID); err == nil && underWay {
				require.NoError(h.t, h.gateway.SettleRefund(charge.TransactionID))
			}
		}
	}
}

// stored returns the steps that are stored.
func (h *house) stored() string {
	return (&books{transitions: h.committed, origins: true}).String()
}

// refunds returns the requests for refunds, as their status and the number of their key.
func (h *house) refunds() (requests []string) {
	var keys []string
	for _, request := range h.gateway.Requests().ByOperation("refundCashIn") {
		if !slices.Contains(keys, request.IdempotencyKey) {
			keys = append(keys, request.IdempotencyKey)
		}
		requests = append(requests, fmt.Sprint(request.StatusCode, " key ", slices.Index(keys, request.IdempotencyKey)))
	}
	return requests
}

// balance returns how much the account has gained.
func (h *house) balance() pix.Amount {
	transactional, _ := h.gateway.Balances()
	return pix.Centavos(transactional.Centavos() - 500_000_00)
}

func (h *house) reasons() string {
	var reasons []string
	for _, item := range h.inbox.Held() {
		reasons = append(reasons, item.Key+": "+item.Held)
	}
	slices.Sort(reasons)
	return strings.Join(reasons, "\n")
}

// recordingInbox is the inbox of a house. It keeps the steps whose completion is stored.
type recordingInbox struct {
	*webhook.MemoryInbox
	h *house
}

// stepsKey is the key of the steps of an item in the context of its completion.
type stepsKey struct{}

func (r recordingInbox) Complete(
	ctx context.Context, claim *webhook.Claim, change func(context.Context, webhook.TransactionState) (webhook.Result, error),
) error {
	var steps []webhook.Transition
	err := r.MemoryInbox.Complete(context.WithValue(ctx, stepsKey{}, &steps), claim, change)
	if err == nil {
		r.h.mu.Lock()
		defer r.h.mu.Unlock()
		r.h.committed = append(r.h.committed, steps...)
	}
	return err
}
