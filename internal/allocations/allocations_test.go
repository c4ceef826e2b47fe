// Package allocations keeps the SDK from taking more pieces of memory for a call than it has to.
// They are counted, because a count is the same on every machine, and time is not.
package allocations

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/observe/journalwrite"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// raceDetector says that the test runs under it, where there are more allocations.
var raceDetector bool

// figures holds how many allocations each step may take beside the same work by hand with net/http,
// encoding/json and crypto/hmac in the same run, so that the standard library's own do not count.
// The transport's do not either. A payment may take 60 in all.
var figures = []struct {
	step        string
	most        int // more than by hand
	floor, make func(t *testing.T) func() error
}{
	{"cash-out", 8, cashOutByHand, cashOut},
	{"cash-in with a QR code", 2, cashInByHand, cashIn},
	{"webhook, signature refused", 0, refuseEventByHand, refuseEvent},
	{"webhook, verified and read", 4, parseEventByHand, parseEvent},
	{"webhook, received again", 24, parseEvent, receiveEvent}, // beside the parsing
	{"item, processed again", 11, parseEvent, processEvent},
	{"write to a journal that nobody observes", 0, nothing, writeUnobserved},
	{"token in hand", 0, nothing, readToken},
	{"amount", 0, nothing, readAmount},
}

const mostOfAPayment = 60

func TestNoStepTakesManyMoreAllocationsThanTheSameWorkByHand(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates too")
	}
	for _, figure := range figures {
		t.Run(figure.step, func(t *testing.T) {
			floor, taken := count(t, figure.floor(t)), count(t, figure.make(t))
			t.Logf("%d allocations, and %d by hand", taken, floor)
			assert.LessOrEqual(t, taken-floor, figure.most)
			assert.LessOrEqual(t, taken, mostOfAPayment)
		})
	}
}

func count(t *testing.T, step func() error) int {
	t.Helper()
	var failed error
	taken := testing.AllocsPerRun(2000, func() {
		if err := step(); err != nil {
			failed = err
		}
	})
	require.NoError(t, failed)
	return int(taken)
}

func nothing(*testing.T) func() error { return func() error { return nil } }

const (
	cryptoToken = "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11"
	reference   = "withdrawal-00000000"
)

// gateway is a transport that answers every request the same way, but for the reference, and
// allocates nothing.
type gateway struct {
	response http.Response
	answer   []byte
	reader   bytes.Reader
	sent     [1024]byte
}

func newGateway(status int, answer string) *gateway {
	g := &gateway{answer: []byte(answer)}
	g.response = http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(answer)), Body: io.NopCloser(&g.reader),
	}
	return g
}

func (g *gateway) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		for {
			if _, err := request.Body.Read(g.sent[:]); err != nil {
				break
			}
		}
	}
	g.reader.Reset(g.answer)
	return &g.response, nil
}

// references are new for every call: a payment that is made again takes another way.
func (g *gateway) references(n int) func() string {
	at := bytes.Index(g.answer, []byte(reference))
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("withdrawal-%08d", i))
	}
	next := -1
	return func() string {
		next++
		copy(g.answer[at:], all[next])
		return all[next]
	}
}

func (g *gateway) client(t *testing.T) *connectpsp.Client {
	client, err := connectpsp.New(connectpsp.Config{
		ClientID: "1024", ClientSecret: auth.NewSecret("secret"), ApplicationToken: auth.NewSecret("application"),
		CryptoToken: auth.NewSecret(cryptoToken),
	}, connectpsp.WithHTTPClient(&http.Client{Transport: g}), connectpsp.WithTokenSource(held(t)))
	require.NoError(t, err)
	return client
}

const cashOutAnswer = `{"transactionId":"0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11","internalCode":"PX4K2MD",` +
	`"externalReference":"` + reference + `","status":"PROCESSING","amount":50.00,"description":"User withdrawal",` +
	`"endToEndId":null,"payee":{"name":"Maria da Silva Santos","document":"12345678909","destination":{"type":"PIX",` +
	`"pixKeyType":"CPF","pixKey":"12345678909"}},"requestedAt":"2026-03-10T11:20:00-03:00"}`

