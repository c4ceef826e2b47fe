package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// delivery is a request that a receiver got.
type delivery struct {
	method string
	header http.Header
	body   []byte
}

// receiver verifies webhooks and keeps them. It responds with status, if that is set.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	got      []delivery
	verified []*webhook.Event
}

func newReceiver(t *testing.T, secret string, status int) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		assert.NoError(t, err)
		event, err := webhook.Parse(body, request.Header, auth.NewSecret(secret))
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, delivery{request.Method, request.Header, body})
		switch {
		case err == nil:
			r.verified = append(r.verified, event)
		case status == 0:
			w.WriteHeader(http.StatusUnauthorized)
		}
		if status != 0 {
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// withToken returns a shell that knows a CryptoToken and nothing else.
func withToken(t *testing.T) *shell {
	return &shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "the-crypto-token"}}
}

func TestEveryPublishedEventCanBeSentAndVerifies(t *testing.T) {
	for _, eventType := range eventTypes {
		s := withToken(t)
		r := newReceiver(t, "the-crypto-token", 0)
		o := s.run("webhook", "send", string(eventType), "--to", r.URL, "--reference", "order-9", "--amount", "12.34", "--name", fullName,
			"--document", cpf)
		assert.Equal(t, exitDone, o.code, o.stderr)
		require.Len(t, r.verified, 1)
		event := r.verified[0]
		assert.Equal(t, eventType, event.Type)
		switch {
		case event.CashIn != nil:
			assert.Equal(t, "order-9", event.CashIn.ExternalReference)
			assert.Equal(t, "12.34", event.CashIn.Amount.String())
			assert.Equal(t, strings.HasPrefix(event.CashIn.EndToEndID, "D"), eventType == webhook.CashInRefunded)
		default:
			assert.Equal(t, "12.34", event.CashOut.Amount.String())
			assert.Equal(t, eventType == webhook.CashOutFailed, event.CashOut.Failure != nil)
			assert.Equal(t, eventType == webhook.CashOutFailed, event.CashOut.EndToEndID == "")
		}
	}
}

func TestCopiesOfAnEventDifferInTheirIDsOnly(t *testing.T) {
	s := withToken(t)
	r := newReceiver(t, "the-crypto-token", 0)
	o := s.run("webhook", "send", "CASHIN_PAID", "--to", r.URL, "--times", "20", "--parallel", "5", "--json")
	assert.Equal(t, exitDone, o.code, o.stderr)
	result := decode[sendResult](t, o)
	assert.Equal(t, map[string]int{"200": 20}, result.Responses)
	require.Len(t, r.verified, 20)
	ids := map[string]bool{}
	for _, event := range r.verified {
		ids[event.DeliveryID] = true
		assert.Equal(t, r.verified[0].Key(), event.Key())
	}
	assert.Len(t, ids, 20)
}

func TestATamperedEventMustBeRefused(t *testing.T) {
	s := withToken(t)
	careful := newReceiver(t, "the-crypto-token", 0)
	o := s.run("webhook", "send", "CASHIN_PAID", "--to", careful.URL, "--tamper")
	assert.Equal(t, exitDone, o.code, o.stderr)
	assert.Empty(t, careful.verified)
	assert.True(t, json.Valid(careful.got[0].body), "only the bytes differ")

	naive := newReceiver(t, "the-crypto-token", http.StatusOK)
	o = s.run("webhook", "send", "CASHIN_PAID", "--to", naive.URL, "--tamper")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "the receiver accepted 1 of 1 copies with a wrong signature")
}

func TestAReceiverThatDoesNotRespond200IsReported(t *testing.T) {
	s := withToken(t)
	o := s.run("webhook", "send", "CASHIN_PAID", "--to", newReceiver(t, "the-crypto-token", http.StatusAccepted).URL)
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "1 of 1 copies got a status that is not 200")

	closed := newReceiver(t, "", 0)
	closed.Close()
	o = s.run("webhook", "send", "CASHIN_PAID", "--to", closed.URL, "--times", "3")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "3 of 3 copies got no response")
}

func TestTheWebhookCommandsRefuseWrongUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("x"), 2<<20), 0o600))
	for _, test := range []struct {
		says string
		args []string
	}{
		{"EVENT must be one of", []string{"send", "CASHIN", "--to", "http://127.0.0.1:1"}},
		{"--to must be", []string{"send", "CASHIN_PAID", "--to", "localhost:80"}},
		{"--to must be", []string{"send", "CASHIN_PAID", "--to", "http://user@localhost"}},
		{"--times must be", []string{"send", "CASHIN_PAID", "--to", "http://127.0.0.1:1", "--times", "0"}},
		{"--amount must be", []string{"send", "CASHIN_PAID", "--to", "http://127.0.0.1:1", "--amount", "R$ 1"}},
		{"--forward-to must be", []string{"listen", "--forward-to", "8080"}},
		{"--body: open", []string{"verify", "--body", "absent", "--headers", "absent"}},
		{"larger than 1 MiB", []string{"sign", "--body", file}},
	} {
		o := withToken(t).run(append([]string{"webhook"}, test.args...)...)
		assert.Equal(t, exitUsage, o.code, "%q", test.args)
		assert.Contains(t, o.stderr, test.says)
	}
	for name, vars := range map[string]map[string]string{
		"CONNECTPSP_CRYPTO_TOKEN is not set": {},
		"add --production":                   {"CONNECTPSP_CRYPTO_TOKEN": "the-crypto-token", "CONNECTPSP_ENVIRONMENT": "production"},
	} {
		s := &shell{t: t, vars: vars}
		o := s.run("webhook", "send", "CASHIN_PAID", "--to", "http://127.0.0.1:1")
		assert.Equal(t, exitUsage, o.code)
		assert.Contains(t, o.stderr, name)
	}
	s := withToken(t)
	s.vars["CONNECTPSP_ENVIRONMENT"] = "production"
	o := s.run("webhook", "send", "CASHIN_PAID", "--to", "http://127.0.0.1:1", "--production")
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.stderr, "add --yes")
	o = s.run("webhook", "listen", "--address", "127.0.0.1:99999", "--production")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "--address: the address cannot be listened on")
}

func TestACapturedDeliveryIsVerified(t *testing.T) {
	s := newShell(t)
	r := newReceiver(t, s.vars["CONNECTPSP_CRYPTO_TOKEN"], 0)
	id := decode[transactionResult](t, s.run(cashIn("order-1", "--webhook-url", r.URL, "--json")...)).CashIn.TransactionID
	require.NoError(t, s.box.PayCashIn(id))
	require.NoError(t, s.box.WaitWebhooks(t.Context()))
	require.Len(t, r.got, 1)

	directory := t.TempDir()
	body, headers := filepath.Join(directory, "body"), filepath.Join(directory, "headers")
	var text bytes.Buffer
	text.WriteString("POST /webhooks HTTP/1.1\r\n")
	require.NoError(t, r.got[0].header.Write(&text))
	require.NoError(t, os.WriteFile(headers, text.Bytes(), 0o600))
	require.NoError(t, os.WriteFile(body, r.got[0].body, 0o600))
	s.vars = map[string]string{"CONNECTPSP_CRYPTO_TOKEN": s.vars["CONNECTPSP_CRYPTO_TOKEN"]}
	o := s.run("webhook", "verify", "--body", body, "--headers", headers)
	assert.Equal(t, exitDone, o.code, o.stderr)
	assert.Contains(t, o.stdout, "CASHIN_PAID")
	assert.True(t, decode[eventResult](t, s.run("webhook", "verify", "--body", body, "--headers", headers, "--json")).Verified)
	assert.Contains(t, s.run("webhook", "sign", "--body", body).stdout, r.got[0].header.Get(webhook.SignatureHeader))

	require.NoError(t, os.WriteFile(body, append(r.got[0].body, ' '), 0o600))
	o = s.run("webhook", "verify", "--body", body, "--headers", headers)
	assert.Equal(t, exitRejected, o.code)
	assert.Contains(t, o.stderr, "invalid signature")
	require.NoError(t, os.WriteFile(headers, []byte("no header"), 0o600))
	assert.Equal(t, exitUsage, s.run("webhook", "verify", "--body", body, "--headers", headers).code)
}

