package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// routes are the operations of the API. The id of a transaction may be any of its ids.
var routes = []route{
	get("/state", "getState", "Everything that the page shows: the clock, the balances, and the latest of all else",
		func(s *sandbox.Sandbox, _ *http.Request) (state, error) { return stateOf(s) }),
	get("/credentials", "getCredentials", "The credentials of the sandbox, as environment variables",
		func(s *sandbox.Sandbox, r *http.Request) (map[string]string, error) {
			return credentials(s, r.Host), nil
		}),

	filtered("/cash-ins", "externalReference", "listCashIns", "All charges, or those with a reference",
		func(s *sandbox.Sandbox, reference string) ([]connectpsp.CashIn, error) {
			all := s.CashIns()
			if reference != "" {
				all = all.ByReference(reference)
			}
			return last(all, 0), nil
		}),
	get("/cash-ins/{id}", "getCashIn", "A charge",
		func(s *sandbox.Sandbox, r *http.Request) (connectpsp.CashIn, error) {
			return findCashIn(s, r.PathValue("id"))
		}),
	get("/cash-ins/{id}/qr-code", "getQRCode", "The QR code of a charge",
		func(s *sandbox.Sandbox, r *http.Request) (*connectpsp.PIXData, error) {
			return s.PIXData(r.PathValue("id"))
		}),
	onCashIn("pay", "payCashIn", "Pay a charge in any status: as another payer, from another account, another amount, or too late",
		func(s *sandbox.Sandbox, id string, p payment) error {
			return s.PayCashInWith(id, sandbox.Payment{Amount: p.Amount,
				Payer: connectpsp.Payer{Name: p.Payer.Name, Document: p.Payer.Document, BankData: p.Payer.BankData}})
		}),
	onCashIn("expire", "expireCashIn", "Let a charge expire ahead of its time",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.ExpireCashIn(id) }),
	onCashIn("cancel", "cancelCashIn", "Cancel a charge",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.CancelCashIn(id) }),
	onCashIn("settle-refund", "settleRefund", "Complete a refund that was requested",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.SettleRefund(id) }),
	onCashIn("return", "returnCashIn", "Return a payment that no refund was requested for, all of it or a part",
		func(s *sandbox.Sandbox, id string, part part) error {
			if part.Amount == (pix.Amount{}) {
				return s.ReturnCashIn(id)
			}
			return s.ReturnCashInPart(id, part.Amount)
		}),

	filtered("/cash-outs", "externalReference", "listCashOuts", "All payments, or those with a reference",
		func(s *sandbox.Sandbox, reference string) ([]connectpsp.CashOut, error) {
			all := s.CashOuts()
			if reference != "" {
				all = all.ByReference(reference)
			}
			return last(all, 0), nil
		}),
	get("/cash-outs/{id}", "getCashOut", "A payment",
		func(s *sandbox.Sandbox, r *http.Request) (connectpsp.CashOut, error) {
			return findCashOut(s, r.PathValue("id"))
		}),
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
			if part.Amount == (pix.Amount{}) {
				return s.ReturnCashOut(id)
			}
			return s.ReturnCashOutPart(id, part.Amount)
		}),
	onCashOut("contradict", "contradictCashOut", "Contradict what was reported about a payment: make a failed one complete, or a complete one fail",
		func(s *sandbox.Sandbox, id string, _ none) error { return s.ContradictCashOut(id) }),

	get("/deliveries", "listDeliveries", "All attempts to deliver webhooks",
		func(s *sandbox.Sandbox, _ *http.Request) ([]delivery, error) { return deliveriesOf(s, 0), nil }),
	post("/transactions/{id}/redeliver", "redeliver", "Send the last webhook of a transaction again, so many times",
		func(s *sandbox.Sandbox, id string, body repetition) (none, error) {
			if body.Times < 0 || body.Times > maxRepetitions {
				return none{}, fmt.Errorf("%w: times must be from 1 to %d", sandbox.ErrInvalid, maxRepetitions)
			}
			for range max(body.Times, 1) {
				if err := s.Redeliver(id); err != nil {
					return none{}, err
				}
			}
			return none{}, nil
		}),
	post("/webhooks/release", "releaseWebhooks", "Send the webhooks that the fault HoldWebhook holds back",
		func(s *sandbox.Sandbox, _ string, _ none) (released, error) {
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
	post("/refusals", "refuseNext", "Let the gateway refuse the next request of an operation, such as with 422 and LIMIT_EXCEEDED",
		func(s *sandbox.Sandbox, _ string, body refusal) (none, error) {
			return none{}, s.RefuseNext(body.Operation, body.Status, body.Code)
		}),
	post("/latency", "setLatency", "Let the gateway wait before it executes each request; 0 ends that",
		func(s *sandbox.Sandbox, _ string, body latency) (none, error) {
			return none{}, s.SetLatency(time.Duration(body.Milliseconds) * time.Millisecond)
		}),
	post("/rate-limit", "setRateLimit", "Limit the requests by a token bucket; 0 and 0 end that",
		func(s *sandbox.Sandbox, _ string, body rateLimit) (none, error) {
			return none{}, s.SetRateLimit(body.PerSecond, body.Burst)
		}),

	post("/clock/advance", "advance", "Move the clock forward; what is due until then happens in order before the response",
		func(s *sandbox.Sandbox, _ string, body advance) (now, error) {
			if body.Seconds > maxSeconds {
				return now{}, fmt.Errorf("%w: seconds must be at most %d", sandbox.ErrInvalid, int64(maxSeconds))
			}
			err := s.Advance(time.Duration(body.Seconds) * time.Second)
			return now{s.Now()}, err
		}),
	get("/snapshot", "takeSnapshot", "The state of the sandbox, for restore",
		func(s *sandbox.Sandbox, _ *http.Request) (json.RawMessage, error) { return s.Snapshot() }),
	post("/restore", "restore", "Replace the state of the sandbox by that of a snapshot",
		func(s *sandbox.Sandbox, _ string, body json.RawMessage) (none, error) { return none{}, s.Restore(body) }),
	post("/tokens/revoke", "revokeTokens", "Revoke all access tokens",
		func(s *sandbox.Sandbox, _ string, _ none) (none, error) { s.RevokeTokens(); return none{}, nil }),
	post("/keys/forget", "forgetKeys", "Forget all idempotency keys",
		func(s *sandbox.Sandbox, _ string, _ none) (none, error) { s.ForgetKeys(); return none{}, nil }),
	post("/crypto-token/rotate", "rotateCryptoToken", "Replace the CryptoToken by a new one",
		func(s *sandbox.Sandbox, _ string, _ none) (none, error) { s.RotateCryptoToken(); return none{}, nil }),
}

const (
	maxRepetitions = 1000
	maxSeconds     = 100 * 366 * 24 * 60 * 60
)

// The bodies of requests.
type (
	payment struct {
		Payer  payer      `json:"payer,omitzero"`
		Amount pix.Amount `json:"amount,omitzero"`
	}
	payer struct {
		Name     string               `json:"name,omitzero"`
		Document string               `json:"document,omitzero"`
		BankData *connectpsp.BankData `json:"bankData,omitzero"`
	}
	part struct {
		Amount pix.Amount `json:"amount,omitzero"`
	}
	failure struct {
		Code    string `json:"code,omitzero"`
		Message string `json:"message,omitzero"`
	}
	repetition struct {
		Times int `json:"times,omitzero"`
	}
	webhook struct {
		URL  string          `json:"url"`
		Body json.RawMessage `json:"body"`
	}
	faults struct {
		Operation string          `json:"operation"`
		Faults    []sandbox.Fault `json:"faults"`
	}
	refusal struct {
		Operation string `json:"operation"`
		Status    int    `json:"status"`
		Code      string `json:"code"`
	}
	latency struct {
		Milliseconds int `json:"milliseconds"`
	}
	rateLimit struct {
		PerSecond int `json:"perSecond"`
		Burst     int `json:"burst"`
	}
	advance struct {
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
	return post("/cash-ins/{id}/"+verb, id, summary, func(s *sandbox.Sandbox, id string, body B) (connectpsp.CashIn, error) {
		charge, err := findCashIn(s, id)
		if err == nil {
			err = do(s, id, body)
		}
		if err != nil {
			return charge, err
		}
		return findCashIn(s, charge.TransactionID)
	})
}

// onCashOut is an operation on a payment. It returns the payment as it is afterwards.
func onCashOut[B any](verb, id, summary string, do func(s *sandbox.Sandbox, id string, body B) error) route {
	return post("/cash-outs/{id}/"+verb, id, summary, func(s *sandbox.Sandbox, id string, body B) (connectpsp.CashOut, error) {
		payment, err := findCashOut(s, id)
		if err == nil {
			err = do(s, id, body)
		}
		if err != nil {
			return payment, err
		}
		return findCashOut(s, payment.TransactionID)
	})
}

func findCashIn(s *sandbox.Sandbox, id string) (connectpsp.CashIn, error) {
	for _, charge := range s.CashIns() {
		if id == charge.TransactionID || id == charge.InternalCode || id == charge.EndToEndID {
			return charge, nil
		}
	}
	return connectpsp.CashIn{}, sandbox.ErrNotFound
}

func findCashOut(s *sandbox.Sandbox, id string) (connectpsp.CashOut, error) {
	for _, payment := range s.CashOuts() {
		if id == payment.TransactionID || id == payment.InternalCode || id == payment.EndToEndID {
			return payment, nil
		}
	}
	return connectpsp.CashOut{}, sandbox.ErrNotFound
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
