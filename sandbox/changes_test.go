package sandbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestAViewerSeesThatSomethingHasChanged(t *testing.T) {
	g := startUnchecked(t, sandbox.WithTime(noon))
	receiver := newReceiver(t)
	charge, payment := g.newCashIn("order-1", receiver.URL), g.newCashOut("withdrawal-1", receiver.URL)
	begin, err := g.Snapshot()
	require.NoError(t, err)
	for name, change := range map[string]func() error{
		"a payment of a charge":  func() error { return g.PayCashIn(charge.TransactionID) },
		"a return":               func() error { return g.ReturnCashInPart(charge.TransactionID, pix.Centavos(1)) },
		"a cancelled charge":     func() error { return g.CancelCashIn(charge.TransactionID) },
		"a complete payment":     func() error { return g.CompleteCashOut(payment.TransactionID) },
		"a failed payment":       func() error { return g.FailCashOut(payment.TransactionID, "ACCOUNT_CLOSED", "") },
		"a request":              func() error { g.get("/account/balance"); return nil },
		"a request of no one":    func() error { g.get("/nothing"); return nil },
		"a webhook":              func() error { return g.SendWebhook(receiver.URL, []byte("{}")) },
		"a webhook to elsewhere": func() error { return g.SendWebhook("http://192.0.2.1/", []byte("{}")) },
		"a balance":              func() error { return g.SetBalances(pix.Centavos(1), pix.Centavos(2)) },
		"a clock that is moved":  func() error { return g.Advance(time.Second) },
		"a clock that jumps":     func() error { return g.JumpTo(g.Now().Add(time.Second)) },
		"an earlier state":       func() error { return g.Restore(begin) },
		"a reset":                func() error { g.Reset(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, g.Restore(begin))
			g.token = g.newToken()
			if name == "a return" {
				require.NoError(t, g.PayCashIn(charge.TransactionID))
			}
			before := g.Changes()
			require.NoError(t, change())
			g.waitWebhooks()
			assert.Greater(t, g.Changes(), before)
		})
	}
}

func TestAViewerOfASandboxThatIsIdleHasNothingToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t)
		gateway, charge := s.situations.(*sandbox.Sandbox), s.charge()
		before := gateway.Changes()
		for range 100 {
			_, _ = gateway.Balances()
			gateway.CashIns()
			gateway.CashOuts()
			gateway.Deliveries()
			gateway.Requests()
			gateway.Config()
			_, _ = gateway.CashIn(charge)
			_, _ = gateway.Returned(charge)
			_, _ = gateway.RefundUnderWay(charge)
			_, _ = gateway.PIXData(charge)
			_, _ = gateway.Snapshot()
			time.Sleep(time.Second)
		}
		assert.Equal(t, before, gateway.Changes())
		time.Sleep(24 * time.Hour)
		assert.Greater(t, gateway.Changes(), before, "the charge has expired")
		expired := gateway.Changes()
		time.Sleep(24 * time.Hour)
		assert.Equal(t, expired, gateway.Changes())
	})
}