// buffer is an output that a test reads while a command writes it.
type buffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // has an element after a write
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.written <- struct{}{}:
	default:
	}
	return b.text.Write(data)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// wait waits until the output has a text, and returns all of it.
func (b *buffer) wait(t *testing.T, text string) string {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		if all := b.String(); strings.Contains(all, text) {
			return all
		}
		select {
		case <-b.written:
		case <-late:
			require.FailNow(t, "an output is missing", "%q in %q", text, b.String())
		}
	}
}

// service is a command that runs until the test ends.
type service struct {
	stdout, stderr buffer
	url            string
}

// serve starts a command that serves, and waits until it listens.
func (s *shell) serve(silence time.Duration, args ...string) *service {
	s.t.Helper()
	v := &service{stdout: buffer{written: make(chan struct{}, 1)}, stderr: buffer{written: make(chan struct{}, 1)}}
	e := s.environment(args...)
	e.stdout, e.stderr, e.silence = &v.stdout, &v.stderr, silence
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, e) }()
	s.t.Cleanup(func() {
		cancel()
		select {
		case code := <-ended:
			assert.Equal(s.t, exitDone, code, v.stderr.String())
		case <-time.After(30 * time.Second):
			assert.Fail(s.t, "the command does not end")
		}
		for _, hidden := range []string{cpf, fullName, s.vars["CONNECTPSP_CRYPTO_TOKEN"]} {
			assert.NotContains(s.t, v.stdout.String()+v.stderr.String(), hidden)
		}
	})
	_, rest, _ := strings.Cut(v.stderr.wait(s.t, "Ctrl-C"), "http://")
	v.url = "http://" + rest[:strings.IndexAny(rest, "; \n")]
	return v
}

func TestListenForwardsTheBytesAndPassesTheStatusBack(t *testing.T) {
	s := withToken(t)
	r := newReceiver(t, "the-crypto-token", http.StatusTeapot)
	v := s.serve(time.Hour, "webhook", "listen", "--address", "127.0.0.1:0", "--forward-to", r.URL+"/webhooks")
	for _, body := range []string{`{"eventType":"CASHIN_PAID","data":{"transactionId":"abc","amount":10.50,"payer":{"name":"` + fullName + `"}}}`, "not json \xff"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.url+"/any/path?x=1", strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set(webhook.SignatureHeader, strings.Repeat("ab", 32))
		request.Header.Set(webhook.EventIDHeader, "the-id")
		request.Header.Set("X-Other", "kept")
		request.Header.Set("X-Forwarded-For", "192.0.2.1")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusTeapot, response.StatusCode)
		got := r.got[len(r.got)-1]
		assert.Equal(t, body, string(got.body))
		assert.Equal(t, []string{"the-id"}, got.header[webhook.EventIDHeader])
		assert.Equal(t, []string{strings.Repeat("ab", 32)}, got.header[webhook.SignatureHeader])
		assert.Equal(t, []string{"kept"}, got.header["X-Other"])
		assert.Equal(t, []string{"192.0.2.1"}, got.header["X-Forwarded-For"])
	}
	v.stdout.wait(t, "418  ")
	v.stdout.wait(t, "invalid signature: no secret matches it")

	o := s.run("webhook", "send", "CASHIN_PAID", "--to", v.url, "--amount", "77.00")
	assert.Equal(t, exitFailed, o.code, "418 is not 200")
	v.stdout.wait(t, "CASHIN_PAID")
	line := v.stdout.wait(t, "verified")
	assert.Contains(t, line, "R$ 77,00")
}

