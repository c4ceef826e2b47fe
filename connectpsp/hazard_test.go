package connectpsp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
)

// The process dies before it has stored what it was told, and is down for a day.
func TestAPaymentThatWasAcceptedIsKnownAfterADayOfDowntime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.journal")
	synctest.Test(t, func(t *testing.T) {
		file := must(journal.Open(path))
		gateway := newGateway(t, replyJSON(202, cashOutAccepted), problem(422, "INSUFFICIENT_FUNDS"))
		client := gateway.memoryClient(connectpsp.WithJournal(file))
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		require.NoError(t, err)
		require.NoError(t, file.Close())
		time.Sleep(24 * time.Hour)
		file = must(journal.Open(path))
		defer file.Close()
		client = gateway.memoryClient(connectpsp.WithJournal(file))
		_, err = client.Recover(t.Context())
		require.NoError(t, err)
		_, err = client.CreateCashOut(t.Context(), cashOutRequest())
		assert.NotEqual(t, rejected, outcomeOf(err), "an executed payment is reported as rejected")
	})
}

// A payment that was never sent when Recover began is refused and paid with WithAttempt while
// Recover waits for another.
func TestRecoverDoesNotSayNotSentOfWhatWasPaidMeanwhile(t *testing.T) {
	file := must(journal.Open(filepath.Join(t.TempDir(), "p.journal")))
	defer file.Close()
	stuck := left(time.Minute)
	stuck.IdempotencyKey, stuck.ExternalReference = "5f0f1d2c-0000-4000-8000-0000000000ff", "other"
	stuck.Body = []byte(`{"externalReference":"other"}`)
	_, err := file.Begin(t.Context(), stuck)
	require.NoError(t, err)
	require.NoError(t, file.Sent(t.Context(), stuck.IdempotencyKey, stuck.BegunAt))

	tokenAsked, giveToken := make(chan struct{}), make(chan struct{})
	tokens := &gatedToken{asked: tokenAsked, give: giveToken}
	recovering, paid := make(chan struct{}), make(chan struct{})
	n := 0
	var mu sync.Mutex
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		var asked struct{ ExternalReference string }
		_ = json.Unmarshal(body, &asked)
		if asked.ExternalReference == "other" {
			close(recovering)
			<-paid // an ordinary slow answer to what Recover sends again
			return answerOf(202, `{"transactionId":"`+cashOutID+`","externalReference":"other","amount":50.00}`), nil
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		if n == 1 {
			return answerOf(422, `{"code":"INSUFFICIENT_FUNDS"}`), nil
		}
		return answerOf(202, cashOutAccepted), nil
	})
	client := must(connectpsp.New(config(memoryURL), connectpsp.WithJournal(file), connectpsp.WithTokenSource(tokens),
		connectpsp.WithHTTPClient(&http.Client{Transport: transport})))

	first := make(chan error, 1)
	go func() { _, err := client.CreateCashOut(t.Context(), cashOutRequest()); first <- err }()
	receive(t, tokenAsked) // begun, not sent
	done := make(chan []connectpsp.Recovered, 1)
	go func() { r, err := client.Recover(t.Context()); assert.NoError(t, err); done <- r }()
	receive(t, recovering)
	close(giveToken)
	err = receive(t, first)
	require.Equal(t, rejected, outcomeOf(err))
	_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(1)) // as the page says
	require.NoError(t, err)
	close(paid)
	for _, r := range receive(t, done) {
		if r.ExternalReference == "withdrawal-42" {
			assert.NotErrorIs(t, r.Err, connectpsp.ErrNotSent, "the page says giveBack(%q), and it is paid", r.ExternalReference)
		}
	}
}

type gatedToken struct {
	begun       atomic.Bool
	asked, give chan struct{}
}

// The first cash-out waits for its token; the others get one at once.
func (g *gatedToken) Token(ctx context.Context) (auth.Secret, error) {
	if g.begun.CompareAndSwap(false, true) {
		close(g.asked)
		<-g.give
	}
	return auth.NewSecret("a.b.c"), nil
}
func (g *gatedToken) Invalidate(auth.Secret) {}

func answerOf(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), ProtoMajor: 1, ProtoMinor: 1}
}

