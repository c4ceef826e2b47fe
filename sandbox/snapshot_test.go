package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
)

// eventful makes a sandbox with something of everything in its state.
func eventful(t *testing.T, receiver string, opts ...sandbox.Option) *gateway {
	g := start(t, append(opts, sandbox.WithTime(noon))...)
	open, paid, twice := g.newCashIn("open", ""), g.newCashIn("paid", receiver), g.newCashIn("twice", "")
	require.NoError(t, g.PayCashIn(paid.TransactionID))
	require.NoError(t, g.PayCashIn(twice.TransactionID))
	require.NoError(t, g.PayCashInWith(twice.TransactionID, sandbox.Payment{Amount: pix.Centavos(7)}))
	g.refund(paid.TransactionID)
	parts := g.newCashOut("parts", "")
	require.NoError(t, g.CompleteCashOut(parts.TransactionID))
	require.NoError(t, g.ReturnCashOutPart(parts.TransactionID, pix.Centavos(1000)))
	require.NoError(t, g.FailNext("CASHOUT_COMPLETED", sandbox.HoldWebhook, sandbox.DoubleWebhook))
	require.NoError(t, g.CompleteCashOut(g.newCashOut("held", receiver).TransactionID))
	require.NoError(t, g.FailNext("getBalance", sandbox.Status(502)))
	require.NoError(t, g.RefuseNext("getBalance", 422, "LIMIT_EXCEEDED"))
	require.NoError(t, g.FailEvery("refundCashIn", 2, sandbox.Hang))
	require.NoError(t, g.FailWithProbability("CASHOUT_REFUNDED", 0.5, sandbox.LoseWebhook))
	require.NoError(t, g.SetRateLimit(1000, 1000))
	require.NoError(t, g.SetLatency(time.Millisecond))
	require.NoError(t, g.ExpireCashIn(open.TransactionID))
	require.NoError(t, g.Advance(time.Millisecond))
	return g
}

func TestARestoredSandboxGoesOnLikeTheFirst(t *testing.T) {
	receiver := newReceiver(t, 500, 500)
	first := eventful(t, receiver.URL)
	taken, err := first.Snapshot()
	require.NoError(t, err)
	again, err := first.Snapshot()
	require.NoError(t, err)
	assert.Equal(t, string(taken), string(again))

	second := start(t, sandbox.WithBalance(pix.Centavos(1), pix.Centavos(1)), sandbox.WithTime(noon.Add(99*time.Hour)))
	second.newCashIn("gone", "")
	require.NoError(t, second.Restore(taken))
	again, err = second.Snapshot()
	require.NoError(t, err)
	assert.JSONEq(t, string(taken), string(again))
	assert.Empty(t, second.Requests())
	second.get("/cash-in/nothing").problem(401, "TOKEN_EXPIRED")
	second.token = second.newToken()

	assert.Equal(t, first.Now(), second.Now())
	for _, charge := range first.CashIns() {
		for _, id := range []string{charge.TransactionID, charge.InternalCode, charge.EndToEndID, charge.OriginalEndToEndID} {
			if id != "" {
				assert.Equal(t, first.get("/cash-in/"+id).body, second.get("/cash-in/"+id).body)
			}
		}
	}
	for _, payment := range first.CashOuts() {
		assert.Equal(t, first.get("/cash-out/"+payment.InternalCode).body, second.get("/cash-out/"+payment.InternalCode).body)
	}
	for _, g := range []*gateway{first, second} {
		g.post("/cash-out", cashOutBody("parts", "1.00", "")).problem(409, "DUPLICATE_EXTERNAL_REFERENCE")
		assert.Equal(t, 502, g.get("/account/balance").status, "the next fault")
		assert.Equal(t, 422, g.get("/account/balance").status, "and the one after it")
		assert.Equal(t, "499920.57", g.transactional())
		require.NoError(t, g.ReturnCashOut(g.CashOuts().ByReference("parts")[0].TransactionID), "the rest")
		require.NoError(t, g.SettleRefund(g.CashIns().ByReference("paid")[0].TransactionID))
		require.NoError(t, g.Advance(time.Minute))
		assert.Equal(t, 1, g.ReleaseWebhooks())
		require.NoError(t, g.Advance(time.Minute))
		assert.NoError(t, g.WaitWebhooks(cancelled(t)))
	}
	assert.Len(t, first.Deliveries(), 5)
	assert.Len(t, second.Deliveries(), 4)
}

func TestARestoredSandboxRemembersIdempotencyKeys(t *testing.T) {
	first, second := start(t), start(t)
	once := idempotency.NewKey()
	paid := first.post("/cash-out", cashOutBody("withdrawal-1", "50.00", ""), key(once))
	taken, err := first.Snapshot()
	require.NoError(t, err)
	require.NoError(t, second.Restore(taken))
	second.token = second.newToken()
	assert.Equal(t, paid.body, second.post("/cash-out", cashOutBody("withdrawal-1", "50.00", ""), key(once)).body)
	assert.Len(t, second.CashOuts(), 1)
}

