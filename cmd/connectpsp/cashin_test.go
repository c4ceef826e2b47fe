package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

func TestEachOutcomeOfAChargeHasItsExitStatusAndItsText(t *testing.T) {
	for name, test := range map[string]struct {
		code  int
		more  []string
		fault func(*shell)
	}{
		"accepted":     {0, nil, func(*shell) {}},
		"open finance": {0, []string{"--open-finance"}, func(*shell) {}},
		"unknown":      {4, nil, func(s *shell) { s.box.FailNext("createCashIn", lost...) }},
		"not sent":     {5, nil, func(s *shell) { s.vars["CONNECTPSP_CLIENT_SECRET"] = "not-the-secret" }},
		"faulty":       {2, []string{"--expires-in", "-1"}, func(*shell) {}},
	} {
		for _, mode := range []string{"text", "json"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				s := newShell(t)
				test.fault(s)
				args := cashIn("order-1", test.more...)
				if mode == "json" {
					args = append(args, "--json")
				}
				o := s.run(args...)
				assert.Equal(t, test.code, o.code, o.stderr)
				var text strings.Builder
				s.transcribe(&text, args, o)
				s.compare("cash-in-"+strings.ReplaceAll(name, " ", "-")+"-"+mode, text.String())
			})
		}
	}
}

func TestTheLineThatIsPrintedSettlesAnUnknownCharge(t *testing.T) {
	s := newShell(t)
	s.box.FailNext("createCashIn", lost...)
	o := s.run(cashIn("order-1")...)
	require.Equal(t, exitUnknown, o.code)
	_, line, _ := strings.Cut(o.stderr, "To settle it, run: connectpsp ")
	o = s.run(words(t, line)...)
	assert.Equal(t, exitDone, o.code, o.stderr)
	assert.Contains(t, o.stdout, "copy and paste")
}

// paidCharge makes a charge that is paid, and returns its id.
func (s *shell) paidCharge(reference string) string {
	s.t.Helper()
	id := decode[transactionResult](s.t, s.run(cashIn(reference, "--json")...)).CashIn.TransactionID
	require.NoError(s.t, s.box.PayCashIn(id))
	return id
}

func TestEachOutcomeOfARefundHasItsExitStatusAndItsText(t *testing.T) {
	for name, test := range map[string]struct {
		code  int
		fault func(*shell, string)
	}{
		"accepted": {0, func(*shell, string) {}},
		"rejected": {3, nil},
		"unknown":  {4, func(s *shell, _ string) { s.box.FailNext("refundCashIn", lost...) }},
		"not sent": {5, func(s *shell, _ string) { s.vars["CONNECTPSP_CLIENT_SECRET"] = "not-the-secret" }},
		"faulty":   {2, func(s *shell, _ string) { delete(s.vars, "CONNECTPSP_CRYPTO_TOKEN") }},
	} {
		for _, mode := range []string{"text", "json"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				s := newShell(t)
				var id string
				if test.fault == nil {
					id = decode[transactionResult](t, s.run(cashIn("order-1", "--json")...)).CashIn.TransactionID // not paid
				} else {
					id = s.paidCharge("order-1")
					test.fault(s, id)
				}
				args := []string{"cash-in", "refund", id, "--reason", "CUSTOMER_REQUEST", "--yes"}
				if mode == "json" {
					args = append(args, "--json")
				}
				o := s.run(args...)
				assert.Equal(t, test.code, o.code, o.stderr)
				var text strings.Builder
				s.transcribe(&text, args, o)
				s.compare("refund-"+strings.ReplaceAll(name, " ", "-")+"-"+mode, text.String())
			})
		}
	}
}

func TestTheLineThatIsPrintedSettlesAnUnknownRefund(t *testing.T) {
	s := newShell(t)
	id := s.paidCharge("order-1")
	s.box.FailNext("refundCashIn", lost...)
	o := s.run("cash-in", "refund", id, "--reason", "FRAUD", "--description", "a stolen card's", "--yes")
	require.Equal(t, exitUnknown, o.code)
	_, line, _ := strings.Cut(o.stderr, "To settle it, run: connectpsp ")
	assert.Contains(t, line, `--description 'a stolen card'\''s'`)
	o = s.run("cash-in", "refund", id, "--reason", "FRAUD", "--description", "a stolen card's", "--yes")
	assert.Equal(t, exitDone, o.code, o.stderr)
	assert.Zero(t, s.paid(), "the charge came in and went back once")
}

func TestARefundShowsTheChargeBeforeItAsks(t *testing.T) {
	s := newShell(t)
	id := s.paidCharge("order-1")
	o := s.typed("n\n", "cash-in", "refund", id, "--reason", "FRAUD")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "R$ 10,50")
	assert.Contains(t, o.stderr, "J*** P*** ***.982.247-**")
	assert.Equal(t, pix.Centavos(-10_50), s.paid(), "nothing went back")
	assert.Equal(t, exitDone, s.typed("y\n", "cash-in", "refund", id, "--reason", "FRAUD").code)
	assert.Zero(t, s.paid())
}

func TestAChargeIsReadAndWaitedFor(t *testing.T) {
	s := newShell(t)
	id := s.paidCharge("order-1")
	s.golden("cash-in-get", []string{"cash-in", "get", id}, []string{"cash-in", "get", id, "--json"}, []string{"wait", "cash-in", id})
	id = decode[transactionResult](t, s.run(cashIn("order-2", "--json")...)).CashIn.TransactionID
	require.NoError(t, s.box.ExpireCashIn(id))
	o := s.run("wait", "cash-in", id)
	assert.Equal(t, exitRejected, o.code, "it will not be paid")
	assert.Contains(t, o.stderr, "has expired unpaid: another charge needs a new --reference")
}

func TestARefundThatIsOpenIsNeverReportedAsRejectedBecauseAReadFailed(t *testing.T) {
	for name, fault := range map[string]func(*shell){
		"each request is refused": func(s *shell) { s.vars["CONNECTPSP_APPLICATION_TOKEN"] = "wrong" },
		"the gateway is down":     func(s *shell) { s.vars["CONNECTPSP_BASE_URL"] = "http://127.0.0.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			id := s.paidCharge("order-1")
			command := []string{"cash-in", "refund", id, "--reason", "FRAUD"}
			s.box.FailNext("refundCashIn", lost...)
			require.Equal(t, exitUnknown, s.typed("y\n", command...).code)
			right := maps.Clone(s.vars)
			fault(s)
			o := s.typed("y\n", command...)
			assert.Equal(t, exitUnknown, o.code, o.stderr)
			assert.Contains(t, o.stderr, "To settle it, run: connectpsp cash-in refund")
			s.vars = right
			o = s.typed("", command...)
			assert.Equal(t, exitDone, o.code, "it was confirmed before: %s", o.stderr)
			assert.Zero(t, s.paid(), "the money went back once")
		})
	}
}

func TestAChargeThatCannotBeReadIsNotRefundedAndItsRefundNotReportedAsRejected(t *testing.T) {
	s := newShell(t)
	id := s.paidCharge("order-1")
	require.NoError(t, s.box.RefuseNext("getCashIn", 403, "FORBIDDEN"))
	o := s.typed("y\n", "cash-in", "refund", id, "--reason", "FRAUD")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "the charge could not be read")
	assert.Equal(t, pix.Centavos(-10_50), s.paid(), "nothing went back")
}
