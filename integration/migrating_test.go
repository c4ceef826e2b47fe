package integration

import (
	"bytes"
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// migration is a player with R$ 100.00 and a gateway, before and after the migration of
// docs/migrating.md.
type migration struct {
	*handWritten
	t       *testing.T
	server  server
	gateway *sandbox.Sandbox
}

// wanted is the withdrawal that the player wants, once.
var wanted = payout{reference: "withdrawal-1", idempotencyKey: "0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e", player: "Ana",
	pixKey: "ana@example.com", centavos: 50_00}

func newMigration(t *testing.T, s server, options ...sandbox.Option) *migration {
	gateway, err := sandbox.Start(options...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, gateway.Close()) })
	db := s.open(t)
	for _, statement := range tablesOfThePage(t, "../docs/migrating.md") {
		execute(t, db, statement)
	}
	execute(t, db, `INSERT INTO wallets (player, centavos) VALUES ('Ana', 10000)`)
	config := gateway.Config()
	tokens, err := connectpsp.NewTokenSource(config)
	require.NoError(t, err)
	return &migration{t: t, server: s, gateway: gateway, handWritten: &handWritten{
		clientID: config.ClientID,
		url:      config.BaseURL,
		sign: func(request *http.Request) {
			token, err := tokens.Token(t.Context())
			assert.NoError(t, err)
			request.Header.Set("Authorization", "Bearer "+token.Reveal())
			request.Header.Set("ApplicationToken", config.ApplicationToken.Reveal())
			request.Header.Set("DigitalSignature", hex.EncodeToString(signing.Sum(config.CryptoToken.Reveal(), []byte(token.Reveal()))))
		},
		verify: func(body []byte, header http.Header) bool {
			want := hex.EncodeToString(signing.Sum(config.CryptoToken.Reveal(), body))
			return hmac.Equal([]byte(header.Get("X-Connect-Signature")), []byte(want))
		},
		newID: idempotency.NewKey,
		db:    db,
	}}
}

// process returns the client of a new process after the migration. It makes one attempt for each
// call, so that one lost response makes an outcome unknown.
func (m *migration) process() *connectpsp.Client { return m.processThatFreezes(nothing, nothing) }

func nothing() {}

// processThatFreezes is a process that freezes before it begins a payment, and right before it
// sends it.
func (m *migration) processThatFreezes(beforeBegin, beforeSent func()) *connectpsp.Client {
	journal := &freezing{booked{openStore(m.t, m.server, m.db).Journal()}, beforeBegin, beforeSent}
	client, err := connectpsp.New(m.gateway.Config(), connectpsp.WithJournal(journal),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}), connectpsp.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(m.t, err)
	return client
}

// freezing is the journal of a process that freezes.
type freezing struct {
	connectpsp.Journal
	beforeBegin, beforeSent func()
}

// Begin implements [connectpsp.Journal].
func (f *freezing) Begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	f.beforeBegin()
	return f.Journal.Begin(ctx, intent)
}

// Sent implements [connectpsp.Journal].
func (f *freezing) Sent(ctx context.Context, key string, at time.Time) error {
	f.beforeSent()
	return f.Journal.Sent(ctx, key, at)
}

// given is how often the player has got the amount of a withdrawal: paid, or given back.
func (m *migration) given() int {
	back := (number(m.t, m.db, `SELECT centavos FROM wallets`) - 100_00) / 50_00
	return len(m.gateway.CashOuts()) + back + number(m.t, m.db, `SELECT count(*) FROM withdrawals`)
}

func (m *migration) pay(client *connectpsp.Client) error {
	return pay(m.t.Context(), client, m.db, wanted.reference)
}

func (m *migration) fail(fault sandbox.Fault) {
	require.NoError(m.t, m.gateway.FailNext("createCashOut", fault))
}

// fund tops up the account from which payouts are made.
func (m *migration) fund() {
	require.NoError(m.t, m.gateway.SetBalances(pix.Centavos(500_00), pix.Centavos(0)))
}

var noMoney = sandbox.WithBalance(pix.Centavos(0), pix.Centavos(0))

// freezeAndPay has a worker freeze between its look at the flag and its call. Meanwhile another is
// rejected and gives the money back.
func freezeAndPay(m *migration) {
	sign, first := m.sign, sync.Once{}
	m.sign = func(request *http.Request) {
		first.Do(func() {
			m.sign = sign // the other worker does not freeze
			require.NoError(m.t, m.payIfOpen(wanted))
			m.fund()
		})
		sign(request)
	}
	require.NoError(m.t, m.payIfOpen(wanted))
}

