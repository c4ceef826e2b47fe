package webhook_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func ExampleParse() {
	// From the environment or a secret manager. While the token is being replaced, there are two.
	current := auth.NewSecret("b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11")
	previous := auth.Secret{}

	// Stands for a table with a unique, case-sensitive column.
	var seen sync.Map

	receive := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "cannot read the body", http.StatusBadRequest)
			return
		}
		event, err := webhook.Parse(body, r.Header, current, previous)
		switch {
		case errors.Is(err, webhook.ErrInvalidSignature):
			w.WriteHeader(http.StatusUnauthorized)
			return
		case err != nil:
			// The body is signed by the gateway, and would come again like this. Store it for
			// manual review.
			return
		}
		if _, repeated := seen.LoadOrStore(event.Key(), event.Raw); repeated {
			return // 200: the gateway may stop
		}
		switch event.Type {
		case webhook.CashInPaid:
			fmt.Println("paid:", event.CashIn.ExternalReference, event.CashIn.Amount)
		case webhook.CashOutFailed:
			fmt.Println("failed:", event.CashOut.ExternalReference)
		}
	})

	const body = `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{` +
		`"transactionId":"kk6g232xel65a0daee4dd13kk2912714964","externalReference":"test-order-001","amount":10.00}}`
	signature := hex.EncodeToString(signing.Sum(current.Reveal(), []byte(body)))
	for _, signature := range []string{signature, signature, "forged"} {
		r := httptest.NewRequest(http.MethodPost, "/webhooks/connectpsp", strings.NewReader(body))
		r.Header.Set("X-Connect-Signature", signature)
		w := httptest.NewRecorder()
		receive(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// paid: test-order-001 10.00
	// 200
	// 200
	// 401
}

func ExampleEvent_Key() {
	secret := auth.NewSecret("b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11")
	const body = `{"eventType":"CASHOUT_FAILED","data":{"transactionId":"0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11","endToEndId":null}}`
	header := http.Header{}
	header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(secret.Reveal(), []byte(body))))

	// Each attempt to deliver has an id of its own. The key stays.
	for _, delivery := range []string{"2f1d3c0a-7d7c-4c55-8b1e-0f3a6a1e9a01", "9a4b8c1e-1c52-4a4e-b0f7-5d6e7f8a9b02"} {
		header.Set("X-Event-Id", delivery)
		event, err := webhook.Parse([]byte(body), header, secret)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Key())
	}
	// Output:
	// CASHOUT_FAILED/0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11/
	// CASHOUT_FAILED/0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11/
}
