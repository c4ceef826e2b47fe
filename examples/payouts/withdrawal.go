package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// state is where a withdrawal is. It is debited from the player in every state but VOIDED.
type state string

const (
	stateHeld    state = "HELD"    // a person must release or refuse it; it was never sent
	statePending state = "PENDING" // to be paid, or paid and not confirmed
	statePosted  state = "POSTED"  // paid
	stateVoided  state = "VOIDED"  // given back to the player, and closed for ever
)

// payWithin is how long after its request a withdrawal is due: what is pending after that is late,
// and nothing else. Its money stays debited, because it may still be paid.
const payWithin = 120 * time.Minute

// withdrawal is a player's wish for money. Its reference is the payment's externalReference: make
// one for each wish, before the first call, and keep it for all further ones.
type withdrawal struct {
	reference string
	player    string
	amount    pix.Amount
	payee     connectpsp.Payee // to a PIX key
}

// String returns the reference: the payee is personal data.
func (w withdrawal) String() string { return w.reference }

var (
	errNoFunds = errors.New("the player has less than the amount: nothing was debited")
	errFrozen  = errors.New("the player is frozen: nothing was debited; a person has to look at the alarms first")
	errReused  = errors.New("another withdrawal has this reference: nothing was debited; make a new reference for each withdrawal")
	errNotHeld = errors.New("there is no withdrawal with this reference that is held: nothing was changed")

	errExists = errors.New("the withdrawal exists") // for withdraw only
)

