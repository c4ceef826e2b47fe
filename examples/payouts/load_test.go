package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

var (
	load     = flag.Bool("load", false, "measure what a payout costs, and how many are made a second")
	loadRows = flag.Int("load.rows", 1_000_000, "how many withdrawals are done in the fullest database")
)

const (
	loadPayouts = 1000 // in each run
	loadRounds  = 3    // runs of each case, in turn, so that all meet the same noise of the machine
	loadOpen    = 300  // withdrawals that are requested and not yet accepted

	commitsGoal = 8
	rowsGoal    = 0.9 // of the payouts a second with a hundredth of the rows
)

// loadBank is the gateway. It completes each payment a moment after it has accepted it.
type loadBank struct {
	*sandbox.Sandbox
	accepted chan string // ids of transactions
}

func startLoadBank(t *testing.T) *loadBank {
	b := &loadBank{accepted: make(chan string, loadPayouts)}
	var err error
	b.Sandbox, err = sandbox.Start(sandbox.WithMiddleware(b.note), sandbox.WithBalance(pix.Centavos(1_000_000_000_00), nothing))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func (b *loadBank) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &responseRecorder{ResponseWriter: w}
		next.ServeHTTP(recorder, r)
		var payment struct{ TransactionID string }
		if r.Method == http.MethodPost && r.URL.Path == "/cash-out" && json.Unmarshal(recorder.body.Bytes(), &payment) == nil &&
			payment.TransactionID != "" {
			b.accepted <- payment.TransactionID
		}
	})
}

// loadCase is one database, paid from by so many workers, each a process.
type loadCase struct {
	rows, workers int
	database      string
	runs          []loadCost
}

// loadCost is what the payouts of a run have cost, each.
type loadCost struct {
	perSecond float64
	commits   float64 // also of transactions that only read
	writing   float64 // transactions that write, those rolled back included
	wal       float64 // bytes
	fullPages float64 // that the log has because of a checkpoint
	buffers   float64
	postgres  float64 // seconds of the CPU
	processes float64 // of the workers and the receiver
}

func TestFiguresOfPayouts(t *testing.T) {
	if !*load {
		t.Skip("make fleet-load measures")
	}
	program := filepath.Join(t.TempDir(), "payouts")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", output)
	bank := startLoadBank(t)
	rows := []int{*loadRows / 100, *loadRows / 10, *loadRows}
	var databases []string
	for _, n := range rows {
		databases = append(databases, newDatabase(t))
		fillDatabase(t, databases[len(databases)-1], n)
	}
	var cases []*loadCase
	for _, workers := range []int{1, 2, 4} {
		for n, database := range databases {
			cases = append(cases, &loadCase{rows: rows[n], workers: workers, database: database})
		}
	}
	for range loadRounds {
		for _, c := range cases {
			c.runs = append(c.runs, measure(t, bank, c, program))
		}
	}
	for _, database := range databases {
		db := openDatabase(t, database)
		require.NoError(t, (&books{db: db}).audit(t.Context()))
		require.NoError(t, db.Close())
	}
	report(t, cases)
}

// fillDatabase adds withdrawals that are done: ten of each player, in the last thirty days.
func fillDatabase(t *testing.T, database string, rows int) {
	began := time.Now()
	db := openDatabase(t, database)
	defer db.Close()
	statement := strings.ReplaceAll(`
		SET session_replication_role = replica; -- the rows agree, so foreign keys are not looked up
		UPDATE control SET per_second = 1000000, hour_limit = 1000000000000, player_limit = 1000000000000;
		INSERT INTO player (id, balance) SELECT 'player-' || n, 1000000000 FROM generate_series(0, ROWS / 10 - 1) n;
		INSERT INTO entry (phase, from_account, to_account, centavos)
			SELECT 'DEPOSIT', 'deposits', 'player ' || id, balance + 10 * 1000 FROM player;
		-- Random ids, in their order, as the indexes take them faster. All ids of a withdrawal begin alike.
		CREATE TEMP TABLE done ON COMMIT DROP AS
			SELECT *, 'player-' || n % (ROWS / 10) AS player, overlay(reference PLACING 'aaaa' FROM 33) AS transaction,
				overlay(reference PLACING 'bbbb' FROM 33) AS key, md5(n::text) AS payment_id,
				clock_timestamp() - (ROWS - n) * interval '30 days' / ROWS AS at
			FROM (SELECT reference, row_number() OVER (ORDER BY reference) AS n
				FROM (SELECT gen_random_uuid()::text AS reference FROM generate_series(1, ROWS)) ids) ordered;
		INSERT INTO withdrawal (reference, player, centavos, name, document, key_type, pix_key, state, transaction_id, fencing_token, requested_at)
			SELECT reference, player, 1000, 'Test User', '12345678909', 'CPF', '12345678909', 'POSTED', transaction, 1, at FROM done;
		INSERT INTO entry (withdrawal, phase, from_account, to_account, centavos, made_at)
			SELECT reference, 'PENDING', 'player ' || player, 'in flight', 1000, at FROM done
			UNION ALL SELECT reference, 'POSTED', 'in flight', 'paid', 1000, at FROM done;
		INSERT INTO connectpsp_payment (payment, key, operation, external_reference, charge_id, transaction_id, centavos, body_sha256, client_id,
				base_url, outcome, begun_at, sent_at, ended_at, owner, leased_until, epoch)
			SELECT 'createCashOut/' || reference, key, 'createCashOut', reference, '', transaction, 1000, encode(sha256(key::bytea), 'hex'), 'client',
				'https://gateway.example', 'ACCEPTED', micros, micros, micros, 'owner', micros, 1
			FROM (SELECT *, (extract(epoch FROM at) * 1000000)::bigint AS micros FROM done) d;
		INSERT INTO connectpsp_event (key, body_sha256, received_at)
			SELECT 'CASHOUT_COMPLETED/' || transaction || '/' || payment_id, sha256(key::bytea), (extract(epoch FROM at) * 1000000)::bigint FROM done;
		INSERT INTO connectpsp_state (key, status, centavos, reference, payment_id)
			SELECT 'CASHOUT/' || transaction, 'COMPLETED', 1000, reference, payment_id FROM done`, "ROWS", strconv.Itoa(rows))
	for _, statement := range []string{statement, "VACUUM ANALYZE", "CHECKPOINT"} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	t.Logf("%d rows were added in %v", rows, time.Since(began).Round(time.Second))
}

