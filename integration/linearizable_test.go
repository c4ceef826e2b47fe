//go:build unix

package integration

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

var (
	linearizable       = flag.Int("linearizable", 10_000, "how many operations on a shared journal are checked")
	linearizableSeed   = flag.Uint64("linearizable.seed", rand.Uint64(), "what they are drawn from, but for their times")
	linearizableBroken = flag.Bool("linearizable.broken", false, "build journals that check too little, and check them too")
)

const (
	processes   = 4                      // at a time
	callers     = 4                      // of each process
	payments    = 2                      // that a caller of each process shares at a time
	paymentLife = 400 * time.Millisecond // after which no call begins: a lease never expires by itself
)

// caller makes the calls of a process for some payments, one after the other, as a client does.
type caller struct {
	journal connectpsp.Journal
	db      *sql.DB
	random  *rand.Rand
	number  int
	begun   map[string]bool // idempotency keys
	unsure  map[string]bool // payments of which the journal may know more than the model
	history *os.File
}

// callUntilKilled is the program that is killed and frozen.
func callUntilKilled(t *testing.T, address, directory string) {
	db, err := sql.Open("pgx", address)
	require.NoError(t, err)
	journal := openStore(t, servers[0], db).Journal()
	for number := range callers {
		history, err := os.CreateTemp(directory, "")
		require.NoError(t, err)
		random := rand.New(rand.NewPCG(*linearizableSeed, uint64(number)))
		c := &caller{journal, db, random, number, map[string]bool{}, map[string]bool{}, history}
		go func() {
			for {
				c.act(t.Context())
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test that has started it ends
	os.Exit(1)
}

// act does one of the things that a client, its Recover, a webhook and a person do.
func (c *caller) act(ctx context.Context) {
	payment := fmt.Sprint(monotonic()/int64(paymentLife), "-", c.random.IntN(payments)*callers+c.number)
	intent := intentOf(payment, c.random.IntN(attempts))
	byHand := !c.begun[intent.IdempotencyKey]
	switch n := c.random.IntN(100); {
	case n < 8 || c.unsure[payment]:
		_, _ = c.call(callFind, intent, func() (*connectpsp.Intent, error) { return c.journal.Find(ctx, intent) })
	case n < 58:
		_, _ = c.call(endLease, intent, func() (*connectpsp.Intent, error) {
			_, err := c.db.ExecContext(ctx, `UPDATE connectpsp_payment SET leased_until = 0 WHERE external_reference = $1`, payment)
			return nil, err
		})
	case n < 60 && byHand:
		c.finish(ctx, connectpsp.OutcomeRejected, intent)
	case n < 61 && byHand:
		c.finish(ctx, connectpsp.OutcomeAccepted, intent)
	case n < 63:
		intent.SentAt = time.Now()
		earlier, err := c.begin(ctx, intent)
		switch {
		case err != nil:
		case earlier == nil:
			c.finish(ctx, connectpsp.OutcomeAccepted, intent)
		case earlier.Outcome == "":
			c.finish(ctx, connectpsp.OutcomeAccepted, *earlier)
		}
	case n < 78:
		open, _ := c.call(callPending, intent, func() (*connectpsp.Intent, error) {
			all, err := c.journal.Pending(ctx)
			n := slices.IndexFunc(all, func(i connectpsp.Intent) bool { return i.ExternalReference == payment })
			if n < 0 {
				return nil, err
			}
			return &all[n], err
		})
		if open != nil && !open.Leased {
			c.pay(ctx, intentOf(payment, attemptOf(open)), true)
		}
	default:
		c.pay(ctx, intent, false)
	}
}

// pay sends an attempt of a payment up to eight times, and hears of an outcome or not.
func (c *caller) pay(ctx context.Context, intent connectpsp.Intent, recovering bool) {
	earlier, err := c.begin(ctx, intent)
	switch {
	case err != nil, earlier != nil && (earlier.Outcome != "" || earlier.IdempotencyKey != intent.IdempotencyKey):
		return
	case earlier == nil && recovering:
		c.finish(ctx, connectpsp.OutcomeRejected, intent)
		return
	}
	doubt := earlier != nil
	for range 1 + c.random.IntN(8) {
		if err = c.send(ctx, intent); err != nil {
			break
		}
		doubt = false
	}
	switch n := c.random.IntN(10); {
	case c.unsure[intent.ExternalReference]:
	case err != nil && !doubt, err == nil && n < 3:
		c.finish(ctx, connectpsp.OutcomeRejected, intent)
	case err == nil && n < 4:
		c.finish(ctx, connectpsp.OutcomeAccepted, intent)
	}
}

func (c *caller) begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	ctx, cancel := context.WithTimeout(ctx, c.within(200*time.Millisecond))
	defer cancel()
	c.begun[intent.IdempotencyKey] = true
	return c.call(callBegin, intent, func() (*connectpsp.Intent, error) { return c.journal.Begin(ctx, intent) })
}

func (c *caller) send(ctx context.Context, intent connectpsp.Intent) error {
	ctx, cancel := context.WithTimeout(ctx, c.within(300*time.Millisecond))
	defer cancel()
	_, err := c.call(callSent, intent, func() (*connectpsp.Intent, error) {
		return nil, c.journal.Sent(ctx, intent.IdempotencyKey, time.Now())
	})
	return err
}

func (c *caller) finish(ctx context.Context, outcome connectpsp.Outcome, intent connectpsp.Intent) {
	_, _ = c.call("Finish "+string(outcome), intent, func() (*connectpsp.Intent, error) {
		return nil, c.journal.Finish(ctx, intent.IdempotencyKey, outcome, "transaction")
	})
}

// call makes a call after a moment, which is at times as long as the response of a gateway takes.
// It writes down the call before and the result after it.
func (c *caller) call(method string, intent connectpsp.Intent, do func() (*connectpsp.Intent, error)) (*connectpsp.Intent, error) {
	moments := []time.Duration{time.Millisecond, 2 * time.Millisecond, 50 * time.Millisecond}
	time.Sleep(c.within(moments[c.random.IntN(len(moments))]))
	o := operation{Process: os.Getpid(), Method: method, Payment: intent.ExternalReference, Attempt: attemptOf(&intent), Called: monotonic()}
	c.write(o)
	returned, err := do()
	switch {
	case err != nil && method == callBegin:
		return returned, err // nothing was begun
	case errors.Unwrap(err) != nil || errors.Is(err, context.DeadlineExceeded): // of the database, as within a statement
		c.unsure[intent.ExternalReference] = true
		return returned, err
	case err != nil:
		o.Result = "error: " + err.Error()
	case returned != nil:
		o.Result = describe(attemptOf(returned), returned.Outcome, returned.Leased)
	default:
		o.Result = "nil"
	}
	o.Returned = monotonic()
	c.write(o)
	return returned, err
}

func (c *caller) within(d time.Duration) time.Duration {
	return time.Duration(c.random.Int64N(int64(d)))
}

// write writes a line at once, so that it outlives the process.
func (c *caller) write(o operation) {
	line, err := json.Marshal(o)
	if err == nil {
		_, err = c.history.Write(append(line, '\n'))
	}
	if err != nil {
		panic(err)
	}
}

func intentOf(payment string, attempt int) connectpsp.Intent {
	return connectpsp.Intent{
		Operation: connectpsp.OperationCreateCashOut, ExternalReference: payment, IdempotencyKey: fmt.Sprint(payment, "/", attempt),
		ClientID: "1024", BaseURL: "https://gateway.example", BegunAt: time.Now(),
	}
}

func attemptOf(intent *connectpsp.Intent) int {
	return int(intent.IdempotencyKey[len(intent.IdempotencyKey)-1] - '0')
}

func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}

// readHistory returns what all processes have done until now. A file that is read late may have
// operations of later, whose causes are missing in one that was read early.
func readHistory(t *testing.T, directory string) (history []operation) {
	now := monotonic()
	files, err := filepath.Glob(filepath.Join(directory, "*"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			var o operation
			if json.Unmarshal([]byte(line), &o) != nil {
				break // the process was killed while it wrote
			}
			if o.Result != "" {
				history[len(history)-1] = o
				continue
			}
			o.Returned = math.MaxInt64
			history = append(history, o)
		}
	}
	return cut(history, now)
}

// run runs processes of a program, kills and freezes them, until they have made enough operations,
// or some that are not linearizable.
func run(t *testing.T, program string, enough int) (operations int, story string) {
	address := os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if address == "" {
		t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
	}
	address, directory := newPostgres(t, address), t.TempDir()
	db, err := sql.Open("pgx", address)
	require.NoError(t, err)
	defer db.Close()
	openStore(t, servers[0], db) // makes the tables
	random := rand.New(rand.NewPCG(*linearizableSeed, 0))
	start := func() *exec.Cmd {
		child := exec.Command(program, "-test.run=^TestAJournalThatProcessesShareIsLinearizable$",
			"-linearizable.seed", fmt.Sprint(random.Uint64()))
		child.Env = append(os.Environ(), "CALLER_DATABASE="+address, "CALLER_DIRECTORY="+directory)
		child.Stdout, child.Stderr = os.Stderr, os.Stderr
		_, err := child.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		return child
	}
	kill := func(child *exec.Cmd) {
		_ = child.Process.Kill()
		_ = child.Wait()
	}
	var children [processes]*exec.Cmd
	for n := range children {
		children[n] = start()
		defer func() { kill(children[n]) }()
	}
	late := time.After(time.Minute + time.Duration(enough)*20*time.Millisecond)
	for round := 1; operations < enough && story == ""; round++ {
		n, moment := random.IntN(processes), time.After(time.Duration(50+random.IntN(350))*time.Millisecond)
		freeze := random.IntN(2) == 0
		if freeze {
			require.NoError(t, children[n].Process.Signal(unix.SIGSTOP))
		} else {
			kill(children[n])
			children[n] = start()
		}
		select {
		case <-moment:
		case <-late:
			require.Fail(t, "the processes are too slow", "%d operations", operations)
		}
		if freeze {
			require.NoError(t, children[n].Process.Signal(unix.SIGCONT))
		}
		if round%5 == 0 {
			history := readHistory(t, directory)
			operations, story = len(history), violation(t, history)
		}
	}
	return operations, story
}

// However the calls of processes overlap, and whenever a process is killed or frozen, each payment
// is as if its calls had been made one after the other, each between its start and its end.
func TestAJournalThatProcessesShareIsLinearizable(t *testing.T) {
	if directory := os.Getenv("CALLER_DIRECTORY"); directory != "" {
		callUntilKilled(t, os.Getenv("CALLER_DATABASE"), directory)
	}
	operations, story := run(t, os.Args[0], *linearizable)
	require.Empty(t, story, "seed %d", *linearizableSeed)
	t.Logf("%d operations", operations)
}

// unchecked are conditions in payment.go of sqlstore, and what a statement has in place of one that
// does not check it.
var unchecked = map[string][2]string{
	"whether another process has the lease, before a payment is sent":     {"isOpen + ` AND (owner = $3 OR leased_until <= NOW)`", "isOpen"},
	"whether another process has the lease, before a payment is rejected": {"(owner = $2 OR leased_until <= NOW)", "$2::text <> ''"},
	"whether another process was faster to take the payment":              {"epoch = $2 AND ` + isOpen + ` AND (owner", "$2::bigint > 0 AND ` + isOpen + ` AND (owner"},
	"whether the lease was lost, before it is renewed":                    {"+ $3 WHERE payment = $1 AND epoch = $2", "+ $3 WHERE payment = $1 AND $2::bigint > 0"},
	"whether the lease was lost, before the payment is rejected":          {"+ $3\nWHERE payment = $1 AND epoch = $2", "+ $3\nWHERE payment = $1 AND $2::bigint > 0"},
	"whether the payment was rejected since it was begun":                 {"connectpsp_payment.epoch = $17 AND connectpsp_payment.outcome = 'REJECTED'`", "$17::bigint >= 0 AND connectpsp_payment.outcome = 'REJECTED'`"},
	"whether the payment was accepted, before it is rejected":             {"+ $3\nWHERE payment = $1 AND epoch = $2 AND ` + isOpen", "+ $3\nWHERE payment = $1 AND epoch = $2`"},
}

func TestAJournalThatChecksTooLittleIsNotLinearizable(t *testing.T) {
	file, err := filepath.Abs("../sqlstore/payment.go")
	require.NoError(t, err)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for name, change := range unchecked {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			require.Equal(t, 1, strings.Count(string(text), change[0]), "the code has changed")
			if !*linearizableBroken {
				t.Skip("takes a minute; make fleet-linearizable runs it")
			}
			directory := t.TempDir()
			write := func(name, text string) string {
				path := filepath.Join(directory, name)
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
				return path
			}
			broken := write("payment.go", strings.Replace(string(text), change[0], change[1], 1))
			overlay := write("overlay.json", fmt.Sprintf(`{"Replace": {%q: %q}}`, file, broken))
			program := filepath.Join(directory, "program")
			output, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", program, ".").CombinedOutput()
			require.NoError(t, err, "%s", output)
			operations, story := run(t, program, 5**linearizable)
			require.NotEmpty(t, story, "%d operations of seed %d are linearizable", operations, *linearizableSeed)
			t.Log(story)
		})
	}
}
