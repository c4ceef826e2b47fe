package connectpsp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestResolveSendsTheSameKeyAndBodyInAnotherProcess(t *testing.T) {
	first := newGateway(t, redirect(303, "/"))
	_, err := first.memoryClient().CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(2))
	doubt := queued(t, must2(asUnknown(err)))

	second := newGateway(t, replyJSON(202, cashOutAccepted))
	journal := newNotebook()
	cashOut, err := second.memoryClient(connectpsp.WithJournal(journal)).ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	assert.Equal(t, cashOutID, cashOut.TransactionID)
	requireSameIntent(t, append(first.requests(), second.requests()...))
	assert.Equal(t, []string{"begin", "sent", "ACCEPTED"}, journal.steps)
}

func TestResolveNeverRejects(t *testing.T) {
	for name, step := range map[string]http.HandlerFunc{
		"refused": problem(422, "INSUFFICIENT_FUNDS"), "conflict": problem(409, "DUPLICATE_EXTERNAL_REFERENCE"), "token": problem(401, "TOKEN_EXPIRED"),
		"firewall": html(403), "limit": problem(429, "LATER"), "signature": problem(422, "INVALID_SIGNATURE"), "500": html(500), "page": html(200),
	} {
		t.Run(name, func(t *testing.T) {
			doubt := doubtAbout(t, redirect(303, "/"))
			for _, client := range []*connectpsp.Client{
				newGateway(t, step).memoryClient(),
				newGateway(t, step).memoryClient(connectpsp.WithJournal(newNotebook())),
				newGateway(t).memoryClient(connectpsp.WithTokenSource(brokenTokens{errors.New("no token")})),
				newGateway(t).memoryClient(connectpsp.WithJournal(brokenBegin{newNotebook()})),
			} {
				_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
				require.Equal(t, unknown, outcomeOf(err), "%v", err)
				assert.NotErrorIs(t, err, connectpsp.ErrNotSent)
				still := must2(asUnknown(err))
				assert.Equal(t, doubt.IdempotencyKey, still.IdempotencyKey)
				assert.True(t, doubt.FirstSentAt.Equal(still.FirstSentAt), "the window is not prolonged")
				assert.GreaterOrEqual(t, still.Attempts, doubt.Attempts)
				assert.Equal(t, doubt.BodySHA256, still.BodySHA256)
			}
		})
	}
}

// Recover reports an intent that was not sent as such, and the payment of this one was sent by
// another process.
func TestResolveNeverRecordsThePaymentAsUnsent(t *testing.T) {
	doubt := doubtAbout(t, redirect(303, "/"))
	journal := newNotebook()
	client := newGateway(t, redirect(303, "/")).memoryClient(connectpsp.WithJournal(journal), connectpsp.WithTokenSource(brokenTokens{errors.New("no token")}))
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	require.Equal(t, []string{"begin"}, journal.steps)
	require.Len(t, journal.open(), 1)
	assert.True(t, doubt.FirstSentAt.Equal(journal.open()[0].SentAt))
}