var cashOutRequest = connectpsp.CashOutRequest{
	Amount: pix.Centavos(5000), Description: "User withdrawal", WebhookURL: "https://shop.example.com/webhooks/connectpsp",
	Payee: connectpsp.Payee{
		Name: "Maria da Silva Santos", Document: "12345678909",
		Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909"),
	},
}

func cashOut(t *testing.T) func() error {
	g := newGateway(http.StatusCreated, cashOutAnswer)
	client, references, request := g.client(t), g.references(2100), cashOutRequest
	return func() error {
		request.ExternalReference = references()
		_, err := client.CreateCashOut(t.Context(), request)
		return err
	}
}

func cashOutByHand(t *testing.T) func() error {
	g := newGateway(http.StatusCreated, cashOutAnswer)
	references, request := g.references(2100), cashOutRequest
	return func() error {
		request.ExternalReference = references()
		return g.byHand(t, "/cash-out", request, new(connectpsp.CashOut))
	}
}

var cashInAnswer = `{"transactionId":"kk6g232xel65a0daee4dd13kk2912714964","internalCode":"US7B1JQ",` +
	`"externalReference":"` + reference + `","status":"AWAITING_PAYMENT","amount":50.00,"payer":{"name":"Test User",` +
	`"document":"12345678909"},"pixData":{"copyAndPaste":"` + strings.Repeat("0002010102", 15) + `","qrCodeImageBase64":"` +
	strings.Repeat("iVBORw0KGgoAAAAN", 3072/16) + `"},"requestedAt":"2026-03-10T11:20:00-03:00"}`

var cashInRequest = connectpsp.CashInRequest{
	Amount: pix.Centavos(5000), ExpirationInMinutes: 30, WebhookURL: "https://shop.example.com/webhooks/connectpsp",
	Payer: connectpsp.Payer{Name: "Test User", Document: "12345678909"},
}

func cashIn(t *testing.T) func() error {
	g := newGateway(http.StatusCreated, cashInAnswer)
	client, references, request := g.client(t), g.references(2100), cashInRequest
	return func() error {
		request.ExternalReference = references()
		_, err := client.CreateCashIn(t.Context(), request)
		return err
	}
}

func cashInByHand(t *testing.T) func() error {
	g := newGateway(http.StatusCreated, cashInAnswer)
	references, request := g.references(2100), cashInRequest
	return func() error {
		request.ExternalReference = references()
		return g.byHand(t, "/cash-in", request, new(connectpsp.CashIn))
	}
}

