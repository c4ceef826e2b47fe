package connectpsp

import "github.com/connectpsp/connectpsp-go/idempotency"

// keyFor returns the idempotency key that a call carries in all of its attempts, empty if the operation takes none. Where the
// request names a reference the default key is derived, so that a process that dies and starts again repeats it; a refund
// names none, so its key is random.
func (c *Client) keyFor(op operation, externalReference string, settings callSettings, faults *faults) string {
	derived := op.keyed && externalReference != ""
	if settings.attemptSet {
		switch {
		case op != createCashIn && op != createCashOut:
			faults.add("WithAttempt", op.id+" has no derived key")
		case settings.keySet:
			faults.add("WithAttempt", "has no effect together with WithIdempotencyKey")
		case settings.attempt < 0:
			faults.add("WithAttempt", "must not be negative")
		}
	}
	switch {
	case settings.keySet && !op.keyed:
		faults.add("WithIdempotencyKey", op.id+" takes no idempotency key")
		return ""
	case settings.keySet:
		key, err := idempotency.ParseKey(settings.key)
		if err != nil {
			faults.add("WithIdempotencyKey", "must be a UUID in its usual form of 36 characters, neither all zeros nor all ones")
		}
		return key
	case derived:
		return idempotency.DeriveKey(c.clientID, op.id, externalReference, settings.attempt)
	case op.keyed:
		return idempotency.NewKey()
	default:
		return ""
	}
}