func openDatabase(t testing.TB, database string) *sql.DB {
	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	return db
}

// measure pays withdrawals, and returns what each has cost.
func measure(t *testing.T, bank *loadBank, c *loadCase, program string) loadCost {
	before := counted(t, c.database)
	address, err := freeAddress()
	require.NoError(t, err)
	receiver := startProcess(t, bank, c.database, address, program, "receive")
	var workers []*process
	for range c.workers {
		workers = append(workers, startProcess(t, bank, c.database, address, program, "work"))
	}
	began := time.Now()
	payAll(t, bank, c)
	took := time.Since(began)
	var cpu time.Duration
	for _, process := range append(workers, receiver) {
		cpu += process.stop(t)
	}
	cost := counted(t, c.database).minus(before)
	cost.perSecond, cost.processes = loadPayouts/took.Seconds(), cpu.Seconds()/loadPayouts
	return cost
}

// payAll requests withdrawals, and waits until each is posted.
func payAll(t *testing.T, bank *loadBank, c *loadCase) {
	a, err := open(t.Context(), c.database, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer a.close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	slots := make(chan struct{}, loadOpen)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { bank.complete(ctx, t, slots) })
	next := make(chan int)
	for range 8 {
		all.Go(func() {
			for n := range next {
				w := withdrawal{uuid.NewString(), fmt.Sprint("player-", n*7919%(c.rows/10)), pix.Centavos(10_00), testPayee}
				_, err := a.books.withdraw(ctx, w)
				assert.NoError(t, err)
			}
		})
	}
	for n := range loadPayouts {
		select {
		case slots <- struct{}{}:
			next <- n
		case <-ctx.Done():
			require.NoError(t, ctx.Err(), "%d withdrawals were requested", n)
		}
	}
	close(next)
	require.NoError(t, until(ctx, func() (bool, error) {
		if len(slots) > 0 {
			return false, nil
		}
		var open int
		err := a.db.QueryRowContext(ctx, `SELECT count(*) FROM withdrawal WHERE state IN ('HELD', 'PENDING')`).Scan(&open)
		return open == 0, err
	}))
}

// complete completes payments a moment after they were accepted, as long as ctx lasts, and gives a
// slot back for each.
func (b *loadBank) complete(ctx context.Context, t *testing.T, slots <-chan struct{}) {
	for {
		select {
		case id := <-b.accepted:
			<-slots
			time.AfterFunc(50*time.Millisecond, func() { assert.NoError(t, b.CompleteCashOut(id)) })
		case <-ctx.Done():
			return
		}
	}
}

// process is a worker or a receiver.
type process struct {
	command *exec.Cmd
	log     bytes.Buffer
}

func startProcess(t *testing.T, bank *loadBank, database, address, program, command string) *process {
	p := &process{command: exec.CommandContext(t.Context(), program, command)}
	config := bank.Config()
	p.command.Env = append(os.Environ(), "DATABASE_URL="+database,
		"CONNECTPSP_CLIENT_ID="+config.ClientID, "CONNECTPSP_CLIENT_SECRET="+config.ClientSecret.Reveal(),
		"CONNECTPSP_APPLICATION_TOKEN="+config.ApplicationToken.Reveal(), "CONNECTPSP_CRYPTO_TOKEN="+config.CryptoToken.Reveal(),
		"CONNECTPSP_BASE_URL="+config.BaseURL, "PAYOUTS_LISTEN="+address, "PAYOUTS_WEBHOOK_URL=http://"+address+webhookPath)
	p.command.Stderr = &p.log
	require.NoError(t, p.command.Start())
	return p
}

