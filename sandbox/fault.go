package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is a failure between client and gateway, or of a webhook, see [Sandbox.FailNext]. The zero
// value is no fault: the request is served as usual. [Status] and [StatusAfterExecution] make
// further ones.
type Fault int

// The faults of requests.
const (
	// LoseRequest cuts the connection before the request is executed.
	LoseRequest Fault = iota + 1
	// LoseAnswer executes the request and cuts the connection without a response.
	LoseAnswer
	// CutAnswer executes the request, sends the header with the full Content-Length and the first
	// half of the body, and cuts the connection.
	CutAnswer
	// Unavailable responds 503 with an HTML page, as a proxy in front of the gateway does, and
	// executes nothing.
	Unavailable
	// UnavailableAfterExecution executes the request and responds like [Unavailable].
	UnavailableAfterExecution
	// Hang executes nothing and never responds: the connection stays open until the client gives
	// up.
	Hang
	// HangAfterExecution executes the request and then hangs like [Hang].
	HangAfterExecution
	// BrokenJSON executes the request and responds with the first half of the body, as if that
	// were all.
	BrokenJSON
	// OtherAnswer executes the request and responds with the ids and the reference of another
	// transaction.
	OtherAnswer
	// TooManyRequests responds 429 with a problem and a Retry-After of one second, and executes
	// nothing. [Sandbox.SetRateLimit] limits all requests.
	TooManyRequests
)

// The faults of webhooks.
const (
	// LoseWebhook never sends the webhook. [Sandbox.Redeliver] still does.
	LoseWebhook Fault = iota + 101
	// HoldWebhook holds the webhook back until [Sandbox.ReleaseWebhooks]. [Sandbox.WaitWebhooks]
	// does not wait for it.
	HoldWebhook
	// DoubleWebhook sends the webhook twice.
	DoubleWebhook
	// PreviousSignature signs the webhook with the CryptoToken before the last
	// [Sandbox.RotateCryptoToken]. Before the first rotation that is a secret that no receiver has.
	PreviousSignature
)

const (
	afterExecution = 1000 // is added to a status by StatusAfterExecution
	invalidFault   = Fault(-1)
)

// Status returns the fault that responds with a status from 200 to 999 and an HTML page, as a proxy
// in front of the gateway does, and executes nothing. Status(200) is the page of a captive portal.
// A status from 300 to 399 has a Location. [Sandbox.FailNext] refuses the fault of any other
// status.
func Status(code int) Fault {
	if code < 200 || code > 999 {
		return invalidFault
	}
	return Fault(code)
}

// StatusAfterExecution returns the fault that executes the request and responds like [Status].
func StatusAfterExecution(code int) Fault {
	if fault := Status(code); fault != invalidFault {
		return fault + afterExecution
	}
	return invalidFault
}

// status returns the status of the proxy's page of a fault, 0 if there is none.
func (f Fault) status() (code int, executes bool) {
	switch {
	case f == Unavailable, f == UnavailableAfterExecution:
		return 503, f == UnavailableAfterExecution
	case f >= 200 && f <= 999:
		return int(f), false
	case f >= 200+afterExecution && f <= 999+afterExecution:
		return int(f - afterExecution), true
	}
	return 0, false
}

func (f Fault) ofRequests() bool {
	code, _ := f.status()
	return f >= 0 && f <= TooManyRequests || code != 0
}

func (f Fault) ofWebhooks() bool { return f == 0 || f >= LoseWebhook && f <= PreviousSignature }

var faultNames = map[Fault]string{
	0: "None", LoseRequest: "LoseRequest", LoseAnswer: "LoseAnswer", CutAnswer: "CutAnswer", Unavailable: "Unavailable",
	UnavailableAfterExecution: "UnavailableAfterExecution", Hang: "Hang", HangAfterExecution: "HangAfterExecution",
	BrokenJSON: "BrokenJSON", OtherAnswer: "OtherAnswer", TooManyRequests: "TooManyRequests",
	LoseWebhook: "LoseWebhook", HoldWebhook: "HoldWebhook", DoubleWebhook: "DoubleWebhook", PreviousSignature: "PreviousSignature",
}

