package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestTwentyThatOpenAtOnceMakeTheTablesOnce(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := sqlstore.Open(t.Context(), db, s.dialect)
				assert.NoError(t, err)
			})
		}
		all.Wait()
		put(t, openInbox(t, s, db), item("a"))
		assert.Equal(t, len(sqlstore.Migrations(s.dialect)), number(t, db, `SELECT count(*) FROM connectpsp_version`))
	})
}

func TestAProgramOpensTablesOfALaterVersionThatSayItMay(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		openStore(t, s, db)
		execute(t, db, `INSERT INTO connectpsp_version (version, usable_from) VALUES (99, 1)`)
		put(t, openInbox(t, s, db), item("a"))

		execute(t, db, `INSERT INTO connectpsp_version (version, usable_from) VALUES (100, 99)`)
		_, err := sqlstore.Open(t.Context(), db, s.dialect)
		assert.ErrorContains(t, err, "version 100")
		assert.ErrorContains(t, err, "update it")
	})
}

// nextVersion are the statements of a made-up later version, which a program of this version works
// on.
var nextVersion = []string{
	`ALTER TABLE connectpsp_payment ADD COLUMN note text NOT NULL DEFAULT ''`,
	`ALTER TABLE connectpsp_event ADD COLUMN note text NOT NULL DEFAULT ''`,
	`ALTER TABLE connectpsp_queue ADD COLUMN note text NOT NULL DEFAULT ''`,
	`ALTER TABLE connectpsp_state ADD COLUMN note text NOT NULL DEFAULT ''`,
	`ALTER TABLE connectpsp_token ADD COLUMN note text NOT NULL DEFAULT ''`,
	`CREATE INDEX connectpsp_payment_note ON connectpsp_payment (note)`,
	`INSERT INTO connectpsp_version (version, usable_from) VALUES (3, 1)`,
}

// migrateAsLater updates the tables as Open of a later version would.
func migrateAsLater(t *testing.T, s server, db *sql.DB) error {
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	statements := nextVersion
	if s.dialect == sqlstore.PostgreSQL {
		statements = append([]string{`SELECT pg_advisory_xact_lock(hashtextextended('connectpsp_version', 0))`, `SET LOCAL lock_timeout = '10s'`},
			statements...)
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// isDeadlock reports whether PostgreSQL has ended a transaction because it and another one waited
// for each other. The inbox and the migration both use several tables.
func isDeadlock(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && failure.Code == "40P01"
}

func TestProgramsOfThePreviousVersionGoOnWhileALaterOneMigrates(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		const steps, processes = 20, 4
		ledger, gateway := newLedger(t)
		before := balance(t, gateway)
		issuer := newIssuer(t)
		execute(t, db, `CREATE TABLE effect (id text NOT NULL PRIMARY KEY)`)
		inbox := &storm{t: t}
		apply := func(ctx context.Context, step webhook.Transition) error {
			_, err := sqlstore.Tx(ctx).ExecContext(ctx, `INSERT INTO effect (id) VALUES ($1)`, step.TransactionID)
			return err
		}
		inbox.receive(openInbox(t, s, db), apply)
		work := func() (worked bool) {
			worked, err := inbox.worker.Work(t.Context())
			assert.True(t, err == nil || isDeadlock(err), err)
			return worked
		}
		half := make(chan struct{})
		var done atomic.Int64
		var working sync.WaitGroup
		for n := range processes {
			store := openStore(t, s, db)
			client, tokens := process(t, gateway, store), issuer.tokens(t, store, "1024", tokenKey)
			working.Go(func() {
				for step := range steps {
					_, err := client.CreateCashOut(t.Context(), withdrawal(fmt.Sprint("withdrawal-", n, "-", step), pix.Centavos(100)))
					assert.NoError(t, err)
					l := life{id: fmt.Sprintf("%08x-0000-4000-8000-%012x", n, step), kind: webhook.KindCashIn}
					for tries := 1; post(inbox.handler, currentSecret, l.body(paid, 18)) != http.StatusOK; tries++ {
						if !assert.Less(t, tries, 10, "it is not stored") {
							break
						}
					}
					work()
					got, err := tokens.Token(t.Context())
					assert.NoError(t, err)
					tokens.Invalidate(got)
					if done.Add(1) == steps*processes/2 {
						close(half)
					}
				}
			})
		}
		select {
		case <-half:
		case <-time.After(2 * time.Minute):
			t.Error("it is too slow")
		}
		err := migrateAsLater(t, s, db)
		for isDeadlock(err) {
			err = migrateAsLater(t, s, db)
		}
		require.NoError(t, err)
		assert.Less(t, done.Load(), int64(steps*processes), "the others are at work")
		_, err = sqlstore.Open(t.Context(), db, s.dialect)
		assert.NoError(t, err)
		working.Wait()
		assert.EqualValues(t, before.Centavos()-steps*processes*100, balance(t, gateway).Centavos())
		assert.Equal(t, steps*processes, ledger.requests)
		assert.Equal(t, steps*processes, number(t, db, `SELECT count(*) FROM connectpsp_payment WHERE outcome = 'ACCEPTED' AND note = ''`))
		execute(t, db, `UPDATE connectpsp_queue SET due_at = 0, leased_until = 0`)
		inbox.receive(openInbox(t, s, db), apply) // as a process that starts: it looks at the whole queue
		for work() {
		}
		assert.Equal(t, steps*processes, number(t, db, `SELECT count(*) FROM effect`))
	})
}

