package sqlinbox

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Dialect is the kind of a database. The zero value is none.
type Dialect int

const (
	// PostgreSQL 13 or newer.
	PostgreSQL Dialect = iota + 1
	// SQLite 3.35 or newer.
	SQLite
)

// migrations are the steps of the schema, written for PostgreSQL. A step that was released is never
// changed: add one. Keys are compared byte by byte, because end-to-end ids differ in case.
var migrations = []string{
	`CREATE TABLE connectpsp_inbox (
	key          text COLLATE "C" NOT NULL PRIMARY KEY,
	transaction  text COLLATE "C" NOT NULL,
	body         bytea NOT NULL,
	body_sha256  bytea NOT NULL,
	delivery_id  text NOT NULL,
	received_at  bigint NOT NULL,
	state        text NOT NULL CHECK (state IN ('PENDING', 'DONE', 'HELD')),
	due_at       bigint NOT NULL,
	attempts     integer NOT NULL DEFAULT 0,
	claim        text NOT NULL DEFAULT '',
	reason       text NOT NULL DEFAULT '',
	finished_at  bigint
)`,
	`CREATE INDEX connectpsp_inbox_due ON connectpsp_inbox (due_at) WHERE state = 'PENDING'`,
	`CREATE INDEX connectpsp_inbox_held ON connectpsp_inbox (received_at) WHERE state = 'HELD'`,
	`CREATE TABLE connectpsp_transaction (
	key        text COLLATE "C" NOT NULL PRIMARY KEY,
	status     text NOT NULL,
	returns    text NOT NULL,
	centavos   bigint NOT NULL,
	reference  text NOT NULL,
	changed_at bigint NOT NULL
)`,
	`ALTER TABLE connectpsp_transaction ADD COLUMN payment_id text NOT NULL DEFAULT ''`,
	// The ids of the payments that were told of are in the keys of their events.
	`UPDATE connectpsp_transaction SET payment_id = coalesce((SELECT min(substr(i.key, length(connectpsp_transaction.key) + 7))
	FROM connectpsp_inbox i WHERE i.state = 'DONE' AND i.key >= 'CASHIN_PAID/' || substr(connectpsp_transaction.key, 8) || '/'
	AND i.key < 'CASHIN_PAID/' || substr(connectpsp_transaction.key, 8) || '0' AND i.key NOT LIKE '%#%'), '')
	WHERE key LIKE 'CASHIN/%' AND status IN ('PAID', 'REFUNDED') AND payment_id = ''`,
	`UPDATE connectpsp_transaction SET payment_id = coalesce((SELECT min(substr(i.key, length(connectpsp_transaction.key) + 12))
	FROM connectpsp_inbox i WHERE i.state = 'DONE' AND i.key >= 'CASHOUT_COMPLETED/' || substr(connectpsp_transaction.key, 9) || '/'
	AND i.key < 'CASHOUT_COMPLETED/' || substr(connectpsp_transaction.key, 9) || '0' AND i.key NOT LIKE '%#%'), '')
	WHERE key LIKE 'CASHOUT/%' AND status IN ('COMPLETED', 'REFUNDED') AND payment_id = ''`,
	// A UUID is the same in capitals.
	`UPDATE connectpsp_transaction SET key = 'CASHOUT/' || lower(substr(key, 9)) WHERE key LIKE 'CASHOUT/________-____-____-____-____________'
	AND NOT EXISTS (SELECT 1 FROM connectpsp_transaction other WHERE other.key = 'CASHOUT/' || lower(substr(connectpsp_transaction.key, 9)))`,
	`UPDATE connectpsp_inbox SET "transaction" = 'CASHOUT/' || lower(substr("transaction", 9))
	WHERE "transaction" LIKE 'CASHOUT/________-____-____-____-____________'`,
}

// Migrations returns the statements that make the tables, in order, for those who run their own
// migrations: run each once. The first two make connectpsp_schema, which says how many of the
// others were run. When you update, run those that a later version adds at the end, and set the
// version in connectpsp_schema to how many there are. Open runs the missing ones.
func Migrations(dialect Dialect) []string {
	all := []string{
		`CREATE TABLE connectpsp_schema (version integer NOT NULL)`,
		fmt.Sprintf(`INSERT INTO connectpsp_schema (version) VALUES (%d)`, len(migrations)),
	}
	for _, migration := range migrations {
		all = append(all, dialect.translate(migration))
	}
	return all
}

// translate writes a statement for the dialect. NOW in it is the database's clock, when the
// statement begins, in microseconds since
// 1970.
func (d Dialect) translate(statement string) string {
	if d == SQLite {
		// SQLite compares text byte by byte unless it is told otherwise.
		return strings.NewReplacer(` COLLATE "C"`, "", "bytea", "blob", "bigint", "integer", "FOR UPDATE SKIP LOCKED", "", "FOR UPDATE", "",
			"\ttransaction ", "\t\"transaction\" ", "NOW", `CAST((julianday('now') - 2440587.5) * 86400000000 AS integer)`).Replace(statement)
	}
	return strings.ReplaceAll(statement, "NOW", `(extract(epoch FROM statement_timestamp()) * 1000000)::bigint`)
}

// migrate brings the tables up to date. Several processes may do so at once.
func (i *Inbox) migrate(ctx context.Context) error {
	// Where they are up to date no lock is taken, which a backup would hold up, and no right to
	// change tables is needed.
	var made int
	err := i.db.QueryRowContext(ctx, `SELECT max(version) FROM connectpsp_schema`).Scan(&made)
	if err == nil && made == len(migrations) {
		return nil
	}
	if _, err := i.db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS connectpsp_schema (version integer NOT NULL)`); err != nil {
		// Two that make the same table at once may see each other. It is there then.
		if _, again := i.db.ExecContext(ctx, `SELECT version FROM connectpsp_schema WHERE version < 0`); again != nil {
			return err
		}
	}
	return i.inTransaction(ctx, func(tx *sql.Tx) error {
		// The first statement writes, so that SQLite takes its lock at once.
		if _, err := tx.ExecContext(ctx, i.lockSchema); err != nil {
			return err
		}
		version := 0
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM connectpsp_schema`).Scan(&version); err != nil {
			return err
		}
		if version > len(migrations) {
			return fmt.Errorf("the tables are of a newer version of this package")
		}
		for _, migration := range migrations[version:] {
			if _, err := tx.ExecContext(ctx, i.dialect.translate(migration)); err != nil {
				return err
			}
		}
		if version == len(migrations) {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM connectpsp_schema`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO connectpsp_schema (version) VALUES ($1)`, len(migrations))
		return err
	})
}
