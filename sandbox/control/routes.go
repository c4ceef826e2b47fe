package control

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// routes are the operations of the API. The id of a transaction may be any of its ids.
var routes = []route{
	get("/state", "getState", "Everything that the page shows: the clock, the balances, and the latest of all else",
		func(s *sandbox.Sandbox, _ *http.Request) (state, error) { return stateOf(s), nil }),
	get("/credentials", "getCredentials", "The credentials of the sandbox, as environment variables",
		func(s *sandbox.Sandbox, r *http.Request) (map[string]string, error) {
			return credentials(s, r.Host), nil
		}),

	filtered("/cash-ins", "externalReference", "listCashIns", "All charges, or those with a reference",
		func(s *sandbox.Sandbox, reference string) ([]cashIn, error) {
			all := s.CashIns()
			if reference != "" {
				all = all.ByReference(reference)
			}
			return cashInsOf(s, all), nil
		}),
	get("/cash-ins/{id}", "getCashIn", "A charge",
		func(s *sandbox.Sandbox, r *http.Request) (cashIn, error) { return findCashIn(s, r.PathValue("id")) }),
	get("/cash-ins/{id}/qr-code", "getQRCode", "The QR code of a charge",
		func(s *sandbox.Sandbox, r *http.Request) (*connectpsp.PIXData, error) {
			return s.PIXData(r.PathValue("id"))
		}),
	onCashIn("pay", "payCashIn", "Pay a charge in any status: as another payer, from another account, another amount, or too late",
		func(s *sandbox.Sandbox, id string, p payment) error {
			paid := sandbox.Payment{Payer: connectpsp.Payer{Name: p.Payer.Name, Document: p.Payer.Document, BankData: p.Payer.BankData}}
			if p.Amount != nil {
				if paid.Amount = *p.Amount; paid.Amount.IsZero() {
					return invalid("the amount must be at least 0.01: leave it out to pay what the charge asks for")
				}
			}
			return s.PayCashInWith(id, paid)
		}),
	onCashIn("expire", "expireCashIn", "Let a charge expire ahead of its time",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.ExpireCashIn(id) }),
	onCashIn("cancel", "cancelCashIn", "Cancel a charge",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.CancelCashIn(id) }),
	onCashIn("settle-refund", "settleRefund", "Complete a refund that was requested",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.SettleRefund(id) }),
	onCashIn("return", "returnCashIn", "Return a payment that no refund was requested for, all of it or a part",
		func(s *sandbox.Sandbox, id string, part part) error {
			if part.Amount == nil {
				return s.ReturnCashIn(id)
			}
			return s.ReturnCashInPart(id, *part.Amount)
		}),

	filtered("/cash-outs", "externalReference", "listCashOuts", "All payments, or those with a reference",
		func(s *sandbox.Sandbox, reference string) ([]cashOut, error) {
			all := s.CashOuts()
			if reference != "" {
				all = all.ByReference(reference)
			}
			return cashOutsOf(s, all), nil
		}),
	get("/cash-outs/{id}", "getCashOut", "A payment",
		func(s *sandbox.Sandbox, r *http.Request) (cashOut, error) { return findCashOut(s, r.PathValue("id")) }),
	onCashOut("complete", "completeCashOut", "Complete a payment",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.CompleteCashOut(id) }),
	onCashOut("fail", "failCashOut", "Let a payment fail; the code is PIX_KEY_NOT_FOUND unless another is given",
		func(s *sandbox.Sandbox, id string, f failure) error {
			if f.Code == "" {
				f.Code = "PIX_KEY_NOT_FOUND"
			}
			return s.FailCashOut(id, f.Code, f.Message)
		}),
	onCashOut("cancel", "cancelCashOut", "Cancel a payment",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.CancelCashOut(id) }),
	onCashOut("return", "returnCashOut", "Return a payment, all of it or a part, as the payee's bank does",
		func(s *sandbox.Sandbox, id string, part part) error {
			if part.Amount == nil {
				return s.ReturnCashOut(id)
			}
			return s.ReturnCashOutPart(id, *part.Amount)
		}),
	onCashOut("contradict", "contradictCashOut", "Contradict what was reported about a payment: make a failed one complete, or a complete one fail",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.ContradictCashOut(id) }),

	get("/deliveries", "listDeliveries", "All attempts to deliver webhooks",
		func(s *sandbox.Sandbox, _ *http.Request) ([]delivery, error) { return deliveriesOf(s, 0), nil }),
	post("/transactions/{id}/redeliver", "redeliver", "Send the last webhook of a transaction again, so many times",
		func(s *sandbox.Sandbox, id string, body repetition) (none, error) {
			times := 1
			if body.Times != nil {
				times = *body.Times
			}
			if times < 1 || times > maxRepetitions {
				return none{}, invalid("times must be from 1 to %d", maxRepetitions)
			}
			for range times {
				if err := s.Redeliver(id); err != nil {
					return none{}, err
				}
			}
			return none{}, nil
		}),
	post("/webhooks/release", "releaseWebhooks", "Send the webhooks that the fault HoldWebhook holds back, or in reverse order",
		func(s *sandbox.Sandbox, _ string, body release) (released, error) {
			if body.Reverse {
				return released{s.ReleaseWebhooksInReverse()}, nil
			}
			return released{s.ReleaseWebhooks()}, nil
		}),
	post("/webhooks/send", "sendWebhook", "Sign any JSON and deliver it like a webhook",
		func(s *sandbox.Sandbox, _ string, body webhook) (none, error) {
			return none{}, s.SendWebhook(body.URL, body.Body)
		}),

	get("/requests", "listRequests", "The latest requests that the gateway has received, with secrets and personal data masked",
		func(s *sandbox.Sandbox, _ *http.Request) ([]request, error) { return requestsOf(s, 0), nil }),
	post("/faults", "failNext", "Let the next requests of an operation fail, or the next webhooks of an event type, one for each fault",
		func(s *sandbox.Sandbox, _ string, body faults) (none, error) {
			return none{}, s.FailNext(body.Operation, body.Faults...)
		}),
	post("/faults/every", "failEvery", "Let every nth request of an operation fail, or every nth webhook of an event type",
		func(s *sandbox.Sandbox, _ string, body every) (none, error) {
			return none{}, s.FailEvery(body.Operation, body.N, body.Fault)
		}),
	post("/faults/probability", "failWithProbability", "Let requests of an operation or webhooks of an event type fail with a probability",
		func(s *sandbox.Sandbox, _ string, body probability) (none, error) {
			return none{}, s.FailWithProbability(body.Operation, body.Probability, body.Fault)
		}),
	post("/faults/clear", "clearFaults", "End all faults and refusals",
		func(s *sandbox.Sandbox, _ string, _ none) (none, error) { s.ClearFaults(); return none{}, nil }),
	post("/refusals", "refuseNext", "Let the gateway refuse the next request of an operation, such as with 422 and LIMIT_EXCEEDED",
		func(s *sandbox.Sandbox, _ string, body refusal) (none, error) {
			return none{}, s.RefuseNext(body.Operation, body.Status, body.Code)
		}),
	post("/latency", "setLatency", "Let the gateway wait before it executes each request; 0 ends that",
		func(s *sandbox.Sandbox, _ string, body latency) (none, error) {
			wait, err := durationOf("milliseconds", body.Milliseconds, time.Millisecond)
			if err != nil {
				return none{}, err
			}
			return none{}, s.SetLatency(wait)
		}),
	post("/rate-limit", "setRateLimit", "Limit the requests by a token bucket; 0 and 0 end that",
		func(s *sandbox.Sandbox, _ string, body rateLimit) (none, error) {
			return none{}, s.SetRateLimit(body.PerSecond, body.Burst)
		}),

	post("/clock/advance", "advance", "Move the clock forward; what is due until then happens in order before the response",
		func(s *sandbox.Sandbox, _ string, body duration) (now, error) {
			ahead, err := durationOf("seconds", body.Seconds, time.Second)
			if err != nil {
				return now{}, err
			}
			err = s.Advance(ahead)
			return now{s.Now()}, err
		}),
	get("/snapshot", "takeSnapshot", "The state of the sandbox, for restore",
		func(s *sandbox.Sandbox, _ *http.Request) (json.RawMessage, error) { return s.Snapshot() }),
	post("/restore", "restore", "Replace the state of the sandbox by that of a snapshot",
		func(s *sandbox.Sandbox, _ string, body json.RawMessage) (none, error) { return none{}, s.Restore(body) }).withLimit(snapshotLimit),
	post("/reset", "reset", "Make the sandbox what it was at its start: credentials, balances and clock too",
		func(s *sandbox.Sandbox, _ string, _ none) (none, error) { s.Reset(); return none{}, nil }),
	post("/balances", "setBalances", "Set the balances of both accounts",
		func(s *sandbox.Sandbox, _ string, body balances) (none, error) {
			return none{}, s.SetBalances(body.Transactional, body.Proprietary)
		}),
	post("/tokens/revoke", "revokeTokens", "Revoke all access tokens",
		func(s *sandbox.Sandbox, _ string, _ none) (none, error) { s.RevokeTokens(); return none{}, nil }),
	post("/keys/forget", "forgetKeys", "Forget all idempotency keys",
		func(s *sandbox.Sandbox, _ string, _ none) (none, error) { s.ForgetKeys(); return none{}, nil }),
	post("/keys/lifetime", "setKeyLifetime", "Let the gateway forget an idempotency key this long after its request; 0 is never",
		func(s *sandbox.Sandbox, _ string, body duration) (none, error) {
			lifetime, err := durationOf("seconds", body.Seconds, time.Second)
			if err != nil {
				return none{}, err
			}
			return none{}, s.SetKeyLifetime(lifetime)
		}),
	post("/references", "setUniqueReferences", "Let the gateway refuse an externalReference that was used before, or accept it",
		func(s *sandbox.Sandbox, _ string, body references) (none, error) {
			s.SetUniqueReferences(body.Unique)
			return none{}, nil
		}),
	post("/refusals/repeated", "setRepeatedRefusals", "Let the gateway repeat a refusal under the same idempotency key, or execute the request",
		func(s *sandbox.Sandbox, _ string, body repeated) (none, error) {
			s.SetRepeatedRefusals(body.Repeated)
			return none{}, nil
		}),
	post("/crypto-token/rotate", "rotateCryptoToken", "Replace the CryptoToken by a new one",
		func(s *sandbox.Sandbox, _ string, _ none) (none, error) { s.RotateCryptoToken(); return none{}, nil }),
}

