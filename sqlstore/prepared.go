package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// PgBouncer in transaction mode gives each transaction the next free session. A driver that
// prepares a statement in one transaction and executes it in the next, as pgx does by default, then
// finds that the session does not have it, or has it already, or, without a name, it executes that
// of another client. A pooler may also keep statements with names itself, as PgBouncer does from
// 1.21 on.

// execution is how the driver has executed a statement.
type execution struct {
	session int64 // the server's process
	atOnce  bool  // it was parsed in the transaction in which it was executed
	named   bool
}

// The server replaces the text 'now' when it parses a statement, and calls now() when it executes
// it. Its list of prepared statements has none without a name.
const executionStatement = `SELECT pg_backend_pid(), 'now'::timestamptz = now(),
	EXISTS (SELECT 1 FROM pg_prepared_statements WHERE statement LIKE '%pg_prepared_statements%') WHERE $1 <> ''`

// executionRounds is how often two connections are asked. On a busy server they may meet different
// sessions by chance, but not each time.
const executionRounds = 5

var errPrepared = errors.New("sqlstore: the database is behind a pooler that gives each transaction another session, such as PgBouncer " +
	"in transaction mode, and the driver executes statements that it prepared in an earlier one: they would fail, or a statement of " +
	"another client would run in their place. Nothing was changed. Add default_query_exec_mode=exec to the connection string of pgx " +
	"(cache_describe and simple_protocol work too), or binary_parameters=yes to that of lib/pq; or set pool_mode=session in PgBouncer")

// checkPrepared returns errPrepared if what the driver prepares is lost between transactions.
func (s *Store) checkPrepared(ctx context.Context) error {
	if s.dialect != PostgreSQL {
		return nil
	}
	first, err := s.db.Conn(ctx)
	if err != nil {
		return wrap(err)
	}
	defer first.Close()
	before, err := executed(ctx, first)
	if err != nil || before.atOnce {
		return err
	}
	connections := []*sql.Conn{first}
	if second := s.otherConnection(ctx); second != nil {
		defer second.Close()
		connections = []*sql.Conn{first, first, second}
	}
	own := map[*sql.Conn]int64{first: before.session} // the session of each connection
	for range executionRounds {
		for _, connection := range connections {
			now, err := executed(ctx, connection)
			if err != nil {
				return err
			}
			for other, session := range own {
				if (other == connection) != (session == now.session) && !now.named {
					return errPrepared
				}
			}
			own[connection] = now.session
		}
	}
	return nil
}

// otherConnection returns a second connection, nil if there is to be one only or none is free:
// those that open a Store at the same time must not wait for each other.
func (s *Store) otherConnection(ctx context.Context) *sql.Conn {
	if s.db.Stats().MaxOpenConnections == 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	connection, err := s.db.Conn(ctx)
	if err != nil {
		return nil
	}
	return connection
}

// executed executes a statement with a parameter, outside of a transaction. The statement cannot
// fail by itself: if it does on a connection that still answers, another was executed, or none.
func executed(ctx context.Context, connection *sql.Conn) (e execution, err error) {
	err = connection.QueryRowContext(ctx, executionStatement, "parameter").Scan(&e.session, &e.atOnce, &e.named)
	if err != nil && connection.PingContext(ctx) == nil {
		return e, fmt.Errorf("%w: %w", errPrepared, err)
	}
	return e, wrap(err)
}

// isLostStatement reports whether the server has not found a prepared statement, has found one with
// other parameters, or has the name already. Drivers tell the state by a method.
func isLostStatement(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && slices.Contains([]string{"26000", "08P01", "42P05"}, state.SQLState())
}
