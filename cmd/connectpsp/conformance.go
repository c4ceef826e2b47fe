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

func (a *app) conformance() *cobra.Command {
	var f conformanceFlags
	command := leaf("conformance", "Test a receiver of webhooks, in any language",
		"conformance --webhook-url http://127.0.0.1:3000/hooks --credited-url 'http://127.0.0.1:3000/credited/{reference}'",
		func(ctx context.Context, _ []string) error { return a.runConformance(ctx, f) })
	command.Long = `Test a receiver of webhooks, in any language: post what the gateway and attackers post, and compare
what the receiver has credited with what was paid. It takes half a minute.

Run the receiver with the credentials that "connectpsp sandbox" prints, and stop that sandbox: this
command serves one with the same --seed on the same --port, from which the receiver may read
charges. The receiver has two more addresses in its tests: a GET of --credited-url returns how much
it has credited for a reference, such as 12.34, and a POST to --expect-url tells it of a charge
before its payment, as {"externalReference": "…", "amount": 12.34}.`
	flags := command.Flags()
	flags.StringVar(&f.webhookURL, "webhook-url", "", "the `URL` of the receiver's endpoint")
	flags.StringVar(&f.creditedURL, "credited-url", "", "the `URL` that returns the amount that was credited, with "+referenceMark+" in it")
	flags.StringVar(&f.expected, "expect-url", "", "the `URL` to post expected charges to; none if the receiver credits charges that it does not know")
	flags.IntVar(&f.port, "port", sandboxPort, "the `PORT` of the sandbox on 127.0.0.1; 0 chooses a free one")
	flags.Uint64Var(&f.seed, "seed", 1, "the `NUMBER` that the credentials of the sandbox derive from")
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
		if _, err := checkURL(flag.name, flag.value); err != nil {
			return err
		}
		if !strings.Contains(flag.value, flag.marked) {
			return usage("%s must have %s in it, where the reference of a charge goes", flag.name, flag.marked)
		}
	}
	box, err := sandbox.Start(sandbox.WithSeed(f.seed))
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
	return a.printConformance(checkAll(ctx, box, f.receiver()))
}

// checkAll runs all cases at once, and returns their results in the order of the cases.
func checkAll(ctx context.Context, box *sandbox.Sandbox, receiver conformance.Receiver) []conformanceResult {
	cases := conformance.Cases()
	results := make([]conformanceResult, len(cases))
	var running sync.WaitGroup
	for n, c := range cases {
		running.Go(func() {
			results[n].Case = c.Name
			if err := c.Check(ctx, box, receiver); err != nil {
				results[n].Error, results[n].Why = err.Error(), c.Why
			}
		})
	}
	running.Wait()
	return results
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
	_, err = ask(ctx, http.MethodPost, f.expected, body)
	return err
}

// credited asks the receiver how much it has credited for a reference.
func (f conformanceFlags) credited(ctx context.Context, reference string) (pix.Amount, error) {
	text, err := ask(ctx, http.MethodGet, strings.ReplaceAll(f.creditedURL, referenceMark, url.PathEscape(reference)), nil)
	if err != nil {
		return pix.Amount{}, err
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

func (a *app) printConformance(results []conformanceResult) error {
	failed := 0
	var text strings.Builder
	for _, r := range results {
		if r.Error == "" {
			fmt.Fprintf(&text, "ok      %s\n", r.Case)
			continue
		}
		failed++
		fmt.Fprintf(&text, "failed  %s\n        %s\n        %s\n", r.Case, oneLine(r.Error), r.Why)
	}
	if a.json {
		if err := a.printJSON(map[string]any{"cases": results, "failed": failed}); err != nil {
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
