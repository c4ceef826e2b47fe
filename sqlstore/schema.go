package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

// Migration is one step of the schema.
type Migration struct {
	// Version is the version of the tables after this step. The first is 1.
	Version int
	// Statements must run in order, in one transaction. The last one writes Version into the table
	// of versions.
	Statements []string
}

// Migrations returns the steps that create the tables, for users who run migrations themselves.
// [Open] runs the steps that are missing. Migrations panics if an option or the dialect is not
// valid.
func Migrations(dialect Dialect, options ...Option) []Migration {
	names, err := settingsOf(options).names(dialect)
	if err != nil {
		panic(err)
	}
	var migrations []Migration
	for i, statements := range schema {
		migration := Migration{Version: i + 1}
		for _, statement := range statements {
			migration.Statements = append(migration.Statements, names.Replace(statement))
		}
		migrations = append(migrations, migration)
	}
	return migrations
}

// storage are the settings of a table whose rows are written a few times and then deleted: room on
// each page for the next version of a row, which then needs no new entries in the indexes, and a
// vacuum after a few thousand rows, however large the table is.
const storage = ` WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
	autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000)`

const createVersion = `CREATE TABLE IF NOT EXISTS connectpsp_version (version integer NOT NULL, usable_from integer NOT NULL)`

// schema are the steps of the schema. A step that was released is never changed: add one. Its last
// statement sets the version, and usable_from to the oldest version of this package that works on
// the tables: a program of before goes on during an update as long as that is not above its own. A
// step alters one table of the inbox at most: the statements of such a program lock these tables in
// no fixed order, so a step that locks two of them may meet one in a deadlock.
//
// Keys are compared byte by byte, because end-to-end ids differ in case.
var schema = [][]string{{
	createVersion,
	// An event stays for ever, and only its body is ever changed. So it is not written anew when it
	// is claimed and when it is done: the queue is.
	`CREATE TABLE connectpsp_event (
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key          text COLLATE "C" NOT NULL UNIQUE,
	body         bytea,
	body_sha256  bytea NOT NULL,
	received_at  bigint NOT NULL
)`,
	`CREATE INDEX connectpsp_event_body ON connectpsp_event (received_at) WHERE body IS NOT NULL`,
	// An item of the queue that is held has no due_at. Neither leased_until nor claim is indexed,
	// so that a claim leaves no dead entries in front of the next.
	`CREATE TABLE connectpsp_queue (
	id           bigint NOT NULL PRIMARY KEY,
	key          text COLLATE "C" NOT NULL,
	"transaction" text COLLATE "C" NOT NULL,
	delivery_id  text NOT NULL,
	received_at  bigint NOT NULL,
	due_at       bigint,
	leased_until bigint NOT NULL DEFAULT 0,
	claim        text NOT NULL DEFAULT '',
	attempts     integer NOT NULL DEFAULT 0,
	reason       text NOT NULL DEFAULT ''
)` + storage,
	`CREATE INDEX connectpsp_queue_due ON connectpsp_queue (due_at, id) WHERE due_at IS NOT NULL`,
	`CREATE INDEX connectpsp_queue_held ON connectpsp_queue (received_at) WHERE due_at IS NULL`,
	`CREATE TABLE connectpsp_state (
	key        text COLLATE "C" NOT NULL PRIMARY KEY,
	status     text NOT NULL DEFAULT '',
	returns    text NOT NULL DEFAULT '',
	centavos   bigint NOT NULL DEFAULT 0,
	reference  text NOT NULL DEFAULT '',
	payment_id text NOT NULL DEFAULT '',
	changed_at bigint NOT NULL DEFAULT 0
)`,
	`CREATE TABLE connectpsp_payment (
	payment            text COLLATE "C" NOT NULL PRIMARY KEY,
	key                text COLLATE "C" NOT NULL,
	operation          text NOT NULL,
	external_reference text NOT NULL,
	charge_id          text NOT NULL,
	transaction_id     text NOT NULL,
	centavos           bigint NOT NULL,
	body_sha256        text NOT NULL,
	client_id          text NOT NULL,
	base_url           text NOT NULL,
	body               bytea,
	outcome            text NOT NULL DEFAULT '',
	begun_at           bigint NOT NULL,
	sent_at            bigint,
	ended_at           bigint,
	owner              text NOT NULL,
	leased_until       bigint NOT NULL,
	epoch              bigint NOT NULL
)`,
	// Not unique: of two that write the same payment at the same time, one would fail by its key
	// before it sees that the payment is there. Begin looks a key up.
	`CREATE INDEX connectpsp_payment_key ON connectpsp_payment (key) WHERE outcome <> 'REJECTED'`,
	`CREATE INDEX connectpsp_payment_open ON connectpsp_payment (begun_at) WHERE outcome = ''`,
	`CREATE INDEX connectpsp_payment_ended ON connectpsp_payment (ended_at) WHERE outcome <> ''`,
	`CREATE TABLE connectpsp_token (
	integration   text COLLATE "C" NOT NULL PRIMARY KEY,
	version       bigint NOT NULL DEFAULT 0,
	sealed        bytea,
	renew_at      bigint NOT NULL DEFAULT 0,
	ends_at       bigint NOT NULL DEFAULT 0,
	fetcher       text NOT NULL,
	fetched_until bigint NOT NULL,
	failure       integer
)`,
	`INSERT INTO connectpsp_version (version, usable_from) VALUES (1, 1)`,
}, {
	`ALTER TABLE connectpsp_payment ADD COLUMN due_by bigint`,
	`INSERT INTO connectpsp_version (version, usable_from) VALUES (2, 1)`,
}}