// An error that was made while the journal was out of reach does not know when the payment was
// first sent.
func TestResolveDoesNotSendAfterTheWindowThatTheJournalKnows(t *testing.T) {
	book := newNotebook()
	gateway := newGateway(t, redirect(303, "/"), replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient(connectpsp.WithJournal(book))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	key := must2(asUnknown(err)).IdempotencyKey
	// three hours pass
	book.mu.Lock()
	i := book.intents[key]
	i.SentAt, i.BegunAt = i.SentAt.Add(-3*time.Hour), i.BegunAt.Add(-3*time.Hour)
	book.intents[key] = i
	book.mu.Unlock()
	// the same call again, while the journal cannot be reached for a moment
	book.fail["begin"], book.fail["find"] = errors.New("database is down"), errors.New("database is down")
	book.mu.Lock()
	saved := book.intents
	book.intents = map[string]connectpsp.Intent{}
	book.mu.Unlock()
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	book.fail = map[string]error{}
	book.mu.Lock()
	book.intents = saved
	book.mu.Unlock()
	require.Equal(t, unknown, outcomeOf(err))
	doubt := must2(asUnknown(err))
	_, err = client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	assert.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
	assert.Len(t, gateway.requests(), 1, "sent again three hours after the first sending, which the journal knows")
}

// Another process may have the file by then, and have made the payment.
func TestAClosedJournalLeavesTheOutcomeUnknown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.journal")
	old := must(journal.Open(path))
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	oldClient := gateway.memoryClient(connectpsp.WithJournal(old))
	require.NoError(t, old.Close()) // shutting down
	next := must(journal.Open(path))
	defer next.Close()
	_, err := gateway.memoryClient(connectpsp.WithJournal(next)).CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	_, err = oldClient.CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err), "the payment was made")
}

func TestTwoClientsOnOneFileReportNoRejectionOfWhatWasAccepted(t *testing.T) {
	file := must(journal.Open(filepath.Join(t.TempDir(), "p.journal")))
	defer file.Close()
	firstHere, secondDone := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	n := 0
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		_, _ = io.ReadAll(r.Body)
		mu.Lock()
		n++
		mine := n
		mu.Unlock()
		if mine == 1 {
			close(firstHere)
			<-secondDone
			return answerOf(422, `{"code":"INSUFFICIENT_FUNDS"}`), nil // judged before the money came in
		}
		return answerOf(202, cashOutAccepted), nil
	})
	newOne := func() *connectpsp.Client {
		return must(connectpsp.New(config(memoryURL), connectpsp.WithJournal(file), connectpsp.WithTokenSource(fixedToken("a.b.c")),
			connectpsp.WithHTTPClient(&http.Client{Transport: transport})))
	}
	one, two := newOne(), newOne()
	result := make(chan error, 1)
	go func() { _, err := one.CreateCashOut(t.Context(), cashOutRequest()); result <- err }()
	receive(t, firstHere)
	recovered, err := two.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered, "the payment is under way in another client on this journal")
	close(secondDone)
	assert.Equal(t, rejected, outcomeOf(receive(t, result)))
	assert.Equal(t, 1, n, "nothing was sent by the other client")
}

// Package net/http quotes an answer that it cannot read.
func TestAnAnswerThatCannotBeReadIsNotQuoted(t *testing.T) {
	for name, raw := range map[string]string{
		"no status line": `{"payee":{"name":"Maria Silva","document":"12345678909"}}` + "\r\n\r\n",
		"no blank line":  "HTTP/1.1 202 Accepted\r\n" + `{"payee":{"name":"Maria Silva","document":"12345678909"}}` + "\r\n\r\n",
		"no colon":       "HTTP/1.1 202 Accepted\r\nmaria 12345678909\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			listener := must(net.Listen("tcp", "127.0.0.1:0"))
			defer listener.Close()
			go func() {
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						buffer := make([]byte, 4096)
						for seen := ""; !strings.Contains(seen, "connectpsp\"}"); {
							n, err := c.Read(buffer)
							if err != nil {
								return
							}
							seen += string(buffer[:n])
						}
						_, _ = io.WriteString(c, raw)
						_ = c.Close()
					}()
				}
			}()
			client := newClient(t, "http://"+listener.Addr().String(), connectpsp.WithTokenSource(fixedToken("a.b.c")))
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			require.Equal(t, unknown, outcomeOf(err))
			text := string(must(json.Marshal(must2(asUnknown(err)))))
			assert.NotContains(t, err.Error(), "12345678909")
			assert.NotContains(t, text, "12345678909")
		})
	}
}

