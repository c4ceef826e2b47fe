package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// shop is a program that receives the webhooks of a sandbox, in a bubble of testing/synctest: a
// sleep of the test moves the clocks of all.
type shop struct {
	situations
	t      *testing.T
	client *connectpsp.Client
	inbox  *webhook.MemoryInbox
	worker *webhook.Worker
	steps  []webhook.Transition
}

const shopURL = "http://127.0.0.1:8080/"

var silent = slog.New(slog.DiscardHandler)

// openShop opens a shop whose test makes its situations in Go.
func openShop(t *testing.T, opts ...sandbox.Option) *shop {
	return openShopBy(t, func(_ *testing.T, gateway *sandbox.Sandbox) situations { return gateway }, opts...)
}

// openShopBy opens a shop whose test makes its situations in a way.
func openShopBy(t *testing.T, way func(*testing.T, *sandbox.Sandbox) situations, opts ...sandbox.Option) *shop {
	gateway, err := sandbox.Start(append(opts, sandbox.WithMemoryNetwork())...)
	require.NoError(t, err)
	s := &shop{situations: way(t, gateway), t: t, inbox: webhook.NewMemoryInbox()}
	s.client = s.newClient()
	handler, err := webhook.NewHandler(s.inbox, s.Config().CryptoToken)
	require.NoError(t, err)
	listener, err := s.Listen("127.0.0.1:8080")
	require.NoError(t, err)
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	s.worker = s.newWorker()
	t.Cleanup(func() {
		assert.NoError(t, s.Close())
		assert.NoError(t, server.Close())
	})
	return s
}

// newWorker returns a Worker that records its steps.
func (s *shop) newWorker(opts ...webhook.WorkerOption) *webhook.Worker {
	return webhook.NewWorker(s.inbox, s.client, func(_ context.Context, step webhook.Transition) error {
		s.steps = append(s.steps, step)
		return nil
	}, append(opts, webhook.WithLogger(silent))...)
}

// newClient returns a client of the sandbox, as a new process has it.
func (s *shop) newClient(opts ...connectpsp.Option) *connectpsp.Client {
	s.t.Helper()
	return s.clientOf(s.Config(), opts...)
}

// clientOf returns a client with credentials.
func (s *shop) clientOf(config connectpsp.Config, opts ...connectpsp.Option) *connectpsp.Client {
	s.t.Helper()
	opts = append([]connectpsp.Option{connectpsp.WithHTTPClient(s.HTTPClient()), connectpsp.WithLogger(silent)}, opts...)
	client, err := connectpsp.New(config, opts...)
	require.NoError(s.t, err)
	return client
}

// refund asks for the refund of a charge.
func (s *shop) refund(id string) error {
	_, err := s.client.RefundCashIn(s.t.Context(), id, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	return err
}

// charge creates a charge, and returns its id.
func (s *shop) charge() string {
	s.t.Helper()
	charge, err := s.client.CreateCashIn(s.t.Context(), connectpsp.CashInRequest{
		Amount:            pix.Centavos(1050),
		ExternalReference: fmt.Sprint("order-", len(s.CashIns())),
		WebhookURL:        shopURL,
		Payer:             connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
	})
	require.NoError(s.t, err)
	return charge.TransactionID
}

func withdrawal() connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount:            pix.Centavos(3000),
		ExternalReference: "withdrawal-1",
		WebhookURL:        shopURL,
		Payee: connectpsp.Payee{
			Name: "Maria Silva", Document: "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	}
}

// payOut makes a payment, and returns its id.
func (s *shop) payOut() string {
	s.t.Helper()
	payment, err := s.client.CreateCashOut(s.t.Context(), withdrawal())
	require.NoError(s.t, err)
	return payment.TransactionID
}

// payElsewhere makes the payment of withdrawal by another client, which another process may have.
func (s *shop) payElsewhere() error {
	_, err := s.newClient().CreateCashOut(s.t.Context(), withdrawal())
	return err
}

// do expects that calls have succeeded, and lets the worker process all events.
func (s *shop) do(calls ...error) {
	s.t.Helper()
	for _, err := range calls {
		require.NoError(s.t, err)
	}
	s.wait(time.Second, time.Second)
}

// wait lets time pass, and the worker process what is due after each step.
func (s *shop) wait(d, step time.Duration) {
	s.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(step)
		synctest.Wait()
		for worked := true; worked; {
			var err error
			worked, err = s.worker.Work(s.t.Context())
			require.NoError(s.t, err)
		}
	}
}

