package connectpsp

import (
	"testing"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// wire has the types of the bodies of each operation. Those of authToken are package auth's.
var wire = map[string]struct{ request, answer any }{
	createCashIn.id:     {CashInRequest{}, CashIn{}},
	getCashIn.id:        {nil, CashIn{}},
	refundCashIn.id:     {RefundRequest{}, Refund{}},
	createCashOut.id:    {CashOutRequest{}, CashOut{}},
	getCashOut.id:       {nil, CashOut{}},
	getBalance.id:       {nil, Balance{}},
	rebalanceAccount.id: {rebalanceRequest{}, Rebalance{}},
}

// problem is the body of a refusal. The fields of [APIError] hold it.
type problem struct {
	Type   string    `json:"type,omitzero"`
	Title  string    `json:"title"`
	Status int       `json:"status"`
	Code   ErrorCode `json:"code"`
	Detail string    `json:"detail,omitzero"`
}

// A description that has a field more or less, another value or another header says so here, and
// nowhere in the programs of users.
func TestTheOperationsAndTheirTypesAreTheDescriptions(t *testing.T) {
	var traffic []contract.Traffic
	for _, op := range operations {
		if op.id != authToken.id {
			traffic = append(traffic, contract.Traffic{
				Operation: op.method + " " + op.path, Public: op.public, Signed: op.signed, Keyed: op.keyed,
				Request: wire[op.id].request, Answer: wire[op.id].answer, Problem: problem{},
			})
		}
	}
	contract.Compare(t, traffic, nil)
}
