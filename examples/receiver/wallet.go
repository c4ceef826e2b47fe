package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
	"github.com/connectpsp/connectpsp-go/webhook/sqlinbox"
)

// wallets are the balances of the shop's customers, and what each deposit is for. They are changed in one place only: when a
// step of a charge is settled, in the same database transaction.
type wallets struct{ db *sql.DB }

func openWallets(ctx context.Context, db *sql.DB) (*wallets, error) {
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS wallet (customer text NOT NULL PRIMARY KEY, centavos bigint NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS deposit (external_reference text NOT NULL PRIMARY KEY, customer text NOT NULL, centavos bigint NOT NULL)`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	return &wallets{db}, nil
}

// expect writes down a deposit before its charge is made.
func (w *wallets) expect(ctx context.Context, reference, customer string, amount pix.Amount) error {
	_, err := w.db.ExecContext(ctx, `INSERT INTO deposit (external_reference, customer, centavos) VALUES ($1, $2, $3)`,
		reference, customer, amount.Centavos())
	return err
}

// apply is the function of the webhook.Worker: it is called once for every step of a charge.
func (w *wallets) apply(ctx context.Context, t webhook.Transition) error {
	switch {
	case t.Kind != webhook.KindCashIn:
		return nil
	case t.To == webhook.StatusPaid:
		return w.credit(ctx, t, 1)
	case t.To == webhook.StatusRefunded && t.From == webhook.StatusPaid: // else it was not credited, or is taken out already
		return w.credit(ctx, t, -1)
	default: // it expired, or came and went before anybody was told
		return nil
	}
}

// credit adds a deposit to its customer's wallet, or takes it out again.
func (w *wallets) credit(ctx context.Context, t webhook.Transition, sign int64) error {
	tx := sqlinbox.Tx(ctx)
	var customer string
	var centavos int64
	err := tx.QueryRowContext(ctx, `SELECT customer, centavos FROM deposit WHERE external_reference = $1`, t.CashIn.ExternalReference).
		Scan(&customer, &centavos)
	if err != nil {
		return fmt.Errorf("a charge that is no deposit: %w", err)
	}
	if t.CashIn.Amount != pix.Centavos(centavos) {
		return fmt.Errorf("a deposit of %v, and the charge is %v", pix.Centavos(centavos), t.CashIn.Amount)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO wallet (customer, centavos) VALUES ($1, $2)
ON CONFLICT (customer) DO UPDATE SET centavos = wallet.centavos + excluded.centavos`, customer, sign*centavos)
	return err
}

// balance returns what a customer has.
func (w *wallets) balance(ctx context.Context, customer string) (pix.Amount, error) {
	var centavos int64
	err := w.db.QueryRowContext(ctx, `SELECT coalesce(sum(centavos), 0) FROM wallet WHERE customer = $1`, customer).Scan(&centavos)
	return pix.Centavos(centavos), err
}
