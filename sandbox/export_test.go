package sandbox

import (
	"time"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// MaxAttempts is how often a webhook is sent at most.
const MaxAttempts = maxAttempts

// Operations returns what the sandbox knows about its operations.
func Operations() []contract.Operation {
	known := make([]contract.Operation, len(operations))
	for i, o := range operations {
		known[i] = contract.Operation{
			ID: o.id, Method: o.method, Path: o.path, Public: o.public, Signed: o.signed, Keyed: o.keyed,
		}
	}
	return known
}

// SetAnswerTimeout shortens the wait for receivers. It must come before the first webhook.
func (s *Sandbox) SetAnswerTimeout(timeout time.Duration) { s.courier.client.Timeout = timeout }

// DialWebhooks tries to reach an address the way webhooks do.
func (s *Sandbox) DialWebhooks(url string) error {
	_, err := s.courier.post(&event{url: url}, "")
	return err
}
