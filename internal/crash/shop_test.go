package crash

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// order is what the shop has written down about one of its orders. Its zero value is an order that was not begun.
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
}

// shop is the program that is killed. It pays its orders one after another in a few goroutines, and writes into a file what it
// is told of each. What it is told is certain it believes: after a rejection it pays under a new reference.
type shop struct {
	client *connectpsp.Client
	total  int

	mu     sync.Mutex
	book   *os.File
	orders map[int]order
	next   int // the first order that nobody works on
}

const workers = 3

// run is the whole life of a shop, until it has nothing more to do or is killed.
func run(given instructions) error {
	book, orders, err := openBook(given.Directory)
	if err != nil {
		return err
	}
	s := &shop{book: book, orders: orders, total: given.Orders}
	options := []connectpsp.Option{
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}),
	}
	if !given.WithoutJournal {
		payments, err := journal.Open(journalIn(given.Directory))
		if err != nil {
			return err
		}
		defer payments.Close()
		options = append(options, connectpsp.WithJournal(&mortalJournal{Journal: payments, dieAt: given.DieAt}))
	}
	s.client, err = connectpsp.New(connectpsp.Config{
		BaseURL:          given.URL,
		ClientID:         given.ClientID,
		ClientSecret:     auth.NewSecret(given.ClientSecret),
		ApplicationToken: auth.NewSecret(given.ApplicationToken),
		CryptoToken:      auth.NewSecret(given.CryptoToken),
	}, options...)
	if err != nil {
		return err
	}
	fmt.Println("open")
	if err := s.recover(); err != nil {
		return err
	}
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for number, more := s.take(); more; number, more = s.take() {
				s.pay(number)
			}
		})
	}
	all.Wait()
	return nil
}

// recover settles what the last life of the shop left open.
func (s *shop) recover() error {
	recovered, err := s.client.Recover(context.Background())
	if err != nil {
		return err
	}
	for _, payment := range recovered {
		var o order
		if _, err := fmt.Sscanf(payment.ExternalReference, "order-%d/%d", &o.Number, &o.Reference); err != nil {
			return err
		}
		switch {
		case payment.Err == nil:
			s.write(o, accepted, payment.CashOut.TransactionID)
		case errors.Is(payment.Err, connectpsp.ErrNotSent):
			s.write(o, rejected, "")
		}
	}
	return nil
}

func (s *shop) take() (number int, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.next - 1, s.next <= s.total
}

// pay pays an order, unless that is done. It asks a few times about one whose outcome is unknown, and then leaves it open.
func (s *shop) pay(number int) {
	for range 5 {
		s.mu.Lock()
		o := s.orders[number]
		s.mu.Unlock()
		o.Number = number
		switch o.State {
		case accepted:
			return
		case rejected:
			o.Reference++
			s.write(o, begun, "")
		case "":
			s.write(o, begun, "")
		}
		cashOut, err := s.client.CreateCashOut(context.Background(), request(o))
		switch {
		case err == nil:
			s.write(o, accepted, cashOut.TransactionID)
		case !errors.Is(err, connectpsp.ErrUnknownOutcome):
			s.write(o, rejected, "")
		}
	}
}

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

// write adds a line to the book. The line survives the process, which is all that this shop needs: its machine does not die.
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

// mortalJournal is a journal whose process dies at one of its steps. There is one before and one after each call.
type mortalJournal struct {
	connectpsp.Journal
	steps atomic.Int64
	dieAt int64
}

func (m *mortalJournal) step() {
	if m.steps.Add(1) == m.dieAt {
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
