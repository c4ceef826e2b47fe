package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/url"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// Event is one event as Parse read it. The package keeps no reference to it.
//
// It holds personal data: names, documents and bank accounts are in CashIn, CashOut and Raw. JSON
// encoding writes them; fmt and log/slog do not, see String and LogValue.
type Event struct {
	// Type is the kind of the event. It may be one that the SDK does not know.
	Type EventType

	// At is when it happened, in UTC. It is zero if the gateway sent no readable time.
	At time.Time

	// DeliveryID is the X-Event-Id header: a UUID of this attempt to deliver, for talking to
	// support. It is not signed, changes when the same event is sent again, and is empty if the
	// header was missing.
	DeliveryID string

	// CashIn is the charge as GetCashIn would return it. It is not nil for CashInPaid and
	// CashInRefunded, and then has a TransactionID. For other types that begin with CASHIN_ it is
	// nil if the data could not be read.
	//
	// Fields that were absent, null or unreadable are zero. Where the Amount is zero, read the
	// transaction before you give anything out; a Worker does so on its own if the amount was
	// stated and is no whole number of centavos.
	CashIn *connectpsp.CashIn

	// CashOut is the payment as GetCashOut would return it. It is not nil for CashOutCompleted,
	// CashOutFailed and CashOutRefunded, and otherwise follows the rules of CashIn, for types that
	// begin with CASHOUT_.
	CashOut *connectpsp.CashOut

	// Raw is the whole body as JSON in UTF-8, with the members that the SDK has no field for. It
	// has the bytes that were received, unless they were packed, began with a byte order mark or
	// were not UTF-8.
	Raw json.RawMessage

	amountUnreadable bool // it is stated, and no amount of money
}

// Key returns the identity of the event: its type, transaction id and end-to-end id, the same for
// every delivery of it, and for no other event. The end-to-end id is part of it because a payment
// may be returned in parts, each with an id of its own. If an unknown type has no transactionId,
// the SHA-256 of the body stands for both ids.
//
// Use it as a unique key and nothing else: its form is readable but not meant to be taken apart. It
// is ASCII and its length is bounded by that of the body only. It distinguishes capitals, except in
// a transaction id that is a UUID: that is the same in capitals and in small letters. X-Event-Id
// has no part in it.
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
		// An id that is not a string stays empty, which says all there is to know of the error.
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

// endToEndID returns the id of the movement that the event is about. Data may be rendered anew when
// a payment's event is sent again, and holds the refund's id by then.
func (e *Event) endToEndID(current, original string) string {
	if original != "" && (e.Type == CashInPaid || e.Type == CashOutCompleted) {
		return original
	}
	return current
}

// String returns the type and the key. Package fmt prints it under every verb: no personal data.
func (e Event) String() string { return string(e.Type) + " " + e.Key() }

// LogValue logs the type, the time, the delivery id and the key, and none of the personal data.
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

// The types that are published.
const (
	// CashInPaid: the banking network confirmed the payment.
	CashInPaid EventType = "CASHIN_PAID"
	// CashInRefunded: the money is back with the payer. EndToEndID is the refund's,
	// OriginalEndToEndID the payment's.
	CashInRefunded EventType = "CASHIN_REFUNDED"
	// CashOutCompleted: the payment settled.
	CashOutCompleted EventType = "CASHOUT_COMPLETED"
	// CashOutFailed: the payment failed; Failure says why and EndToEndID is empty.
	CashOutFailed EventType = "CASHOUT_FAILED"
	// CashOutRefunded: a payment that had completed came back. EndToEndID is the return's,
	// OriginalEndToEndID the payment's.
	CashOutRefunded EventType = "CASHOUT_REFUNDED"
)

// published lists the types that are published.
var published = [...]EventType{CashInPaid, CashInRefunded, CashOutCompleted, CashOutFailed, CashOutRefunded}

// transactionKey names the transaction that the event is about, empty if that cannot be seen.
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