// String returns the name of the fault, such as "LoseAnswer" or "Status(502)".
func (f Fault) String() string {
	if name, named := faultNames[f]; named {
		return name
	}
	switch code, executes := f.status(); {
	case code == 0:
		return fmt.Sprintf("Fault(%d)", int(f))
	case executes:
		return fmt.Sprintf("StatusAfterExecution(%d)", code)
	default:
		return fmt.Sprintf("Status(%d)", code)
	}
}

// MarshalText returns the name of the fault.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads a name that [Fault.String] returns. The error wraps [ErrInvalid].
func (f *Fault) UnmarshalText(text []byte) error {
	for fault, name := range faultNames {
		if name == string(text) {
			*f = fault
			return nil
		}
	}
	name, argument, _ := strings.Cut(strings.TrimSuffix(string(text), ")"), "(")
	code, _ := strconv.Atoi(argument)
	fault := Status(code)
	if name == "StatusAfterExecution" {
		fault = StatusAfterExecution(code)
	}
	if fault.String() != string(text) || !fault.ofRequests() {
		return fmt.Errorf("%w: there is no fault %q", ErrInvalid, text)
	}
	*f = fault
	return nil
}

// failure is a fault that waits for its request or webhook.
type failure struct {
	Fault  Fault  `json:"fault"`
	Status int    `json:"status,omitzero"` // of the gateway's own problem, see RefuseNext
	Code   string `json:"code,omitzero"`
}

// FailNext makes the next requests of an operation fail, or the next webhooks of an event type, one
// for each fault. The faults queue up behind those of earlier calls. The operation is an
// operationId of the API's description, such as "createCashOut", or an event type, such as
// "CASHIN_PAID". Requests that would be refused, for a missing token for example, count too;
// redeliveries and webhooks without a URL do not.
//
// The error wraps [ErrInvalid] if there is no such operation, or a fault does not apply to it.
//
// After a cut connection the [http.Transport] may send a request again by itself, unseen by its
// caller: a GET, or a POST that has an idempotency key and a GetBody. The sandbox counts that as
// another request.
func (s *Sandbox) FailNext(operation string, faults ...Fault) error {
	if err := checkFault(operation, faults...); err != nil {
		return err
	}
	failures := make([]failure, len(faults))
	for i, fault := range faults {
		failures[i] = failure{Fault: fault}
	}
	s.queueFailures(operation, failures...)
	return nil
}

func (s *Sandbox) queueFailures(operation string, failures ...failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[operation] = append(s.failures[operation], failures...)
}

// checkFault returns an error that wraps ErrInvalid unless faults apply to an operation or an event
// type.
func checkFault(operation string, faults ...Fault) error {
	applies := Fault.ofRequests
	if slices.Contains(eventTypes, operation) {
		applies = Fault.ofWebhooks
	} else if !isOperation(operation) {
		return fmt.Errorf("%w: there is no operation or event type %q", ErrInvalid, operation)
	}
	for _, fault := range faults {
		if !applies(fault) {
			return fmt.Errorf("%w: %v is no fault of %s", ErrInvalid, fault, operation)
		}
	}
	return nil
}

func isOperation(id string) bool {
	return slices.ContainsFunc(operations, func(op operation) bool { return op.ID == id })
}

// nextFailureLocked returns what befalls the next request of an operation or the next webhook of an
// event type: the first failure of its queue, which it removes, or a recurring fault.
func (s *Sandbox) nextFailureLocked(operation string) failure {
	recurring := s.nextRecurrenceLocked(operation)
	queue := s.failures[operation]
	if len(queue) == 0 {
		return failure{Fault: recurring}
	}
	s.failures[operation] = queue[1:]
	return queue[0]
}
