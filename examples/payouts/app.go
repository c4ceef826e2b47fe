package main

import (
	"context"
	"database/sql"
	_ "embed" // schema.sql
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

//go:embed schema.sql
var schema string

// app is what the processes have in common: the database, the books, the client and the inbox.
type app struct {
	pool   *pgxpool.Pool
	db     *sql.DB // on the pool
	books  *books
	client *connectpsp.Client
	inbox  *sqlstore.Inbox
	worker *webhook.Worker
	logger *slog.Logger

	telemetry *telemetry
}

// migrate makes or updates the tables of River, package sqlstore and the books. Run it before a new
// version of the program is started.
func migrate(ctx context.Context, database string) error {
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	if _, err := sqlstore.Open(ctx, db, sqlstore.PostgreSQL); err != nil {
		return err
	}
	_, err = pool.Exec(ctx, schema)
	return err
}

// open opens the database, whose tables migrate has made. It needs no gateway.
func open(ctx context.Context, database string, logger *slog.Logger) (*app, error) {
	pool, err := openPool(ctx, database)
	if err != nil {
		return nil, err
	}
	a := &app{pool: pool, db: stdlib.OpenDBFromPool(pool), logger: logger, telemetry: newTelemetry()}
	jobs, err := river.NewClient(riverdatabasesql.New(a.db), &river.Config{Logger: logger, Plugins: queuePlugins()})
	a.books = &books{db: a.db, jobs: jobs}
	return a, err
}

// connect makes the client, and what receives its webhooks. It serves /metrics at PAYOUTS_METRICS.
func (a *app) connect(ctx context.Context, config connectpsp.Config, options ...connectpsp.Option) error {
	if config.CryptoToken.IsZero() {
		return errors.New("CONNECTPSP_CRYPTO_TOKEN is not set: it signs payouts, and webhooks are verified with it")
	}
	store, err := sqlstore.Open(ctx, a.db, sqlstore.PostgreSQL, sqlstore.WithObserver(a.telemetry))
	if err != nil {
		return err
	}
	options = append(options, connectpsp.WithLogger(a.logger), connectpsp.WithObserver(a.telemetry))
	source, err := connectpsp.NewTokenSource(config, options...)
	if err != nil {
		return err
	}
	if key := os.Getenv("PAYOUTS_TOKEN_KEY"); key != "" {
		options = append(options, connectpsp.WithTokenSource(store.Tokens(source, auth.NewSecret(key))))
	}
	a.client, err = connectpsp.New(config, append(options, connectpsp.WithJournal(fence{store.Journal()}))...)
	if err != nil {
		return err
	}
	a.inbox = store.Inbox()
	// Each event is confirmed by reading the transaction, so that a stolen CryptoToken moves no
	// money.
	a.worker = webhook.NewWorker(a.inbox, a.client, settle, webhook.WithConfirmation(pix.Centavos(0)),
		webhook.WithConcurrency(4), webhook.WithLogger(a.logger), webhook.WithObserver(a.telemetry))
	a.telemetry.metrics.WatchPayments(a.client)
	a.telemetry.metrics.WatchInbox(a.inbox)
	return a.telemetry.serve(os.Getenv("PAYOUTS_METRICS"))
}

func (a *app) close() {
	a.telemetry.close()
	_ = a.db.Close()
	a.pool.Close()
}

// workerSettings are those of a process that pays.
type workerSettings struct {
	webhookURL  string
	concurrency int // payouts at a time
	pollOnly    bool
	timeouts    timeouts
}

// work pays withdrawals until ctx ends, and then waits for those under way.
func (a *app) work(ctx context.Context, s workerSettings) error {
	p := &payer{
		client: a.client, books: a.books, stop: newStopSwitch(a.db), rate: &rateLimiter{db: a.db}, timeouts: s.timeouts,
		webhookURL: s.webhookURL, logger: a.logger,
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, p)
	river.AddWorker(workers, &reconciler{books: a.books, worker: a.worker})
	queue, err := river.NewClient[pgx.Tx](riverpgxv5.New(a.pool), queueConfig(s.timeouts, workers, s.concurrency, s.pollOnly, a.logger))
	if err != nil {
		return err
	}
	switched, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { p.stop.run(switched) })
	defer done.Wait()
	defer cancel() // after the last payout, which needs the switch
	if err := queue.Start(ctx); err != nil {
		return err
	}
	<-queue.Stopped()
	return nil
}

// receive takes webhooks at listener and books them until ctx ends.
func (a *app) receive(ctx context.Context, listener net.Listener, config connectpsp.Config) error {
	handler, err := webhook.NewHandler(linkedInbox{a.inbox, a.db}, config.CryptoToken)
	if err != nil {
		return err
	}
	handler.Observer = a.telemetry
	routes := http.NewServeMux()
	routes.Handle("POST "+webhookPath, handler)
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	ctx, cancel := context.WithCancelCause(ctx)
	var done sync.WaitGroup
	done.Go(func() { cancel(fmt.Errorf("the receiver has ended: %w", server.Serve(listener))) })
	_ = a.worker.Run(ctx)
	reason := context.Cause(ctx)
	closing, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	err = server.Shutdown(closing)
	done.Wait()
	if errors.Is(reason, context.Canceled) {
		return err // as asked
	}
	return errors.Join(reason, err)
}

const webhookPath = "/webhooks/connectpsp"
