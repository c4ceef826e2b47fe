package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// receiver receives webhooks on loopback, and keeps the first delivery of each event.
type receiver struct {
	url    string
	server *http.Server
	secret auth.Secret

	mu     sync.Mutex
	seen   map[string]bool // keys of events, to deduplicate
	events []*webhook.Event
	news   chan struct{} // closed and replaced when an event arrives
}

func startReceiver(secret auth.Secret) (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{
		url:    "http://" + listener.Addr().String() + "/webhooks/connectpsp",
		secret: secret,
		seen:   map[string]bool{},
		news:   make(chan struct{}),
	}
	r.server = &http.Server{Handler: r, ReadTimeout: 2 * time.Second}
	go func() { _ = r.server.Serve(listener) }() // returns an error after close
	return r, nil
}

func (r *receiver) close() { _ = r.server.Close() }

// ServeHTTP verifies an event, keeps it and responds 200. After any other status the gateway sends
// the event again.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, 64<<10))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	event, err := webhook.Parse(body, request.Header, r.secret)
	switch {
	case errors.Is(err, webhook.ErrInvalidSignature):
		w.WriteHeader(http.StatusUnauthorized)
		return
	case err != nil:
		return // signed but unparseable: 200, or it would come again; a real receiver stores the body
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.seen[event.Key()] {
		r.seen[event.Key()] = true
		r.events = append(r.events, event)
		close(r.news)
		r.news = make(chan struct{})
	}
}

// wait waits for the event of a transaction and returns it.
func (r *receiver) wait(ctx context.Context, eventType webhook.EventType, transactionID string) (*webhook.Event, error) {
	for {
		r.mu.Lock()
		news := r.news
		for _, event := range r.events {
			if event.Type == eventType && transactionOf(event) == transactionID {
				r.mu.Unlock()
				return event, nil
			}
		}
		r.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return nil, fmt.Errorf("no verified webhook %s arrived: %w", eventType, ctx.Err())
		}
	}
}

func transactionOf(event *webhook.Event) string {
	switch {
	case event.CashIn != nil:
		return event.CashIn.TransactionID
	case event.CashOut != nil:
		return event.CashOut.TransactionID
	default:
		return ""
	}
}
