package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
)

// ledger stands before the sandbox. It writes down what is paid, and refuses a request now and
// then.
type ledger struct {
	mu       sync.Mutex
	chance   *rand.Rand
	payments map[string]string // transaction by reference
	refused  int
	peaceful bool
}

const refusal = `{"type":"about:blank","title":"Insufficient Funds","status":422,"code":"INSUFFICIENT_FUNDS","detail":"The balance is too low."}`

func (l *ledger) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/cash-out" {
			next.ServeHTTP(w, r)
			return
		}
		if l.refuses() {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, refusal)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		if answer.Code/100 == 2 {
			l.note(answer.Body.Bytes())
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = io.Copy(w, bytes.NewReader(answer.Body.Bytes()))
	})
}

func (l *ledger) refuses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peaceful || l.chance.IntN(8) != 0 {
		return false
	}
	l.refused++
	return true
}

func (l *ledger) note(answer []byte) {
	var paid struct{ TransactionID, ExternalReference string }
	if err := json.Unmarshal(answer, &paid); err != nil {
		panic(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.payments[paid.ExternalReference] = paid.TransactionID
}

// has reports whether something was paid under a reference. A request of a shop that was killed may
// still be under way.
func (l *ledger) has(reference string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.payments[reference] != ""
}

// setPeaceful lets all payments through, or refuses one now and then.
func (l *ledger) setPeaceful(peaceful bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peaceful = peaceful
}

// figures tells how many payments were made and refused.
func (l *ledger) figures() (payments, refusals int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.payments), l.refused
}

// paid returns the references under which an order was paid.
func (l *ledger) paid(number, references int) (paid []string) {
	for reference := range references + 1 {
		if name := referenceOf(number, reference); l.payments[name] != "" {
			paid = append(paid, name)
		}
	}
	return paid
}

// compare returns the orders of which the shop's book says anything but what the gateway did.
func (l *ledger) compare(orders map[int]order) (wrong []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for number, o := range orders {
		transaction := l.payments[referenceOf(number, o.Reference)]
		if o.State == begun || (o.State == accepted) != (transaction != "") || o.TransactionID != transaction {
			wrong = append(wrong, fmt.Sprintf("order %d is %s as %q, and was paid as %q", number, o.State, o.TransactionID, transaction))
		}
	}
	return wrong
}

// audit compares the shop's book with what was paid, and says what is wrong.
func (l *ledger) audit(orders map[int]order) (wrong []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := 0
	for number, o := range orders {
		paid := l.paid(number, o.Reference)
		found += len(paid)
		switch current := l.payments[referenceOf(number, o.Reference)]; {
		case len(paid) > 1:
			wrong = append(wrong, fmt.Sprintf("order %d was paid %d times: %v", number, len(paid), paid))
		case o.State == accepted && o.TransactionID != current:
			wrong = append(wrong, fmt.Sprintf("order %d is accepted as %s, and was paid as %q", number, o.TransactionID, current))
		case o.State == rejected && current != "":
			wrong = append(wrong, fmt.Sprintf("order %d is rejected, and was paid as %s", number, current))
		}
	}
	if found != len(l.payments) {
		wrong = append(wrong, fmt.Sprintf("%d payments belong to no order", len(l.payments)-found))
	}
	return wrong
}
