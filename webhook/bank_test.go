package webhook_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// transaction is a charge or a payment as the gateway holds it.
type transaction struct {
	kind      webhook.Kind
	id        string
	status    webhook.Status
	amount    pix.Amount
	reference string
	paymentID string // end-to-end id
	returnID  string
	paidBy    string // the payer of a charge, the usual one if it is empty
}

const (
	payer = `"payer":{"name":"Test User","document":"12345678909"}`
	payee = `"payee":{"name":"Maria Silva","document":"12345678909","destination":{"type":"PIX","pixKeyType":"EMAIL","pixKey":"maria@example.com"}}`
)

// data encodes the transaction as responses and events hold it.
func (t transaction) data() string {
	current, original := t.paymentID, ""
	if t.returnID != "" {
		current, original = t.returnID, t.paymentID
	}
	var ids string
	if current != "" {
		ids += `"endToEndId":"` + current + `",`
	}
	if original != "" {
		ids += `"originalEndToEndId":"` + original + `",`
	}
	person := cmp.Or(t.paidBy, payer)
	if t.kind == webhook.KindCashOut {
		person = payee
	}
	return fmt.Sprintf(`{"transactionId":%q,"internalCode":"US7B1JQ","externalReference":%q,%s"status":%q,"amount":%s,%s}`,
		t.id, t.reference, ids, t.status, t.amount, person)
}

// event returns the body of an event about the transaction.
func (t transaction) event(kind webhook.EventType) string {
	return `{"eventType":"` + string(kind) + `","eventAt":"2026-03-10T11:22:18Z","data":` + t.data() + `}`
}

// bank is a fake gateway with the operations that read transactions.
type bank struct {
	mu           sync.Mutex
	transactions map[string]transaction // by id
	reads        int
	status       int    // of every answer, if not 0
	page         string // the body of every answer instead of a problem, if not empty: something in between answers
	hangs        bool   // it answers nothing
	delay        time.Duration
	waiting      int // readings under way, and the most there were
	mostWaiting  int
	checker      func() *contract.Checker
	lax          bool                // responses are not checked
	seen         func(*http.Request) // is called with each request, if it is not nil
}

func newBank(t testing.TB, transactions ...transaction) *bank {
	b := &bank{transactions: map[string]transaction{}}
	b.checker = sync.OnceValue(func() *contract.Checker { return contract.New(t) })
	b.set(transactions...)
	return b
}

func (b *bank) set(transactions ...transaction) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range transactions {
		b.transactions[t.id] = t
	}
}

func (b *bank) fail(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = status
}

// intercept lets a proxy answer with a page, or the bank again if the page is empty.
func (b *bank) intercept(status int, page string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.page = status, page
}

func (b *bank) hang(hangs bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hangs = hangs
}

func (b *bank) read() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads
}

const problem = `{"title":"A title","status":%d,"code":"A_CODE"}`

func (b *bank) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	found, known := b.transactions[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	status := b.status
	if status == 0 && !known {
		status = http.StatusNotFound
	}
	if b.page != "" {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, b.page)
		return
	}
	if status != 0 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, problem, status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, found.data())
}

// odd reports whether the bank sends a response that is not in the description.
func (b *bank) odd() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.transactions {
		if t.status == "DISPUTED" {
			return true
		}
	}
	return b.lax || b.status == http.StatusServiceUnavailable || b.page != ""
}

// RoundTrip makes the bank a transport that checks every request and response against the
// description.
func (b *bank) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	hangs, delay := b.hangs, b.delay
	b.waiting++
	b.mostWaiting = max(b.mostWaiting, b.waiting)
	b.mu.Unlock()
	if b.seen != nil {
		b.seen(r)
	}
	defer func() {
		b.mu.Lock()
		b.waiting--
		b.mu.Unlock()
	}()
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	time.Sleep(delay)
	w := httptest.NewRecorder()
	request := r.Clone(r.Context())
	request.RequestURI, request.Body = r.URL.RequestURI(), http.NoBody
	check := b.checker().Middleware
	if b.odd() {
		check = b.checker().Requests
	}
	check(http.HandlerFunc(b.serve)).ServeHTTP(w, request)
	return w.Result(), nil
}

type fixedToken struct{}

func (fixedToken) Token(context.Context) (auth.Secret, error) {
	return auth.NewSecret("header.payload.signature"), nil
}
func (fixedToken) Invalidate(auth.Secret) {}

// client returns a client of the bank that does not retry.
func (b *bank) client(t testing.TB, options ...connectpsp.Option) *connectpsp.Client {
	client, err := connectpsp.New(connectpsp.Config{
		ClientID:         "1024",
		ClientSecret:     auth.NewSecret("client-secret"),
		ApplicationToken: auth.NewSecret("0d8a5c0e-8f0f-4c62-9b8b-4b6f1f7c2a11"),
		BaseURL:          "https://gateway.example",
	}, append(options, connectpsp.WithHTTPClient(&http.Client{Transport: b}), connectpsp.WithTokenSource(fixedToken{}),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}))...)
	require.NoError(t, err)
	return client
}

const (
	chargeID  = "kk6g232xel65a0daee4dd13kk2912714964"
	paymentID = "0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11"
	inID      = "E00416968202603101827cemeFscF6AG"
	outID     = "E1393589320260310183012345678901"
	returnID  = "D1393589320260310183012345678901"
	otherID   = "D1393589320260310183012345678902"
)

// charge returns a charge with a status.
func charge(status webhook.Status) transaction {
	c := transaction{kind: webhook.KindCashIn, id: chargeID, status: status, amount: pix.Centavos(1050), reference: "order-1"}
	if status == webhook.StatusPaid || status == webhook.StatusRefunded {
		c.paymentID = inID
	}
	if status == webhook.StatusRefunded {
		c.returnID = returnID
	}
	return c
}

// payment returns a cash-out with a status.
func payment(status webhook.Status) transaction {
	p := transaction{kind: webhook.KindCashOut, id: paymentID, status: status, amount: pix.Centavos(5000), reference: "withdrawal-42"}
	if status == webhook.StatusCompleted || status == webhook.StatusRefunded {
		p.paymentID = outID
	}
	if status == webhook.StatusRefunded {
		p.returnID = returnID
	}
	return p
}

var (
	paid      = charge(webhook.StatusPaid).event(webhook.CashInPaid)
	refunded  = charge(webhook.StatusRefunded).event(webhook.CashInRefunded)
	completed = payment(webhook.StatusCompleted).event(webhook.CashOutCompleted)
	failed    = payment(webhook.StatusFailed).event(webhook.CashOutFailed)
	returned  = payment(webhook.StatusRefunded).event(webhook.CashOutRefunded)
)

// deposit returns a paid charge of its own.
func deposit(n int, amount pix.Amount) transaction {
	c := charge(webhook.StatusPaid)
	c.id, c.reference, c.amount = fmt.Sprintf("deposit%d", n), fmt.Sprintf("order-%d", n), amount
	return c
}

// another returns the transaction with the end-to-end id of a second payment.
func another(t transaction) transaction {
	t.paymentID = secondID
	return t
}

const secondID = "E99999999202603101828lmnopqrstuv1"
