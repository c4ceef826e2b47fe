package connectpsp_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

var (
	simulateN      = flag.Int("simulate.n", 10_000, "how many schedules are simulated")
	simulateSeed   = flag.Uint64("simulate.seed", 1, "the seed of the first schedule")
	simulateReplay = flag.String("simulate.replay", "", "one schedule to simulate and print, as a failure gives it")
)

// schedule makes a world of the choices and lets it happen. It must be called in a bubble.
func schedule(c *choices, f *figures, tracing bool) *world {
	w := newWorld(c, f, tracing)
	w.gateway.variant = drawVariant(c)
	w.rules.faults = [...]int{40, 15, 65, 90}[c.choose(4, 70)]
	w.rules.crashes = c.choose(3, 50)
	w.rules.policy.MaxAttempts = [...]int{0, 1, 2, 3}[c.choose(4, 40)]
	switch c.choose(3, 65) {
	case 1:
		w.book = &book{intents: map[string]connectpsp.Intent{}}
	case 2:
		w.book = &book{intents: map[string]connectpsp.Intent{}, faulty: true}
	}
	if w.book != nil {
		w.rules.moreClients = c.choose(2, 30)
	}
	if c.choose(2, 10) == 0 {
		w.booth = &booth{}
	}
	if tracing {
		w.note("a gateway with: %v", w.gateway.variant)
		w.note("a process with: journal %v, MaxAttempts %d, %d crashes allowed", w.book != nil, w.rules.policy.MaxAttempts, w.rules.crashes)
	}
	w.start()
	for n := range 1 + c.choose(3, 35) {
		o := newPurchase(w, n, c.choose(3, 35) == 1)
		w.orders = append(w.orders, o)
		o.plan(time.Duration(n)*[...]time.Duration{time.Second, time.Millisecond}[c.choose(2, 30)], o.pay)
		if c.choose(2, 12) == 1 {
			o.second()
		}
	}
	if c.choose(2, 15) == 1 {
		w.recoverMeanwhile()
	}
	w.drive()
	w.end()
	if f != nil {
		w.tally()
	}
	return w
}

// second makes another worker call for the same order.
func (o *purchase) second() {
	pauses := [...]time.Duration{10 * time.Millisecond, 3 * time.Second, 35 * time.Second}
	p, debit := o.world.process, o.debits
	o.world.later(pauses[o.world.choices.choose(len(pauses), 60)], func() {
		switch {
		case p.dead || o.over || o.debits != debit || !o.mayRepeat():
		case o.world.choices.choose(2, 25) == 1:
			o.repeatOddly()
		default:
			o.pay()
		}
	})
}

// recoverMeanwhile has Recover called while other calls are made, as a program does that calls it
// now and then.
func (w *world) recoverMeanwhile() {
	p := w.process
	pauses := [...]time.Duration{time.Millisecond, time.Second + time.Millisecond, 3 * time.Second, 35 * time.Second}
	w.later(pauses[w.choices.choose(len(pauses), 60)], func() {
		if !p.dead {
			w.recover()
		}
	})
}

// tally counts what the schedule was.
func (w *world) tally() {
	for _, trait := range w.gateway.traits() {
		w.figures.add("variant", trait)
	}
	for _, o := range w.orders {
		w.figures.add("order", map[bool]string{true: "paid", false: "not paid"}[o.paid > 0])
	}
}

// inBubble runs f where time is virtual.
func inBubble(t *testing.T, f func()) {
	synctest.Test(t, func(*testing.T) { f() })
}

// scheduleOf draws one schedule.
func scheduleOf(seed, number uint64) *choices {
	return &choices{random: rand.New(rand.NewPCG(seed, number))}
}

// simulation runs many schedules and keeps the first that breaks a promise.
type simulation struct {
	mu      sync.Mutex
	next    int
	broken  int // the number of the first schedule that breaks a promise, -1 if there is none
	figures *figures
}

const schedulesPerBubble = 500

// take returns the next schedules to run.
func (s *simulation) take(n int) (from, to int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from = s.next
	if s.broken >= 0 {
		from = n
	}
	s.next = min(from+schedulesPerBubble, n)
	return from, s.next
}

func (s *simulation) breaks(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken < 0 || number < s.broken {
		s.broken = number
	}
}

func (s *simulation) work(t *testing.T, seed uint64, n int) {
	figures := newFigures()
	for {
		from, to := s.take(n)
		if from >= to {
			break
		}
		inBubble(t, func() {
			for number := from; number < to; number++ {
				if schedule(scheduleOf(seed, uint64(number)), figures, false).violation != "" {
					s.breaks(number)
					return
				}
			}
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.figures.merge(figures)
}

// TestSimulatedPaymentsKeepTheirPromises lets many orders meet gateways, networks and crashes of
// all kinds. No order is paid twice, nothing that is reported as rejected is ever paid, nothing is
// reported as accepted that was not paid, and every outcome that is unknown says what is needed to
// settle it.
func TestSimulatedPaymentsKeepTheirPromises(t *testing.T) {
	if *simulateReplay != "" {
		given, err := untape(*simulateReplay)
		if err != nil {
			t.Fatal(err)
		}
		inBubble(t, func() {
			w := schedule(&choices{given: given}, newFigures(), true)
			t.Logf("\n%s", strings.Join(w.trace, "\n"))
			if w.violation != "" {
				t.Errorf("VIOLATION: %s", w.violation)
			}
		})
		return
	}
	s := &simulation{broken: -1, figures: newFigures()}
	begun := time.Now()
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() { s.work(t, *simulateSeed, *simulateN) })
	}
	all.Wait()
	if s.broken >= 0 {
		reportBroken(t, *simulateSeed, s.broken)
		return
	}
	took := time.Since(begun)
	t.Logf("%d schedules from seed %d in %v, %.0f a second%v", *simulateN, *simulateSeed, took.Round(time.Millisecond),
		float64(*simulateN)/took.Seconds(), s.figures)
	if *simulateN >= 10_000 {
		s.figures.requireAll(t)
	}
}

// reportBroken shrinks a schedule that breaks a promise and prints it.
func reportBroken(t *testing.T, seed uint64, number int) {
	var w *world
	inBubble(t, func() {
		c := scheduleOf(seed, uint64(number))
		schedule(c, newFigures(), false)
		small := shrink(c.taken, 3000, func(candidate []byte) bool {
			return schedule(&choices{given: candidate}, newFigures(), false).violation != ""
		})
		w = schedule(&choices{given: small}, newFigures(), true)
	})
	t.Errorf("VIOLATION in schedule %d of seed %d: %s\n%s\nagain: go test ./connectpsp -run '^%s$' -v -simulate.replay=%s", number, seed,
		w.violation, strings.Join(w.trace, "\n"), t.Name(), tape(w.choices.taken))
}

// TestTheSameChoicesMakeTheSameSchedule compares traces line by line.
func TestTheSameChoicesMakeTheSameSchedule(t *testing.T) {
	trace := func(number uint64) (text string) {
		inBubble(t, func() {
			c := scheduleOf(7, number)
			w := schedule(c, newFigures(), true)
			text = strings.Join(w.trace, "\n") + fmt.Sprint(c.taken)
		})
		return text
	}
	for number := range uint64(1000) {
		if first, second := trace(number), trace(number); first != second {
			t.Fatalf("schedule %d:\n%s\n\nand again:\n%s", number, first, second)
		}
	}
}
