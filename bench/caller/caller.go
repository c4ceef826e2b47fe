// Package caller makes the same payments in several ways: by hand, with the generated client, and
// with the SDK.
package caller

import (
	"context"
	"net/http"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// Caller is one way to pay. Its functions make a payment of R$ 50.00 under a reference and return
// the internalCode of the response. Many goroutines may call them at once.
type Caller struct {
	Name            string
	CashOut, CashIn func(ctx context.Context, reference string) (internalCode string, err error)
}

// Makers are all ways to pay. The first is written by hand, and the others are compared with it. A
// nil transport stands for the one that a program would use.
var Makers = []struct {
	Name string
	New  func(url string, transport http.RoundTripper) (*Caller, error)
}{
	{"floor", Floor},
	{"gen", Generated},
	{"connectpsp", SDK},
}

// Credentials and details of the payments.
const (
	clientID         = "1024"
	clientSecret     = "client-secret-of-the-benchmark"
	applicationToken = "application-token-of-the-benchmark"
	cryptoToken      = "crypto-token-of-the-benchmark"
	description      = "User withdrawal"
	webhookURL       = "https://shop.example.com/webhooks/connectpsp"
	name             = "Maria Silva"
	longName         = "Sociedade Beneficente dos Trabalhadores do Comercio Varejista da Cidade de Sao Paulo Ltda"
	document         = "12345678909"
	centavos         = 50_00
	contentType      = "application/json"
)

// Config is the configuration of a client of the gateway at url.
func Config(url string) connectpsp.Config {
	return connectpsp.Config{
		ClientID:         clientID,
		ClientSecret:     auth.NewSecret(clientSecret),
		ApplicationToken: auth.NewSecret(applicationToken),
		CryptoToken:      auth.NewSecret(cryptoToken),
		BaseURL:          url,
	}
}

// CashOutRequest is a payment of about 300 bytes.
func CashOutRequest(reference string) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount:            pix.Centavos(centavos),
		Description:       description,
		ExternalReference: reference,
		Payee: connectpsp.Payee{
			Name:     name,
			Document: document,
			Destination: connectpsp.Destination{
				Type:       connectpsp.DestinationPIX,
				PIXKeyType: connectpsp.PIXKeyCPF,
				PIXKey:     document,
			},
		},
		WebhookURL: webhookURL,
	}
}

// CashInRequest is a charge of the same size.
func CashInRequest(reference string) connectpsp.CashInRequest {
	return connectpsp.CashInRequest{
		Amount:              pix.Centavos(centavos),
		ExpirationInMinutes: 30,
		ExternalReference:   reference,
		Payer:               connectpsp.Payer{Name: longName, Document: document},
		WebhookURL:          webhookURL,
	}
}
