package dashboards

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// story is what happens in a shop, and the alerts that ring for it: these, and no other.
type story struct {
	happens func(*shop)
	options []webhook.WorkerOption
	silence time.Duration // after the last scrape
	rings   []string
}

// repeat returns a fault n times.
func repeat(fault sandbox.Fault, n int) []sandbox.Fault {
	return slices.Repeat([]sandbox.Fault{fault}, n)
}

var stories = map[string]story{
	"a good day": {
		happens: func(s *shop) {
			s.pass(2 * time.Hour)
			time.Sleep(2 * time.Hour) // a quiet night
			s.pass(time.Hour)
		},
	},
	"a day of small troubles that the SDK and the gateway mend": {
		happens: func(s *shop) {
			s.pass(30 * time.Minute)
			s.do(s.gateway.FailNext("createCashOut", sandbox.LoseAnswer, sandbox.Unavailable)) // retries
			s.pass(10 * time.Minute)
			s.do(s.gateway.RefuseNext("createCashOut", 422, "PAYEE_LIMIT")) // one rejection
			s.gateway.RevokeTokens()
			s.pass(10 * time.Minute)
			s.post()                 // a scanner
			s.inbox.down.Store(true) // the database restarts
			s.pass(30 * time.Second)
			s.inbox.down.Store(false)
			s.pass(30 * time.Minute)
			time.Sleep(time.Hour) // a quiet night, and a scanner
			for range 6 {
				s.post()
			}
			time.Sleep(30 * time.Minute)
		},
	},
	"a service that receives its webhooks elsewhere": {
		happens: func(s *shop) {
			s.ingress.set(always[*http.Request])
			s.pass(90 * time.Minute)
		},
	},
	"the response of a payment is lost, and so are those of its retries": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.do(s.gateway.FailNext("createCashOut", repeat(sandbox.LoseAnswer, 4)...))
			s.pass(20 * time.Minute)
		},
		rings: []string{"ConnectPSPUnknownOutcome"},
	},
	"a payment stays open": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.network.set(oneMute())
			s.pass(10 * time.Minute)
			s.network.clear()
			s.pass(5 * time.Minute)
		},
		// Recover makes as many requests as the few customers.
		rings: []string{"ConnectPSPUnknownOutcome", "ConnectPSPPaymentOpen", "ConnectPSPGatewayFailing"},
	},
	"a payment stays open for longer than the SDK sends it": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.network.set(oneMute())
			s.pass(25 * time.Minute)
		},
		rings: []string{"ConnectPSPUnknownOutcome", "ConnectPSPPaymentOpen", "ConnectPSPPaymentStuck", "ConnectPSPGatewayFailing"},
	},
	"the gateway rejects every second payment": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			for range 30 {
				s.do(s.gateway.RefuseNext("createCashOut", 422, "PAYEE_LIMIT"))
			}
			s.pass(20 * time.Minute)
		},
		rings: []string{"ConnectPSPRejections"},
	},
	"the account is empty": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.do(s.gateway.RefuseNext("createCashOut", 422, "INSUFFICIENT_FUNDS"))
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPInsufficientFunds"},
	},
	"the gateway cannot be reached": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.network.set(unreachable)
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPGatewayDown", "ConnectPSPGatewayFailing"},
	},
	"the gateway does not respond": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.network.set(mute)
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPUnknownOutcome", "ConnectPSPPaymentOpen", "ConnectPSPGatewayDown", "ConnectPSPGatewayFailing"},
	},
	"the gateway issues no tokens": {
		happens: func(s *shop) {
			s.network.set(func(r *http.Request) error {
				if r.URL.Path == "/auth/token" {
					return mute(r)
				}
				return nil
			})
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPGatewayDown"},
	},
	"callers leave before the gateway responds": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			leave := func() {
				for range 20 {
					for range 3 {
						s.leave()
					}
					time.Sleep(30 * time.Second)
				}
			}
			leave() // and nobody else calls
			s.running.Go(leave)
			s.pass(20 * time.Minute)
		},
	},
	"the first request of each payment is lost": {
		happens: func(s *shop) {
			var sent sync.Map
			s.pass(10 * time.Minute)
			s.network.set(func(r *http.Request) error {
				if key := r.Header.Get("X-Idempotency-Key"); key != "" {
					if _, before := sent.LoadOrStore(key, true); !before {
						return mute(r)
					}
				}
				return nil
			})
			s.pass(20 * time.Minute)
		},
		rings: []string{"ConnectPSPGatewayFailing"},
	},
	"the secret is wrong": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.do(s.gateway.RefuseNext("authToken", 401, "INVALID_CREDENTIALS"))
			s.gateway.RevokeTokens()
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPCredentialsRefused"},
	},
	"the ApplicationToken is wrong": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.do(s.gateway.RefuseNext("createCashIn", 401, "INVALID_APPLICATION_TOKEN"))
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPCredentialsRefused"},
	},
	"a response is about another payment": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.do(s.gateway.FailNext("createCashOut", sandbox.OtherAnswer))
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPDeviation", "ConnectPSPUnknownOutcome"},
	},
	"somebody posts forged webhooks": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			for range 30 {
				s.post()
				s.pass(10 * time.Second)
			}
		},
		rings: []string{"ConnectPSPSignatureRefused"},
	},
	"the gateway signs webhooks with another CryptoToken": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.gateway.RotateCryptoToken()
			s.pass(20 * time.Minute)
		},
		rings: []string{"ConnectPSPEveryDeliveryRefused", "ConnectPSPSignatureRefused", "ConnectPSPCredentialsRefused", "ConnectPSPRejections"},
	},
	"the inbox is down": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.inbox.down.Store(true)
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPInboxDown", "ConnectPSPGaugesUnreadable"},
	},
	"the ingress loses the route of the webhooks": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.ingress.set(always[*http.Request])
			s.pass(time.Hour)
		},
		rings: []string{"ConnectPSPNoEvents"},
	},
	"the worker has stopped": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.stopWorker()
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPEventsLate"},
	},
	"the worker's function fails": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.function.set(always[webhook.Transition])
			s.pass(20 * time.Minute)
		},
		rings: []string{"ConnectPSPStepsFail"},
	},
	"a charge is paid twice": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			id := s.charged()
			s.do(s.gateway.PayCashIn(id))
			time.Sleep(time.Minute)
			s.do(s.gateway.PayCashInWith(id, sandbox.Payment{}))
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPItemHeld"},
	},
	"somebody has the CryptoToken": {
		options: []webhook.WorkerOption{webhook.WithConfirmation(pix.Centavos(0))},
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.forge()
			s.pass(20 * time.Minute)
		},
		rings: []string{"ConnectPSPAlarm", "ConnectPSPItemHeld", "ConnectPSPStepsFail"},
	},
	"a payment failed, and was made": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			id := s.sent()
			s.do(s.gateway.FailCashOut(id, "PIX_KEY_NOT_FOUND", "no such key"))
			time.Sleep(time.Minute)
			s.do(s.gateway.ContradictCashOut(id))
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPContradiction"},
	},
	"the event of a payment comes after that of its return": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.do(s.gateway.FailNext("CASHIN_PAID", sandbox.LoseWebhook))
			id := s.charged()
			s.do(s.gateway.PayCashIn(id), s.gateway.ReturnCashIn(id))
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPMissedPayment", "ConnectPSPUnrequestedReturn"},
	},
	"a payout is not made by its due time": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			id := s.sent()
			s.do(s.worker.WatchDueBy(s.ctx, id, time.Now().Add(5*time.Minute)))
			s.pass(20 * time.Minute)
		},
		rings: []string{"ConnectPSPPayoutLate"},
	},
	"a payout of unknown outcome passes its due time": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.network.set(oneMute())
			_, err := s.client.CreateCashOut(s.ctx, s.withdrawal(), connectpsp.WithDueBy(time.Now().Add(5*time.Minute)))
			require.ErrorIs(s.t, err, connectpsp.ErrUnknownOutcome)
			s.pass(10 * time.Minute)
			s.network.clear()
			s.pass(5 * time.Minute)
		},
		rings: []string{"ConnectPSPPaymentOverdue", "ConnectPSPUnknownOutcome", "ConnectPSPPaymentOpen", "ConnectPSPGatewayFailing"},
	},
	"the payer's bank takes a payment back": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			id := s.charged()
			s.do(s.gateway.PayCashIn(id))
			time.Sleep(time.Minute)
			s.do(s.gateway.ReturnCashInPart(id, pix.Centavos(300)))
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPUnrequestedReturn"},
	},
	"a payment comes back when the journal has forgotten its charge": {
		happens: func(s *shop) {
			id := s.charged()
			s.do(s.gateway.PayCashIn(id))
			s.pass(2 * time.Hour)
			s.do(s.gateway.ReturnCashIn(id))
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPReturnUnclear"},
	},
	"a refund": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			id := s.charged()
			s.do(s.gateway.PayCashIn(id))
			time.Sleep(time.Minute)
			_, err := s.client.RefundCashIn(s.ctx, id, connectpsp.RefundRequest{Reason: connectpsp.RefundCustomerRequest})
			s.do(err, s.gateway.SettleRefund(id))
			s.pass(10 * time.Minute)
		},
	},
	"another person pays": {
		options: payerChecked,
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.payAs("52998224725", "123456")
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPPaidByOther"},
	},
	"another person pays, and the gateway refuses the refund": {
		options: payerChecked,
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.do(s.gateway.RefuseNext("refundCashIn", 422, "ACCOUNT_BLOCKED"))
			s.payAs("52998224725", "123456")
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPPaidByOther", "ConnectPSPItemHeld"},
	},
	"a customer pays from an account that is not registered": {
		options: payerChecked,
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.payAs("12345678909", "777777")
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPPaidByOther", "ConnectPSPPayerAccountDiffers"},
	},
	"the account of a payer has no check digit": {
		options: payerChecked,
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.payAs("12345678909", "12345")
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPPaidByUnknown"},
	},
	"a charge is paid after it was cancelled": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			id := s.charged()
			s.do(s.gateway.CancelCashIn(id), s.worker.WatchCashIn(s.ctx, id))
			time.Sleep(2 * time.Minute)
			s.do(s.gateway.PayCashInWith(id, sandbox.Payment{}))
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPLatePayment"},
	},
	"the worker's function panics": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.function.set(func(webhook.Transition) error {
				s.function.clear()
				panic("a bug")
			})
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPFunctionPanics"},
	},
	"the journal cannot write": {
		happens: func(s *shop) {
			s.pass(10 * time.Minute)
			s.do(s.journal.Close())
			s.pass(10 * time.Minute)
		},
		rings: []string{"ConnectPSPJournalFails", "ConnectPSPGaugesUnreadable", "ConnectPSPUnknownOutcome"},
	},
	"the process is gone": {
		happens: func(s *shop) { s.pass(10 * time.Minute) },
		silence: 15 * time.Minute,
		rings:   []string{"ConnectPSPNothingReports"},
	},
}

