package connectpsp

// operation is one row of the truth about the API's operations. A test compares it with the
// description.
type operation struct {
	id     string // operationId of the description
	method string
	path   string // path template

	public bool // needs neither token nor ApplicationToken
	signed bool // carries a DigitalSignature
	keyed  bool // takes an X-Idempotency-Key

	// money says that the operation moves money or promises to: its outcome is accepted, rejected
	// for certain, or unknown. Every such operation may be sent again within a call: it is keyed
	// or, like rebalanceAccount, sets a state, so that doing it twice is doing it once.
	money bool
}

var (
	authToken        = operation{id: "authToken", method: "POST", path: "/auth/token", public: true}
	createCashIn     = operation{id: OperationCreateCashIn, method: "POST", path: "/cash-in", keyed: true, money: true}
	getCashIn        = operation{id: "getCashIn", method: "GET", path: "/cash-in/{id}"}
	refundCashIn     = operation{id: OperationRefundCashIn, method: "POST", path: "/cash-in/{id}/refund", signed: true, keyed: true, money: true}
	createCashOut    = operation{id: OperationCreateCashOut, method: "POST", path: "/cash-out", signed: true, keyed: true, money: true}
	getCashOut       = operation{id: "getCashOut", method: "GET", path: "/cash-out/{id}"}
	getBalance       = operation{id: "getBalance", method: "GET", path: "/account/balance"}
	rebalanceAccount = operation{id: "rebalanceAccount", method: "POST", path: "/account/rebalance", signed: true, money: true}
)

// operations lists every operation of the API.
var operations = []operation{
	authToken, createCashIn, getCashIn, refundCashIn, createCashOut, getCashOut, getBalance, rebalanceAccount,
}

// isRead reports whether the operation with this id is known and moves no money.
func isRead(id Operation) bool {
	for _, operation := range operations {
		if operation.id == id {
			return !operation.money
		}
	}
	return false
}

// movesMoney reports whether the operation with this id moves money or promises to.
func movesMoney(id Operation) bool {
	for _, operation := range operations {
		if operation.id == id {
			return operation.money
		}
	}
	return false
}
