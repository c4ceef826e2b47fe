package main

import (
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// newDatabase sets DATABASE_URL to a database of a service.
func (s *shell) newDatabase(options ...sqlstore.Option) (*sqlstore.Store, *sql.DB) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "wallet.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	require.NoError(s.t, err)
	s.t.Cleanup(func() { assert.NoError(s.t, db.Close()) })
	store, err := sqlstore.Open(s.t.Context(), db, sqlstore.SQLite, options...)
	require.NoError(s.t, err)
	if s.vars == nil {
		s.vars = map[string]string{}
	}
	s.vars["DATABASE_URL"] = "sqlite:" + path
	return store, db
}

// newPostgres makes the tables of a service in PostgreSQL, in the namespace doctor.
func (s *shell) newPostgres(address string) {
	s.t.Helper()
	db, err := sql.Open("pgx", address)
	require.NoError(s.t, err)
	defer db.Close()
	_, err = sqlstore.Open(s.t.Context(), db, sqlstore.PostgreSQL, sqlstore.WithNamespace("doctor"))
	require.NoError(s.t, err)
}

func TestHeldEventsAreListedRetriedAndDismissed(t *testing.T) {
	s := &shell{t: t}
	store, _ := s.newDatabase(sqlstore.WithNamespace("bets"))
	for _, key := range []string{"CASHIN_PAID/a/1", "CASHIN_PAID/b/2"} {
		_, err := store.Inbox().Put(t.Context(), webhook.Item{Key: key, Transaction: "CASHIN/a", Body: []byte(`{"name":"` + fullName + `"}`),
			ReceivedAt: time.Now(), Held: "the order does not exist"})
		require.NoError(t, err)
	}
	var text strings.Builder
	for _, args := range [][]string{
		{"inbox", "list", "--namespace", "bets"},
		{"inbox", "list", "--namespace", "bets", "--limit", "1", "--json"},
		{"inbox", "retry", "CASHIN_PAID/a/1", "--namespace", "bets"},
		{"inbox", "retry", "CASHIN_PAID/a/1", "--namespace", "bets"},
		{"inbox", "dismiss", "CASHIN_PAID/b/2", "--namespace", "bets"},
		{"inbox", "dismiss", "CASHIN_PAID/b/2", "--namespace", "bets", "--yes", "--json"},
		{"inbox", "list", "--namespace", "bets"},
	} {
		s.transcribe(&text, args, s.run(args...))
	}
	s.compare("inbox", text.String())
	claims, err := store.Inbox().Claim(t.Context(), time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, claims, 1, "one is due again, and one is gone")
	assert.Equal(t, "CASHIN_PAID/a/1", claims[0].Key)
}

func TestADatabaseThatIsNotAServicesIsLeftAsItIs(t *testing.T) {
	s := &shell{t: t}
	_, db := s.newDatabase()
	_, err := db.Exec("UPDATE connectpsp_version SET version = 0")
	require.NoError(t, err)
	o := s.run("inbox", "list")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "the service creates and updates the tables")
	o = s.run("inbox", "list", "--namespace", "other")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "check DATABASE_URL and --namespace")
	var tables int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'connectpsp_other%'").Scan(&tables))
	assert.Zero(t, tables)
}

func TestAWrongDatabaseIsNamedWithoutItsPassword(t *testing.T) {
	for address, code := range map[string]int{
		"":                                  exitUsage,
		"mysql://user:hidden-word@host/db":  exitUsage,
		"postgres://user:hidden-word@h:x/d": exitFailed,
		"postgres://user:hidden-word@127.0.0.1:1/db?connect_timeout=5": exitFailed,
		"sqlite:" + filepath.Join(t.TempDir(), "absent.db"):            exitFailed,
	} {
		s := &shell{t: t, vars: map[string]string{"DATABASE_URL": address}}
		o := s.run("inbox", "list")
		assert.Equal(t, code, o.code, o.stderr)
		assert.Contains(t, o.stderr, "DATABASE_URL")
		assert.NotContains(t, o.stderr, "hidden-word")
		assert.Equal(t, 1, strings.Count(o.stderr, "\n"), o.stderr)
	}
	s := &shell{t: t}
	s.newDatabase()
	assert.Equal(t, exitUsage, s.run("inbox", "list", "--namespace", "a; DROP TABLE b").code)
	assert.Equal(t, exitUsage, s.run("inbox", "list", "--limit", "0").code)
}

