package connectpsp_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestAPaymentIsRecordedBeforeItIsSentAndItsOutcomeAfterwards(t *testing.T) {
	for _, c := range []struct {
		name    string
		reply   []http.HandlerFunc
		outcome string
		steps   []string
		open    int
	}{
		{"accepted", []http.HandlerFunc{replyJSON(202, cashOutAccepted)}, accepted, []string{"begin", "sent", "request", "ACCEPTED"}, 0},
		{"rejected", []http.HandlerFunc{problem(422, "INSUFFICIENT_FUNDS")}, rejected, []string{"begin", "sent", "request", "REJECTED"}, 0},
		{"accepted at last", []http.HandlerFunc{html(503), replyJSON(202, cashOutAccepted)}, accepted, []string{"begin", "sent", "request", "sent", "request", "ACCEPTED"}, 0},
		{"unknown", []http.HandlerFunc{html(307)}, unknown, []string{"begin", "sent", "request"}, 1},
		{"conflict", []http.HandlerFunc{problem(409, "DUPLICATE_EXTERNAL_REFERENCE")}, conflict, []string{"begin", "sent", "request"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			journal := newNotebook()
			steps := make([]http.HandlerFunc, len(c.reply))
			for i, reply := range c.reply {
				steps[i] = func(w http.ResponseWriter, r *http.Request) {
					assert.Len(t, journal.open(), 1, "the intent is there when the request arrives")
					journal.note("request")
					reply(w, r)
				}
			}
			gateway := newGateway(t, steps...)
			_, err := gateway.client(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
			assert.Equal(t, c.outcome, outcomeOf(err))
			assert.Equal(t, c.steps, journal.steps)
			assert.Len(t, journal.open(), c.open)
			for _, intent := range journal.open() {
				sent := gateway.requests()[0]
				assert.Equal(t, "createCashOut", intent.Operation)
				assert.Equal(t, sent.header.Get("X-Idempotency-Key"), intent.IdempotencyKey)
				assert.Equal(t, sent.body, string(intent.Body))
				assert.Equal(t, "withdrawal-42", intent.ExternalReference)
				assert.Equal(t, pix.Centavos(5000), intent.Amount)
				assert.Equal(t, clientID, intent.ClientID)
				assert.Contains(t, intent.BaseURL, "http://127.0.0.1")
				assert.WithinDuration(t, time.Now(), intent.SentAt, time.Minute)
			}
		})
	}
}

func TestOnlyPaymentsWithAKeyAreRecorded(t *testing.T) {
	journal := newNotebook()
	calls := map[string]func(*connectpsp.Client){
		`{"success":true,"message":"ok"}`: func(c *connectpsp.Client) { must(c.RebalanceAccount(t.Context(), pix.Centavos(1))) },
		balanceAnswer:                     func(c *connectpsp.Client) { must(c.GetBalance(t.Context())) },
		cashInWithStatus("PAID"):          func(c *connectpsp.Client) { must(c.GetCashIn(t.Context(), cashInID)) },
	}
	for body, call := range calls {
		call(newGateway(t, replyJSON(200, body)).client(connectpsp.WithJournal(journal)))
	}
	assert.Empty(t, journal.steps)

	client := newGateway(t, replyJSON(202, refundAccepted)).client(connectpsp.WithJournal(journal))
	must(client.RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}))
	client = newGateway(t, replyJSON(201, cashInAccepted)).client(connectpsp.WithJournal(journal))
	must(client.CreateCashIn(t.Context(), cashInRequest()))
	assert.Equal(t, []string{"begin", "sent", "ACCEPTED", "begin", "sent", "ACCEPTED"}, journal.steps)
}

func TestAPaymentThatCannotBeRecordedIsNotSent(t *testing.T) {
	for _, step := range []string{"begin", "sent"} {
		journal := newNotebook()
		journal.fail[step] = errDiskFull
		gateway := newGateway(t)
		_, err := gateway.client(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, rejected, outcomeOf(err), step)
		require.ErrorIs(t, err, connectpsp.ErrNotSent, step)
		require.ErrorIs(t, err, errDiskFull, step)
		assert.EqualError(t, err, "connectpsp: createCashOut: this call sent nothing (the journal could not record the payment: "+
			"no space left on device); it is safe to call again with the same request")
		assert.Empty(t, gateway.requests(), step)
		assert.Empty(t, journal.open(), step)
	}
}