// held returns the reasons of the held items.
func (s *shop) held() (reasons []string) {
	for _, item := range s.inbox.Held() {
		reasons = append(reasons, item.Held)
	}
	return reasons
}

// tell describes a step by all that the Transition tells, but for ids and times.
func tell(step webhook.Transition) string {
	text := fmt.Sprintf("%s to %s", step.From, step.To)
	for _, mark := range []struct {
		set  bool
		name string
	}{
		{step.LatePayment, "late payment"}, {step.MissedPayment, "missed payment"}, {step.Contradiction, "contradiction"},
		{step.Unrequested, "unrequested"}, {step.ReturnUnclear, "unclear"}, {step.Late, "late"},
	} {
		if mark.set {
			text += ", " + mark.name
		}
	}
	if step.Confirmed {
		text += ", confirmed"
	}
	return text
}

// forged returns the event that a charge was paid, as anyone can sign it who has the CryptoToken.
func forged(charge connectpsp.CashIn, amount string) []byte {
	return fmt.Appendf(nil, `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T12:00:00Z",
		"data":{"transactionId":%q,"endToEndId":%q,"status":"PAID","amount":%s}}`, charge.TransactionID, charge.EndToEndID, amount)
}

// maria is who may pay each charge.
func maria(context.Context, *connectpsp.CashIn) (connectpsp.Holder, error) {
	account := connectpsp.BankData{ISPB: "18236120", Branch: "0001", Account: "94771084-0"}
	return connectpsp.Holder{Document: "12345678909", Accounts: []connectpsp.BankData{account}}, nil
}

