package connectpsp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

type hangingFind struct{ *notebook }

func (hangingFind) Find(ctx context.Context, _ connectpsp.Intent) (*connectpsp.Intent, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAPaymentThatWaitsForAKeyIsNotRejectedWhileItIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, redirect(303, "/"), func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Second)
			replyJSON(202, `{"transactionId":"`+cashOutID+`"}`)(w, nil)
		})
		client := gateway.memoryClient()
		key := connectpsp.WithIdempotencyKey("5f0f1d2c-0000-4000-8000-000000000099")
		require.Equal(t, unknown, outcomeOf(second(client.CreateCashOut(t.Context(), cashOutRequest()))))
		other := cashOutRequest()
		other.ExternalReference = "withdrawal-43"
		go func() { _, _ = client.CreateCashOut(t.Context(), other, key) }()
		synctest.Wait()
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		_, err := client.CreateCashOut(ctx, cashOutRequest(), key)
		assert.Equal(t, unknown, outcomeOf(err), "%v", err)
		time.Sleep(time.Minute)
	})
}

func TestAConflictSurvivesJSON(t *testing.T) {
	for _, code := range []string{"DUPLICATE_REFERENCE", "duplicate_reference", "ALREADY-EXISTS", "DUPLICATE_40912"} {
		_, err := newGateway(t, problem(422, code)).client().CreateCashOut(t.Context(), cashOutRequest())
		require.Equal(t, conflict, outcomeOf(err))
		read := new(connectpsp.APIError)
		require.NoError(t, json.Unmarshal(must(json.Marshal(err)), read))
		assert.ErrorIs(t, read, connectpsp.ErrUnknownOutcome, "%s: %v", code, read)
	}
}

func TestAPanicReleasesThePayment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		gateway := newGateway(t, replyJSON(202, cashOutAccepted))
		inner := inMemory{gateway.handler}
		client := must(connectpsp.New(config(memoryURL), connectpsp.WithTokenSource(fixedToken("a.b.c")), connectpsp.WithHTTPClient(&http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if n.Add(1) == 1 {
					panic("a bug in a middleware")
				}
				return inner.RoundTrip(r)
			})})))
		assert.Panics(t, func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) })
		ctx, cancel := timeout(t, time.Hour)
		defer cancel()
		_, err := client.CreateCashOut(ctx, cashOutRequest())
		assert.NoError(t, err)
	})
}

func TestRecoverSettlesAPaymentWhoseCallPanicked(t *testing.T) {
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

func TestWhoStopsWaitingNamesTheOpenAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Second)
			replyJSON(202, cashOutAccepted)(w, r)
		})
		client := gateway.memoryClient()
		go func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) }()
		time.Sleep(time.Second)
		for name, option := range map[string]connectpsp.CallOption{"another attempt": connectpsp.WithAttempt(1), "a faulty key": connectpsp.WithIdempotencyKey("")} {
			ctx, cancel := timeout(t, time.Second)
			_, err := client.CreateCashOut(ctx, cashOutRequest(), option)
			cancel()
			require.Equal(t, unknown, outcomeOf(err))
			assert.Equal(t, keyOf(gateway.requests()[0]), must2(asUnknown(err)).IdempotencyKey, name)
		}
		time.Sleep(time.Minute)
	})
}

func TestRecoverReportsWhatEndedBeforeTheClockWasSetBack(t *testing.T) {
	book := newNotebook()
	book.put(with(func(i *connectpsp.Intent) {
		i.Outcome, i.Body, i.TransactionID = connectpsp.OutcomeAccepted, nil, cashOutID
		i.EndedAt = time.Now().Add(10 * time.Minute)
	}))
	recovered, err := newGateway(t).memoryClient(connectpsp.WithJournal(book)).Recover(t.Context())
	require.NoError(t, err)
	assert.Len(t, recovered, 1)
}

func TestAProxysJSONIsNoRejection(t *testing.T) {
	for _, body := range []string{`{"code":"FORBIDDEN","message":"Request blocked by the firewall"}`, `{"Code":"AccessDenied","RequestId":"x"}`, `{"code":"1020"}`} {
		_, err := newGateway(t, replyJSON(403, body)).client().CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err), "%v", err)
	}
}

