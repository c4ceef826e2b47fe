package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/conformance"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestTheTourEndsWell(t *testing.T) {
	for name, database := range map[string]string{"SQLite": "", "PostgreSQL": os.Getenv("CONNECTPSP_TEST_POSTGRES")} {
		t.Run(name, func(t *testing.T) {
			if name == "PostgreSQL" && database == "" {
				t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var out bytes.Buffer
			if err := run(ctx, &out, database); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
		})
	}
}

const reference, id = "deposit-1", "kk6g232xel65a0daee4dd13kk2912714964"

var amount = pix.Centavos(250_00)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openMemory opens a database in memory.
func openMemory(t *testing.T) *sql.DB {
	db, _, err := openDatabase("")
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	return db
}

// holds checks what the wallet holds, and how many returns are left to a person.
func holds(t *testing.T, w *wallets, want pix.Amount, unasked int) {
	t.Helper()
	got, err := w.balance(t.Context(), customer)
	check(t, err)
	var left int
	check(t, w.db.QueryRowContext(t.Context(), `SELECT count(*) FROM unasked`).Scan(&left))
	if got != want || left != unasked {
		t.Errorf("the wallet holds %v, and %d returns are left to a person; want %v and %d", got, left, want, unasked)
	}
}

func TestAWalletHoldsWhatItsStepsSay(t *testing.T) {
	step := func(from, to webhook.Status) webhook.Transition {
		return webhook.Transition{Kind: webhook.KindCashIn, TransactionID: id, From: from, To: to,
			CashIn: &connectpsp.CashIn{TransactionID: id, ExternalReference: reference, Amount: amount}}
	}
	paid := step("", webhook.StatusPaid)
	other, stranger := paid, paid
	other.CashIn = &connectpsp.CashIn{TransactionID: id, ExternalReference: reference, Amount: pix.Centavos(2_50)}
	stranger.CashIn = &connectpsp.CashIn{TransactionID: id, ExternalReference: "order-1", Amount: amount}
	out := webhook.Transition{Kind: webhook.KindCashOut, TransactionID: id, To: webhook.StatusCompleted,
		CashOut: &connectpsp.CashOut{TransactionID: id, ExternalReference: reference, Amount: amount}}
	for name, c := range map[string]struct {
		steps   []webhook.Transition
		fails   bool // the last step
		balance pix.Amount
		unasked int
	}{
		"paid":                           {[]webhook.Transition{paid}, false, amount, 0},
		"paid late":                      {[]webhook.Transition{step("", webhook.StatusExpired), step(webhook.StatusExpired, webhook.StatusPaid)}, false, amount, 0},
		"awaited":                        {[]webhook.Transition{step("", webhook.StatusAwaitingPayment)}, false, pix.Amount{}, 0},
		"expired":                        {[]webhook.Transition{step("", webhook.StatusExpired)}, false, pix.Amount{}, 0},
		"cancelled":                      {[]webhook.Transition{step("", webhook.StatusCancelled)}, false, pix.Amount{}, 0},
		"of another amount":              {[]webhook.Transition{other}, true, pix.Amount{}, 0},
		"of no deposit":                  {[]webhook.Transition{stranger}, true, pix.Amount{}, 0},
		"a cash-out":                     {[]webhook.Transition{out}, false, pix.Amount{}, 0},
		"returned, and never credited":   {[]webhook.Transition{step("", webhook.StatusRefunded)}, false, pix.Amount{}, 1},
		"returned, and nobody asked":     {[]webhook.Transition{paid, step(webhook.StatusPaid, webhook.StatusRefunded)}, false, amount, 1},
		"returned in two parts, unasked": {[]webhook.Transition{paid, step(webhook.StatusPaid, webhook.StatusRefunded), step(webhook.StatusRefunded, webhook.StatusRefunded)}, false, amount, 2},
	} {
		t.Run(name, func(t *testing.T) {
			db := openMemory(t)
			w, err := openWallets(t.Context(), db)
			check(t, err)
			check(t, w.expect(t.Context(), reference, customer, amount))
			store, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite)
			check(t, err)
			inbox := store.Inbox()
			for n, step := range c.steps {
				_, err := inbox.Put(t.Context(), webhook.Item{Key: fmt.Sprint(n)})
				check(t, err)
				claims, err := inbox.Claim(t.Context(), time.Minute, 1)
				check(t, err)
				err = inbox.Complete(t.Context(), claims[0], func(ctx context.Context, known webhook.TransactionState) (webhook.Result, error) {
					return webhook.Result{State: known}, w.apply(ctx, step)
				})
				if fails := c.fails && n == len(c.steps)-1; fails != (err != nil) {
					t.Fatal(err)
				}
			}
			holds(t, w, c.balance, c.unasked)
		})
	}
}

