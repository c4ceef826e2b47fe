package main

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/internal/pgproxy"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestAWithdrawalWhoseCommitWasLostIsDebitedOnce(t *testing.T) {
	const withdrawals = 100
	p := newPlatform(t)
	var next atomic.Int64 // the fate of the next commit
	config, err := pgx.ParseConfig(p.database)
	require.NoError(t, err)
	_, socket := pgconn.NetworkAddress(config.Host, config.Port)
	proxy, err := pgproxy.Start(socket, func() pgproxy.Fate { return pgproxy.Fate(next.Swap(int64(pgproxy.Pass))) })
	require.NoError(t, err)
	defer proxy.Close()
	config.Host, config.Port = proxy.Host(), 5432
	db := stdlib.OpenDB(*config)
	defer db.Close()
	jobs, err := river.NewClient(riverdatabasesql.New(db), &river.Config{})
	require.NoError(t, err)
	cut := &books{db, jobs}

	require.NoError(t, p.books.deposit(t.Context(), player, pix.Centavos(withdrawals*amount.Centavos())))
	p.execute(t, "UPDATE control SET player_limit = 1000000000")
	for n := range withdrawals {
		w := newWithdrawal(fmt.Sprint("withdrawal-", n))
		lost := []pgproxy.Fate{pgproxy.LoseRequest, pgproxy.LoseResponse}[n%2]
		next.Store(int64(lost))
		_, err := cut.withdraw(t.Context(), w)
		require.Error(t, err, "it cannot tell whether it was committed")
		made := 0
		if lost == pgproxy.LoseResponse {
			made = 1
		}
		require.Equal(t, made, p.number(t, "SELECT count(*) FROM withdrawal WHERE reference = $1", w.reference))
		state, err := cut.withdraw(t.Context(), w)
		require.NoError(t, err)
		require.Equal(t, statePending, state)
	}
	assert.Equal(t, withdrawals, p.number(t, "SELECT count(*) FROM river_job"))
	p.requireBooks(t, nothing, pix.Centavos(withdrawals*amount.Centavos()), nothing)
}

// A payout commits when it is about to be sent, and when it was accepted.
func TestAPayoutWhoseCommitWasLostIsPaidAndBookedOnce(t *testing.T) {
	p := newPlatform(t)
	references := p.requestMany(t, 60)
	var lost, commits atomic.Int64 // the fate of the commit that is counted down to
	config, err := pgx.ParseConfig(p.database)
	require.NoError(t, err)
	_, socket := pgconn.NetworkAddress(config.Host, config.Port)
	proxy, err := pgproxy.Start(socket, func() pgproxy.Fate {
		if commits.Add(-1) == 0 {
			return pgproxy.Fate(lost.Load())
		}
		return pgproxy.Pass
	})
	require.NoError(t, err)
	defer proxy.Close()
	cut, err := open(t.Context(), fmt.Sprintf("host=%s port=5432 user=%s dbname=%s", proxy.Host(), config.User, config.Database), p.logger)
	require.NoError(t, err)
	defer cut.close()
	require.NoError(t, cut.connect(t.Context(), p.bank.Config()))
	worker := newPayer(t, cut, "")
	failed := 0
	for n, reference := range references {
		lost.Store(int64([]pgproxy.Fate{pgproxy.LoseRequest, pgproxy.LoseResponse}[n%2]))
		commits.Store(int64(1 + n/2%3))
		for again := time.Second; again > 0; {
			again, err = worker.pay(t.Context(), reference)
			if err != nil {
				failed++
			}
		}
		require.Len(t, p.bank.paid(reference), 1)
	}
	assert.Greater(t, failed, 15, "times that a payout was not sent, because the claim may have been lost")
	assert.Equal(t, len(references), p.number(t, "SELECT count(*) FROM withdrawal WHERE transaction_id <> ''"))
	p.requireBooks(t, nothing, pix.Centavos(int64(len(references))*amount.Centavos()), nothing)
}
