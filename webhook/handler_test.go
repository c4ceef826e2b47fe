package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestEachDeliveryGetsItsStatusAndIsCounted(t *testing.T) {
	checker := contract.New(t)
	for _, body := range []string{paid, refunded, completed, failed, returned} {
		checker.Webhook([]byte(body))
	}
	other := strings.Replace(paid, "10.50", "10.5", 1)
	for _, c := range []struct {
		name   string
		send   func(http.Handler) *httptest.ResponseRecorder
		status int
		counts webhook.Counts
	}{
		{"new", func(h http.Handler) *httptest.ResponseRecorder { return post(h, paid, sign(paid)) }, 200, webhook.Counts{Stored: 1}},
		{"of an unknown type", func(h http.Handler) *httptest.ResponseRecorder {
			body := strings.Replace(paid, "CASHIN_PAID", "CASHIN_DISPUTED", 1)
			return post(h, body, sign(body))
		}, 200, webhook.Counts{Stored: 1}},
		{"twice", func(h http.Handler) *httptest.ResponseRecorder {
			post(h, paid, sign(paid))
			return post(h, paid, sign(paid))
		}, 200, webhook.Counts{Stored: 1, Duplicates: 1}},
		{"with another body, twice", func(h http.Handler) *httptest.ResponseRecorder {
			post(h, paid, sign(paid))
			post(h, other, sign(other))
			return post(h, other, sign(other))
		}, 200, webhook.Counts{Stored: 1, Conflicting: 1, Duplicates: 1}},
		{"with a third body", func(h http.Handler) *httptest.ResponseRecorder {
			post(h, paid, sign(paid))
			post(h, other, sign(other))
			third := strings.Replace(paid, "10.50", "10.5000", 1)
			return post(h, third, sign(third))
		}, 200, webhook.Counts{Stored: 1, Conflicting: 2}},
		{"packed, and as it is", func(h http.Handler) *httptest.ResponseRecorder {
			post(h, pack(paid), sign(paid))
			post(h, pack(paid), sign(pack(paid)))
			return post(h, paid, sign(paid))
		}, 200, webhook.Counts{Stored: 1, Duplicates: 2}},
		{"unreadable, and another", func(h http.Handler) *httptest.ResponseRecorder {
			post(h, "<html>", sign("<html>"))
			return post(h, "<body>", sign("<body>"))
		}, 200, webhook.Counts{Quarantined: 2}},
		{"unreadable, twice", func(h http.Handler) *httptest.ResponseRecorder {
			post(h, "<html>", sign("<html>"))
			return post(h, "<html>", sign("<html>"))
		}, 200, webhook.Counts{Quarantined: 1, Duplicates: 1}},
		{"without a signature", func(h http.Handler) *httptest.ResponseRecorder { return post(h, paid) }, 401, webhook.Counts{InvalidSignature: 1}},
		{"with two signatures", func(h http.Handler) *httptest.ResponseRecorder {
			return post(h, paid, sign(paid), sign(paid))
		}, 401, webhook.Counts{InvalidSignature: 1}},
		{"with the signature of another", func(h http.Handler) *httptest.ResponseRecorder {
			return post(h, paid, sign(completed))
		}, 401, webhook.Counts{InvalidSignature: 1}},
		{"not a POST", func(h http.Handler) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			assert.Equal(t, "POST", w.Header().Get("Allow"))
			return w
		}, 405, webhook.Counts{WrongMethod: 1}},
		{"too large", func(h http.Handler) *httptest.ResponseRecorder {
			body := paid + strings.Repeat(" ", 64<<10)
			return post(h, body, sign(body))
		}, 413, webhook.Counts{TooLarge: 1}},
		{"too large, and of unknown length", func(h http.Handler) *httptest.ResponseRecorder {
			body := paid + strings.Repeat(" ", 64<<10)
			r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(body)))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}, 413, webhook.Counts{TooLarge: 1}},
		{"broken off", func(h http.Handler) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(paid[:20]), brokenReader{}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}, 400, webhook.Counts{Broken: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			handler := newHandler(t, webhook.NewMemoryInbox())
			answer := c.send(handler)
			assert.Equal(t, c.status, answer.Code)
			assert.Empty(t, answer.Body.String(), "the reason is not sent")
			assert.Equal(t, "0", answer.Header().Get("Content-Length"))
			assert.Equal(t, c.counts, handler.Counts())
		})
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A database limits the length of indexed keys, and with a 503 the gateway would send the event for
// ever.
func TestAnEventWithOverlongIDsIsHeld(t *testing.T) {
	body := strings.Replace(paid, chargeID, strings.Repeat("é", 1000), 1)
	inbox := webhook.NewMemoryInbox()
	handler := newHandler(t, inbox)
	assert.Equal(t, 200, deliver(handler, body))
	assert.Equal(t, webhook.Counts{Quarantined: 1}, handler.Counts())
	require.Len(t, inbox.Held(), 1)
	assert.Less(t, len(inbox.Held()[0].Key), 100)
	require.True(t, inbox.Retry(inbox.Held()[0].Key))
	worker := webhook.NewWorker(inbox, newBank(t).client(t), (&books{}).apply)
	worked, err := worker.Work(t.Context())
	require.NoError(t, err)
	assert.True(t, worked)
	require.Len(t, inbox.Held(), 1)
	assert.Contains(t, inbox.Held()[0].Held, "too long")
}

