package connectpsp_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// notebook is a journal in memory that outlives the clients that use it, tells what was asked of it, and fails when told to.
type notebook struct {
	mu      sync.Mutex
	intents map[string]connectpsp.Intent
	steps   []string
	fail    map[string]error // by step
}

func newNotebook() *notebook {
	return &notebook{intents: map[string]connectpsp.Intent{}, fail: map[string]error{}}
}

var errDiskFull = errors.New("no space left on device")

func (n *notebook) note(step string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.steps = append(n.steps, step)
}

func (n *notebook) Begin(_ context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	n.note("begin")
	n.mu.Lock()
	defer n.mu.Unlock()
	if earlier, found := n.intents[intent.IdempotencyKey]; found && !earlier.SentAt.IsZero() {
		return &earlier, n.fail["begin"]
	}
	if err := n.fail["begin"]; err != nil {
		return nil, err
	}
	n.intents[intent.IdempotencyKey] = intent
	return nil, nil
}

func (n *notebook) Find(_ context.Context, key string) (*connectpsp.Intent, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if intent, found := n.intents[key]; found && !intent.SentAt.IsZero() {
		return &intent, n.fail["find"]
	}
	return nil, n.fail["find"]
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
	case outcome == connectpsp.OutcomeRejected:
		delete(n.intents, key)
	default:
		intent.Outcome, intent.TransactionID, intent.Body = outcome, transactionID, nil
		n.intents[key] = intent
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
