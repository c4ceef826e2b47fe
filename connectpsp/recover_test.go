package connectpsp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestRecoverSendsAnOpenPaymentAgainWithTheSameKeyAndBody(t *testing.T) {
	journal := newNotebook()
	journal.put(left(time.Minute))
	gateway := newGateway(t, html(503), replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient(connectpsp.WithJournal(journal))
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	require.NoError(t, recovered[0].Err)
	assert.Equal(t, "createCashOut", recovered[0].Operation)
	assert.Equal(t, "withdrawal-42", recovered[0].ExternalReference)
	assert.Equal(t, pix.Centavos(5000), recovered[0].Amount)
	assert.Equal(t, left(0).IdempotencyKey, recovered[0].IdempotencyKey)
	assert.Equal(t, cashOutID, recovered[0].CashOut.TransactionID)
	assert.Nil(t, recovered[0].CashIn)
	assert.Nil(t, recovered[0].Refund)

	require.Len(t, gateway.requests(), 2)
	requireSameIntent(t, gateway.requests())
	assert.Equal(t, left(0).IdempotencyKey, gateway.requests()[0].header.Get("X-Idempotency-Key"))
	assert.Equal(t, string(left(0).Body), gateway.requests()[0].body)

	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered, "it was resolved before")
}

func TestRecoverResolvesEveryKindOfPayment(t *testing.T) {
	journal := newNotebook()
	lost := newGateway(t, redirect(303, "/")).memoryClient(connectpsp.WithJournal(journal))
	_, err := lost.CreateCashIn(t.Context(), cashInRequest())
	require.Equal(t, unknown, outcomeOf(err))
	gateway := newGateway(t, replyJSON(201, cashInAccepted))
	recovered, err := gateway.memoryClient(connectpsp.WithJournal(journal)).Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	require.NoError(t, recovered[0].Err)
	assert.Equal(t, cashInID, recovered[0].CashIn.TransactionID)

	_, err = lost.RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	require.Equal(t, unknown, outcomeOf(err))
	key := must2(asUnknown(err)).IdempotencyKey
	gateway = newGateway(t, replyJSON(202, refundAccepted))
	recovered, err = gateway.memoryClient(connectpsp.WithJournal(journal)).Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 2)
	assert.Equal(t, connectpsp.OperationCreateCashIn, recovered[0].Operation, "the charge ended before, and is reported once more")
	require.NoError(t, recovered[1].Err)
	assert.Equal(t, cashInID, recovered[1].Refund.TransactionID)
	assert.Equal(t, cashInID, recovered[1].ChargeID)
	assert.Equal(t, "/cash-in/"+cashInID+"/refund", gateway.requests()[0].path)
	assert.Equal(t, key, gateway.requests()[0].header.Get("X-Idempotency-Key"), "the same key")
	assert.Empty(t, journal.open())
}

func TestRecoverReadsTheChargeIfARefundCannotBeRepeated(t *testing.T) {
	for name, steps := range map[string][]http.HandlerFunc{
		"refused as done": {problem(422, "CASH_IN_ALREADY_REFUNDED"), replyJSON(200, cashInWithStatus("REFUNDED"))},
		"no response":     {redirect(303, "/"), replyJSON(200, cashInWithStatus("REFUNDED"))},
		"not done":        {redirect(303, "/"), replyJSON(200, cashInWithStatus("PAID"))},
		"too late":        {replyJSON(200, cashInWithStatus("REFUNDED"))},
	} {
		t.Run(name, func(t *testing.T) {
			journal := newNotebook()
			journal.put(with(func(i *connectpsp.Intent) {
				i.Operation, i.ExternalReference, i.TransactionID = "refundCashIn", "", cashInID
				i.Body = []byte(`{"reason":"FRAUD"}`)
				if name == "too late" {
					i.SentAt = i.SentAt.Add(-time.Hour)
				}
			}))
			recovered, err := newGateway(t, steps...).memoryClient(connectpsp.WithJournal(journal)).Recover(t.Context())
			require.NoError(t, err)
			require.Len(t, recovered, 1)
			if name == "not done" {
				assert.Equal(t, unknown, outcomeOf(recovered[0].Err))
				assert.Len(t, journal.open(), 1)
				return
			}
			require.NoError(t, recovered[0].Err)
			assert.Equal(t, connectpsp.CashInRefunded, recovered[0].Refund.Status)
			assert.Empty(t, journal.open())
		})
	}
}

