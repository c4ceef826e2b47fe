package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

const cryptoToken = "crypto-token-of-the-benchmark"

// event is a delivery of about 800 bytes.
var event = []byte(`{"eventType": "CASHOUT_COMPLETED", "eventAt": "2026-03-10T14:22:18Z", "data": {"transactionId": ` +
	`"0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11", "internalCode": "PX4K2MD", "externalReference": "withdrawal-user-42-001", "endToEndId": ` +
	`"E00416968202603101827cemeFscF6AG", "originalEndToEndId": null, "status": "COMPLETED", "amount": 50.00, "description": ` +
	`"Withdrawal of user 42 to an account of the same person, asked for in the mobile application and approved by two people", ` +
	`"payee": {"name": "Maria Silva", "document": "12345678909", "destination": {"type": "BANK_ACCOUNT", "bankAccount": ` +
	`{"ispb": "18236120", "branch": "0001", "account": "947710840", "accountType": "PAYMENT"}}}, "failure": null, ` +
	`"requestedAt": "2026-03-10T11:20:00-03:00", "completedAt": "2026-03-10T11:22:15-03:00", "failedAt": null, "refundedAt": null}}`)

// signedWith returns the header of a delivery of event.
func signedWith(secret string) http.Header {
	return http.Header{
		"X-Connect-Signature": {hex.EncodeToString(signing.Sum(secret, event))},
		"X-Event-Id":          {"7d3f0f0e-55a1-4c0b-9f0e-0a8a4a1b2c3d"},
	}
}

// BenchmarkWebhookVerify measures the verification alone. No exported function verifies only, so
// [webhook.Parse] gets an event with the signature of another secret. It computes and compares as
// for a valid signature, and reads nothing of the body.
func BenchmarkWebhookVerify(b *testing.B) {
	header := signedWith("another-crypto-token")
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := verifyByHand(event, header, cryptoToken); !errors.Is(err, errSignature) {
				b.Fatal(err)
			}
		}
	})
	b.Run("connectpsp", func(b *testing.B) {
		secret := auth.NewSecret(cryptoToken)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := webhook.Parse(event, header, secret); !errors.Is(err, webhook.ErrInvalidSignature) {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkWebhookParse measures verification and reading.
func BenchmarkWebhookParse(b *testing.B) {
	header := signedWith(cryptoToken)
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parseByHand(event, header, cryptoToken); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("connectpsp", func(b *testing.B) {
		secret := auth.NewSecret(cryptoToken)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := webhook.Parse(event, header, secret); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkWebhookHandler measures the handler with an inbox that stores nothing, beside one that
// reads, parses and responds.
func BenchmarkWebhookHandler(b *testing.B) {
	header := signedWith(cryptoToken)
	receive := func(b *testing.B, handler http.Handler) {
		b.ReportAllocs()
		for b.Loop() {
			request := &http.Request{
				Method:        http.MethodPost,
				Header:        header,
				Body:          io.NopCloser(bytes.NewReader(event)),
				ContentLength: int64(len(event)),
			}
			writer := &statusWriter{header: http.Header{}}
			handler.ServeHTTP(writer, request)
			if writer.status != http.StatusOK {
				b.Fatal(writer.status)
			}
		}
	}
	b.Run("floor", func(b *testing.B) {
		receive(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
			if err == nil {
				_, err = parseByHand(body, r.Header, cryptoToken)
			}
			if err != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(http.StatusOK)
		}))
	})
	b.Run("connectpsp", func(b *testing.B) {
		handler, err := webhook.NewHandler(forgetful{}, auth.NewSecret(cryptoToken))
		require.NoError(b, err)
		receive(b, handler)
	})
}

// forgetful is an inbox that stores nothing. The handler calls Put only.
type forgetful struct{ webhook.Inbox }

func (forgetful) Put(context.Context, webhook.Item) (*webhook.Digest, error) { return nil, nil }

// statusWriter is a ResponseWriter without a connection. It keeps the status.
type statusWriter struct {
	header http.Header
	status int
}

func (w *statusWriter) Header() http.Header             { return w.header }
func (w *statusWriter) WriteHeader(status int)          { w.status = status }
func (w *statusWriter) Write(p []byte) (int, error)     { return len(p), nil }
func (w *statusWriter) SetReadDeadline(time.Time) error { return nil }

var errSignature = errors.New("invalid signature")

func verifyByHand(body []byte, header http.Header, secret string) error {
	signature, err := hex.DecodeString(header.Get("X-Connect-Signature"))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if !hmac.Equal(signature, mac.Sum(nil)) {
		return errSignature
	}
	return nil
}

// handmade is an event with all its fields, as a program would write it by hand.
type handmade struct {
	EventType string    `json:"eventType"`
	EventAt   time.Time `json:"eventAt"`
	Data      struct {
		TransactionID      string  `json:"transactionId"`
		InternalCode       string  `json:"internalCode"`
		ExternalReference  string  `json:"externalReference"`
		EndToEndID         string  `json:"endToEndId"`
		OriginalEndToEndID string  `json:"originalEndToEndId"`
		Status             string  `json:"status"`
		Amount             float64 `json:"amount"`
		Description        string  `json:"description"`
		Payee              struct {
			Name        string `json:"name"`
			Document    string `json:"document"`
			Destination struct {
				Type        string `json:"type"`
				PIXKeyType  string `json:"pixKeyType"`
				PIXKey      string `json:"pixKey"`
				BankAccount *struct {
					ISPB        string `json:"ispb"`
					Branch      string `json:"branch"`
					Account     string `json:"account"`
					AccountType string `json:"accountType"`
				} `json:"bankAccount"`
			} `json:"destination"`
		} `json:"payee"`
		Failure *struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"failure"`
		RequestedAt time.Time `json:"requestedAt"`
		CompletedAt time.Time `json:"completedAt"`
		FailedAt    time.Time `json:"failedAt"`
		RefundedAt  time.Time `json:"refundedAt"`
	} `json:"data"`
}

func parseByHand(body []byte, header http.Header, secret string) (*handmade, error) {
	if err := verifyByHand(body, header, secret); err != nil {
		return nil, err
	}
	parsed := new(handmade)
	return parsed, json.Unmarshal(body, parsed)
}
