package integration

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// payout is a row of withdrawals.
type payout struct {
	reference      string // made by the app, before it asks for the withdrawal
	idempotencyKey string // made with the row, and sent with each attempt
	player         string
	pixKey         string
	centavos       int64
}

// requestPayout debits the player and opens a withdrawal. A second request with the same reference
// changes nothing.
func requestPayout(ctx context.Context, db *sql.DB, p payout) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	opened, err := changed(tx.ExecContext(ctx, `INSERT INTO withdrawals (reference, idempotency_key, player, pix_key, centavos)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, p.reference, p.idempotencyKey, p.player, p.pixKey, p.centavos))
	if err != nil || !opened {
		return err
	}
	debited, err := changed(tx.ExecContext(ctx, `UPDATE wallets SET centavos = centavos - $1 WHERE player = $2 AND centavos >= $1`, p.centavos, p.player))
	if err != nil {
		return err
	}
	if !debited {
		return errors.New("the wallet holds too little: nothing was debited")
	}
	return tx.Commit()
}

func changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// booked is the journal that all processes share. It books an outcome in the transaction in which
// the journal records it, so the two never differ, and it sends nothing that was given back.
type booked struct{ *sqlstore.Journal }

var errGivenBack = errors.New("the withdrawal was given back: nothing was sent")

// Sent implements [connectpsp.Journal].
func (b booked) Sent(ctx context.Context, key string, at time.Time) error {
	return b.SentWith(ctx, key, at, func(tx *sql.Tx) error {
		var closed int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM withdrawals WHERE idempotency_key = $1 AND state = 'GIVEN BACK'`, key).Scan(&closed)
		if err == nil && closed > 0 {
			return errGivenBack
		}
		return err
	})
}

// Finish implements [connectpsp.Journal].
func (b booked) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	return b.FinishWith(ctx, key, outcome, transactionID, func(tx *sql.Tx) error {
		if outcome == connectpsp.OutcomeAccepted {
			_, err := tx.ExecContext(ctx, `UPDATE withdrawals SET state = 'ACCEPTED' WHERE idempotency_key = $1 AND state = 'OPEN'`, key)
			return err
		}
		return giveBack(ctx, tx, key)
	})
}

// giveBack closes an open withdrawal for ever, and credits its player.
func giveBack(ctx context.Context, tx *sql.Tx, key string) error {
	closed, err := changed(tx.ExecContext(ctx, `UPDATE withdrawals SET state = 'GIVEN BACK' WHERE idempotency_key = $1 AND state = 'OPEN'`, key))
	if err != nil || !closed {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE wallets SET centavos = centavos + (SELECT centavos FROM withdrawals WHERE idempotency_key = $1)
		WHERE player = (SELECT player FROM withdrawals WHERE idempotency_key = $1)`, key)
	return err
}

// pay pays an open withdrawal, and the journal books the outcome. Call it from any process, as often
// as you like: for one that is not open it does nothing.
func pay(ctx context.Context, client *connectpsp.Client, db *sql.DB, reference string) error {
	p := payout{reference: reference}
	err := db.QueryRowContext(ctx, `SELECT idempotency_key, pix_key, centavos FROM withdrawals WHERE reference = $1 AND state = 'OPEN'`,
		reference).Scan(&p.idempotencyKey, &p.pixKey, &p.centavos)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = client.CreateCashOut(ctx, connectpsp.CashOutRequest{
		Amount:            pix.Centavos(p.centavos),
		ExternalReference: p.reference,
		Payee: connectpsp.Payee{Name: "Maria Silva", Document: "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, p.pixKey)},
	}, connectpsp.WithIdempotencyKey(p.idempotencyKey))
	return err
}

// sweep calls again for each withdrawal that is still open, and gives nothing back by its age.
func sweep(ctx context.Context, client *connectpsp.Client, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT reference FROM withdrawals WHERE state = 'OPEN'`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var open []string
	for rows.Next() {
		var reference string
		if err := rows.Scan(&reference); err != nil {
			return err
		}
		open = append(open, reference)
	}
	failures := []error{rows.Err(), rows.Close()}
	for _, reference := range open {
		failures = append(failures, pay(ctx, client, db, reference))
	}
	return errors.Join(failures...)
}

// creditOnce is the function of the Worker. It credits a deposit that is open. It also gives back
// a withdrawal that failed.
func creditOnce(ctx context.Context, step webhook.Transition) error {
	if step.Kind == webhook.KindCashOut && !step.Contradiction && (step.To == webhook.StatusFailed || step.To == webhook.StatusCancelled) {
		return giveBackFailed(ctx, step.CashOut.ExternalReference)
	}
	if step.Kind != webhook.KindCashIn || step.To != webhook.StatusPaid {
		return nil // docs/webhooks.md has the other steps
	}
	tx, reference, centavos := sqlstore.Tx(ctx), step.CashIn.ExternalReference, step.CashIn.Amount.Centavos()
	open, err := changed(tx.ExecContext(ctx, `UPDATE deposits SET state = 'PAID' WHERE reference = $1 AND centavos = $2 AND state = 'OPEN'`,
		reference, centavos))
	if err != nil {
		return err
	}
	if !open {
		var known int // a deposit that the receiver of before has credited
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM deposits WHERE reference = $1 AND centavos = $2`, reference, centavos).Scan(&known)
		if err == nil && known == 0 {
			return errors.New("there is no such deposit")
		}
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE wallets SET centavos = centavos + $1 WHERE player = (SELECT player FROM deposits WHERE reference = $2)`,
		centavos, reference)
	return err
}

// giveBackFailed credits the player of a withdrawal that was accepted or is open, and then failed.
func giveBackFailed(ctx context.Context, reference string) error {
	tx := sqlstore.Tx(ctx)
	closed, err := changed(tx.ExecContext(ctx, `UPDATE withdrawals SET state = 'GIVEN BACK' WHERE reference = $1 AND state IN ('OPEN', 'ACCEPTED')`, reference))
	if err != nil || !closed {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE wallets SET centavos = centavos + (SELECT centavos FROM withdrawals WHERE reference = $1)
		WHERE player = (SELECT player FROM withdrawals WHERE reference = $1)`, reference)
	return err
}