// A response after the crash proves nothing about the request before it.
func TestNoRefusalMakesARecoveredPaymentRejected(t *testing.T) {
	for _, step := range []http.HandlerFunc{
		problem(422, "INSUFFICIENT_FUNDS"), problem(400, "X"), problem(401, "TOKEN_EXPIRED"), problem(409, "DUPLICATE_EXTERNAL_REFERENCE"),
		problem(422, "INVALID_SIGNATURE"), html(403), html(500), drop,
	} {
		synctest.Test(t, func(t *testing.T) {
			journal := newNotebook()
			journal.put(left(time.Minute))
			client := must(connectpsp.New(config(memoryURL), connectpsp.WithJournal(journal), connectpsp.WithHTTPClient(&http.Client{
				Transport: roundTripper(func(r *http.Request) (response *http.Response, err error) {
					defer func() {
						if recover() != nil {
							err = errors.New("reset")
						}
					}()
					return inMemory{newGateway(t, step).handler}.RoundTrip(r)
				})})))
			recovered, err := client.Recover(t.Context())
			require.NoError(t, err)
			require.Len(t, recovered, 1)
			assert.Equal(t, unknown, outcomeOf(recovered[0].Err), "%v", recovered[0].Err)
			assert.Len(t, journal.open(), 1, "it can be tried again")
		})
	}
}

func TestRecoverSendsNothingAfterTheReplayWindow(t *testing.T) {
	for name, c := range map[string]struct {
		age    time.Duration
		option connectpsp.Option
		sent   bool
	}{
		"just within":         {19*time.Minute + 50*time.Second, connectpsp.WithReplayWindow(0), true},
		"after":               {20*time.Minute + time.Second, connectpsp.WithReplayWindow(0), false},
		"within a longer one": {time.Hour, connectpsp.WithReplayWindow(2 * time.Hour), true},
		"after a shorter one": {time.Minute + time.Second, connectpsp.WithReplayWindow(time.Minute), false},
		"sent in the future":  {-time.Hour, connectpsp.WithReplayWindow(0), false},
	} {
		t.Run(name, func(t *testing.T) {
			journal := newNotebook()
			journal.put(left(c.age))
			gateway := newGateway(t, replyJSON(202, cashOutAccepted))
			recovered, err := gateway.memoryClient(connectpsp.WithJournal(journal), c.option).Recover(t.Context())
			require.NoError(t, err)
			require.Len(t, recovered, 1)
			assert.Equal(t, c.sent, len(gateway.requests()) == 1)
			if !c.sent {
				assert.Equal(t, unknown, outcomeOf(recovered[0].Err))
				assert.ErrorContains(t, recovered[0].Err, "it was first sent so long ago that the gateway may have forgotten the idempotency key")
				assert.Len(t, journal.open(), 1)
			}
		})
	}
}

func TestNoAttemptBeginsAfterTheReplayWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := newNotebook()
		journal.put(left(19*time.Minute + 50*time.Second))
		begun := time.Now()
		var last time.Duration
		client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			last = time.Since(begun)
			retryAfter("4", html(503))(w, r)
		}).memoryClient(connectpsp.WithJournal(journal))
		recovered, err := client.Recover(t.Context())
		require.NoError(t, err)
		assert.Equal(t, unknown, outcomeOf(recovered[0].Err))
		assert.Equal(t, 8*time.Second, last)
	})
}