// rejectInAnotherProcess has another process pay, be rejected and give the money back.
func (m *migration) rejectInAnotherProcess() {
	require.ErrorIs(m.t, m.pay(m.process()), connectpsp.CodeInsufficientFunds)
	m.fund()
}

func TestHandWrittenCallsPayTwiceAndTheirReplacementsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		options []sandbox.Option
		before  func(*migration)
		after   func(*migration)
	}{
		"each try has a new reference": {
			before: func(m *migration) {
				m.fail(sandbox.LoseAnswer)
				require.NoError(m.t, m.payWithNewReferences(wanted))
			},
			after: func(m *migration) {
				client := m.process()
				m.fail(sandbox.LoseAnswer)
				require.ErrorIs(m.t, m.pay(client), connectpsp.ErrUnknownOutcome)
				require.NoError(m.t, m.pay(client))
			},
		},
		"each try has a new key, and a conflict is taken for a failure": {
			before: func(m *migration) {
				m.fail(sandbox.LoseAnswer)
				require.NoError(m.t, m.payWithNewKeys(wanted))
			},
			after: func(m *migration) {
				client := m.process()
				m.fail(sandbox.LoseAnswer)
				require.ErrorIs(m.t, m.pay(client), connectpsp.ErrUnknownOutcome)
				m.gateway.ForgetKeys() // so that the gateway responds with a conflict
				require.ErrorIs(m.t, m.pay(client), connectpsp.ErrUnknownOutcome)
			},
		},
		"a timeout is taken for a failure": {
			before: func(m *migration) {
				m.fail(sandbox.UnavailableAfterExecution)
				require.NoError(m.t, m.payOrGiveBack(wanted))
			},
			after: func(m *migration) {
				client := m.process()
				m.fail(sandbox.UnavailableAfterExecution)
				require.ErrorIs(m.t, m.pay(client), connectpsp.ErrUnknownOutcome)
				require.NoError(m.t, m.pay(client))
			},
		},
		"the process dies between the call and the flag": {
			before: func(m *migration) {
				m.fail(sandbox.LoseAnswer)
				require.Error(m.t, m.payIfOpen(wanted))
				require.NoError(m.t, m.payIfOpen(wanted))
			},
			after: func(m *migration) {
				m.fail(sandbox.LoseAnswer)
				require.Error(m.t, m.pay(m.process()))
				execute(m.t, m.db, `UPDATE connectpsp_payment SET leased_until = 0`) // two minutes later
				recovered, err := m.process().Recover(m.t.Context())
				require.NoError(m.t, err)
				require.Len(m.t, recovered, 1)
				require.NoError(m.t, recovered[0].Err)
			},
		},
		"two workers read the flag, and then both call": {
			before: func(m *migration) {
				sign, both, workers := m.sign, make(chan struct{}), sync.WaitGroup{}
				arrived := make(chan struct{}, 2)
				m.sign = func(request *http.Request) {
					arrived <- struct{}{}
					<-both
					sign(request)
				}
				for range 2 {
					workers.Go(func() { assert.NoError(m.t, m.payIfOpen(wanted)) })
				}
				<-arrived
				<-arrived
				close(both)
				workers.Wait()
			},
			after: func(m *migration) {
				var workers sync.WaitGroup
				for range 2 {
					client := m.process()
					workers.Go(func() { assert.NoError(m.t, m.pay(client)) })
				}
				workers.Wait()
			},
		},
		"a worker freezes, and wakes up after another has given the money back": {
			options: []sandbox.Option{noMoney},
			before:  freezeAndPay,
			after: func(m *migration) {
				frozen := m.processThatFreezes(m.rejectInAnotherProcess, nothing)
				require.ErrorIs(m.t, m.pay(frozen), connectpsp.ErrNotSent)
			},
		},
		"a worker freezes right before it sends, and wakes up after another has given the money back": {
			options: []sandbox.Option{noMoney},
			before:  freezeAndPay,
			after: func(m *migration) {
				frozen := m.processThatFreezes(nothing, m.rejectInAnotherProcess)
				require.ErrorIs(m.t, m.pay(frozen), connectpsp.ErrNotSent)
			},
		},
		"a sweeper gives back what is in flight": {
			before: func(m *migration) {
				m.fail(sandbox.LoseAnswer)
				require.Error(m.t, m.payIfOpen(wanted))
				require.NoError(m.t, m.sweepInFlight())
			},
			after: func(m *migration) {
				client := m.process()
				m.fail(sandbox.LoseAnswer)
				require.Error(m.t, m.pay(client))
				require.NoError(m.t, sweep(m.t.Context(), client, m.db))
			},
		},
		"a rejection gives the money back, and the queue tries again": {
			options: []sandbox.Option{noMoney},
			before: func(m *migration) {
				require.Error(m.t, m.payAsJob(wanted))
				m.fund()
				require.NoError(m.t, m.payAsJob(wanted))
			},
			after: func(m *migration) {
				client := m.process()
				require.ErrorIs(m.t, m.pay(client), connectpsp.CodeInsufficientFunds)
				m.fund()
				require.NoError(m.t, m.pay(client))
			},
		},
		"a rejected withdrawal is paid again as if it were still debited": {
			options: []sandbox.Option{noMoney},
			before: func(m *migration) {
				require.Error(m.t, m.payAsJob(wanted))
				m.fund()
				require.NoError(m.t, m.payAgain(wanted))
			},
			after: func(m *migration) {
				client := m.process()
				require.ErrorIs(m.t, m.pay(client), connectpsp.CodeInsufficientFunds)
				m.fund()
				require.NoError(m.t, requestPayout(m.t.Context(), m.db, wanted))
				require.NoError(m.t, m.pay(client))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			onServers(t, func(t *testing.T, s server, _ *sql.DB) {
				for side, run := range map[string]func(*migration){"before": c.before, "after": c.after} {
					m := newMigration(t, s, c.options...)
					require.NoError(t, requestPayout(t.Context(), m.db, wanted))
					run(m)
					assert.Equal(t, map[string]int{"before": 2, "after": 1}[side], m.given(), side)
				}
			})
		})
	}
}