// payerChecked lets only the customer pay, from the account that the sandbox pays from, and returns
// the payments of others.
var payerChecked = []webhook.WorkerOption{
	webhook.WithPayerCheck(func(context.Context, *connectpsp.CashIn) (connectpsp.Holder, error) {
		return connectpsp.Holder{Document: "12345678909", Accounts: []connectpsp.BankData{{ISPB: "99999999", Account: "123456"}}}, nil
	}),
	webhook.WithPayerRefund(connectpsp.RefundRequest{Reason: connectpsp.RefundMerchantError}),
}

// oneMute is a network on which the first payment, and no other, gets no response.
func oneMute() func(*http.Request) error {
	var first atomic.Pointer[string]
	return func(r *http.Request) error {
		key := r.Header.Get("X-Idempotency-Key")
		if r.URL.Path == "/cash-out" && (first.CompareAndSwap(nil, &key) || *first.Load() == key) {
			return mute(r)
		}
		return nil
	}
}

func TestEachAlertRingsForItsCauseAndForNothingElse(t *testing.T) {
	tested := map[string]bool{}
	for name, story := range stories {
		for _, alert := range story.rings {
			tested[alert] = true
		}
		t.Run(name, func(t *testing.T) {
			scrapes := scrapesOf(t, story.happens, story.options...)
			begin, end := scrapes[0].at, scrapes[len(scrapes)-1].at
			rang := newPrometheus(t, scrapes).ring(begin, end.Add(story.silence))
			assert.ElementsMatch(t, story.rings, slices.Collect(maps.Keys(rang)))
			for alert, first := range rang {
				t.Log(alert, first.at.Sub(begin), first.annotations.Get("summary"))
			}
		})
	}
	for _, rule := range readRules(t) {
		assert.True(t, tested[rule.Alert], "no story makes %s ring", rule.Alert)
	}
}