// byHand sends a request as a careful program without the SDK does: with a time limit, a key and a
// signature, and a bound on the answer.
func (g *gateway) byHand(t *testing.T, path string, request, answer any) error {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://gateway.test"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(cryptoToken))
	mac.Write([]byte("header.payload.signature"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer header.payload.signature")
	r.Header.Set("ApplicationToken", "application")
	r.Header.Set("DigitalSignature", hex.EncodeToString(mac.Sum(nil)))
	r.Header.Set("X-Idempotency-Key", uuid.NewString())
	client := http.Client{Transport: g}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

var event = []byte(`{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{` +
	`"transactionId":"kk6g232xel65a0daee4dd13kk2912714964","internalCode":"US7B1JQ","externalReference":"test-order-001",` +
	`"endToEndId":"E00416968202603101827cemeFscF6AG","status":"PAID","amount":10.00,"payer":{"name":"Test User",` +
	`"document":"12345678909","bankData":{"ispb":"00000000","bank":"Banco do Brasil S.A.","branch":"0001","account":"123456"}},` +
	`"requestedAt":"2026-03-10T11:20:00-03:00","paidAt":"2026-03-10T11:22:15-03:00"}}`)

func parseEvent(*testing.T) func() error {
	secret := auth.NewSecret(cryptoToken)
	header := http.Header{"X-Connect-Signature": {signing.Sign(cryptoToken, string(event))}}
	return func() error {
		_, err := webhook.Parse(event, header, secret)
		return err
	}
}

func parseEventByHand(t *testing.T) func() error {
	signature := signing.Sign(cryptoToken, string(event))
	return func() error {
		if !verifiedByHand(cryptoToken, signature) {
			t.Error("the signature is right")
		}
		var told struct {
			EventType string
			EventAt   pix.Time
			Data      connectpsp.CashIn
		}
		return json.Unmarshal(event, &told)
	}
}

// verifiedByHand verifies the signature of the event.
func verifiedByHand(secret, signature string) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(event)
	got, err := hex.DecodeString(signature)
	return err == nil && hmac.Equal(got, mac.Sum(nil))
}

func refuseEvent(t *testing.T) func() error {
	secret := auth.NewSecret("another crypto token")
	header := http.Header{"X-Connect-Signature": {signing.Sign(cryptoToken, string(event))}}
	return func() error {
		if _, err := webhook.Parse(event, header, secret); err == nil {
			t.Error("the signature is wrong")
		}
		return nil
	}
}

func refuseEventByHand(t *testing.T) func() error {
	signature := signing.Sign(cryptoToken, string(event))
	return func() error {
		if verifiedByHand("another crypto token", signature) {
			t.Error("the signature is wrong")
		}
		return nil
	}
}

// knowingInbox has every item already, and allocates nothing.
type knowingInbox struct {
	webhook.Inbox
	digest webhook.Digest
	claims []*webhook.Claim
}

func (i *knowingInbox) Put(context.Context, webhook.Item) (*webhook.Digest, error) {
	return &i.digest, nil
}

func (i *knowingInbox) Claim(context.Context, time.Duration, int) ([]*webhook.Claim, error) {
	i.claims[0].Attempts = 1
	return i.claims, nil
}

func (i *knowingInbox) Complete(
	ctx context.Context, _ *webhook.Claim, change func(context.Context, webhook.TransactionState) (webhook.Result, error),
) error {
	_, err := change(ctx, webhook.TransactionState{Status: webhook.StatusPaid})
	return err
}

func processEvent(t *testing.T) func() error {
	parsed, err := webhook.Parse(event, http.Header{"X-Connect-Signature": {signing.Sign(cryptoToken, string(event))}}, auth.NewSecret(cryptoToken))
	require.NoError(t, err)
	inbox := &knowingInbox{claims: []*webhook.Claim{{Item: webhook.Item{
		Key: parsed.Key(), Transaction: "CASHIN/" + parsed.CashIn.TransactionID, Body: event, ReceivedAt: time.Now(),
	}}}}
	worker := webhook.NewWorker(inbox, newGateway(http.StatusOK, "").client(t), func(context.Context, webhook.Transition) error {
		t.Error("the event is stale")
		return nil
	})
	return func() error {
		_, err := worker.Work(t.Context())
		return err
	}
}

func receiveEvent(t *testing.T) func() error {
	handler, err := webhook.NewHandler(&knowingInbox{digest: sha256.Sum256(event)}, auth.NewSecret(cryptoToken))
	require.NoError(t, err)
	var body bytes.Reader
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.NopCloser(&body))
	require.NoError(t, err)
	r.Header.Set("X-Connect-Signature", signing.Sign(cryptoToken, string(event)))
	w := statusWriter{header: http.Header{}}
	return func() error {
		body.Reset(event)
		handler.ServeHTTP(&w, r)
		if w.status != http.StatusOK {
			return fmt.Errorf("status %d", w.status)
		}
		return nil
	}
}

// statusWriter keeps the status of a response.
type statusWriter struct {
	header http.Header
	status int
}

func (w *statusWriter) Header() http.Header         { return w.header }
func (w *statusWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *statusWriter) WriteHeader(status int)      { w.status = status }

func writeUnobserved(t *testing.T) func() error {
	write := func(context.Context) error { return nil }
	return func() error { return journalwrite.Observe(t.Context(), nil, journalwrite.Sent, write) }
}

// held is a source that has a token.
func held(t *testing.T) auth.TokenSource {
	client, err := gen.NewClient("https://gateway.test", gen.WithHTTPClient(&http.Client{
		Transport: newGateway(http.StatusOK, `{"accessToken":"header.payload.signature","expiresIn":3600}`),
	}))
	require.NoError(t, err)
	source := auth.NewClientCredentials(client, "1024", auth.NewSecret("secret"))
	_, err = source.Token(t.Context())
	require.NoError(t, err)
	return source
}

func readToken(t *testing.T) func() error {
	source := held(t)
	return func() error {
		_, err := source.Token(t.Context())
		return err
	}
}

func readAmount(*testing.T) func() error {
	token := []byte("1234.50")
	var amount pix.Amount
	return func() error { return amount.UnmarshalJSON(token) }
}