const (
	maxRepetitions = 1000
	maxDuration    = 100 * 366 * 24 * time.Hour // a negative one is refused by the sandbox
)

// durationOf returns the duration of so many units that a member has.
func durationOf(member string, units int64, unit time.Duration) (time.Duration, error) {
	if limit := int64(maxDuration / unit); units < -limit || units > limit {
		return 0, invalid("%s must be at least 0 and at most %d", member, limit)
	}
	return time.Duration(units) * unit, nil
}

// The bodies of requests.
type (
	payment struct {
		Payer  payer       `json:"payer,omitzero"`
		Amount *pix.Amount `json:"amount,omitzero"`
	}
	payer struct {
		Name     string               `json:"name,omitzero"`
		Document string               `json:"document,omitzero"`
		BankData *connectpsp.BankData `json:"bankData,omitzero"`
	}
	part struct {
		Amount *pix.Amount `json:"amount,omitzero"`
	}
	failure struct {
		Code    string `json:"code,omitzero"`
		Message string `json:"message,omitzero"`
	}
	repetition struct {
		Times *int `json:"times,omitzero"`
	}
	release struct {
		Reverse bool `json:"reverse,omitzero"`
	}
	webhook struct {
		URL  string          `json:"url"`
		Body json.RawMessage `json:"body"`
	}
	faults struct {
		Operation string          `json:"operation"`
		Faults    []sandbox.Fault `json:"faults"`
	}
	every struct {
		Operation string        `json:"operation"`
		N         int           `json:"n"`
		Fault     sandbox.Fault `json:"fault"`
	}
	probability struct {
		Operation   string        `json:"operation"`
		Probability float64       `json:"probability"`
		Fault       sandbox.Fault `json:"fault"`
	}
	balances struct {
		Transactional pix.Amount `json:"transactionalBalance"`
		Proprietary   pix.Amount `json:"proprietaryBalance"`
	}
	references struct {
		Unique bool `json:"unique"`
	}
	repeated struct {
		Repeated bool `json:"repeated"`
	}
	refusal struct {
		Operation string `json:"operation"`
		Status    int    `json:"status"`
		Code      string `json:"code"`
	}
	latency struct {
		Milliseconds int64 `json:"milliseconds"`
	}
	rateLimit struct {
		PerSecond int `json:"perSecond"`
		Burst     int `json:"burst"`
	}
	duration struct {
		Seconds int64 `json:"seconds"`
	}
)

