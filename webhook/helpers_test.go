package webhook_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

const cryptoToken = "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11"

var secret = auth.NewSecret(cryptoToken)

func sign(body string) string { return hex.EncodeToString(signing.Sum(cryptoToken, []byte(body))) }

func signed(body string) http.Header { return http.Header{"X-Connect-Signature": {sign(body)}} }

// parse reads a body with a valid signature.
func parse(body string) (*webhook.Event, error) {
	return webhook.Parse([]byte(body), signed(body), secret)
}

// published returns the body of the published example.
func published(t testing.TB) string {
	t.Helper()
	files, err := filepath.Glob("../openapi/examples/webhook_*.json")
	require.NoError(t, err)
	require.Len(t, files, 1)
	body, err := os.ReadFile(files[0])
	require.NoError(t, err)
	return string(body)
}

func pack(text string) string {
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	_, _ = io.WriteString(packer, text)
	_ = packer.Close()
	return packed.String()
}

// deliver posts a body with a valid signature and returns the status of the response.
func deliver(handler http.Handler, body string) int {
	return post(handler, body, sign(body)).Code
}

func post(handler http.Handler, body string, signatures ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/webhooks/connectpsp", strings.NewReader(body))
	for _, signature := range signatures {
		r.Header.Add("X-Connect-Signature", signature)
	}
	r.Header.Set("X-Event-Id", "6f0c1c0e-58a3-4a7b-8f43-3c1a5f5e0b11")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// one returns the item of a claim of one, nil if none was due.
func one(claims []*webhook.Claim, err error) (*webhook.Claim, error) {
	if len(claims) == 0 {
		return nil, err
	}
	return claims[0], err
}

func newHandler(t testing.TB, inbox webhook.Inbox, secrets ...auth.Secret) *webhook.Handler {
	handler, err := webhook.NewHandler(inbox, append(secrets, secret)...)
	require.NoError(t, err)
	return handler
}

// brokenInbox is an inbox whose Put fails, takes until its context ends (slow) or longer (deaf), or
// panics.
type brokenInbox struct {
	webhook.Inbox
	slow, deaf, panics bool
}

func (b brokenInbox) Put(ctx context.Context, _ webhook.Item) (*webhook.Digest, error) {
	if b.deaf {
		time.Sleep(10 * time.Second)
		return nil, nil
	}
	if b.panics {
		panic("a bug")
	}
	if b.slow {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errDown
}

var errDown = errors.New("the database is down")

// books holds the transitions that the user's function was called with.
type books struct {
	mu          sync.Mutex
	transitions []webhook.Transition
	fail        error // of the function
	origins     bool  // String tells returns whose origin is unclear
}

func (b *books) apply(_ context.Context, t webhook.Transition) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.transitions = append(b.transitions, t)
	return nil
}

func (b *books) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text []string
	for _, t := range b.transitions {
		step := fmt.Sprintf("%s>%s", t.From, t.To)
		for _, mark := range []struct {
			name string
			set  bool
		}{
			{" missed", t.MissedPayment}, {" late", t.LatePayment}, {" contradiction", t.Contradiction},
			{" unrequested", t.Unrequested}, {" unclear", t.ReturnUnclear && b.origins},
		} {
			if mark.set {
				step += mark.name
			}
		}
		text = append(text, step)
	}
	return strings.Join(text, ", ")
}

// receiver is all that a user of webhooks runs, over a fake gateway.
type receiver struct {
	*webhook.Handler
	worker *webhook.Worker
	inbox  *webhook.MemoryInbox
	bank   *bank
	books  *books
	log    *bytes.Buffer
}

// work processes all items that are due, and fails if they do not come to an end.
func (r *receiver) work(t testing.TB) {
	t.Helper()
	for range 10_000 {
		worked, err := r.worker.Work(t.Context())
		require.NoError(t, err)
		if !worked {
			return
		}
	}
	require.FailNow(t, "the same is due again and again")
}

// receive delivers bodies and processes each before the next.
func (r *receiver) receive(t testing.TB, bodies ...string) {
	for _, body := range bodies {
		require.Equal(t, 200, deliver(r, body))
		r.work(t)
	}
}

// pass lets time pass and processes the items that come due.
func (r *receiver) pass(t testing.TB, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(10 * time.Second)
		r.work(t)
	}
}

// reasons returns why items are held, sorted.
func (r *receiver) reasons() (reasons []string) {
	for _, item := range r.inbox.Held() {
		reasons = append(reasons, item.Held)
	}
	slices.Sort(reasons)
	return reasons
}

func newReceiver(t testing.TB, options ...webhook.WorkerOption) *receiver {
	return newReceiverOn(t, webhook.NewMemoryInbox(), options...)
}

func newReceiverOn(t testing.TB, inbox *webhook.MemoryInbox, options ...webhook.WorkerOption) *receiver {
	r := &receiver{inbox: inbox, bank: newBank(t), books: &books{}, log: &bytes.Buffer{}}
	r.Handler = newHandler(t, r.inbox)
	logged := webhook.WithLogger(slog.New(slog.NewTextHandler(r.log, nil)))
	r.worker = webhook.NewWorker(r.inbox, r.bank.client(t), r.books.apply, append(options, logged)...)
	return r
}

// soon receives from a channel, and fails the test if nothing comes within half a minute.
func soon[T any](t testing.TB, from <-chan T) (received T) {
	t.Helper()
	select {
	case received = <-from:
	case <-time.After(30 * time.Second):
		require.FailNow(t, "nothing came")
	}
	return received
}

// run runs a worker in goroutines until stop is called.
func run(t testing.TB, worker *webhook.Worker, goroutines int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() { assert.ErrorIs(t, worker.Run(ctx), context.Canceled) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}