func TestWordsOfAConflict(t *testing.T) {
	for _, code := range []string{"REFUND_IN_PROGRESS", "CASH_IN_REFUND_PENDING", "EXTERNAL_REFERENCE_NOT_UNIQUE", "EXTERNAL_REFERENCE_IN_USE", "KEY_REUSED", "CASH_IN_REFUNDED", "REFERENCIA_JA_EXISTE", "EXTERNAL_REFERENCE_USED", "CASH_OUT_PROCESSING"} {
		_, err := newGateway(t, problem(422, code)).client().RefundCashIn(t.Context(), cashInID, fraud)
		assert.ErrorIs(t, err, connectpsp.ErrUnknownOutcome, code)
	}
}

func TestA409OfAnOperationOfAnotherVersionIsAConflict(t *testing.T) {
	assert.ErrorIs(t, &connectpsp.APIError{Operation: "createPixAutomatico", StatusCode: 409}, connectpsp.ErrUnknownOutcome)
}

func TestAReadRecordsNoTextAsTransactionID(t *testing.T) {
	gateway := newGateway(t, redirect(303, "/"),
		replyJSON(200, `{"transactionId":"Maria Silva 12345678909","internalCode":"CODE1","externalReference":"withdrawal-42","status":"COMPLETED","amount":50.00}`))
	client := gateway.memoryClient()
	_, _ = client.CreateCashOut(t.Context(), cashOutRequest())
	_, err := client.GetCashOut(t.Context(), "CODE1")
	require.NoError(t, err)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(-1))
	assert.NotContains(t, err.Error(), "Maria")
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

func TestAReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newGateway(t, replyJSON(200, cashInWithStatus("REFUNDED"))).memoryClient(connectpsp.WithJournal(hangingFind{newNotebook()}))
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		begun := time.Now()
		_, err := client.GetCashIn(ctx, cashInID)
		assert.NoError(t, err, "it was read, and the journal is found open again")
		assert.LessOrEqual(t, time.Since(begun), 2*time.Second)
	})
}

func TestAcceptEndsOnlyItsOwnPayment(t *testing.T) {
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

func TestResolveReadsAPaymentWithoutAnAmount(t *testing.T) {
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

func TestRecoverLeavesAnOldPaymentToItsCall(t *testing.T) {
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

func TestReconcileTakesNil(t *testing.T) {
	client := newGateway(t).memoryClient()
	assert.NotPanics(t, func() { assert.NoError(t, client.ReconcileCashOut(t.Context(), nil)) })
}

func TestAUUIDReferenceInTwoCasesIsOnePaymentOrTwo(t *testing.T) {
	client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		replyJSON(202, `{"transactionId":"`+cashOutID+`"}`)(w, r)
	}).memoryClient()
	upper, lower := cashOutRequest(), cashOutRequest()
	upper.ExternalReference, lower.ExternalReference = strings.ToUpper(cashOutID), cashOutID
	must(client.CreateCashOut(t.Context(), upper))
	_, err := client.CreateCashOut(t.Context(), lower)
	assert.NoError(t, err, "one key for two payments: the second can never be made")
}

// A journal of the caller's may keep an attempt that was never sent beside one that was.
func TestRecoverCallsNoPaymentNeverSentThatAnotherAttemptMayHaveMade(t *testing.T) {
	for name, outcome := range map[string]connectpsp.Outcome{"open": "", "accepted": connectpsp.OutcomeAccepted} {
		t.Run(name, func(t *testing.T) {
			book := newNotebook()
			book.put(with(func(i *connectpsp.Intent) {
				i.IdempotencyKey, i.SentAt = "5f0f1d2c-0000-4000-8000-0000000000aa", time.Time{}
			}))
			book.put(with(func(i *connectpsp.Intent) { i.Outcome = outcome }))
			recovered, err := newGateway(t, redirect(303, "/")).memoryClient(connectpsp.WithJournal(book)).Recover(t.Context())
			require.NoError(t, err)
			require.Len(t, recovered, 1)
			assert.NotEqual(t, rejected, outcomeOf(recovered[0].Err))
		})
	}
}
