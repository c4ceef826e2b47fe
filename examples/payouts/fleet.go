package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

const (
	fleetPlayers   = 20
	fleetPerSecond = 20
	fleetFaster    = 10    // timeouts are a tenth of those in production
	fleetAmount    = 10_00 // centavos

	receiverName = "receiver"
)

// fleet is some workers and a receiver, each a process of its own, and what is done to them.
type fleet struct {
	out       io.Writer
	bank      *bank
	app       *app
	program   string            // of the processes
	flags     []string          // further ones of the workers
	database  string            // of the processes
	config    connectpsp.Config // of the processes
	address   string            // of the receiver
	perSecond int               // withdrawals that are requested
	began     time.Time

	mu        sync.Mutex
	processes map[string]*exec.Cmd
	requested []string // references
}

// runFleet shows that kills, freezes, lost answers and a crash of PostgreSQL cost no money. It
// needs a server on this machine, which it may restart, and a database without withdrawals.
func runFleet(ctx context.Context, out io.Writer, database string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	f, err := newFleet(ctx, out, database)
	if err != nil {
		return err
	}
	defer f.close()
	return f.run(ctx)
}

// newFleet makes the gateway and the players. No process of the fleet has started yet.
func newFleet(ctx context.Context, out io.Writer, database string) (f *fleet, err error) {
	f = &fleet{out: out, database: database, perSecond: fleetPerSecond, processes: map[string]*exec.Cmd{}}
	if f.program, err = os.Executable(); err != nil {
		return nil, err
	}
	if f.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if err := migrate(ctx, database); err != nil {
		return nil, err
	}
	if f.app, err = open(ctx, database, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	if f.bank, err = startBank(); err != nil {
		f.app.close()
		return nil, err
	}
	f.config = f.bank.Config()
	if err := f.fund(ctx); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// close kills the processes.
func (f *fleet) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, process := range f.processes {
		_ = process.Process.Kill()
		_ = process.Wait()
	}
	_ = f.bank.Close()
	f.app.close()
}

// fund credits the players, and lifts the limits that hold withdrawals.
func (f *fleet) fund(ctx context.Context) error {
	for n := range fleetPlayers {
		if err := f.app.books.deposit(ctx, fmt.Sprint("player-", n), pix.Centavos(5_000_00)); err != nil {
			return err
		}
	}
	_, err := f.app.db.ExecContext(ctx, `UPDATE control SET stopped = '', hour_limit = 1000000000`)
	return err
}

func (f *fleet) run(ctx context.Context) error {
	f.began = time.Now()
	f.say("Three workers and a receiver start. %d players withdraw R$ %v, %d times a second.", fleetPlayers, pix.Centavos(fleetAmount), fleetPerSecond)
	for _, name := range []string{receiverName, "worker-1", "worker-2", "worker-3"} {
		if err := f.start(name); err != nil {
			return err
		}
	}
	requesting, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	settling, stopSettling := context.WithCancel(ctx)
	defer stopSettling()
	background.Go(func() { f.request(requesting) })
	background.Go(func() { f.bank.settle(settling) })
	for _, step := range []struct {
		after time.Duration
		do    func(context.Context) error
	}{
		{4 * time.Second, f.kill}, {3 * time.Second, f.freeze}, {3 * time.Second, f.cutOff}, {8 * time.Second, f.crash}, {10 * time.Second, f.thaw},
		{3 * time.Second, f.killReceiver}, {4 * time.Second, f.calm},
	} {
		if err := wait(ctx, step.after); err != nil {
			return err
		}
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	stop()
	return f.drain(ctx)
}

func (f *fleet) say(format string, arguments ...any) {
	fmt.Fprintf(f.out, "%4.0f s  %s\n", time.Since(f.began).Seconds(), fmt.Sprintf(format, arguments...))
}

func (f *fleet) kill(context.Context) error {
	f.say("worker-1 is killed with kill -9 while it pays, and another takes its place.")
	if err := f.signal("worker-1", syscall.SIGKILL); err != nil {
		return err
	}
	return f.start("worker-4")
}

func (f *fleet) freeze(context.Context) error {
	f.say("worker-2 freezes for longer than the queue waits for it: others get its jobs.")
	return f.signal("worker-2", syscall.SIGSTOP)
}

func (f *fleet) cutOff(context.Context) error {
	f.say("worker-3 is cut off: the gateway pays what it asks for, and no answer arrives.")
	f.bank.cutOff("worker-3")
	return nil
}

func (f *fleet) crash(ctx context.Context) error {
	if err := restartPostgres(ctx, f.app); err != nil {
		f.say("PostgreSQL is not restarted: %v", err)
		return nil
	}
	f.say("PostgreSQL has crashed and recovered, in the middle of it all.")
	return nil
}

func (f *fleet) thaw(context.Context) error {
	f.say("worker-2 wakes up, and goes on where it was. worker-3 hears answers again.")
	f.bank.cutOff("")
	return f.signal("worker-2", syscall.SIGCONT)
}

func (f *fleet) killReceiver(context.Context) error {
	f.say("The receiver is killed and starts again: the gateway repeats its webhooks.")
	if err := f.signal(receiverName, syscall.SIGKILL); err != nil {
		return err
	}
	return f.start(receiverName)
}

func (f *fleet) calm(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say("%d withdrawals were requested. What is open has to end now.", len(f.requested))
	return nil
}

// drain waits until every withdrawal has ended, and compares the books with the gateway.
func (f *fleet) drain(ctx context.Context) error {
	for told := -1; ; {
		var open, doubted int
		err := f.app.db.QueryRowContext(ctx, `SELECT count(*), count(doubt_since) FROM withdrawal WHERE state = 'PENDING'`).Scan(&open, &doubted)
		if err != nil {
			return err
		}
		if open == 0 {
			break
		}
		if open != told {
			f.say("%d are open, %d of them with an unknown outcome.", open, doubted)
			told = open
		}
		if err := wait(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	f.say("All withdrawals have ended.\n")
	return f.compare(ctx)
}

// compare compares the books with themselves and with the gateway.
func (f *fleet) compare(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	wrong := []error{f.differences(ctx)}
	paid, err := f.app.books.account(ctx, accountPaid)
	if err != nil {
		return err
	}
	var withdrawals int
	if err := f.app.db.QueryRowContext(ctx, `SELECT count(*) FROM withdrawal`).Scan(&withdrawals); err != nil {
		return err
	}
	completed := pix.Centavos(int64(f.bank.completed()) * fleetAmount)
	fmt.Fprintf(f.out, "requested  %d withdrawals, %d in the books\n", len(f.requested), withdrawals)
	fmt.Fprintf(f.out, "asked      %d requests to pay, %d payments accepted\n", f.bank.asked(), f.bank.transactions())
	fmt.Fprintf(f.out, "gateway    R$ %v were paid\n", completed)
	fmt.Fprintf(f.out, "books      R$ %v were paid\n\n", paid)
	if withdrawals != len(f.requested) {
		wrong = append(wrong, errors.New("withdrawals were lost"))
	}
	if completed != paid {
		wrong = append(wrong, errors.New("the books differ from the gateway"))
	}
	return errors.Join(append(wrong, f.app.books.status(ctx, f.out))...)
}

// differences compares each withdrawal that has ended with the gateway. A withdrawal ends once and
// so does a payment, so that the fleet may go on meanwhile.
func (f *fleet) differences(ctx context.Context) error {
	var wrong []error
	for state, right := range map[state][]connectpsp.CashOutStatus{
		statePosted: {connectpsp.CashOutCompleted},
		stateVoided: {connectpsp.CashOutFailed, ""},
	} {
		references, err := f.app.books.texts(ctx, `SELECT reference FROM withdrawal WHERE state = $1`, state)
		if err != nil {
			return err
		}
		for _, reference := range references {
			if n := len(f.bank.paid(reference)); n > 1 {
				wrong = append(wrong, fmt.Errorf("%s was paid %d times", reference, n))
			}
			if status := f.bank.status(reference); !slices.Contains(right, status) {
				wrong = append(wrong, fmt.Errorf("%s is %s in the books, and at the gateway %q", reference, state, status))
			}
		}
	}
	return errors.Join(wrong...)
}

// request requests withdrawals until ctx ends. After an error, such as a lost connection, it
// requests the same one again: its reference makes it the same.
func (f *fleet) request(ctx context.Context) {
	ticker := time.NewTicker(time.Second / time.Duration(f.perSecond))
	defer ticker.Stop()
	run := time.Now().UnixMilli()
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		w := withdrawal{fmt.Sprintf("fleet-%d-%d", run, n), fmt.Sprint("player-", n%fleetPlayers), pix.Centavos(fleetAmount), testPayee}
		unstopped := context.WithoutCancel(ctx) // what is begun is finished, so that it is counted
		_ = until(unstopped, func() (bool, error) {
			once, cancel := context.WithTimeout(unstopped, 10*time.Second)
			defer cancel()
			_, err := f.app.books.withdraw(once, w)
			if err == nil {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.requested = append(f.requested, w.reference)
			}
			return err == nil || errors.Is(err, errFrozen), nil
		})
	}
}

// start starts a process of the fleet.
func (f *fleet) start(name string) error {
	command := f.command(name)
	if err := command.Start(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.processes[name] = command
	return nil
}

// command returns what starts a process of the fleet.
func (f *fleet) command(name string) *exec.Cmd {
	arguments := append([]string{"work", "-faster", strconv.Itoa(fleetFaster), "-name", name}, f.flags...)
	if name == receiverName {
		arguments = []string{"receive"}
	}
	command := exec.Command(f.program, arguments...)
	command.Env = append(os.Environ(), "DATABASE_URL="+f.database,
		"CONNECTPSP_CLIENT_ID="+f.config.ClientID, "CONNECTPSP_CLIENT_SECRET="+f.config.ClientSecret.Reveal(),
		"CONNECTPSP_APPLICATION_TOKEN="+f.config.ApplicationToken.Reveal(), "CONNECTPSP_CRYPTO_TOKEN="+f.config.CryptoToken.Reveal(),
		"CONNECTPSP_BASE_URL="+f.config.BaseURL, "PAYOUTS_METRICS=", "PAYOUTS_LISTEN="+f.address, "PAYOUTS_WEBHOOK_URL=http://"+f.address+webhookPath)
	return command
}

func (f *fleet) signal(name string, signal syscall.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	process := f.processes[name]
	if err := process.Process.Signal(signal); err != nil {
		return err
	}
	if signal == syscall.SIGKILL {
		_ = process.Wait()
		delete(f.processes, name)
	}
	return nil
}

// settle ends each payment after a moment: of ten, nine complete and one fails.
func (b *bank) settle(ctx context.Context) {
	done := map[string]bool{}
	for wait(ctx, 200*time.Millisecond) == nil {
		for _, id := range b.all() {
			switch {
			case done[id] || rand.IntN(3) > 0:
				continue
			case rand.IntN(10) == 0:
				done[id] = b.FailCashOut(id, "PIX_KEY_NOT_FOUND", "there is no such key") == nil
			default:
				done[id] = b.CompleteCashOut(id) == nil
			}
		}
	}
}

// restartPostgres crashes the server, which then recovers from its log.
func restartPostgres(ctx context.Context, a *app) error {
	var directory, binaries string
	err := a.db.QueryRowContext(ctx, `SELECT current_setting('data_directory'), (SELECT setting FROM pg_config WHERE name = 'BINDIR')`).Scan(
		&directory, &binaries)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, filepath.Join(binaries, "pg_ctl"), "-D", directory, "-m", "immediate", "-w", "restart")
	if err := runAsOwner(command, directory); err != nil {
		return fmt.Errorf("its data directory is not on this machine: %w", err)
	}
	return command.Run()
}

// runAsOwner lets a command run as the owner of a directory: PostgreSQL refuses to run as root.
func runAsOwner(command *exec.Cmd, directory string) error {
	info, err := os.Stat(directory)
	if err != nil || os.Getuid() != 0 {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	return nil
}

// freeAddress returns an address on this machine that nothing listens at.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
