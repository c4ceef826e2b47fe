package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// change returns the arguments with one value replaced.
func change(args []string, from, to string) []string {
	changed := slices.Clone(args)
	changed[slices.Index(changed, from)] = to
	return changed
}

func TestEveryCommandSaysTheSameOfTheSameStateOfAPayment(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(box *sandbox.Sandbox, id string) error
		code   int
		status string
		says   string
		paid   int64
	}{
		"pending":   {func(*sandbox.Sandbox, string) error { return nil }, exitDone, "PROCESSING", "", 30_00},
		"completed": {(*sandbox.Sandbox).CompleteCashOut, exitDone, "COMPLETED", "", 30_00},
		"failed": {func(box *sandbox.Sandbox, id string) error {
			return box.FailCashOut(id, "PIX_KEY_NOT_FOUND", "no key of "+fullName)
		},
			exitRejected, "FAILED", "failed later, so the money came back: correct the cause, then pay again under a new --reference", 0},
		"cancelled": {(*sandbox.Sandbox).CancelCashOut, exitRejected, "CANCELLED", "was cancelled later, so the money came back", 0},
		"returned": {func(box *sandbox.Sandbox, id string) error {
			if err := box.CompleteCashOut(id); err != nil {
				return err
			}
			return box.ReturnCashOut(id)
		}, exitRejected, "REFUNDED", "was returned later, so the money came back, all or a part", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			args := slices.Clip(cashOut("withdrawal-1", "--yes"))
			id := decode[transactionResult](t, s.run(append(args, "--json")...)).CashOut.TransactionID
			require.NoError(t, test.do(s.box, id))
			commands := [][]string{args, append(args, "--attempt", "1"), {"cash-out", "resolve", "--reference", "withdrawal-1"}, {"cash-out", "get", id}}
			if test.status != "PROCESSING" {
				commands = append(commands, []string{"wait", "cash-out", id})
			}
			s.sameState(commands, test.code, test.status, test.says)
			assert.Equal(t, pix.Centavos(test.paid), s.paid(), "nothing was paid again")
		})
	}
}

// sameState runs commands, as text and as JSON, and checks that all say and exit the same.
func (s *shell) sameState(commands [][]string, code int, status, says string) {
	s.t.Helper()
	outcome := "undone"
	switch {
	case code == exitDone:
		outcome = "accepted"
	case status == "REFUNDED":
		outcome = "returned"
	}
	for _, args := range commands {
		o := s.run(args...)
		assert.Equal(s.t, code, o.code, "%q: %s", args, o.stderr)
		assert.Regexp(s.t, `(?m)^status +`+status+`$`, o.stdout, "%q", args)
		assert.Contains(s.t, o.stderr, says, "%q", args)

		o = s.run(append(args, "--json")...)
		assert.Equal(s.t, code, o.code, "%q: %s", args, o.stderr)
		result := decode[transactionResult](s.t, o)
		assert.Contains(s.t, result.Error, says, "%q", args)
		assert.Equal(s.t, outcome, result.Outcome, "%q", args)
		if code == exitDone {
			assert.Empty(s.t, o.stderr, "%q", args)
		} else {
			assert.Equal(s.t, 1, strings.Count(o.stderr, "\n"), "%q: %s", args, o.stderr)
		}
	}
}

func TestEveryCommandSaysTheSameOfTheSameStateOfACharge(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(box *sandbox.Sandbox, id string) error
		code   int
		status string
		says   string
	}{
		"pending":   {func(*sandbox.Sandbox, string) error { return nil }, exitDone, "AWAITING_PAYMENT", ""},
		"paid":      {(*sandbox.Sandbox).PayCashIn, exitDone, "PAID", ""},
		"expired":   {(*sandbox.Sandbox).ExpireCashIn, exitRejected, "EXPIRED", "has expired unpaid: another charge needs a new --reference"},
		"cancelled": {(*sandbox.Sandbox).CancelCashIn, exitRejected, "CANCELLED", "was cancelled unpaid"},
		"returned": {func(box *sandbox.Sandbox, id string) error {
			if err := box.PayCashIn(id); err != nil {
				return err
			}
			return box.ReturnCashIn(id)
		}, exitRejected, "REFUNDED", "was paid, and the money went back to the payer, all or a part"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			args := slices.Clip(cashIn("order-1"))
			id := decode[transactionResult](t, s.run(append(args, "--json")...)).CashIn.TransactionID
			require.NoError(t, test.do(s.box, id))
			commands := [][]string{args, append(args, "--attempt", "1"), {"cash-in", "resolve", "--reference", "order-1"}, {"cash-in", "get", id}}
			if test.status != "AWAITING_PAYMENT" {
				commands = append(commands, []string{"wait", "cash-in", id})
			}
			s.sameState(commands, test.code, test.status, test.says)
			assert.Len(t, s.box.CashIns(), 1, "nothing was charged again")
		})
	}
}