// The id is not signed, and a database refuses text that is not UTF-8.
func TestADeliveryIDIsSanitized(t *testing.T) {
	inbox := webhook.NewMemoryInbox()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(paid))
	r.Header.Set("X-Connect-Signature", sign(paid))
	r.Header.Set("X-Event-Id", "a\x00\xff"+strings.Repeat("x", 100000))
	w := httptest.NewRecorder()
	newHandler(t, inbox).ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
	claim, err := one(inbox.Claim(t.Context(), time.Minute, 1))
	require.NoError(t, err)
	assert.Equal(t, "a??"+strings.Repeat("x", 97), claim.DeliveryID)
}

func TestAFailingInboxIsLoggedWithoutPersonalData(t *testing.T) {
	var log bytes.Buffer
	handler := newHandler(t, brokenInbox{})
	handler.Logger = slog.New(slog.NewTextHandler(&log, nil))
	require.Equal(t, 503, deliver(handler, paid))
	require.Equal(t, 401, post(handler, paid).Code)
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), "a refusal is counted, so that a sender cannot fill the log")
	assert.Contains(t, log.String(), "the database is down")
	assert.Contains(t, log.String(), chargeID)
	assert.NotContains(t, log.String(), "Test User")
	assert.NotContains(t, log.String(), "12345678909")
}

// slowInbox takes longer to store an item than the time-out of reading a body.
type slowInbox struct{ webhook.Inbox }

func (s slowInbox) Put(ctx context.Context, item webhook.Item) (*webhook.Digest, error) {
	time.Sleep(1200 * time.Millisecond)
	return s.Inbox.Put(ctx, item)
}

// The read deadline of the body has passed by then, and must not end the connection, which the
// gateway reuses.
func TestASlowInboxDoesNotCloseTheConnection(t *testing.T) {
	handler := newHandler(t, slowInbox{webhook.NewMemoryInbox()})
	contexts := make(chan error, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		contexts <- r.Context().Err()
	}))
	defer server.Close()
	for range 2 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(paid))
		require.NoError(t, err)
		r.Header.Set("X-Connect-Signature", sign(paid))
		answer, err := server.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, 200, answer.StatusCode)
		assert.NoError(t, soon(t, contexts))
	}
}