// stop asks the process to end, and returns how much of the CPU it has used.
func (p *process) stop(t *testing.T) time.Duration {
	require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.command.Wait(), "%s", p.log.String())
	return p.command.ProcessState.UserTime() + p.command.ProcessState.SystemTime()
}

// counted returns what the server has counted so far. Sessions report what they did when they end.
func counted(t *testing.T, database string) (c loadCost) {
	server, err := migrateOnce()
	require.NoError(t, err)
	admin := openDatabase(t, server)
	defer admin.Close()
	_, name, _ := strings.Cut(database, "dbname=")
	var directory string
	require.NoError(t, until(t.Context(), func() (bool, error) {
		var sessions int
		err := admin.QueryRowContext(t.Context(), `SELECT count(*), current_setting('data_directory') FROM pg_stat_activity
			WHERE datname = $1 AND backend_type = 'client backend'`, name).Scan(&sessions, &directory)
		return sessions == 0, err
	}))
	require.NoError(t, admin.QueryRowContext(t.Context(), `SELECT xact_commit, pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
		pg_current_wal_insert_lsn() - '0/0', (SELECT wal_fpi FROM pg_stat_wal) FROM pg_stat_database WHERE datname = $1`, name).
		Scan(&c.commits, &c.writing, &c.wal, &c.fullPages))
	db := openDatabase(t, database)
	defer db.Close()
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0))
		FROM pg_statio_user_tables`).Scan(&c.buffers))
	c.postgres = cpuOfServer(t, directory)
	return c
}

func (c loadCost) minus(before loadCost) loadCost {
	return loadCost{
		commits: (c.commits - before.commits) / loadPayouts, writing: (c.writing - before.writing) / loadPayouts,
		wal: (c.wal - before.wal) / loadPayouts, fullPages: (c.fullPages - before.fullPages) / loadPayouts,
		buffers: (c.buffers - before.buffers) / loadPayouts, postgres: (c.postgres - before.postgres) / loadPayouts,
	}
}

// cpuOfServer returns how many seconds of the CPU all processes of the server have used, also those
// that have ended.
func cpuOfServer(t *testing.T, directory string) (seconds float64) {
	text, err := os.ReadFile(filepath.Join(directory, "postmaster.pid"))
	require.NoError(t, err)
	postmaster, _, _ := strings.Cut(string(text), "\n")
	const ticks = 100 // a second, on every Linux
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name of the program, in parentheses, may have spaces. The parent follows the state.
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		isPostmaster := path == "/proc/"+postmaster+"/stat"
		if !isPostmaster && fields[1] != postmaster {
			continue
		}
		used := fields[11:13] // utime, stime
		if isPostmaster {
			used = fields[11:15] // and those of its children that have ended
		}
		for _, field := range used {
			n, err := strconv.Atoi(field)
			require.NoError(t, err)
			seconds += float64(n) / ticks
		}
	}
	return seconds
}

// median returns the median run of what is counted.
func (c *loadCase) median(value func(loadCost) float64) float64 {
	var values []float64
	for _, run := range c.runs {
		values = append(values, value(run))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func report(t *testing.T, cases []*loadCase) {
	var table strings.Builder
	fmt.Fprintln(&table, "| workers | rows | payouts a second | write transactions | commits, reads too | WAL, kB | full pages | buffers | CPU, ms | of it PostgreSQL |")
	fmt.Fprintln(&table, "|---|---|---|---|---|---|---|---|---|---|")
	for _, c := range cases {
		postgres, processes := c.median(func(r loadCost) float64 { return r.postgres }), c.median(func(r loadCost) float64 { return r.processes })
		writing := c.median(func(r loadCost) float64 { return r.writing })
		fmt.Fprintf(&table, "| %d | %d | %.0f | %.1f | %.1f | %.1f | %.1f | %.0f | %.1f | %.0f %% |\n", c.workers, c.rows,
			c.median(func(r loadCost) float64 { return r.perSecond }), writing, c.median(func(r loadCost) float64 { return r.commits }),
			c.median(func(r loadCost) float64 { return r.wal })/1000, c.median(func(r loadCost) float64 { return r.fullPages }),
			c.median(func(r loadCost) float64 { return r.buffers }), 1000*(postgres+processes), 100*postgres/(postgres+processes))
		assert.LessOrEqual(t, writing, float64(commitsGoal))
	}
	t.Logf("each payout, from the request to the confirmation:\n%s", table.String())
	for same := range slices.Chunk(cases, 3) {
		few, many := same[0], same[2]
		var ratios []float64
		for round, run := range many.runs {
			ratios = append(ratios, run.perSecond/few.runs[round].perSecond)
		}
		slices.Sort(ratios)
		t.Logf("%d workers, %d rows: %.2f of %d rows (goal %.1f): %.2f", many.workers, many.rows, ratios[len(ratios)/2], few.rows, rowsGoal, ratios)
	}
}
