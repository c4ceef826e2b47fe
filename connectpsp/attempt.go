package connectpsp

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/answer"
)

// attemptTimeout bounds one attempt. A short one would itself make outcomes unknown.
const attemptTimeout = 30 * time.Second

// attempt is what became of one request.
type attempt struct {
	begun    time.Time
	duration time.Duration
	token    auth.Secret // the access token it carried

	sent     bool // it may have reached the gateway; false only if it provably did not
	replayed bool // something below the SDK sent it more than once

	status int // 0 if no answer came
	header http.Header
	body   []byte
	err    error // why there is no answer, or not all of it
}

// attempt makes and sends one request and reads the answer.
func (c *Client) attempt(ctx context.Context, call call) attempt {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	var witness witness
	a := attempt{begun: time.Now()}
	response, err := call.send(httptrace.WithClientTrace(ctx, witness.trace()), c.editorsOf(call, &witness)...)
	if err != nil {
		a.err = err
	} else {
		a.status, a.header = response.StatusCode, response.Header
		a.body, a.err = answer.Read(response)
		if call.raw != nil {
			*call.raw = RawResponse{StatusCode: a.status, Header: a.header, Body: a.body}
		}
	}
	a.duration = time.Since(a.begun)
	a.token = witness.token
	a.sent = err == nil || witness.mayHaveSent()
	a.replayed = witness.written.Load() > 1
	return a
}

// editorsOf lists the request editors in their order: the signature is made of the token, and the witness comes last.
func (c *Client) editorsOf(call call, witness *witness) []gen.RequestEditorFn {
	editors := make([]gen.RequestEditorFn, 0, len(c.editors)+3)
	editors = append(editors, c.editors...)
	if call.operation.signed {
		editors = append(editors, c.sign)
	}
	if call.key != "" {
		editors = append(editors, idempotency.Editor(call.key))
	}
	return append(editors, witness.edit)
}

// witness watches one request on its way out, to tell what was provably never sent from what may have been, and to see a
// transport that sends twice. The hooks run on the transport's goroutines, perhaps after the call returned.
type witness struct {
	token  auth.Secret
	handed bool // the request was complete and given to the HTTP client

	wanted    atomic.Int32 // connections asked for
	connected atomic.Int32 // connections got
	written   atomic.Int32 // connections or streams that the request's headers were written to
}

func (w *witness) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:      func(string) { w.wanted.Add(1) },
		GotConn:      func(httptrace.GotConnInfo) { w.connected.Add(1) },
		WroteHeaders: func() { w.written.Add(1) },
	}
}

// edit is the last request editor.
func (w *witness) edit(ctx context.Context, request *http.Request) error {
	w.token = auth.NewSecret(strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer "))
	// Without GetBody, net/http cannot send a body again on its own, neither on a new connection nor after a redirect.
	request.GetBody = nil
	if err := ctx.Err(); err != nil {
		return err
	}
	w.handed = true
	return nil
}

// mayHaveSent reports whether a request that got no answer may have reached the gateway. It did not if it was never handed
// over, or if connections were asked for and none was got. A transport that reports nothing is believed nothing.
func (w *witness) mayHaveSent() bool {
	return w.handed && (w.wanted.Load() == 0 || w.connected.Load() > 0)
}
