package bench

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mercadopago/sdk-go/pkg/config"
	"github.com/mercadopago/sdk-go/pkg/payment"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

// mercadoPagoResponse is a PIX charge of another provider, as long as gateway.QRResponse.
var mercadoPagoResponse = []byte(`{"id": 1319999999, "date_created": "2026-03-10T11:20:00.000-03:00", "status": "pending", ` +
	`"status_detail": "pending_waiting_transfer", "payment_method_id": "pix", "payment_type_id": "bank_transfer", "operation_type": ` +
	`"regular_payment", "currency_id": "BRL", "live_mode": true, "transaction_amount": 50.00, "payer": {"email": "maria@example.com"}, ` +
	`"point_of_interaction": {"type": "OPENPLATFORM", "transaction_data": {"qr_code": "` + strings.Repeat("0", 230) +
	`", "qr_code_base64": "` + strings.Repeat("iVBORw0KGgoAAAAN", 192) + `", "ticket_url": ` +
	`"https://www.example.com/payments/1319999999/ticket"}}}`)

// mercadoPago makes a charge with the SDK of that provider. Request and response have about the
// same size as ours.
func mercadoPago(b *testing.B) pay {
	settings, err := config.New("access-token", config.WithHTTPClient(&http.Client{Transport: mercadoPagoMemory{}}))
	require.NoError(b, err)
	client := payment.NewClient(settings)
	return func(ctx context.Context, reference string) (string, error) {
		charge, err := client.Create(ctx, payment.Request{
			TransactionAmount: 50,
			PaymentMethodID:   "pix",
			ExternalReference: reference,
			NotificationURL:   "https://shop.example.com/webhooks/connectpsp",
			Payer: &payment.PayerRequest{
				Email:          "maria@example.com",
				FirstName:      "Maria",
				LastName:       "Silva",
				Identification: &payment.IdentificationRequest{Type: "CPF", Number: "12345678909"},
			},
		})
		if err != nil {
			return "", err
		}
		return charge.PointOfInteraction.TransactionData.QRCode, nil
	}
}

// mercadoPagoMemory responds as [gateway.Memory] does.
type mercadoPagoMemory struct{}

func (mercadoPagoMemory) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := new(gateway.Memory).RoundTrip(request)
	if err == nil {
		response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(mercadoPagoResponse)), int64(len(mercadoPagoResponse))
	}
	return response, err
}
