package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// Event is one event, as [Parse] decodes it. The package keeps no reference to it.
//
// An Event contains personal data: names, documents and bank accounts are in CashIn, CashOut and
// Raw. JSON encoding writes them; fmt and log/slog do not, see [Event.String] and [Event.LogValue].
type Event struct {
	// Type is the kind of the event. Types that the SDK does not know are kept as they come.
	Type EventType

	// At is the time of the event by the gateway's clock, in UTC. It is zero if the gateway sent no
	// readable time.
	At time.Time

	// DeliveryID is the X-Event-Id header: a UUID of this delivery attempt, for questions to the
	// provider's support. It is not signed, differs each time the same event is sent, and is empty
	// if the header was missing.
	DeliveryID string

	// CashIn is the charge as [connectpsp.Client.GetCashIn] would return it. It is not nil for
	// [CashInPaid] and [CashInRefunded], and then has a TransactionID. For other types that begin
	// with CASHIN_ it is nil if the data could not be read.
	//
	// Fields that were absent, null or unreadable are zero. If the Amount is zero, read the
	// transaction before you release money or goods. A [Worker] reads it by itself if the event
	// states an amount that is not a whole number of centavos.
	CashIn *connectpsp.CashIn

	// CashOut is the payment as [connectpsp.Client.GetCashOut] would return it. It is not nil for
	// [CashOutCompleted], [CashOutFailed] and [CashOutRefunded]. The rules of CashIn apply, for
	// types that begin with CASHOUT_.
	CashOut *connectpsp.CashOut

	// Raw is the whole body as JSON in UTF-8, with the members that the SDK has no field for. It
	// has the bytes that were received, unless they were compressed, began with a byte order mark
	// or were not UTF-8.
	Raw json.RawMessage

	amountUnreadable bool // the body states an amount that is not a whole number of centavos
}

// Key returns the identity of the event, by which a receiver deduplicates: type, transaction id and
// end-to-end id. Every delivery of the event has the same key, and no other event has it. The
// end-to-end id is part of the key because a payment may be returned in parts, each with an id of
// its own. If an event of an unknown type has no transactionId, the SHA-256 of the body replaces
// both ids. X-Event-Id is not part of the key.
//
// Use the key as a unique key only: its form is readable but may change. It is ASCII, and only the
// size of the body bounds its length. Keys are case-sensitive, except for a transaction id that is
// a UUID: capitals and small letters give the same key there.
func (e *Event) Key() string {
	var transactionID, endToEndID string
	switch {
	case e.CashIn != nil:
		transactionID, endToEndID = e.CashIn.TransactionID, e.endToEndID(e.CashIn.EndToEndID, e.CashIn.OriginalEndToEndID)
	case e.CashOut != nil:
		transactionID, endToEndID = e.CashOut.TransactionID, e.endToEndID(e.CashOut.EndToEndID, e.CashOut.OriginalEndToEndID)
	default:
		var body struct {
			Data struct {
				TransactionID string `json:"transactionId"`
				EndToEndID    string `json:"endToEndId"`
			} `json:"data"`
		}
		// An id that is not a string stays empty. The error has no more to say than that.
		_ = json.Unmarshal(e.Raw, &body)
		transactionID, endToEndID = body.Data.TransactionID, body.Data.EndToEndID
	}
	// PathEscape leaves no slash in a part, so no two lists of parts are joined to the same text.
	key := url.PathEscape(string(e.Type))
	if transactionID == "" {
		sum := sha256.Sum256(e.Raw)
		return key + "/sha256:" + hex.EncodeToString(sum[:])
	}
	return key + "/" + url.PathEscape(canonicalID(transactionID)) + "/" + url.PathEscape(endToEndID)
}

// endToEndID returns the end-to-end id of the movement that the event is about. The gateway may
// render data anew when it repeats the event of a payment, and data then has the id of the refund.
func (e *Event) endToEndID(current, original string) string {
	if original != "" && (e.Type == CashInPaid || e.Type == CashOutCompleted) {
		return original
	}
	return current
}

// String returns the type and the key, which are no personal data. Package fmt prints it under
// every verb.
func (e Event) String() string { return string(e.Type) + " " + e.Key() }

// LogValue logs the type, the time, the delivery id and the key, and no personal data.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("type", string(e.Type)),
		slog.Time("at", e.At),
		slog.String("delivery_id", e.DeliveryID),
		slog.String("key", e.Key()),
	)
}

// EventType is the kind of an event. Values other than the constants are kept as they come.
type EventType string

// The published types of events.
const (
	// CashInPaid: the banking network confirmed the payment.
	CashInPaid EventType = "CASHIN_PAID"
	// CashInRefunded: the money is back with the payer. EndToEndID is the refund's,
	// OriginalEndToEndID the payment's.
	CashInRefunded EventType = "CASHIN_REFUNDED"
	// CashOutCompleted: the payment completed.
	CashOutCompleted EventType = "CASHOUT_COMPLETED"
	// CashOutFailed: the payment failed; Failure says why and EndToEndID is empty.
	CashOutFailed EventType = "CASHOUT_FAILED"
	// CashOutRefunded: a payment that had completed came back. EndToEndID is the return's,
	// OriginalEndToEndID the payment's.
	CashOutRefunded EventType = "CASHOUT_REFUNDED"
)

// published lists the published types of events.
var published = [...]EventType{CashInPaid, CashInRefunded, CashOutCompleted, CashOutFailed, CashOutRefunded}

// otherType stands for a type that is not published: the types of a peer have no end.
const otherType EventType = "OTHER"

// listed returns the type if it is a published one, and otherType for any other.
func (t EventType) listed() EventType {
	if slices.Contains(published[:], t) {
		return t
	}
	return otherType
}

// transactionID returns the id of the event's transaction, empty if the event has no readable one.
func (e *Event) transactionID() string {
	switch {
	case e.CashIn != nil:
		return e.CashIn.TransactionID
	case e.CashOut != nil:
		return e.CashOut.TransactionID
	default:
		return ""
	}
}

// transactionKey returns the key of the event's transaction, empty if the event has no readable
// one.
func (e *Event) transactionKey() string {
	switch {
	case e.CashIn != nil && e.CashIn.TransactionID != "":
		return transactionKey(KindCashIn, e.CashIn.TransactionID)
	case e.CashOut != nil && e.CashOut.TransactionID != "":
		return transactionKey(KindCashOut, e.CashOut.TransactionID)
	default:
		return ""
	}
}