// Recover could send a rejected intent that stays open, after the caller has paid in some other
// way.
func TestARejectionThatCannotBeRecordedIsReportedAsUnknown(t *testing.T) {
	journal := newNotebook()
	journal.fail["REJECTED"] = errDiskFull
	_, err := newGateway(t, problem(422, "INSUFFICIENT_FUNDS")).client(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	require.ErrorIs(t, err, errDiskFull)
	var doubt *connectpsp.UnknownOutcomeError
	require.ErrorAs(t, err, &doubt)
	require.NotNil(t, doubt.Refusal)
	assert.Equal(t, connectpsp.CodeInsufficientFunds, doubt.Refusal.Code)
	assert.Len(t, journal.open(), 1)

	t.Run("the connection was refused", func(t *testing.T) {
		journal := newNotebook()
		journal.fail["REJECTED"] = errDiskFull
		_, err := newClient(t, "http://127.0.0.1:1", connectpsp.WithJournal(journal), connectpsp.WithTokenSource(fixedToken("a.b.c"))).
			CreateCashOut(t.Context(), cashOutRequest())
		require.Equal(t, unknown, outcomeOf(err))
		require.ErrorAs(t, err, &doubt)
		assert.Zero(t, doubt.Attempts)
		assert.WithinDuration(t, time.Now(), doubt.FirstSentAt, time.Minute)
	})
	t.Run("Sent failed too, and may have recorded the payment", func(t *testing.T) {
		journal := newNotebook()
		journal.fail["REJECTED"], journal.fail["sent"] = errDiskFull, errDiskFull
		gateway := newGateway(t)
		_, err := gateway.client(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.NotErrorIs(t, err, connectpsp.ErrNotSent)
		assert.Empty(t, gateway.requests())
	})
	t.Run("no token, so nothing was sent", func(t *testing.T) {
		journal := newNotebook()
		journal.fail["REJECTED"] = errDiskFull
		_, err := newGateway(t).client(connectpsp.WithJournal(journal), connectpsp.WithTokenSource(brokenTokens{errors.New("no token")})).
			CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
	})
}

func TestAnAcceptedPaymentThatCannotBeRecordedIsAccepted(t *testing.T) {
	journal := newNotebook()
	journal.fail["ACCEPTED"] = errDiskFull
	cashOut, err := newGateway(t, replyJSON(202, cashOutAccepted)).client(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	assert.Equal(t, cashOutID, cashOut.TransactionID)
}

func TestTheOutcomeIsRecordedAfterTheContextHasEnded(t *testing.T) {
	journal := newNotebook()
	ctx, cancel := context.WithCancel(t.Context())
	client := newGateway(t, problem(422, "INSUFFICIENT_FUNDS")).client(connectpsp.WithJournal(endingJournal{journal, cancel}))
	_, err := client.CreateCashOut(ctx, cashOutRequest())
	assert.Equal(t, rejected, outcomeOf(err))
	require.Error(t, ctx.Err())
	assert.Empty(t, journal.open())
}

func TestAnOpenPaymentIsFoundAfterTheContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	journal := newNotebook()
	client := newGateway(t, redirect(303, "/")).client(connectpsp.WithJournal(journal))
	invalid := cashOutRequest()
	invalid.Payee.Document = "111"
	for _, request := range []connectpsp.CashOutRequest{cashOutRequest(), invalid} {
		_, err := client.CreateCashOut(ctx, request)
		assert.Equal(t, rejected, outcomeOf(err), "nothing was sent before")
	}
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	key := must2(asUnknown(err)).IdempotencyKey
	for _, request := range []connectpsp.CashOutRequest{cashOutRequest(), invalid} {
		_, err := client.CreateCashOut(ctx, request)
		require.Equal(t, unknown, outcomeOf(err), "a payment is open")
		assert.Equal(t, key, must2(asUnknown(err)).IdempotencyKey)
	}
}

// endingJournal ends the caller's context before an outcome is recorded.
type endingJournal struct {
	*notebook
	cancel context.CancelFunc
}

func (e endingJournal) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, id string) error {
	e.cancel()
	return e.notebook.Finish(ctx, key, outcome, id)
}

// Doubt is sticky across calls: in one client without a journal, and across processes with one.
func TestAnUnknownOutcomeIsRememberedByLaterCalls(t *testing.T) {
	for name, options := range map[string][]connectpsp.Option{
		"in the same client":               nil,
		"in another process, by a journal": {connectpsp.WithJournal(newNotebook())},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gateway := newGateway(t, redirect(307, "/elsewhere"), problem(422, "INSUFFICIENT_FUNDS"), problem(401, "INVALID_APPLICATION_TOKEN"),
					replyJSON(202, cashOutAccepted))
				client := gateway.memoryClient(options...)
				begun := time.Now()
				_, err := client.CreateCashOut(t.Context(), cashOutRequest())
				require.Equal(t, unknown, outcomeOf(err))
				if options != nil {
					client = gateway.memoryClient(options...)
				}
				for range 2 {
					time.Sleep(time.Minute)
					_, err = client.CreateCashOut(t.Context(), cashOutRequest())
					require.Equal(t, unknown, outcomeOf(err), "%v", err)
					doubt := must2(asUnknown(err))
					assert.True(t, begun.Equal(doubt.FirstSentAt))
					assert.True(t, time.Now().Equal(doubt.LastSentAt))
					assert.NotNil(t, doubt.Refusal)
					assert.ErrorContains(t, err, "an earlier call for this payment was sent")
				}
				_, err = client.CreateCashOut(t.Context(), cashOutRequest())
				require.NoError(t, err)
				requireSameIntent(t, gateway.requests())
			})
		})
	}
}