// withdraw debits the player, records the withdrawal and inserts the job that pays it, in one
// transaction: all three happen or none. A withdrawal over a limit is debited and held instead, for
// a person. Withdraw returns the state.
//
// Called again with the same withdrawal it changes nothing and returns the state by then. So after
// any other error than those above, such as a lost connection, call it again.
func (b *books) withdraw(ctx context.Context, w withdrawal) (state, error) {
	ctx, span := startSpan(ctx, "withdraw")
	defer span.End()
	state := statePending
	err := b.transaction(ctx, func(tx *sql.Tx) error {
		refusal, err := lockPlayer(ctx, tx, w)
		if err != nil {
			return err
		}
		// Only now: a request with this reference that is under way has the lock, and may be what
		// leaves the player too little.
		earlier, err := find(ctx, tx, w)
		switch {
		case !errors.Is(err, sql.ErrNoRows):
			state = earlier
			return err
		case refusal != nil:
			return refusal
		}
		if _, err := tx.ExecContext(ctx, `UPDATE player SET balance = balance - $2 WHERE id = $1`, w.player, w.amount.Centavos()); err != nil {
			return err
		}
		reason, err := overLimit(ctx, tx, w)
		if err != nil {
			return err
		}
		if reason != "" {
			state = stateHeld
		}
		destination := w.payee.Destination
		inserted, err := tx.ExecContext(ctx, `INSERT INTO withdrawal
			(reference, player, centavos, name, document, key_type, pix_key, state, reason, traceparent)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
			w.reference, w.player, w.amount.Centavos(), w.payee.Name, w.payee.Document, destination.PIXKeyType, destination.PIXKey, state, reason,
			traceparent(ctx))
		if err != nil {
			return err
		}
		if n, err := inserted.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errExists)
		}
		err = insertEntry(ctx, tx, phasePending, w.reference, playerAccount(w.player), accountInFlight, w.amount)
		if err != nil || state == stateHeld {
			return err
		}
		_, err = b.jobs.InsertTx(ctx, tx, payout{w.reference}, nil)
		return err
	})
	if errors.Is(err, errExists) { // of another player, inserted at the same time
		return b.withdraw(ctx, w)
	}
	return state, err
}

// find returns the state of a withdrawal, or sql.ErrNoRows if there is none with its reference.
func find(ctx context.Context, tx *sql.Tx, w withdrawal) (state, error) {
	var state state
	var same bool
	err := tx.QueryRowContext(ctx, `SELECT state, player = $2 AND centavos = $3 AND pix_key = $4 FROM withdrawal WHERE reference = $1`,
		w.reference, w.player, w.amount.Centavos(), w.payee.Destination.PIXKey).Scan(&state, &same)
	if err == nil && !same {
		return "", errReused
	}
	return state, err
}

// lockPlayer locks the player's row until the transaction ends. The refusal says why the player
// cannot withdraw the amount, nil if the player can.
func lockPlayer(ctx context.Context, tx *sql.Tx, w withdrawal) (refusal, err error) {
	var enough bool
	var frozen string
	err = tx.QueryRowContext(ctx, `SELECT balance >= $2, frozen FROM player WHERE id = $1 FOR NO KEY UPDATE`,
		w.player, w.amount.Centavos()).Scan(&enough, &frozen)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errNoFunds, nil
	case err != nil:
		return nil, err
	case frozen != "":
		return errFrozen, nil
	case !enough:
		return errNoFunds, nil
	}
	return nil, nil
}

// overLimit returns which limit the withdrawal exceeds, empty if none. The lock on the player's row
// makes the sum of the player exact. That of the hour is a row that all withdrawals of the hour
// change, for the millisecond until their transaction ends; payouts never touch it.
func overLimit(ctx context.Context, tx *sql.Tx, w withdrawal) (string, error) {
	var over bool
	err := tx.QueryRowContext(ctx, `SELECT $2 + coalesce((SELECT sum(centavos) FROM withdrawal
			WHERE player = $1 AND state <> 'VOIDED' AND requested_at > clock_timestamp() - interval '24 hours'), 0) > player_limit
		FROM control`, w.player, w.amount.Centavos()).Scan(&over)
	if err != nil || over {
		return "over the limit of a player in 24 hours", err
	}
	counted, err := tx.ExecContext(ctx, `INSERT INTO hourly_total AS t (hour, centavos)
		SELECT date_trunc('hour', clock_timestamp()), $1 FROM control WHERE $1 <= hour_limit
		ON CONFLICT (hour) DO UPDATE SET centavos = t.centavos + excluded.centavos
			WHERE t.centavos + excluded.centavos <= (SELECT hour_limit FROM control)`, w.amount.Centavos())
	if err != nil {
		return "", err
	}
	if n, err := counted.RowsAffected(); err != nil || n == 0 {
		return "over the limit of all players in an hour", err
	}
	return "", nil
}

// release has a withdrawal paid that is held.
func (b *books) release(ctx context.Context, reference string) error {
	return b.transaction(ctx, func(tx *sql.Tx) error {
		var frozen string
		err := tx.QueryRowContext(ctx, `UPDATE withdrawal SET state = 'PENDING', reason = '' FROM player
			WHERE reference = $1 AND state = 'HELD' AND player.id = player RETURNING frozen`, reference).Scan(&frozen)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return errNotHeld
		case err != nil:
			return err
		case frozen != "":
			return errFrozen
		}
		_, err = b.jobs.InsertTx(ctx, tx, payout{reference}, nil)
		return err
	})
}

// refuse gives a withdrawal that is held back to its player. The reason is for people.
func (b *books) refuse(ctx context.Context, reference, reason string) error {
	return b.transaction(ctx, func(tx *sql.Tx) error {
		r, err := lock(ctx, tx, reference)
		if errors.Is(err, sql.ErrNoRows) || err == nil && r.state != stateHeld {
			return errNotHeld
		}
		if err != nil {
			return err
		}
		return r.void(ctx, tx, "", reason)
	})
}

// record is a withdrawal as the database has it, locked until the transaction ends.
type record struct {
	reference, player, transactionID string
	state                            state
	amount                           pix.Amount
	fencingToken                     int64
	traceparent                      string
}

// lock returns the record of a withdrawal, or sql.ErrNoRows if there is none.
func lock(ctx context.Context, tx *sql.Tx, reference string) (*record, error) {
	r := &record{reference: reference}
	var centavos int64
	err := tx.QueryRowContext(ctx, `SELECT player, transaction_id, state, centavos, fencing_token, traceparent FROM withdrawal
		WHERE reference = $1 FOR NO KEY UPDATE`, reference).Scan(&r.player, &r.transactionID, &r.state, &centavos, &r.fencingToken, &r.traceparent)
	r.amount = pix.Centavos(centavos)
	return r, err
}

// post ends a withdrawal that was paid.
func (r *record) post(ctx context.Context, tx *sql.Tx, transactionID string) error {
	if err := r.end(ctx, tx, statePosted, transactionID, ""); err != nil {
		return err
	}
	return insertEntry(ctx, tx, phasePosted, r.reference, accountInFlight, accountPaid, r.amount)
}

// void ends a withdrawal that was not paid and never will be, and gives the amount back.
func (r *record) void(ctx context.Context, tx *sql.Tx, transactionID, reason string) error {
	if err := r.end(ctx, tx, stateVoided, transactionID, reason); err != nil {
		return err
	}
	if err := insertEntry(ctx, tx, phaseVoided, r.reference, accountInFlight, playerAccount(r.player), r.amount); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE player SET balance = balance + $2 WHERE id = $1`, r.player, r.amount.Centavos())
	return err
}

func (r *record) end(ctx context.Context, tx *sql.Tx, to state, transactionID, reason string) error {
	if r.state != statePending && r.state != stateHeld {
		return fmt.Errorf("withdrawal %s is %s and cannot become %s: its books were not changed", r.reference, r.state, to)
	}
	_, err := tx.ExecContext(ctx, `UPDATE withdrawal SET state = $2, transaction_id = $3, reason = $4, doubt_since = NULL
		WHERE reference = $1`, r.reference, to, transactionID, reason)
	return err
}