// stories are what happens to transactions, and what the function of a Worker is told.
var stories = []struct {
	name string
	make func(*shop)
	told []string // to the function of the Worker
	held string   // the reason of the only held item contains this
}{
	{"a payment", func(s *shop) {
		s.do(s.PayCashIn(s.charge()))
	}, []string{" to PAID"}, ""},
	{"a late payment", func(s *shop) {
		id := s.charge()
		s.do(s.worker.WatchCashIn(s.t.Context(), id), s.ExpireCashIn(id))
		s.wait(time.Minute, time.Minute)
		s.do(s.PayCashInWith(id, sandbox.Payment{}))
	}, []string{" to EXPIRED, confirmed", "EXPIRED to PAID, late payment"}, ""},
	{"a payment of a cancelled charge", func(s *shop) {
		id := s.charge()
		s.do(s.worker.WatchCashIn(s.t.Context(), id), s.CancelCashIn(id))
		s.wait(time.Minute, time.Minute)
		s.do(s.PayCashInWith(id, sandbox.Payment{}))
	}, []string{" to CANCELLED, confirmed", "CANCELLED to PAID, late payment"}, ""},
	{"a return whose payment was missed", func(s *shop) {
		id := s.charge()
		s.do(s.FailNext("CASHIN_PAID", sandbox.LoseWebhook), s.PayCashIn(id), s.ReturnCashIn(id))
	}, []string{" to REFUNDED, missed payment, unrequested"}, ""},
	{"events in the wrong order", func(s *shop) {
		id := s.charge()
		s.do(s.FailNext("CASHIN_PAID", sandbox.HoldWebhook), s.PayCashIn(id), s.ReturnCashIn(id))
		assert.Equal(s.t, 1, s.ReleaseWebhooks())
		s.do()
	}, []string{" to REFUNDED, missed payment, unrequested"}, ""},
	{"three events of three charges in reverse order", func(s *shop) {
		s.do(s.FailEvery("CASHIN_PAID", 1, sandbox.HoldWebhook))
		for range 3 {
			s.do(s.PayCashIn(s.charge()))
		}
		assert.Equal(s.t, 3, s.ReleaseWebhooksInReverse())
		s.do()
		assert.Equal(s.t, s.CashIns()[2].TransactionID, s.Deliveries()[0].TransactionID)
	}, []string{" to PAID", " to PAID", " to PAID"}, ""},
	{"an event twice", func(s *shop) {
		s.do(s.FailNext("CASHIN_PAID", sandbox.DoubleWebhook), s.PayCashIn(s.charge()))
		assert.Len(s.t, s.Deliveries(), 2)
	}, []string{" to PAID"}, ""},
	{"an event ten times", func(s *shop) {
		id := s.charge()
		s.do(s.PayCashIn(id))
		for range 9 {
			s.do(s.Redeliver(id))
		}
		assert.Len(s.t, s.Deliveries(), 10)
	}, []string{" to PAID"}, ""},
	{"an event that never comes, and a watch that finds the payment", func(s *shop) {
		id := s.charge()
		s.do(s.worker.WatchCashIn(s.t.Context(), id), s.FailNext("CASHIN_PAID", sandbox.LoseWebhook), s.PayCashIn(id))
		s.wait(time.Minute, time.Minute)
	}, []string{" to PAID, confirmed"}, ""},
	{"a return that was not asked for", func(s *shop) {
		id := s.charge()
		s.do(s.PayCashIn(id))
		s.do(s.ReturnCashIn(id))
	}, []string{" to PAID", "PAID to REFUNDED, unrequested"}, ""},
	{"a return that was asked for", func(s *shop) {
		id := s.charge()
		s.do(s.PayCashIn(id))
		s.do(s.refund(id), s.SettleRefund(id))
	}, []string{" to PAID", "PAID to REFUNDED"}, ""},
	{"a return of a charge that is not in the journal", func(s *shop) {
		id := s.charge()
		s.do(s.PayCashIn(id))
		s.client = s.newClient()
		s.worker = s.newWorker()
		s.do(s.ReturnCashIn(id))
	}, []string{" to PAID", "PAID to REFUNDED, unclear"}, ""},
	{"a payment by another person, which is returned", func(s *shop) {
		s.worker = s.newWorker(webhook.WithPayerCheck(maria), webhook.WithPayerRefund(connectpsp.RefundRequest{Reason: connectpsp.RefundMerchantError}))
		id := s.charge()
		s.do(s.PayCashInWith(id, sandbox.Payment{Payer: connectpsp.Payer{Document: "52998224725"}}))
		s.do(s.SettleRefund(id))
	}, []string{" to PAID_BY_OTHER, confirmed", "PAID_BY_OTHER to REFUNDED"}, ""},
	{"a payment by a person who cannot be told", func(s *shop) {
		s.worker = s.newWorker(webhook.WithPayerCheck(maria))
		unchecked := &connectpsp.BankData{ISPB: "18236120", Branch: "0001", Account: "94771084"} // without the check digit
		s.do(s.PayCashInWith(s.charge(), sandbox.Payment{Payer: connectpsp.Payer{BankData: unchecked}}))
	}, []string{" to PAID_BY_UNKNOWN, confirmed"}, ""},
	{"a payment that is late", func(s *shop) {
		id := s.payOut()
		s.do(s.worker.WatchDueBy(s.t.Context(), id, time.Now().Add(time.Hour)))
		s.wait(time.Hour, time.Minute)
		s.do(s.CompleteCashOut(id))
	}, []string{"PROCESSING to PROCESSING, late, confirmed", " to COMPLETED"}, ""},
	{"a return in parts", func(s *shop) {
		id := s.charge()
		s.do(s.PayCashIn(id))
		s.do(s.ReturnCashInPart(id, pix.Centavos(50)))
		s.do(s.ReturnCashInPart(id, pix.Centavos(400)))
		s.do(s.ReturnCashIn(id))
	}, []string{" to PAID", "PAID to REFUNDED, unrequested", "REFUNDED to REFUNDED, unrequested",
		"REFUNDED to REFUNDED, unrequested"}, ""},
	{"a payment that is returned in parts", func(s *shop) {
		id := s.payOut()
		s.do(s.CompleteCashOut(id))
		s.do(s.ReturnCashOutPart(id, pix.Centavos(1000)))
		s.do(s.ReturnCashOut(id))
	}, []string{" to COMPLETED", "COMPLETED to REFUNDED", "REFUNDED to REFUNDED"}, ""},
	{"a payment that failed and was made", func(s *shop) {
		id := s.payOut()
		s.do(s.FailCashOut(id, "PIX_KEY_NOT_FOUND", "No such key."))
		s.do(s.ContradictCashOut(id))
	}, []string{" to FAILED", "FAILED to COMPLETED, contradiction, confirmed"}, ""},
	{"a payment that was cancelled and made", func(s *shop) {
		id := s.payOut()
		s.do(s.worker.WatchCashOut(s.t.Context(), id), s.CancelCashOut(id))
		s.wait(time.Minute, time.Minute)
		s.do(s.ContradictCashOut(id))
	}, []string{" to CANCELLED, confirmed", "CANCELLED to COMPLETED, contradiction, confirmed"}, ""},
	{"a payment that was made and failed", func(s *shop) {
		id := s.payOut()
		s.do(s.CompleteCashOut(id))
		s.do(s.ContradictCashOut(id))
	}, []string{" to COMPLETED", "COMPLETED to FAILED, contradiction, confirmed"}, ""},
	{"a second payment of a charge", func(s *shop) {
		id := s.charge()
		s.do(s.PayCashIn(id))
		s.do(s.PayCashInWith(id, sandbox.Payment{}))
	}, []string{" to PAID"}, "the charge was paid a second time"},
	{"a second payment after a refund", func(s *shop) {
		id := s.charge()
		s.do(s.PayCashIn(id))
		_, err := s.client.RefundCashIn(s.t.Context(), id, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
		s.do(err, s.SettleRefund(id))
		s.do(s.PayCashInWith(id, sandbox.Payment{}))
	}, []string{" to PAID", "PAID to REFUNDED"}, "the charge was paid a second time"},
	{"an event that no transaction has", func(s *shop) {
		s.do(s.SendWebhook(shopURL, []byte(`{"eventType":"CASHOUT_FAILED","data":{"transactionId":"none","status":"COMPLETED","amount":1}}`)))
		s.wait(time.Hour, time.Minute)
	}, nil, "ALARM: the gateway has no such transaction"},
	{"an event about another amount than the gateway's", func(s *shop) {
		s.worker = s.newWorker(webhook.WithConfirmation(pix.Centavos(0)))
		id := s.charge()
		s.do(s.FailNext("CASHIN_PAID", sandbox.LoseWebhook), s.PayCashIn(id))
		s.do(s.SendWebhook(shopURL, forged(s.CashIns()[0], "999.00")))
	}, nil, "ALARM: the gateway reports another amount"},
	{"an event of a payment that was never made", func(s *shop) {
		s.worker = s.newWorker(webhook.WithConfirmation(pix.Centavos(0)))
		s.charge()
		s.do(s.SendWebhook(shopURL, forged(s.CashIns()[0], "10.50")))
		s.wait(12*time.Hour, 10*time.Minute)
	}, nil, "ALARM: for hours the gateway has reported an older status"},
	{"two bodies of one event", func(s *shop) {
		id := s.charge()
		s.do(s.PayCashIn(id))
		s.do(s.SendWebhook(shopURL, forged(s.CashIns()[0], "999.00")))
	}, []string{" to PAID"}, "ALARM: the gateway reports another amount"},
	{"an event of an unknown type", func(s *shop) {
		s.do(s.SendWebhook(shopURL, []byte(`{"eventType":"CASHIN_DISPUTED","data":{"transactionId":"none"}}`)))
	}, nil, "does not know its type"},
	{"a signed body that is no event", func(s *shop) {
		s.do(s.SendWebhook(shopURL, []byte(`<html>`)))
	}, nil, "malformed event"},
	{"a payment that does not become final", func(s *shop) {
		s.do(s.worker.WatchCashOut(s.t.Context(), s.payOut()))
		s.wait(25*time.Hour, time.Hour)
	}, []string{" to PROCESSING, confirmed"}, "still not final"},
}

func TestAWebhookWithThePreviousSignatureNeedsThePreviousSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t)
		before := s.Config().CryptoToken
		s.RotateCryptoToken()
		assert.NotEqual(t, before.Reveal(), s.Config().CryptoToken.Reveal())
		for _, test := range []struct {
			name    string
			faults  []sandbox.Fault
			secrets int // of the receiver: the first is the previous one
			want    int
		}{
			{"new signature, old secret", nil, 1, 401},
			{"new signature, both secrets", nil, 2, 200},
			{"previous signature, old secret", []sandbox.Fault{sandbox.PreviousSignature}, 1, 200},
		} {
			inbox := webhook.NewMemoryInbox()
			handler, err := webhook.NewHandler(inbox, before)
			if test.secrets == 2 {
				handler, err = webhook.NewHandler(inbox, s.Config().CryptoToken, before)
			}
			require.NoError(t, err)
			listener, err := s.Listen("127.0.0.1:9090")
			require.NoError(t, err)
			server := &http.Server{Handler: handler}
			go func() { _ = server.Serve(listener) }()
			s.client = s.newClient() // with the new secret
			request := withdrawal()
			request.ExternalReference, request.WebhookURL = test.name, "http://127.0.0.1:9090/"
			payment, err := s.client.CreateCashOut(t.Context(), request)
			require.NoError(t, err)
			require.NoError(t, s.FailNext("CASHOUT_COMPLETED", test.faults...))
			require.NoError(t, s.CompleteCashOut(payment.TransactionID))
			synctest.Wait()
			deliveries := s.Deliveries()
			assert.Equal(t, test.want, deliveries[len(deliveries)-1].StatusCode, test.name)
			assert.NoError(t, server.Close())
		}
	})
}

func TestAnotherPayerPaysFromAnotherAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t)
		father := connectpsp.Payer{
			Name: "José Silva", Document: "11144477735",
			BankData: &connectpsp.BankData{ISPB: "00000000", Bank: "Banco do Pai", Branch: "0007", Account: "77-7"},
		}
		id := s.charge()
		s.do(s.PayCashInWith(id, sandbox.Payment{Payer: father, Amount: pix.Centavos(1000)}))
		require.Len(t, s.steps, 1)
		assert.Equal(t, father, s.steps[0].CashIn.Payer)
		assert.Equal(t, pix.Centavos(1000), s.steps[0].CashIn.Amount, "not the amount of the charge")
		read, err := s.client.GetCashIn(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, father, read.Payer)
		assert.Len(t, s.CashIns().ByPayer("11144477735").ByAmount(pix.Centavos(1000)), 1)
	})
}

// outcome describes what a call told about money.
func outcome(err error) string {
	code := ""
	var refusal *connectpsp.APIError
	if errors.As(err, &refusal) {
		code = " " + string(refusal.Code)
	}
	switch {
	case err == nil:
		return "accepted"
	case errors.Is(err, connectpsp.ErrNotSent):
		return "not sent"
	case errors.Is(err, connectpsp.ErrUnknownOutcome):
		return strings.TrimSuffix("unknown"+code, " ")
	default:
		return "rejected" + code
	}
}