func TestAWithdrawalWhoseCommitSeemsToFailIsMadeTwiceByHandAndOnceAfterTheMigration(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		before := newMigration(t, s)
		for range 2 { // the response to the first COMMIT is lost, and the player tries again
			require.NoError(t, before.withdraw(wanted.player, wanted.pixKey, wanted.centavos))
		}
		assert.Equal(t, 2, number(t, before.db, `SELECT count(*) FROM withdrawals`))
		assert.Equal(t, 0, number(t, before.db, `SELECT centavos FROM wallets`))

		after := newMigration(t, s)
		for range 2 {
			require.NoError(t, requestPayout(t.Context(), after.db, wanted))
		}
		assert.Equal(t, 1, number(t, after.db, `SELECT count(*) FROM withdrawals`))
		assert.Equal(t, 50_00, number(t, after.db, `SELECT centavos FROM wallets`))
	})
}

// The hand-written client writes the shadow journal, and its process dies with a call open on the
// day of the switch.
func TestRecoverSettlesWhatHandWrittenCodeLeftOpenInTheShadowJournal(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		for name, c := range map[string]struct {
			fault       sandbox.Fault
			forgetsKeys bool
			settled     bool
		}{
			"the response was lost":                   {fault: sandbox.LoseAnswer, settled: true},
			"the request was lost":                    {fault: sandbox.LoseRequest, settled: true},
			"the gateway has forgotten the key since": {fault: sandbox.LoseAnswer, forgetsKeys: true},
		} {
			m := newMigration(t, s)
			require.NoError(t, requestPayout(t.Context(), m.db, wanted))
			m.fail(c.fault)
			_, err := m.cashOutInShadow(t.Context(), openStore(t, s, m.db).Journal(), wanted)
			require.Error(t, err, name)
			if c.forgetsKeys {
				m.gateway.ForgetKeys()
			}
			execute(t, m.db, `UPDATE connectpsp_payment SET leased_until = 0`) // two minutes later
			client := m.process()
			recovered, err := client.Recover(t.Context())
			require.NoError(t, err)
			require.Len(t, recovered, 1, name)
			if c.settled {
				assert.NoError(t, recovered[0].Err, name)
				assert.NoError(t, m.pay(client), name)
			} else {
				assert.ErrorIs(t, recovered[0].Err, connectpsp.ErrUnknownOutcome, name)
				assert.ErrorIs(t, m.pay(client), connectpsp.ErrUnknownOutcome, name)
			}
			assert.Equal(t, 1, m.given(), name)
		}
	})
}

