package connectpsp_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
)

// notebook is a journal in memory that outlives the clients that use it. It records the calls to
// it, and fails if fail has an error for the call or if its context has ended.
type notebook struct {
	mu      sync.Mutex
	intents map[string]connectpsp.Intent
	steps   []string
	fail    map[string]error // by step
}

func newNotebook() *notebook {
	return &notebook{intents: map[string]connectpsp.Intent{}, fail: map[string]error{}}
}

var (
	errDiskFull = errors.New("no space left on device")
	errAccepted = errors.New("it was accepted")
)

func (n *notebook) note(step string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.steps = append(n.steps, step)
}

func (n *notebook) Begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	n.note("begin")
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if earlier := earlierOf(n.intents, intent); earlier != nil {
		return earlier, n.fail["begin"]
	}
	if err := n.fail["begin"]; err != nil {
		return nil, err
	}
	n.intents[intent.IdempotencyKey] = intent
	return nil, nil
}

func (n *notebook) Find(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return earlierOf(n.intents, intent), n.fail["find"]
}

// earlierOf returns the intent that Begin of a journal returns, of those that it holds by key.
func earlierOf(intents map[string]connectpsp.Intent, intent connectpsp.Intent) *connectpsp.Intent {
	known := func(i connectpsp.Intent) bool { return !i.SentAt.IsZero() && i.Outcome != connectpsp.OutcomeRejected }
	for _, earlier := range intents {
		if known(earlier) && earlier.Payment() == intent.Payment() {
			return &earlier
		}
	}
	if earlier := intents[intent.IdempotencyKey]; known(earlier) {
		return &earlier
	}
	return nil
}

// endedOf returns the intents that Ended of a journal returns, of those that it holds by key.
func endedOf(intents map[string]connectpsp.Intent) (ended []connectpsp.Intent) {
	for _, intent := range intents {
		begunAnew := func(other connectpsp.Intent) bool {
			return other.Payment() == intent.Payment() && other.BegunAt.After(intent.BegunAt)
		}
		superseded := intent.Outcome == connectpsp.OutcomeRejected && slices.ContainsFunc(slices.Collect(maps.Values(intents)), begunAnew)
		if intent.Outcome != "" && !superseded {
			ended = append(ended, intent)
		}
	}
	slices.SortFunc(ended, func(a, b connectpsp.Intent) int {
		return cmp.Or(a.EndedAt.Compare(b.EndedAt), strings.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	return ended
}

// end returns the intent as Finish of a journal leaves it.
func end(intent connectpsp.Intent, outcome connectpsp.Outcome, transactionID string) connectpsp.Intent {
	intent.Outcome, intent.TransactionID, intent.Body = outcome, cmp.Or(transactionID, intent.TransactionID), nil
	intent.EndedAt = time.Now()
	return intent
}

func (n *notebook) Ended(context.Context) ([]connectpsp.Intent, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return endedOf(n.intents), n.fail["ended"]
}

func (n *notebook) Sent(_ context.Context, key string, at time.Time) error {
	n.note("sent")
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.fail["sent"]; err != nil {
		return err
	}
	intent := n.intents[key]
	if intent.SentAt.IsZero() {
		intent.SentAt = at
	}
	n.intents[key] = intent
	return nil
}

func (n *notebook) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	n.note(string(outcome))
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.fail[string(outcome)]; err != nil {
		return err
	}
	intent, found := n.intents[key]
	switch {
	case !found:
	case intent.Outcome == connectpsp.OutcomeAccepted && outcome == connectpsp.OutcomeRejected:
		return errAccepted
	case intent.Outcome == "":
		n.intents[key] = end(intent, outcome, transactionID)
	}
	return nil
}

func (n *notebook) Pending(context.Context) ([]connectpsp.Intent, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var pending []connectpsp.Intent
	for _, intent := range n.intents {
		if intent.Outcome == "" {
			pending = append(pending, intent)
		}
	}
	slices.SortFunc(pending, func(a, b connectpsp.Intent) int { return a.BegunAt.Compare(b.BegunAt) })
	return pending, n.fail["pending"]
}

// open returns the intents that were sent and have no outcome.
func (n *notebook) open() []connectpsp.Intent {
	pending, _ := n.Pending(context.Background())
	return slices.DeleteFunc(pending, func(intent connectpsp.Intent) bool { return intent.SentAt.IsZero() })
}

// put writes an intent as an earlier process would have.
func (n *notebook) put(intent connectpsp.Intent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.intents[intent.IdempotencyKey] = intent
}

// left returns the open intent of a process that died after it sent a cash-out.
func left(age time.Duration) connectpsp.Intent {
	at := time.Now().Add(-age)
	return connectpsp.Intent{
		Operation: "createCashOut", IdempotencyKey: "5f0f1d2c-0000-4000-8000-000000000001", ExternalReference: "withdrawal-42",
		Amount: pix.Centavos(5000), Body: []byte(`{"amount":50.00,"externalReference":"withdrawal-42","payee":{"name":"Maria Silva",` +
			`"document":"12345678909","destination":{"type":"PIX","pixKeyType":"CPF","pixKey":"12345678909"}}}`),
		ClientID: clientID, BaseURL: memoryURL, BegunAt: at, SentAt: at,
	}
}

func with(change func(*connectpsp.Intent)) connectpsp.Intent {
	intent := left(time.Minute)
	change(&intent)
	return intent
}

// brokenBegin is a journal whose Begin always fails.
type brokenBegin struct{ *notebook }

func (brokenBegin) Begin(context.Context, connectpsp.Intent) (*connectpsp.Intent, error) {
	return nil, errDiskFull
}

type hangingFind struct{ *notebook }

func (hangingFind) Find(ctx context.Context, _ connectpsp.Intent) (*connectpsp.Intent, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// journals are the options for a client without a journal, and with one in a file.
var journals = map[string]func(*testing.T) []connectpsp.Option{
	"in memory": func(*testing.T) []connectpsp.Option { return nil },
	"in a file": func(t *testing.T) []connectpsp.Option {
		file := must(journal.Open(filepath.Join(t.TempDir(), "p.journal")))
		t.Cleanup(func() { assert.NoError(t, file.Close()) })
		return []connectpsp.Option{connectpsp.WithJournal(file)}
	},
}