func fail(operation string, faults ...sandbox.Fault) func(*shop) error {
	return func(s *shop) error { return s.FailNext(operation, faults...) }
}

func payout(faults ...sandbox.Fault) func(*shop) error { return fail("createCashOut", faults...) }

func always(fault sandbox.Fault) []sandbox.Fault { return slices.Repeat([]sandbox.Fault{fault}, 4) }

// payouts are what befalls a payment, and what its call returns.
var payouts = []struct {
	name    string
	prepare func(*shop) error
	want    string
	made    int // payments that the gateway has
	sent    int // requests
}{
	{"no fault", payout(), "accepted", 1, 1},
	{"a request that is lost", payout(sandbox.LoseRequest), "accepted", 1, 2},
	{"a response that is lost", payout(sandbox.LoseAnswer), "accepted", 1, 2},
	{"responses that are all lost", payout(always(sandbox.LoseAnswer)...), "unknown", 1, 4},
	{"requests that are all lost", payout(always(sandbox.LoseRequest)...), "unknown", 0, 4},
	{"half a body", payout(sandbox.CutAnswer), "accepted", 1, 2},
	{"half a body each time", payout(always(sandbox.CutAnswer)...), "unknown", 1, 4},
	{"JSON that breaks off", payout(always(sandbox.BrokenJSON)...), "unknown", 1, 4},
	{"a response about another payment", payout(sandbox.OtherAnswer), "unknown", 1, 1},
	{"a response that hangs", payout(always(sandbox.HangAfterExecution)...), "unknown", 1, 3},
	{"a request that hangs", payout(sandbox.Hang), "accepted", 1, 2},
	{"a 503 in HTML", payout(sandbox.Unavailable), "accepted", 1, 2},
	{"a 503 in HTML after the effect", payout(always(sandbox.UnavailableAfterExecution)...), "unknown", 1, 4},
	{"a captive portal", payout(always(sandbox.Status(200))...), "unknown", 0, 4},
	{"a 404 of an ingress", payout(always(sandbox.Status(404))...), "unknown", 0, 4},
	{"a 504 after the effect", payout(sandbox.StatusAfterExecution(504)), "accepted", 1, 2},
	{"a redirect", payout(sandbox.Status(307)), "unknown", 0, 1},
	{"a 429", payout(sandbox.TooManyRequests), "accepted", 1, 2},
	{"429 each time", payout(always(sandbox.TooManyRequests)...), "rejected TOO_MANY_REQUESTS", 0, 4},
	{"a refusal", func(s *shop) error { return s.RefuseNext("createCashOut", 422, "LIMIT_EXCEEDED") }, "rejected LIMIT_EXCEEDED", 0, 1},
	{"a refusal after a lost response", func(s *shop) error {
		s.do(s.FailNext("createCashOut", sandbox.LoseAnswer))
		return s.RefuseNext("createCashOut", 422, "LIMIT_EXCEEDED")
	}, "unknown", 1, 2},
	{"a 500 of the gateway", func(s *shop) error { return s.RefuseNext("createCashOut", 500, "INTERNAL_ERROR") }, "accepted", 1, 2},
	{"a conflict", func(s *shop) error {
		_, err := s.newClient().CreateCashOut(s.t.Context(), withdrawal(), connectpsp.WithAttempt(7))
		return err
	}, "unknown DUPLICATE_EXTERNAL_REFERENCE", 1, 2},
	{"no token", fail("authToken", always(sandbox.LoseRequest)...), "not sent", 0, 0},
	{"no token in time", fail("authToken", always(sandbox.Status(502))...), "not sent", 0, 0},
	{"a revoked token", func(s *shop) error { s.do(); s.RevokeTokens(); return nil }, "accepted", 1, 1},
	{"a rotated CryptoToken", func(s *shop) error { s.RotateCryptoToken(); return nil }, "rejected INVALID_SIGNATURE", 0, 1},
	{"requests that are lost, every one", func(s *shop) error { return s.FailEvery("createCashOut", 1, sandbox.LoseRequest) }, "unknown", 0, 4},
	{"every second request lost, the first of them served", func(s *shop) error { return s.FailEvery("createCashOut", 2, sandbox.LoseRequest) }, "accepted", 1, 1},
	{"responses that are lost with certainty", func(s *shop) error {
		return s.FailWithProbability("createCashOut", 1, sandbox.LoseAnswer)
	}, "unknown", 1, 4},
	{"faults that ended", func(s *shop) error {
		s.do(s.FailEvery("createCashOut", 1, sandbox.Hang), s.FailNext("createCashOut", always(sandbox.Hang)...))
		s.ClearFaults()
		return nil
	}, "accepted", 1, 1},
	{"a real rate limit", func(s *shop) error {
		s.do(s.SetRateLimit(1, 1))
		_, err := s.client.GetBalance(s.t.Context())
		return err
	}, "accepted", 1, 2},
	{"the same call of another process", func(s *shop) error { return s.payElsewhere() }, "accepted", 1, 2},
	{"the same call, with a key that the gateway has forgotten", func(s *shop) error {
		s.do(s.payElsewhere())
		s.ForgetKeys()
		return nil
	}, "unknown DUPLICATE_EXTERNAL_REFERENCE", 1, 2},
	{"the same, and references that are not unique", func(s *shop) error {
		s.SetUniqueReferences(false)
		s.do(s.payElsewhere())
		s.ForgetKeys()
		return nil
	}, "accepted", 2, 2},
	{"a key older than 20 minutes", func(s *shop) error {
		s.SetUniqueReferences(false)
		s.do(s.SetKeyLifetime(20*time.Minute), s.payElsewhere())
		return s.Advance(20 * time.Minute)
	}, "accepted", 2, 2},
	{"a key younger than 24 hours", func(s *shop) error {
		s.SetUniqueReferences(false)
		s.do(s.SetKeyLifetime(24*time.Hour), s.payElsewhere())
		return s.Advance(23 * time.Hour)
	}, "accepted", 1, 2},
	{"a key for ever", func(s *shop) error {
		s.SetUniqueReferences(false)
		s.do(s.SetKeyLifetime(0), s.payElsewhere())
		return s.Advance(72 * time.Hour)
	}, "accepted", 1, 2},
	{"a refusal that is repeated under its key", func(s *shop) error {
		s.do(s.SetBalances(pix.Centavos(0), pix.Centavos(0)))
		assert.ErrorIs(s.t, s.payElsewhere(), connectpsp.CodeInsufficientFunds)
		return s.SetBalances(pix.Centavos(30_00), pix.Centavos(0))
	}, "rejected INSUFFICIENT_FUNDS", 0, 2},
	{"a refusal that is not repeated under its key", func(s *shop) error {
		s.SetRepeatedRefusals(false)
		s.do(s.SetBalances(pix.Centavos(0), pix.Centavos(0)))
		assert.ErrorIs(s.t, s.payElsewhere(), connectpsp.CodeInsufficientFunds)
		return s.SetBalances(pix.Centavos(30_00), pix.Centavos(0))
	}, "accepted", 1, 2},
	{"a state that was restored", func(s *shop) error {
		taken, err := s.Snapshot()
		s.do(err, s.payElsewhere())
		return s.Restore(taken)
	}, "accepted", 1, 1},
	{"a sandbox that was reset", func(s *shop) error {
		s.do(s.payElsewhere(), s.FailEvery("createCashOut", 1, sandbox.Hang))
		s.RotateCryptoToken()
		s.Reset()
		return nil
	}, "accepted", 1, 1},
	{"too little money", func(s *shop) error {
		_, err := s.client.RebalanceAccount(s.t.Context(), pix.Centavos(1))
		return err
	}, "rejected INSUFFICIENT_FUNDS", 0, 1},
	{"a slow gateway", func(s *shop) error { return s.SetLatency(10 * time.Second) }, "accepted", 1, 1},
	{"a gateway that is too slow", func(s *shop) error { return s.SetLatency(time.Hour) }, "not sent", 0, 0},
}

