package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/conformance"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// conformanceFlags are those of conformance.
type conformanceFlags struct {
	port                              int
	seed                              uint64
	webhookURL, creditedURL, expected string
}

const referenceMark = "{reference}"

// credentialsOfSeed1 are the variables of the sandbox by default, indented.
const credentialsOfSeed1 = `  CONNECTPSP_BASE_URL=http://127.0.0.1:8420
  CONNECTPSP_CLIENT_ID=5637
  CONNECTPSP_CLIENT_SECRET=c388b19e-b190-48a5-b034-9f61d90ae62b
  CONNECTPSP_APPLICATION_TOKEN=16847ed4-e37b-4789-bbc6-38a41365d995
  CONNECTPSP_CRYPTO_TOKEN=fe501f0f-d74c-4a9d-b00d-b70fb73d90cb
`

func (a *app) conformance() *cobra.Command {
	var f conformanceFlags
	command := leaf("conformance", "Test a receiver of webhooks, in any language",
		"conformance --webhook-url http://127.0.0.1:3000/hooks --credited-url 'http://127.0.0.1:3000/credited/{reference}'",
		func(ctx context.Context, _ []string) error { return a.runConformance(ctx, f) })
	command.Long = `Test a receiver of webhooks, in any language: post what the gateway and attackers post, and compare
what the receiver has credited with what was paid. It takes half a minute, and longer if the
receiver credits late: after the last event it waits three times as long as the slowest credit took.

Stop "connectpsp sandbox": this command serves a sandbox on the same --port, from which the receiver
may read charges. Run the receiver with the credentials of that sandbox, which are no secrets.
"connectpsp sandbox" prints those of a --seed. By default they are:

` + credentialsOfSeed1 + `
The receiver may keep its database from one run to the next, because ids are new each time.

The receiver has two more addresses in its tests. A GET of --credited-url returns how much it has
credited for a reference, such as 12.34, or 0.00 if nothing. A POST to --expect-url tells it of a
charge before its payment, as {"externalReference": "…", "amount": 12.34}.`
	flags := command.Flags()
	flags.StringVar(&f.webhookURL, "webhook-url", "", "the `URL` of the receiver's endpoint")
	flags.StringVar(&f.creditedURL, "credited-url", "", "the `URL` that returns the amount that was credited, with "+referenceMark+" in it")
	flags.StringVar(&f.expected, "expect-url", "", "the `URL` to post expected charges to; none if the receiver credits charges that it does not know")
	flags.IntVar(&f.port, "port", sandboxPort, "the `PORT` of the sandbox on 127.0.0.1; 0 chooses a free one")
	flags.Uint64Var(&f.seed, "seed", 1, "the `NUMBER` that the credentials of the sandbox derive from; ids do not")
	return command
}

// conformanceResult is the JSON of a case.
type conformanceResult struct {
	Case  string `json:"case"`
	Error string `json:"error,omitzero"`
	Why   string `json:"why,omitzero"`
}

func (a *app) runConformance(ctx context.Context, f conformanceFlags) (err error) {
	for _, flag := range []struct{ name, value, marked string }{
		{"--webhook-url", f.webhookURL, ""}, {"--credited-url", f.creditedURL, referenceMark}, {"--expect-url", f.expected, ""},
	} {
		if flag.name == "--expect-url" && flag.value == "" {
			continue
		}
		if !strings.Contains(flag.value, flag.marked) {
			return usage("%s must be a URL with %s where the reference of a charge goes, such as http://127.0.0.1:3000/credited/%[2]s", flag.name, flag.marked)
		}
		if _, err := checkURL(flag.name, flag.value); err != nil {
			return err
		}
	}
	box, err := sandbox.Start(sandbox.WithCredentialsOf(f.seed))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	socket, err := listenOn(loopback, f.port)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	var served sync.WaitGroup
	served.Go(func() { _ = serve(serving, socket, control.New(box)) })
	defer served.Wait()
	defer stop()
	return a.printConformance(conformance.CheckAll(ctx, box, f.receiver()))
}

// receiver returns the receiver behind the addresses of the flags.
func (f conformanceFlags) receiver() conformance.Receiver {
	r := conformance.Receiver{URL: f.webhookURL, Credited: f.credited}
	if f.expected != "" {
		r.Expect = f.expect
	}
	return r
}

// expect tells the receiver of a charge.
func (f conformanceFlags) expect(ctx context.Context, charge *connectpsp.CashIn) error {
	body, err := json.Marshal(struct {
		ExternalReference string     `json:"externalReference"`
		Amount            pix.Amount `json:"amount"`
	}{charge.ExternalReference, charge.Amount})
	if err != nil {
		return err
	}
	if _, err := ask(ctx, http.MethodPost, f.expected, body); err != nil {
		return fmt.Errorf("--expect-url: %w", err)
	}
	return nil
}

// credited asks the receiver how much it has credited for a reference.
func (f conformanceFlags) credited(ctx context.Context, reference string) (pix.Amount, error) {
	text, err := ask(ctx, http.MethodGet, strings.ReplaceAll(f.creditedURL, referenceMark, url.PathEscape(reference)), nil)
	var unreachable *url.Error
	if errors.As(err, &unreachable) {
		return pix.Amount{}, fmt.Errorf("--credited-url: %w", err)
	}
	if err != nil {
		return pix.Amount{}, fmt.Errorf("--credited-url: %w (it must return an amount for every reference, 0.00 if nothing is credited)", err)
	}
	amount, err := pix.ParseAmount(strings.TrimSpace(text))
	if err != nil {
		return amount, fmt.Errorf("--credited-url must return an amount such as 12.34: %w", err)
	}
	return amount, nil
}

// ask makes a request, and returns the body of a 2xx.
func ask(ctx context.Context, method, address string, body []byte) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: the response was %d", method, address, response.StatusCode)
	}
	return string(text), err
}

func (a *app) printConformance(results []conformance.Result) error {
	failed, untested := 0, len(conformance.Cases())-len(results)
	cases := make([]conformanceResult, len(results))
	var text strings.Builder
	for n, r := range results {
		cases[n].Case = r.Name
		if r.Err == nil {
			fmt.Fprintf(&text, "ok      %s\n", r.Name)
			continue
		}
		failed++
		cases[n].Error, cases[n].Why = r.Err.Error(), r.Why
		why := r.Why
		if untested > 0 {
			why = fmt.Sprintf("The other %d cases were not tested: they would fail too.", untested)
		}
		fmt.Fprintf(&text, "failed  %s\n        %s\n        %s\n", r.Name, oneLine(r.Err.Error()), why)
	}
	if a.json {
		if err := a.printJSON(map[string]any{"cases": cases, "failed": failed, "untested": untested}); err != nil {
			return err
		}
	} else if _, err := io.WriteString(a.stdout, text.String()); err != nil {
		return written(err)
	}
	if failed > 0 {
		return errReported
	}
	return nil
}
