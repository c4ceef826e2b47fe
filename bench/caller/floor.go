package caller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/signing"
)

// Floor pays as the smallest program would that is written by hand: no retry, no validation, no
// time limit, one token and its signature for ever. It opens as many connections as there are
// calls, and keeps them.
func Floor(url string, transport http.RoundTripper) (*Caller, error) {
	if transport == nil {
		// Idle connections have no limit, so none is opened twice.
		transport = &http.Transport{MaxIdleConnsPerHost: 1 << 20}
	}
	const token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMDI0IiwibiI6MDAwMDAwMDB9.c2lnbmF0dXJl"
	f := &floor{client: &http.Client{Transport: transport}, url: url, bearer: "Bearer " + token, signature: signing.Sign(cryptoToken, token)}
	return &Caller{Name: "floor", CashOut: f.cashOut, CashIn: f.cashIn}, nil
}

type floor struct {
	client                 *http.Client
	url, bearer, signature string
}

type (
	floorRequest struct {
		Amount              float64     `json:"amount"`
		Description         string      `json:"description,omitempty"`
		ExpirationInMinutes int         `json:"expirationInMinutes,omitempty"`
		ExternalReference   string      `json:"externalReference"`
		Payee               *floorParty `json:"payee,omitempty"`
		Payer               *floorParty `json:"payer,omitempty"`
		WebhookURL          string      `json:"webhookUrl"`
	}
	floorParty struct {
		Name        string            `json:"name"`
		Document    string            `json:"document"`
		Destination *floorDestination `json:"destination,omitempty"`
		BankData    *floorAccount     `json:"bankData,omitempty"`
	}
	floorDestination struct {
		Type        string        `json:"type"`
		PIXKeyType  string        `json:"pixKeyType"`
		PIXKey      string        `json:"pixKey"`
		BankAccount *floorAccount `json:"bankAccount,omitempty"`
	}
	floorAccount struct {
		ISPB        string `json:"ispb"`
		Bank        string `json:"bank"`
		Branch      string `json:"branch"`
		Account     string `json:"account"`
		AccountType string `json:"accountType"`
	}

	floorCashOut struct {
		TransactionID      string     `json:"transactionId"`
		InternalCode       string     `json:"internalCode"`
		ExternalReference  string     `json:"externalReference"`
		Status             string     `json:"status"`
		Amount             float64    `json:"amount"`
		Description        string     `json:"description"`
		Payee              floorParty `json:"payee"`
		EndToEndID         string     `json:"endToEndId"`
		OriginalEndToEndID string     `json:"originalEndToEndId"`
		RequestedAt        time.Time  `json:"requestedAt"`
		CompletedAt        time.Time  `json:"completedAt"`
		FailedAt           time.Time  `json:"failedAt"`
		RefundedAt         time.Time  `json:"refundedAt"`
		CancelledAt        time.Time  `json:"cancelledAt"`
		Failure            *struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"failure"`
	}
	floorCashIn struct {
		TransactionID      string     `json:"transactionId"`
		InternalCode       string     `json:"internalCode"`
		ExternalReference  string     `json:"externalReference"`
		Status             string     `json:"status"`
		Amount             float64    `json:"amount"`
		Payer              floorParty `json:"payer"`
		EndToEndID         string     `json:"endToEndId"`
		OriginalEndToEndID string     `json:"originalEndToEndId"`
		PaymentURL         string     `json:"paymentUrl"`
		PIXData            *struct {
			CopyAndPaste      string `json:"copyAndPaste"`
			QRCodeImageBase64 string `json:"qrCodeImageBase64"`
		} `json:"pixData"`
		RequestedAt time.Time `json:"requestedAt"`
		PaidAt      time.Time `json:"paidAt"`
		ExpiredAt   time.Time `json:"expiredAt"`
		RefundedAt  time.Time `json:"refundedAt"`
	}
)

func (f *floor) cashOut(ctx context.Context, reference string) (string, error) {
	request := floorRequest{
		Amount:            float64(centavos) / 100,
		Description:       description,
		ExternalReference: reference,
		Payee: &floorParty{
			Name:        name,
			Document:    document,
			Destination: &floorDestination{Type: "PIX", PIXKeyType: "CPF", PIXKey: document},
		},
		WebhookURL: webhookURL,
	}
	var response floorCashOut
	if err := f.send(ctx, "/cash-out", f.signature, request, &response); err != nil {
		return "", err
	}
	return response.InternalCode, match(response.ExternalReference, reference, response.Amount)
}

func (f *floor) cashIn(ctx context.Context, reference string) (string, error) {
	request := floorRequest{
		Amount:              float64(centavos) / 100,
		ExpirationInMinutes: 30,
		ExternalReference:   reference,
		Payer:               &floorParty{Name: longName, Document: document},
		WebhookURL:          webhookURL,
	}
	var response floorCashIn
	if err := f.send(ctx, "/cash-in", "", request, &response); err != nil {
		return "", err
	}
	return response.InternalCode, match(response.ExternalReference, reference, response.Amount)
}

func match(stated, reference string, amount float64) error {
	if stated != "" && stated != reference || amount != float64(centavos)/100 {
		return errors.New("the response is about another payment")
	}
	return nil
}

func (f *floor) send(ctx context.Context, path, signature string, request, into any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	message, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	message.Header.Set("Content-Type", contentType)
	message.Header.Set("Accept", contentType)
	message.Header.Set("User-Agent", "floor/1.0")
	message.Header.Set("Authorization", f.bearer)
	message.Header.Set("ApplicationToken", applicationToken)
	message.Header.Set("X-Idempotency-Key", uuid.NewString())
	if signature != "" {
		message.Header.Set("DigitalSignature", signature)
	}
	response, err := f.client.Do(message)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("the gateway responded with %d", response.StatusCode)
	}
	return json.Unmarshal(text, into)
}