// refusals are calls that the gateway refuses with a published code.
var refusals = map[connectpsp.ErrorCode]func(*shop) error{
	connectpsp.CodeInvalidCredentials: func(s *shop) error {
		config := s.Config()
		config.ClientSecret = config.CryptoToken
		_, err := s.clientOf(config).GetBalance(s.t.Context())
		return err
	},
	connectpsp.CodeTokenExpired: func(s *shop) error {
		// The client fetches a new token once.
		s.do(s.RefuseNext("getBalance", 401, "TOKEN_EXPIRED"), s.RefuseNext("getBalance", 401, "TOKEN_EXPIRED"))
		_, err := s.client.GetBalance(s.t.Context())
		return err
	},
	connectpsp.CodeInvalidApplicationToken: func(s *shop) error {
		config := s.Config()
		config.ApplicationToken = config.CryptoToken
		_, err := s.clientOf(config).GetBalance(s.t.Context())
		return err
	},
	connectpsp.CodeInvalidSignature: func(s *shop) error {
		s.RotateCryptoToken()
		_, err := s.client.CreateCashOut(s.t.Context(), withdrawal())
		return err
	},
	connectpsp.CodeCashInNotPaid: func(s *shop) error { return s.refund(s.charge()) },
	connectpsp.CodeCashInAlreadyRefunded: func(s *shop) error {
		id := s.charge()
		s.do(s.PayCashIn(id), s.ReturnCashIn(id))
		return s.refund(id)
	},
	connectpsp.CodeCashInExpired: func(s *shop) error {
		id := s.charge()
		s.do(s.ExpireCashIn(id))
		return s.refund(id)
	},
	connectpsp.CodeCashInCancelled: func(s *shop) error {
		id := s.charge()
		s.do(s.CancelCashIn(id))
		return s.refund(id)
	},
	connectpsp.CodeMissingEndToEndID: func(s *shop) error {
		id := s.charge()
		s.do(s.PayCashIn(id), s.RefuseNext("refundCashIn", 422, "MISSING_END_TO_END_ID"))
		return s.refund(id)
	},
	connectpsp.CodeInsufficientFunds: func(s *shop) error {
		s.do(s.SetBalances(pix.Centavos(29_99), pix.Centavos(0)))
		_, err := s.client.CreateCashOut(s.t.Context(), withdrawal())
		return err
	},
}

