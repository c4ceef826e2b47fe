package webhook

import (
	"net/url"
	"regexp"
	"strings"
)

// Kind is the kind of a transaction.
type Kind string

const (
	// KindCashIn is a charge.
	KindCashIn Kind = "CASHIN"
	// KindCashOut is a payment.
	KindCashOut Kind = "CASHOUT"
)

// Status is the status of a transaction, in the gateway's words but for [StatusPaidByOther] and
// [StatusPaidByUnknown].
type Status string

// The published statuses: those of a charge are AWAITING_PAYMENT, EXPIRED, CANCELLED, PAID and
// REFUNDED, those of a payment PROCESSING, FAILED, CANCELLED, COMPLETED and REFUNDED.
const (
	StatusAwaitingPayment Status = "AWAITING_PAYMENT"
	StatusProcessing      Status = "PROCESSING"
	StatusExpired         Status = "EXPIRED"
	StatusCancelled       Status = "CANCELLED"
	StatusFailed          Status = "FAILED"
	StatusPaid            Status = "PAID"
	StatusCompleted       Status = "COMPLETED"
	StatusRefunded        Status = "REFUNDED"
)

// The statuses of [WithPayerCheck], in place of PAID. The money is on your account, and it is not
// the holder's deposit: do not credit it.
const (
	// StatusPaidByOther says that the charge was paid by another person, or from an account that is
	// not registered. Return the money with [connectpsp.Client.RefundCashIn], unless
	// [WithPayerRefund] does.
	StatusPaidByOther Status = "PAID_BY_OTHER"
	// StatusPaidByUnknown says that the charge was paid, and that document and account do not show
	// by whom. A person decides: credit it or return it.
	StatusPaidByUnknown Status = "PAID_BY_UNKNOWN"
)

// reported returns a status as the gateway reports it. It has no word for the statuses of
// [WithPayerCheck].
func reported(status string) Status {
	if s := Status(status); s != StatusPaidByOther && s != StatusPaidByUnknown {
		return s
	}
	return ""
}

// ranks order the statuses of a kind. A transaction is a state machine that only moves up, so an
// event that is out of order, repeated or replayed after years changes nothing.
var ranks = map[Kind]map[Status]int{
	KindCashIn: {
		StatusAwaitingPayment: 1,
		StatusExpired:         2, StatusCancelled: 2,
		StatusPaid: 3, StatusPaidByOther: 3, StatusPaidByUnknown: 3,
		StatusRefunded: 4,
	},
	KindCashOut: {
		StatusProcessing: 1,
		StatusFailed:     2, StatusCancelled: 2,
		StatusCompleted: 3,
		StatusRefunded:  4,
	},
}

// rank returns the rank of a status, zero for an unknown one.
func (k Kind) rank(status Status) int { return ranks[k][status] }

// made reports whether a status implies that the payment was made. It may have been returned since.
func (k Kind) made(status Status) bool {
	return k.rank(status) >= ranks[KindCashIn][StatusPaid] // the same rank as COMPLETED of a cash-out
}

// contradict reports whether one of two statuses implies that a cash-out was made and the other
// that it failed. After a failure the user may have paid again.
func (k Kind) contradict(one, other Status) bool {
	return k == KindCashOut && (k.failed(one) && k.made(other) || k.failed(other) && k.made(one))
}

func (k Kind) failed(status Status) bool { return status == StatusFailed || status == StatusCancelled }

// statusOf returns the kind and the status that an event type implies, empty for an unknown type.
func statusOf(t EventType) (Kind, Status) {
	switch t {
	case CashInPaid:
		return KindCashIn, StatusPaid
	case CashInRefunded:
		return KindCashIn, StatusRefunded
	case CashOutCompleted:
		return KindCashOut, StatusCompleted
	case CashOutFailed:
		return KindCashOut, StatusFailed
	case CashOutRefunded:
		return KindCashOut, StatusRefunded
	default:
		return "", ""
	}
}

// transactionKey returns the key of a transaction: its kind and its id.
func transactionKey(kind Kind, id string) string {
	return string(kind) + "/" + url.PathEscape(canonicalID(id))
}

var uuidForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// canonicalID returns a UUID in lower case. All other ids are case-sensitive and stay as they are.
func canonicalID(id string) string {
	if uuidForm.MatchString(id) {
		return strings.ToLower(id)
	}
	return id
}

func splitTransactionKey(key string) (kind Kind, id string, ok bool) {
	prefix, escaped, found := strings.Cut(key, "/")
	id, err := url.PathUnescape(escaped)
	return Kind(prefix), id, found && err == nil && id != ""
}
