// Package api lists the operations of the ConnectPSP API, for the client, the sandbox and the
// tests.
package api

// Operation describes one operation. A test compares it with the description.
type Operation struct {
	ID     string // operationId
	Method string
	Path   string // path template

	Public bool // needs neither token nor ApplicationToken
	Signed bool // carries a DigitalSignature
	Keyed  bool // takes an X-Idempotency-Key

	// Money is true if the operation moves money or promises to: its outcome is accepted, rejected
	// or unknown. A call may send such an operation again: it has a key or, like rebalanceAccount,
	// sets a state, so that sending it twice ends in the same state.
	Money bool
}

// The operations of the API.
var (
	AuthToken        = Operation{ID: "authToken", Method: "POST", Path: "/auth/token", Public: true}
	CreateCashIn     = Operation{ID: "createCashIn", Method: "POST", Path: "/cash-in", Keyed: true, Money: true}
	GetCashIn        = Operation{ID: "getCashIn", Method: "GET", Path: "/cash-in/{id}"}
	RefundCashIn     = Operation{ID: "refundCashIn", Method: "POST", Path: "/cash-in/{id}/refund", Signed: true, Keyed: true, Money: true}
	CreateCashOut    = Operation{ID: "createCashOut", Method: "POST", Path: "/cash-out", Signed: true, Keyed: true, Money: true}
	GetCashOut       = Operation{ID: "getCashOut", Method: "GET", Path: "/cash-out/{id}"}
	GetBalance       = Operation{ID: "getBalance", Method: "GET", Path: "/account/balance"}
	RebalanceAccount = Operation{ID: "rebalanceAccount", Method: "POST", Path: "/account/rebalance", Signed: true, Money: true}
)

// Operations lists all operations. It is never modified.
var Operations = []Operation{
	AuthToken, CreateCashIn, GetCashIn, RefundCashIn, CreateCashOut, GetCashOut, GetBalance, RebalanceAccount,
}

// Find returns the operation with an operationId. It reports false if there is none.
func Find(id string) (Operation, bool) {
	for _, operation := range Operations {
		if operation.ID == id {
			return operation, true
		}
	}
	return Operation{}, false
}