func TestResolveReadsTheTransactionIfItsIDIsKnown(t *testing.T) {
	read := replyJSON(200, cashOutCompleted)
	doubt := doubtAbout(t, redirect(303, "/"))
	doubt.TransactionID = cashOutID
	doubt.FirstSentAt = doubt.FirstSentAt.Add(-48 * time.Hour)
	gateway := newGateway(t, read)
	journal := newNotebook()
	journal.put(with(func(i *connectpsp.Intent) { i.IdempotencyKey = doubt.IdempotencyKey }))
	cashOut, err := gateway.memoryClient(connectpsp.WithJournal(journal)).ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	assert.Equal(t, connectpsp.CashOutCompleted, cashOut.Status)
	require.Len(t, gateway.requests(), 1)
	assert.Equal(t, "GET", gateway.requests()[0].method)
	assert.Empty(t, journal.open())

	foreign := replyJSON(200, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-41","status":"COMPLETED","amount":50.00}`)
	_, err = newGateway(t, foreign).memoryClient().ResolveCashOut(t.Context(), doubt, cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err), "another payment of the same amount")

	other := replyJSON(200, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-42","status":"COMPLETED","amount":5.00}`)
	doubt = doubtAbout(t, redirect(303, "/"))
	doubt.TransactionID = cashOutID
	_, err = newGateway(t, other, replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":5.00}`)).memoryClient().ResolveCashOut(t.Context(), doubt, cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
}

func TestResolveSendsOnlyTheRequestOfTheUnknownOutcome(t *testing.T) {
	for name, change := range map[string]func(*connectpsp.UnknownOutcomeError, *connectpsp.CashOutRequest){
		"another amount": func(_ *connectpsp.UnknownOutcomeError, r *connectpsp.CashOutRequest) { r.Amount = pix.Centavos(5001) },
		"another reference": func(_ *connectpsp.UnknownOutcomeError, r *connectpsp.CashOutRequest) {
			r.ExternalReference = "withdrawal-43"
		},
		"another name":      func(_ *connectpsp.UnknownOutcomeError, r *connectpsp.CashOutRequest) { r.Payee.Name = "Mario Silva" },
		"no sum":            func(e *connectpsp.UnknownOutcomeError, _ *connectpsp.CashOutRequest) { e.BodySHA256 = "" },
		"no key":            func(e *connectpsp.UnknownOutcomeError, _ *connectpsp.CashOutRequest) { e.IdempotencyKey = "" },
		"an odd key":        func(e *connectpsp.UnknownOutcomeError, _ *connectpsp.CashOutRequest) { e.IdempotencyKey = "a\r\nb: c" },
		"another operation": func(e *connectpsp.UnknownOutcomeError, _ *connectpsp.CashOutRequest) { e.Operation = "createCashIn" },
		"no time":           func(e *connectpsp.UnknownOutcomeError, _ *connectpsp.CashOutRequest) { e.FirstSentAt = time.Time{} },
		"too old": func(e *connectpsp.UnknownOutcomeError, _ *connectpsp.CashOutRequest) {
			e.FirstSentAt = e.FirstSentAt.Add(-20 * time.Minute)
		},
		"from the future": func(e *connectpsp.UnknownOutcomeError, _ *connectpsp.CashOutRequest) {
			e.FirstSentAt = e.FirstSentAt.Add(2 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			doubt, request := doubtAbout(t, redirect(303, "/")), cashOutRequest()
			change(doubt, &request)
			_, err := newGateway(t).memoryClient().ResolveCashOut(t.Context(), doubt, request)
			require.Equal(t, unknown, outcomeOf(err))
			assert.NotContains(t, err.Error(), "call again with the same request", "that would end in the same way")
		})
	}
	_, err := newGateway(t).memoryClient().ResolveCashOut(t.Context(), nil, cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
}

// A call that waited for a rejected one is rejected too, unless it resolves an earlier unknown
// outcome.
func TestResolveDoesNotTakeOverTheRejectionOfAnotherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doubt := doubtAbout(t, redirect(303, "/"))
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			problem(422, "INSUFFICIENT_FUNDS")(w, r)
		})
		client := gateway.memoryClient()
		go func() {
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			assert.Equal(t, rejected, outcomeOf(err), "this client does not know of the unknown outcome")
		}()
		synctest.Wait()
		_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.Len(t, gateway.requests(), 2)
	})
}

