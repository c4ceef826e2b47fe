package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"

	"github.com/connectpsp/connectpsp-go/idempotency"
)

// A random key must be stored with the intent before anything is sent, so that every retry finds
// it.
func ExampleNewKey() {
	key := idempotency.NewKey()
	fmt.Println(len(key))
	// Output: 36
}

// A derived key needs no store: it follows from the reference.
func ExampleDeriveKey() {
	fmt.Println(idempotency.DeriveKey("1024", "createCashOut", "withdrawal-user-42-001", 0))

	// The gateway rejected the first attempt, and the same withdrawal is tried again.
	fmt.Println(idempotency.DeriveKey("1024", "createCashOut", "withdrawal-user-42-001", 1))
	// Output:
	// 391546be-ee7d-48bb-b74c-18ab1c9efc2b
	// 4292ce01-7d02-4e7c-8bc9-a83c576b2087
}

func ExampleEditor() {
	setKey := idempotency.Editor("391546be-ee7d-48bb-b74c-18ab1c9efc2b")

	body := strings.NewReader(`{"amount":10.50}`)
	request, err := http.NewRequest(http.MethodPost, "https://api.homologacao.connectpsp.com/cash-out", body)
	if err != nil {
		log.Fatal(err)
	}
	if err := setKey(context.Background(), request); err != nil {
		log.Fatal(err)
	}
	fmt.Println(request.Header.Get(idempotency.Header))
	fmt.Println("net/http can replay it:", request.GetBody != nil)
	// Output:
	// 391546be-ee7d-48bb-b74c-18ab1c9efc2b
	// net/http can replay it: false
}

// A payment keeps its key: a process that starts again derives the same one.
func Example() {
	for range 2 {
		key := idempotency.DeriveKey("1024", "createCashOut", "withdrawal-user-42-001", 0)
		request, err := http.NewRequest(http.MethodPost, "https://api.homologacao.connectpsp.com/cash-out", http.NoBody)
		if err != nil {
			log.Fatal(err)
		}
		if err := idempotency.Editor(key)(context.Background(), request); err != nil {
			log.Fatal(err)
		}
		fmt.Println(request.Header.Get(idempotency.Header))
	}
	// Output:
	// 391546be-ee7d-48bb-b74c-18ab1c9efc2b
	// 391546be-ee7d-48bb-b74c-18ab1c9efc2b
}

// A key of your own, such as from a table, in the form in which it is sent.
func ExampleParseKey() {
	fmt.Println(idempotency.ParseKey("391546BE-EE7D-48BB-B74C-18AB1C9EFC2B"))

	_, err := idempotency.ParseKey("00000000-0000-0000-0000-000000000000")
	fmt.Println(errors.Is(err, idempotency.ErrInvalidKey))
	// Output:
	// 391546be-ee7d-48bb-b74c-18ab1c9efc2b <nil>
	// true
}