// Results of requests.
type (
	released struct {
		Released int `json:"released"`
	}
	now struct {
		Now time.Time `json:"now"`
	}
)

// onCashIn is an operation on a charge. It returns the charge as it is afterwards.
func onCashIn[B any](verb, id, summary string, do func(s *sandbox.Sandbox, id string, body B) error) route {
	return post("/cash-ins/{id}/"+verb, id, summary, func(s *sandbox.Sandbox, id string, body B) (cashIn, error) {
		if err := do(s, id, body); err != nil {
			return cashIn{}, err
		}
		return findCashIn(s, id)
	})
}

// onCashOut is an operation on a payment. It returns the payment as it is afterwards.
func onCashOut[B any](verb, id, summary string, do func(s *sandbox.Sandbox, id string, body B) error) route {
	return post("/cash-outs/{id}/"+verb, id, summary, func(s *sandbox.Sandbox, id string, body B) (cashOut, error) {
		if err := do(s, id, body); err != nil {
			return cashOut{}, err
		}
		return findCashOut(s, id)
	})
}

func findCashIn(s *sandbox.Sandbox, id string) (cashIn, error) {
	charge, err := s.CashIn(id)
	return cashInOf(s, charge), err
}

func findCashOut(s *sandbox.Sandbox, id string) (cashOut, error) {
	payment, err := s.CashOut(id)
	return cashOutOf(s, payment), err
}

// credentials are those of the sandbox at a host.
func credentials(s *sandbox.Sandbox, host string) map[string]string {
	config := s.Config()
	return map[string]string{
		"CONNECTPSP_CLIENT_ID":         config.ClientID,
		"CONNECTPSP_CLIENT_SECRET":     config.ClientSecret.Reveal(),
		"CONNECTPSP_APPLICATION_TOKEN": config.ApplicationToken.Reveal(),
		"CONNECTPSP_CRYPTO_TOKEN":      config.CryptoToken.Reveal(),
		"CONNECTPSP_BASE_URL":          "http://" + host,
	}
}