// The replay window counts from the first time, so no later call may move it.
func TestACallThatSendsNothingReportsWhenThePaymentWasFirstSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := newNotebook()
		gateway := newGateway(t, redirect(307, "/elsewhere"))
		begun := time.Now()
		_, err := gateway.memoryClient(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
		require.Equal(t, unknown, outcomeOf(err))
		time.Sleep(time.Minute)
		journal.steps = nil
		_, err = gateway.memoryClient(connectpsp.WithJournal(journal), connectpsp.WithTokenSource(brokenTokens{errors.New("no token")})).
			CreateCashOut(t.Context(), cashOutRequest())
		require.Equal(t, unknown, outcomeOf(err))
		doubt := must2(asUnknown(err))
		assert.True(t, begun.Equal(doubt.FirstSentAt))
		assert.True(t, begun.Equal(doubt.LastSentAt))
		assert.Zero(t, doubt.Attempts)
		assert.Equal(t, []string{"begin"}, journal.steps, "an open payment is not recorded again")
	})
}

func TestARefusalAfterARecordedAcceptanceIsUnknown(t *testing.T) {
	journal := newNotebook()
	gateway := newGateway(t, replyJSON(202, cashOutAccepted), problem(422, "INSUFFICIENT_FUNDS"))
	_, err := gateway.memoryClient(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	_, err = gateway.memoryClient(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	assert.Equal(t, cashOutID, must2(asUnknown(err)).TransactionID)
}

func TestARejectedPaymentCanBeSentAgain(t *testing.T) {
	for _, option := range []connectpsp.Option{connectpsp.WithJournal(nil), connectpsp.WithJournal(newNotebook())} {
		client := newGateway(t, problem(422, "INSUFFICIENT_FUNDS")).client(option)
		for range 3 {
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			assert.Equal(t, rejected, outcomeOf(err))
		}
	}
}

func TestAnotherRequestUnderAnOpenKeyIsNotSent(t *testing.T) {
	gateway := newGateway(t, redirect(303, "/"))
	client := gateway.client()
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	other := cashOutRequest()
	other.Amount = pix.Centavos(5001)
	_, err = client.CreateCashOut(t.Context(), other)
	assert.Equal(t, unknown, outcomeOf(err))
	assert.ErrorContains(t, err, "had another request")
	assert.Len(t, gateway.requests(), 1)
}

// A journal need not keep the body of an accepted payment.
func TestAnotherAmountUnderTheKeyOfAnAcceptedPaymentIsNotSent(t *testing.T) {
	journal := newNotebook()
	accepted := with(func(i *connectpsp.Intent) {
		i.Outcome, i.Body, i.TransactionID = connectpsp.OutcomeAccepted, nil, cashOutID
	})
	journal.put(accepted)
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient(connectpsp.WithJournal(journal))
	other := cashOutRequest()
	other.Amount = pix.Centavos(5001)
	_, err := client.CreateCashOut(t.Context(), other, connectpsp.WithIdempotencyKey(accepted.IdempotencyKey))
	assert.Equal(t, unknown, outcomeOf(err))
	assert.ErrorContains(t, err, "had another request")
	assert.Empty(t, gateway.requests())
	_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithIdempotencyKey(accepted.IdempotencyKey))
	assert.NoError(t, err)
}

func TestAnIntentOfAnotherClientIDOrGatewayIsLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*connectpsp.Intent){
		"another gateway":             func(i *connectpsp.Intent) { i.BaseURL = "https://api.connectpsp.com" },
		"another client":              func(i *connectpsp.Intent) { i.ClientID = "1025" },
		"another client, never sent":  func(i *connectpsp.Intent) { i.ClientID, i.SentAt = "1025", time.Time{} },
		"another gateway, never sent": func(i *connectpsp.Intent) { i.BaseURL, i.SentAt = "https://api.connectpsp.com", time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			journal := newNotebook()
			intent := with(change)
			journal.put(intent)
			gateway := newGateway(t)
			client := gateway.memoryClient(connectpsp.WithJournal(journal))
			recovered, err := client.Recover(t.Context())
			require.NoError(t, err)
			require.Len(t, recovered, 1)
			assert.Equal(t, unknown, outcomeOf(recovered[0].Err))
			assert.ErrorContains(t, recovered[0].Err, "another ClientID or BaseURL")
			assert.Len(t, must(journal.Pending(t.Context())), 1)
			if intent.SentAt.IsZero() {
				return
			}
			_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithIdempotencyKey(intent.IdempotencyKey))
			assert.Equal(t, unknown, outcomeOf(err))
			assert.ErrorContains(t, err, "another ClientID or BaseURL")
			assert.Empty(t, gateway.requests())
		})
	}
}

