package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// situations are the methods of a sandbox by which a test plays everybody else.
type situations interface {
	Config() connectpsp.Config
	HTTPClient() *http.Client
	Listen(address string) (net.Listener, error)
	Close() error
	Now() time.Time
	Requests() sandbox.Requests
	WaitWebhooks(ctx context.Context) error

	CashIns() sandbox.CashIns
	CashOuts() sandbox.CashOuts
	Deliveries() []sandbox.Delivery
	PayCashIn(id string) error
	PayCashInWith(id string, payment sandbox.Payment) error
	ExpireCashIn(id string) error
	CancelCashIn(id string) error
	SettleRefund(id string) error
	ReturnCashIn(id string) error
	ReturnCashInPart(id string, amount pix.Amount) error
	CompleteCashOut(id string) error
	FailCashOut(id, code, message string) error
	CancelCashOut(id string) error
	ReturnCashOut(id string) error
	ReturnCashOutPart(id string, amount pix.Amount) error
	ContradictCashOut(id string) error
	Redeliver(id string) error
	ReleaseWebhooks() int
	ReleaseWebhooksInReverse() int
	SendWebhook(url string, body []byte) error
	FailNext(operation string, faults ...sandbox.Fault) error
	FailEvery(operation string, n int, fault sandbox.Fault) error
	FailWithProbability(operation string, probability float64, fault sandbox.Fault) error
	ClearFaults()
	RefuseNext(operation string, status int, code string) error
	SetLatency(d time.Duration) error
	SetRateLimit(perSecond, burst int) error
	SetBalances(transactional, proprietary pix.Amount) error
	SetKeyLifetime(lifetime time.Duration) error
	SetUniqueReferences(unique bool)
	SetRepeatedRefusals(repeated bool)
	RevokeTokens()
	ForgetKeys()
	RotateCryptoToken()
	Advance(d time.Duration) error
	Snapshot() ([]byte, error)
	Restore(text []byte) error
	Reset()
}

// overHTTP makes each situation by a call of the control API. Only what a program does itself, such
// as to listen, stays in Go.
type overHTTP struct {
	*sandbox.Sandbox
	t      *testing.T
	client *http.Client
	posted map[string]bool // the paths, with {id} for an id
}

const controlAddress = "127.0.0.1:8420"

// newOverHTTP serves the control API of a sandbox on its memory network.
func newOverHTTP(t *testing.T, gateway *sandbox.Sandbox, posted map[string]bool) overHTTP {
	listener, err := gateway.Listen(controlAddress)
	require.NoError(t, err)
	server := &http.Server{Handler: control.New(gateway)}
	go func() { _ = server.Serve(listener) }()
	client := gateway.HTTPClient()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		assert.NoError(t, server.Close())
	})
	return overHTTP{gateway, t, client, posted}
}

type members = map[string]any

// call makes a call with an id, if the path has one, and decodes the result.
func (o overHTTP) call(method, path, id string, body, result any) error {
	encoded, isRaw := body.([]byte)
	if body != nil && !isRaw {
		var err error
		encoded, err = json.Marshal(body)
		require.NoError(o.t, err)
	}
	target := "http://" + controlAddress + "/_sandbox/v1" + strings.Replace(path, "{id}", url.PathEscape(id), 1)
	request, err := http.NewRequestWithContext(o.t.Context(), method, target, bytes.NewReader(encoded))
	require.NoError(o.t, err)
	response, err := o.client.Do(request)
	require.NoError(o.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(o.t, err)
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %d %s", path, response.StatusCode, data)
	}
	if result != nil {
		require.NoError(o.t, json.Unmarshal(data, result))
	}
	return nil
}

func (o overHTTP) get(path string, result any) {
	require.NoError(o.t, o.call(http.MethodGet, path, "", nil, result))
}

func (o overHTTP) post(path, id string, body any) error { return o.postFor(path, id, body, nil) }

func (o overHTTP) postFor(path, id string, body, result any) error {
	o.posted[path] = true
	return o.call(http.MethodPost, path, id, body, result)
}

// must makes a call that cannot fail in Go.
func (o overHTTP) must(path string, body any) { require.NoError(o.t, o.post(path, "", body)) }

func (o overHTTP) CashIns() (all sandbox.CashIns)   { o.get("/cash-ins", &all); return all }
func (o overHTTP) CashOuts() (all sandbox.CashOuts) { o.get("/cash-outs", &all); return all }
func (o overHTTP) Deliveries() (all []sandbox.Delivery) {
	o.get("/deliveries", &all)
	return all
}

func (o overHTTP) PayCashIn(id string) error { return o.post("/cash-ins/{id}/pay", id, nil) }

func (o overHTTP) PayCashInWith(id string, payment sandbox.Payment) error {
	body, payer := members{}, members{}
	if !payment.Amount.IsZero() {
		body["amount"] = payment.Amount
	}
	for name, value := range map[string]string{"name": payment.Payer.Name, "document": payment.Payer.Document} {
		if value != "" {
			payer[name] = value
		}
	}
	if payment.Payer.BankData != nil {
		payer["bankData"] = payment.Payer.BankData
	}
	if len(payer) > 0 {
		body["payer"] = payer
	}
	return o.post("/cash-ins/{id}/pay", id, body)
}

