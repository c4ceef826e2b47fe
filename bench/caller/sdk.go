package caller

import (
	"context"
	"net/http"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// SDK pays with the client, every default on.
func SDK(url string, transport http.RoundTripper) (*Caller, error) {
	var options []connectpsp.Option
	if transport != nil {
		options = append(options, connectpsp.WithHTTPClient(&http.Client{Transport: transport}))
	}
	client, err := connectpsp.New(Config(url), options...)
	if err != nil {
		return nil, err
	}
	return &Caller{
		Name: "connectpsp",
		CashOut: func(ctx context.Context, reference string) (string, error) {
			cashOut, err := client.CreateCashOut(ctx, CashOutRequest(reference))
			if err != nil {
				return "", err
			}
			return cashOut.InternalCode, nil
		},
		CashIn: func(ctx context.Context, reference string) (string, error) {
			cashIn, err := client.CreateCashIn(ctx, CashInRequest(reference))
			if err != nil {
				return "", err
			}
			return cashIn.InternalCode, nil
		},
	}, nil
}
