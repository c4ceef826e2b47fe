package integration

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/pgproxy"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// outage is a way in which a database stops to record payments.
type outage struct {
	name    string
	cause   string // in the errors
	meaning string // in the error of a payment
	// prepare may change the connection, and returns what begins and what ends the outage.
	prepare func(t *testing.T, c *cluster, admin *sql.DB, config *pgx.ConnConfig) (begin, end func())
}

const (
	// Another process that has begun the payment may still send it: that it was not sent here cannot
	// be recorded either.
	perhapsSentLater = "so Recover may still send it"
	// Without the database an earlier call for the payment is not seen.
	perhapsSentBefore = "the journal cannot say whether an earlier call was sent"
)

var outages = []outage{
	{"a read-only database", "read-only transaction", perhapsSentLater, makeReadOnly},
	{"a full disk", "No space left on device", perhapsSentLater, fillDisk},
	{"a right that was revoked", "permission denied", perhapsSentLater, revokeRights},
	{"a wrong password", "password authentication failed", perhapsSentBefore, changePassword},
	{"a server that was stopped", "failed to connect", perhapsSentBefore, stopServer},
	{"a server that crashed", "failed to connect", perhapsSentBefore, crashServer},
	{"a failover to a standby", "read-only transaction", perhapsSentLater, failOver},
}

func makeReadOnly(t *testing.T, _ *cluster, admin *sql.DB, config *pgx.ConnConfig) (begin, end func()) {
	set := func(value string) {
		execute(t, admin, `ALTER DATABASE `+config.Database+` SET default_transaction_read_only = `+value)
		disconnect(t, admin, config)
	}
	return func() { set("on") }, func() { set("off") }
}

// fillDisk moves the database to a small disk.
func fillDisk(t *testing.T, c *cluster, admin *sql.DB, config *pgx.ConnConfig) (begin, end func()) {
	disk := filepath.Join(c.directory, "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	options := "size=20m"
	if c.owner != nil {
		options += ",mode=700,uid=" + strconv.Itoa(int(c.owner.Uid))
	}
	if err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", disk).Run(); err != nil {
		t.Skip("no small disk can be mounted, which takes root: ", err)
	}
	t.Cleanup(func() {
		c.run(t, "psql", "-h", c.directory, "-U", "connectpsp", "-d", "postgres",
			"-c", "DROP DATABASE "+config.Database+" WITH (FORCE)", "-c", "DROP TABLESPACE small")
		require.NoError(t, syscall.Unmount(disk, 0))
	})
	execute(t, admin, `CREATE TABLESPACE small LOCATION '`+disk+`'`)
	execute(t, admin, `ALTER DATABASE `+config.Database+` SET TABLESPACE small`)
	filler := filepath.Join(disk, "filler")
	begin = func() {
		file, err := os.Create(filler)
		require.NoError(t, err)
		defer file.Close()
		for block := make([]byte, 4096); err == nil; {
			_, err = file.Write(block)
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
	return begin, func() { require.NoError(t, os.Remove(filler)) }
}

func revokeRights(t *testing.T, c *cluster, admin *sql.DB, config *pgx.ConnConfig) (begin, end func()) {
	config.User = "owner"
	execute(t, admin, `CREATE ROLE owner LOGIN`)
	execute(t, admin, `ALTER DATABASE `+config.Database+` OWNER TO owner`)
	inside := stdlib.OpenDB(*c.config(t, config.Database))
	t.Cleanup(func() { require.NoError(t, inside.Close()) })
	const rights = ` INSERT, UPDATE ON ALL TABLES IN SCHEMA public `
	return func() { execute(t, inside, `REVOKE`+rights+`FROM owner`) }, func() { execute(t, inside, `GRANT`+rights+`TO owner`) }
}

const databasePassword = "a-password-of-the-database"

func changePassword(t *testing.T, c *cluster, admin *sql.DB, config *pgx.ConnConfig) (begin, end func()) {
	config.User, config.Password = "app", databasePassword
	execute(t, admin, `CREATE ROLE app LOGIN SUPERUSER PASSWORD '`+databasePassword+`'`)
	file := filepath.Join(c.data(), "pg_hba.conf")
	rules, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append([]byte("local all app scram-sha-256\n"), rules...), 0o600))
	execute(t, admin, `SELECT pg_reload_conf()`)
	begin = func() {
		execute(t, admin, `ALTER ROLE app PASSWORD 'another'`)
		disconnect(t, admin, config)
	}
	return begin, func() { execute(t, admin, `ALTER ROLE app PASSWORD '`+databasePassword+`'`) }
}

func stopServer(t *testing.T, c *cluster, _ *sql.DB, _ *pgx.ConnConfig) (begin, end func()) {
	return func() { c.stop(t, "fast") }, func() { c.start(t) }
}

func crashServer(t *testing.T, c *cluster, _ *sql.DB, _ *pgx.ConnConfig) (begin, end func()) {
	return func() { c.stop(t, "immediate") }, func() { c.start(t) }
}

