package connectpsp

import (
	"context"
	"errors"
	"io"
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
func (c *Client) attempt(ctx context.Context, p *progress) attempt {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	call := p.call
	witness := witness{announce: func(ctx context.Context) error { return c.announce(ctx, p) }}
	a := attempt{begun: time.Now()}
	response, err := call.send(ctx, c.editorsOf(call, &witness)...)
	if err != nil {
		a.err = quiet(err)
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
// transport that sends twice.
type witness struct {
	announce func(context.Context) error // is called when the request is complete, and keeps it from being sent by an error
	token    auth.Secret
	handed   bool         // the request was complete and given to the HTTP client
	body     *sealedBody  // nil if the request has none
	written  atomic.Int32 // how often its headers were written; counted on the transport's goroutines
}

// edit is the last request editor.
func (w *witness) edit(ctx context.Context, request *http.Request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.announce(ctx); err != nil {
		return err
	}
	w.token = auth.NewSecret(strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer "))
	// Without GetBody, net/http cannot send a body again on its own, neither on a new connection nor after a redirect.
	request.GetBody = nil
	if request.Body != nil {
		w.body = &sealedBody{ReadCloser: request.Body}
		request.Body = w.body
	}
	// The trace begins here, so that it sees this request alone and not one for a token.
	trace := &httptrace.ClientTrace{WroteHeaders: func() { w.written.Add(1) }}
	*request = *request.WithContext(httptrace.WithClientTrace(ctx, trace))
	w.handed = true
	return nil
}

// mayHaveSent reports whether a request that got no answer may have reached the gateway. It did not if it was never handed
// over, or if nobody has read its body; asking makes sure that nobody will.
func (w *witness) mayHaveSent() bool {
	return w.handed && (w.body == nil || !w.body.seal())
}

// sealedBody is a request's body that can be shut as long as nobody has begun to read it. A transport that returns early may
// still be dialling, and would otherwise send the request after it was reported as not sent.
type sealedBody struct {
	io.ReadCloser
	state atomic.Int32
}

const (
	untouched int32 = iota
	begun
	sealed
)

var errSealed = errors.New("connectpsp: the call has ended")

func (b *sealedBody) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(untouched, begun) && b.state.Load() == sealed {
		return 0, errSealed
	}
	return b.ReadCloser.Read(p)
}

// seal shuts the body and reports whether it did so before anybody read from it.
func (b *sealedBody) seal() bool { return b.state.CompareAndSwap(untouched, sealed) }
