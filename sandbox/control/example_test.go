package control_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// A program in any language pays a charge over HTTP.
func Example() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	server := httptest.NewServer(control.New(gateway)) // http.ListenAndServe("127.0.0.1:8420", …)
	defer server.Close()

	config := gateway.Config()
	config.BaseURL = server.URL
	client, err := connectpsp.New(config)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	charge, err := client.CreateCashIn(ctx, connectpsp.CashInRequest{
		Amount:            pix.Centavos(1050),
		ExternalReference: "order-1",
		Payer:             connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
	})
	if err != nil {
		log.Fatal(err)
	}
	paid, err := http.Post(server.URL+"/_sandbox/v1/cash-ins/"+charge.TransactionID+"/pay", "application/json", http.NoBody)
	if err != nil {
		log.Fatal(err)
	}
	defer paid.Body.Close()
	if charge, err = client.GetCashIn(ctx, charge.TransactionID); err != nil {
		log.Fatal(err)
	}
	fmt.Println(charge.Status)
	// Output: PAID
}

func ExampleNew() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	server := httptest.NewServer(control.New(gateway, control.WithHosts("sandbox")))
	defer server.Close()

	response, err := http.Get(server.URL + "/readyz")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	// Output: 200 OK
}