// The statements with which version 1 of the tables is used, in their order: a payment is sent,
// looked up, and accepted.
const (
	writeOfVersion1 = `INSERT INTO connectpsp_payment (payment, key, operation, external_reference, charge_id, transaction_id, centavos,
	body_sha256, client_id, base_url, body, begun_at, sent_at, owner, leased_until, epoch)
VALUES ($1, $1, 'createCashOut', $2, '', '', 100, '', '1024', 'https://gateway.example', NULL, $3, $3, 'old', 0, 1)
ON CONFLICT (payment) DO UPDATE SET key = excluded.key, begun_at = excluded.begun_at, sent_at = excluded.sent_at, ended_at = NULL,
	outcome = '', owner = excluded.owner, leased_until = excluded.leased_until, epoch = excluded.epoch
WHERE connectpsp_payment.epoch = 1 AND connectpsp_payment.outcome = 'REJECTED'`
	readOfVersion1 = `SELECT key, operation, external_reference, charge_id, transaction_id, centavos, body_sha256, client_id, base_url,
	body, outcome, epoch, owner, begun_at, sent_at, ended_at, owner <> $1 AND leased_until > 0
FROM connectpsp_payment WHERE payment = $2`
	acceptOfVersion1 = `UPDATE connectpsp_payment SET outcome = 'ACCEPTED', body = NULL, ended_at = sent_at, transaction_id = 't'
WHERE key = $1 AND outcome <> 'REJECTED' AND outcome <> 'ACCEPTED'`
)

// A fleet is updated one process after the other.
func TestAProgramOfVersion1GoesOnWhileTheTablesGetTheDueTime(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		for _, statement := range sqlstore.Migrations(s.dialect)[0].Statements {
			execute(t, db, statement)
		}
		begun, enough := make(chan struct{}), make(chan struct{})
		var old sync.WaitGroup
		var payments []connectpsp.Intent
		old.Go(func() {
			for n := 0; ; n++ {
				intent := connectpsp.Intent{
					Operation: connectpsp.OperationCreateCashOut, IdempotencyKey: fmt.Sprint("createCashOut/old-", n), ExternalReference: fmt.Sprint("old-", n),
				}
				run := func(statement string, arguments ...any) {
					_, err := db.ExecContext(t.Context(), statement, arguments...)
					assert.NoError(t, err)
				}
				run(writeOfVersion1, intent.IdempotencyKey, intent.ExternalReference, time.Now().UnixMicro())
				run(readOfVersion1, "old", intent.IdempotencyKey)
				if n%2 == 0 {
					run(acceptOfVersion1, intent.IdempotencyKey)
				}
				payments = append(payments, intent)
				if n == 10 {
					close(begun)
				}
				select {
				case <-enough:
					if n > 20 {
						return
					}
				default:
				}
			}
		})
		select {
		case <-begun:
		case <-time.After(time.Minute):
			require.Fail(t, "it is too slow")
		}
		journal := openStore(t, s, db).Journal()
		close(enough)
		old.Wait()
		assert.Equal(t, 2, number(t, db, `SELECT max(version) FROM connectpsp_version`))
		assert.Equal(t, 1, number(t, db, `SELECT max(usable_from) FROM connectpsp_version`))
		for n, intent := range payments {
			found, err := journal.Find(t.Context(), intent)
			require.NoError(t, err)
			require.NotNil(t, found)
			assert.Zero(t, found.DueBy)
			assert.Equal(t, n%2 == 0, found.Outcome == connectpsp.OutcomeAccepted)
		}

		due := connectpsp.Intent{
			Operation: connectpsp.OperationCreateCashOut, IdempotencyKey: "key", ExternalReference: "due", DueBy: time.UnixMilli(1_700_000_000_000).UTC(),
		}
		_, err := journal.Begin(t.Context(), due)
		require.NoError(t, err)
		require.NoError(t, journal.Sent(t.Context(), due.IdempotencyKey, time.Now()))
		execute(t, db, acceptOfVersion1, due.IdempotencyKey)
		found, err := openStore(t, s, db).Journal().Find(t.Context(), due)
		require.NoError(t, err)
		require.NotNil(t, found)
		assert.Equal(t, due.DueBy, found.DueBy)
		assert.Equal(t, connectpsp.OutcomeAccepted, found.Outcome)
	})
}

// A backup holds a lock on every table for as long as it takes, or another process writes.
func TestTablesThatAreUpToDateAreOpenedWithoutALock(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		openStore(t, s, db)
		other, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { assert.NoError(t, other.Rollback()) }()
		for _, statement := range map[sqlstore.Dialect][]string{
			sqlstore.PostgreSQL: {
				`LOCK TABLE connectpsp_version, connectpsp_event, connectpsp_queue, connectpsp_state IN ACCESS SHARE MODE`,
				`SELECT pg_advisory_xact_lock(hashtextextended('connectpsp_version', 0))`,
			},
			sqlstore.SQLite: {`DELETE FROM connectpsp_version WHERE version < 0`},
		}[s.dialect] {
			_, err = other.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = sqlstore.Open(ctx, db, s.dialect)
		assert.NoError(t, err)
	})
}

