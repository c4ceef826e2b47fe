// Command sdk is a small program that imports the SDK.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func main() {
	config, err := connectpsp.ConfigFromEnv()
	if err != nil {
		slog.Error("configure", "error", err)
		os.Exit(1)
	}
	client, err := connectpsp.New(config)
	if err != nil {
		slog.Error("configure", "error", err)
		os.Exit(1)
	}
	payment, err := client.CreateCashOut(context.Background(), connectpsp.CashOutRequest{
		Amount:            pix.Centavos(1050),
		ExternalReference: "order-1",
		Payee: connectpsp.Payee{
			Name:        "Maria Silva",
			Document:    "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909"),
		},
	})
	if err != nil {
		slog.Error("pay", "error", err)
		os.Exit(1)
	}
	slog.Info("paid", "transaction", payment.TransactionID)
}
