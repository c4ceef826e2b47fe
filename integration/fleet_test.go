package integration

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/pgproxy"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
)

// slowSandbox is a gateway that takes a moment for each payment, and counts its requests by path.
func slowSandbox(t *testing.T) (*sandbox.Sandbox, *sync.Map) {
	requests := &sync.Map{}
	gateway, err := sandbox.Start(sandbox.WithMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			count, _ := requests.LoadOrStore(r.URL.Path, &atomic.Int64{})
			count.(*atomic.Int64).Add(1)
			if r.Method == http.MethodPost {
				time.Sleep(5 * time.Millisecond)
			}
			next.ServeHTTP(w, r)
		})
	}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, gateway.Close()) })
	return gateway, requests
}

// process returns the client of another process, with the journal of its own store.
func process(t *testing.T, gateway *sandbox.Sandbox, store *sqlstore.Store, options ...connectpsp.Option) *connectpsp.Client {
	client, err := connectpsp.New(gateway.Config(), append(options, connectpsp.WithJournal(store.Journal()),
		connectpsp.WithLogger(slog.New(slog.DiscardHandler)))...)
	require.NoError(t, err)
	return client
}

func withdrawal(reference string, amount pix.Amount) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount: amount, ExternalReference: reference, WebhookURL: "https://wallet.example/webhooks",
		Payee: connectpsp.Payee{Name: "Maria Silva", Document: "12345678909", Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909")},
	}
}

// A process that begins after another was rejected sends the payment again, with the same key. One
// that began before that cannot tell then, and its outcome is unknown.
func TestAPaymentThatProcessesCallAtOnceIsMadeOnceAndAllHearTheTruth(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway, _ := slowSandbox(t)
		const payments, processes = 10, 4
		before := balance(t, gateway)
		var mu sync.Mutex
		heard := map[string]map[string]int{}
		note := func(reference, what string) {
			mu.Lock()
			defer mu.Unlock()
			if heard[reference] == nil {
				heard[reference] = map[string]int{}
			}
			heard[reference][what]++
		}
		var all sync.WaitGroup
		for range processes {
			client := process(t, gateway, openStore(t, s, db))
			for n := range payments {
				all.Go(func() {
					amount := pix.Centavos(100)
					if n%2 == 1 {
						amount = pix.Centavos(9_999_999_00) // more than there is
					}
					reference := fmt.Sprint("withdrawal-", n)
					payment, err := client.CreateCashOut(t.Context(), withdrawal(reference, amount))
					switch {
					case err == nil:
						note(reference, payment.TransactionID)
					case errors.Is(err, connectpsp.ErrUnknownOutcome):
						note(reference, "unknown")
					default:
						note(reference, "rejected")
					}
				})
			}
		}
		all.Wait()
		for n := range payments {
			results := heard[fmt.Sprint("withdrawal-", n)]
			if n%2 == 1 {
				assert.Equal(t, processes, results["rejected"]+results["unknown"], "%v", results)
				assert.NotZero(t, results["rejected"])
			} else {
				assert.Len(t, results, 1, "%v", results)
				assert.Zero(t, results["unknown"]+results["rejected"])
			}
		}
		assert.Len(t, heard, payments)
		assert.Equal(t, before.Centavos()-payments/2*100, balance(t, gateway).Centavos())
	})
}

func balance(t *testing.T, gateway *sandbox.Sandbox) pix.Amount {
	client, err := connectpsp.New(gateway.Config())
	require.NoError(t, err)
	balance, err := client.GetBalance(t.Context())
	require.NoError(t, err)
	return balance.Consolidated.TransactionalBalance
}

func TestThePaymentsOfAProcessThatDiedAreSettledByAnotherWhenItsLeaseIsOver(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		gateway, requests := slowSandbox(t)
		before := balance(t, gateway)
		once := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})
		first := process(t, gateway, openStore(t, s, db), once)
		gateway.FailNext("createCashOut", sandbox.LoseAnswer)
		_, err := first.CreateCashOut(t.Context(), withdrawal("withdrawal-1", pix.Centavos(100)))
		require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)

		second := process(t, gateway, openStore(t, s, db), once)
		recovered, err := second.Recover(t.Context())
		require.NoError(t, err)
		assert.Empty(t, recovered, "the first may live")
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err = second.CreateCashOut(ctx, withdrawal("withdrawal-1", pix.Centavos(100)))
		require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
		count, _ := requests.Load("/cash-out")
		require.NotNil(t, count)
		assert.EqualValues(t, 1, count.(*atomic.Int64).Load())

		execute(t, db, `UPDATE connectpsp_payment SET leased_until = 0`)
		recovered, err = second.Recover(t.Context())
		require.NoError(t, err)
		require.Len(t, recovered, 1)
		require.NoError(t, recovered[0].Err)
		payment, err := first.CreateCashOut(t.Context(), withdrawal("withdrawal-1", pix.Centavos(100)))
		require.NoError(t, err)
		assert.Equal(t, recovered[0].TransactionID, payment.TransactionID)
		assert.Equal(t, before.Centavos()-100, balance(t, gateway).Centavos())
		assert.Zero(t, number(t, db, `SELECT count(*) FROM connectpsp_payment WHERE body IS NOT NULL`), "no personal data is left")
	})
}

