package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// lost is an outage that is longer than the attempts of a call.
var lost = []sandbox.Fault{sandbox.LoseAnswer, sandbox.LoseAnswer, sandbox.LoseAnswer, sandbox.LoseAnswer}

func TestEachOutcomeOfACashOutHasItsExitStatusAndItsText(t *testing.T) {
	for name, test := range map[string]struct {
		code   int
		amount string
		fault  func(*shell)
		paid   int64
	}{
		"accepted": {0, "30.00", func(*shell) {}, 30_00},
		"rejected": {3, "500000.01", func(*shell) {}, 0},
		"unknown":  {4, "30.00", func(s *shell) { s.box.FailNext("createCashOut", lost...) }, 30_00},
		"not sent": {5, "30.00", func(s *shell) { s.vars["CONNECTPSP_CLIENT_SECRET"] = "not-the-secret" }, 0},
	} {
		for _, mode := range []string{"text", "json"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				s := newShell(t)
				test.fault(s)
				args := cashOut("withdrawal-1", "--yes")
				args[slices.Index(args, "30.00")] = test.amount
				if mode == "json" {
					args = append(args, "--json")
				}
				o := s.run(args...)
				assert.Equal(t, test.code, o.code, o.stderr)
				assert.Equal(t, pix.Centavos(test.paid), s.paid())
				var text strings.Builder
				s.transcribe(&text, args, o)
				s.compare("cash-out-"+strings.ReplaceAll(name, " ", "-")+"-"+mode, text.String())
			})
		}
	}
}

func TestTheLineThatIsPrintedSettlesAnUnknownCashOut(t *testing.T) {
	s := newShell(t)
	s.box.FailNext("createCashOut", lost...)
	o := s.run(cashOut("withdrawal 1", "--yes", "--journal", s.vars["CONNECTPSP_JOURNAL"])...)
	require.Equal(t, exitUnknown, o.code)
	_, line, found := strings.Cut(o.stderr, "To settle it, run: connectpsp ")
	require.True(t, found, o.stderr)

	o = s.run(words(t, line)...)
	assert.Equal(t, exitDone, o.code, o.stderr)
	assert.Contains(t, o.stdout, "accepted")
	assert.Contains(t, o.stdout, "withdrawal 1")
	assert.Equal(t, pix.Centavos(30_00), s.paid(), "it was made once")

	again := s.run(words(t, line)...)
	assert.Equal(t, exitDone, again.code, "also when it is run twice: %s", again.stderr)
}

// words splits a line as a shell does, for words without escapes.
func words(t *testing.T, line string) (words []string) {
	t.Helper()
	for i, part := range strings.Split(strings.TrimSpace(line), "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

func TestACashOutThatIsRepeatedIsMadeOnce(t *testing.T) {
	s := newShell(t)
	s.box.FailNext("createCashOut", lost...)
	for _, code := range []int{exitUnknown, exitDone, exitDone} {
		o := s.run(cashOut("withdrawal-1", "--yes")...)
		assert.Equal(t, code, o.code, o.stderr)
	}
	assert.Equal(t, pix.Centavos(30_00), s.paid())
}

func TestACommandSettlesThePaymentsThatAnEarlierOneLeftOpen(t *testing.T) {
	s := newShell(t)
	s.box.FailNext("createCashOut", lost...)
	require.Equal(t, exitUnknown, s.run(cashOut("withdrawal-1", "--yes")...).code)
	o := s.run(cashOut("withdrawal-2", "--yes", "--json")...)
	require.Equal(t, exitDone, o.code, o.stderr)
	assert.Contains(t, o.stderr, "left open by an earlier command: createCashOut withdrawal-1 R$ 30,00: accepted")
	settled := decode[transactionResult](t, o).Recovered
	require.Len(t, settled, 1)
	assert.Equal(t, "withdrawal-1", settled[0].ExternalReference)
	assert.Equal(t, "accepted", settled[0].Outcome)
	assert.Equal(t, pix.Centavos(60_00), s.paid())
}

func TestMoneyIsOnlySentAfterAYes(t *testing.T) {
	for answer, sent := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		s := newShell(t)
		o := s.typed(answer, cashOut("withdrawal-1")...)
		assert.Contains(t, o.stderr, "R$ 30,00")
		assert.Contains(t, o.stderr, fullName+" "+cpf+"\n", "a person cannot check what is masked")
		assert.Contains(t, o.stderr, "CPF key "+cpf)
		assert.Contains(t, o.stderr, "sandbox at http://127.0.0.1:")
		if sent {
			assert.Equal(t, exitDone, o.code, o.stderr)
			assert.Equal(t, pix.Centavos(30_00), s.paid())
		} else {
			assert.Equal(t, exitFailed, o.code)
			assert.Contains(t, o.stderr, "this command did nothing")
			assert.Zero(t, s.requests.Load())
		}
	}
}

func TestWithoutATerminalAndWithoutYesNothingIsRequested(t *testing.T) {
	for _, args := range [][]string{
		cashOut("withdrawal-1"),
		{"rebalance", "--target", "100.00"},
		{"cash-in", "refund", "kk6g232xel65a0daee4dd13kk2912714964", "--reason", "FRAUD"},
	} {
		s := newShell(t)
		o := s.run(args...)
		assert.Equal(t, exitUsage, o.code)
		assert.Contains(t, o.stderr, "add --yes")
		assert.Zero(t, s.requests.Load())
	}
}

func TestAPaymentGoesToABankAccount(t *testing.T) {
	s := newShell(t)
	o := s.typed("y\n", "cash-out", "create", "--reference", "withdrawal-1", "--amount", "30.00", "--name", fullName, "--document", cpf,
		"--ispb", "18236120", "--branch", "0001", "--account", "87654321-0")
	assert.Equal(t, exitDone, o.code, o.stderr)
	assert.Contains(t, o.stderr, "bank 18236120 branch 0001 account 87654321-0")
	assert.Contains(t, o.stdout, "bank 18236120 branch 0001 account ***-0")
	assert.NotContains(t, o.stdout, "87654321")
}

func TestTheJournalOfAnIntegrationIsInTheDirectoryOfState(t *testing.T) {
	s := newShell(t)
	delete(s.vars, "CONNECTPSP_JOURNAL")
	o := s.run(cashOut("withdrawal-1", "--yes")...)
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.stderr, "CONNECTPSP_JOURNAL")
	s.vars["HOME"] = t.TempDir()
	s.box.FailNext("createCashOut", lost...)
	assert.Equal(t, exitUnknown, s.run(cashOut("withdrawal-1", "--yes")...).code)
	s.vars["CONNECTPSP_BASE_URL"] += "/" // the same gateway
	assert.Equal(t, exitDone, s.run("cash-out", "resolve", "--reference", "withdrawal-1").code)
	assert.Equal(t, pix.Centavos(30_00), s.paid())
}

