package connectpsp_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// A player withdraws to the key of another person. Nothing is sent.
func ExampleWithPayeeCheck() {
	gateway := must(sandbox.Start())
	defer gateway.Close()
	client := must(connectpsp.New(gateway.Config(), connectpsp.WithPayeeCheck(
		func(_ context.Context, request connectpsp.CashOutRequest) (connectpsp.Holder, error) {
			// Read the player of request.ExternalReference from your own table.
			return connectpsp.Holder{Document: "12345678909"}, nil
		})))

	request := withdrawal("withdrawal-42")
	request.Payee.Destination = connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "52998224725")
	_, err := client.CreateCashOut(context.Background(), request)
	var refusal *connectpsp.ValidationError
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Field, refusal.Code)
	}
	fmt.Println("requests at the gateway:", len(gateway.Requests()))
	// Output:
	// payee.destination.pixKey PAYEE
	// requests at the gateway: 0
}

// An account that is written in two ways is one account.
func ExampleBankData_SameAccount() {
	registered := connectpsp.BankData{ISPB: "18236120", Branch: "0001", Account: "94771084-0"}
	fmt.Println(registered.SameAccount(connectpsp.BankData{ISPB: "18236120", Branch: "1", Account: "0947710840"}))
	fmt.Println(registered.SameAccount(connectpsp.BankData{ISPB: "18236120", Branch: "1", Account: "94771084"})) // no check digit
	fmt.Println(registered.SameAccount(connectpsp.BankData{ISPB: "60701190", Branch: "1", Account: "94771084-0"}))
	// Output:
	// same
	// unclear
	// different
}