func TestRecoverSkipsAPaymentWhoseCallIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := newNotebook()
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Second)
			replyJSON(202, cashOutAccepted)(w, r)
		})
		client := gateway.memoryClient(connectpsp.WithJournal(journal))
		go func() {
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			assert.NoError(t, err)
		}()
		synctest.Wait()
		require.Len(t, journal.open(), 1)
		begun := time.Now()
		recovered, err := client.Recover(t.Context())
		require.NoError(t, err)
		assert.Empty(t, recovered)
		assert.Equal(t, begun, time.Now(), "it does not wait for it either")
		time.Sleep(time.Minute)
		assert.Len(t, gateway.requests(), 1)
	})
}

// staleJournal is a journal whose Pending returns intents as they were before their calls ended.
type staleJournal struct {
	*notebook
	stale []connectpsp.Intent
}

func (s staleJournal) Pending(context.Context) ([]connectpsp.Intent, error) { return s.stale, nil }

func TestRecoverDoesNotSendAPaymentThatEndedMeanwhile(t *testing.T) {
	gateway := newGateway(t)
	rejected := newNotebook()
	recovered, err := gateway.memoryClient(connectpsp.WithJournal(staleJournal{rejected, []connectpsp.Intent{left(time.Minute)}})).Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered)
	assert.Empty(t, must(rejected.Pending(t.Context())))

	// The process may die at this moment, and the payment must not be open after that.
	rejected.fail["REJECTED"] = errDiskFull
	_, err = gateway.memoryClient(connectpsp.WithJournal(staleJournal{rejected, []connectpsp.Intent{left(time.Minute)}})).Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, rejected.open())

	accepted := newNotebook()
	accepted.put(with(func(i *connectpsp.Intent) { i.Outcome, i.Body = connectpsp.OutcomeAccepted, nil }))
	recovered, err = gateway.memoryClient(connectpsp.WithJournal(staleJournal{accepted, []connectpsp.Intent{left(time.Minute)}})).Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1, "it is reported as one that ended")
	assert.NoError(t, recovered[0].Err)
	assert.Len(t, accepted.intents, 1)
	assert.Empty(t, gateway.requests())
}

func TestRecoverReportsAnUnknownOperation(t *testing.T) {
	journal := newNotebook()
	journal.put(with(func(i *connectpsp.Intent) { i.Operation = "createPixAutomatico" }))
	recovered, err := newGateway(t).memoryClient(connectpsp.WithJournal(journal)).Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	assert.Equal(t, unknown, outcomeOf(recovered[0].Err))
	assert.Len(t, journal.open(), 1)
}

func TestACancelledRecoverReturnsWhatItResolvedAndCanBeCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := newNotebook()
		for n := range 100 {
			journal.put(with(func(i *connectpsp.Intent) {
				i.IdempotencyKey = fmt.Sprintf("5f0f1d2c-0000-4000-8000-%012d", n)
				i.ExternalReference = fmt.Sprint("withdrawal-", n)
				i.BegunAt = i.BegunAt.Add(time.Duration(n))
			}))
		}
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			replyJSON(202, `{"transactionId":"`+cashOutID+`"}`)(w, r)
		})
		client := gateway.memoryClient(connectpsp.WithJournal(journal))
		ctx, cancel := timeout(t, 2500*time.Millisecond)
		defer cancel()
		recovered, err := client.Recover(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		settled := 0
		for _, one := range recovered {
			if one.Err == nil {
				settled++
			}
		}
		assert.Equal(t, 16, settled, "eight at once, for two seconds")
		assert.Len(t, recovered, 24, "payments that were not tried are not reported")
		assert.Len(t, journal.open(), 100-settled)

		recovered, err = client.Recover(t.Context())
		require.NoError(t, err)
		assert.Len(t, recovered, 100, "those that have ended are reported once more: the caller may not have seen them")
		assert.Empty(t, journal.open())
	})
}

