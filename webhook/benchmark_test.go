package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// The benchmarks set Parse beside what a receiver by hand does.

const paidEvent = `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{` +
	`"transactionId":"kk6g232xel65a0daee4dd13kk2912714964","internalCode":"US7B1JQ","externalReference":"test-order-001",` +
	`"endToEndId":"E00416968202603101827cemeFscF6AG","status":"PAID","amount":10.00,"payer":{"name":"Test User",` +
	`"document":"12345678909","bankData":{"ispb":"00000000","bank":"Banco do Brasil S.A.","branch":"0001","account":"123456"}},` +
	`"pixData":{"copyAndPaste":"00020101021226850014br.gov.bcb.pix2563qrcode.example.com/v2/cobv/9d36b84fc70b478fb95c12729b90ca25` +
	`5204000053039865802BR5909TEST USER6009SAO PAULO62070503***6304ABCD"},` +
	`"requestedAt":"2026-03-10T11:20:00-03:00","paidAt":"2026-03-10T11:22:15-03:00"}}`

var errByHand = errors.New("the signature is wrong")

func verifyByHand(body []byte, header http.Header) error {
	mac := hmac.New(sha256.New, []byte(cryptoToken))
	mac.Write(body)
	signature, err := hex.DecodeString(header.Get("X-Connect-Signature"))
	if err != nil || !hmac.Equal(signature, mac.Sum(nil)) {
		return errByHand
	}
	return nil
}

type eventByHand struct {
	EventType string            `json:"eventType"`
	EventAt   pix.Time          `json:"eventAt"`
	Data      connectpsp.CashIn `json:"data"`
}

func BenchmarkParse(b *testing.B) {
	body, header := []byte(paidEvent), signed(paidEvent)
	b.Run("byHand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := verifyByHand(body, header); err != nil {
				b.Fatal(err)
			}
			var event eventByHand
			if err := json.Unmarshal(body, &event); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("webhook", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := webhook.Parse(body, header, secret); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// An event of another version is refused after its signature was verified, and before anything is read.
func BenchmarkVerify(b *testing.B) {
	body, header := []byte(paidEvent), signed(paidEvent)
	b.Run("byHand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := verifyByHand(body, header); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("webhook", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := webhook.Verify(body, header, secret); err != nil {
				b.Fatal(err)
			}
		}
	})
}