func TestARefundOfAnotherChargeUnderAnOpenKeyIsNotSent(t *testing.T) {
	book := newNotebook()
	const key = "5f0f1d2c-0000-4000-8000-000000000077"
	gateway := newGateway(t, redirect(303, "/"), replyJSON(202, `{"transactionId":"zz"}`))
	client := gateway.memoryClient(connectpsp.WithJournal(book))
	reason := connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}
	_, err := client.RefundCashIn(t.Context(), cashInID, reason, connectpsp.WithIdempotencyKey(key))
	require.Equal(t, unknown, outcomeOf(err))
	_, err = client.RefundCashIn(t.Context(), "zz6g232xel65a0daee4dd13kk2912714999", reason, connectpsp.WithIdempotencyKey(key))
	assert.Error(t, err)
	assert.Len(t, gateway.requests(), 1, "another refund was sent under an open key")
	assert.Len(t, book.open(), 1, "the first refund is lost")
}

// suspend makes a time look as if the machine had slept since: the monotonic clock stands still
// then, and the wall's goes on.
func suspend(at time.Time, d time.Duration) time.Time {
	type raw struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}
	r := (*raw)(unsafe.Pointer(&at))
	if r.wall>>63 == 0 {
		panic("no monotonic reading")
	}
	r.wall -= uint64(d/time.Second) << 30
	return at
}

func TestTheWindowGoesOnWhileTheMachineSleeps(t *testing.T) {
	gateway := newGateway(t, redirect(303, "/"), replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient()
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	doubt := must2(asUnknown(err))
	doubt.FirstSentAt = suspend(doubt.FirstSentAt, 3*time.Hour)
	_, err = client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	assert.Error(t, err)
	assert.Len(t, gateway.requests(), 1)
}

func TestAnAnswerThatBrokeOffIsNoRefusal(t *testing.T) {
	for _, status := range []int{429, 401} {
		client := newGateway(t, cut(status, `{"status":409,"code":"DUPLICATE_EXTERNAL_REFERENCE","detail":"........................"}`)).client(
			connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}))
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
	}
}

