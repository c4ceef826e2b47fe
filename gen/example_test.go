package gen_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// The raw client with the request editors of the SDK: you see each HTTP response.
func Example() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	config := gateway.Config()

	// A redirect would carry credentials to another place.
	httpClient := gen.WithHTTPClient(&http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	tokens, err := gen.NewClient(gateway.URL(), httpClient)
	if err != nil {
		log.Fatal(err)
	}
	client, err := gen.NewClient(gateway.URL(), httpClient,
		gen.WithRequestEditorFn(auth.Bearer(auth.NewClientCredentials(tokens, config.ClientID, config.ClientSecret))),
		gen.WithRequestEditorFn(auth.ApplicationToken(config.ApplicationToken)))
	if err != nil {
		log.Fatal(err)
	}
	response, err := client.GetBalance(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	// Output: 200 OK
}
