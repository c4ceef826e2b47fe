// Receiver credits wallets when webhooks report the PIX payments of customers, on PostgreSQL or
// SQLite.
//
// Without set-up it uses a SQLite database in memory. DATABASE_URL, such as
// postgres://localhost/shop, names a PostgreSQL database. The gateway is the sandbox in this
// process. The tour shows the dangers of a receiver: an event that is repeated, one that is
// replayed, and one with a forged signature. README.md says how to see its traces and metrics.
package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout, os.Getenv("DATABASE_URL")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, database string) error {
	gateway, err := sandbox.Start()
	if err != nil {
		return err
	}
	defer gateway.Close()
	stopTracing, err := startTracing(os.Stderr)
	if err != nil {
		return err
	}
	defer stopTracing()
	db, dialect, err := openDatabase(database)
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := startService(ctx, gateway.Config(), db, dialect)
	if err != nil {
		return err
	}
	defer s.stop()
	t := &tour{out: out, gateway: gateway, service: s}
	for _, step := range []func(context.Context) error{t.payIn, t.repeat, t.forge, t.refund, t.replay} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\nEvery payment counted once. Deliveries: %v\n", s.handler.Counts())
	return nil
}

func openDatabase(address string) (*sql.DB, sqlstore.Dialect, error) {
	if address != "" {
		db, err := openPostgres(address)
		return db, sqlstore.PostgreSQL, err
	}
	db, err := sql.Open("sqlite", "file::memory:?_pragma=busy_timeout(10000)")
	if err == nil {
		db.SetMaxOpenConns(1) // each connection would have a database of its own
	}
	return db, sqlstore.SQLite, err
}

// service is a complete receiver, as in production.
type service struct {
	client  *connectpsp.Client
	wallets *wallets
	handler *webhook.Handler
	worker  *webhook.Worker
	server  *http.Server
	url     string
	stop    func()

	telemetry *telemetry
}

func startService(ctx context.Context, config connectpsp.Config, db *sql.DB, dialect sqlstore.Dialect) (*service, error) {
	s := &service{telemetry: newTelemetry()}
	var err error
	if s.client, err = connectpsp.New(config, connectpsp.WithObserver(s.telemetry)); err != nil {
		return nil, err
	}
	if s.wallets, err = openWallets(ctx, db); err != nil {
		return nil, err
	}
	store, err := sqlstore.Open(ctx, db, dialect)
	if err != nil {
		return nil, err
	}
	inbox := store.Inbox()
	if s.handler, err = webhook.NewHandler(linkedInbox{inbox, db}, config.CryptoToken); err != nil {
		return nil, err
	}
	s.handler.Observer = s.telemetry
	// Deposits of R$ 100.00 or more are credited only when the gateway confirms them.
	s.worker = webhook.NewWorker(inbox, s.client, s.wallets.apply, webhook.WithConfirmation(pix.Centavos(100_00)),
		webhook.WithObserver(s.telemetry))
	s.telemetry.metrics.WatchPayments(s.client)
	s.telemetry.metrics.WatchInbox(inbox)
	if err := s.telemetry.serve(os.Getenv("RECEIVER_METRICS")); err != nil {
		return nil, err
	}

	routes := http.NewServeMux()
	routes.Handle("/webhooks/connectpsp", s.handler)
	s.server = &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.url = "http://" + listener.Addr().String() + "/webhooks/connectpsp"
	working, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { _ = s.server.Serve(listener) }()
	go func() {
		defer close(ended)
		_ = s.worker.Run(working)
	}()
	refunding, err := s.wallets.refunding(ctx)
	for reference, transactionID := range refunding {
		err = errors.Join(err, s.askForRefund(ctx, reference, transactionID))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "refunds that are open, review them:", err) // the service goes on
	}
	s.stop = func() {
		_ = s.server.Close()
		s.telemetry.close()
		cancel()
		<-ended // the database is closed after this
	}
	return s, nil
}

// refund returns a deposit to its payer. It debits the wallet first, and credits it again only if
// the refund was rejected for certain: one whose outcome is unknown may have been made.
func (s *service) refund(ctx context.Context, reference, transactionID string) error {
	if err := s.wallets.takeOut(ctx, reference, transactionID); err != nil {
		return err
	}
	return s.askForRefund(ctx, reference, transactionID)
}