// Each situation of the documentation is made by methods of the sandbox, and by calls of its
// control API.
func TestEverySituationCanBeMadeInGoAndOverHTTP(t *testing.T) {
	posted := make(map[string]bool)
	for name, way := range map[string]func(*testing.T, *sandbox.Sandbox) situations{
		"in Go":     func(_ *testing.T, gateway *sandbox.Sandbox) situations { return gateway },
		"over HTTP": func(t *testing.T, gateway *sandbox.Sandbox) situations { return newOverHTTP(t, gateway, posted) },
	} {
		t.Run(name, func(t *testing.T) {
			run := func(name string, check func(*shop)) {
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { check(openShopBy(t, way, sandbox.WithSeed(1))) })
				})
			}
			marks, outcomes := make(map[string]bool), make(map[string]bool)
			for _, story := range stories {
				run(story.name, func(s *shop) {
					story.make(s)
					s.do()
					var told []string
					for _, step := range s.steps {
						told = append(told, tell(step))
						for mark := range marksOf(step) {
							marks[mark] = true
						}
					}
					assert.Equal(s.t, story.told, told)
					if held := s.held(); story.held == "" {
						assert.Empty(s.t, held)
					} else if assert.Len(s.t, held, 1) {
						assert.Contains(s.t, held[0], story.held)
					}
				})
			}
			for _, payout := range payouts {
				run(payout.name, func(s *shop) {
					require.NoError(s.t, payout.prepare(s))
					_, err := s.client.CreateCashOut(s.t.Context(), withdrawal())
					assert.Equal(s.t, payout.want, outcome(err), "%v", err)
					outcomes[strings.Fields(outcome(err))[0]] = true
					synctest.Wait()
					assert.Len(s.t, s.CashOuts().ByReference("withdrawal-1"), payout.made)
					assert.Len(s.t, s.Requests().ByOperation("createCashOut").ByReference("withdrawal-1"), payout.sent)
				})
			}
			for code, refuse := range refusals {
				run(string(code), func(s *shop) { assert.ErrorIs(s.t, refuse(s), code) })
			}
			if !t.Failed() {
				assert.Len(t, outcomes, 4, "accepted, rejected, unknown, not sent")
				assert.Equal(t, marksOf(webhook.Transition{
					Confirmed: true, MissedPayment: true, LatePayment: true, Contradiction: true, Unrequested: true, ReturnUnclear: true, Late: true,
				}), marks, "each mark of a Transition")
			}
		})
	}
	assert.ElementsMatch(t, publishedCodes(t), slices.Collect(maps.Keys(refusals)))
	assert.Equal(t, postsOfTheAPI(t), posted, "each call that the API describes")
}