// Each process of a fleet reports the gauges of the one database.
func TestInAFleetAHeldItemCountsOnce(t *testing.T) {
	var fleet []scrape
	for _, s := range scrapesOf(t, stories["a charge is paid twice"].happens) {
		for _, instance := range []string{"pod-1", "pod-2", "pod-3"} {
			fleet = append(fleet, scrape{s.at, instance, s.text})
		}
	}
	rang := newPrometheus(t, fleet).ring(fleet[0].at, fleet[len(fleet)-1].at)
	assert.Equal(t, []string{"ConnectPSPItemHeld"}, slices.Collect(maps.Keys(rang)))
	assert.Equal(t, "payments: items held for manual review: 1", rang["ConnectPSPItemHeld"].annotations.Get("summary"))
}

// A process that starts anew counts from 0.
func TestADeploymentRingsNoAlert(t *testing.T) {
	goodHour := func(s *shop) { s.pass(time.Hour) }
	before, after := scrapesOf(t, goodHour), scrapesOf(t, goodHour)
	for name, instance := range map[string]string{"in the same place": "pod-1", "in another place": "pod-2"} {
		all := slices.Clone(before)
		for _, s := range after {
			all = append(all, scrape{s.at.Add(time.Hour + scrapeInterval), instance, s.text})
		}
		assert.Empty(t, newPrometheus(t, all).ring(all[0].at, all[len(all)-1].at), name)
	}
}