// The error describes the accepted payment, and not the invalid request.
func TestTheErrorOfAnInvalidRequestResolvesTheAcceptedPayment(t *testing.T) {
	box, client := checkedSandbox(t)
	paid, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	faulty := cashOutRequest()
	faulty.Payee.Name = ""
	_, err = client.CreateCashOut(t.Context(), faulty)
	var doubt *connectpsp.UnknownOutcomeError
	require.ErrorAs(t, err, &doubt)
	assert.Equal(t, paid.TransactionID, doubt.TransactionID)
	assert.Equal(t, pix.Centavos(5000), doubt.Amount)
	assert.NotEmpty(t, doubt.BodySHA256)

	resolved, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	assert.Equal(t, paid.TransactionID, resolved.TransactionID)

	other := cashOutRequest()
	other.ExternalReference = "another"
	_, err = client.ResolveCashOut(t.Context(), doubt, other)
	assert.Equal(t, unknown, outcomeOf(err))
	other = cashOutRequest()
	other.Amount = pix.Centavos(5100)
	before := transactional(t, client)
	_, err = must(connectpsp.New(box.Config())).ResolveCashOut(t.Context(), doubt, other)
	assert.Equal(t, unknown, outcomeOf(err))
	assert.Equal(t, before, transactional(t, client), "nothing was sent")
}

// An error that was returned while the journal was out of reach does not hold the time of the first
// sending.
func TestResolveCountsTheReplayWindowFromTheTimeInTheJournal(t *testing.T) {
	book := newNotebook()
	gateway := newGateway(t, redirect(303, "/"), replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient(connectpsp.WithJournal(book))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	key := must2(asUnknown(err)).IdempotencyKey
	book.mu.Lock()
	i := book.intents[key]
	i.SentAt, i.BegunAt = i.SentAt.Add(-3*time.Hour), i.BegunAt.Add(-3*time.Hour)
	book.intents[key] = i
	book.mu.Unlock()
	// The call is repeated while the journal is out of reach.
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
	assert.Len(t, gateway.requests(), 1, "the journal knows that it was first sent three hours ago")
}

func TestTheReplayWindowRunsWhileTheMachineSleeps(t *testing.T) {
	gateway := newGateway(t, redirect(303, "/"), replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient()
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	doubt := must2(asUnknown(err))
	doubt.FirstSentAt = suspend(doubt.FirstSentAt, 3*time.Hour)
	_, err = client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	assert.Error(t, err)
	assert.Len(t, gateway.requests(), 1)
}

// suspend moves the wall clock of a time back by d and leaves its monotonic clock, as if the
// machine had slept since. Package time has no way to do that.
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

// The call began before Resolve found the payment accepted, and is sent after that.
func TestACallUnderWayIsAcceptedThoughResolveReadThePaymentFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.journal")
	synctest.Test(t, func(t *testing.T) {
		file := must(journal.Open(path))
		defer file.Close()
		doubt := doubtAbout(t, redirect(303, "/"))
		doubt.TransactionID = cashOutID
		tokens := newGatedToken()
		client := newGateway(t, replyJSON(200, cashOutCompleted), replyJSON(202, cashOutAccepted)).
			memoryClient(connectpsp.WithJournal(file), connectpsp.WithTokenSource(tokens))
		result := make(chan error, 1)
		go func() { result <- second(client.CreateCashOut(t.Context(), cashOutRequest())) }()
		receive(t, tokens.asked)
		_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
		require.NoError(t, err)
		close(tokens.give)
		assert.Equal(t, accepted, outcomeOf(receive(t, result)))
	})
}

// The call began before the payment was read, and is sent and refused after that.
func TestACallUnderWayIsNotRejectedWhenItsPaymentWasReadAsAccepted(t *testing.T) {
	var completed connectpsp.CashOut
	require.NoError(t, json.Unmarshal([]byte(cashOutCompleted), &completed))
	for name, read := range map[string]func(*testing.T, *connectpsp.Client) error{
		"by ResolveCashOut": func(t *testing.T, client *connectpsp.Client) error {
			doubt := doubtAbout(t, redirect(303, "/"))
			doubt.TransactionID = cashOutID
			return second(client.ResolveCashOut(t.Context(), doubt, cashOutRequest()))
		},
		"by GetCashOut": func(t *testing.T, client *connectpsp.Client) error {
			return second(client.GetCashOut(t.Context(), cashOutID))
		},
		"by a webhook": func(t *testing.T, client *connectpsp.Client) error {
			return client.ReconcileCashOut(t.Context(), &completed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "p.journal")
			synctest.Test(t, func(t *testing.T) {
				file := must(journal.Open(path))
				defer file.Close()
				tokens := newGatedToken()
				steps := []http.HandlerFunc{replyJSON(200, cashOutCompleted), problem(422, "INSUFFICIENT_FUNDS")}
				if name == "by a webhook" {
					steps = steps[1:]
				}
				client := newGateway(t, steps...).memoryClient(connectpsp.WithJournal(file), connectpsp.WithTokenSource(tokens))
				result := make(chan error, 1)
				go func() { result <- second(client.CreateCashOut(t.Context(), cashOutRequest())) }()
				receive(t, tokens.asked)
				require.NoError(t, read(t, client))
				close(tokens.give)
				err := receive(t, result)
				assert.Equal(t, unknown, outcomeOf(err))
				assert.ErrorContains(t, err, "another call has read this payment as accepted")
				assert.Empty(t, must(file.Pending(t.Context())), "the journal has the acceptance")
			})
		})
	}
}

