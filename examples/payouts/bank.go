package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// bank is the sandbox, and what it was asked to pay: the truth that the books are compared with. It
// serves demonstrations and tests.
type bank struct {
	*sandbox.Sandbox

	mu       sync.Mutex
	requests int                                 // to pay, accepted or not
	last     time.Time                           // when the last of them came
	payments map[string][]string                 // ids of the transactions that were accepted, by reference
	ended    map[string]connectpsp.CashOutStatus // how payments ended, by transaction
	isCutOff string                              // the User-Agent whose answers are lost
}

func startBank(options ...sandbox.Option) (*bank, error) {
	b := &bank{payments: map[string][]string{}, ended: map[string]connectpsp.CashOutStatus{}}
	var err error
	b.Sandbox, err = sandbox.Start(append(options, sandbox.WithMiddleware(b.record))...)
	return b, err
}

// record notes each request to pay and, once, each transaction that is accepted.
func (b *bank) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/cash-out" {
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		recorder := &responseRecorder{ResponseWriter: w}
		next.ServeHTTP(recorder, r)
		if b.note(began, recorder.body.Bytes(), r.UserAgent()) {
			panic(http.ErrAbortHandler) // cuts the connection
		}
	})
}

// note notes a request and its response, and reports whether the response is to be lost.
func (b *bank) note(began time.Time, response []byte, userAgent string) (lost bool) {
	var payment struct{ TransactionID, ExternalReference string }
	_ = json.Unmarshal(response, &payment) // a problem has neither
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	b.last = began
	// The same idempotency key has the same transaction.
	if known := b.payments[payment.ExternalReference]; payment.TransactionID != "" && !slices.Contains(known, payment.TransactionID) {
		b.payments[payment.ExternalReference] = append(known, payment.TransactionID)
	}
	return b.isCutOff != "" && strings.Contains(userAgent, b.isCutOff)
}

// cutOff loses the answers to whoever has the User-Agent, from now on. Empty ends that.
func (b *bank) cutOff(userAgent string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isCutOff = userAgent
}

// loseAnswers executes the next n requests to pay and loses their answers.
func (b *bank) loseAnswers(n int) {
	b.FailNext("createCashOut", slices.Repeat([]sandbox.Fault{sandbox.LoseAnswer}, n)...)
}

// paid returns the ids of the transactions that were accepted for a withdrawal.
func (b *bank) paid(reference string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.payments[reference])
}

// all returns the ids of all transactions that were accepted.
func (b *bank) all() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ids := range b.payments {
		all = append(all, ids...)
	}
	return all
}

// transactions returns how many payments were accepted.
func (b *bank) transactions() int { return len(b.all()) }

// asked returns how many requests to pay have come.
func (b *bank) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

// lastAsked returns when the last request to pay came.
func (b *bank) lastAsked() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// CompleteCashOut completes a payment, and notes it.
func (b *bank) CompleteCashOut(id string) error {
	return b.end(id, connectpsp.CashOutCompleted, func() error { return b.Sandbox.CompleteCashOut(id) })
}

// FailCashOut makes a payment fail, and notes it.
func (b *bank) FailCashOut(id, code, message string) error {
	return b.end(id, connectpsp.CashOutFailed, func() error { return b.Sandbox.FailCashOut(id, code, message) })
}

func (b *bank) end(id string, status connectpsp.CashOutStatus, move func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := move()
	if err == nil {
		b.ended[id] = status
	}
	return err
}

// status returns the status of the payment of a withdrawal, empty if none was accepted.
func (b *bank) status(reference string) connectpsp.CashOutStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.payments[reference]) == 0 {
		return ""
	}
	return cmp.Or(b.ended[b.payments[reference][0]], connectpsp.CashOutProcessing)
}

// completed returns how many payments have completed.
func (b *bank) completed() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, status := range b.ended {
		if status == connectpsp.CashOutCompleted {
			n++
		}
	}
	return n
}

type responseRecorder struct {
	http.ResponseWriter
	body bytes.Buffer
}

// Write implements [io.Writer].
func (r *responseRecorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (r *responseRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