func TestAReferenceThatTheJournalDoesNotHaveSettlesNothing(t *testing.T) {
	s := newShell(t)
	o := s.run("cash-out", "resolve", "--reference", "withdrawal-1")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "the journal has no open payment with this reference")
}

func TestACashOutIsReadAndWaitedFor(t *testing.T) {
	s := newShell(t)
	for reference, end := range map[string]struct {
		do   func(id string) error
		code int
		word string
	}{
		"withdrawal-1": {s.box.CompleteCashOut, exitDone, "COMPLETED"},
		"withdrawal-2": {func(id string) error { return s.box.FailCashOut(id, "PIX_KEY_NOT_FOUND", "no key of "+fullName) }, exitRejected,
			"PIX_KEY_NOT_FOUND"},
	} {
		id := decode[transactionResult](t, s.run(cashOut(reference, "--yes", "--json")...)).CashOut.TransactionID
		o := s.run("cash-out", "get", id)
		assert.Equal(t, exitDone, o.code)
		assert.Contains(t, o.stdout, "PROCESSING")
		assert.Equal(t, exitFailed, s.run("wait", "cash-out", id, "--timeout", "1ms").code, "it has not ended in time")
		require.NoError(t, end.do(id))
		o = s.run("wait", "cash-out", id)
		assert.Equal(t, end.code, o.code, o.stderr)
		assert.Contains(t, o.stdout, end.word)
		assert.Equal(t, id, decode[transactionResult](t, s.run("wait", "cash-out", id, "--json")).CashOut.TransactionID)
	}
	assert.Equal(t, exitUsage, s.run("cash-out", "get", "0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e").code)
}

func TestAPaymentThatIsTooOldToBeSentAgainIsForTheProvidersSupport(t *testing.T) {
	s := newShell(t)
	file, err := journal.Open(s.vars["CONNECTPSP_JOURNAL"])
	require.NoError(t, err)
	const key = "0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e"
	hourAgo := time.Now().Add(-time.Hour).UTC()
	_, err = file.Begin(t.Context(), connectpsp.Intent{Operation: connectpsp.OperationCreateCashOut, IdempotencyKey: key,
		ExternalReference: "withdrawal-1", Amount: pix.Centavos(30_00), Body: []byte("{}"), ClientID: s.box.Config().ClientID,
		BaseURL: s.box.Config().BaseURL, BegunAt: hourAgo})
	require.NoError(t, err)
	require.NoError(t, file.Sent(t.Context(), key, hourAgo))
	require.NoError(t, file.Close())

	o := s.run("cash-out", "resolve", "--reference", "withdrawal-1")
	assert.Equal(t, exitUnknown, o.code, o.stderr)
	_, line, found := strings.Cut(o.stderr, "Once the provider's support has said that it was accepted, run: connectpsp ")
	require.True(t, found, o.stderr)
	assert.Zero(t, s.requests.Load())
	assert.Equal(t, exitDone, s.run(append(words(t, line), "--yes")...).code)
}

func TestAFaultyRequestNamesItsFields(t *testing.T) {
	s := newShell(t)
	args := cashOut(" withdrawal", "--yes", "--json")
	args[slices.Index(args, fullName)] = " "
	o := s.run(args...)
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.stderr, "--reference must be printable UTF-8 without spaces around it; --name must be set")
	var fields []string
	for _, one := range decode[failure](t, o).Faults {
		fields = append(fields, one.Field)
		assert.NotEmpty(t, one.Code)
	}
	assert.Equal(t, []string{"externalReference", "payee.name"}, fields)
}
