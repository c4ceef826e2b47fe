package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/sandbox"
)

// bank is the sandbox, and what it was asked to pay: the truth that the books are compared with.
type bank struct {
	*sandbox.Sandbox

	mu       sync.Mutex
	requests int                 // to pay, accepted or not
	last     time.Time           // when the last of them came
	payments map[string][]string // ids of the transactions that were accepted, by reference
}

func startBank(options ...sandbox.Option) (*bank, error) {
	b := &bank{payments: map[string][]string{}}
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
		var payment struct{ TransactionID, ExternalReference string }
		_ = json.Unmarshal(recorder.body.Bytes(), &payment)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.requests++
		b.last = began
		if payment.TransactionID == "" {
			return
		}
		known := b.payments[payment.ExternalReference]
		for _, id := range known {
			if id == payment.TransactionID {
				return // the same idempotency key
			}
		}
		b.payments[payment.ExternalReference] = append(known, payment.TransactionID)
	})
}

// paid returns the ids of the transactions that were accepted for a withdrawal.
func (b *bank) paid(reference string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.payments[reference]...)
}

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

// transactions returns how many payments were accepted.
func (b *bank) transactions() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ids := range b.payments {
		n += len(ids)
	}
	return n
}