func TestTheShadowJournalKnowsHowHandWrittenCallsEnded(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		for outcome, options := range map[string][]sandbox.Option{"ACCEPTED": nil, "REJECTED": {noMoney}} {
			m := newMigration(t, s, options...)
			_, err := m.cashOutInShadow(t.Context(), openStore(t, s, m.db).Journal(), wanted)
			require.NoError(t, err)
			var recorded string
			require.NoError(t, m.db.QueryRowContext(t.Context(), `SELECT outcome FROM connectpsp_payment`).Scan(&recorded))
			assert.Equal(t, outcome, recorded)
		}
	})
}

// deposit charges the player, pays, has the event sent twice, and returns what the wallet holds
// then.
func (m *migration) deposit(amount pix.Amount, receiver http.Handler) int {
	web := httptest.NewServer(receiver)
	defer web.Close()
	execute(m.t, m.db, `INSERT INTO deposits (reference, player, centavos) VALUES ('deposit-1', 'Ana', $1)`, amount.Centavos())
	client, err := connectpsp.New(m.gateway.Config())
	require.NoError(m.t, err)
	charge, err := client.CreateCashIn(m.t.Context(), connectpsp.CashInRequest{Amount: amount, ExternalReference: "deposit-1",
		WebhookURL: web.URL, Payer: connectpsp.Payer{Name: "Ana", Document: "12345678909"}})
	require.NoError(m.t, err)
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	require.NoError(m.t, m.gateway.PayCashIn(charge.TransactionID))
	require.NoError(m.t, m.gateway.WaitWebhooks(ctx))
	require.NoError(m.t, m.gateway.Redeliver(charge.TransactionID))
	require.NoError(m.t, m.gateway.WaitWebhooks(ctx))
	return number(m.t, m.db, `SELECT centavos FROM wallets`)
}

func TestAHandWrittenReceiverCreditsTwiceAndItsReplacementOnce(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		m := newMigration(t, s)
		assert.Equal(t, 200_00, m.deposit(pix.Centavos(50_00), http.HandlerFunc(m.creditEachDelivery)))
		m = newMigration(t, s)
		assert.Equal(t, 200_00, m.deposit(pix.Centavos(50_00), http.HandlerFunc(m.creditEachEventID)))
		m = newMigration(t, s)
		assert.Equal(t, 150_00, m.depositThroughAnInbox(pix.Centavos(50_00), nil))
	})
}

func TestAWithdrawalOfMoreThanTheWalletHoldsIsRefusedAndOneThatFailsIsGivenBackOnce(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		m := newMigration(t, s)
		tooMuch := wanted
		tooMuch.centavos = 100_01
		require.Error(t, requestPayout(t.Context(), m.db, tooMuch))
		assert.Equal(t, 100_00, number(t, m.db, `SELECT centavos FROM wallets`))
		assert.Equal(t, 0, number(t, m.db, `SELECT count(*) FROM withdrawals`))

		require.NoError(t, requestPayout(t.Context(), m.db, wanted))
		client := m.process()
		require.NoError(t, m.pay(client))
		payment := m.gateway.CashOuts().ByReference(wanted.reference)[0]
		require.NoError(t, m.gateway.FailCashOut(payment.TransactionID, "PIX_KEY_NOT_FOUND", "There is no such key."))
		inbox := openInbox(t, s, m.db)
		worker := webhook.NewWorker(inbox, client, creditOnce)
		require.NoError(t, worker.WatchCashOut(t.Context(), payment.TransactionID))
		execute(t, m.db, `UPDATE connectpsp_queue SET due_at = 0`)
		for worked := true; worked; {
			var err error
			worked, err = worker.Work(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, 100_00, number(t, m.db, `SELECT centavos FROM wallets`))
		assert.Equal(t, 1, number(t, m.db, `SELECT count(*) FROM withdrawals WHERE state = 'GIVEN BACK'`))
	})
}

func TestBothReceiversAtOnceCreditADepositOnce(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		m := newMigration(t, s)
		assert.Equal(t, 150_00, m.depositThroughAnInbox(pix.Centavos(50_00), func(handler http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				r.Body = io.NopCloser(bytes.NewReader(body))
				m.creditOpenDeposit(w, r)
				r.Body = io.NopCloser(bytes.NewReader(body))
				handler.ServeHTTP(w, r)
			})
		}))
	})
}

func TestAHandWrittenReceiverLosesACentavoAndItsReplacementNone(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		m := newMigration(t, s)
		assert.Equal(t, 100_00+2*19_98, m.deposit(pix.Centavos(19_99), http.HandlerFunc(m.creditEachDelivery)))
		m = newMigration(t, s)
		assert.Equal(t, 100_00+19_99, m.depositThroughAnInbox(pix.Centavos(19_99), nil))
	})
}