// askForRefund requests the refund of a deposit that was taken out. A second request, also by the
// next process, is for the same refund.
func (s *service) askForRefund(ctx context.Context, reference, transactionID string) error {
	_, err := s.client.RefundCashIn(ctx, transactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundCustomerRequest})
	ctx = context.WithoutCancel(ctx) // the outcome must be recorded even if the caller has gone
	switch {
	case err == nil:
		return s.worker.WatchRefund(ctx, transactionID)
	case errors.Is(err, connectpsp.ErrUnknownOutcome):
		return errors.Join(err, s.worker.WatchRefund(ctx, transactionID))
	default:
		return errors.Join(err, s.wallets.putBack(ctx, reference))
	}
}

// tour shows the service at work.
type tour struct {
	out     io.Writer
	gateway *sandbox.Sandbox
	service *service
	charge  *connectpsp.CashIn
	old     []byte // the body of an event
}

const customer = "Ana"

func (t *tour) say(format string, arguments ...any) { fmt.Fprintf(t.out, format+"\n", arguments...) }

func (t *tour) payIn(ctx context.Context) error {
	t.say("1. %s pays R$ 250.00 in", customer)
	ctx, span := startSpan(ctx, "deposit")
	defer span.End()
	amount := pix.Centavos(250_00)
	if err := t.service.wallets.expect(ctx, "deposit-1", customer, amount); err != nil {
		return err
	}
	charge, err := t.service.client.CreateCashIn(ctx, connectpsp.CashInRequest{
		Amount:            amount,
		ExternalReference: "deposit-1",
		WebhookURL:        t.service.url,
		Payer:             connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	})
	if err != nil {
		return err
	}
	t.charge = charge
	// The worker polls the charge, in case no webhook ever comes.
	if err := t.service.worker.WatchCashIn(ctx, charge.TransactionID); err != nil {
		return err
	}
	if err := t.gateway.PayCashIn(charge.TransactionID); err != nil {
		return err
	}
	t.old = t.body(charge.TransactionID)
	return t.expect(ctx, amount)
}

// body returns the body of an event of the charge, as an attacker could have recorded it.
func (t *tour) body(id string) []byte {
	return fmt.Appendf(nil, `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{"transactionId":%q,`+
		`"internalCode":"US7B1JQ","externalReference":"deposit-1","status":"PAID","amount":250.00,`+
		`"payer":{"name":"Test User","document":"12345678909"}}}`, id)
}

func (t *tour) repeat(ctx context.Context) error {
	t.say("\n2. The gateway sends the event again, as it does when it got no response")
	for range 3 {
		if err := t.gateway.Redeliver(t.charge.TransactionID); err != nil {
			return err
		}
	}
	if err := t.gateway.WaitWebhooks(ctx); err != nil {
		return err
	}
	return t.expect(ctx, pix.Centavos(250_00))
}

func (t *tour) forge(ctx context.Context) error {
	t.say("\n3. An attacker posts an event with a forged signature")
	status, err := t.post(ctx, t.old, "not the CryptoToken")
	if err != nil {
		return err
	}
	if status != http.StatusUnauthorized {
		return fmt.Errorf("the status was %d and should be 401", status)
	}
	t.say("   401")
	return t.expect(ctx, pix.Centavos(250_00))
}

func (t *tour) refund(ctx context.Context) error {
	t.say("\n4. The deposit is returned: taken out of the wallet first, then refunded")
	if err := t.service.refund(ctx, "deposit-1", t.charge.TransactionID); err != nil {
		return err
	}
	if err := t.gateway.SettleRefund(t.charge.TransactionID); err != nil {
		return err
	}
	return t.expect(ctx, pix.Centavos(0))
}

func (t *tour) replay(ctx context.Context) error {
	t.say("\n5. An event from before the return comes late, with a valid signature")
	status, err := t.post(ctx, t.old, t.gateway.Config().CryptoToken.Reveal())
	if err != nil {
		return err
	}
	t.say("   %d", status)
	return t.expect(ctx, pix.Centavos(0))
}

func (t *tour) post(ctx context.Context, body []byte, token string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.service.url, strings.NewReader(string(body)))
	if err != nil {
		return 0, err
	}
	r.Header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(token, body)))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// expect waits until the worker has been idle for half a second, and then compares the balance of
// the wallet.
func (t *tour) expect(ctx context.Context, amount pix.Amount) error {
	if err := t.gateway.WaitWebhooks(ctx); err != nil {
		return err
	}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for counts, idle := t.service.worker.Counts(), 0; idle < 10; idle++ {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errors.New("the worker did not finish in time")
		}
		if now := t.service.worker.Counts(); now != counts {
			counts, idle = now, 0
		}
	}
	balance, err := t.service.wallets.balance(ctx, customer)
	if err != nil {
		return err
	}
	t.say("   the wallet holds R$ %v", balance)
	if balance != amount {
		return fmt.Errorf("the wallet holds %v, and should hold %v", balance, amount)
	}
	return nil
}