func (o overHTTP) ExpireCashIn(id string) error { return o.post("/cash-ins/{id}/expire", id, nil) }
func (o overHTTP) CancelCashIn(id string) error { return o.post("/cash-ins/{id}/cancel", id, nil) }
func (o overHTTP) SettleRefund(id string) error {
	return o.post("/cash-ins/{id}/settle-refund", id, nil)
}
func (o overHTTP) ReturnCashIn(id string) error { return o.post("/cash-ins/{id}/return", id, nil) }
func (o overHTTP) ReturnCashInPart(id string, amount pix.Amount) error {
	return o.post("/cash-ins/{id}/return", id, members{"amount": amount})
}
func (o overHTTP) CompleteCashOut(id string) error {
	return o.post("/cash-outs/{id}/complete", id, nil)
}
func (o overHTTP) FailCashOut(id, code, message string) error {
	return o.post("/cash-outs/{id}/fail", id, members{"code": code, "message": message})
}
func (o overHTTP) CancelCashOut(id string) error { return o.post("/cash-outs/{id}/cancel", id, nil) }
func (o overHTTP) ReturnCashOut(id string) error { return o.post("/cash-outs/{id}/return", id, nil) }
func (o overHTTP) ReturnCashOutPart(id string, amount pix.Amount) error {
	return o.post("/cash-outs/{id}/return", id, members{"amount": amount})
}
func (o overHTTP) ContradictCashOut(id string) error {
	return o.post("/cash-outs/{id}/contradict", id, nil)
}
func (o overHTTP) Redeliver(id string) error {
	return o.post("/transactions/{id}/redeliver", id, members{"times": 1})
}
func (o overHTTP) ReleaseWebhooks() int          { return o.release(nil) }
func (o overHTTP) ReleaseWebhooksInReverse() int { return o.release(members{"reverse": true}) }

func (o overHTTP) release(body any) int {
	var result struct{ Released int }
	require.NoError(o.t, o.postFor("/webhooks/release", "", body, &result))
	return result.Released
}

// SendWebhook sends a body that is no JSON as a JSON string, which is no event either.
func (o overHTTP) SendWebhook(url string, body []byte) error {
	sent := any(json.RawMessage(body))
	if !json.Valid(body) {
		sent = string(body)
	}
	return o.post("/webhooks/send", "", members{"url": url, "body": sent})
}

func (o overHTTP) FailNext(operation string, faults ...sandbox.Fault) error {
	return o.post("/faults", "", members{"operation": operation, "faults": append([]sandbox.Fault{}, faults...)})
}
func (o overHTTP) FailEvery(operation string, n int, fault sandbox.Fault) error {
	return o.post("/faults/every", "", members{"operation": operation, "n": n, "fault": fault})
}
func (o overHTTP) FailWithProbability(operation string, probability float64, fault sandbox.Fault) error {
	return o.post("/faults/probability", "", members{"operation": operation, "probability": probability, "fault": fault})
}
func (o overHTTP) ClearFaults() { o.must("/faults/clear", nil) }
func (o overHTTP) RefuseNext(operation string, status int, code string) error {
	return o.post("/refusals", "", members{"operation": operation, "status": status, "code": code})
}
func (o overHTTP) SetLatency(d time.Duration) error {
	return o.post("/latency", "", members{"milliseconds": d.Milliseconds()})
}
func (o overHTTP) SetRateLimit(perSecond, burst int) error {
	return o.post("/rate-limit", "", members{"perSecond": perSecond, "burst": burst})
}
func (o overHTTP) SetBalances(transactional, proprietary pix.Amount) error {
	return o.post("/balances", "", members{"transactionalBalance": transactional, "proprietaryBalance": proprietary})
}
func (o overHTTP) SetKeyLifetime(lifetime time.Duration) error {
	return o.post("/keys/lifetime", "", members{"seconds": int(lifetime.Seconds())})
}
func (o overHTTP) SetUniqueReferences(unique bool) { o.must("/references", members{"unique": unique}) }
func (o overHTTP) SetRepeatedRefusals(repeated bool) {
	o.must("/refusals/repeated", members{"repeated": repeated})
}
func (o overHTTP) RevokeTokens()      { o.must("/tokens/revoke", nil) }
func (o overHTTP) ForgetKeys()        { o.must("/keys/forget", nil) }
func (o overHTTP) RotateCryptoToken() { o.must("/crypto-token/rotate", nil) }
func (o overHTTP) Reset()             { o.must("/reset", nil) }
func (o overHTTP) Advance(d time.Duration) error {
	return o.post("/clock/advance", "", members{"seconds": int(d.Seconds())})
}
func (o overHTTP) Snapshot() ([]byte, error) {
	var taken json.RawMessage
	o.get("/snapshot", &taken)
	return taken, nil
}
func (o overHTTP) Restore(text []byte) error { return o.post("/restore", "", text) }