func TestResolveDoesNotMakeACallThatIsUnderWayLookRejected(t *testing.T) {
	file := must(journal.Open(filepath.Join(t.TempDir(), "p.journal")))
	defer file.Close()
	doubt := doubtAbout(t, redirect(303, "/"))
	doubt.TransactionID = cashOutID
	asked, give := make(chan struct{}), make(chan struct{})
	gateway := newGateway(t, replyJSON(200, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-42","status":"COMPLETED","amount":50.00}`))
	client := gateway.memoryClient(connectpsp.WithJournal(file), connectpsp.WithTokenSource(&gatedToken{asked: asked, give: give}))
	result := make(chan error, 1)
	go func() { _, err := client.CreateCashOut(t.Context(), cashOutRequest()); result <- err }()
	receive(t, asked)
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	close(give)
	err = receive(t, result)
	assert.NotEqual(t, rejected, outcomeOf(err), "the client itself has just found it accepted")
}

func TestWhatResolveReadIsRemembered(t *testing.T) {
	doubt := doubtAbout(t, redirect(303, "/"))
	doubt.TransactionID = cashOutID
	gateway := newGateway(t, replyJSON(200, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-42","status":"COMPLETED","amount":50.00}`),
		problem(422, "INSUFFICIENT_FUNDS"))
	client := gateway.memoryClient()
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	assert.NotEqual(t, rejected, outcomeOf(err))
}

// returnsUnsent is a journal that tells of every intent with the key.
type returnsUnsent struct{ *notebook }

func (r returnsUnsent) Begin(ctx context.Context, i connectpsp.Intent) (*connectpsp.Intent, error) {
	r.mu.Lock()
	earlier, found := r.intents[i.IdempotencyKey]
	r.mu.Unlock()
	if found && earlier.Outcome == "" {
		return &earlier, nil
	}
	return r.notebook.Begin(ctx, i)
}

func TestAJournalMayTellOfAnIntentThatWasNeverSent(t *testing.T) {
	book := newNotebook()
	gateway := newGateway(t, redirect(303, "/"))
	client := gateway.memoryClient(connectpsp.WithJournal(returnsUnsent{book}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	book.fail["REJECTED"] = errDiskFull // the process dies between Begin and Finish
	_, err := client.CreateCashOut(ctx, cashOutRequest())
	require.Error(t, err)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	require.Error(t, err)
	require.Len(t, gateway.requests(), 1)
	assert.NotEmpty(t, book.open(), "it was sent, and the journal has no mark of it")
	delete(book.fail, "REJECTED")
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	for _, r := range recovered {
		assert.NotErrorIs(t, r.Err, connectpsp.ErrNotSent, "the page says: give the money back")
	}
}

func TestAClientResolvesNothingOfAnotherIntegration(t *testing.T) {
	doubt := queued(t, doubtAbout(t, redirect(303, "/")))
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	other := config(memoryURL)
	other.ClientID = "2048"
	client := must(connectpsp.New(other, memory(gateway)))
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
	assert.Empty(t, gateway.requests(), "the payment of client 1024 was sent for client 2048")
}

func TestAnotherRequestUnderTheKeyOfAnAcceptedPaymentIsNotSent(t *testing.T) {
	file := must(journal.Open(filepath.Join(t.TempDir(), "p.journal")))
	defer file.Close()
	// A gateway that repeats its first answer, with the only field that is published.
	gateway := newGateway(t, replyJSON(202, `{"transactionId":"`+cashOutID+`"}`))
	client := gateway.memoryClient(connectpsp.WithJournal(file))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	other := cashOutRequest()
	other.Amount = pix.Centavos(50000)
	other.Payee.Name = "Somebody Else"
	_, err = client.CreateCashOut(t.Context(), other)
	assert.Error(t, err, "500.00 to somebody else is reported as accepted; 50.00 to Maria Silva was paid")
}

func TestTheErrorOfAnotherRequestDescribesTheOpenPayment(t *testing.T) {
	book := newNotebook()
	gateway := newGateway(t, redirect(303, "/"), replyJSON(202, `{"transactionId":"`+cashOutID+`"}`))
	client := gateway.memoryClient(connectpsp.WithJournal(book))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	first := must2(asUnknown(err))
	other := cashOutRequest()
	other.Amount = pix.Centavos(50000)
	_, err = client.CreateCashOut(t.Context(), other)
	doubt := must2(asUnknown(err))
	assert.Equal(t, first.Amount, doubt.Amount)
	assert.Equal(t, first.BodySHA256, doubt.BodySHA256)
	_, err = gateway.memoryClient().ResolveCashOut(t.Context(), queued(t, doubt), other)
	assert.Error(t, err)
	assert.Len(t, gateway.requests(), 1, "what must not be sent was sent by ResolveCashOut, under the open key")
}

// heldPending is a journal whose first Pending returns late.
type heldPending struct {
	*notebook
	once sync.Once
	read chan struct{}
	goOn chan struct{}
}

func (h *heldPending) Pending(ctx context.Context) ([]connectpsp.Intent, error) {
	found, err := h.notebook.Pending(ctx)
	first := false
	h.once.Do(func() { first = true })
	if first {
		close(h.read)
		<-h.goOn
	}
	return found, err
}

func TestTwoRecoversReportAnUnsentPaymentOnce(t *testing.T) {
	book := &heldPending{notebook: newNotebook(), read: make(chan struct{}), goOn: make(chan struct{})}
	book.put(with(func(i *connectpsp.Intent) { i.SentAt = time.Time{} }))
	client := newGateway(t).memoryClient(connectpsp.WithJournal(book))
	done := make(chan []connectpsp.Recovered, 1)
	go func() { r, _ := client.Recover(t.Context()); done <- r }()
	receive(t, book.read)
	second, err := client.Recover(t.Context())
	require.NoError(t, err)
	close(book.goOn)
	assert.Len(t, append(second, receive(t, done)...), 1, "given back twice")
}
