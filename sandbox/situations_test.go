package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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
	"github.com/connectpsp/connectpsp-go/webhook"
)

// shop is a program that receives the webhooks of a sandbox, in a bubble of testing/synctest: a
// sleep of the test moves the clocks of all.
type shop struct {
	*sandbox.Sandbox
	t      *testing.T
	client *connectpsp.Client
	inbox  *webhook.MemoryInbox
	worker *webhook.Worker
	steps  []webhook.Transition
}

const shopURL = "http://127.0.0.1:8080/"

var silent = slog.New(slog.DiscardHandler)

func openShop(t *testing.T, opts ...sandbox.Option) *shop {
	s := &shop{t: t, inbox: webhook.NewMemoryInbox()}
	var err error
	s.Sandbox, err = sandbox.Start(append(opts, sandbox.WithMemoryNetwork())...)
	require.NoError(t, err)
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
	opts = append([]connectpsp.Option{connectpsp.WithHTTPClient(s.HTTPClient()), connectpsp.WithLogger(silent)}, opts...)
	client, err := connectpsp.New(s.Config(), opts...)
	require.NoError(s.t, err)
	return client
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

// told describes a step by all that the Transition tells, but for ids and times.
func told(step webhook.Transition) string {
	text := fmt.Sprintf("%s to %s", step.From, step.To)
	for flag, set := range map[string]bool{
		", late payment": step.LatePayment, ", missed payment": step.MissedPayment, ", contradiction": step.Contradiction,
	} {
		if set {
			text += flag // at most one is set
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

func TestEveryTransitionAndEveryHeldItemCanBeMade(t *testing.T) {
	for _, test := range []struct {
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
		}, []string{" to REFUNDED, missed payment"}, ""},
		{"events in the wrong order", func(s *shop) {
			id := s.charge()
			s.do(s.FailNext("CASHIN_PAID", sandbox.HoldWebhook), s.PayCashIn(id), s.ReturnCashIn(id))
			assert.Equal(s.t, 1, s.ReleaseWebhooks())
			s.do()
		}, []string{" to REFUNDED, missed payment"}, ""},
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
		}, []string{" to PAID", "PAID to REFUNDED"}, ""},
		{"a return in parts", func(s *shop) {
			id := s.charge()
			s.do(s.PayCashIn(id))
			s.do(s.ReturnCashInPart(id, pix.Centavos(50)))
			s.do(s.ReturnCashInPart(id, pix.Centavos(400)))
			s.do(s.ReturnCashIn(id))
		}, []string{" to PAID", "PAID to REFUNDED", "REFUNDED to REFUNDED", "REFUNDED to REFUNDED"}, ""},
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
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := openShop(t)
				test.make(s)
				s.do()
				var steps []string
				for _, step := range s.steps {
					steps = append(steps, told(step))
				}
				assert.Equal(t, test.told, steps)
				if held := s.held(); test.held == "" {
					assert.Empty(t, held)
				} else if assert.Len(t, held, 1) {
					assert.Contains(t, held[0], test.held)
				}
			})
		})
	}
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

func TestEveryOutcomeOfAPaymentCanBeMade(t *testing.T) {
	fail := func(operation string, faults ...sandbox.Fault) func(*shop) error {
		return func(s *shop) error { return s.FailNext(operation, faults...) }
	}
	payout := func(faults ...sandbox.Fault) func(*shop) error { return fail("createCashOut", faults...) }
	always := func(fault sandbox.Fault) []sandbox.Fault { return []sandbox.Fault{fault, fault, fault, fault} }
	for _, test := range []struct {
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
		{"too little money", func(s *shop) error {
			_, err := s.client.RebalanceAccount(s.t.Context(), pix.Centavos(1))
			return err
		}, "rejected INSUFFICIENT_FUNDS", 0, 1},
		{"a slow gateway", func(s *shop) error { return s.SetLatency(10 * time.Second) }, "accepted", 1, 1},
		{"a gateway that is too slow", func(s *shop) error { return s.SetLatency(time.Hour) }, "not sent", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := openShop(t)
				require.NoError(t, test.prepare(s))
				_, err := s.client.CreateCashOut(t.Context(), withdrawal())
				assert.Equal(t, test.want, outcome(err), "%v", err)
				synctest.Wait()
				assert.Len(t, s.CashOuts().ByReference("withdrawal-1"), test.made)
				assert.Len(t, s.Requests().ByOperation("createCashOut").ByReference("withdrawal-1"), test.sent)
			})
		})
	}
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
