package connectpsp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/answer"
	"github.com/connectpsp/connectpsp-go/internal/api"
	"github.com/connectpsp/connectpsp-go/pix"
)

const contentType = "application/json"

// operation is a row of the table below. T is the type of the response.
type operation[T any] struct {
	api.Operation
	request sender
	// check compares a 2xx response with the call, and returns the transaction id, if any. Its
	// error is a *mismatchError, a *declinedError, or says which part of the response is missing.
	check func(call *call, response *T, body []byte) (transactionID string, err error)
}

// sender sends one request of a call through the raw client. The reader is of the call's body.
type sender func(ctx context.Context, raw *gen.Client, call *call, body io.Reader, edit editor) (*http.Response, error)

// row is an operation of any T.
type row interface {
	// send sends one request of a call.
	send(ctx context.Context, raw *gen.Client, call *call, body io.Reader, edit editor) (*http.Response, error)
	// decode decodes and checks the body of a 2xx response. Its error is that of check, or says
	// that the body cannot be read.
	decode(call *call, body []byte) (response any, transactionID string, err error)
}

func (op *operation[T]) send(
	ctx context.Context, raw *gen.Client, call *call, body io.Reader, edit editor,
) (*http.Response, error) {
	return op.request(ctx, raw, call, body, edit)
}

func (op *operation[T]) decode(call *call, body []byte) (any, string, error) {
	response := new(T)
	err := answer.Decode(body, response)
	if err != nil && !(op.Money && errors.Is(err, pix.ErrInvalidAmount)) {
		return nil, "", err
	}
	// Accepted is accepted, also with an amount that cannot be read: it stays zero.
	transactionID, err := op.check(call, response, body)
	return response, transactionID, err
}

// editor is [gen.RequestEditorFn]: it completes a request before it is sent.
type editor = gen.RequestEditorFn

var createCashIn = &operation[CashIn]{api.CreateCashIn,
	func(ctx context.Context, raw *gen.Client, _ *call, body io.Reader, edit editor) (*http.Response, error) {
		return raw.CreateCashInWithBody(ctx, contentType, body, edit)
	},
	func(call *call, cashIn *CashIn, body []byte) (string, error) {
		return call.match(body, cashIn.TransactionID, cashIn.ExternalReference, cashIn.Amount)
	},
}

var getCashIn = &operation[CashIn]{api.GetCashIn,
	func(ctx context.Context, raw *gen.Client, call *call, _ io.Reader, edit editor) (*http.Response, error) {
		return raw.GetCashIn(ctx, call.id(), edit)
	},
	func(call *call, cashIn *CashIn, _ []byte) (string, error) {
		if cashIn.Status == "" {
			return "", errNoStatus
		}
		return call.matchID(cashIn.TransactionID, cashIn.InternalCode, cashIn.EndToEndID, cashIn.OriginalEndToEndID)
	},
}

var refundCashIn = &operation[Refund]{api.RefundCashIn,
	func(ctx context.Context, raw *gen.Client, call *call, body io.Reader, edit editor) (*http.Response, error) {
		return raw.RefundCashInWithBody(ctx, call.id(), contentType, body, edit)
	},
	func(call *call, refund *Refund, _ []byte) (string, error) {
		if refund.TransactionID == "" {
			return "", errNoTransactionID
		}
		return call.matchID(refund.TransactionID, refund.InternalCode, refund.EndToEndID, refund.OriginalEndToEndID)
	},
}

var createCashOut = &operation[CashOut]{api.CreateCashOut,
	func(ctx context.Context, raw *gen.Client, _ *call, body io.Reader, edit editor) (*http.Response, error) {
		return raw.CreateCashOutWithBody(ctx, contentType, body, edit)
	},
	func(call *call, cashOut *CashOut, body []byte) (string, error) {
		return call.match(body, cashOut.TransactionID, cashOut.ExternalReference, cashOut.Amount)
	},
}

var getCashOut = &operation[CashOut]{api.GetCashOut,
	func(ctx context.Context, raw *gen.Client, call *call, _ io.Reader, edit editor) (*http.Response, error) {
		return raw.GetCashOut(ctx, call.id(), edit)
	},
	func(call *call, cashOut *CashOut, _ []byte) (string, error) {
		if cashOut.Status == "" {
			return "", errNoStatus
		}
		return call.matchID(cashOut.TransactionID, cashOut.InternalCode, cashOut.EndToEndID, cashOut.OriginalEndToEndID)
	},
}