func TestAPaymentInTheJournalOfAServiceIsLeftToIt(t *testing.T) {
	s := newShell(t)
	store, _ := s.newDatabase()
	client, err := connectpsp.New(s.box.Config(), connectpsp.WithJournal(store.Journal()),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}), connectpsp.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	s.box.FailNext("createCashOut", sandbox.LoseAnswer)
	_, err = client.CreateCashOut(t.Context(), connectpsp.CashOutRequest{Amount: pix.Centavos(30_00), ExternalReference: "withdrawal-1",
		Payee: connectpsp.Payee{Name: fullName, Document: cpf, Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, cpf)}})
	require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)

	o := s.run("journal", "list", "--database", "--json")
	require.Equal(t, exitDone, o.code, o.stderr)
	open := decode[intentsResult](t, o).Open
	require.Len(t, open, 1)
	assert.Equal(t, "open", open[0].State)
	assert.True(t, open[0].Leased)
	text := s.run("journal", "list", "--database").stdout
	assert.Contains(t, text, "open, leased")
	assert.Contains(t, text, "journal  DATABASE_URL\n")
	o = s.run("journal", "finish", open[0].IdempotencyKey, "--outcome", "rejected", "--database", "--yes")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "another process works on the payment")
	assert.Equal(t, pix.Centavos(30_00), s.paid())
}

func TestAJournalThatIsNotThereNamesTheOneOfTheService(t *testing.T) {
	s := newShell(t)
	finish := []string{"journal", "finish", "a", "--outcome", "accepted", "--yes"}
	s.refuses(exitUsage, "there is no journal", "journal", "list")
	assert.NotContains(t, s.run("journal", "list").stderr, "--database", "there is none")
	s.newDatabase()
	s.refuses(exitUsage, "give --database to read the journal of a service", "journal", "list")
	s.refuses(exitUsage, "give --database to read the journal of a service", finish...)
	s.refuses(exitFailed, "the journal (DATABASE_URL) has no open payment", append(finish, "--database")...)
}

func TestTheJournalIsListedAndAPaymentIsEnded(t *testing.T) {
	s := newShell(t)
	assert.Equal(t, exitUsage, s.run("journal", "list").code, "there is none yet")
	s.box.FailNext("createCashOut", lost...)
	require.Equal(t, exitUnknown, s.run(cashOut("withdrawal-1", "--yes")...).code)
	key := decode[intentsResult](t, s.run("journal", "list", "--json")).Open[0].IdempotencyKey
	s.golden("journal",
		[]string{"journal", "list"},
		[]string{"journal", "finish", key, "--outcome", "accepted"},
		[]string{"journal", "finish", key, "--outcome", "done", "--yes"},
		[]string{"journal", "finish", "0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e", "--outcome", "accepted", "--yes"},
		[]string{"journal", "finish", key, "--outcome", "accepted", "--yes"},
		[]string{"journal", "finish", key, "--outcome", "rejected", "--yes"},
		[]string{"journal", "list", "--json"},
	)
}

func TestAPaymentIsEndedAsRejectedOnlyAfterAWarning(t *testing.T) {
	s := newShell(t)
	s.box.FailNext("createCashOut", lost...)
	require.Equal(t, exitUnknown, s.run(cashOut("withdrawal-1", "--yes")...).code)
	key := decode[intentsResult](t, s.run("journal", "list", "--json")).Open[0].IdempotencyKey
	o := s.typed("n\n", "journal", "finish", key, "--outcome", "rejected")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "it can then be paid twice")
	assert.Contains(t, o.stderr, s.vars["CONNECTPSP_JOURNAL"], "the journal is named before the answer")
	assert.Len(t, decode[intentsResult](t, s.run("journal", "list", "--json")).Open, 1)
	assert.Equal(t, exitDone, s.typed("y\n", "journal", "finish", key, "--outcome", "rejected").code)
	ended := decode[intentsResult](t, s.run("journal", "list", "--json")).Ended
	require.Len(t, ended, 1)
	assert.Equal(t, "rejected", ended[0].State)
	o = s.run("cash-out", "resolve", "--reference", "withdrawal-1")
	assert.Equal(t, exitRejected, o.code, o.stderr)
}

func TestTwoCommandsDoNotShareTheFileOfAJournal(t *testing.T) {
	s := newShell(t)
	flags := journalFlags{file: s.vars["CONNECTPSP_JOURNAL"]}
	a := &app{variable: func(string) string { return "" }}
	_, closeJournal, err := flags.open(t.Context(), a, nil, true)
	require.NoError(t, err)
	o := s.run(cashOut("withdrawal-1", "--yes")...)
	assert.Equal(t, exitFailed, o.code, "an earlier command may have sent it, so this is not \"not sent\"")
	assert.Contains(t, o.stderr, "this command sent no payment; whether an earlier one did is not known: journal: another process has it open")
	assert.Zero(t, s.requests.Load())
	require.NoError(t, closeJournal())
}

func TestAPaymentThatHasEndedIsNotShownAsLeased(t *testing.T) {
	open := connectpsp.Intent{IdempotencyKey: "a", SentAt: time.Now(), Leased: true}
	assert.True(t, newIntentLine(open).Leased)
	open.Outcome = connectpsp.OutcomeAccepted
	assert.False(t, newIntentLine(open).Leased)
}

func TestADatabaseFileThatIsNotThereIsNamed(t *testing.T) {
	s := &shell{t: t, vars: map[string]string{"DATABASE_URL": "sqlite:absent.db"}}
	o := s.run("inbox", "list")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "the database of DATABASE_URL: there is no file absent.db: correct the path")
	assert.NoFileExists(t, "absent.db")
}