func TestRecoverReportsAJournalThatCannotBeRead(t *testing.T) {
	journal := newNotebook()
	journal.fail["pending"] = errDiskFull
	_, err := newGateway(t).memoryClient(connectpsp.WithJournal(journal)).Recover(t.Context())
	assert.ErrorIs(t, err, errDiskFull)

	journal = newNotebook()
	journal.put(left(time.Minute))
	journal.fail["begin"] = errDiskFull
	recovered, err := newGateway(t).memoryClient(connectpsp.WithJournal(brokenBegin{journal})).Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	assert.Equal(t, unknown, outcomeOf(recovered[0].Err), "a journal that fails proves nothing")
	assert.ErrorIs(t, recovered[0].Err, errDiskFull)
}

func TestAClientWithoutAJournalRecoversFromMemory(t *testing.T) {
	gateway := newGateway(t, redirect(303, "/"), replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient()
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	assert.NoError(t, recovered[0].Err)
	requireSameIntent(t, gateway.requests())
}

func TestRecoverSkipsAPaymentUnderWayInAnotherClientOfTheJournal(t *testing.T) {
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

func TestRecoverResolvesAPaymentWhoseCallPanicked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		inner := inMemory{newGateway(t, replyJSON(202, cashOutAccepted)).handler}
		book := newNotebook()
		client := must(connectpsp.New(config(memoryURL), connectpsp.WithJournal(book), connectpsp.WithTokenSource(fixedToken("a.b.c")), connectpsp.WithHTTPClient(&http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				response, err := inner.RoundTrip(r)
				if n.Add(1) == 1 {
					panic("a bug in a middleware")
				}
				return response, err
			})})))
		assert.Panics(t, func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) })
		recovered, err := client.Recover(t.Context())
		require.NoError(t, err)
		assert.Len(t, recovered, 1)
		assert.Empty(t, book.open())
	})
}

func TestRecoverReportsAPaymentThatEndedBeforeTheClockWasSetBack(t *testing.T) {
	book := newNotebook()
	book.put(with(func(i *connectpsp.Intent) {
		i.Outcome, i.Body, i.TransactionID = connectpsp.OutcomeAccepted, nil, cashOutID
		i.EndedAt = time.Now().Add(10 * time.Minute)
	}))
	recovered, err := newGateway(t).memoryClient(connectpsp.WithJournal(book)).Recover(t.Context())
	require.NoError(t, err)
	assert.Len(t, recovered, 1)
}

func TestRecoverEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newNotebook()
		for n := range 100 {
			book.put(with(func(i *connectpsp.Intent) {
				i.IdempotencyKey = fmt.Sprintf("5f0f1d2c-0000-4000-8000-%012d", n)
				i.ExternalReference = fmt.Sprint("w-", n)
				i.Outcome, i.EndedAt = connectpsp.OutcomeRejected, time.Now().Add(-time.Second)
			}))
		}
		client := newGateway(t).memoryClient(connectpsp.WithJournal(hangingFind{book}))
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		begun := time.Now()
		_, err := client.Recover(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.LessOrEqual(t, time.Since(begun), 30*time.Second)
	})
}

func TestRecoverSkipsAnOldPaymentWhoseCallIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		book := newNotebook()
		client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				redirect(303, "/")(w, r)
				return
			}
			time.Sleep(10 * time.Second)
			replyJSON(202, cashOutAccepted)(w, r)
		}).memoryClient(connectpsp.WithJournal(book))
		_, _ = client.CreateCashOut(t.Context(), cashOutRequest())
		time.Sleep(time.Hour)
		go func() { _, err := client.CreateCashOut(t.Context(), cashOutRequest()); assert.NoError(t, err) }()
		synctest.Wait()
		recovered, _ := client.Recover(t.Context())
		assert.Empty(t, recovered, "payments that another call works on just now are left to it")
		time.Sleep(time.Minute)
	})
}

