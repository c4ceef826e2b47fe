package connectpsp_test

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

func TestADueTimeChangesNeitherTheRequestNorTheKey(t *testing.T) {
	gateway := newGateway(t, html(503), replyJSON(202, cashOutAccepted))
	_, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithDueBy(time.Now().Add(time.Hour)))
	require.NoError(t, err)
	_, err = gateway.client().CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	requireSameIntent(t, gateway.requests())
}

func TestOnlyACashOutHasADueTime(t *testing.T) {
	client := publicClient(t, config(""))
	due := connectpsp.WithDueBy(time.Now().Add(time.Hour))
	for name, call := range map[string]func() error{
		"createCashIn":  func() error { return second(client.CreateCashIn(t.Context(), cashInRequest(), due)) },
		"refundCashIn":  func() error { return second(client.RefundCashIn(t.Context(), cashInID, fraud, due)) },
		"getCashOut":    func() error { return second(client.GetCashOut(t.Context(), cashOutID, due)) },
		"getBalance":    func() error { return second(client.GetBalance(t.Context(), due)) },
		"the zero time": nil,
	} {
		if call == nil {
			_, err := newGateway(t, replyJSON(200, balanceAnswer)).client().GetBalance(t.Context(), connectpsp.WithDueBy(time.Time{}))
			assert.NoError(t, err, name)
			continue
		}
		err := call()
		assert.Equal(t, []string{"WithDueBy"}, fields(err), name)
		assert.Equal(t, []connectpsp.ValidationCode{connectpsp.InvalidOption}, codes(err), name)
	}
}

// The process dies, and the next one finds the payment open.
func TestADueTimeOutlivesTheProcess(t *testing.T) {
	due := time.Date(2026, 3, 10, 14, 20, 30, 123_000_000, time.FixedZone("BRT", -3*60*60))
	for name, finish := range map[string]bool{"open": false, "accepted": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "p.journal")
			first := must(journal.Open(path))
			gateway := newGateway(t, redirect(303, "/"), replyJSON(202, cashOutAccepted))
			client := gateway.memoryClient(connectpsp.WithJournal(first))
			_, err := client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithDueBy(due.Add(time.Microsecond)))
			require.Equal(t, unknown, outcomeOf(err))
			if finish {
				_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithDueBy(due.Add(time.Hour)))
				require.NoError(t, err)
			}
			require.NoError(t, first.Close())
			second := must(journal.Open(path))
			defer func() { require.NoError(t, second.Close()) }()
			recovered, err := newGateway(t, replyJSON(202, cashOutAccepted)).memoryClient(connectpsp.WithJournal(second)).Recover(t.Context())
			require.NoError(t, err)
			require.Len(t, recovered, 1)
			require.NoError(t, recovered[0].Err)
			assert.Equal(t, due.UTC(), recovered[0].DueBy, "to the millisecond, and that of the first call")
		})
	}
}

func TestTheDueTimeOfTheFirstCallStays(t *testing.T) {
	early, late := time.Date(2026, 3, 10, 14, 0, 0, 0, time.UTC), time.Date(2026, 3, 10, 16, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		first, second, want time.Time
		rejected            bool
	}{
		"a later one":               {early, late, early, false},
		"an earlier one":            {late, early, late, false},
		"none, then one":            {time.Time{}, late, time.Time{}, false},
		"one, then none":            {early, time.Time{}, early, false},
		"another after a rejection": {early, late, late, true},
	} {
		t.Run(name, func(t *testing.T) {
			book := newNotebook()
			step := redirect(303, "/")
			if test.rejected {
				step = problem(422, "INSUFFICIENT_FUNDS")
			}
			client := newGateway(t, step, redirect(303, "/")).client(connectpsp.WithJournal(book))
			_, err := client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithDueBy(test.first))
			require.Error(t, err)
			_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithDueBy(test.second))
			require.Equal(t, unknown, outcomeOf(err))
			require.Len(t, book.open(), 1)
			assert.Equal(t, test.want, book.open()[0].DueBy)
		})
	}
}

func TestAPaymentThatIsDueIsPaidAllTheSame(t *testing.T) {
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	cashOut, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithDueBy(time.Now().Add(-time.Hour)))
	require.NoError(t, err)
	assert.Equal(t, cashOutID, cashOut.TransactionID)
}

// A caller that waits for the time to pass must not take that for an outcome.
func TestLatenessNeverSettlesAPayment(t *testing.T) {
	for name, steps := range map[string][]http.HandlerFunc{
		"no response":  {html(500)},
		"refused late": {html(500), html(500), html(500), html(500), problem(422, "INSUFFICIENT_FUNDS")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logger, log := logAt(slog.LevelError)
				book := newNotebook()
				client := newGateway(t, steps...).memoryClient(connectpsp.WithJournal(book), connectpsp.WithLogger(logger))
				overdue := func() int { return must(client.OpenPayments(t.Context())).Overdue }
				lines := func() (found []line) {
					for _, one := range linesOf(t, log.String()) {
						if one["event"] == "payment.overdue" {
							found = append(found, one)
						}
					}
					return found
				}
				due := time.Now().Add(2 * time.Hour)
				_, err := client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithDueBy(due))
				require.Equal(t, unknown, outcomeOf(err))
				for _, wait := range []time.Duration{0, 15 * time.Minute, time.Hour} {
					time.Sleep(wait)
					recovered, err := client.Recover(t.Context())
					require.NoError(t, err)
					require.Len(t, recovered, 1)
					assert.Equal(t, unknown, outcomeOf(recovered[0].Err))
				}
				assert.Zero(t, overdue())
				assert.Empty(t, lines(), "it is not due yet")

				time.Sleep(time.Hour)
				assert.Equal(t, 1, overdue())
				recovered, err := client.Recover(t.Context())
				require.NoError(t, err)
				require.Len(t, recovered, 1)
				assert.Equal(t, unknown, outcomeOf(recovered[0].Err), "late is not failed")
				assert.NotErrorIs(t, recovered[0].Err, connectpsp.ErrNotSent)
				assert.True(t, recovered[0].DueBy.Equal(due))
				require.Len(t, lines(), 1)
				assert.Equal(t, "ERROR", lines()[0]["level"])
				assert.Equal(t, "withdrawal-42", lines()[0]["external_reference"])
				assert.Equal(t, due.UTC().Format(time.RFC3339Nano), lines()[0]["due_by"])
				_, err = client.CreateCashOut(t.Context(), cashOutRequest())
				assert.Equal(t, unknown, outcomeOf(err))

				cashOut := &connectpsp.CashOut{TransactionID: cashOutID, ExternalReference: "withdrawal-42", Status: connectpsp.CashOutCompleted}
				require.NoError(t, client.ReconcileCashOut(t.Context(), cashOut))
				assert.Zero(t, overdue(), "what has an outcome is not open, however late")
				_, err = client.Recover(t.Context())
				require.NoError(t, err)
				assert.Len(t, lines(), 1)
			})
		})
	}
}