func TestAPaymentWhoseJournalIsLostIsShownAsItIs(t *testing.T) {
	s := newShell(t, sandbox.WithTime(time.Now().Add(-time.Hour)))
	args := cashOut("withdrawal-1", "--yes")
	id := decode[transactionResult](t, s.run(cashOut("withdrawal-1", "--yes", "--json")...)).CashOut.TransactionID
	require.NoError(t, s.box.FailCashOut(id, "PIX_KEY_NOT_FOUND", "no such key"))
	code := decode[transactionResult](t, s.run(cashIn("order-1", "--json")...)).CashIn.PIXData.CopyAndPaste
	s.vars["CONNECTPSP_JOURNAL"] = filepath.Join(t.TempDir(), "another")

	s.sameState([][]string{args}, exitRejected, "FAILED", "failed later, so the money came back")
	assert.Contains(t, s.run(cashIn("order-1")...).stdout, code)
	assert.Zero(t, s.paid())
}

func TestAChargeThatIsRepeatedShowsItsCodeAgain(t *testing.T) {
	s := newShell(t)
	code := decode[transactionResult](t, s.run(cashIn("order-1", "--json")...)).CashIn.PIXData.CopyAndPaste
	for _, more := range [][]string{nil, {"--attempt", "1"}} {
		assert.Contains(t, s.run(cashIn("order-1", more...)...).stdout, code)
	}
}

func TestAReferenceThatHasPaidIsRefusedForAnythingElse(t *testing.T) {
	for name, other := range map[string]func([]string) []string{
		"another amount": func(args []string) []string { return change(args, "30.00", "31.00") },
		"another name":   func(args []string) []string { return change(args, fullName, "Ana Souza") },
		"another key": func(args []string) []string {
			args = change(args, "CPF", "EMAIL")
			args[slices.Index(args, "--key")+1] = "joana@example.com"
			return args
		},
		"another attempt and text": func(args []string) []string { return append(args, "--attempt", "1", "--description", "again") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			args := slices.Clip(cashOut("withdrawal-1", "--yes"))
			id := decode[transactionResult](t, s.run(append(args, "--json")...)).CashOut.TransactionID
			o := s.run(other(args)...)
			assert.Equal(t, exitUsage, o.code, o.stderr)
			assert.Contains(t, o.stderr, "this reference has already paid R$ 30,00 as transaction "+id)
			assert.Contains(t, o.stderr, "nothing was sent; use another --reference")
			assert.Equal(t, 1, strings.Count(o.stderr, "\n"))
			assert.Equal(t, "usage", decode[failure](t, s.run(append(other(args), "--json")...)).Outcome)
			assert.Equal(t, pix.Centavos(30_00), s.paid())
		})
	}
}

func TestACorrectedPaymentIsToldToUseANewReference(t *testing.T) {
	s := newShell(t)
	args := cashOut("withdrawal-1", "--yes")
	id := decode[transactionResult](t, s.run(cashOut("withdrawal-1", "--yes", "--json")...)).CashOut.TransactionID
	require.NoError(t, s.box.FailCashOut(id, "PIX_KEY_NOT_FOUND", "no such key"))
	o := s.run(change(args, "30.00", "20.00")...)
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.stderr, "nothing was sent: the payment was accepted, transaction "+id+
		", and failed later, so the money came back: correct the cause, then pay again under a new --reference")
	assert.Zero(t, s.paid())
}

func TestAReferenceWhosePaymentIsOpenStaysUnknownForAnythingElse(t *testing.T) {
	s := newShell(t)
	s.box.FailNext("createCashOut", slices.Repeat(lost, 20)...)
	args := slices.Clip(cashOut("withdrawal-1", "--yes"))
	require.Equal(t, exitUnknown, s.run(args...).code)
	o := s.run(change(args, "30.00", "31.00")...)
	assert.Equal(t, exitUnknown, o.code, "the earlier payment may have been made: %s", o.stderr)
	assert.Contains(t, o.stderr, "To settle it, run: connectpsp cash-out resolve --reference withdrawal-1")
	assert.Equal(t, pix.Centavos(30_00), s.paid())
}

func TestARejectedPaymentIsMadeWithTheNextAttempt(t *testing.T) {
	s := newShell(t, sandbox.WithRepeatedRefusals(true))
	require.NoError(t, s.box.RefuseNext("createCashOut", 422, "LIMIT_EXCEEDED"))
	args := slices.Clip(cashOut("withdrawal-1", "--yes"))
	require.Equal(t, exitRejected, s.run(args...).code)
	assert.Equal(t, exitDone, s.run(append(args, "--attempt", "1")...).code)
	assert.Equal(t, exitDone, s.run(args...).code, "without --attempt the payment is shown, and not made again")
	assert.Equal(t, pix.Centavos(30_00), s.paid())
}

