package signing_test

import (
	"context"
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