// upgrade brings the tables up to date. Made says that there is a table of versions.
func (s *Store) upgrade(ctx context.Context, made bool) error {
	missing := 1
	if made {
		var err error
		if missing, err = s.missing(ctx, s.db); err != nil {
			return wrap(err)
		}
	}
	if missing > len(schema) {
		return nil
	}
	err := s.inTransaction(ctx, func(tx *sql.Tx) error { return s.migrate(ctx, tx, made) })
	if err != nil {
		// Another may have made them, also one that is not seen before this transaction ends.
		if now, failure := s.missing(ctx, s.db); failure == nil && now > len(schema) {
			return nil
		}
		remedy := "run the statements of Migrations as a user who may, or grant the right to"
		if s.dialect == SQLite {
			remedy = "see that the file can be written, and open it with a busy timeout, such as _pragma=busy_timeout(10000)"
		}
		return fmt.Errorf("sqlstore: the tables cannot be made or updated; %s: %w", remedy, err)
	}
	return nil
}

// missing returns the version of the first step that is to be run.
func (s *Store) missing(ctx context.Context, db querier) (int, error) {
	var version, usableFrom int
	err := db.QueryRowContext(ctx, s.text(`SELECT coalesce(max(version), 0), coalesce(max(usable_from), 0) FROM connectpsp_version`)).
		Scan(&version, &usableFrom)
	switch {
	case err != nil:
		return 0, fmt.Errorf("the version of the tables cannot be read: %w", err)
	case usableFrom > len(schema):
		return 0, fmt.Errorf("the tables have version %d, and this version of the package works on those up to %d: update it",
			version, len(schema))
	}
	return version + 1, nil
}

// migrate runs the steps that are missing, after others that do the same. Made says that there is a
// table of versions.
func (s *Store) migrate(ctx context.Context, tx *sql.Tx, made bool) error {
	if err := s.lockSchema(ctx, tx, made); err != nil {
		return err
	}
	made, err := s.probe(ctx, tx)
	if err != nil {
		return err
	}
	missing := 1
	if made {
		if missing, err = s.missing(ctx, tx); err != nil {
			return err
		}
	}
	for ; missing <= len(schema); missing++ {
		for _, statement := range schema[missing-1] {
			if _, err := tx.ExecContext(ctx, s.text(statement)); err != nil {
				return err
			}
		}
	}
	return nil
}

// lockSchema waits for others that migrate, until the transaction ends. On SQLite the first
// statement that writes does that.
func (s *Store) lockSchema(ctx context.Context, tx *sql.Tx, made bool) error {
	statements := []string{createVersion}
	switch {
	case s.dialect == PostgreSQL:
		// The statements of a step wait no longer than that for a lock, such as one of a backup:
		// they would hold up everybody who comes after them.
		statements = []string{`SELECT pg_advisory_xact_lock(hashtextextended('connectpsp_version', 0))`, `SET LOCAL lock_timeout = '10s'`}
	case made:
		statements = []string{lockStatement}
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, s.text(statement)); err != nil {
			return err
		}
	}
	return nil
}
