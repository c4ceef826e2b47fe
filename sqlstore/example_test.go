package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// A receiver of webhooks and its worker, with a driver imported, such as
// _ "github.com/jackc/pgx/v5/stdlib".
func Example() {
	ctx := context.Background()
	config, err := connectpsp.ConfigFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	client, err := connectpsp.New(config)
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open("pgx", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.Open(ctx, db, sqlstore.PostgreSQL)
	if err != nil {
		log.Fatal(err)
	}
	handler, err := webhook.NewHandler(store.Inbox(), config.CryptoToken)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/webhooks/connectpsp", handler)
	worker := webhook.NewWorker(store.Inbox(), client, func(ctx context.Context, step webhook.Transition) error {
		if step.Kind != webhook.KindCashIn || step.To != webhook.StatusPaid {
			return nil
		}
		result, err := sqlstore.Tx(ctx).ExecContext(ctx, `UPDATE deposits SET paid = true WHERE reference = $1 AND centavos = $2`,
			step.CashIn.ExternalReference, step.CashIn.Amount.Centavos())
		if err != nil {
			return err
		}
		if paid, err := result.RowsAffected(); err != nil || paid != 1 {
			return errors.Join(errors.New("no such deposit"), err)
		}
		return nil
	}, webhook.WithConcurrency(8))
	log.Fatal(worker.Run(ctx))
}

// A client of a fleet: its payments and its access token are those of all processes on the
// database.
func ExampleStore_Tokens() {
	ctx := context.Background()
	config, err := connectpsp.ConfigFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open("pgx", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.Open(ctx, db, sqlstore.PostgreSQL)
	if err != nil {
		log.Fatal(err)
	}
	source, err := connectpsp.NewTokenSource(config)
	if err != nil {
		log.Fatal(err)
	}
	key := auth.NewSecret(os.Getenv("TOKEN_KEY")) // openssl rand -hex 32
	client, err := connectpsp.New(config,
		connectpsp.WithJournal(store.Journal()),
		connectpsp.WithTokenSource(store.Tokens(source, key)))
	if err != nil {
		log.Fatal(err)
	}
	balance, err := client.GetBalance(ctx)
	if err != nil {
		log.Fatal(err)
	}
	log.Println(balance.Consolidated.TotalBalance)
}

// SQLite has one writer at a time: with a busy timeout the others wait.
func ExampleOpen() {
	db, err := sql.Open("sqlite", "file:shop.db?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.Open(context.Background(), db, sqlstore.SQLite, sqlstore.WithNamespace("shop"))
	if err != nil {
		log.Fatal(err)
	}
	open, err := store.Journal().OpenPayments(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	log.Println(open.Sent, "payments have no outcome")
}

// The statements for a tool of your own.
func ExampleMigrations() {
	for _, migration := range sqlstore.Migrations(sqlstore.PostgreSQL, sqlstore.WithNamespace("shop"))[:1] {
		fmt.Println(migration.Version, migration.Statements[0])
	}
	// Output: 1 CREATE TABLE IF NOT EXISTS connectpsp_shop_version (version integer NOT NULL, usable_from integer NOT NULL)
}

// A person asks for the data to be erased. Run it each day, until nothing is kept.
func ExampleStore_ForgetPerson() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres://localhost/shop")
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.Open(ctx, db, sqlstore.PostgreSQL)
	if err != nil {
		log.Fatal(err)
	}
	forgotten, err := store.ForgetPerson(ctx, "529.982.247-25")
	if err != nil {
		log.Fatal(err)
	}
	log.Println("erased:", forgotten.Erased, "still needed:", forgotten.Kept)
}
