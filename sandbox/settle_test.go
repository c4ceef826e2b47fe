package sandbox_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

var once = connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})

// lose makes a payment whose response is lost, and returns the error.
func (s *shop) lose(client *connectpsp.Client) (unknown *connectpsp.UnknownOutcomeError) {
	s.t.Helper()
	require.NoError(s.t, s.FailNext("createCashOut", sandbox.LoseAnswer))
	_, err := client.CreateCashOut(s.t.Context(), withdrawal())
	require.ErrorAs(s.t, err, &unknown)
	return unknown
}

func TestAnUnknownOutcomeIsSettledInEachWay(t *testing.T) {
	for _, test := range []struct {
		name   string
		opts   []sandbox.Option
		settle func(*shop, *connectpsp.Client, *connectpsp.UnknownOutcomeError) error
		want   string
		posts  int // in total
		made   int
	}{
		{"by the same call", nil, func(s *shop, client *connectpsp.Client, _ *connectpsp.UnknownOutcomeError) error {
			_, err := client.CreateCashOut(s.t.Context(), withdrawal())
			return err
		}, "accepted", 2, 1},
		{"by ResolveCashOut", nil, func(s *shop, client *connectpsp.Client, unknown *connectpsp.UnknownOutcomeError) error {
			_, err := client.ResolveCashOut(s.t.Context(), unknown, withdrawal())
			return err
		}, "accepted", 2, 1},
		{"by Recover", nil, func(s *shop, client *connectpsp.Client, _ *connectpsp.UnknownOutcomeError) error {
			return recovered(s, client)
		}, "accepted", 2, 1},
		{"by the webhook", nil, func(s *shop, client *connectpsp.Client, _ *connectpsp.UnknownOutcomeError) error {
			s.do(s.CompleteCashOut(s.CashOuts()[0].TransactionID))
			_, err := client.Recover(s.t.Context())
			return err
		}, "accepted", 1, 1},
		{"not by Recover after the window", []sandbox.Option{sandbox.WithKeyLifetime(20 * time.Minute)},
			func(s *shop, client *connectpsp.Client, _ *connectpsp.UnknownOutcomeError) error {
				time.Sleep(20 * time.Minute)
				return recovered(s, client)
			}, "unknown", 1, 1},
		{"not by the same call after the gateway has forgotten the key", nil, func(s *shop, client *connectpsp.Client, _ *connectpsp.UnknownOutcomeError) error {
			s.ForgetKeys()
			_, err := client.CreateCashOut(s.t.Context(), withdrawal())
			return err
		}, "unknown DUPLICATE_EXTERNAL_REFERENCE", 2, 1},
		{"twice, if the gateway has forgotten the key and references need not be unique",
			[]sandbox.Option{sandbox.WithKeyLifetime(24 * time.Hour), sandbox.WithUniqueReferences(false)},
			func(s *shop, client *connectpsp.Client, _ *connectpsp.UnknownOutcomeError) error {
				time.Sleep(24 * time.Hour)
				_, err := client.CreateCashOut(s.t.Context(), withdrawal())
				return err
			}, "accepted", 2, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := openShop(t, test.opts...)
				payments, err := journal.Open(filepath.Join(t.TempDir(), "payments"))
				require.NoError(t, err)
				defer payments.Close()
				s.client = s.newClient(once, connectpsp.WithJournal(payments))
				s.worker = s.newWorker()
				unknown := s.lose(s.client)
				assert.Equal(t, test.want, outcome(test.settle(s, s.client, unknown)))
				assert.Len(t, s.Requests().ByOperation("createCashOut"), test.posts)
				assert.Len(t, s.CashOuts(), test.made)
			})
		})
	}
}

// recovered returns the outcome of the only payment that Recover reports.
func recovered(s *shop, client *connectpsp.Client) error {
	s.t.Helper()
	all, err := client.Recover(s.t.Context())
	require.NoError(s.t, err)
	require.Len(s.t, all, 1)
	return all[0].Err
}

func TestARefundAfterTheWindowIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t)
		s.client = s.newClient(once)
		id := s.charge()
		require.NoError(t, s.PayCashIn(id))
		require.NoError(t, s.FailNext("refundCashIn", sandbox.LoseAnswer))
		_, err := s.client.RefundCashIn(t.Context(), id, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
		require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
		time.Sleep(time.Hour)
		require.NoError(t, s.SettleRefund(id))
		require.NoError(t, recovered(s, s.client))
		assert.Len(t, s.Requests().ByOperation("refundCashIn"), 1)
	})
}

func TestARefusalIsRepeatedUnderItsKeyOrNot(t *testing.T) {
	for repeated, want := range map[bool]string{true: "rejected INSUFFICIENT_FUNDS", false: "accepted"} {
		synctest.Test(t, func(t *testing.T) {
			s := openShop(t, sandbox.WithRepeatedRefusals(repeated))
			_, err := s.client.RebalanceAccount(t.Context(), withdrawal().Amount)
			require.NoError(t, err)
			first := withdrawal()
			first.ExternalReference = "withdrawal-0"
			_, err = s.client.CreateCashOut(t.Context(), first)
			require.NoError(t, err)
			_, err = s.newClient().CreateCashOut(t.Context(), withdrawal())
			require.Equal(t, "rejected INSUFFICIENT_FUNDS", outcome(err))
			_, err = s.client.RebalanceAccount(t.Context(), withdrawal().Amount)
			require.NoError(t, err)
			_, err = s.newClient().CreateCashOut(t.Context(), withdrawal())
			assert.Equal(t, want, outcome(err))
		})
	}
}
