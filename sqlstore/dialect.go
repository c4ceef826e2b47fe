package sqlstore

import (
	"strconv"
	"strings"
)

// Dialect is the kind of a database. The zero value is not valid.
type Dialect int

const (
	// PostgreSQL is PostgreSQL 13 or newer.
	PostgreSQL Dialect = iota + 1
	// SQLite is SQLite 3.35 or newer. Open it with a busy timeout of some seconds, such as
	// _pragma=busy_timeout(10000): it has one writer at a time, and the others must wait.
	SQLite
)

// String returns the name of the database.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	default:
		return "Dialect(" + strconv.Itoa(int(d)) + ")"
	}
}

// replacer returns what writes statements for the dialect. They are written for PostgreSQL, with
// the clock of the database, in microseconds since 1970, as NOW, and with tables that begin with
// connectpsp_. NOW stands still within a statement, so that an index can be searched by it.
//
// SQLite compares text byte by byte by itself, locks the database as a whole, numbers parameters
// as ?1, and has no types of columns but these.
func (d Dialect) replacer(prefix string) *strings.Replacer {
	if d == SQLite {
		return strings.NewReplacer("connectpsp_", prefix,
			"NOW", `CAST((julianday('now') - 2440587.5) * 86400000000 AS integer)`,
			"FOR UPDATE OF item FOR UPDATE OF state SKIP LOCKED", "", "FOR UPDATE SKIP LOCKED", "", "$", "?",
			` COLLATE "C"`, "", "bytea", "blob", "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "integer PRIMARY KEY", "bigint", "integer",
			storage, "")
	}
	return strings.NewReplacer("connectpsp_", prefix, "NOW", `(extract(epoch FROM statement_timestamp()) * 1000000)::bigint`)
}

// among returns the condition that a row is among those that are selected from a table. Their
// places are looked up, whatever PostgreSQL takes the sizes of the tables to be: it counts the rows
// of a queue when that is empty, and would then read all of it for each claim.
func (d Dialect) among(from string) string {
	if d == SQLite {
		return `rowid IN (SELECT rowid FROM ` + from + `)`
	}
	return `ctid = ANY (ARRAY(SELECT ctid FROM ` + from + `))`
}

// probe is the statement that asks a database for its version, its default isolation, and whether
// it has the table of versions. It is an error on a database of another dialect.
func (d Dialect) probe() string {
	if d == SQLite {
		return `SELECT sqlite_version(), 'read committed', EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'connectpsp_version')`
	}
	return `SELECT current_setting('server_version_num'), current_setting('default_transaction_isolation'),
		to_regclass('connectpsp_version') IS NOT NULL`
}

func (d Dialect) oldest() string {
	if d == SQLite {
		return "3.35"
	}
	return "13"
}

// supports reports whether a version, as the database tells it, is new enough: 130000 and 3.35.0
// are the oldest.
func (d Dialect) supports(version string) bool {
	if d == PostgreSQL {
		number, err := strconv.Atoi(version)
		return err == nil && number >= 130000
	}
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	minor, failure := strconv.Atoi(parts[1])
	return err == nil && failure == nil && (major > 3 || major == 3 && minor >= 35)
}
