package integration

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

var kills = flag.Int("kills", 15, "how often a receiver is killed on each kind of database")

// serveUntilKilled is the program that is killed: a handler and two workers, which count every
// effect in a table.
func serveUntilKilled(ctx context.Context, driver, address string, dialect sqlstore.Dialect) error {
	db, err := sql.Open(driver, address)
	if err != nil {
		return err
	}
	store, err := sqlstore.Open(ctx, db, dialect)
	if err != nil {
		return err
	}
	inbox := store.Inbox()
	handler, err := webhook.NewHandler(inbox, auth.NewSecret(currentSecret))
	if err != nil {
		return err
	}
	client, err := connectpsp.New(connectpsp.Config{ClientID: "1024", ClientSecret: auth.NewSecret("secret"), ApplicationToken: auth.NewSecret(previousSecret), BaseURL: "https://gateway.example"})
	if err != nil {
		return err
	}
	worker := webhook.NewWorker(inbox, client, func(ctx context.Context, step webhook.Transition) error {
		_, err := sqlstore.Tx(ctx).ExecContext(ctx, `INSERT INTO effect (tx, to_status) VALUES ($1, $2)`, step.TransactionID, string(step.To))
		return err
	})
	for range 2 {
		go func() { _ = worker.Run(ctx) }()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	return (&http.Server{Handler: handler, ReadHeaderTimeout: time.Second}).Serve(listener)
}

// startReceiver starts the program, and returns where it listens and what kills it, as kill -9
// does.
func startReceiver(t *testing.T, driver, address string) (url string, kill func()) {
	child := exec.Command(os.Args[0], "-test.run=^TestAReceiverThatIsKilled")
	child.Env = append(os.Environ(), "RECEIVER_DRIVER="+driver, "RECEIVER_DATABASE="+address)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	late := time.AfterFunc(time.Minute, func() { _ = child.Process.Kill() })
	defer late.Stop()
	require.True(t, lines.Scan(), "it has not started")
	return lines.Text(), sync.OnceFunc(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
}

// TestAReceiverThatIsKilledLosesNothingAndRepeatsNothing: a delivery that was answered with 200 has
// its effect once, whenever the receiver dies.
func TestAReceiverThatIsKilledLosesNothingAndRepeatsNothing(t *testing.T) {
	if driver := os.Getenv("RECEIVER_DRIVER"); driver != "" {
		dialect := sqlstore.PostgreSQL
		if driver == "sqlite" {
			dialect = sqlstore.SQLite
		}
		fmt.Fprintln(os.Stderr, serveUntilKilled(t.Context(), driver, os.Getenv("RECEIVER_DATABASE"), dialect))
		os.Exit(1)
	}
	for driver, address := range map[string]string{
		"pgx":    os.Getenv("CONNECTPSP_TEST_POSTGRES"),
		"sqlite": "file:" + filepath.Join(t.TempDir(), "test.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)",
	} {
		t.Run(driver, func(t *testing.T) {
			if address == "" {
				t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
			}
			if driver == "pgx" {
				address = newPostgres(t, address)
			}
			killReceivers(t, driver, address)
		})
	}
}

func killReceivers(t *testing.T, driver, address string) {
	db, err := sql.Open(driver, address)
	require.NoError(t, err)
	defer db.Close()
	execute(t, db, `CREATE TABLE effect (tx text NOT NULL, to_status text NOT NULL)`)
	var posted int
	for range *kills {
		url, kill := startReceiver(t, driver, address)
		stop := time.AfterFunc(rand.N(400*time.Millisecond), kill)
		for alive := true; alive; posted++ {
			alive = deliverAll(t, url, posted)
		}
		stop.Stop()
		kill()
	}
	// The gateway delivers again what was not answered with 200, and a lease is over in two
	// minutes.
	url, kill := startReceiver(t, driver, address)
	defer kill()
	for n := range posted {
		require.True(t, deliverAll(t, url, n))
	}
	execute(t, db, `UPDATE connectpsp_queue SET due_at = 0, leased_until = 0 WHERE due_at IS NOT NULL`)
	require.Eventually(t, func() bool {
		return number(t, db, `SELECT count(*) FROM connectpsp_queue`) == 0
	}, time.Minute, 50*time.Millisecond)
	// The payment is passed over where its return was worked off first.
	assert.Equal(t, posted, number(t, db, `SELECT count(*) FROM effect WHERE to_status = 'REFUNDED'`), "every transaction ended")
	effects := number(t, db, `SELECT count(*) FROM effect`)
	assert.Equal(t, effects, number(t, db, `SELECT count(*) FROM (SELECT DISTINCT tx, to_status FROM effect) AS once`), "nothing happened twice")
	assert.Greater(t, effects, posted)
	t.Logf("%d kills, %d transactions", *kills, posted)
}

// deliverAll posts both events of a life, twice and at the same time, and reports whether all were
// answered.
func deliverAll(t *testing.T, url string, n int) bool {
	l := life{id: fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n), kind: webhook.KindCashOut}
	var all sync.WaitGroup
	answers := make([]bool, 3)
	post := func(i int, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if !assert.NoError(t, err) {
			return
		}
		r.Header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(currentSecret, []byte(body))))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return
		}
		_ = answer.Body.Close()
		answers[i] = answer.StatusCode == http.StatusOK
	}
	// The return comes when the payment is kept, so that there are two steps to take.
	all.Go(func() { post(0, l.body(completed, 18)) })
	all.Go(func() { post(1, l.body(completed, 18)) })
	all.Wait()
	post(2, l.body(returned, 18))
	return answers[0] && answers[1] && answers[2]
}