func TestARefundThatIsRepeatedIsShownAndNotMadeAgain(t *testing.T) {
	s := newShell(t)
	id := s.paidCharge("order-1")
	args := []string{"cash-in", "refund", id, "--reason", "FRAUD", "--yes"}
	for _, more := range [][]string{nil, nil, {"--attempt", "1"}, {"--json"}} {
		o := s.run(append(args, more...)...)
		assert.Equal(t, exitDone, o.code, o.stderr)
		assert.Contains(t, o.stdout, "accepted")
		assert.Contains(t, o.stdout, id)
	}
	charge := s.box.CashIns()[0]
	for _, other := range []string{charge.InternalCode, charge.EndToEndID} {
		o := s.run(change(args, id, other)...)
		assert.Equal(t, exitDone, o.code, "it is the same refund under another id of its charge: %s", o.stderr)
	}
	o := s.run(change(args, "FRAUD", "MERCHANT_ERROR")...)
	assert.Equal(t, exitUsage, o.code, o.stderr)
	assert.Contains(t, o.stderr, "an earlier command has refunded this charge")
	assert.Zero(t, s.paid(), "the charge came in and went back once")
}

func TestEachPaymentThatIsStillOpenIsPrintedWithTheLineThatSettlesIt(t *testing.T) {
	s := newShell(t)
	charge := s.paidCharge("order-1")
	s.box.FailNext("createCashOut", slices.Repeat(lost, 20)...)
	s.box.FailNext("createCashIn", slices.Repeat(lost, 20)...)
	s.box.FailNext("refundCashIn", slices.Repeat(lost, 20)...)
	require.Equal(t, exitUnknown, s.run(cashOut("withdrawal-1", "--yes")...).code)
	require.Equal(t, exitUnknown, s.run(cashOut("withdrawal-2", "--yes")...).code)
	require.Equal(t, exitUnknown, s.run(cashIn("order-2")...).code)
	require.Equal(t, exitUnknown, s.run("cash-in", "refund", charge, "--reason", "FRAUD", "--yes").code)

	o := s.run("cash-out", "resolve", "--reference", "withdrawal-1")
	require.Equal(t, exitUnknown, o.code)
	for _, lines := range []string{
		"left open by an earlier command: createCashOut withdrawal-2 R$ 30,00: still unknown, the money may have moved\n" +
			"To settle it, run: connectpsp cash-out resolve --reference withdrawal-2\n",
		"left open by an earlier command: createCashIn order-2 R$ 10,50: still unknown, the money may have moved\n" +
			"To settle it, run: connectpsp cash-in resolve --reference order-2\n",
		"left open by an earlier command: refundCashIn " + charge + ": still unknown, the money may have moved\n" +
			"To settle it, run: connectpsp cash-in refund " + charge + " --reason FRAUD\n",
	} {
		assert.Contains(t, o.stderr, lines)
	}
	assert.NotContains(t, o.stderr, "left open by an earlier command: createCashOut withdrawal-1", "it is what the command is about")
	assert.True(t, strings.HasSuffix(o.stderr, "To settle it, run: connectpsp cash-out resolve --reference withdrawal-1\n"), o.stderr)
}

func TestAReadThatFailsSaysNothingAboutTheMoney(t *testing.T) {
	const id = "0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e"
	for name, test := range map[string]struct {
		code int
		id   string
		do   func(*shell)
	}{
		"a wrong ApplicationToken": {exitFailed, id, func(s *shell) { s.vars["CONNECTPSP_APPLICATION_TOKEN"] = "wrong" }},
		"a wrong ClientSecret":     {exitFailed, id, func(s *shell) { s.vars["CONNECTPSP_CLIENT_SECRET"] = "wrong" }},
		"no right to read": {exitFailed, id, func(s *shell) {
			require.NoError(s.t, s.box.RefuseNext("getCashOut", 403, "FORBIDDEN"))
		}},
		"a closed port":  {exitFailed, id, func(s *shell) { s.vars["CONNECTPSP_BASE_URL"] = "http://127.0.0.1:1" }},
		"a malformed id": {exitUsage, "../x", func(*shell) {}},
		"an unknown id":  {exitUsage, id, func(*shell) {}},
	} {
		for _, command := range [][]string{{"cash-out", "get"}, {"wait", "cash-out", "--timeout", "300ms"}} {
			if name == "an unknown id" && command[0] == "wait" {
				continue // which takes a minute
			}
			t.Run(name+"/"+command[0], func(t *testing.T) {
				s := newShell(t)
				test.do(s)
				o := s.run(append(command, test.id)...)
				assert.Equal(t, test.code, o.code, o.stderr)
				for _, outcome := range []string{"rejected", "notSent", "accepted"} {
					assert.NotEqual(t, outcome, decode[failure](t, s.run(append(command, test.id, "--json")...)).Outcome)
				}
			})
		}
	}
	s := newShell(t)
	s.vars["CONNECTPSP_APPLICATION_TOKEN"] = "wrong"
	for _, args := range [][]string{{"cash-in", "get", "a1"}, {"cash-out", "get", id}, {"wait", "cash-out", id}, {"balance"}} {
		assert.Contains(t, s.run(args...).stderr, "could not be read, which says nothing about its state", "%q", args)
	}
}

func TestAWaitForAnUnknownIDSaysSoAtOnce(t *testing.T) {
	s := newShell(t)
	o := s.run("wait", "cash-out", "0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e", "--timeout", "10ms")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "the gateway does not know this payment yet")
}
