package integration

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
)

// faultyConn is a connection to PostgreSQL on which a statement may seem to fail.
type faultyConn struct {
	*stdlib.Conn
	faults *faults
}

type faults struct {
	driver.Driver
	next func(run func() (driver.Result, error)) (driver.Result, error) // of the next INSERT or UPDATE, nil for none
}

func (f *faults) Open(name string) (driver.Conn, error) {
	conn, err := f.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	return &faultyConn{conn.(*stdlib.Conn), f}, nil
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, arguments []driver.NamedValue) (driver.Result, error) {
	run := func() (driver.Result, error) { // also after the call has ended
		return c.Conn.ExecContext(context.WithoutCancel(ctx), query, arguments)
	}
	next := c.faults.next
	if next == nil || strings.Contains(query, "_version") {
		return run()
	}
	c.faults.next = nil
	return next(run)
}

type faultyConnector struct {
	*faults
	address string
}

func (c faultyConnector) Connect(context.Context) (driver.Conn, error) { return c.Open(c.address) }
func (c faultyConnector) Driver() driver.Driver                        { return c.faults }

var errCut = errors.New("the connection was cut")
