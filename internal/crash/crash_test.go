// Package crash kills a program that pays, as kill -9 does, again and again, and looks whether any
// payment was lost, made twice or reported wrong.
package crash

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

var (
	kills = flag.Int("crash.kills", 24, "how often the program is killed")
	seed  = flag.Uint64("crash.seed", rand.Uint64(), "what kills and faults are drawn from")
)

const shopVariable = "CONNECTPSP_TEST_SHOP"

// TestMain is the shop's main function too.
func TestMain(m *testing.M) {
	text := os.Getenv(shopVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	go func() { // a shop does not outlive its test
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(1)
	}()
	var given instructions
	err := json.Unmarshal([]byte(text), &given)
	if err == nil {
		err = run(given)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestAProgramThatIsKilledPaysEveryOrderOnce kills at random times and at every step of the journal
// and the books in turn.
func TestAProgramThatIsKilledPaysEveryOrderOnce(t *testing.T) {
	street := newStreet(t, false)
	for n := range *kills {
		street.openAndKill(n)
		require.Empty(t, street.audit(), "after kill %d; -crash.seed=%d", n, *seed)
		if n%3 == 2 { // the others are followed by a kill while the program starts
			street.recoverInPeace()
			require.Empty(t, street.ledger.compare(street.orders()), "started after kill %d; -crash.seed=%d", n, *seed)
		}
	}
	street.openInPeace()
	orders, open := street.orders(), 0
	require.Empty(t, street.audit(), "-crash.seed=%d", *seed)
	for _, o := range orders {
		if o.State == begun {
			open++
		}
	}
	assert.Zero(t, open, "orders that stay open when nothing goes wrong any more")
	payments, err := journal.Open(journalIn(street.directory))
	require.NoError(t, err)
	defer payments.Close()
	pending, err := payments.Pending(t.Context())
	require.NoError(t, err)
	assert.Empty(t, pending)
	made, refused := street.ledger.figures()
	t.Logf("%d kills, %d at steps; %d orders, %d payments, %d refusals, %d payments found open after a kill; -crash.seed=%d",
		*kills, *kills/2, len(orders), made, refused, street.found, *seed)
	assert.NotZero(t, street.found, "the kills never left a payment open")
}

// Without a journal the same kills leave orders of which nobody knows whether they were paid. This
// test can see that.
func TestKillsAreNoticedWithoutAJournal(t *testing.T) {
	street := newStreet(t, true)
	for n := range 200 {
		street.openAndKill(2 * n) // at random times: there are no steps
		if wrong := street.audit(); len(wrong) > 0 {
			t.Logf("after %d kills: %v", n+1, wrong)
			return
		}
	}
	t.Error("nothing was noticed")
}

// street is what survives a shop: its gateway, and its disk.
type street struct {
	t              *testing.T
	gateway        *sandbox.Sandbox
	ledger         *ledger
	directory      string
	withoutJournal bool
	chance         *rand.Rand
	found          int // payments that were open after a kill
}

func newStreet(t *testing.T, withoutJournal bool) *street {
	s := &street{t: t, directory: t.TempDir(), withoutJournal: withoutJournal, chance: rand.New(rand.NewPCG(*seed, 1))}
	s.ledger = &ledger{chance: rand.New(rand.NewPCG(*seed, 2)), payments: map[string]string{}}
	checker := contract.New(t)
	gateway, err := sandbox.Start(sandbox.WithMiddleware(func(next http.Handler) http.Handler {
		return checker.Middleware(s.ledger.middleware(next))
	}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, gateway.Close()) })
	s.gateway = gateway
	return s
}

// openAndKill opens the shop for a while.
func (s *street) openAndKill(n int) {
	faults := make([]sandbox.Fault, 40)
	for i := range faults {
		faults[i] = max(0, sandbox.Fault(s.chance.IntN(11)-5)) // half of them none
	}
	s.gateway.FailNext("createCashOut", faults...)
	dieAt := int64(0)
	if n%2 == 1 {
		dieAt = 1 + int64(n/2)%80
	}
	shop, out := s.open(dieAt, 1<<30, false)
	if dieAt == 0 {
		_, _ = out.ReadString('\n')
		// Not to wait for something, but to die at any moment.
		time.Sleep(time.Duration(s.chance.Int64N(int64(60 * time.Millisecond))))
		require.NoError(s.t, shop.Process.Kill())
	}
	err := shop.Wait()
	require.Error(s.t, err)
	require.Equal(s.t, -1, err.(*exec.ExitError).ExitCode(), "it was killed, and did not fail")
}

// openInPeace opens the shop for the orders that there are, and lets it end by itself.
func (s *street) openInPeace() {
	s.ledger.setPeaceful(true)
	for range 10 { // faults are left over
		shop, _ := s.open(0, len(s.orders()), false)
		require.NoError(s.t, shop.Wait())
	}
}

// recoverInPeace starts the documented program, and lets it pay what is open in its books.
func (s *street) recoverInPeace() {
	s.ledger.setPeaceful(true)
	defer s.ledger.setPeaceful(false)
	for range 10 { // faults are left over
		shop, _ := s.open(0, len(s.orders()), true)
		require.NoError(s.t, shop.Wait())
		if len(s.ledger.compare(s.orders())) == 0 {
			return
		}
	}
}

func (s *street) open(dieAt int64, orders int, once bool) (*exec.Cmd, *bufio.Reader) {
	config := s.gateway.Config()
	given, err := json.Marshal(instructions{
		URL: s.gateway.URL(), Directory: s.directory,
		ClientID: config.ClientID, ClientSecret: config.ClientSecret.Reveal(),
		ApplicationToken: config.ApplicationToken.Reveal(), CryptoToken: config.CryptoToken.Reveal(),
		WithoutJournal: s.withoutJournal, DieAt: dieAt, Orders: orders, Once: once,
	})
	require.NoError(s.t, err)
	shop := exec.Command(os.Args[0])
	shop.Env = append(os.Environ(), shopVariable+"="+string(given))
	shop.Stderr = os.Stderr
	_, err = shop.StdinPipe() // stays open as long as this process lives
	require.NoError(s.t, err)
	out, err := shop.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, shop.Start())
	return shop, bufio.NewReader(out)
}

func (s *street) orders() map[int]order {
	book, err := os.Open(filepath.Join(s.directory, "orders"))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(s.t, err)
	defer book.Close()
	orders, err := readBook(book)
	require.NoError(s.t, err)
	return orders
}

// audit looks at what a killed shop has left, and says what is wrong.
func (s *street) audit() []string {
	orders := s.orders()
	wrong := s.ledger.audit(orders)
	if s.withoutJournal {
		return wrong
	}
	payments, err := journal.Open(journalIn(s.directory))
	require.NoError(s.t, err)
	defer payments.Close()
	for number, o := range orders {
		reference := referenceOf(number, o.Reference)
		if !s.ledger.has(reference) || o.State == accepted {
			continue
		}
		s.found++
		key := idempotency.DeriveKey(s.gateway.Config().ClientID, "createCashOut", reference, 0)
		intent, err := payments.Find(s.t.Context(), connectpsp.Intent{
			Operation: connectpsp.OperationCreateCashOut, IdempotencyKey: key, ExternalReference: reference,
		})
		require.NoError(s.t, err)
		if intent == nil {
			wrong = append(wrong, fmt.Sprintf("order %d was paid as %s, and the journal does not know", number, reference))
		}
	}
	return wrong
}