// The response to a COMMIT, or to a statement that commits itself, may be lost, or the statement
// may be executed after the program has given up.
func TestAPaymentWhoseRecordSeemedToFailIsNeitherLostNorSentLater(t *testing.T) {
	for name, fate := range map[string]func(giveUp func(), late <-chan struct{}) pgproxy.Fate{
		"its response was lost": func(func(), <-chan struct{}) pgproxy.Fate { return pgproxy.LoseResponse },
		"it was lost":           func(func(), <-chan struct{}) pgproxy.Fate { return pgproxy.LoseRequest },
		"it came late": func(giveUp func(), late <-chan struct{}) pgproxy.Fate {
			giveUp()
			<-late
			return pgproxy.Pass
		},
	} {
		t.Run(name, func(t *testing.T) {
			late := make(chan struct{})
			release := sync.OnceFunc(func() { close(late) })
			defer release()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var commits atomic.Int64
			broken, db := newLossy(t, func() pgproxy.Fate {
				if commits.Add(1) == 1 {
					return fate(cancel, late)
				}
				return pgproxy.Pass
			})
			broken.SetMaxOpenConns(1)
			ledger, gateway := newLedger(t)
			client := process(t, gateway, openStore(t, servers[0], broken))
			_, err := client.CreateCashOut(ctx, withdrawal("withdrawal-1", pix.Centavos(100)))
			require.ErrorIs(t, err, connectpsp.ErrNotSent)
			assert.NotErrorIs(t, err, connectpsp.ErrUnknownOutcome)
			release()
			require.Eventually(t, func() bool { // the connection has ended, and there may be one in its place
				return number(t, db, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lossy'`) <= 1
			}, 30*time.Second, 5*time.Millisecond)
			execute(t, db, `UPDATE connectpsp_payment SET leased_until = 0`)
			recovered, err := process(t, gateway, openStore(t, servers[0], db)).Recover(t.Context())
			require.NoError(t, err)
			for _, payment := range recovered {
				assert.ErrorIs(t, payment.Err, connectpsp.ErrNotSent, "the caller may be paying in another way")
			}
			assert.Zero(t, ledger.requests)

			_, err = client.CreateCashOut(t.Context(), withdrawal("withdrawal-1", pix.Centavos(100)))
			require.NoError(t, err, "it may be paid")
			assert.Equal(t, 1, ledger.requests)
		})
	}
}

// A statement that has timed out may be carried out minutes later, when the server goes on.
func TestAnEndThatIsWrittenLateEndsNoLaterAttempt(t *testing.T) {
	address := os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if address == "" {
		t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
	}
	broken := &faults{Driver: stdlib.GetDefaultDriver()}
	db := sql.OpenDB(faultyConnector{broken, newPostgres(t, address)})
	defer db.Close()
	db.SetMaxOpenConns(1)
	journal := openStore(t, servers[0], db).Journal()
	var late func() (driver.Result, error)
	broken.next = func(func() (driver.Result, error)) (driver.Result, error) {
		broken.next = func(run func() (driver.Result, error)) (driver.Result, error) {
			late = run
			return nil, errCut
		}
		return nil, errCut
	}
	now := time.Now().UTC()
	intent := connectpsp.Intent{
		Operation: connectpsp.OperationCreateCashOut, IdempotencyKey: "key", ExternalReference: "withdrawal-1",
		Amount: pix.Centavos(100), Body: []byte("{}"), BegunAt: now,
	}
	begin := func() {
		earlier, err := journal.Begin(t.Context(), intent)
		require.NoError(t, err)
		require.Nil(t, earlier)
	}
	begin()
	require.ErrorIs(t, journal.Sent(t.Context(), "key", now), errCut)
	require.ErrorIs(t, journal.Finish(t.Context(), "key", connectpsp.OutcomeRejected, ""), errCut)
	begin()
	require.NoError(t, journal.Sent(t.Context(), "key", now))
	_, err := late()
	require.NoError(t, err)
	found, err := journal.Find(t.Context(), intent)
	require.NoError(t, err)
	require.NotNil(t, found, "the payment may have been made, and would be reported as rejected")
	assert.Empty(t, found.Outcome)
}

// A webhook tells of a payment that the journal does not know, and another process sends it just
// then.
func TestAPaymentThatIsSentWhileItsAcceptanceIsRecordedIsAccepted(t *testing.T) {
	address := os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if address == "" {
		t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
	}
	slow := &faults{Driver: stdlib.GetDefaultDriver()}
	db := sql.OpenDB(faultyConnector{slow, newPostgres(t, address)})
	defer db.Close()
	receiver, sender := openStore(t, servers[0], db).Journal(), openStore(t, servers[0], db).Journal()
	intent := connectpsp.Intent{
		Operation: connectpsp.OperationCreateCashOut, IdempotencyKey: "key-1", ExternalReference: "withdrawal-1", BegunAt: time.Now(),
	}
	for _, journal := range []*sqlstore.Journal{sender, receiver} {
		earlier, err := journal.Begin(t.Context(), intent)
		require.NoError(t, err)
		require.Nil(t, earlier)
	}
	slow.next = func(run func() (driver.Result, error)) (driver.Result, error) {
		result, err := run()
		assert.NoError(t, sender.Sent(t.Context(), intent.IdempotencyKey, time.Now()))
		return result, err
	}
	require.NoError(t, receiver.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeAccepted, "transaction-1"))
	found, err := sender.Find(t.Context(), intent)
	require.NoError(t, err)
	require.NotNil(t, found)
	assert.Equal(t, connectpsp.OutcomeAccepted, found.Outcome)
	assert.Error(t, sender.Finish(t.Context(), intent.IdempotencyKey, connectpsp.OutcomeRejected, ""), "it was accepted")
}