// marksOf returns the names of the marks that a step has.
func marksOf(step webhook.Transition) map[string]bool {
	marks := make(map[string]bool)
	for field, value := range reflect.ValueOf(step).Fields() {
		if field.Type.Kind() == reflect.Bool && value.Bool() {
			marks[field.Name] = true
		}
	}
	return marks
}

// publishedCodes returns the codes in the list of package sandbox's documentation.
func publishedCodes(t *testing.T) (codes []connectpsp.ErrorCode) {
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	for _, code := range regexp.MustCompile(`(?m)^//\t([A-Z_]{9,}) +4\d\d, `).FindAllSubmatch(text, -1) {
		codes = append(codes, connectpsp.ErrorCode(code[1]))
	}
	return append(codes, connectpsp.CodeMissingEndToEndID) // the list says why it is not in it
}

// postsOfTheAPI returns the paths of all calls of the control API that change something.
func postsOfTheAPI(t *testing.T) map[string]bool {
	gateway, err := sandbox.Start(sandbox.WithMemoryNetwork())
	require.NoError(t, err)
	defer gateway.Close()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/_sandbox/openapi.json", nil)
	request.Host = "localhost"
	control.New(gateway).ServeHTTP(recorder, request)
	var description struct {
		Paths map[string]map[string]any
	}
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &description))
	posts := make(map[string]bool)
	for path, methods := range description.Paths {
		if methods["post"] != nil {
			posts[path] = true
		}
	}
	return posts
}

func TestACertificateOfAnUnknownAuthorityStopsEachCallBeforeItIsSent(t *testing.T) {
	gateway, err := sandbox.Start()
	require.NoError(t, err)
	defer gateway.Close()
	server := httptest.NewUnstartedServer(gateway)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	config := gateway.Config()
	config.BaseURL = server.URL
	client, err := connectpsp.New(config, connectpsp.WithLogger(silent))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = client.CreateCashOut(ctx, withdrawal())
	assert.Equal(t, "not sent", outcome(err), "%v", err)
	assert.Empty(t, gateway.Requests())
}

func TestEveryOperationThatMovesMoneyHasEveryOutcome(t *testing.T) {
	operations := map[string]func(*shop, string) error{
		"createCashIn": func(s *shop, _ string) error {
			_, err := s.client.CreateCashIn(s.t.Context(), connectpsp.CashInRequest{
				Amount: pix.Centavos(1), ExternalReference: "order-1", Payer: connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
			})
			return err
		},
		"refundCashIn": func(s *shop, charge string) error {
			_, err := s.client.RefundCashIn(s.t.Context(), charge, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
			return err
		},
		"createCashOut": func(s *shop, _ string) error {
			_, err := s.client.CreateCashOut(s.t.Context(), withdrawal())
			return err
		},
		"rebalanceAccount": func(s *shop, _ string) error {
			_, err := s.client.RebalanceAccount(s.t.Context(), pix.Centavos(100_00))
			return err
		},
	}
	for operation, call := range operations {
		for want, prepare := range map[string]func(*shop) error{
			"accepted":                func(*shop) error { return nil },
			"rejected LIMIT_EXCEEDED": func(s *shop) error { return s.RefuseNext(operation, 422, "LIMIT_EXCEEDED") },
			"unknown": func(s *shop) error {
				return s.FailNext(operation, slices.Repeat([]sandbox.Fault{sandbox.StatusAfterExecution(504)}, 4)...)
			},
			"not sent": func(s *shop) error {
				s.RevokeTokens()
				return s.FailNext("authToken", slices.Repeat([]sandbox.Fault{sandbox.LoseRequest}, 10)...)
			},
		} {
			t.Run(operation+" "+want, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := openShop(t)
					charge := s.charge()
					require.NoError(t, s.PayCashIn(charge))
					s.client = s.newClient() // without a token
					require.NoError(t, prepare(s))
					err := call(s, charge)
					assert.Equal(t, want, outcome(err), "%v", err)
				})
			})
		}
	}
}
