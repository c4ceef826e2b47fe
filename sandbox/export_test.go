package sandbox

import "time"

// MaxAttempts is how often a webhook is sent at most.
const MaxAttempts = maxAttempts

// Operation is what the sandbox knows about an operation.
type Operation struct {
	Method, Path   string
	Public, Signed bool
}

// Operations returns those of the sandbox.
func Operations() (known []Operation) {
	for _, o := range operations {
		known = append(known, Operation{o.Method, o.Path, o.Public, o.Signed})
	}
	return known
}

// SetAnswerTimeout shortens the wait for receivers. It must come before the first webhook.
func (s *Sandbox) SetAnswerTimeout(timeout time.Duration) { s.dispatcher.client.Timeout = timeout }

// DialWebhooks tries to reach an address the way webhooks do.
func (s *Sandbox) DialWebhooks(url string) error {
	_, err := s.dispatcher.post(&event{URL: url}, nil)
	return err
}

// MaxRequests is how many requests are kept.
const MaxRequests = maxRequests