// The program dies after the client has recorded the outcomes, and before it has stored them
// itself.
func TestRecoverReportsOnceWhatEndedBeforeARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.journal")
	file := must(journal.Open(path))
	gateway := newGateway(t, replyJSON(202, cashOutAccepted), problem(422, "INSUFFICIENT_FUNDS"), replyJSON(202, refundAccepted))
	client := gateway.memoryClient(connectpsp.WithJournal(file))
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	refused := cashOutRequest()
	refused.ExternalReference = "withdrawal-43"
	_, err = client.CreateCashOut(t.Context(), refused)
	require.Equal(t, rejected, outcomeOf(err))
	_, err = client.RefundCashIn(t.Context(), chargeE2E, fraud)
	require.NoError(t, err)
	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered, "the callers of this process know")
	require.NoError(t, file.Close())

	file = must(journal.Open(path))
	defer file.Close()
	client = newGateway(t).memoryClient(connectpsp.WithJournal(file))
	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 3)
	assert.NoError(t, recovered[0].Err)
	assert.Equal(t, "withdrawal-42", recovered[0].ExternalReference)
	assert.Equal(t, cashOutID, recovered[0].TransactionID)
	assert.Equal(t, "withdrawal-43", recovered[1].ExternalReference)
	assert.Equal(t, rejected, outcomeOf(recovered[1].Err))
	assert.NotErrorIs(t, recovered[1].Err, connectpsp.ErrNotSent)
	assert.NoError(t, recovered[2].Err)
	assert.Equal(t, chargeE2E, recovered[2].ChargeID)
	assert.Equal(t, cashInID, recovered[2].TransactionID)
	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered)
}

// findingOnce is a journal whose first Find calls found.
type findingOnce struct {
	*notebook
	found *func()
}

func (f findingOnce) Find(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	if found := *f.found; found != nil {
		*f.found = nil
		found()
	}
	return f.notebook.Find(ctx, intent)
}

// Recover looks a payment up before it reports it as rejected or not sent, and a webhook comes then.
func TestRecoverReportsNoRejectionOfAPaymentThatWasReadAsAccepted(t *testing.T) {
	var completed connectpsp.CashOut
	require.NoError(t, json.Unmarshal([]byte(cashOutCompleted), &completed))
	for name, leave := range map[string]func(*testing.T, *notebook){
		"rejected": func(t *testing.T, book *notebook) {
			_, err := newGateway(t, problem(422, "INSUFFICIENT_FUNDS")).memoryClient(connectpsp.WithJournal(book)).
				CreateCashOut(t.Context(), cashOutRequest())
			require.Equal(t, rejected, outcomeOf(err))
		},
		"never sent": func(t *testing.T, book *notebook) {
			begun, err := book.Begin(t.Context(), connectpsp.Intent{
				Operation: connectpsp.OperationCreateCashOut, IdempotencyKey: "5f0f1d2c-0000-4000-8000-000000000001",
				ExternalReference: "withdrawal-42", Amount: pix.Centavos(5000), ClientID: clientID, BaseURL: memoryURL, BegunAt: time.Now(),
			})
			require.NoError(t, err)
			require.Nil(t, begun)
		},
	} {
		t.Run(name, func(t *testing.T) {
			book := newNotebook()
			leave(t, book)
			gateway := newGateway(t)
			found := new(func())
			client := gateway.memoryClient(connectpsp.WithJournal(findingOnce{book, found}))
			*found = func() { assert.NoError(t, client.ReconcileCashOut(t.Context(), &completed)) }
			recovered, err := client.Recover(t.Context())
			require.NoError(t, err)
			require.Len(t, recovered, 1)
			assert.Equal(t, unknown, outcomeOf(recovered[0].Err), "%v", recovered[0].Err)
			_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(1))
			assert.Equal(t, unknown, outcomeOf(err), "%v", err)
			assert.Empty(t, gateway.requests())
		})
	}
}
