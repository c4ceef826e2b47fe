package connectpsp

import (
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/internal/api"
)

// keyFor returns the idempotency key that a call carries in all of its attempts, empty if the
// operation takes none or the options are at fault. The default key is derived from the payment's
// reference, the charge for a refund, so that a process that dies and starts again repeats it.
func (c *Client) keyFor(op api.Operation, reference string, settings callSettings, faults *faults) string {
	if !op.Keyed {
		if settings.attemptSet {
			faults.add("WithAttempt", op.ID+" takes no idempotency key")
		}
		if settings.keySet {
			faults.add("WithIdempotencyKey", op.ID+" takes no idempotency key")
		}
		return ""
	}
	switch {
	case settings.attemptSet && settings.keySet:
		faults.add("WithAttempt", "has no effect together with WithIdempotencyKey")
		return ""
	case settings.attempt < 0:
		faults.add("WithAttempt", "must not be negative")
		return ""
	case !settings.keySet:
		return idempotency.DeriveKey(c.clientID, op.ID, reference, settings.attempt)
	}
	key, err := idempotency.ParseKey(settings.key)
	if err != nil {
		faults.add("WithIdempotencyKey", "must be a UUID in its usual form of 36 characters, neither all zeros nor all ones")
	}
	return key
}
