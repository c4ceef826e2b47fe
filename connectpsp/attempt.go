package connectpsp

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/answer"
	"github.com/connectpsp/connectpsp-go/internal/redact"
)

// attemptTimeout bounds one attempt. A short one would itself make outcomes unknown.
const attemptTimeout = 30 * time.Second

// attempt is one request and its response, if any.
type attempt struct {
	begun    time.Time
	duration time.Duration
	token    auth.Secret // the access token it carried
	observed *observedAttempt
	failure  string // the kind of the transport's error, if any

	sent     bool // it may have reached the gateway; false only if it provably did not
	replayed bool // something below the SDK sent it more than once

	status int // 0 if no response came
	header http.Header
	body   []byte
	err    error // why there is no response, or not all of it
}

// attempt makes and sends one request and reads the response.
func (c *Client) attempt(ctx context.Context, p *callState) attempt {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	call := p.call
	tracker := &sendTracker{client: c, state: p, ctx: ctx}
	tracker.body.content.Reset(call.body)
	tracker.trace.WroteHeaders = func() { tracker.written.Add(1) }
	a := attempt{begun: time.Now()}
	sending := ctx
	if c.observers == nil { // else beginAttempt sets the trace
		sending = httptrace.WithClientTrace(ctx, &tracker.trace)
	}
	ended := false
	defer func() {
		if !ended { // a transport panicked
			c.endAttempt(attempt{observed: tracker.observed}, verdict{outcome: inDoubt})
		}
	}()
	response, err := call.row.send(sending, c.raw, call, &tracker.body, tracker.edit)
	if err != nil {
		a.err, a.failure = err, failureOf(err)
		if tracker.handed { // else the error is the token source's or the journal's, in the caller's own words
			a.err = redact.Error(err)
		}
	} else {
		a.status, a.header = response.StatusCode, response.Header
		a.body, a.err = answer.Read(response)
		a.failure = failureOf(a.err)
		if call.raw != nil {
			*call.raw = RawResponse{StatusCode: a.status, Header: a.header, Body: bytes.Clone(a.body)}
		}
	}
	a.duration = time.Since(a.begun)
	a.token, a.observed = tracker.token, tracker.observed
	a.sent = err == nil || tracker.mayHaveSent()
	a.replayed = tracker.written.Load() > 1
	ended = true
	return a
}

// sendTracker completes one request and records whether it may have been sent, and whether a
// transport sent it twice.
type sendTracker struct {
	client   *Client
	state    *callState
	ctx      context.Context       // of the attempt, without the trace: that is to see this request alone, and not one for a token
	trace    httptrace.ClientTrace // of the request
	token    auth.Secret
	observed *observedAttempt
	handed   bool         // the request was complete and given to the HTTP client
	body     sealedBody   // empty if the request has none
	written  atomic.Int32 // how often its headers were written; counted on the transport's goroutines
}

// edit is the last request editor, and calls the others in their order: the signature is made of
// the token, and the payment is announced when nothing can go wrong any more.
func (t *sendTracker) edit(_ context.Context, request *http.Request) error {
	ctx, c, call := t.ctx, t.client, t.state.call
	for _, edit := range c.editors {
		if err := edit(ctx, request); err != nil {
			return redactTokenError(err)
		}
	}
	if call.operation.Signed {
		if err := c.sign(ctx, request); err != nil {
			return err
		}
	}
	if key := call.payment.IdempotencyKey; key != "" {
		if err := idempotency.Editor(key)(ctx, request); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.announce(ctx, t.state); err != nil {
		return err
	}
	t.token = auth.NewSecret(strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer "))
	// Without GetBody, net/http cannot send a body again on its own, neither on a new connection
	// (isReplayable in net/http/request.go, golang/go#19943) nor after a redirect (redirectBehavior
	// in net/http/client.go).
	request.GetBody = nil
	request.ContentLength = t.body.content.Size() // http.NewRequest knows that of its own readers only
	t.handed = true
	t.observed = c.beginAttempt(t, request)
	return nil
}

// redactTokenError redacts the error of a token source that uses net/http, which may quote the
// token. An *auth.Error is redacted already, and any other error is in the source's own words.
func redactTokenError(err error) error {
	if errors.As(err, new(*url.Error)) && !errors.As(err, new(*auth.Error)) {
		return redact.Error(err)
	}
	return err
}

// mayHaveSent reports whether a request that got no response may have reached the gateway. It did
// not if it was never handed over, or if neither its headers were written nor its body was read:
// asking makes sure that the body never will be. For a request without a body that cannot be told.
func (t *sendTracker) mayHaveSent() bool {
	return t.handed && (t.body.isEmpty() || t.written.Load() > 0 || !t.body.seal())
}

// sealedBody is a request's body that can be sealed until the first read. A transport that returns
// early may still be dialling, and would otherwise send the request after it was reported as not
// sent.
type sealedBody struct {
	content bytes.Reader
	state   atomic.Int32
}

const (
	bodyUnread int32 = iota
	bodyRead
	bodySealed
)

const errSealed = redact.Text("connectpsp: the call has ended")

func (b *sealedBody) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(bodyUnread, bodyRead) && b.state.Load() == bodySealed {
		return 0, errSealed
	}
	return b.content.Read(p)
}

func (b *sealedBody) Close() error { return nil }

func (b *sealedBody) isEmpty() bool { return b.content.Size() == 0 }

// seal shuts the body and reports whether it did so before anybody read from it.
func (b *sealedBody) seal() bool { return b.state.CompareAndSwap(bodyUnread, bodySealed) }
