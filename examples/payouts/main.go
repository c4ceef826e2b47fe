// Payouts pays the withdrawals of a betting platform by PIX, from any number of processes on one
// PostgreSQL database, with River as the queue. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

const usage = `usage: payouts <command>

  migrate                  make or update the tables
  work                     pay withdrawals; start as many as you like
  receive                  take the gateway's webhooks at PAYOUTS_LISTEN (:8080)
  deposit PLAYER AMOUNT    credit a player
  withdraw REFERENCE PLAYER AMOUNT NAME CPF
                           debit a player and pay the amount to the key that is the CPF
  status                   print what is open, and audit the books
  stop REASON              stop all payouts of all processes within two seconds
  resume                   make payouts again
  release REFERENCE        pay a withdrawal that is held
  refuse REFERENCE REASON  give a withdrawal that is held back to its player
  demo                     see two withdrawals through, against the sandbox
  fleet                    see a fleet survive kills, freezes, lost answers and a crash of PostgreSQL

DATABASE_URL names the database. Work and receive need CONNECTPSP_*; work needs PAYOUTS_WEBHOOK_URL, the
address under which the gateway reaches receive. With PAYOUTS_TOKEN_KEY, 32 characters or more that are the same
in all processes, these share one access token. Work, receive and demo serve /metrics at PAYOUTS_METRICS, and
print spans to stderr if OTEL_TRACES_EXPORTER is console.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, errUsage) {
			fmt.Fprintln(os.Stderr, usage)
		}
		os.Exit(1)
	}
}

var errUsage = errors.New("there is no such command, or it takes other arguments")

func run(ctx context.Context, out io.Writer, arguments []string) error {
	database := os.Getenv("DATABASE_URL")
	if len(arguments) == 0 {
		return errUsage
	}
	if database == "" {
		return errors.New("DATABASE_URL is not set")
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	command, arguments := arguments[0], arguments[1:]
	if command == "migrate" {
		return migrate(ctx, database)
	}
	stopTracing, err := startTracing(os.Stderr)
	if err != nil {
		return err
	}
	defer stopTracing()
	switch command {
	case "demo":
		return demo(ctx, out, database)
	case "fleet":
		return runFleet(ctx, out, database)
	}
	a, err := open(ctx, database, logger)
	if err != nil {
		return err
	}
	defer a.close()
	switch command {
	case "work":
		return a.runWorker(ctx, arguments)
	case "receive":
		return a.runReceiver(ctx)
	}
	return a.books.command(ctx, out, command, arguments)
}

func (a *app) runWorker(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("work", flag.ContinueOnError)
	name := flags.String("name", "payouts", "the name of the process, sent to the gateway as User-Agent")
	concurrency := flags.Int("concurrency", 20, "payouts at a time")
	pollOnly := flags.Bool("poll-only", false, "use no LISTEN, for PgBouncer in transaction mode")
	faster := flags.Int("faster", 1, "divide all timeouts, for a demonstration")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	webhookURL := os.Getenv("PAYOUTS_WEBHOOK_URL")
	if webhookURL == "" {
		return errors.New("PAYOUTS_WEBHOOK_URL is not set")
	}
	config, err := connectpsp.ConfigFromEnv()
	if err != nil {
		return err
	}
	if err := a.connect(ctx, config, connectpsp.WithUserAgent(*name)); err != nil {
		return err
	}
	return a.work(ctx, workerSettings{webhookURL, *concurrency, *pollOnly, defaultTimeouts.faster(*faster)})
}

func (a *app) runReceiver(ctx context.Context) error {
	config, err := connectpsp.ConfigFromEnv()
	if err != nil {
		return err
	}
	if err := a.connect(ctx, config); err != nil {
		return err
	}
	address := os.Getenv("PAYOUTS_LISTEN")
	if address == "" {
		address = ":8080"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return a.receive(ctx, listener, config)
}

// command runs a command that needs the books only.
func (b *books) command(ctx context.Context, out io.Writer, command string, arguments []string) error {
	number := map[string]int{"deposit": 2, "withdraw": 5, "status": 0, "stop": 1, "resume": 0, "release": 1, "refuse": 2}
	if n, ok := number[command]; !ok || n != len(arguments) {
		return errUsage
	}
	switch command {
	case "deposit":
		amount, err := pix.ParseAmount(arguments[1])
		if err != nil {
			return err
		}
		return b.deposit(ctx, arguments[0], amount)
	case "withdraw":
		amount, err := pix.ParseAmount(arguments[2])
		if err != nil {
			return err
		}
		state, err := b.withdraw(ctx, withdrawal{arguments[0], arguments[1], amount, connectpsp.Payee{
			Name: arguments[3], Document: arguments[4], Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, arguments[4])}})
		if err == nil {
			fmt.Fprintln(out, state)
		}
		return err
	case "stop":
		return b.stop(ctx, arguments[0])
	case "resume":
		return b.resume(ctx)
	case "release":
		return b.release(ctx, arguments[0])
	case "refuse":
		return b.refuse(ctx, arguments[0], arguments[1])
	default:
		return b.status(ctx, out)
	}
}
