package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// wallets are the balances of the shop's customers, and the deposits into them. A deposit is
// EXPECTED at first and CREDITED when its charge is paid. It is REFUNDING when its amount was taken
// out of the wallet, and RETURNED when the payer has the money back. Returns that the shop did not
// request are in the table unasked, for manual review.
type wallets struct{ db *sql.DB }

func openWallets(ctx context.Context, db *sql.DB) (*wallets, error) {
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS wallet (customer text NOT NULL PRIMARY KEY, centavos bigint NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS deposit (external_reference text NOT NULL PRIMARY KEY, customer text NOT NULL, centavos bigint NOT NULL,
state text NOT NULL DEFAULT 'EXPECTED', transaction_id text NOT NULL DEFAULT '', traceparent text NOT NULL DEFAULT '')`,
		`CREATE TABLE IF NOT EXISTS unasked (external_reference text NOT NULL, end_to_end_id text NOT NULL)`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	return &wallets{db}, nil
}

// expect stores a deposit before its charge is created.
func (w *wallets) expect(ctx context.Context, reference, customer string, amount pix.Amount) error {
	_, err := w.db.ExecContext(ctx, `INSERT INTO deposit (external_reference, customer, centavos, traceparent) VALUES ($1, $2, $3, $4)`,
		reference, customer, amount.Centavos(), traceparent(ctx))
	return err
}

// apply is the function of the webhook.Worker: it is called once for every step of a charge.
func (w *wallets) apply(ctx context.Context, t webhook.Transition) error {
	switch {
	case t.Kind != webhook.KindCashIn:
		return nil
	case t.To == webhook.StatusPaid:
		return w.credit(ctx, t)
	case t.To == webhook.StatusRefunded:
		return w.returned(ctx, t)
	default: // the charge was not paid
		return nil
	}
}

// credit adds a deposit to its customer's wallet.
func (w *wallets) credit(ctx context.Context, t webhook.Transition) error {
	tx := sqlstore.Tx(ctx)
	var centavos int64
	err := tx.QueryRowContext(ctx, `SELECT centavos FROM deposit WHERE external_reference = $1`, t.CashIn.ExternalReference).Scan(&centavos)
	if err != nil {
		return fmt.Errorf("the charge belongs to no deposit: %w", err)
	}
	if t.CashIn.Amount != pix.Centavos(centavos) {
		return fmt.Errorf("the deposit is of %v and the charge of %v", pix.Centavos(centavos), t.CashIn.Amount)
	}
	return move(ctx, tx, t.CashIn.ExternalReference, "EXPECTED", "CREDITED", 1)
}

// returned records that money is back with the payer. It books nothing: a refund of the shop was
// taken out of the wallet before, and the amount of any other return is not known.
func (w *wallets) returned(ctx context.Context, t webhook.Transition) error {
	tx := sqlstore.Tx(ctx)
	err := move(ctx, tx, t.CashIn.ExternalReference, "REFUNDING", "RETURNED", 0)
	if errors.Is(err, errNoSuchDeposit) {
		_, err = tx.ExecContext(ctx, `INSERT INTO unasked (external_reference, end_to_end_id) VALUES ($1, $2)`,
			t.CashIn.ExternalReference, t.CashIn.EndToEndID)
	}
	return err
}

// takeOut takes a deposit out of its wallet before the refund is requested: after that the customer
// could have spent it.
func (w *wallets) takeOut(ctx context.Context, reference, transactionID string) error {
	return w.inTransaction(ctx, func(tx *sql.Tx) error {
		if err := move(ctx, tx, reference, "CREDITED", "REFUNDING", -1); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE deposit SET transaction_id = $1 WHERE external_reference = $2`, transactionID, reference)
		return err
	})
}

// refunding returns the charges of the deposits in state REFUNDING, by reference.
func (w *wallets) refunding(ctx context.Context) (charges map[string]string, err error) {
	rows, err := w.db.QueryContext(ctx, `SELECT external_reference, transaction_id FROM deposit WHERE state = 'REFUNDING'`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	charges = map[string]string{}
	for rows.Next() {
		var reference, id string
		if err := rows.Scan(&reference, &id); err != nil {
			return nil, err
		}
		charges[reference] = id
	}
	return charges, rows.Err()
}

// putBack undoes takeOut, when the refund was rejected for certain.
func (w *wallets) putBack(ctx context.Context, reference string) error {
	return w.inTransaction(ctx, func(tx *sql.Tx) error { return move(ctx, tx, reference, "REFUNDING", "CREDITED", 1) })
}

func (w *wallets) inTransaction(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

var (
	errNoSuchDeposit = errors.New("there is no such deposit in this state")
	errTooLittle     = errors.New("the wallet holds less than the deposit")
)

// move moves a deposit from one state to the next, and adds its amount, times a sign, to its
// customer's wallet.
func move(ctx context.Context, tx *sql.Tx, reference, from, to string, sign int64) error {
	var customer, traceparent string
	var centavos, balance int64
	err := tx.QueryRowContext(ctx, `UPDATE deposit SET state = $1 WHERE external_reference = $2 AND state = $3
RETURNING customer, centavos, traceparent`, to, reference, from).Scan(&customer, &centavos, &traceparent)
	link(ctx, traceparent)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoSuchDeposit
	}
	if err != nil || sign == 0 {
		return err
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO wallet (customer, centavos) VALUES ($1, $2)
ON CONFLICT (customer) DO UPDATE SET centavos = wallet.centavos + excluded.centavos RETURNING centavos`, customer, sign*centavos).Scan(&balance)
	if err == nil && balance < 0 {
		return errTooLittle
	}
	return err
}

// balance returns the balance of a customer's wallet.
func (w *wallets) balance(ctx context.Context, customer string) (pix.Amount, error) {
	var centavos int64
	err := w.db.QueryRowContext(ctx, `SELECT coalesce(sum(centavos), 0) FROM wallet WHERE customer = $1`, customer).Scan(&centavos)
	return pix.Centavos(centavos), err
}