// shop is a service, and the sandbox that it works with.
type shop struct {
	*service
	gateway *sandbox.Sandbox
}

func openShop(t *testing.T) *shop {
	gateway, err := sandbox.Start()
	check(t, err)
	t.Cleanup(func() { check(t, gateway.Close()) })
	s, err := startService(t.Context(), gateway.Config(), openMemory(t), sqlstore.SQLite)
	check(t, err)
	t.Cleanup(s.stop)
	return &shop{s, gateway}
}

// charge expects a deposit and asks for it.
func (s *shop) charge(t *testing.T) *connectpsp.CashIn {
	check(t, s.wallets.expect(t.Context(), reference, customer, amount))
	charge, err := s.client.CreateCashIn(t.Context(), connectpsp.CashInRequest{
		Amount: amount, ExternalReference: reference, WebhookURL: s.url,
		Payer: connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	})
	check(t, err)
	return charge
}

// until waits until the worker's counts are as wanted.
func (s *shop) until(t *testing.T, wanted func(webhook.WorkerCounts) bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !wanted(s.worker.Counts()); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("counts %+v", s.worker.Counts())
		}
	}
}

func TestTheServiceConforms(t *testing.T) {
	s := openShop(t)
	conformance.Run(t, s.gateway, conformance.Receiver{
		URL: s.url,
		Expect: func(ctx context.Context, charge *connectpsp.CashIn) error { // each charge has a customer of its own
			return s.wallets.expect(ctx, charge.ExternalReference, charge.ExternalReference, charge.Amount)
		},
		Credited: s.wallets.balance,
	})
}

// A thief has the CryptoToken and signs an event of a charge that nobody has paid.
func TestAForgedDepositIsNotCredited(t *testing.T) {
	s := openShop(t)
	charge := s.charge(t)
	forger := &tour{gateway: s.gateway, service: s.service}
	status, err := forger.post(t.Context(), forger.body(charge.TransactionID), s.gateway.Config().CryptoToken.Reveal())
	check(t, err)
	if status != 200 {
		t.Fatalf("status %d", status)
	}
	s.until(t, func(c webhook.WorkerCounts) bool { return c.Failed+c.Held+c.Applied > 0 })
	holds(t, s.wallets, pix.Amount{}, 0)
}

func TestARefundTakesTheDepositOutBeforeItIsAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*testing.T, *shop)
		unknown bool
		fails   bool
		balance pix.Amount
	}{
		"accepted": {func(*testing.T, *shop) {}, false, false, pix.Amount{}},
		"unknown": {func(_ *testing.T, s *shop) {
			s.gateway.FailNext("refundCashIn", sandbox.LoseAnswer, sandbox.LoseAnswer, sandbox.LoseAnswer, sandbox.LoseAnswer)
			s.gateway.FailNext("getCashIn", sandbox.Unavailable, sandbox.Unavailable, sandbox.Unavailable, sandbox.Unavailable)
		}, true, true, pix.Amount{}},
		"rejected": {func(t *testing.T, s *shop) {
			_, err := s.client.RebalanceAccount(t.Context(), pix.Amount{}) // nothing is left to refund from
			check(t, err)
		}, false, true, amount},
		"spent": {func(t *testing.T, s *shop) {
			_, err := s.wallets.db.ExecContext(t.Context(), `UPDATE wallet SET centavos = 1`)
			check(t, err)
		}, false, true, pix.Centavos(1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t)
			charge := s.charge(t)
			if err := s.refund(t.Context(), reference, charge.TransactionID); !errors.Is(err, errNoSuchDeposit) {
				t.Errorf("a refund of what is not credited: %v", err)
			}
			check(t, s.gateway.PayCashIn(charge.TransactionID))
			s.until(t, func(c webhook.WorkerCounts) bool { return c.Applied == 1 })
			holds(t, s.wallets, amount, 0)
			c.prepare(t, s)
			err := s.refund(t.Context(), reference, charge.TransactionID)
			if (err != nil) != c.fails || errors.Is(err, connectpsp.ErrUnknownOutcome) != c.unknown {
				t.Errorf("error %v", err)
			}
			holds(t, s.wallets, c.balance, 0)
			if c.balance.IsZero() {
				check(t, s.gateway.SettleRefund(charge.TransactionID))
				s.until(t, func(c webhook.WorkerCounts) bool { return c.Applied == 2 })
				holds(t, s.wallets, pix.Amount{}, 0)
			}
		})
	}
}
