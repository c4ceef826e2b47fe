package webhook

import "time"

// Delivery is the activity of a [Handler] that receives one request, for a [connectpsp.Observer].
type Delivery struct {
	// Result is empty at Begin.
	Result DeliveryResult
	// Status is the status of the response.
	Status int
	// Type is the type of the event if it is a published one, "OTHER" if it is not, and empty if
	// there was none.
	Type EventType
	// Duration is the time since Begin.
	Duration time.Duration

	// TransactionID and DeliveryID identify the transaction and the delivery. They are ids: leave
	// them out of metrics. DeliveryID is not signed, and may be any printable text.
	TransactionID, DeliveryID string
}

// DeliveryResult is the result of a [Delivery]. Each has a count of its own in [Counts], which says
// more.
type DeliveryResult string

// The results.
const (
	DeliveryStored           DeliveryResult = "stored"
	DeliveryDuplicate        DeliveryResult = "duplicate"
	DeliveryConflicting      DeliveryResult = "conflicting"
	DeliveryQuarantined      DeliveryResult = "quarantined"
	DeliveryInvalidSignature DeliveryResult = "invalid_signature"
	DeliveryWrongMethod      DeliveryResult = "wrong_method"
	DeliveryTooSlow          DeliveryResult = "too_slow"
	DeliveryTooLarge         DeliveryResult = "too_large"
	DeliveryBroken           DeliveryResult = "broken"
	DeliveryUnavailable      DeliveryResult = "unavailable"
)

// Processing is the activity of a [Worker] that works on one item of the [Inbox], for a
// [connectpsp.Observer]. Your function gets its context.
type Processing struct {
	// Kind is empty if the item is about no known transaction.
	Kind Kind
	// Attempt counts the claims of the item, this one included.
	Attempt int
	// Lag is the time from the delivery of the event to Begin, zero for a read at a set time.
	Lag time.Duration

	// Result is empty at Begin.
	Result ProcessingResult
	// From and To are those of the [Transition], empty if the item caused none.
	From, To Status
	// MissedPayment, LatePayment and Contradiction are those of the Transition.
	MissedPayment, LatePayment, Contradiction bool
	// Alarm is true if the item is held because the CryptoToken may have leaked.
	Alarm bool
	// Panicked is true if your function panicked.
	Panicked bool
	// Duration is the time since Begin.
	Duration time.Duration

	// TransactionID and ExternalReference identify the transaction. They are ids: leave them out of
	// metrics.
	TransactionID, ExternalReference string
}

// ProcessingResult is the result of a [Processing].
type ProcessingResult string

const (
	// ProcessingApplied says that your function returned nil, and the step is stored.
	ProcessingApplied ProcessingResult = "applied"
	// ProcessingStale says that the item had nothing new.
	ProcessingStale ProcessingResult = "stale"
	// ProcessingWatched says that the transaction was read, has not ended, and is read again later.
	ProcessingWatched ProcessingResult = "watched"
	// ProcessingRetried says that the item failed and is retried later.
	ProcessingRetried ProcessingResult = "retried"
	// ProcessingDeferred says that another item of the transaction or the gateway kept this one
	// waiting, and it is tried again soon.
	ProcessingDeferred ProcessingResult = "deferred"
	// ProcessingHeld says that the item is held for manual review.
	ProcessingHeld ProcessingResult = "held"
	// ProcessingLost says that the inbox failed, or that another Worker has the item by now.
	ProcessingLost ProcessingResult = "lost"
)
