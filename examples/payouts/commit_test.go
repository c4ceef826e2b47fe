package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

// commitLoser is a connection that breaks when the answer to a COMMIT arrives.
type commitLoser struct {
	net.Conn
	lose       *atomic.Int64 // how many answers to lose
	committing bool
}

// Write implements [net.Conn].
func (c *commitLoser) Write(p []byte) (int, error) {
	c.committing = bytes.Contains(p, []byte("commit\x00"))
	return c.Conn.Write(p)
}

// Read implements [net.Conn].
func (c *commitLoser) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.committing && c.lose.Add(-1) >= 0 {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func TestAWithdrawalWhoseCommitWasNotAnsweredIsDebitedOnce(t *testing.T) {
	const withdrawals = 100
	p := newPlatform(t)
	var lose atomic.Int64
	config, err := pgxpool.ParseConfig(p.database)
	require.NoError(t, err)
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		return &commitLoser{Conn: connection, lose: &lose}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	jobs, err := river.NewClient(riverdatabasesql.New(db), &river.Config{})
	require.NoError(t, err)
	cut := &books{db, jobs}

	require.NoError(t, p.books.deposit(t.Context(), player, pix.Centavos(withdrawals*amount.Centavos())))
	p.execute(t, "UPDATE control SET player_limit = 1000000000")
	for n := range withdrawals {
		w := newWithdrawal(fmt.Sprint("withdrawal-", n))
		lose.Store(1)
		_, err := cut.withdraw(t.Context(), w)
		require.Error(t, err, "its commit was not answered")
		state, err := cut.withdraw(t.Context(), w)
		require.NoError(t, err)
		require.Equal(t, statePending, state)
	}
	assert.Equal(t, withdrawals, p.number(t, "SELECT count(*) FROM river_job"))
	p.requireBooks(t, nothing, pix.Centavos(withdrawals*amount.Centavos()), nothing)
}
