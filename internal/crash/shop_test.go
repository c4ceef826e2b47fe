package crash

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
)

// order is what the shop has written down about one of its orders. Its zero value is an order that
// was not begun.
type order struct {
	Number    int
	Reference int // how many references were rejected before this one
	State     string
	// TransactionID is the gateway's, of an accepted order.
	TransactionID string `json:",omitempty"`
}

const (
	begun    = "begun"
	accepted = "accepted"
	rejected = "rejected"
)

func referenceOf(number, reference int) string { return fmt.Sprintf("order-%d/%d", number, reference) }

// instructions tell a shop, in its environment, where to pay and when to die.
type instructions struct {
	URL, Directory                                        string
	ClientID, ClientSecret, ApplicationToken, CryptoToken string
	WithoutJournal                                        bool
	DieAt                                                 int64 // step of the journal, 0 for none
	Orders                                                int   // how many orders there are, after which it ends by itself
	Once                                                  bool  // orders that were rejected or not begun stay so
}

// shop is the program that is killed. It pays its orders one after another in a few goroutines, by
// the documented code, and its books are a file. After a rejection the customer asks for the
// payment once more, under a new reference.
type shop struct {
	client *connectpsp.Client
	total  int
	step   func() // the process may die here

	mu     sync.Mutex
	book   *os.File
	orders map[int]order
	next   int // the first order that nobody works on
}

const workers = 3

// run is the whole life of a shop, until it has nothing more to do or is killed.
func run(given instructions) error {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	book, orders, err := openBook(given.Directory)
	if err != nil {
		return err
	}
	death := &death{at: given.DieAt}
	s := &shop{book: book, orders: orders, total: given.Orders, step: death.step}
	quick := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond})
	config := connectpsp.Config{
		BaseURL:          given.URL,
		ClientID:         given.ClientID,
		ClientSecret:     auth.NewSecret(given.ClientSecret),
		ApplicationToken: auth.NewSecret(given.ApplicationToken),
		CryptoToken:      auth.NewSecret(given.CryptoToken),
	}
	if given.WithoutJournal {
		s.client, err = connectpsp.New(config, quick)
	} else {
		var payments *journal.File
		if payments, err = journal.Open(journalIn(given.Directory)); err != nil {
			return err
		}
		defer payments.Close()
		s.client, _, err = start(context.Background(), config, &mortalJournal{payments, death}, s, quick)
	}
	if err != nil {
		return err
	}
	fmt.Println("open")
	var all sync.WaitGroup
	failures := make(chan error, workers)
	for range workers {
		all.Go(func() {
			for number, more := s.take(); more; number, more = s.take() {
				if err := s.pay(number, given.Once); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failures)
	return <-failures
}

func (s *shop) take() (number int, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.next - 1, s.next <= s.total
}

// pay pays an order, unless that is done. It asks a few times about one whose outcome is unknown,
// and then leaves it open. Once says that the customer asks for nothing more.
func (s *shop) pay(number int, once bool) error {
	for range 5 {
		o := s.find(number)
		switch {
		case o.State == accepted, once && o.State != begun:
			return nil
		case o.State == rejected:
			o.Reference++
			s.write(o, begun, "")
		case o.State == "":
			s.write(o, begun, "")
		}
		s.step()
		if err := payOut(context.Background(), s.client, s, request(o)); err != nil {
			return err
		}
	}
	return nil
}

func (s *shop) find(number int) order {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[number]
	o.Number = number
	return o
}

// end books the outcome of an order that is open under a reference.
func (s *shop) end(reference, state, transactionID string) error {
	var named order
	if _, err := fmt.Sscanf(reference, "order-%d/%d", &named.Number, &named.Reference); err != nil {
		return err
	}
	s.step() // between the return of the client and the program's commit
	defer s.step()
	if o := s.find(named.Number); o.State == begun && o.Reference == named.Reference {
		s.write(o, state, transactionID)
	}
	return nil
}

func (s *shop) accepted(reference, transactionID string) error {
	return s.end(reference, accepted, transactionID)
}

func (s *shop) giveBack(reference string, _ error) error { return s.end(reference, rejected, "") }

func (s *shop) keepOpen(string, error) error { return nil }

var errNoSuchOrder = errors.New("the shop takes in no money and refunds none")

func (s *shop) charged(string, string) error    { return errNoSuchOrder }
func (s *shop) notCharged(string, error) error  { return errNoSuchOrder }
func (s *shop) refunded(string) error           { return errNoSuchOrder }
func (s *shop) notRefunded(string, error) error { return errNoSuchOrder }

func request(o order) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount:            pix.Centavos(int64(o.Number) + 1),
		ExternalReference: referenceOf(o.Number, o.Reference),
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	}
}

func journalIn(directory string) string { return filepath.Join(directory, "payments.journal") }

// openBook reads what earlier lives have written, and opens it to write on.
func openBook(directory string) (*os.File, map[int]order, error) {
	book, err := os.OpenFile(filepath.Join(directory, "orders"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	orders, err := readBook(book)
	return book, orders, err
}

func readBook(book io.Reader) (map[int]order, error) {
	orders := map[int]order{}
	lines := bufio.NewScanner(book)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return nil, fmt.Errorf("the book of orders: %w", err)
		}
		if orders[o.Number].State != accepted {
			orders[o.Number] = o
		}
	}
	return orders, lines.Err()
}

// write adds a line to the book. The line survives the process, which is all that this shop needs:
// its machine does not die.
func (s *shop) write(o order, state, transactionID string) {
	o.State, o.TransactionID = state, transactionID
	line, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.book.Write(append(line, '\n')); err != nil {
		panic(err)
	}
	s.orders[o.Number] = o
}

// death comes at one of the steps of a process. There is one before and after each call of the
// journal and each line of the books.
type death struct {
	steps atomic.Int64
	at    int64
}

func (d *death) step() {
	if d.steps.Add(1) == d.at {
		die()
	}
}

// die kills this process as kill -9 does.
func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	panic(fmt.Sprint("still alive: ", err))
}

// mortalJournal is a journal whose process dies at one of its steps.
type mortalJournal struct {
	connectpsp.Journal
	*death
}

func (m *mortalJournal) Begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	m.step()
	defer m.step()
	return m.Journal.Begin(ctx, intent)
}

func (m *mortalJournal) Sent(ctx context.Context, key string, at time.Time) error {
	m.step()
	defer m.step()
	return m.Journal.Sent(ctx, key, at)
}

func (m *mortalJournal) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	m.step()
	defer m.step()
	return m.Journal.Finish(ctx, key, outcome, transactionID)
}

func (m *mortalJournal) Pending(ctx context.Context) ([]connectpsp.Intent, error) {
	m.step()
	defer m.step()
	return m.Journal.Pending(ctx)
}

func (m *mortalJournal) Ended(ctx context.Context) ([]connectpsp.Intent, error) {
	m.step()
	defer m.step()
	return m.Journal.Ended(ctx)
}
