package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/riverqueue/river"

	"github.com/connectpsp/connectpsp-go/pix"
)

// The accounts that are not a player's. An account has no row of its own: it is the sum of its
// entries.
const (
	accountDeposits = "deposits"  // what players have paid in
	accountInFlight = "in flight" // debited from players, and neither paid nor given back
	accountPaid     = "paid"      // what the gateway has paid out
)

// phase is the kind of an entry.
type phase string

const (
	phaseDeposit phase = "DEPOSIT"
	phasePending phase = "PENDING" // player → in flight
	phasePosted  phase = "POSTED"  // in flight → paid
	phaseVoided  phase = "VOIDED"  // in flight → player
)

// books are the accounts of the platform: players, withdrawals and entries. Goroutines may share
// them, and so may any number of processes.
type books struct {
	db   *sql.DB
	jobs *river.Client[*sql.Tx] // inserts jobs in the transactions of the books
}

// deposit credits a player, who is made if there is none.
func (b *books) deposit(ctx context.Context, player string, amount pix.Amount) error {
	return b.transaction(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO player (id, balance) VALUES ($1, $2)
			ON CONFLICT (id) DO UPDATE SET balance = player.balance + excluded.balance`, player, amount.Centavos())
		if err != nil {
			return err
		}
		return insertEntry(ctx, tx, phaseDeposit, "", accountDeposits, playerAccount(player), amount)
	})
}

// balance returns what a player may withdraw.
func (b *books) balance(ctx context.Context, player string) (pix.Amount, error) {
	var centavos int64
	err := b.db.QueryRowContext(ctx, `SELECT balance FROM player WHERE id = $1`, player).Scan(&centavos)
	return pix.Centavos(centavos), err
}

// account returns the sum of an account's entries.
func (b *books) account(ctx context.Context, name string) (pix.Amount, error) {
	var centavos int64
	err := b.db.QueryRowContext(ctx, `SELECT coalesce(sum(CASE WHEN to_account = $1 THEN centavos ELSE -centavos END), 0)
		FROM entry WHERE $1 IN (from_account, to_account)`, name).Scan(&centavos)
	return pix.Centavos(centavos), err
}

// audit compares the books with themselves, and returns an error that lists what differs: a
// player's balance from the player's entries, a withdrawal's state from its entries. Nil means that
// they are equal to the centavo.
func (b *books) audit(ctx context.Context) (err error) {
	rows, err := b.db.QueryContext(ctx, `
		SELECT 'player ' || p.id || ' has a balance of ' || balance || ' and entries of ' || coalesce(sum, 0)
		FROM player p LEFT JOIN (SELECT account, sum(centavos) AS sum
			FROM (SELECT to_account AS account, centavos FROM entry UNION ALL SELECT from_account, -centavos FROM entry) moved
			GROUP BY account) a ON account = 'player ' || p.id
		WHERE balance <> coalesce(sum, 0)
		UNION ALL
		SELECT 'withdrawal ' || reference || ' is ' || state || ' and has the entries ' || coalesce(phases, 'none')
		FROM withdrawal LEFT JOIN (SELECT withdrawal, string_agg(phase || ' ' || centavos, ', ' ORDER BY id) AS phases
			FROM entry GROUP BY withdrawal) e ON withdrawal = reference
		WHERE phases IS DISTINCT FROM 'PENDING ' || centavos ||
			CASE WHEN state IN ('POSTED', 'VOIDED') THEN ', ' || state || ' ' || centavos ELSE '' END`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var found []error
	for rows.Next() {
		var difference string
		if err := rows.Scan(&difference); err != nil {
			return err
		}
		found = append(found, errors.New(difference))
	}
	return errors.Join(append(found, rows.Err())...)
}

func playerAccount(player string) string { return "player " + player }

func insertEntry(ctx context.Context, tx *sql.Tx, phase phase, withdrawal, from, to string, amount pix.Amount) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO entry (withdrawal, phase, from_account, to_account, centavos)
		VALUES (nullif($1, ''), $2, $3, $4, $5)`, withdrawal, phase, from, to, amount.Centavos())
	return err
}

// transaction runs do in a transaction, and commits it if do returns nil. If the connection breaks
// during COMMIT, its error does not tell whether the transaction was committed: call again with the
// same reference.
func (b *books) transaction(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// raiseAlarm records that a person has to look at a withdrawal, and freezes its player. It moves no
// money: which of two contradicting facts is true is for a person to find out.
func raiseAlarm(ctx context.Context, tx *sql.Tx, reference, format string, arguments ...any) error {
	what := fmt.Sprintf(format, arguments...)
	_, err := tx.ExecContext(ctx, `INSERT INTO alarm (reference, what) VALUES ($1, $2) ON CONFLICT DO NOTHING`, reference, what)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE player SET frozen = $2
		WHERE id = (SELECT player FROM withdrawal WHERE reference = $1)`, reference, what)
	return err
}
