package crash

import (
	"context"
	"errors"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// The program that is killed consists of the code of docs/money-safety.md, word for word.

// orderBook is the orders in your database. Each method changes an order only while that is open,
// so that it does no harm when it is called twice. An order is debited, and stored with its
// request, before it is paid.
type orderBook interface {
	accepted(reference, transactionID string) error
	keepOpen(reference string, reason error) error
	giveBack(reference string, reason error) error
	charged(reference, transactionID string) error
	notCharged(reference string, reason error) error
	refunded(chargeID string) error
	notRefunded(chargeID string, reason error) error
}

// payOut pays an order that is open in the books: look there first. Call it again for one that
// stays open.
func payOut(
	ctx context.Context, client *connectpsp.Client, books orderBook, request connectpsp.CashOutRequest, options ...connectpsp.CallOption,
) error {
	var transactionID string
	payment, err := client.CreateCashOut(ctx, request, options...)
	if err == nil {
		transactionID = payment.TransactionID
	}
	return bookPayout(books, request.ExternalReference, transactionID, err)
}

// bookPayout books how a cash-out ended: what the call returned, or what Recover reports.
func bookPayout(books orderBook, reference, transactionID string, err error) error {
	switch {
	case err == nil:
		return books.accepted(reference, transactionID) // it may still end as FAILED
	case errors.Is(err, connectpsp.ErrUnknownOutcome):
		return books.keepOpen(reference, err) // not failed: do not give the money back yet
	default:
		return books.giveBack(reference, err) // certain: nothing was paid
	}
}

// start brings the books to what the gateway did before the process began. Pay nothing before it
// returns; then call payOut for every order that is still open in the books, and
// worker.WatchRecovered with what it returns. With sqlstore also call Recover about every minute, and
// book what it returns with a copy of the loop below: it takes the payments of a process that died
// only after its lease, two minutes.
func start(
	ctx context.Context, config connectpsp.Config, payments connectpsp.Journal, books orderBook, options ...connectpsp.Option,
) (*connectpsp.Client, []connectpsp.Recovered, error) {
	client, err := connectpsp.New(config, append(options, connectpsp.WithJournal(payments))...)
	if err != nil {
		return nil, nil, err
	}
	recovered, err := client.Recover(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, payment := range recovered {
		unknown := errors.Is(payment.Err, connectpsp.ErrUnknownOutcome)
		switch payment.Operation {
		case connectpsp.OperationCreateCashOut:
			err = bookPayout(books, payment.ExternalReference, payment.TransactionID, payment.Err)
		case connectpsp.OperationCreateCashIn:
			switch {
			case payment.Err == nil:
				err = books.charged(payment.ExternalReference, payment.TransactionID)
			case !unknown:
				err = books.notCharged(payment.ExternalReference, payment.Err)
			}
		case connectpsp.OperationRefundCashIn:
			switch {
			case payment.Err == nil:
				err = books.refunded(payment.ChargeID)
			case !unknown:
				err = books.notRefunded(payment.ChargeID, payment.Err)
			}
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return client, recovered, nil
}

func TestTheProgramThatIsKilledIsTheDocumentedOne(t *testing.T) {
	page, err := os.ReadFile("../../docs/money-safety.md")
	require.NoError(t, err)
	own, err := os.ReadFile("documented_test.go")
	require.NoError(t, err)
	declares := regexp.MustCompile(`(?m)^(func|type) `)
	found := 0
	for _, snippet := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(page, -1) {
		if declares.Match(snippet[1]) {
			found++
			assert.Contains(t, string(own), string(snippet[1]))
		}
	}
	assert.Equal(t, 4, found)
}