// After a middleware has read the body, net/http waits for the next request, and a read deadline
// would end that wait and with it the contexts of all later requests (golang/go#70834).
func TestTheConnectionStaysUsableIfMiddlewareReadTheBody(t *testing.T) {
	for name, method := range map[string]string{"a delivery": http.MethodPost, "a request that is refused": http.MethodPut} {
		t.Run(name, func(t *testing.T) {
			handler := newHandler(t, webhook.NewMemoryInbox())
			contexts := make(chan error, 2)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				r.Body = io.NopCloser(bytes.NewReader(body))
				handler.ServeHTTP(w, r)
				select {
				case <-r.Context().Done():
				case <-time.After(1300 * time.Millisecond): // longer than the time for the body
				}
				contexts <- r.Context().Err()
			}))
			defer server.Close()
			connection, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer connection.Close()
			require.NoError(t, connection.SetDeadline(time.Now().Add(10*time.Second)))
			answers := bufio.NewReader(connection)
			for range 2 {
				_, err := fmt.Fprintf(connection, "%s / HTTP/1.1\r\nHost: a\r\nX-Connect-Signature: %s\r\nContent-Length: %d\r\n\r\n%s", method, sign(paid), len(paid), paid)
				require.NoError(t, err)
				answer, err := http.ReadResponse(answers, nil)
				require.NoError(t, err)
				require.NoError(t, answer.Body.Close())
				assert.NoError(t, soon(t, contexts))
			}
		})
	}
}

// Adapters of function platforms leave the body nil.
func TestARequestWithoutABodyIsRefused(t *testing.T) {
	for body, status := range map[io.ReadCloser]int{nil: 401, http.NoBody: 401} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Body = body
		w := httptest.NewRecorder()
		newHandler(t, webhook.NewMemoryInbox()).ServeHTTP(w, r)
		assert.Equal(t, status, w.Code)
	}
}

