package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	chaosLong = flag.Bool("chaos", false, "run whole schedules of faults, eight minutes each, in place of a short one")
	chaosSeed = flag.Uint64("chaos.seed", 0, "the seed of the schedule, random if 0")
)

// fault is a kind of fault. A schedule of faults is drawn from a seed, and the same seed draws the
// same one again; which payments they meet is left to chance.
type fault struct {
	name              string
	times, fewTimes   int           // in a whole schedule, and in a short one
	shortest, longest time.Duration // zero if it is over at once
	hits              []string      // processes, one of which it hits; none if it hits all
	stops             bool          // nothing else hits the process while it lasts
	happen            func(c *chaos, ctx context.Context, e event)
}

// event is a fault that happens.
type event struct {
	*fault
	at, last time.Duration
	process  string
}

func (e event) String() string {
	text := e.name
	if e.process != "" {
		text = e.process + ": " + text
	}
	if e.last > 0 {
		text += fmt.Sprintf(" (%.1f s)", e.last.Seconds())
	}
	return text
}

var (
	chaosWorkers   = []string{"worker-1", "worker-2", "worker-3", "worker-4"}
	chaosProcesses = append([]string{receiverName}, chaosWorkers...)
)

const pgBouncerName = "PgBouncer"

// Those that stop a process come first: the others leave it alone meanwhile.
var faults = []fault{
	// The lease on a payment is 12 s here.
	{"SIGSTOP for longer than the lease; others get its work", 10, 1, 15 * time.Second, 35 * time.Second, chaosWorkers, true, (*chaos).freeze},
	{"SIGSTOP while the database is slow; others get its work", 30, 2, 4 * time.Second, 9 * time.Second, chaosWorkers, true, (*chaos).stall},
	{"kill -9", 30, 3, 0, 0, chaosProcesses, false, (*chaos).kill},
	{"pg_ctl restart -m immediate", 5, 1, 0, 0, nil, false, (*chaos).crashPostgres},
	{"kill -9", 5, 1, 0, 0, []string{pgBouncerName}, false, (*chaos).kill},
	{"the gateway is down", 4, 1, 3 * time.Second, 8 * time.Second, nil, false, (*chaos).outage},
	{"the gateway is slow", 5, 1, 5 * time.Second, 15 * time.Second, nil, false, (*chaos).slowGateway},
	{"half of the gateway's answers are lost", 5, 1, 5 * time.Second, 15 * time.Second, nil, false, (*chaos).loseAnswers},
}

// draw draws a schedule of a length from a seed, in the order of time.
func draw(seed uint64, length time.Duration, long bool) (schedule []event) {
	random := rand.New(rand.NewPCG(seed, 0))
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(random.Float64()*float64(most-least))
	}
	for i := range faults {
		f := &faults[i]
		times := f.fewTimes
		if long {
			times = f.times
		}
		for n := range times {
			part := length / time.Duration(times)
			e := event{fault: f, at: between(part*time.Duration(n), part*time.Duration(n+1)), last: between(f.shortest, f.longest)}
			var free []string
			for _, process := range f.hits {
				if !slices.ContainsFunc(schedule, func(other event) bool { return other.stopsDuring(process, e.at, e.at+e.last) }) {
					free = append(free, process)
				}
			}
			if len(free) > 0 {
				e.process = free[random.IntN(len(free))]
			} else if len(f.hits) > 0 {
				continue
			}
			schedule = append(schedule, e)
		}
	}
	slices.SortStableFunc(schedule, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return schedule
}

func (e event) stopsDuring(process string, from, to time.Duration) bool {
	const margin = 3 * time.Second // an event that stops a process lasts a little longer than it says
	return e.stops && e.process == process && e.at-margin < to && from < e.at+e.last+margin
}

// chaos is a fleet whose workers reach the database through PgBouncer in transaction mode, and the
// gateway through a server that is at times slow, down, or not heard.
type chaos struct {
	*fleet
	t         *testing.T
	pgBouncer string // its configuration

	slowDatabase, slowAnswers, lostAnswers, outages atomic.Int32 // how many such events are under way

	toppedUp atomic.Bool // no payment is refused any more

	paying sync.Mutex // a refusal and an acceptance of one payment do not overlap
}

// refusals is the share of requests that are refused for want of money. The refusal is certain, and
// a further request under the same key may be accepted: the gateway does not protect a payment that
// one worker has given back from another worker that still sends it. A payment of unknown outcome
// is asked for until it is accepted.
const refusals = 0.4

