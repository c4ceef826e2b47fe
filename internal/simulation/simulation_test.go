package simulation

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
	simulateSeed   = flag.Uint64("simulate.seed", 1, "the seed that all schedules are drawn from")
	simulateReplay = flag.String("simulate.replay", "", "one schedule to simulate and print, as a failure gives it")
)

// TestSimulatedPaymentsKeepTheirPromises pays orders through gateways, networks, journals and
// crashes of all kinds. No order is paid twice, no payment that is reported as rejected is ever
// made, none that is reported as accepted is missing, and every unknown outcome says all that is
// needed to resolve it.
func TestSimulatedPaymentsKeepTheirPromises(t *testing.T) {
	if *simulateReplay != "" {
		replay(t, *simulateReplay)
		return
	}
	schedules := &search{broken: -1}
	begun := time.Now()
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() { schedules.work(t, *simulateSeed, *simulateN) })
	}
	workers.Wait()
	if schedules.broken >= 0 {
		reportShortest(t, *simulateSeed, schedules.broken)
		return
	}
	took := time.Since(begun)
	t.Logf("%d schedules from seed %d in %v, %.0f a second%v", *simulateN, *simulateSeed, took.Round(time.Millisecond),
		float64(*simulateN)/took.Seconds(), &schedules.counters)
	if *simulateN >= 10_000 {
		schedules.counters.requireEverything(t)
	}
}

func TestTheSameChoicesMakeTheSameSchedule(t *testing.T) {
	story := func(number uint64) (text string) {
		inBubble(t, func() {
			c := drawChoices(7, number)
			s := simulate(c, &counters{}, true)
			text = strings.Join(s.trace, "\n") + fmt.Sprint(c.taken)
		})
		return text
	}
	for number := range uint64(1000) {
		if first, second := story(number), story(number); first != second {
			t.Fatalf("schedule %d:\n%s\n\nand the second time:\n%s", number, first, second)
		}
	}
}

// simulate runs the schedule that the choices make. It must be called in a bubble.
func simulate(c *choices, n *counters, tracing bool) *schedule {
	s := newSchedule(c, n, tracing)
	s.gateway.variant = drawVariant(c)
	s.drawSettings()
	if tracing {
		s.note("the gateway: %v", s.gateway.variant)
		s.note("processes: %d, %v, MaxAttempts %d, at most %d crashes", len(s.processes), s.disk, s.settings.retryPolicy.MaxAttempts,
			s.settings.crashes)
	}
	for slot := range s.processes {
		s.start(slot)
	}
	refundPercent := [...]int{18, 80}[c.choose(2, 15)]
	for index := range 1 + c.choose(3, 35) {
		o := newOrder(s, index, c.choose(2, refundPercent) == 1)
		s.orders = append(s.orders, o)
		o.plan(time.Duration(index)*[...]time.Duration{time.Second, time.Millisecond}[c.choose(2, 30)], o.pay)
		if c.choose(2, s.settings.meanwhilePercent) == 1 {
			o.callMeanwhile()
		}
	}
	if c.choose(2, 15) == 1 {
		s.recoverMeanwhile()
	}
	s.run()
	s.shutDown()
	for _, trait := range s.gateway.traits() {
		n.add("variant", trait)
	}
	for _, o := range s.orders {
		n.add("order", map[bool]string{true: "paid", false: "not paid"}[o.payments > 0])
	}
	return s
}

// drawSettings draws how often faults occur, and the parts of the processes.
func (s *schedule) drawSettings() {
	c := s.choices
	s.settings.faultPercent = [...]int{40, 15, 65, 90}[c.choose(4, 70)]
	s.settings.crashes = c.choose(3, 50)
	s.settings.retryPolicy = connectpsp.RetryPolicy{MaxAttempts: [...]int{0, 1, 2, 3}[c.choose(4, 40)]}
	switch c.choose(4, 75) {
	case 1:
		s.disk = &journalDisk{intents: map[string]connectpsp.Intent{}}
	case 2:
		s.disk = &journalDisk{intents: map[string]connectpsp.Intent{}, faulty: true}
	case 3:
		s.disk = &journalDisk{rows: map[string]*row{}, faulty: c.choose(2, 40) == 1}
		s.processes = make([]*process, 2+c.choose(2, 30))
		s.settings.troubles = 2
	}
	if s.disk != nil {
		s.settings.moreClients = c.choose(2, 30)
	}
	s.settings.meanwhilePercent = 12
	if s.isFleet() {
		s.settings.meanwhilePercent = 50
	}
	if c.choose(2, 10) == 0 {
		s.tokens = &tokenStub{}
	}
}

// drawChoices returns the choices of one of the schedules of a seed.
func drawChoices(seed, number uint64) *choices {
	return &choices{random: rand.New(rand.NewPCG(seed, number))}
}

// inBubble runs f in virtual time.
func inBubble(t *testing.T, f func()) {
	synctest.Test(t, func(*testing.T) { f() })
}

// search runs the schedules of a seed until one breaks a promise.
type search struct {
	mu       sync.Mutex
	next     int
	broken   int // the number of the first schedule that breaks a promise, -1 if there is none
	counters counters
}

const schedulesPerBubble = 500

// take returns the next schedules to run, none if all n are done or one broke a promise.
func (s *search) take(n int) (from, to int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from = s.next
	if s.broken >= 0 {
		from = n
	}
	s.next = min(from+schedulesPerBubble, n)
	return from, s.next
}

func (s *search) reportBroken(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken < 0 || number < s.broken {
		s.broken = number
	}
}

func (s *search) work(t *testing.T, seed uint64, n int) {
	var mine counters
	for {
		from, to := s.take(n)
		if from >= to {
			break
		}
		inBubble(t, func() {
			for number := from; number < to; number++ {
				if simulate(drawChoices(seed, uint64(number)), &mine, false).violation != "" {
					s.reportBroken(number)
					return
				}
			}
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.merge(&mine)
}

// reportShortest shrinks a schedule that breaks a promise and prints its story.
func reportShortest(t *testing.T, seed uint64, number int) {
	var s *schedule
	inBubble(t, func() {
		c := drawChoices(seed, uint64(number))
		simulate(c, &counters{}, false)
		shortest := shrink(c.taken, 3000, func(candidate []byte) bool {
			return simulate(&choices{given: candidate}, &counters{}, false).violation != ""
		})
		s = simulate(&choices{given: shortest}, &counters{}, true)
	})
	t.Errorf("VIOLATION in schedule %d of seed %d: %s\n%s\nto replay it: go test ./internal/simulation -run '^%s$' -v -simulate.replay=%s",
		number, seed, s.violation, strings.Join(s.trace, "\n"), t.Name(), encodeChoices(s.choices.taken))
}

// replay runs one schedule and prints its story.
func replay(t *testing.T, text string) {
	given, err := decodeChoices(text)
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, func() {
		s := simulate(&choices{given: given}, &counters{}, true)
		t.Logf("\n%s", strings.Join(s.trace, "\n"))
		if s.violation != "" {
			t.Errorf("VIOLATION: %s", s.violation)
		}
	})
}