// The request may have become invalid, or the configuration may have lost its CryptoToken.
func TestAnInvalidRequestForAnOpenPaymentIsUnknown(t *testing.T) {
	unsigned := config(memoryURL)
	unsigned.CryptoToken = auth.Secret{}
	faulty := cashOutRequest()
	faulty.Payee.Document = "12345678900"
	for name, accept := range map[string]bool{"open": false, "accepted": true} {
		t.Run(name, func(t *testing.T) {
			journal := newNotebook()
			gateway := newGateway(t, redirect(303, "/"), replyJSON(202, cashOutAccepted))
			client := gateway.memoryClient(connectpsp.WithJournal(journal))
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			require.Equal(t, unknown, outcomeOf(err))
			sum := must2(asUnknown(err)).BodySHA256
			if accept {
				_, err = client.CreateCashOut(t.Context(), cashOutRequest())
				require.NoError(t, err)
			}
			sent := len(gateway.requests())

			_, err = client.CreateCashOut(t.Context(), faulty)
			require.Equal(t, unknown, outcomeOf(err))
			assert.NotErrorIs(t, err, connectpsp.ErrNotSent)
			assert.ErrorContains(t, err, "payee.document: must be a CPF")
			if !accept {
				assert.Equal(t, sum, must2(asUnknown(err)).BodySHA256, "the digest of the body that was sent")
			}
			assert.Equal(t, "withdrawal-42", must2(asUnknown(err)).ExternalReference)

			other := must(connectpsp.New(unsigned, memory(gateway), connectpsp.WithJournal(journal)))
			_, err = other.CreateCashOut(t.Context(), cashOutRequest())
			require.Equal(t, unknown, outcomeOf(err))
			assert.ErrorContains(t, err, "CryptoToken")
			assert.Len(t, gateway.requests(), sent)

			faulty := faulty
			faulty.ExternalReference = "withdrawal-43"
			_, err = client.CreateCashOut(t.Context(), faulty)
			assert.Equal(t, rejected, outcomeOf(err), "a payment of its own is rejected")
		})
	}
	journal := newNotebook()
	journal.fail["find"] = errDiskFull
	_, err := newGateway(t).memoryClient(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), faulty)
	assert.Equal(t, unknown, outcomeOf(err), "there may have been an earlier call")
	assert.ErrorContains(t, err, "no space left")
}

// A journal in a database may be out of reach when a call is repeated.
func TestAFailingJournalLeavesTheOutcomeUnknown(t *testing.T) {
	for _, c := range []struct {
		name     string
		find     error
		sent     bool // an earlier call was
		expected string
	}{
		{"nothing is known", errDiskFull, true, unknown},
		{"an earlier call is found", nil, true, unknown},
		{"there was no earlier call", nil, false, rejected},
	} {
		t.Run(c.name, func(t *testing.T) {
			journal := newNotebook()
			gateway := newGateway(t, redirect(303, "/"))
			client := gateway.memoryClient(connectpsp.WithJournal(brokenBegin{journal}))
			if c.sent {
				_, err := gateway.memoryClient(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
				require.Equal(t, unknown, outcomeOf(err))
			}
			journal.fail["find"] = c.find
			sent := len(gateway.requests())
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			assert.Equal(t, c.expected, outcomeOf(err), "%v", err)
			assert.ErrorIs(t, err, errDiskFull)
			assert.Len(t, gateway.requests(), sent, "nothing is sent")
		})
	}
}

// The process dies before it has stored the outcome, and is down for a day.
func TestAnAcceptedPaymentIsRememberedAfterADayOfDowntime(t *testing.T) {
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
		require.Equal(t, unknown, outcomeOf(err), "the payment was made")
		assert.Equal(t, cashOutID, must2(asUnknown(err)).TransactionID)
	})
}

// Another process may have opened the file since, and may have made the payment.
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

func TestAnotherRequestUnderTheKeyOfAnAcceptedPaymentIsNotSent(t *testing.T) {
	file := must(journal.Open(filepath.Join(t.TempDir(), "p.journal")))
	defer file.Close()
	// The gateway replays its first response, with the only field that is published.
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
	assert.Len(t, gateway.requests(), 1, "ResolveCashOut sent another request under the open key")
}
