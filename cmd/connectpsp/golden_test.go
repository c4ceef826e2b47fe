package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sandbox/conformance"
)

// The golden files of the other commands are compared in the tests of their subjects.

func TestPeopleReadTheStateOfAPaymentInEachCommand(t *testing.T) {
	s := newShell(t)
	args := cashOut("withdrawal-1", "--yes")
	id := decode[transactionResult](t, s.run(cashOut("withdrawal-1", "--yes", "--json")...)).CashOut.TransactionID
	s.golden("cash-out-pending", args, []string{"cash-out", "get", id}, []string{"cash-out", "resolve", "--reference", "withdrawal-1"})
	require.NoError(t, s.box.CompleteCashOut(id))
	s.golden("cash-out-completed", []string{"wait", "cash-out", id}, []string{"cash-out", "get", id, "--json"})

	failed := decode[transactionResult](t, s.run(cashOut("withdrawal-2", "--yes", "--json")...)).CashOut.TransactionID
	require.NoError(t, s.box.FailCashOut(failed, "PIX_KEY_NOT_FOUND", "no such key"))
	s.golden("cash-out-undone", cashOut("withdrawal-2", "--yes"), []string{"wait", "cash-out", failed}, []string{"cash-out", "get", failed, "--json"})
	s.golden("cash-out-differs", change(args, "30.00", "1234567.89"), []string{"cash-out", "get", "nope"}, []string{"cash-out", "resolve", "--reference", "withdrawal-3"})
}

func TestPeopleReadTheStateOfAChargeInEachCommand(t *testing.T) {
	s := newShell(t)
	id := decode[transactionResult](t, s.run(cashIn("order-1", "--json")...)).CashIn.TransactionID
	s.golden("cash-in-pending", cashIn("order-1"), []string{"cash-in", "get", id}, []string{"cash-in", "resolve", "--reference", "order-1"})
	require.NoError(t, s.box.ExpireCashIn(id))
	s.golden("cash-in-undone", cashIn("order-1"), []string{"wait", "cash-in", id}, []string{"cash-in", "get", id, "--json"})
}

func TestPeopleReadWhatTheWebhookCommandsDid(t *testing.T) {
	const event = `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T12:00:00Z","data":{"transactionId":"a1","status":"PAID","amount":10.50}}`
	directory := t.TempDir()
	body, headers := filepath.Join(directory, "body.json"), filepath.Join(directory, "headers.txt")
	s := withToken(t)
	var text strings.Builder
	run := func(args ...string) output {
		o := s.run(args...)
		for i, arg := range args {
			if filepath.IsAbs(arg) {
				args[i] = filepath.Base(arg)
			}
		}
		s.transcribe(&text, args, o)
		return o
	}
	require.NoError(t, os.WriteFile(body, []byte(event), 0o600))
	require.NoError(t, os.WriteFile(headers, []byte(run("webhook", "sign", "--body", body).stdout), 0o600))
	run("webhook", "verify", "--body", body, "--headers", headers)
	require.NoError(t, os.WriteFile(body, []byte(event+"\n"), 0o600))
	run("webhook", "verify", "--body", body, "--headers", headers)
	r := newReceiver(t, "the-crypto-token", 0)
	run("webhook", "send", "CASHIN_PAID", "--to", r.URL)
	run("webhook", "send", "CASHOUT_COMPLETED", "--to", r.URL, "--reference", "withdrawal-1", "--transaction-id", "0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e", "--tamper")
	s.compare("webhook", text.String())
}

func TestPeopleReadALineForEachDelivery(t *testing.T) {
	s := withToken(t)
	v := s.serve(time.Hour, "webhook", "listen", "--address", "127.0.0.1:0")
	require.Equal(t, exitDone, s.run("webhook", "send", "CASHIN_PAID", "--to", v.url).code)
	require.Equal(t, exitDone, s.run("webhook", "send", "CASHOUT_FAILED", "--to", v.url, "--tamper").code)
	text := v.stdout.wait(t, "401  ")
	s.compare("webhook-listen", text+v.stderr.String())
}

func TestPeopleReadTheCredentialsOfTheSandbox(t *testing.T) {
	v := (&shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}).serve(0, "sandbox", "--port", "0")
	(&shell{t: t}).compare("sandbox", v.stdout.String()+v.stderr.String())
}

func TestPeopleReadWhyAReceiverDoesNotConform(t *testing.T) {
	var results []conformance.Result
	for _, c := range conformance.Cases() {
		results = append(results, conformance.Result{Case: c})
	}
	results[5].Err = errors.New("the receiver responded 200 to an event without a signature")
	stopped := []conformance.Result{{Case: results[0].Case, Err: errors.New("the receiver responded 401 to a valid event")}}
	for name, results := range map[string][]conformance.Result{"conformance": results, "conformance-stopped": stopped} {
		var stdout strings.Builder
		a := &app{environment: environment{stdout: &stdout}}
		assert.ErrorIs(t, a.printConformance(results), errReported)
		(&shell{t: t}).compare(name, stdout.String())
	}
}

func TestPeopleReadTimesInTheZoneOfTheirMachine(t *testing.T) {
	zone := time.Local
	time.Local = time.FixedZone("", -3*60*60)
	t.Cleanup(func() { time.Local = zone })
	noon := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for _, at := range []time.Time{noon, noon.Local(), noon.In(time.FixedZone("", 60*60))} {
		assert.Equal(t, "2026-03-10 09:00:00 -03:00", timeOf(at))
	}
	assert.Empty(t, timeOf(time.Time{}))
}
