package connectpsp_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func TestAClientCountsItsOpenPayments(t *testing.T) {
	for name, options := range map[string]func(*notebook) []connectpsp.Option{
		"without a journal": func(*notebook) []connectpsp.Option { return nil },
		"with a journal that only lists them": func(n *notebook) []connectpsp.Option {
			return []connectpsp.Option{connectpsp.WithJournal(n)}
		},
		"with a journal that counts them": func(n *notebook) []connectpsp.Option {
			return []connectpsp.Option{connectpsp.WithJournal(countingNotebook{n})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newGateway(t, html(500)).memoryClient(options(newNotebook())...)
				open, err := client.OpenPayments(t.Context())
				require.NoError(t, err)
				require.Zero(t, open)
				begun := time.Now()
				for _, reference := range []string{"withdrawal-1", "withdrawal-2"} {
					request := cashOutRequest()
					request.ExternalReference = reference
					_, err := client.CreateCashOut(t.Context(), request)
					require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
					time.Sleep(time.Hour)
				}
				open, err = client.OpenPayments(t.Context())
				require.NoError(t, err)
				assert.Equal(t, 2, open.Sent)
				assert.Zero(t, open.Begun)
				assert.WithinDuration(t, begun, open.OldestSentAt, time.Minute)
			})
		})
	}
}

// countingNotebook is a journal that does not list what it counts.
type countingNotebook struct{ *notebook }

func (c countingNotebook) OpenPayments(ctx context.Context) (open connectpsp.OpenPayments, err error) {
	pending, err := c.notebook.Pending(ctx)
	for _, intent := range pending {
		open.Sent++
		if open.OldestSentAt.IsZero() || intent.SentAt.Before(open.OldestSentAt) {
			open.OldestSentAt = intent.SentAt
		}
	}
	return open, err
}

func (countingNotebook) Pending(context.Context) ([]connectpsp.Intent, error) {
	return nil, errDiskFull
}

func TestPaymentsThatCannotBeCountedAreAnError(t *testing.T) {
	book := newNotebook()
	book.fail["pending"] = errDiskFull
	client := newGateway(t).memoryClient(connectpsp.WithJournal(book))
	open, err := client.OpenPayments(t.Context())
	assert.ErrorIs(t, err, errDiskFull)
	assert.Zero(t, open)
}