// The call that was read as accepted ends before it is sent, and the journal has nothing to end.
func TestAPaymentThatWasReadAsAcceptedIsRememberedThoughItsCallSentNothing(t *testing.T) {
	var completed connectpsp.CashOut
	require.NoError(t, json.Unmarshal([]byte(cashOutCompleted), &completed))
	for name, options := range map[string]func(*testing.T) []connectpsp.Option{
		"without a journal": func(*testing.T) []connectpsp.Option { return nil },
		"with another journal": func(*testing.T) []connectpsp.Option {
			return []connectpsp.Option{connectpsp.WithJournal(newNotebook())}
		},
		"with a file": func(t *testing.T) []connectpsp.Option {
			file := must(journal.Open(filepath.Join(t.TempDir(), "p.journal")))
			t.Cleanup(func() { _ = file.Close() })
			return []connectpsp.Option{connectpsp.WithJournal(file)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := newGatedToken()
			gateway := newGateway(t, problem(422, "INSUFFICIENT_FUNDS"))
			client := gateway.memoryClient(append(options(t), connectpsp.WithTokenSource(tokens))...)
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- second(client.CreateCashOut(ctx, cashOutRequest())) }()
			receive(t, tokens.asked)
			require.NoError(t, client.ReconcileCashOut(t.Context(), &completed))
			cancel()
			close(tokens.give)
			assert.Equal(t, unknown, outcomeOf(receive(t, result)))
			require.Empty(t, gateway.requests())
			for _, option := range []connectpsp.CallOption{connectpsp.WithAttempt(0), connectpsp.WithAttempt(1)} {
				_, err := client.CreateCashOut(t.Context(), cashOutRequest(), option)
				assert.Equal(t, unknown, outcomeOf(err), "%v", err)
			}
		})
	}
}

// Two payments have one key. The acceptance of one does not end the other.
func TestAPaymentThatWasReadAsAcceptedDoesNotEndAnotherWithItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var completed connectpsp.CashOut
		require.NoError(t, json.Unmarshal([]byte(cashOutCompleted), &completed))
		tokens := newGatedToken()
		book := newNotebook()
		client := newGateway(t, problem(422, "INSUFFICIENT_FUNDS")).
			memoryClient(connectpsp.WithJournal(book), connectpsp.WithTokenSource(tokens))
		key := connectpsp.WithIdempotencyKey("5f0f1d2c-0000-4000-8000-000000000001")
		another := cashOutRequest()
		another.ExternalReference = "withdrawal-41"
		result := make(chan error, 1)
		go func() { result <- second(client.CreateCashOut(t.Context(), another, key)) }()
		receive(t, tokens.asked)
		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan error, 1)
		go func() { waiting <- second(client.CreateCashOut(ctx, cashOutRequest(), key)) }()
		synctest.Wait()
		require.NoError(t, client.ReconcileCashOut(t.Context(), &completed))
		cancel()
		assert.Equal(t, unknown, outcomeOf(receive(t, waiting)))
		close(tokens.give)
		assert.Equal(t, rejected, outcomeOf(receive(t, result)), "the other payment was refused")
	})
}