func TestListenWithoutAReceiverAcceptsWhatIsSigned(t *testing.T) {
	s := withToken(t)
	v := s.serve(time.Hour, "webhook", "listen", "--address", "127.0.0.1:0", "--json")
	assert.Equal(t, exitDone, s.run("webhook", "send", "CASHOUT_FAILED", "--to", v.url).code)
	assert.Equal(t, exitDone, s.run("webhook", "send", "CASHOUT_FAILED", "--to", v.url, "--tamper").code)
	lines := strings.Split(strings.TrimSpace(v.stdout.wait(t, `"statusCode":401`)), "\n")
	require.Len(t, lines, 2)
	var line deliveryLine
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &line))
	assert.True(t, line.Verified)
	assert.Equal(t, "CASHOUT_FAILED", line.EventType)
	assert.Equal(t, "FAILED", line.Status)

	response, err := http.Post(v.url, "", bytes.NewReader(make([]byte, bodyLimit+1)))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
}

func TestListenSaysThatTheReceiverIsDown(t *testing.T) {
	s := withToken(t)
	closed := newReceiver(t, "", 0)
	closed.Close()
	v := s.serve(time.Hour, "webhook", "listen", "--address", "127.0.0.1:0", "--forward-to", closed.URL)
	assert.Equal(t, exitFailed, s.run("webhook", "send", "CASHIN_PAID", "--to", v.url).code)
	v.stdout.wait(t, "502  ")
	v.stdout.wait(t, "the receiver did not respond")
}

func TestListenSaysWhatToCheckWhenNothingComes(t *testing.T) {
	s := withToken(t)
	v := s.serve(time.Millisecond, "webhook", "listen", "--address", "127.0.0.1:0")
	v.stderr.wait(t, "no webhook for 1ms. Check that")
}

func TestListenSaysThatAReceiverDidNotEndItsResponse(t *testing.T) {
	s := withToken(t)
	for name, test := range map[string]struct {
		receive http.HandlerFunc
		says    string
	}{
		"it hangs": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "the receiver did not respond within 5 s"},
		"it breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("x"))
		}, "the receiver did not respond: unexpected EOF"},
		"it is endless": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, fileLimit+1))
		}, "its response is longer than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			receiver := httptest.NewServer(test.receive)
			t.Cleanup(receiver.Close)
			v := s.serve(time.Hour, "webhook", "listen", "--address", "127.0.0.1:0", "--forward-to", receiver.URL)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.url, strings.NewReader("{}"))
			require.NoError(t, err)
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, http.StatusBadGateway, response.StatusCode)
			line := v.stdout.wait(t, test.says)
			assert.NotContains(t, line, "verified")
		})
	}
}

func TestACopyWithoutAResponseSaysWhetherTheReceiverIsSlowOrNotThere(t *testing.T) {
	assert.Equal(t, "none came within 5 s, which the gateway waits", noResponse(&url.Error{Op: "Post", URL: "http://127.0.0.1:1", Err: context.DeadlineExceeded}))
	o := withToken(t).run("webhook", "send", "CASHIN_PAID", "--to", "http://127.0.0.1:1")
	assert.NotContains(t, o.stderr, "5 s", "it has not waited for them: %s", o.stderr)
}

func TestListenSaysThatTheSenderGaveUp(t *testing.T) {
	s := withToken(t)
	received := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // without that a server does not notice that a client has gone
		close(received)
		<-r.Context().Done()
	}))
	t.Cleanup(receiver.Close)
	v := s.serve(time.Hour, "webhook", "listen", "--address", "127.0.0.1:0", "--forward-to", receiver.URL)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-received
		cancel()
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, strings.NewReader("{}"))
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(request)
	require.Error(t, err)
	v.stdout.wait(t, "the sender gave up before the receiver responded")
}
