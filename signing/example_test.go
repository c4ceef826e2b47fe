package signing_test

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"log"
	"net/http"

	"github.com/connectpsp/connectpsp-go/signing"
)

func ExampleSign() {
	signature := signing.Sign("b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11", "header.payload.signature")
	fmt.Println(signature)
	// Output: 7730a774c9741be02b7be8970d667bfac0bf75eb82f82330daeeead9afd176d9
}

// The editor signs the token that an earlier editor has put on the request.
func ExampleEditor() {
	sign := signing.Editor("b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11")

	request, err := http.NewRequest(http.MethodPost, "https://api.homologacao.connectpsp.com/cash-out", http.NoBody)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer header.payload.signature")
	if err := sign(context.Background(), request); err != nil {
		log.Fatal(err)
	}
	fmt.Println(request.Header.Get(signing.Header))
	// Output: 7730a774c9741be02b7be8970d667bfac0bf75eb82f82330daeeead9afd176d9
}

// A signature belongs to one token: after a new token the old signature is refused.
func Example() {
	const cryptoToken = "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11"
	for _, token := range []string{"header.first.signature", "header.second.signature"} {
		fmt.Println(signing.Header, signing.Sign(cryptoToken, token))
	}
	// Output:
	// DigitalSignature ad1f4a7388422181792c0c28c0bf339e3750069d6230a577671666d04b2e8d62
	// DigitalSignature 9d651dd63b515bf29256c05b770b0edd99a0aad732e62043390f39918bfdf202
}

// The signature of a webhook is one of its body. Package webhook checks it for you.
func ExampleSum() {
	sum := signing.Sum("crypto-token", []byte(`{"eventType":"CASHIN_PAID"}`))
	received, err := hex.DecodeString("f147d79896723b81728145c0283e40ec66ded858c871eabd784506922ffdd16b")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hmac.Equal(sum, received))
	// Output: true
}
