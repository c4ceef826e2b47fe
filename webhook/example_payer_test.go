package webhook_test

import (
	"context"
	"fmt"
	"log"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// Somebody else pays the deposit of a player. It is not credited, and the money goes back.
func ExampleWithPayerCheck() {
	p := startPlatform()
	defer p.Close()
	ctx := context.Background()

	worker := webhook.NewWorker(p.inbox, p.client,
		func(_ context.Context, step webhook.Transition) error {
			switch step.To {
			case webhook.StatusPaid:
				fmt.Println("credit", step.CashIn.Amount)
			case webhook.StatusPaidByOther:
				fmt.Println("not credited:", step.CashIn.ExternalReference)
			}
			return nil
		},
		webhook.WithPayerCheck(func(_ context.Context, charge *connectpsp.CashIn) (connectpsp.Holder, error) {
			// Read the player of charge.ExternalReference from your own table.
			return connectpsp.Holder{Document: "12345678909"}, nil
		}),
		webhook.WithPayerRefund(connectpsp.RefundRequest{Reason: connectpsp.RefundMerchantError}))

	charge, err := p.client.CreateCashIn(ctx, connectpsp.CashInRequest{
		Amount:            pix.Centavos(1050),
		ExternalReference: "deposit-1",
		WebhookURL:        p.handler.URL,
		Payer:             connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
	})
	if err != nil {
		log.Fatal(err)
	}
	other := sandbox.Payment{Payer: connectpsp.Payer{Name: "Other Person", Document: "52998224725"}}
	if err := p.gateway.PayCashInWith(charge.TransactionID, other); err != nil {
		log.Fatal(err)
	}
	if err := p.gateway.WaitWebhooks(ctx); err != nil {
		log.Fatal(err)
	}
	for range 2 { // the event, and the refund
		if _, err := worker.Work(ctx); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("refunds at the gateway:", len(p.gateway.Requests().ByOperation("refundCashIn")))
	// Output:
	// not credited: deposit-1
	// refunds at the gateway: 1
}