func TestASnapshotHasNoSecret(t *testing.T) {
	g := eventful(t, "http://127.0.0.1:9/", sandbox.WithSeed(1))
	g.RotateCryptoToken()
	config := g.Config()
	taken, err := g.Snapshot()
	require.NoError(t, err)
	for _, secret := range []string{
		config.ClientSecret.Reveal(), config.ApplicationToken.Reveal(), config.CryptoToken.Reveal(), g.token, "Bearer", "igest",
	} {
		assert.NotContains(t, string(taken), secret)
	}
}

func TestAnEarlierStateCanBeRestored(t *testing.T) {
	slow := make(chan struct{})
	entered := make(chan struct{}, 10)
	receiver := newReceiver(t)
	receiver.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-slow })
	defer close(slow)
	g := start(t, sandbox.WithTime(noon))
	charge := g.newCashIn("order-1", receiver.URL)
	before, err := g.Snapshot()
	require.NoError(t, err)
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	soon(t, entered)
	during, err := g.Snapshot()
	require.NoError(t, err)

	require.NoError(t, g.Restore(before))
	assert.Equal(t, connectpsp.CashInAwaitingPayment, g.CashIns()[0].Status)
	assert.NoError(t, g.WaitWebhooks(cancelled(t)), "the webhook that was under way is gone")
	require.NoError(t, g.Restore(during))
	soon(t, entered)
	assert.ErrorIs(t, g.WaitWebhooks(cancelled(t)), cancelled(t).Err(), "it is sent again")
}

func TestADamagedSnapshotChangesNothing(t *testing.T) {
	g := eventful(t, "http://127.0.0.1:9/")
	taken, err := g.Snapshot()
	require.NoError(t, err)
	edit := func(member string, value any) string {
		var members map[string]any
		require.NoError(t, json.Unmarshal(taken, &members))
		members[member] = value
		text, err := json.Marshal(members)
		require.NoError(t, err)
		return string(text)
	}
	for name, damaged := range map[string]string{
		"empty":                        "",
		"no JSON":                      "<html>",
		"no object":                    "[]",
		"half":                         string(taken[:len(taken)/2]),
		"two":                          string(taken) + string(taken),
		"no version":                   "{}",
		"another version":              edit("version", 2),
		"unknown member":               edit("weather", "fine"),
		"wrong type":                   edit("charges", 1),
		"no charge":                    edit("charges", []any{nil}),
		"no payment":                   edit("payments", []any{nil}),
		"no held event":                edit("held", []any{nil}),
		"id without a charge":          edit("chargeIds", map[string]int{"x": 99}),
		"id without a payment":         edit("paymentIds", map[string]int{"x": -1}),
		"time out of range":            edit("time", "1999-12-31T23:59:59Z"),
		"negative latency":             edit("latency", -1),
		"half a limit":                 edit("limit", map[string]int{"burst": 1}),
		"response without a status":    edit("keys", map[string]any{"x": map[string]any{"response": map[string]any{}}}),
		"unknown fault":                edit("failures", map[string]any{"getBalance": []any{map[string]string{"fault": "Earthquake"}}}),
		"fault of webhooks":            edit("failures", map[string]any{"getBalance": []any{map[string]string{"fault": "LoseWebhook"}}}),
		"refusal without a status":     edit("failures", map[string]any{"getBalance": []any{map[string]string{"fault": "None", "code": "X"}}}),
		"fault of no operation":        edit("failures", map[string]any{"getNothing": []any{map[string]string{"fault": "Hang"}}}),
		"recurrence that never comes":  edit("recurrences", map[string]any{"getBalance": []any{map[string]any{"fault": "Hang"}}}),
		"recurrence of two kinds":      edit("recurrences", map[string]any{"getBalance": []any{map[string]any{"fault": "Hang", "every": 1, "probability": 1}}}),
		"recurrence of no fault":       edit("recurrences", map[string]any{"getBalance": []any{map[string]any{"fault": "None", "every": 1}}}),
		"recurrence of no operation":   edit("recurrences", map[string]any{"getNothing": []any{map[string]any{"fault": "Hang", "every": 1}}}),
		"delivery without an event":    edit("pending", []any{map[string]any{"number": 1, "attempt": 1, "due": noon}}),
		"delivery from the future":     edit("pending", []any{map[string]any{"event": map[string]any{}, "number": 99, "attempt": 1, "due": noon}}),
		"delivery without an attempt":  edit("pending", []any{map[string]any{"event": map[string]any{}, "number": 1, "due": noon}}),
		"two deliveries of one number": edit("pending", []any{map[string]any{"event": map[string]any{}, "number": 1, "attempt": 1, "due": noon}, map[string]any{"event": map[string]any{}, "number": 1, "attempt": 1, "due": noon}}),
	} {
		err := g.Restore([]byte(damaged))
		assert.ErrorIs(t, err, sandbox.ErrInvalid, name)
		if err != nil {
			assert.Less(t, len(err.Error()), 200, name)
			assert.NotContains(t, err.Error(), "Maria", name)
		}
		after, err := g.Snapshot()
		require.NoError(t, err)
		require.Equal(t, string(taken), string(after), name)
	}
	assert.ErrorContains(t, g.Restore([]byte(edit("version", 2))), "version 2 and this sandbox reads version 1")
	assert.NoError(t, g.Restore([]byte(strings.TrimSpace(string(taken))+"\n")))
}

