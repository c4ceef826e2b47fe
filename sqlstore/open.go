package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/observe"
)

// Store stores events, payments and tokens in a database. Make it with [Open]. It needs no Close:
// the database is the caller's. The zero value is not usable. Goroutines may share a Store, and any
// number of processes may have one on the same database.
type Store struct {
	db      *sql.DB
	dialect Dialect
	names   *strings.Replacer // writes a statement for the dialect and the namespace
	owner   string            // names this Store among those on the database
	strict  bool              // the database's default isolation is not READ COMMITTED

	observers *observe.Guard // of the journal's writes, nil if nobody observes

	inbox   *Inbox
	journal *Journal
}

// Option configures a [Store]. A nil Option is not allowed.
type Option func(*settings)

type settings struct {
	namespace string
	observers []observe.Observer
}

// WithNamespace separates integrations that share a database: each namespace has tables of its own,
// whose names begin with connectpsp_ and the namespace. A name has up to 30 lower-case letters,
// digits and underscores, and begins with a letter. Without this option, or with an empty name, the
// names begin with connectpsp_ alone.
func WithNamespace(name string) Option {
	return func(s *settings) { s.namespace = name }
}

// WithObserver shows each [connectpsp.JournalWrite] of the [Journal] to observer; give it to the
// client, the Handler and the Worker too. Given more than once, all observers see them, in this
// order. That an observer is late or panics goes to the [slog.Default] of the time of [Open], at
// level warning. Nil is like no observer.
func WithObserver(observer connectpsp.Observer) Option {
	return func(s *settings) {
		if observer != nil {
			s.observers = append(s.observers, observer)
		}
	}
}

var namespaceForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,29}$`)

func settingsOf(options []Option) (s settings) {
	for _, option := range options {
		option(&s)
	}
	return s
}

// names returns what writes statements for a dialect.
func (s settings) names(dialect Dialect) (*strings.Replacer, error) {
	switch name := s.namespace; {
	case dialect != PostgreSQL && dialect != SQLite:
		return nil, errors.New("sqlstore: the dialect must be PostgreSQL or SQLite")
	case name != "" && !namespaceForm.MatchString(name):
		return nil, fmt.Errorf("sqlstore: the namespace %q must have up to 30 small letters, digits and underscores, "+
			"and begin with a letter", name)
	case name != "":
		return dialect.replacer("connectpsp_" + name + "_"), nil
	default:
		return dialect.replacer("connectpsp_"), nil
	}
}

// Open returns a [Store] on db, and creates or updates its tables. If the tables are up to date it
// only reads their version: it waits for no lock, and needs no right to change tables.
//
// The error says what is wrong and what to do: the namespace is not a name, the dialect is not the
// database's, the database is too old, its tables are of a newer version of this package, or they
// are missing and this user may not create them, or the driver keeps prepared statements behind a
// pooler that does not. Any other error is the database's.
func Open(ctx context.Context, db *sql.DB, dialect Dialect, options ...Option) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlstore: Open needs a database")
	}
	settings := settingsOf(options)
	names, err := settings.names(dialect)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db: db, dialect: dialect, names: names, owner: uuid.NewString(),
		observers: observe.New(slog.Default(), settings.observers...),
	}
	made, err := s.probe(ctx, s.db)
	if err != nil {
		return nil, err
	}
	if err := s.checkPrepared(ctx); err != nil {
		return nil, err
	}
	if err := s.upgrade(ctx, made); err != nil {
		return nil, err
	}
	s.inbox, s.journal = newInbox(s), newJournal(s)
	return s, nil
}

// probe checks that the database is of the dialect and new enough, and reports whether there is a
// table of versions.
func (s *Store) probe(ctx context.Context, db querier) (made bool, err error) {
	var version, isolation string
	row := db.QueryRowContext(ctx, s.text(s.dialect.probe()))
	if err := row.Scan(&version, &isolation, &made); isLostStatement(err) {
		return false, errPrepared
	} else if err != nil {
		if other := db.QueryRowContext(ctx, `SELECT 1`).Scan(new(int)); other != nil {
			return false, fmt.Errorf("sqlstore: the database does not answer: %w", other)
		}
		return false, fmt.Errorf("sqlstore: the database is not %v: give Open the dialect of its driver: %w", s.dialect, err)
	}
	if !s.dialect.supports(version) {
		return false, fmt.Errorf("sqlstore: %v %s is too old: %s or newer is needed", s.dialect, version, s.dialect.oldest())
	}
	s.strict = isolation != "read committed"
	return made, nil
}

// text writes a statement for the dialect and the namespace.
func (s *Store) text(statement string) string { return s.names.Replace(statement) }

// Inbox returns the [webhook.Inbox] in the database. It returns the same one each time, so a
// Handler and a Worker of this Store share it, and each new event wakes the Worker.
func (s *Store) Inbox() *Inbox { return s.inbox }

// Journal returns the [connectpsp.Journal] in the database. It returns the same one each time, so
// the clients of a process that share it lock each payment.
func (s *Store) Journal() *Journal { return s.journal }