var getBalance = &operation[Balance]{api.GetBalance,
	func(ctx context.Context, raw *gen.Client, _ *call, _ io.Reader, edit editor) (*http.Response, error) {
		return raw.GetBalance(ctx, edit)
	},
	func(_ *call, _ *Balance, body []byte) (string, error) {
		var stated struct {
			Consolidated struct {
				Total         *pix.Amount `json:"totalBalance"`
				Transactional *pix.Amount `json:"transactionalBalance"`
				Proprietary   *pix.Amount `json:"proprietaryBalance"`
			} `json:"consolidated"`
		}
		err := json.Unmarshal(body, &stated)
		totals := stated.Consolidated
		if err != nil || totals.Total == nil || totals.Transactional == nil || totals.Proprietary == nil {
			return "", errNoBalance
		}
		return "", nil
	},
}

var rebalanceAccount = &operation[Rebalance]{api.RebalanceAccount,
	func(ctx context.Context, raw *gen.Client, _ *call, body io.Reader, edit editor) (*http.Response, error) {
		return raw.RebalanceAccountWithBody(ctx, contentType, body, edit)
	},
	func(_ *call, rebalance *Rebalance, body []byte) (string, error) {
		var stated struct {
			Success *bool `json:"success"`
		}
		switch err := json.Unmarshal(body, &stated); {
		case rebalance.Success:
			return "", nil
		case err != nil || stated.Success == nil:
			return "", errNoSuccess
		}
		return "", &declinedError{rebalance.Message}
	},
}

// mismatchError reports a 2xx response about another payment than the requested one.
type mismatchError struct{ text string }

func (e *mismatchError) Error() string { return e.text }

// declinedError says that a 2xx response says no.
type declinedError struct{ message string }

func (e *declinedError) Error() string { return "the gateway responded that it did not do it" }

var (
	errNoTransactionID = errors.New("the response has no transactionId")
	errNoSuccess       = errors.New("the response does not say whether it succeeded")
	errNoStatus        = errors.New("the response has no status")
	errNoBalance       = errors.New("the response does not state all balances")
)

// match compares a 2xx response with its request, and returns the transaction id. Absent fields are
// not compared: the fields of a cash-out's response are not published.
func (call *call) match(body []byte, transactionID, externalReference string, amount pix.Amount) (string, error) {
	asked := &call.payment
	var err error
	switch {
	case transactionID == "":
		err = errNoTransactionID
	case externalReference != "" && externalReference != asked.ExternalReference:
		err = &mismatchError{"the response is about another externalReference"}
	case amount != asked.Amount && (!amount.IsZero() || statesAnother(body, asked.Amount)):
		err = &mismatchError{"the response is about another amount: the idempotency key was used before"}
	}
	return transactionID, err
}

// matchID checks that a transaction that was read is the requested one, and returns its id. A
// response that leaves out an id by which it may have been requested is not judged.
func (call *call) matchID(transactionID, internalCode, endToEndID, originalEndToEndID string) (string, error) {
	asked := call.id()
	stated := []string{transactionID, internalCode}
	if pix.IsEndToEndID(asked) {
		stated = []string{endToEndID, originalEndToEndID}
		if originalEndToEndID == "" && strings.HasPrefix(endToEndID, "E") {
			stated = stated[:1] // a payment that was not returned has one id
		}
	}
	for _, id := range stated {
		if id == "" || strings.EqualFold(id, asked) {
			return transactionID, nil
		}
	}
	return transactionID, &mismatchError{"the response is about another transaction"}
}

// statesAnother reports whether a response whose amount was read as zero states a number other than
// asked. It distinguishes zero from absent, and judges numbers that [pix.Amount] does not read,
// such as 5e1.
func statesAnother(body []byte, asked pix.Amount) bool {
	var stated struct {
		Amount json.RawMessage `json:"amount"`
	}
	_ = json.Unmarshal(body, &stated)
	number := string(stated.Amount)
	if text, quoted := strings.CutPrefix(number, `"`); quoted {
		number = strings.TrimSuffix(text, `"`)
	} else if number == "" || !strings.Contains("-0123456789", number[:1]) {
		return false // absent, null, or something that states no amount at all
	}
	if number == "" {
		return false
	}
	_, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	if len(number) > 40 || len(exponent) > 3 {
		return true // and too long to be worth the arithmetic
	}
	exact, ok := new(big.Rat).SetString(number)
	return !ok || exact.Cmp(big.NewRat(asked.Centavos(), 100)) != 0
}