// That leaves four of the gateway's five seconds.
func TestTheWorstBodyIsHandledWithinASecond(t *testing.T) {
	const size = 64 << 10
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (size-len(head)-len(tail))/len(part)) + tail
	}
	var names strings.Builder
	names.WriteString(`{"eventType":"CASHIN_PAID"`)
	for n := 0; names.Len() < size-100; n++ {
		fmt.Fprintf(&names, `,"%x":0`, n)
	}
	names.WriteString(`}`)
	for name, body := range map[string]string{
		"many members":           names.String(),
		"many elements":          fill(`{"a":[0`, `,0`, `]}`),
		"many objects":           fill(`{"a":[{}`, `,{}`, `]}`),
		"nested":                 fill(`{"a":`, `[`, ``),
		"a long number":          fill(`{"eventType":"CASHIN_PAID","data":{"transactionId":"t","amount":1`, `0`, `}}`),
		"a long fraction":        fill(`{"eventType":"CASHIN_PAID","data":{"transactionId":"t","amount":1.0`, `0`, `}}`),
		"a long id":              fill(`{"eventType":"CASHIN_PAID","data":{"amount":1,"transactionId":"`, `/`, `"}}`),
		"a long name of escapes": fill(`{"`, `\u017f`, `":0}`),
		"a long time":            fill(`{"eventType":"A","eventAt":"`, `1`, `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			require.LessOrEqual(t, len(body), size)
			begun := time.Now()
			assert.Equal(t, 200, deliver(newHandler(t, webhook.NewMemoryInbox()), body))
			assert.Less(t, time.Since(begun), time.Second)
		})
	}
}

func TestADeliveryIsAnsweredWith200OnlyOnceItIsStored(t *testing.T) {
	for _, body := range []string{paid, "<html>"} {
		handler := newHandler(t, brokenInbox{})
		assert.Equal(t, 503, deliver(handler, body))
		assert.Equal(t, webhook.Counts{Unavailable: 1}, handler.Counts())
	}
	assert.Equal(t, 503, deliver(newHandler(t, brokenInbox{panics: true}), paid))
	for _, inbox := range []brokenInbox{{slow: true}, {deaf: true}} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			assert.Equal(t, 503, deliver(newHandler(t, inbox), paid))
			assert.Equal(t, 3*time.Second, time.Since(begun), "well within the gateway's five seconds")
			time.Sleep(time.Minute) // until the inbox has ended, too
		})
	}
}

// patientInbox fails if its context has ended, as a database does.
type patientInbox struct{ *webhook.MemoryInbox }

func (p patientInbox) Put(ctx context.Context, item webhook.Item) (*webhook.Digest, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return p.MemoryInbox.Put(ctx, item)
}

func TestADeliveryIsStoredEvenIfTheSenderHangsUp(t *testing.T) {
	inbox := patientInbox{webhook.NewMemoryInbox()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(paid))
	r.Header.Set("X-Connect-Signature", sign(paid))
	newHandler(t, inbox).ServeHTTP(httptest.NewRecorder(), r)
	claim, err := one(inbox.Claim(t.Context(), time.Minute, 1))
	require.NoError(t, err)
	require.NotNil(t, claim)
	assert.Equal(t, paid, string(claim.Body))
}

func TestTheCurrentAndThePreviousSecretVerify(t *testing.T) {
	handler, err := webhook.NewHandler(webhook.NewMemoryInbox(), auth.NewSecret("a-new-secret"), auth.Secret{}, secret)
	require.NoError(t, err)
	assert.Equal(t, 200, deliver(handler, paid))
}

func TestNewHandlerRefusesAMissingSecretOrInbox(t *testing.T) {
	_, err := webhook.NewHandler(webhook.NewMemoryInbox())
	assert.ErrorContains(t, err, "CryptoToken")
	_, err = webhook.NewHandler(webhook.NewMemoryInbox(), auth.NewSecret(""))
	assert.ErrorContains(t, err, "CryptoToken")
	_, err = webhook.NewHandler(nil, secret)
	assert.ErrorContains(t, err, "Inbox")
}

// A secret read from a file ends in a line break. Every delivery would be answered with 401 until
// the gateway gives up.
func TestAMalformedSecretIsRefusedAndNotShown(t *testing.T) {
	for _, faulty := range []string{"the-token\n", " the-token", "the-token\r\n", "the token", "the-t\u00f6ken", "\n"} {
		_, err := webhook.NewHandler(webhook.NewMemoryInbox(), secret, auth.NewSecret(faulty))
		require.ErrorContains(t, err, "CryptoToken", "%q", faulty)
		assert.NotContains(t, err.Error(), "the-t", "%q", faulty)
	}
}

func TestCountsPrintTheirFields(t *testing.T) {
	assert.Equal(t, "{Stored:1 Duplicates:0 Conflicting:0 Quarantined:0 InvalidSignature:2 WrongMethod:0 TooSlow:0 TooLarge:0 Broken:0 Unavailable:0}",
		fmt.Sprint(webhook.Counts{Stored: 1, InvalidSignature: 2}))
}

// The server has no time-outs of its own, and the connections never end.
func TestAHostileClientBlocksNoGoroutine(t *testing.T) {
	var within atomic.Int32
	handler := newHandler(t, webhook.NewMemoryInbox())
	left := make(chan time.Duration, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		within.Add(1)
		handler.ServeHTTP(w, r)
		within.Add(-1)
		left <- time.Since(begun)
	}))
	defer server.Close()
	const head = "POST / HTTP/1.1\r\nHost: a\r\nX-Connect-Signature: 00\r\n"
	for name, c := range map[string]struct {
		request, status string
	}{
		"a body that does not come":       {head + "Content-Length: 100\r\n\r\n{", "408"},
		"a chunk that does not come":      {head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\"", "408"},
		"a body that drips":               {head + "Content-Length: 100\r\n\r\n{", "408"},
		"a chunk without a size":          {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
		"a chunk of excessive size":       {head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n", "400"},
		"a body of excessive length":      {head + "Content-Length: 99999999999\r\n\r\n{", "413"},
		"a large body that does not come": {head + "Content-Length: 100000\r\n\r\n{", "413"},
		"a PUT whose body does not come":  {strings.Replace(head, "POST", "PUT", 1) + "Content-Length: 100\r\n\r\n{", "405"},
		"a PUT whose chunk does not come": {strings.Replace(head, "POST", "PUT", 1) + "Transfer-Encoding: chunked\r\n\r\n5\r\n{", "405"},
		"a body that is waited for":       {head + "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n", "100"},
		// Since Go 1.27 net/http answers 431 itself.
		"many headers":                  {head + strings.Repeat("X-A: b\r\n", 5000) + "Content-Length: 2\r\n\r\n{}", "401 431"},
		"two signatures":                {head + "X-Connect-Signature: 00\r\nContent-Length: 2\r\n\r\n{}", "401"},
		"a signature of excessive size": {head + "X-Connect-Signature: " + strings.Repeat("00", 100000) + "\r\nContent-Length: 2\r\n\r\n{}", "401"},
		"an unknown method":             {strings.Replace(head, "POST", "BREW", 1) + "\r\n", "405"},
	} {
		t.Run(name, func(t *testing.T) {
			connection, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer connection.Close()
			require.NoError(t, connection.SetReadDeadline(time.Now().Add(10*time.Second)))
			_, err = io.WriteString(connection, c.request)
			require.NoError(t, err)
			if name == "a body that drips" {
				go func() {
					for err := error(nil); err == nil; time.Sleep(100 * time.Millisecond) {
						_, err = io.WriteString(connection, " ")
					}
				}()
			}
			answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
			require.NoError(t, err)
			defer answer.Body.Close()
			assert.Contains(t, c.status, answer.Status[:3])
			if answer.StatusCode == http.StatusRequestHeaderFieldsTooLarge {
				return // the handler never saw it
			}
			select {
			case duration := <-left:
				assert.Less(t, duration, 4*time.Second)
			case <-time.After(10 * time.Second):
				t.Fatal("the handler has not returned")
			}
		})
	}
	assert.Zero(t, within.Load())
}

func TestAnHTTP2BodyThatNeverArrivesTimesOut(t *testing.T) {
	server := httptest.NewUnstartedServer(newHandler(t, webhook.NewMemoryInbox()))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for method, status := range map[string]int{http.MethodPost: 408, http.MethodPut: 405} {
		body, never := io.Pipe()
		defer never.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, server.URL, body)
		require.NoError(t, err)
		answer, err := server.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, "HTTP/2.0", answer.Proto)
		assert.Equal(t, status, answer.StatusCode)
	}
}

// FuzzHandler feeds any request: the handler answers with a documented status, and with 200 only if
// the request is signed.
func FuzzHandler(f *testing.F) {
	for _, body := range []string{paid, refunded, completed, failed, returned, `{}`, `{"eventType":"A","data":{}}`, "<html>", ""} {
		f.Add("POST", body, "", true)
		f.Add("POST", body, sign(body), false)
		f.Add("PUT", body, "", true)
	}
	f.Fuzz(func(t *testing.T, method, body, signature string, right bool) {
		r, err := http.NewRequest(method, "/", strings.NewReader(body))
		if err != nil {
			return
		}
		if right {
			signature = sign(body)
		}
		r.Header.Set("X-Connect-Signature", signature)
		inbox := webhook.NewMemoryInbox()
		handler := newHandler(t, inbox)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		claim, err := one(inbox.Claim(t.Context(), time.Minute, 1))
		require.NoError(t, err)
		kept := len(inbox.Held())
		if claim != nil {
			kept++
		}
		switch w.Code {
		case 200:
			assert.True(t, strings.EqualFold(signature, sign(body)))
			assert.Equal(t, 1, kept)
		case 401, 405, 413:
			assert.Zero(t, kept)
		default:
			t.Errorf("status %d", w.Code)
		}
	})
}
