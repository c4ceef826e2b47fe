package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// demo shows withdrawals that are paid, fail, are held and are stopped, with a worker and a
// receiver in this process, and the sandbox as the gateway. It uses the database, and references of
// its own.
func demo(ctx context.Context, out io.Writer, database string) error {
	if err := migrate(ctx, database); err != nil {
		return err
	}
	bank, err := startBank()
	if err != nil {
		return err
	}
	defer bank.Close()
	a, err := open(ctx, database, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.connect(ctx, bank.Config()); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	working, cancel := context.WithCancel(ctx)
	var processes sync.WaitGroup
	defer processes.Wait()
	defer cancel()
	processes.Go(func() { _ = a.receive(working, listener, bank.Config()) })
	processes.Go(func() {
		_ = a.work(working, workerSettings{"http://" + listener.Addr().String() + webhookPath, 4, false, defaultTimeouts})
	})
	t := &tour{out: out, bank: bank, books: a.books, player: fmt.Sprint("player-", time.Now().UnixMilli())}
	for _, step := range []func(context.Context) error{t.pay, t.fail, t.hold, t.halt} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	return a.books.status(ctx, out)
}

// tour are the steps of the demonstration, with a player of their own.
type tour struct {
	out    io.Writer
	bank   *bank
	books  *books
	player string
}

func (t *tour) say(format string, arguments ...any) { fmt.Fprintf(t.out, format+"\n", arguments...) }

func (t *tour) pay(ctx context.Context) error {
	t.say("1. The player has R$ 500.00 and withdraws R$ 120.00. The first answer of the gateway is lost.")
	if err := t.books.deposit(ctx, t.player, pix.Centavos(500_00)); err != nil {
		return err
	}
	t.bank.loseAnswers(1)
	reference, err := t.withdraw(ctx, "a", pix.Centavos(120_00), statePending)
	if err != nil {
		return err
	}
	id, err := t.accepted(ctx, reference)
	if err != nil {
		return err
	}
	t.say("   The gateway has accepted it once: %s", id)
	if err := t.bank.CompleteCashOut(id); err != nil {
		return err
	}
	return t.ends(ctx, reference, statePosted, pix.Centavos(380_00))
}

func (t *tour) fail(ctx context.Context) error {
	t.say("\n2. The player withdraws R$ 80.00, and the PIX key does not exist.")
	reference, err := t.withdraw(ctx, "b", pix.Centavos(80_00), statePending)
	if err != nil {
		return err
	}
	id, err := t.accepted(ctx, reference)
	if err != nil {
		return err
	}
	if err := t.bank.FailCashOut(id, string(connectpsp.FailurePIXKeyNotFound), "there is no such key"); err != nil {
		return err
	}
	return t.ends(ctx, reference, stateVoided, pix.Centavos(380_00))
}

func (t *tour) hold(ctx context.Context) error {
	t.say("\n3. The player wins R$ 20000.00 and withdraws R$ 15000.00, which is over the limit of a day.")
	if err := t.books.deposit(ctx, t.player, pix.Centavos(20_000_00)); err != nil {
		return err
	}
	reference, err := t.withdraw(ctx, "c", pix.Centavos(15_000_00), stateHeld)
	if err != nil {
		return err
	}
	if err := t.books.refuse(ctx, reference, "split it"); err != nil {
		return err
	}
	return t.ends(ctx, reference, stateVoided, pix.Centavos(20_380_00))
}

func (t *tour) halt(ctx context.Context) error {
	t.say("\n4. Payouts are stopped, the player withdraws R$ 10.00, and payouts go on.")
	if err := t.books.stop(ctx, "a demonstration"); err != nil {
		return err
	}
	if err := wait(ctx, 2*time.Second); err != nil {
		return err
	}
	reference, err := t.withdraw(ctx, "d", pix.Centavos(10_00), statePending)
	if err != nil {
		return err
	}
	if err := wait(ctx, time.Second); err != nil {
		return err
	}
	t.say("   Paid while payouts are stopped: %d", len(t.bank.paid(reference)))
	if err := t.books.resume(ctx); err != nil {
		return err
	}
	id, err := t.accepted(ctx, reference)
	if err != nil {
		return err
	}
	if err := t.bank.CompleteCashOut(id); err != nil {
		return err
	}
	return t.ends(ctx, reference, statePosted, pix.Centavos(20_370_00))
}

// withdraw requests a withdrawal of the player.
func (t *tour) withdraw(ctx context.Context, name string, amount pix.Amount, want state) (reference string, err error) {
	reference = t.player + "-" + name
	w := withdrawal{reference, t.player, amount, testPayee}
	state, err := t.books.withdraw(ctx, w)
	if err == nil && state != want {
		err = fmt.Errorf("the withdrawal is %s and should be %s", state, want)
	}
	t.say("   The withdrawal is %s", state)
	return reference, err
}

// accepted waits until the gateway has accepted a withdrawal.
func (t *tour) accepted(ctx context.Context, reference string) (id string, err error) {
	err = until(ctx, func() (bool, error) {
		if ids := t.bank.paid(reference); len(ids) > 0 {
			id = ids[0]
		}
		return id != "", nil
	})
	return id, err
}

// ends waits until a withdrawal has ended, and checks what the player has then.
func (t *tour) ends(ctx context.Context, reference string, want state, balance pix.Amount) error {
	var state state
	err := until(ctx, func() (bool, error) {
		err := t.books.db.QueryRowContext(ctx, `SELECT state FROM withdrawal WHERE reference = $1`, reference).Scan(&state)
		return state == want, err
	})
	if err != nil {
		return err
	}
	has, err := t.books.balance(ctx, t.player)
	if err != nil {
		return err
	}
	t.say("   The withdrawal is %s, and the player has R$ %v", state, has)
	if has != balance {
		return fmt.Errorf("the player has R$ %v and should have R$ %v", has, balance)
	}
	return nil
}

// testPayee is somebody whose CPF is valid and belongs to no one.
var testPayee = connectpsp.Payee{Name: "Test User", Document: "12345678909",
	Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909")}

// until asks every 20 ms whether a condition holds, for a minute at most.
func until(ctx context.Context, condition func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if holds, err := condition(); holds || err != nil {
			return err
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
