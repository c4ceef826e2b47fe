package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

const template = "payouts_template"

// migrateOnce makes the database that those of the tests are copies of.
var migrateOnce = sync.OnceValues(func() (server string, err error) {
	server = os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if server == "" {
		return "", nil
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + template, "CREATE DATABASE " + template} {
		if _, err := admin.Exec(statement); err != nil {
			return "", err
		}
	}
	return server, migrate(context.Background(), databaseOn(server, template))
})

func databaseOn(server, name string) string {
	return strings.Replace(server, "dbname=postgres", "dbname="+name, 1)
}

var databases atomic.Int64

// newDatabase returns the address of a database with all tables and no rows.
func newDatabase(t testing.TB) string {
	t.Helper()
	server, err := migrateOnce()
	require.NoError(t, err)
	if server == "" {
		t.Skip("CONNECTPSP_TEST_POSTGRES is not set: .ci/with-postgres starts a server")
	}
	admin, err := sql.Open("pgx", server)
	require.NoError(t, err)
	defer admin.Close()
	return databaseOn(server, copyDatabase(t, admin, template))
}

// copyDatabase copies a database to which nobody is connected.
func copyDatabase(t testing.TB, admin *sql.DB, from string) (name string) {
	t.Helper()
	name = fmt.Sprintf("payouts_%d_%d", os.Getpid(), databases.Add(1))
	_, err := admin.Exec("CREATE DATABASE " + name + " TEMPLATE " + from)
	require.NoError(t, err)
	return name
}

// platform is the program on a database of its own, and the gateway.
type platform struct {
	*app
	database string
	bank     *bank
}

func newPlatform(t testing.TB, options ...sandbox.Option) *platform {
	t.Helper()
	p := &platform{database: newDatabase(t)}
	var err error
	p.bank, err = startBank(options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.bank.Close()) })
	p.app = p.newProcess(t)
	return p
}

// newProcess returns the program as another process would have it: on the same database and
// gateway.
func (p *platform) newProcess(t testing.TB) *app {
	t.Helper()
	a, err := open(t.Context(), p.database, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(a.close)
	require.NoError(t, a.connect(t.Context(), p.bank.Config()))
	return a
}

// backUp copies the database, to which nobody may be connected.
func (p *platform) backUp(t testing.TB) (address string) {
	t.Helper()
	server, err := migrateOnce()
	require.NoError(t, err)
	admin, err := sql.Open("pgx", server)
	require.NoError(t, err)
	defer admin.Close()
	_, name, _ := strings.Cut(p.database, "dbname=")
	return databaseOn(server, copyDatabase(t, admin, name))
}

// startReceiver receives webhooks until the test ends, and returns its address.
func (p *platform) startReceiver(t testing.TB) string {
	t.Helper()
	listener, url := listen(t)
	inBackground(t, func(ctx context.Context) error { return p.receive(ctx, listener, p.bank.Config()) })
	return url
}

// listen returns where webhooks are received, and their address.
func listen(t testing.TB) (listener net.Listener, url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listener, "http://" + listener.Addr().String() + webhookPath
}

// inBackground runs do until the test ends, or until stop is called.
func inBackground(t testing.TB, do func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(30 * time.Second):
			t.Error("it did not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// newPayer returns a worker of a process, without River.
func newPayer(t testing.TB, a *app, webhookURL string) *payer {
	t.Helper()
	p := &payer{
		client: a.client, books: a.books, stop: newStopSwitch(a.db), rate: &rateLimiter{db: a.db}, timeouts: defaultTimeouts.faster(8),
		webhookURL: webhookURL, logger: a.logger,
	}
	p.stop.set(nil)
	return p
}

const (
	player    = "ana"
	reference = "withdrawal-1"
	document  = "12345678909"
)

var amount = pix.Centavos(50_00)

func newWithdrawal(reference string) withdrawal {
	return withdrawal{reference, player, amount,
		connectpsp.Payee{Name: "Test User", Document: document, Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, document)}}
}

// request credits the player and withdraws.
func (p *platform) request(t testing.TB, references ...string) {
	t.Helper()
	require.NoError(t, p.books.deposit(t.Context(), player, pix.Centavos(amount.Centavos()*int64(len(references)))))
	for _, reference := range references {
		state, err := p.books.withdraw(t.Context(), newWithdrawal(reference))
		require.NoError(t, err)
		require.Equal(t, statePending, state)
	}
}

// pay lets a worker pay the withdrawal once.
func pay(t testing.TB, worker *payer) (again time.Duration) {
	t.Helper()
	again, _ = worker.pay(t.Context(), reference)
	return again
}

func (p *platform) number(t testing.TB, query string, arguments ...any) (n int) {
	t.Helper()
	require.NoError(t, p.db.QueryRowContext(t.Context(), query, arguments...).Scan(&n))
	return n
}

func (p *platform) execute(t testing.TB, statement string, arguments ...any) {
	t.Helper()
	_, err := p.db.ExecContext(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

func (p *platform) state(t testing.TB, reference string) (state state) {
	t.Helper()
	require.NoError(t, p.db.QueryRowContext(t.Context(), `SELECT state FROM withdrawal WHERE reference = $1`, reference).Scan(&state))
	return state
}

// newProcessLater returns another process, at a time when the leases of this one on payments are
// over.
func (p *platform) newProcessLater(t testing.TB) *app {
	t.Helper()
	p.execute(t, "UPDATE connectpsp_payment SET leased_until = 0")
	return p.newProcess(t)
}

// requireBooks checks what the player has and what was paid, that the books are equal with
// themselves, and that the gateway has paid the same.
func (p *platform) requireBooks(t testing.TB, balance, inFlight, paid pix.Amount) {
	t.Helper()
	has, err := p.books.balance(t.Context(), player)
	require.NoError(t, err)
	flight, err := p.books.account(t.Context(), accountInFlight)
	require.NoError(t, err)
	out, err := p.books.account(t.Context(), accountPaid)
	require.NoError(t, err)
	require.Equal(t, []pix.Amount{balance, inFlight, paid}, []pix.Amount{has, flight, out}, "balance, in flight, paid")
	require.NoError(t, p.books.audit(t.Context()))
}

// eventually waits until a condition holds.
func eventually(t testing.TB, condition func() bool, what string, arguments ...any) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 10*time.Millisecond, append([]any{what}, arguments...)...)
}