// ServeHTTP is the gateway. It executes what it was asked, whether or not anybody still listens.
func (c *chaos) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := context.WithoutCancel(r.Context())
	if c.outages.Load() > 0 {
		if rand.IntN(2) == 0 {
			panic(http.ErrAbortHandler)
		}
		http.Error(w, "<html>down</html>", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	request := r.Clone(ctx)
	request.Body = io.NopCloser(bytes.NewReader(body))
	before, after := time.Duration(0), time.Duration(0)
	if c.slowAnswers.Load() > 0 {
		before, after = rand.N(4*time.Second), rand.N(4*time.Second)
	}
	_ = wait(ctx, before)
	answer := httptest.NewRecorder()
	isPayment := r.Method == http.MethodPost && r.URL.Path == "/cash-out"
	if !isPayment {
		c.bank.ServeHTTP(answer, request)
	} else {
		c.pay(answer, request, body)
	}
	_ = wait(ctx, after)
	if isPayment && c.lostAnswers.Load() > 0 && rand.IntN(2) == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (c *chaos) pay(w http.ResponseWriter, r *http.Request, body []byte) {
	c.paying.Lock()
	defer c.paying.Unlock()
	var payment struct{ ExternalReference string }
	_ = json.Unmarshal(body, &payment)
	if c.toppedUp.Load() || rand.Float64() > refusals || len(c.bank.paid(payment.ExternalReference)) > 0 {
		c.bank.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_, _ = io.WriteString(w, `{"type":"https://connect-psp.redocly.app/errors/insufficient-funds","title":"Insufficient Funds",`+
		`"status":422,"code":"INSUFFICIENT_FUNDS","detail":"The balance is too low."}`)
}

func (c *chaos) freeze(ctx context.Context, e event) {
	c.send(e.process, syscall.SIGSTOP)
	defer c.send(e.process, syscall.SIGCONT)
	c.requeue(ctx)
	_ = wait(ctx, e.last)
}

// stall is what leases are for. A worker stops after it was told that it may send, and before it
// sends; the slow database makes that moment long. Others take its work meanwhile, and give some of
// it back to the players. Then it goes on, before its call has timed out.
func (c *chaos) stall(ctx context.Context, e event) {
	c.slowDatabase.Add(1)
	_ = wait(ctx, 2*time.Second)
	c.slowDatabase.Add(-1)
	c.send(e.process, syscall.SIGSTOP)
	defer c.send(e.process, syscall.SIGCONT)
	c.requeue(ctx)
	_ = wait(ctx, e.last)
}

// requeue inserts a second job for each withdrawal that is being paid, as River does when jobs take
// too long: it cannot tell a worker that is stopped from one that is dead.
func (c *chaos) requeue(ctx context.Context) {
	_, err := c.app.db.ExecContext(ctx, `INSERT INTO river_job (kind, args, queue, max_attempts, scheduled_at)
		SELECT DISTINCT ON (args) kind, args, queue, max_attempts, scheduled_at FROM river_job WHERE kind = 'payout' AND state = 'running'`)
	if err != nil {
		c.say("nothing is given to others: %v", err) // PostgreSQL restarts
	}
}

func (c *chaos) kill(_ context.Context, e event) { c.send(e.process, syscall.SIGKILL) }

func (c *chaos) crashPostgres(ctx context.Context, _ event) {
	if err := restartPostgres(context.WithoutCancel(ctx), c.app); err != nil {
		c.say("pg_ctl fails: %v", err)
	}
}

func (c *chaos) outage(ctx context.Context, e event)      { during(ctx, e, &c.outages) }
func (c *chaos) slowGateway(ctx context.Context, e event) { during(ctx, e, &c.slowAnswers) }
func (c *chaos) loseAnswers(ctx context.Context, e event) { during(ctx, e, &c.lostAnswers) }

func during(ctx context.Context, e event, underWay *atomic.Int32) {
	underWay.Add(1)
	defer underWay.Add(-1)
	_ = wait(ctx, e.last)
}

// send sends a signal to a process, unless it has just ended.
func (c *chaos) send(name string, signal syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if process := c.processes[name]; process != nil {
		_ = process.Process.Signal(signal)
	}
}

// keep starts a process, and starts it again whenever it has ended.
func (c *chaos) keep(ctx context.Context, name string) {
	for ctx.Err() == nil {
		command := c.command(name)
		if err := command.Start(); err != nil {
			c.say("%s does not start: %v", name, err)
			return
		}
		c.mu.Lock()
		c.processes[name] = command
		c.mu.Unlock()
		end := context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
		_ = command.Wait()
		end()
		_ = wait(ctx, time.Second)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.processes, name)
}

// command returns what starts a process.
func (c *chaos) command(name string) *exec.Cmd {
	if name != pgBouncerName {
		return c.fleet.command(name)
	}
	command := exec.Command("pgbouncer", "-q", c.pgBouncer)
	require.NoError(c.t, runAsOwner(command, filepath.Dir(c.pgBouncer)))
	return command
}

// slowDown lets PgBouncer run for short moments only, while the database is to be slow.
func (c *chaos) slowDown(ctx context.Context) {
	for wait(ctx, 5*time.Millisecond) == nil {
		if c.slowDatabase.Load() > 0 {
			c.send(pgBouncerName, syscall.SIGSTOP)
			_ = wait(ctx, 200*time.Millisecond)
			c.send(pgBouncerName, syscall.SIGCONT)
		}
	}
}

// errAlarm says that the books and the gateway contradict each other.
var errAlarm = errors.New("an alarm was raised")

// watch ends the run at the first alarm: none is due.
func (c *chaos) watch(ctx context.Context, end context.CancelCauseFunc) {
	for wait(ctx, time.Second) == nil {
		if err := c.alarms(ctx); errors.Is(err, errAlarm) {
			end(err)
		}
	}
}

func (c *chaos) alarms(ctx context.Context) error {
	alarms, err := c.app.books.texts(ctx, `SELECT reference || ': ' || what FROM alarm LIMIT 3`)
	if len(alarms) > 0 {
		err = fmt.Errorf("%w: %s", errAlarm, strings.Join(alarms, "; "))
	}
	return err
}

// drainTime is longer than River may take to give the jobs of killed workers to others, twice.
const drainTime = 150 * time.Second

// run runs a schedule, and then waits until all is paid. It returns which promise is broken.
func (c *chaos) run(schedule []event, length time.Duration) (broken error) {
	c.began = time.Now()
	ctx, end := context.WithCancelCause(c.t.Context())
	var background sync.WaitGroup
	defer background.Wait()
	defer end(nil)
	for _, name := range append([]string{pgBouncerName}, chaosProcesses...) {
		background.Go(func() { c.keep(ctx, name) })
	}
	background.Go(func() { c.slowDown(ctx) })
	background.Go(func() { c.bank.settle(ctx) })
	background.Go(func() { c.watch(ctx, end) })
	var requesting, happening sync.WaitGroup
	requested, stop := context.WithCancel(ctx)
	defer stop()
	requesting.Go(func() { c.request(requested) })
	for _, e := range schedule {
		if wait(ctx, time.Until(c.began.Add(e.at))) != nil {
			break
		}
		c.say("%v", e)
		happening.Go(func() { e.happen(c, ctx, e) })
	}
	_ = wait(ctx, time.Until(c.began.Add(length)))
	stop()
	requesting.Wait()
	happening.Wait()
	c.say("%d withdrawals were requested. What is open has to end now.", len(c.requested))
	c.toppedUp.Store(true)
	draining, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	err := c.drain(draining)
	if err == nil {
		err = c.empty(draining)
	}
	if alarm := context.Cause(ctx); alarm != nil { // it has ended the rest
		return errors.Join(alarm, c.differences(c.t.Context()))
	}
	if draining.Err() != nil {
		err = errors.Join(fmt.Errorf("this is still open after %v:\n%s", drainTime, c.open()), err)
	}
	return errors.Join(err, c.alarms(c.t.Context()))
}

// empty waits until no job, event or webhook is left.
func (c *chaos) empty(ctx context.Context) error {
	if err := c.bank.WaitWebhooks(ctx); err != nil {
		return err
	}
	for {
		var left int
		err := c.app.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM connectpsp_queue)
			+ (SELECT count(*) FROM river_job WHERE kind = 'payout' AND finalized_at IS NULL)`).Scan(&left)
		if err != nil || left == 0 {
			return err
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// open lists some of what is still open.
func (c *chaos) open() string {
	lines, err := c.app.books.texts(c.t.Context(), `(SELECT concat_ws(' ', reference, state, w.transaction_id, fencing_token, doubt_since, outcome,
			(SELECT string_agg(concat_ws(' ', j.id, j.state, j.attempt, scheduled_at), ', ') FROM river_job j
				WHERE kind = 'payout' AND args @> jsonb_build_object('reference', reference)))
		FROM withdrawal w LEFT JOIN connectpsp_payment p ON p.external_reference = reference
		WHERE w.state = 'PENDING' LIMIT 20)
		UNION ALL (SELECT concat_ws(' ', 'event', q.*) FROM connectpsp_queue q LIMIT 20)
		UNION ALL (SELECT concat_ws(' ', 'job', id, state, attempt, args) FROM river_job WHERE kind = 'payout' AND finalized_at IS NULL LIMIT 20)`)
	if err != nil {
		return err.Error()
	}
	return strings.Join(lines, "\n")
}

// newPgBouncer returns the configuration and the address of another PgBouncer, which is like the
// one at address.
func newPgBouncer(t *testing.T, address string) (configuration, another string) {
	const port, anotherPort = "6432", "6434"
	directory, _, _ := strings.Cut(strings.TrimPrefix(address, "host="), " ")
	text, err := os.ReadFile(filepath.Join(directory, "transaction.ini"))
	require.NoError(t, err)
	changed := strings.NewReplacer(port, anotherPort, "transaction.pid", "chaos.pid", "transaction.log", "chaos.log").Replace(string(text))
	configuration = filepath.Join(directory, "chaos.ini")
	require.NoError(t, os.WriteFile(configuration, []byte(changed), 0o644))
	return configuration, strings.Replace(address, "port="+port, "port="+anotherPort, 1)
}

// runChaos runs the schedule of a seed with a program, and returns which promise is broken.
func runChaos(t *testing.T, program string, seed uint64) (broken error) {
	address := os.Getenv("CONNECTPSP_TEST_PGBOUNCER_TRANSACTION")
	if address == "" {
		t.Skip("there is no PgBouncer: .ci/with-postgres --pgbouncer starts one")
	}
	length := 15 * time.Second
	if *chaosLong {
		length = 300 * time.Second
	}
	schedule := draw(seed, length, *chaosLong)
	t.Logf("the schedule of seed %d:", seed)
	for _, e := range schedule {
		t.Logf("%5.1f s  %v", e.at.Seconds(), e)
	}
	database := newDatabase(t)
	f, err := newFleet(t.Context(), t.Output(), database)
	require.NoError(t, err)
	defer f.close()
	_, name, _ := strings.Cut(database, "dbname=")
	c := &chaos{fleet: f, t: t}
	c.pgBouncer, address = newPgBouncer(t, address)
	gateway := httptest.NewServer(c)
	defer gateway.Close()
	f.program, f.flags, f.config.BaseURL, f.perSecond = program, []string{"-poll-only"}, gateway.URL, 8
	f.database = databaseOn(address, name) + " default_query_exec_mode=exec pool_max_conns=20"
	return c.run(schedule, length)
}

func newSeed() uint64 {
	if *chaosSeed != 0 {
		return *chaosSeed
	}
	return rand.Uint64N(1_000_000) + 1
}

func TestAFleetPaysEachWithdrawalOnceWhateverFailsAroundIt(t *testing.T) {
	seed := newSeed()
	broken := runChaos(t, build(t, aTenth), seed)
	repeat := "make fleet-chaos SEED="
	if !*chaosLong {
		repeat = ".ci/with-postgres --pgbouncer go test -C examples/payouts -run TestAFleetPays . -chaos.seed "
	}
	require.NoError(t, broken, "to repeat the schedule: %s%d", repeat, seed)
}

// The faults find the double payment that leases prevent, or they prove nothing.
func TestAFleetWithoutLeasesIsFoundToPayWhatItHasGivenBack(t *testing.T) {
	if !*chaosLong {
		t.Skip("takes some minutes; make fleet-chaos BROKEN=1 runs it")
	}
	program := build(t, slices.Concat(aTenth, withoutLeases))
	first := newSeed()
	for seed := first; seed < first+3; seed++ {
		broken := runChaos(t, program, seed)
		t.Logf("seed %d: %v", seed, broken)
		if errors.Is(broken, errAlarm) {
			return
		}
	}
	t.Fatalf("the seeds from %d to %d have not found it", first, first+2)
}

func TestTheSameSeedDrawsTheSameSchedule(t *testing.T) {
	schedule := draw(7, 300*time.Second, true)
	require.Equal(t, schedule, draw(7, 300*time.Second, true))
	require.NotEqual(t, schedule, draw(8, 300*time.Second, true))
}