// depositThroughAnInbox is deposit after the migration. It ends when the Worker has applied both
// deliveries. Beside, if not nil, wraps the handler.
func (m *migration) depositThroughAnInbox(amount pix.Amount, beside func(http.Handler) http.Handler) int {
	inbox := openInbox(m.t, m.server, m.db)
	handler, err := webhook.NewHandler(inbox, m.gateway.Config().CryptoToken)
	require.NoError(m.t, err)
	var receiver http.Handler = handler
	if beside != nil {
		receiver = beside(handler)
	}
	m.deposit(amount, receiver)
	credited := make(chan struct{}, 9)
	worker := webhook.NewWorker(inbox, m.process(), func(ctx context.Context, step webhook.Transition) error {
		err := creditOnce(ctx, step)
		credited <- struct{}{}
		return err
	})
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = worker.Run(ctx)
	}()
	select {
	case <-credited:
	case <-ctx.Done():
		m.t.Error("the deposit was not credited in time")
	}
	require.Eventually(m.t, func() bool {
		state, err := inbox.State(m.t.Context())
		return err == nil && state.Due == 0 && state.Held == 0
	}, time.Minute, 10*time.Millisecond)
	cancel()
	<-ended
	return number(m.t, m.db, `SELECT centavos FROM wallets`)
}

var comments = regexp.MustCompile(`(?m)^[ \t]*//.*\n|[ \t]+//.*$`)

// The code of the page is what the tests above run.
func TestThePageAboutMigratingShowsTheCodeThatIsTested(t *testing.T) {
	var tested strings.Builder
	for _, file := range []string{"handwritten_test.go", "migrated_test.go"} {
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		tested.WriteString(comments.ReplaceAllString(string(code), ""))
	}
	for _, page := range []string{"../docs/migrating.md", "../docs/pt-BR/migrating.md"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, snippets)
		for _, snippet := range snippets {
			for declaration := range strings.SplitSeq(comments.ReplaceAllString(snippet[1], ""), "\n\n") {
				assert.True(t, strings.Contains(tested.String(), strings.TrimSpace(declaration)+"\n"), "%s shows code that no test runs: %s", page, declaration)
			}
		}
	}
}

// The checklist asks for the withdrawals that were given back while their outcome was unknown, and
// for the bodies that a job should have erased.
func TestTheQueriesOfTheChecklistFindWhatTheyAskFor(t *testing.T) {
	s := servers[0]
	require.Equal(t, sqlstore.PostgreSQL, s.dialect)
	page, err := os.ReadFile("../docs/go-live.md")
	require.NoError(t, err)
	queries := regexp.MustCompile("`(SELECT [^`]+)`").FindAllStringSubmatch(string(page), -1)
	require.Len(t, queries, 2)
	given, bodies := queries[0][1], queries[1][1]

	m := newMigration(t, s)
	require.NoError(t, requestPayout(t.Context(), m.db, wanted))
	m.fail(sandbox.LoseAnswer)
	require.Error(t, m.pay(m.process()))
	given = `SELECT count(*) FROM (` + given + `) AS found`
	assert.Equal(t, 0, number(t, m.db, given))
	execute(t, m.db, `UPDATE withdrawals SET state = 'GIVEN BACK'`)
	assert.Equal(t, 1, number(t, m.db, given))

	m = newMigration(t, s)
	m.depositThroughAnInbox(pix.Centavos(50_00), nil)
	assert.Equal(t, 0, number(t, m.db, bodies))
	execute(t, m.db, `UPDATE connectpsp_event SET received_at = received_at - 32 * 86400 * 1000000::bigint`)
	assert.Equal(t, 1, number(t, m.db, bodies))
	_, err = openInbox(t, s, m.db).Forget(t.Context(), time.Now().AddDate(0, 0, -30))
	require.NoError(t, err)
	assert.Equal(t, 0, number(t, m.db, bodies))
}

// tablesOfThePage returns the statements of a page that make tables.
func tablesOfThePage(t *testing.T, path string) (statements []string) {
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?s)```sql\n(CREATE TABLE.*?)```").FindAllStringSubmatch(string(page), -1) {
		for _, statement := range strings.SplitAfter(block[1], ";\n") {
			if strings.TrimSpace(statement) != "" {
				statements = append(statements, statement)
			}
		}
	}
	require.NotEmpty(t, statements)
	return statements
}
