package caller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/signing"
)

// Generated pays with the raw client and the request editors, as docs/calls.md shows it. It keeps
// connections as [Floor] does.
func Generated(url string, transport http.RoundTripper) (*Caller, error) {
	if transport == nil {
		transport = &http.Transport{MaxIdleConnsPerHost: 1 << 20}
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	tokens, err := gen.NewClient(url, gen.WithHTTPClient(client))
	if err != nil {
		return nil, err
	}
	source := auth.NewClientCredentials(tokens, clientID, auth.NewSecret(clientSecret))
	raw, err := gen.NewClient(url,
		gen.WithHTTPClient(client),
		gen.WithRequestEditorFn(auth.Bearer(source)),
		gen.WithRequestEditorFn(auth.ApplicationToken(auth.NewSecret(applicationToken))),
		gen.WithRequestEditorFn(signing.Editor(cryptoToken)),
	)
	if err != nil {
		return nil, err
	}
	return &Caller{
		Name: "gen",
		CashOut: func(ctx context.Context, reference string) (string, error) {
			var cashOut connectpsp.CashOut
			body, err := json.Marshal(CashOutRequest(reference))
			if err != nil {
				return "", err
			}
			response, err := raw.CreateCashOutWithBody(ctx, "application/json", bytes.NewReader(body), idempotency.Editor(idempotency.NewKey()))
			err = read(response, err, &cashOut)
			return cashOut.InternalCode, err
		},
		CashIn: func(ctx context.Context, reference string) (string, error) {
			var cashIn connectpsp.CashIn
			body, err := json.Marshal(CashInRequest(reference))
			if err != nil {
				return "", err
			}
			response, err := raw.CreateCashInWithBody(ctx, "application/json", bytes.NewReader(body), idempotency.Editor(idempotency.NewKey()))
			err = read(response, err, &cashIn)
			return cashIn.InternalCode, err
		},
	}, nil
}

func read(response *http.Response, err error, into any) error {
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("the gateway responded with %d", response.StatusCode)
	}
	return json.Unmarshal(text, into)
}
