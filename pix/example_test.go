package pix_test

import (
	"fmt"
	"log"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Read what a person types. Documents and keys print masked.
func Example() {
	amount, err := pix.ParseBRL("R$ 1.050,00")
	if err != nil {
		log.Fatal(err)
	}
	document, err := pix.ParseDocument("123.456.789-09")
	if err != nil {
		log.Fatal(err)
	}
	key, err := pix.ParseKey(pix.KeyTypeEmail, "Maria@Example.com")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(amount.Centavos(), document, key)
	fmt.Println(document.Text(), key.Text())
	// Output:
	// 105000 ***.456.789-** m***@example.com
	// 12345678909 maria@example.com
}

func ExampleCentavos() {
	price := pix.Centavos(1050)
	fmt.Println(price, price.BRL())
	// Output: 10.50 R$ 10,50
}

// An id of another length comes from elsewhere, such as a TxId.
func ExampleIsEndToEndID() {
	fmt.Println(pix.IsEndToEndID("E18236120202603101122s0123456789"))
	fmt.Println(pix.IsEndToEndID("kk6g232xel65a0daee4dd13kk2912714964"))
	// Output:
	// true
	// false
}
