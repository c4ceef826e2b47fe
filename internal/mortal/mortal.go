// Package mortal lets a process die at any of its calls of an inbox, a journal and the gateway, for
// tests: it dies before the call has an effect, or after that and before it has the result. Nothing
// that the process calls afterwards has an effect.
package mortal

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// ErrDead is the error of each call of a process that has died.
var ErrDead = errors.New("the process is dead")

// Process is a process that dies. Goroutines may share it.
type Process struct {
	mu     sync.Mutex
	events int // two for each call: before and after it
	diesAt int
	dead   bool
}

// New returns a process that dies at an event: there is one before each call, counted from 1, and
// one after it. With 0 it lives for ever.
func New(diesAt int) *Process { return &Process{diesAt: diesAt} }

// IsDead reports whether the process has died.
func (p *Process) IsDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// survives notes an event, and reports whether the process lives after it.
func (p *Process) survives() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events++
	p.dead = p.dead || p.events == p.diesAt
	return !p.dead
}

func call[T any](p *Process, do func() (T, error)) (result T, err error) {
	if !p.survives() {
		return result, ErrDead
	}
	got, err := do()
	if !p.survives() {
		return result, ErrDead
	}
	return got, err
}

func callOnly(p *Process, do func() error) error {
	_, err := call(p, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// Inbox returns an inbox as the process sees it.
func (p *Process) Inbox(inner webhook.Inbox) webhook.Inbox { return &inbox{p, inner} }

type inbox struct {
	p     *Process
	inner webhook.Inbox
}

func (i *inbox) Added() <-chan struct{} { return i.inner.Added() }

func (i *inbox) Put(ctx context.Context, item webhook.Item) (*webhook.Digest, error) {
	return call(i.p, func() (*webhook.Digest, error) { return i.inner.Put(ctx, item) })
}

func (i *inbox) Claim(ctx context.Context, lease time.Duration, limit int) ([]*webhook.Claim, error) {
	return call(i.p, func() ([]*webhook.Claim, error) { return i.inner.Claim(ctx, lease, limit) })
}

// Complete writes nothing if the process dies while change runs: its database transaction ends with
// the connection.
func (i *inbox) Complete(
	ctx context.Context, claim *webhook.Claim, change func(context.Context, webhook.TransactionState) (webhook.Result, error),
) error {
	return callOnly(i.p, func() error {
		return i.inner.Complete(ctx, claim, func(ctx context.Context, recorded webhook.TransactionState) (webhook.Result, error) {
			result, err := change(ctx, recorded)
			if i.p.IsDead() {
				return result, ErrDead
			}
			return result, err
		})
	})
}

func (i *inbox) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	return callOnly(i.p, func() error { return i.inner.Postpone(ctx, claim, due, reason) })
}

func (i *inbox) Hold(ctx context.Context, claim *webhook.Claim, reason string) error {
	return callOnly(i.p, func() error { return i.inner.Hold(ctx, claim, reason) })
}

// Journal returns a journal as the process sees it.
func (p *Process) Journal(inner connectpsp.Journal) connectpsp.Journal { return &journal{p, inner} }

type journal struct {
	p     *Process
	inner connectpsp.Journal
}

func (j *journal) Begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	return call(j.p, func() (*connectpsp.Intent, error) { return j.inner.Begin(ctx, intent) })
}

func (j *journal) Find(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	return call(j.p, func() (*connectpsp.Intent, error) { return j.inner.Find(ctx, intent) })
}

func (j *journal) Sent(ctx context.Context, key string, at time.Time) error {
	return callOnly(j.p, func() error { return j.inner.Sent(ctx, key, at) })
}

func (j *journal) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	return callOnly(j.p, func() error { return j.inner.Finish(ctx, key, outcome, transactionID) })
}

func (j *journal) Pending(ctx context.Context) ([]connectpsp.Intent, error) {
	return call(j.p, func() ([]connectpsp.Intent, error) { return j.inner.Pending(ctx) })
}

func (j *journal) Ended(ctx context.Context) ([]connectpsp.Intent, error) {
	return call(j.p, func() ([]connectpsp.Intent, error) { return j.inner.Ended(ctx) })
}

// HTTPClient returns a client as the process sees it.
func (p *Process) HTTPClient(inner *http.Client) *http.Client {
	return &http.Client{Transport: transport{p, inner.Transport}}
}

type transport struct {
	p     *Process
	inner http.RoundTripper
}

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	var unread *http.Response
	response, err := call(t.p, func() (_ *http.Response, err error) {
		unread, err = t.inner.RoundTrip(request)
		return unread, err
	})
	if err != nil && unread != nil {
		_ = unread.Body.Close()
	}
	return response, err
}

// CloseIdleConnections closes those of the inner transport, if it can.
func (t transport) CloseIdleConnections() {
	if closer, ok := t.inner.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
