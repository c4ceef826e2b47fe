package webhook_test

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// The response to a cash-out is lost, and its webhook arrives. After that Recover must not send it
// again, and the journal must not keep personal data.
func TestAWebhookEndsTheOpenPaymentInTheJournal(t *testing.T) {
	for name, options := range map[string][]webhook.WorkerOption{"believed": nil, "confirmed": {webhook.WithConfirmation(pix.Amount{})}} {
		t.Run(name, func(t *testing.T) {
			gateway, err := sandbox.Start()
			require.NoError(t, err)
			defer gateway.Close()
			payments, err := journal.Open(filepath.Join(t.TempDir(), "payments.journal"))
			require.NoError(t, err)
			defer payments.Close()
			once := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})
			client, err := connectpsp.New(gateway.Config(), once, connectpsp.WithJournal(payments))
			require.NoError(t, err)

			inbox := webhook.NewMemoryInbox()
			handler, err := webhook.NewHandler(inbox, gateway.Config().CryptoToken)
			require.NoError(t, err)
			server := httptest.NewServer(handler)
			defer server.Close()
			steps := 0
			worker := webhook.NewWorker(inbox, client, func(context.Context, webhook.Transition) error { steps++; return nil }, options...)

			request := connectpsp.CashOutRequest{
				Amount: pix.Centavos(5000), ExternalReference: "w-1", WebhookURL: server.URL,
				Payee: connectpsp.Payee{Name: "Maria Silva", Document: "12345678909",
					Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")},
			}
			gateway.FailNext("createCashOut", sandbox.LoseAnswer)
			_, err = client.CreateCashOut(t.Context(), request)
			require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
			other, err := connectpsp.New(gateway.Config())
			require.NoError(t, err)
			payment, err := other.CreateCashOut(t.Context(), request) // tells the transaction's id
			require.NoError(t, err)
			require.NoError(t, gateway.CompleteCashOut(payment.TransactionID))
			require.NoError(t, gateway.WaitWebhooks(t.Context()))

			worked, err := worker.Work(t.Context())
			require.NoError(t, err)
			require.True(t, worked)
			require.Equal(t, 1, steps)
			pending, err := payments.Pending(t.Context())
			require.NoError(t, err)
			assert.Empty(t, pending)
			ended, err := payments.Ended(t.Context())
			require.NoError(t, err)
			require.Len(t, ended, 1)
			assert.Equal(t, payment.TransactionID, ended[0].TransactionID)
			assert.Nil(t, ended[0].Body)
		})
	}
}