// Whatever the bytes are, Restore changes all or nothing, and what it accepts works.
func FuzzRestore(f *testing.F) {
	first, err := sandbox.Start(sandbox.WithTime(noon), sandbox.WithSeed(1), sandbox.WithMemoryNetwork())
	require.NoError(f, err)
	f.Cleanup(func() { _ = first.Close() })
	serve := func(method, path, body string, header map[string]string) (recorder *httptest.ResponseRecorder) {
		recorder = httptest.NewRecorder()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		defer func() {
			if cut := recover(); cut != nil && cut != http.ErrAbortHandler {
				panic(cut)
			}
		}()
		request := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		for name, value := range header {
			request.Header.Set(name, value)
		}
		first.ServeHTTP(recorder, request)
		return recorder
	}
	authorized := func() map[string]string {
		config := first.Config()
		var token token
		answer := serve("POST", "/auth/token", fmt.Sprintf(`{"clientId":%q,"clientSecret":%q}`, config.ClientID, config.ClientSecret.Reveal()), nil)
		_ = json.Unmarshal(answer.Body.Bytes(), &token)
		return map[string]string{
			"Authorization":     "Bearer " + token.AccessToken,
			"ApplicationToken":  config.ApplicationToken.Reveal(),
			"DigitalSignature":  signing.Sign(config.CryptoToken.Reveal(), token.AccessToken),
			"X-Idempotency-Key": "5f0c7a34-7d0c-4a43-8a7e-0c9c9c3b6c1d",
		}
	}
	empty, err := first.Snapshot()
	require.NoError(f, err)
	f.Add(empty)
	header := authorized()
	require.Equal(f, 202, serve("POST", "/cash-out", cashOutBody("withdrawal-1", "50.00", "http://127.0.0.1:9/"), header).Code)
	header["X-Idempotency-Key"] = ""
	require.Equal(f, 201, serve("POST", "/cash-in", cashInBody("order-1", "http://127.0.0.1:9/"), header).Code)
	require.NoError(f, first.CompleteCashOut(first.CashOuts()[0].TransactionID))
	require.NoError(f, first.ReturnCashOutPart(first.CashOuts()[0].TransactionID, pix.Centavos(1)))
	require.NoError(f, first.FailNext("getCashIn", sandbox.Status(502)))
	full, err := first.Snapshot()
	require.NoError(f, err)
	f.Add(full)

	f.Fuzz(func(t *testing.T, text []byte) {
		require.NoError(t, first.Restore(full))
		require.NoError(t, first.Advance(0)) // the webhooks are tried
		before, err := first.Snapshot()
		require.NoError(t, err)
		if err := first.Restore(text); err != nil {
			require.ErrorIs(t, err, sandbox.ErrInvalid)
			after, err := first.Snapshot()
			require.NoError(t, err)
			require.True(t, bytes.Equal(before, after))
			return
		}
		require.NoError(t, first.SetLatency(0))
		header := authorized()
		for _, charge := range first.CashIns() {
			serve("GET", "/cash-in/"+url.PathEscape(charge.TransactionID), "", header)
			_ = first.PayCashInWith(charge.TransactionID, sandbox.Payment{})
			_ = first.ReturnCashInPart(charge.TransactionID, pix.Centavos(1))
		}
		for _, payment := range first.CashOuts() {
			serve("GET", "/cash-out/"+url.PathEscape(payment.TransactionID), "", header)
			_ = first.ReturnCashOut(payment.TransactionID)
			_ = first.ContradictCashOut(payment.TransactionID)
		}
		serve("POST", "/cash-out", cashOutBody("withdrawal-1", "50.00", ""), header)
		serve("GET", "/account/balance", "", header)
		first.ReleaseWebhooks()
		_, err = first.Snapshot()
		require.NoError(t, err)
	})
}