// ResolveCashOut has the lock of the payment while a webhook settles it.
func TestAPaymentIsReadAsAcceptedTwiceAtOnce(t *testing.T) {
	var completed connectpsp.CashOut
	require.NoError(t, json.Unmarshal([]byte(cashOutCompleted), &completed))
	book := meetingJournal{newNotebook(), make(chan struct{}), make(chan struct{})}
	gateway := newGateway(t, redirect(303, "/"), replyJSON(200, cashOutAccepted))
	client := gateway.memoryClient(connectpsp.WithJournal(book))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	doubt := must2(asUnknown(err))
	doubt.TransactionID = cashOutID
	reconciled := make(chan error, 1)
	go func() {
		<-book.begun
		reconciled <- client.ReconcileCashOut(t.Context(), &completed)
	}()
	_, err = client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	assert.NoError(t, receive(t, reconciled))
}

// meetingJournal says when a call begins that finds an earlier one, and records no outcome until
// Find was called after that.
type meetingJournal struct {
	*notebook
	begun, found chan struct{}
}

func (m meetingJournal) Begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	earlier, err := m.notebook.Begin(ctx, intent)
	if earlier != nil {
		close(m.begun)
	}
	return earlier, err
}

func (m meetingJournal) Find(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	select {
	case <-m.begun:
		close(m.found)
	default:
	}
	return m.notebook.Find(ctx, intent)
}

func (m meetingJournal) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	<-m.found
	return m.notebook.Finish(ctx, key, outcome, transactionID)
}

func TestAPaymentThatResolveFoundAcceptedIsRemembered(t *testing.T) {
	doubt := doubtAbout(t, redirect(303, "/"))
	doubt.TransactionID = cashOutID
	gateway := newGateway(t, replyJSON(200, cashOutCompleted),
		problem(422, "INSUFFICIENT_FUNDS"))
	client := gateway.memoryClient()
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err), "the payment was made")
	assert.Equal(t, cashOutID, must2(asUnknown(err)).TransactionID)
}

func TestResolveSendsNothingForAnotherClientID(t *testing.T) {
	doubt := queued(t, doubtAbout(t, redirect(303, "/")))
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	other := config(memoryURL)
	other.ClientID = "2048"
	client := must(connectpsp.New(other, memory(gateway)))
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
	assert.Empty(t, gateway.requests(), "the payment of client 1024 was sent for client 2048")
}

func TestResolveEndsOnlyItsOwnPaymentInTheJournal(t *testing.T) {
	doubt := doubtAbout(t, redirect(303, "/"))
	doubt.TransactionID = cashOutID
	book := newNotebook()
	book.put(with(func(i *connectpsp.Intent) {
		i.IdempotencyKey, i.ExternalReference = doubt.IdempotencyKey, "withdrawal-43"
	}))
	client := newGateway(t, replyJSON(200, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-42","status":"PROCESSING","amount":50.00}`)).
		memoryClient(connectpsp.WithJournal(book))
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	assert.Len(t, book.open(), 1, "withdrawal-43 is still open")
}

func TestResolveAcceptsAPaymentThatReadsWithoutAnAmount(t *testing.T) {
	doubt := doubtAbout(t, redirect(303, "/"))
	doubt.TransactionID = cashOutID
	doubt.FirstSentAt = doubt.FirstSentAt.Add(-48 * time.Hour)
	book := newNotebook()
	book.put(with(func(i *connectpsp.Intent) { i.IdempotencyKey = doubt.IdempotencyKey }))
	client := newGateway(t, replyJSON(200, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-42","status":"COMPLETED","amount":null}`)).
		memoryClient(connectpsp.WithJournal(book))
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	assert.Empty(t, book.open(), "the journal has it as accepted")
	assert.NoError(t, err)
}
