package connectpsp_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// doubtAbout returns the error of a cash-out whose outcome is unknown, after it went through JSON.
func doubtAbout(t *testing.T, step http.HandlerFunc) *connectpsp.UnknownOutcomeError {
	_, err := newGateway(t, step).memoryClient().CreateCashOut(t.Context(), cashOutRequest())
	return queued(t, must2(asUnknown(err)))
}

func queued(t *testing.T, doubt *connectpsp.UnknownOutcomeError) *connectpsp.UnknownOutcomeError {
	written, err := json.Marshal(doubt)
	require.NoError(t, err)
	read := new(connectpsp.UnknownOutcomeError)
	require.NoError(t, json.Unmarshal(written, read))
	return read
}

func TestAnUnknownOutcomeIsSettledByTheSameKeyAndBytesInAnotherProcess(t *testing.T) {
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

// An intent that is found by Recover as never sent is reported as such, so one whose payment was
// sent by another process must not look like that.
func TestAnIntentOfAResolvedPaymentNeverLooksUnsent(t *testing.T) {
	doubt := doubtAbout(t, redirect(303, "/"))
	journal := newNotebook()
	client := newGateway(t, redirect(303, "/")).memoryClient(connectpsp.WithJournal(journal), connectpsp.WithTokenSource(brokenTokens{errors.New("no token")}))
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	require.Equal(t, []string{"begin"}, journal.steps)
	require.Len(t, journal.open(), 1)
	assert.True(t, doubt.FirstSentAt.Equal(journal.open()[0].SentAt))
}

func TestResolveReadsTheTransactionIfItIsKnown(t *testing.T) {
	read := replyJSON(200, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-42","status":"COMPLETED","amount":50.00}`)
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

func TestResolveSendsOnlyThePaymentThatIsInDoubt(t *testing.T) {
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

// Whoever waited for another call with the key hears how that was rejected; one that resolves an
// older doubt must not.
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
			assert.Equal(t, rejected, outcomeOf(err), "this client does not know of the doubt")
		}()
		synctest.Wait()
		_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.Len(t, gateway.requests(), 2)
	})
}

func TestAnUnknownOutcomeSurvivesJSON(t *testing.T) {
	doubt := must2(asUnknown(second(newGateway(t, drop, retryAfter("1", problem(409, "DUPLICATE_EXTERNAL_REFERENCE"))).client().
		CreateCashOut(t.Context(), cashOutRequest()))))
	doubt.TransactionID = cashOutID
	read := queued(t, doubt)
	assert.True(t, doubt.FirstSentAt.Equal(read.FirstSentAt))
	assert.True(t, doubt.LastSentAt.Equal(read.LastSentAt))
	assert.Equal(t, doubt.Error(), read.Error())
	assert.Equal(t, doubt.Refusal.Error(), read.Refusal.Error())
	assert.ErrorIs(t, read, connectpsp.ErrUnknownOutcome)
	assert.ErrorIs(t, read, connectpsp.ErrorCode("DUPLICATE_EXTERNAL_REFERENCE"), "a conflict is found as before")
	assert.Equal(t, time.Second, read.RetryAfter)
	assert.Equal(t, read, queued(t, read))
	read.FirstSentAt, read.LastSentAt, read.Err, read.Refusal = doubt.FirstSentAt, doubt.LastSentAt, doubt.Err, doubt.Refusal
	assert.JSONEq(t, string(must(json.Marshal(doubt))), string(must(json.Marshal(read))), "nothing else is lost")

	plain := queued(t, &connectpsp.UnknownOutcomeError{Operation: "rebalanceAccount", Amount: pix.Centavos(1)})
	assert.Equal(t, (&connectpsp.UnknownOutcomeError{Operation: "rebalanceAccount"}).Error(), plain.Error())
	assert.Equal(t, pix.Centavos(1), plain.Amount)
	assert.True(t, plain.FirstSentAt.IsZero())
	assert.Error(t, json.Unmarshal([]byte(`{"attempts":"many"}`), plain))
}

func second[T any](_ T, err error) error { return err }

func TestAnUnknownOutcomeAsJSONHoldsNoPersonalDataAndNoSecret(t *testing.T) {
	doubt := must2(asUnknown(second(newGateway(t, drop, echo(422, "application/problem+json")).client().CreateCashOut(t.Context(), cashOutRequest()))))
	require.NotNil(t, doubt.Refusal)
	for _, value := range []any{doubt, *doubt, map[string]any{"err": doubt}} {
		written := string(must(json.Marshal(value)))
		assert.Contains(t, written, `"externalReference":"withdrawal-42"`)
		for _, canary := range []string{"12345678909", "Maria", applicationToken, "header.payload"} {
			assert.NotContains(t, written, canary)
		}
	}
}

func FuzzReadAnUnknownOutcome(f *testing.F) {
	f.Add([]byte(`{"operation":"createCashOut","attempts":1,"refusal":{"statusCode":409,"conflict":true},"retryAfterSeconds":1e300}`))
	f.Add([]byte(`{"firstSentAt":"2026-03-10T14:00:00Z","amount":50.00,"cause":"x"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read := new(connectpsp.UnknownOutcomeError)
		if json.Unmarshal(data, read) != nil {
			return
		}
		assert.ErrorIs(t, read, connectpsp.ErrUnknownOutcome)
		assert.NotEmpty(t, read.Error())
		if written, err := json.Marshal(read); err == nil {
			again := new(connectpsp.UnknownOutcomeError)
			require.NoError(t, json.Unmarshal(written, again))
			assert.Equal(t, read.IdempotencyKey, again.IdempotencyKey)
		}
	})
}

// The error of a faulty request for a payment that was accepted before tells of that payment, and
// not of the faulty request.
func TestTheErrorOfAFaultyRequestResolvesThePaymentThatWasMade(t *testing.T) {
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