// failOver leads the connections to a standby, which is promoted at the end of the outage.
func failOver(t *testing.T, c *cluster, admin *sql.DB, config *pgx.ConnConfig) (begin, end func()) {
	standby := newDirectory(t)
	standby.run(t, "pg_basebackup", "-h", c.directory, "-U", "connectpsp", "-D", standby.data(), "-R", "-c", "fast", "--no-sync")
	standby.start(t)
	replica := stdlib.OpenDB(*standby.config(t, "postgres"))
	t.Cleanup(func() { require.NoError(t, replica.Close()) })
	proxy, err := pgproxy.Start(c.socket(), func() pgproxy.Fate { return pgproxy.Pass })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	config.Host = proxy.Host()
	begin = func() {
		var written string
		require.NoError(t, admin.QueryRowContext(t.Context(), `SELECT pg_current_wal_lsn()`).Scan(&written))
		require.Eventually(t, func() bool {
			return number(t, replica, `SELECT count(*) WHERE pg_last_wal_replay_lsn() >= $1`, written) == 1
		}, 30*time.Second, 10*time.Millisecond)
		proxy.Switch(standby.socket())
	}
	return begin, func() { execute(t, replica, `SELECT pg_promote()`) }
}

// disconnect ends all sessions of a database.
func disconnect(t *testing.T, admin *sql.DB, config *pgx.ConnConfig) {
	execute(t, admin, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1`, config.Database)
}

// later is when the leases are over, and what failed is due again.
const later = `UPDATE connectpsp_queue SET due_at = (extract(epoch FROM now()) * 1000000)::bigint, leased_until = 0 WHERE due_at IS NOT NULL`

// platform pays, books events and fetches tokens, on a database that fails.
type platform struct {
	*storm
	db      *sql.DB
	ledger  *ledger
	gateway *sandbox.Sandbox
	client  *connectpsp.Client
	issuer  *issuer
	tokens  auth.TokenSource
}

// newPlatform makes the tables, of the platform too. It calls during in the first transaction that
// books an event.
func newPlatform(t *testing.T, db *sql.DB, during func()) *platform {
	p := &platform{storm: &storm{t: t}, db: db, issuer: newIssuer(t)}
	p.ledger, p.gateway = newLedger(t)
	store := openStore(t, servers[0], db)
	p.client = process(t, p.gateway, store)
	p.tokens = p.issuer.tokens(t, store, "1024", tokenKey)
	execute(t, db, `CREATE TABLE wallet (id text PRIMARY KEY, credits integer NOT NULL)`)
	execute(t, db, `INSERT INTO wallet (id, credits) VALUES ('t1', 0), ('t2', 0)`)
	during = sync.OnceFunc(during)
	p.receive(store.Inbox(), func(ctx context.Context, step webhook.Transition) error {
		_, err := sqlstore.Tx(ctx).ExecContext(ctx, `UPDATE wallet SET credits = credits + 1 WHERE id = $1`, step.TransactionID)
		during()
		return err
	})
	return p
}

// post delivers the event that a charge was paid, and returns the status of the response.
func (p *platform) post(id string) int {
	return post(p.handler, currentSecret, life{id: id, kind: webhook.KindCashIn}.body(paid, 18))
}

func (p *platform) pay(t *testing.T) error {
	_, err := p.client.CreateCashOut(t.Context(), withdrawal("withdrawal-1", pix.Centavos(100)))
	return err
}

func TestWhileTheDatabaseFailsNothingIsSentAndAfterItEachIsDoneOnce(t *testing.T) {
	c := newCluster(t)
	for n, outage := range outages {
		t.Run(outage.name, func(t *testing.T) {
			admin := stdlib.OpenDB(*c.config(t, "postgres"))
			defer admin.Close()
			config := c.config(t, fmt.Sprint("test", n))
			execute(t, admin, `CREATE DATABASE `+config.Database)
			begin, end := outage.prepare(t, c, admin, config)
			db := stdlib.OpenDB(*config)
			defer db.Close()
			db.SetMaxOpenConns(2)
			begun := false
			p := newPlatform(t, db, func() {
				begin()
				begun = true
			})
			before := balance(t, p.gateway)
			require.Equal(t, http.StatusOK, p.post("t1"))
			_, _ = p.worker.Work(t.Context())
			require.True(t, begun)

			err := p.pay(t)
			require.Error(t, err)
			for _, says := range []string{"this call sent nothing", outage.cause, outage.meaning} {
				assert.ErrorContains(t, err, says)
			}
			assert.NotContains(t, err.Error(), databasePassword)
			assert.Zero(t, p.ledger.requests)
			_, err = p.tokens.Token(t.Context())
			assert.ErrorContains(t, err, outage.cause)
			assert.Zero(t, p.issuer.issued.Load())
			delivered := p.post("t2") // a full disk may have room for it

			end()
			// A connection that was broken meanwhile is one more error.
			for range 5 {
				if err = p.pay(t); err == nil {
					break
				}
			}
			require.NoError(t, err)
			assert.Equal(t, 1, p.ledger.requests)
			assert.Equal(t, before.Centavos()-100, balance(t, p.gateway).Centavos())
			assert.Equal(t, "header.payload.secret1", token(t, p.tokens))
			if delivered != http.StatusOK {
				require.Equal(t, http.StatusServiceUnavailable, delivered)
				require.Equal(t, http.StatusOK, p.post("t2"))
			}
			require.Eventually(t, func() bool {
				execute(t, db, later)
				_, err := p.worker.Work(t.Context())
				require.NoError(t, err)
				return number(t, db, `SELECT count(*) FROM connectpsp_queue`) == 0
			}, time.Minute, 10*time.Millisecond)
			assert.Equal(t, 2, number(t, db, `SELECT count(*) FROM wallet WHERE credits = 1`))
		})
	}
}
