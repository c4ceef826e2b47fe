package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/signing"
)

func ExampleNewSecret() {
	config := struct {
		ClientID     string
		ClientSecret auth.Secret
	}{"1024", auth.NewSecret("7d8f1c5e-2a31-4f0b-9c55-0f6f3f1f8a10")}

	fmt.Printf("%+v\n", config)
	written, err := json.Marshal(config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(written))
	fmt.Println(config.ClientSecret.Reveal())
	// Output:
	// {ClientID:1024 ClientSecret:[redacted]}
	// {"ClientID":"1024","ClientSecret":"[redacted]"}
	// 7d8f1c5e-2a31-4f0b-9c55-0f6f3f1f8a10
}

// sharedToken is a token source that reads a token some other process keeps fresh.
type sharedToken struct{}

func (sharedToken) Token(context.Context) (auth.Secret, error) {
	return auth.NewSecret("header.payload.signature"), nil
}

func (sharedToken) Invalidate(auth.Secret) {}

func ExampleBearer() {
	setToken := auth.Bearer(sharedToken{})

	request, err := http.NewRequest(http.MethodGet, "https://api.homologacao.connectpsp.com/account/balance", http.NoBody)
	if err != nil {
		log.Fatal(err)
	}
	if err := setToken(context.Background(), request); err != nil {
		log.Fatal(err)
	}
	fmt.Println(request.Header.Get("Authorization"))
	// Output: Bearer header.payload.signature
}

func ExampleApplicationToken() {
	setApplication := auth.ApplicationToken(auth.NewSecret("a99b1c3e-1111-4111-8111-0a99110ca710"))

	request, err := http.NewRequest(http.MethodGet, "https://api.homologacao.connectpsp.com/account/balance", http.NoBody)
	if err != nil {
		log.Fatal(err)
	}
	if err := setApplication(context.Background(), request); err != nil {
		log.Fatal(err)
	}
	fmt.Println(request.Header.Get(auth.ApplicationTokenHeader))
	// Output: a99b1c3e-1111-4111-8111-0a99110ca710
}

func ExampleNewClientCredentials() {
	gateway := httptest.NewServer(http.HandlerFunc(standIn))
	defer gateway.Close()

	client, err := gen.NewClient(gateway.URL, gen.WithHTTPClient(&http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}))
	if err != nil {
		log.Fatal(err)
	}
	source := auth.NewClientCredentials(client, "1024", auth.NewSecret("7d8f1c5e-2a31-4f0b-9c55-0f6f3f1f8a10"))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	token, err := source.Token(ctx)
	var failure *auth.Error
	switch {
	case errors.As(err, &failure) && !failure.Temporary():
		log.Fatal("wrong credentials? ", err)
	case err != nil:
		log.Fatal(err) // retry later
	}
	fmt.Println(token, token.Reveal())
	// Output: [redacted] header.payload.signature
}

// The editors work with the raw client too, for programs that want to see each HTTP response. Their
// order matters: the signature is made of the token.
func Example() {
	gateway := httptest.NewServer(http.HandlerFunc(standIn))
	defer gateway.Close()

	httpClient := gen.WithHTTPClient(&http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	// A client without editors requests the tokens.
	plain, err := gen.NewClient(gateway.URL, httpClient)
	if err != nil {
		log.Fatal(err)
	}
	source := auth.NewClientCredentials(plain, "1024", auth.NewSecret("7d8f1c5e-2a31-4f0b-9c55-0f6f3f1f8a10"))
	client, err := gen.NewClient(gateway.URL, httpClient,
		gen.WithRequestEditorFn(auth.Bearer(source)),
		gen.WithRequestEditorFn(auth.ApplicationToken(auth.NewSecret("a99b1c3e-1111-4111-8111-0a99110ca710"))),
		gen.WithRequestEditorFn(signing.Editor("b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11")),
	)
	if err != nil {
		log.Fatal(err)
	}

	withdrawal := strings.NewReader(`{
		"amount": 50.00,
		"externalReference": "withdrawal-user-42-001",
		"payee": {
			"name": "Maria Silva",
			"document": "12345678909",
			"destination": {"type": "PIX", "pixKeyType": "CPF", "pixKey": "12345678909"}
		}
	}`)
	// One key per withdrawal, and the same for every retry.
	key := idempotency.DeriveKey("1024", "createCashOut", "withdrawal-user-42-001", 0)
	response, err := client.CreateCashOutWithBody(context.Background(), "application/json", withdrawal, idempotency.Editor(key))
	if err != nil {
		log.Fatal(err) // it may have been paid nevertheless
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status)
	fmt.Println(string(body))
	// Output:
	// POST /cash-out
	//   Authorization: Bearer header.payload.signature
	//   ApplicationToken: a99b1c3e-1111-4111-8111-0a99110ca710
	//   DigitalSignature: 7730a774c9741be02b7be8970d667bfac0bf75eb82f82330daeeead9afd176d9
	//   X-Idempotency-Key: 391546be-ee7d-48bb-b74c-18ab1c9efc2b
	// 202 Accepted
	// {"transactionId":"0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11","status":"PROCESSING"}
}

// standIn is a handler that answers in place of the gateway.
func standIn(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/auth/token" {
		_, _ = io.WriteString(w, `{"accessToken":"header.payload.signature","tokenType":"Bearer","expiresIn":3600}`)
		return
	}
	fmt.Println(r.Method, r.URL.Path)
	for _, name := range []string{"Authorization", "ApplicationToken", "DigitalSignature", "X-Idempotency-Key"} {
		fmt.Printf("  %s: %s\n", name, r.Header.Get(name))
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"transactionId":"0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11","status":"PROCESSING"}`)
}
