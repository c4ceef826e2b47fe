package connectpsp_test

import (
	"context"
	"fmt"
	"log"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// How many payments have an unknown outcome: for an alarm.
func ExampleClient_OpenPayments() {
	gateway, _ := open()
	defer gateway.Close()
	client := must(connectpsp.New(gateway.Config(), connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})))
	ctx := context.Background()

	gateway.FailNext("createCashOut", sandbox.LoseAnswer)
	_, _ = client.CreateCashOut(ctx, withdrawal("withdrawal-42")) // unknown
	payments, err := client.OpenPayments(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(payments.Sent)
	// Output: 1
}

// A receiver of your own tells the journal how a payment ended. A webhook.Worker does so by itself.
func ExampleClient_ReconcileCashOut() {
	gateway, _ := open()
	defer gateway.Close()
	client := must(connectpsp.New(gateway.Config(), connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})))
	ctx := context.Background()

	gateway.FailNext("createCashOut", sandbox.LoseAnswer)
	_, _ = client.CreateCashOut(ctx, withdrawal("withdrawal-42")) // unknown

	event := gateway.CashOuts()[0] // the CashOut of an event that webhook.Parse returned
	event.Status = connectpsp.CashOutCompleted
	if err := client.ReconcileCashOut(ctx, &event); err != nil {
		log.Fatal(err)
	}
	payments, err := client.OpenPayments(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("open:", payments.Sent)
	// Output: open: 0
}
