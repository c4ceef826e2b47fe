package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

const fileLimit = 1 << 20 // bytes of a file that is read as a whole

func (a *app) webhook() *cobra.Command {
	return family("webhook", "Receive, send, verify and sign webhooks", "webhook listen --forward-to http://127.0.0.1:8080/webhooks/connectpsp",
		a.webhookListen(), a.webhookSend(), a.webhookVerify(), a.webhookSign())
}

// readFile reads a file that a flag names; - is stdin.
func (a *app) readFile(flag, path string) ([]byte, error) {
	source := a.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usage("%s: %v", flag, err)
		}
		defer file.Close()
		source = file
	}
	data, err := io.ReadAll(io.LimitReader(source, fileLimit+1))
	switch {
	case err != nil:
		return nil, usage("%s: %v", flag, err)
	case len(data) > fileLimit:
		return nil, usage("%s: the file is larger than 1 MiB", flag)
	}
	return data, nil
}

func (a *app) webhookVerify() *cobra.Command {
	var bodyFile, headerFile string
	command := leaf("verify", "Verify a delivery that was captured",
		"webhook verify --body body.json --headers headers.txt\nwebhook verify --body body.json --headers headers.txt --json",
		func(context.Context, []string) error { return a.verify(bodyFile, headerFile) })
	command.Long = `Verify a delivery that was captured, with CONNECTPSP_CRYPTO_TOKEN.

The body must be the bytes as they came, without a line break at the end. The headers are lines
such as X-Connect-Signature: 1a2b. The sandbox has both of each webhook that it has sent, on its page
and under GET /_sandbox/v1/deliveries.

The exit status is 0 if the signature is right, 3 if it is wrong or missing, and 1 if it is right
and the body is no event. It is 2 if a file cannot be read or the CryptoToken is not set.

To try it, sign a body and verify it:
  printf '{"eventType":"CASHIN_PAID","data":{"transactionId":"a1"}}' > body.json
  connectpsp webhook sign --body body.json > headers.txt
  connectpsp webhook verify --body body.json --headers headers.txt`
	command.Flags().StringVar(&bodyFile, "body", "", "the `FILE` with the body, - for stdin")
	command.Flags().StringVar(&headerFile, "headers", "", "the `FILE` with the headers")
	return required(command, "body", "headers")
}

// eventResult is the JSON of an event.
type eventResult struct {
	Verified      bool       `json:"verified"`
	EventType     string     `json:"eventType,omitzero"`
	TransactionID string     `json:"transactionId,omitzero"`
	Status        string     `json:"transactionStatus,omitzero"`
	Amount        pix.Amount `json:"amount,omitzero"`
	Key           string     `json:"key,omitzero"`
	DeliveryID    string     `json:"deliveryId,omitzero"`
	Error         string     `json:"error,omitzero"`
}

// describe describes the result of [webhook.Parse].
func describe(event *webhook.Event, err error) eventResult {
	if err != nil {
		return eventResult{Error: err.Error(), Verified: !errors.Is(err, webhook.ErrInvalidSignature)}
	}
	r := eventResult{Verified: true, EventType: string(event.Type), Key: event.Key(), DeliveryID: event.DeliveryID}
	switch {
	case event.CashIn != nil:
		r.TransactionID, r.Status, r.Amount = event.CashIn.TransactionID, string(event.CashIn.Status), event.CashIn.Amount
	case event.CashOut != nil:
		r.TransactionID, r.Status, r.Amount = event.CashOut.TransactionID, string(event.CashOut.Status), event.CashOut.Amount
	}
	return r
}

func (a *app) verify(bodyFile, headerFile string) error {
	secret, err := a.cryptoToken()
	if err != nil {
		return err
	}
	body, err := a.readFile("--body", bodyFile)
	if err != nil {
		return err
	}
	text, err := a.readFile("--headers", headerFile)
	if err != nil {
		return err
	}
	header, err := parseHeaders(text)
	if err != nil {
		return err
	}
	event, err := webhook.Parse(body, header, secret)
	switch {
	case errors.Is(err, webhook.ErrInvalidSignature):
		return &rejectedError{err}
	case err != nil:
		return err
	}
	r := describe(event, nil)
	return a.print(r, row{"signature", "valid"}, row{"event", r.EventType}, row{"transaction", r.TransactionID},
		row{"status", r.Status}, row{"amount", amountOf(r.Amount)}, row{"key", r.Key}, row{"delivery", r.DeliveryID})
}

// parseHeaders reads lines of the form Name: value. A request line or a status line before them is
// skipped.
func parseHeaders(text []byte) (http.Header, error) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if line := strings.TrimSpace(string(first)); strings.HasPrefix(line, "HTTP/") || strings.Contains(line, " HTTP/") {
		text = rest
	}
	text = append(bytes.TrimSpace(text), "\n\n"...)
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(text))).ReadMIMEHeader()
	if err != nil {
		return nil, usage("--headers: the file must have lines of the form Name: value")
	}
	return http.Header(header), nil
}

func (a *app) webhookSign() *cobra.Command {
	var bodyFile string
	command := leaf("sign", "Sign a body as the gateway does", "webhook sign --body body.json\nwebhook sign --body body.json > headers.txt", func(context.Context, []string) error {
		secret, err := a.cryptoToken()
		if err != nil {
			return err
		}
		body, err := a.readFile("--body", bodyFile)
		if err != nil {
			return err
		}
		signature := hex.EncodeToString(signing.Sum(secret.Reveal(), body))
		if a.json {
			return a.printJSON(signResult{signature})
		}
		_, err = fmt.Fprintf(a.stdout, "%s: %s\n", webhook.SignatureHeader, signature)
		return written(err)
	})
	command.Long = `Sign a body with CONNECTPSP_CRYPTO_TOKEN as the gateway does, and print the header of the signature.

The signature is of the bytes of the file: a line break at the end counts. To try it:
  printf '{"eventType":"CASHIN_PAID","data":{"transactionId":"a1"}}' > body.json
  connectpsp webhook sign --body body.json`
	command.Flags().StringVar(&bodyFile, "body", "", "the `FILE` with the body, - for stdin")
	return required(command, "body")
}

// signResult is the JSON of a signature.
type signResult struct {
	Signature string `json:"signature"`
}
