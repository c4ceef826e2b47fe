package connectpsp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// The benchmarks set the client, with all that it does by default, beside what a program needs that calls the gateway with
// net/http and encoding/json by hand and takes no care of anything.

const cashOutAnswer = `{"transactionId":"0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11","internalCode":"PX4K2MD",` +
	`"externalReference":"withdrawal-00000000","status":"PROCESSING","amount":50.00,"description":"User withdrawal",` +
	`"endToEndId":"E13935893202603101827cemeFscF6AG","payee":{"name":"Maria da Silva Santos","document":"12345678909",` +
	`"destination":{"type":"BANK_ACCOUNT","bankAccount":{"ispb":"18236120","branch":"0001","account":"947710840","accountType":"PAYMENT"}}},` +
	`"requestedAt":"2026-03-10T11:20:00-03:00","completedAt":null,"failedAt":null,"refundedAt":null,"cancelledAt":null,` +
	`"originalEndToEndId":null,"failure":null}`

var cashInAnswer = `{"transactionId":"kk6g232xel65a0daee4dd13kk2912714964","internalCode":"US7B1JQ",` +
	`"externalReference":"withdrawal-00000000","status":"AWAITING_PAYMENT","amount":50.00,` +
	`"payer":{"name":"Test User","document":"12345678909"},"pixData":{"copyAndPaste":"` + strings.Repeat("0002010102", 15) +
	`","qrCodeImageBase64":"` + strings.Repeat("iVBORw0KGgoAAAAN", 3072/16) + `"},"requestedAt":"2026-03-10T11:20:00-03:00"}`

// mirror is a transport that answers at once, with the reference it was last told.
type mirror struct {
	status int
	answer []byte
	at     int
}

func newMirror(status int, answer string) *mirror {
	return &mirror{status: status, answer: []byte(answer), at: strings.Index(answer, "00000000")}
}

// next returns a reference that was not used before.
func (e *mirror) next(n int) string {
	reference := fmt.Sprintf("withdrawal-%08d", n)
	copy(e.answer[e.at:], reference[len("withdrawal-"):])
	return reference
}

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

func (e *mirror) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return nil, err
		}
		if err := request.Body.Close(); err != nil {
			return nil, err
		}
	}
	return &http.Response{
		StatusCode: e.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: jsonHeader,
		Body: io.NopCloser(bytes.NewReader(e.answer)), ContentLength: int64(len(e.answer)), Request: request,
	}, nil
}

// byHand sends a request and reads the answer as one would without the SDK.
func byHand(http *http.Client, path, key string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return byHandSend(http, path, key, body, answer)
}

func byHandSend(client *http.Client, path, key string, body []byte, answer any) error {
	request, err := http.NewRequest(http.MethodPost, "https://api.connectpsp.com"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "by hand")
	request.Header.Set("Authorization", "Bearer header.payload.signature")
	request.Header.Set("ApplicationToken", applicationToken)
	request.Header.Set("X-Idempotency-Key", key)
	if path == "/cash-out" {
		request.Header.Set("DigitalSignature", "52b2e0c6e7d5b6c1a6f1f7d9a3a1e0a152b2e0c6e7d5b6c1a6f1f7d9a3a1e0a1")
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, answer)
}

func cashOutNumbered(reference string) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount:            pix.Centavos(5000),
		ExternalReference: reference,
		Description:       "User withdrawal",
		WebhookURL:        "https://shop.example.com/webhooks/connectpsp",
		Payee: connectpsp.Payee{
			Name: "Maria da Silva Santos", Document: "12345678909",
			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909"),
		},
	}
}

func cashInNumbered(reference string) connectpsp.CashInRequest {
	return connectpsp.CashInRequest{
		Amount:              pix.Centavos(5000),
		ExternalReference:   reference,
		ExpirationInMinutes: 30,
		WebhookURL:          "https://shop.example.com/webhooks/connectpsp",
		Payer:               connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	}
}

func mirrored(tb testing.TB, transport http.RoundTripper) *connectpsp.Client {
	config := config("https://api.connectpsp.com")
	client, err := connectpsp.New(config, connectpsp.WithHTTPClient(&http.Client{Transport: transport}),
		connectpsp.WithTokenSource(steadyToken{auth.NewSecret("header.payload.signature")}))
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// steadyToken is a token source with one token, which costs nothing.
type steadyToken struct{ token auth.Secret }

func (s steadyToken) Token(context.Context) (auth.Secret, error) { return s.token, nil }
func (steadyToken) Invalidate(auth.Secret)                       {}

const someKey = "6f0c1c0e-58a3-4a7b-8f43-3c1a5f5e0b11"

func BenchmarkCashOut(b *testing.B) {
	b.Run("byHand", func(b *testing.B) {
		transport := newMirror(http.StatusCreated, cashOutAnswer)
		client := &http.Client{Transport: transport}
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			var answer connectpsp.CashOut
			if err := byHand(client, "/cash-out", someKey, cashOutNumbered(transport.next(n)), &answer); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("connectpsp", func(b *testing.B) {
		transport := newMirror(http.StatusCreated, cashOutAnswer)
		client := mirrored(b, transport)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			if _, err := client.CreateCashOut(b.Context(), cashOutNumbered(transport.next(n))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCashInWithQRCode(b *testing.B) {
	b.Run("byHand", func(b *testing.B) {
		transport := newMirror(http.StatusCreated, cashInAnswer)
		client := &http.Client{Transport: transport}
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			var answer connectpsp.CashIn
			if err := byHand(client, "/cash-in", someKey, cashInNumbered(transport.next(n)), &answer); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("connectpsp", func(b *testing.B) {
		transport := newMirror(http.StatusCreated, cashInAnswer)
		client := mirrored(b, transport)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			if _, err := client.CreateCashIn(b.Context(), cashInNumbered(transport.next(n))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
