package journal_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// A process dies after it has sent a payment, and the next one resolves it.
func Example() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	directory, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	path := filepath.Join(directory, "payments.journal") // of your program: on a disk that outlives it
	ctx := context.Background()

	// The first process sends, and gets no response.
	payments, err := journal.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	once := connectpsp.RetryPolicy{MaxAttempts: 1}
	client, err := connectpsp.New(gateway.Config(), connectpsp.WithJournal(payments), connectpsp.WithRetryPolicy(once))
	if err != nil {
		log.Fatal(err)
	}
	gateway.FailNext("createCashOut", sandbox.LoseAnswer)
	_, err = client.CreateCashOut(ctx, connectpsp.CashOutRequest{
		Amount:            pix.Centavos(5000),
		ExternalReference: "withdrawal-42",
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"),
		},
	})
	fmt.Println(errors.Is(err, connectpsp.ErrUnknownOutcome))
	if err := payments.Close(); err != nil {
		log.Fatal(err)
	}

	// The second sends it again with the same key and the same body.
	payments, err = journal.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer payments.Close()
	client, err = connectpsp.New(gateway.Config(), connectpsp.WithJournal(payments))
	if err != nil {
		log.Fatal(err)
	}
	recovered, err := client.Recover(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, payment := range recovered {
		fmt.Println(payment.ExternalReference, payment.Err)
	}
	// Output:
	// true
	// withdrawal-42 <nil>
}

// One process owns the file at a time.
func ExampleOpen() {
	directory, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	path := filepath.Join(directory, "payments.journal")

	payments, err := journal.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	_, err = journal.Open(path)
	fmt.Println("in use:", errors.Is(err, journal.ErrInUse))
	fmt.Println(payments.Close())
	// Output:
	// in use: true
	// <nil>
}
