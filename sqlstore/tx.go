package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/connectpsp/connectpsp-go/internal/observe"
)

// querier is a database or a transaction of it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type stepKey struct{ observe.Own }

// step is the value in the context of a Worker's function.
type step struct {
	store *Store
	tx    *sql.Tx
}

// Tx returns the database transaction that completes a step, from the context of the function of a
// [webhook.Worker]. Do not commit it or roll it back. Tx panics if the context has none, as any
// other context and that of a [webhook.MemoryInbox] do.
func Tx(ctx context.Context) *sql.Tx {
	step, ok := ctx.Value(stepKey{}).(step)
	if !ok {
		panic("sqlstore: this is not the context of a Worker's function on a database")
	}
	return step.tx
}

// lockStatement takes SQLite's lock for writing and changes nothing.
const lockStatement = `DELETE FROM connectpsp_version WHERE version < 0`

// lockWriter takes the lock for writing at once on SQLite. A transaction that reads first and then
// writes would fail there if another has written in between.
func (s *Store) lockWriter(ctx context.Context, tx *sql.Tx) error {
	if s.dialect != SQLite {
		return nil
	}
	_, err := tx.ExecContext(ctx, s.text(lockStatement))
	return err
}

// commitTimeout ends a commit or a rollback that the server does not answer. On a network that
// loses packets in silence it would last for a quarter of an hour.
const commitTimeout = 10 * time.Second

// functionError is the error of the user's function, to be returned as it is.
type functionError struct{ error }

// inTransaction runs do in a transaction with the isolation that this package is written for,
// whatever the database's default is. Its error is the database's, as it is.
func (s *Store) inTransaction(ctx context.Context, do func(*sql.Tx) error) error {
	connection, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	options := &sql.TxOptions{}
	if s.dialect == PostgreSQL {
		options.Isolation = sql.LevelReadCommitted
	}
	// With ctx itself database/sql would roll back, and free the locks, at the end of ctx, under a
	// function that still runs. Only the begin ends with ctx.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	inTime := context.AfterFunc(ctx, cancel)
	tx, err := connection.BeginTx(running, options)
	if !inTime() || err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	defer func() {
		defer time.AfterFunc(commitTimeout, cancel).Stop()
		_ = tx.Rollback() // after a commit it does nothing
	}()
	if err := do(tx); err != nil {
		return err
	}
	defer time.AfterFunc(commitTimeout, cancel).Stop()
	return tx.Commit()
}

// atOnce runs do, which makes one statement: in a transaction only if the database's default is not
// the isolation that the statement is written for.
func (s *Store) atOnce(ctx context.Context, do func(querier) error) error {
	if !s.strict {
		return do(s.db)
	}
	return s.inTransaction(ctx, func(tx *sql.Tx) error { return do(tx) })
}

// change makes one statement and returns how many rows it has changed.
func (s *Store) change(ctx context.Context, statement string, arguments ...any) (changed int64, err error) {
	err = s.atOnce(ctx, func(db querier) error {
		result, err := db.ExecContext(ctx, s.text(statement), arguments...)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, wrap(err)
}

// changeWith is change, and calls also in the transaction of the statement if that has changed a
// row. A nil also does nothing.
func (s *Store) changeWith(ctx context.Context, also func(*sql.Tx) error, statement string, arguments ...any) (changed int64, err error) {
	if also == nil {
		return s.change(ctx, statement, arguments...)
	}
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.text(statement), arguments...)
		if err != nil {
			return err
		}
		if changed, err = result.RowsAffected(); err != nil || changed == 0 {
			return err
		}
		return call(also, tx)
	})
	return changed, wrap(err)
}

// with calls also in a transaction of its own. A nil also does nothing.
func (s *Store) with(ctx context.Context, also func(*sql.Tx) error) error {
	if also == nil {
		return nil
	}
	return wrap(s.inTransaction(ctx, func(tx *sql.Tx) error {
		if err := s.lockWriter(ctx, tx); err != nil {
			return err
		}
		return call(also, tx)
	}))
}

// call calls the user's function.
func call(also func(*sql.Tx) error, tx *sql.Tx) error {
	if err := also(tx); err != nil {
		return &functionError{err}
	}
	return nil
}

// both makes two statements that use the same parameters. On PostgreSQL they cost one round trip.
// The tables that they change must differ.
func (s *Store) both(ctx context.Context, tx querier, first, second string, arguments ...any) error {
	if s.dialect == PostgreSQL {
		_, err := tx.ExecContext(ctx, s.text("WITH first AS ("+first+") "+second), arguments...)
		return err
	}
	for _, statement := range []string{first, second} {
		if _, err := tx.ExecContext(ctx, s.text(statement), arguments...); err != nil {
			return err
		}
	}
	return nil
}

// wrap names the package in an error of the database, and leaves others as they are.
func wrap(err error) error {
	var function *functionError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &function):
		return function.error
	default:
		return fmt.Errorf("sqlstore: %w", err)
	}
}