func TestTablesThatAreUpToDateAreUsedWithoutTheRightToMakeAny(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		if s.dialect == sqlstore.SQLite {
			t.Skip("SQLite has no rights")
		}
		db.SetMaxOpenConns(1) // SET ROLE is of a session
		role := fmt.Sprintf("app_%d", time.Now().UnixNano())
		execute(t, db, `CREATE ROLE `+role)
		defer execute(t, db, `RESET ROLE; DROP OWNED BY `+role+`; DROP ROLE `+role)
		execute(t, db, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
		execute(t, db, `SET ROLE `+role)
		_, err := sqlstore.Open(t.Context(), db, s.dialect)
		assert.ErrorContains(t, err, "run the statements of Migrations")

		execute(t, db, `RESET ROLE`)
		openStore(t, s, db)
		execute(t, db, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO `+role)
		execute(t, db, `SET ROLE `+role)
		inbox := openInbox(t, s, db)
		put(t, inbox, item("a"))
		assert.NoError(t, inbox.Complete(t.Context(), claim(t, inbox), done))
	})
}

func TestTheTablesCanBeMadeByHand(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		for _, option := range []sqlstore.Option{sqlstore.WithNamespace(""), sqlstore.WithNamespace("shop_2")} {
			for n, migration := range sqlstore.Migrations(s.dialect, option) {
				assert.Equal(t, n+1, migration.Version)
				for _, statement := range migration.Statements {
					execute(t, db, statement)
				}
			}
			store, err := sqlstore.Open(t.Context(), db, s.dialect, option)
			require.NoError(t, err)
			put(t, store.Inbox(), item("a"))
		}
	})
}

func TestNamespacesShareNothing(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inboxes := map[string]*sqlstore.Inbox{}
		for _, name := range []string{"", "shop", "inbox", "queue"} {
			inboxes[name] = openStore(t, s, db, sqlstore.WithNamespace(name)).Inbox()
			put(t, inboxes[name], item("a"))
		}
		for name, inbox := range inboxes {
			require.NoError(t, inbox.Complete(t.Context(), claim(t, inbox), done), name)
			assert.Nil(t, claim(t, inbox), name)
		}
	})
}

func TestAStoreThatCouldNotWorkIsNotOpened(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		_, err := sqlstore.Open(t.Context(), nil, s.dialect)
		assert.ErrorContains(t, err, "needs a database")
		_, err = sqlstore.Open(t.Context(), db, 0)
		assert.ErrorContains(t, err, "PostgreSQL or SQLite")
		for _, name := range []string{"Shop", "2shop", "_shop", "a;b", "shop\n", "água", "a234567890123456789012345678901"} {
			_, err = sqlstore.Open(t.Context(), db, s.dialect, sqlstore.WithNamespace(name))
			assert.ErrorContains(t, err, "the namespace", name)
			assert.Panics(t, func() { sqlstore.Migrations(s.dialect, sqlstore.WithNamespace(name)) })
		}
		other := sqlstore.PostgreSQL + sqlstore.SQLite - s.dialect
		_, err = sqlstore.Open(t.Context(), db, other)
		assert.ErrorContains(t, err, "the database is not "+other.String())
		assert.ErrorContains(t, err, "dialect")

		require.NoError(t, db.Close())
		_, err = sqlstore.Open(t.Context(), db, s.dialect)
		assert.ErrorContains(t, err, "does not answer")
	})
	assert.Panics(t, func() { sqlstore.Tx(t.Context()) })
}

// An inbox keeps every event for ever, and is asked ten times a second: neither what is due nor
// what is held nor what is to be forgotten may be looked for among all that is done.
func TestWhatIsDueIsFoundHoweverMuchIsDone(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		inbox := openInbox(t, s, db)
		execute(t, db, `INSERT INTO connectpsp_event (key, body_sha256, received_at)
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 20000)
SELECT 'done' || n, $1, n FROM number`, []byte("body"))
		held := item("held")
		held.Held = "it is unreadable"
		put(t, inbox, item("due"), held)
		execute(t, db, `ANALYZE`)
		explain := "EXPLAIN QUERY PLAN "
		if s.dialect == sqlstore.PostgreSQL {
			explain = "EXPLAIN "
		}
		for query, index := range map[string]string{
			`SELECT id FROM connectpsp_event WHERE body IS NOT NULL AND received_at < 5000 ORDER BY received_at LIMIT 10`: "connectpsp_event_body",
			`SELECT body FROM connectpsp_event WHERE key = 'a'`:                                                           "key",
		} {
			assert.Contains(t, plan(t, db, explain+query), index)
		}
		assert.Equal(t, 2, number(t, db, `SELECT count(*) FROM connectpsp_queue`), "what is done is not in the queue")
	})
}
