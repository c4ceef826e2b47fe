package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// responseTime is how long the gateway waits for the response to a webhook.
const responseTime = 5 * time.Second

// sendFlags are those of webhook send.
type sendFlags struct {
	to                       string
	times, parallel          int
	tamper, yes              bool
	transactionID, reference string
	amount, endToEndID       string
	name, document           string
	failureCode              string
}

var eventTypes = []webhook.EventType{
	webhook.CashInPaid, webhook.CashInRefunded, webhook.CashOutCompleted, webhook.CashOutFailed, webhook.CashOutRefunded,
}

func (a *app) webhookSend() *cobra.Command {
	var f sendFlags
	command := leaf("send EVENT", "Send an event with a valid signature to a receiver",
		"webhook send CASHIN_PAID --to http://127.0.0.1:8080/webhooks/connectpsp --reference order-7 --amount 10.50\n"+
			"webhook send CASHIN_PAID --to http://127.0.0.1:8080/webhooks/connectpsp --times 5 --parallel 5",
		func(ctx context.Context, args []string) error { return a.send(ctx, webhook.EventType(args[0]), &f) })
	command.Long = `Send an event with a valid signature to a receiver. EVENT is CASHIN_PAID, CASHIN_REFUNDED,
CASHOUT_COMPLETED, CASHOUT_FAILED or CASHOUT_REFUNDED.

All copies are the same event, each with an X-Event-Id of its own, as when the gateway sends it
again. A receiver must respond 200 within 5 seconds and have the effect once. With --tamper it must
refuse. The exit status is 1 if it does not.

The event is made here, also its --amount: no gateway has such a transaction unless you name one
with --reference and --transaction-id, and the output says so. A receiver that knows its orders, or
asks the gateway before it credits (webhook.WithConfirmation), must hold or ignore it. For an event
of a transaction that exists, pay a charge of the sandbox.`
	command.ValidArgs = []string{}
	for _, t := range eventTypes {
		command.ValidArgs = append(command.ValidArgs, string(t))
	}
	flags := command.Flags()
	flags.StringVar(&f.to, "to", "", "the `URL` of the receiver")
	flags.IntVar(&f.times, "times", 1, "how many copies are sent")
	flags.IntVar(&f.parallel, "parallel", 1, "how many copies are sent at the same time")
	flags.BoolVar(&f.tamper, "tamper", false, "change the body after it was signed: the receiver must refuse it")
	flags.StringVar(&f.transactionID, "transaction-id", "", "the transaction `ID` (default: a new one, which is made up)")
	flags.StringVar(&f.reference, "reference", "", "the reference (default: "+madeUpReference+", which is made up)")
	flags.StringVar(&f.amount, "amount", "10.50", "the amount in `REAIS` that the event states")
	flags.StringVar(&f.endToEndID, "end-to-end-id", "", "the end-to-end `ID` of the payment (default: a new one)")
	flags.StringVar(&f.name, "name", "Test User", "the name of the payer or payee")
	flags.StringVar(&f.document, "document", "12345678909", "the CPF or CNPJ of the payer or payee")
	flags.StringVar(&f.failureCode, "failure-code", string(connectpsp.FailurePIXKeyNotFound), "the `CODE` of CASHOUT_FAILED")
	addYes(command, &f.yes)
	return required(command, "to")
}

func (a *app) send(ctx context.Context, eventType webhook.EventType, f *sendFlags) error {
	if !slices.Contains(eventTypes, eventType) {
		return usage("EVENT must be one of CASHIN_PAID, CASHIN_REFUNDED, CASHOUT_COMPLETED, CASHOUT_FAILED and CASHOUT_REFUNDED")
	}
	if f.times < 1 || f.times > 100_000 || f.parallel < 1 || f.parallel > 1000 {
		return usage("--times must be from 1 to 100000, and --parallel from 1 to 1000")
	}
	target, err := checkURL("--to", f.to)
	if err != nil {
		return err
	}
	event, err := f.event(eventType, time.Now())
	if err != nil {
		return err
	}
	secret, err := a.cryptoToken()
	if err != nil {
		return err
	}
	if a.production { // a receiver in production credits money for it
		if err := a.mayConfirm(f.yes); err != nil {
			return err
		}
		if err := a.confirm(ctx, f.yes, "Send this event, signed as the gateway signs?",
			row{"event", string(eventType)}, row{"amount", event.amount.BRL()}, row{"reference", event.reference}, row{"to", target.Host}); err != nil {
			return err
		}
	}
	signature := hex.EncodeToString(signing.Sum(secret.Reveal(), event.body))
	if f.tamper {
		// A receiver that decodes the JSON before it verifies does not notice.
		event.body = append([]byte("{ "), event.body[1:]...)
	}
	r := sendCopies(ctx, target.String(), event.body, signature, f.times, f.parallel)
	r.EventType, r.TransactionID, r.ExternalReference, r.MadeUp = string(eventType), event.transactionID, event.reference, f.madeUp()
	return errors.Join(a.print(r, r.rows()...), r.verdict(f.tamper))
}

// madeUpReference is the reference of an event for which none was given.
const madeUpReference = "test-1"

// madeUp returns the flags that say which transaction an event is of, and were not given.
func (f *sendFlags) madeUp() (flags []string) {
	if f.reference == "" {
		flags = append(flags, "--reference")
	}
	if f.transactionID == "" {
		flags = append(flags, "--transaction-id")
	}
	return flags
}

// testEvent is an event that this program makes.
type testEvent struct {
	transactionID, reference string
	amount                   pix.Amount
	body                     []byte
}

func (f *sendFlags) event(eventType webhook.EventType, now time.Time) (testEvent, error) {
	amount, err := parseAmount("--amount", f.amount)
	if err != nil {
		return testEvent{}, err
	}
	cashIn := strings.HasPrefix(string(eventType), "CASHIN_")
	id := f.transactionID
	switch {
	case id == "" && cashIn:
		id = randomText(34)
	case id == "":
		id = uuid.NewString()
	}
	reference := cmp.Or(f.reference, madeUpReference)
	payment, refund := f.endToEndID, ""
	if payment == "" {
		payment = endToEndID('E', now)
	}
	switch eventType {
	case webhook.CashInRefunded, webhook.CashOutRefunded:
		payment, refund = endToEndID('D', now), payment
	case webhook.CashOutFailed:
		payment = ""
	}
	at := pix.Time{Time: now.Truncate(time.Second)}
	var data any
	if cashIn {
		charge := connectpsp.CashIn{
			TransactionID: id, InternalCode: "TEST01", ExternalReference: reference, EndToEndID: payment, OriginalEndToEndID: refund,
			Status: connectpsp.CashInPaid, Amount: amount, Payer: connectpsp.Payer{Name: f.name, Document: f.document}, RequestedAt: at, PaidAt: at,
		}
		if eventType == webhook.CashInRefunded {
			charge.Status, charge.RefundedAt = connectpsp.CashInRefunded, at
		}
		data = charge
	} else {
		out := connectpsp.CashOut{
			TransactionID: id, InternalCode: "TEST01", ExternalReference: reference, EndToEndID: payment, OriginalEndToEndID: refund,
			Amount: amount, RequestedAt: at, Payee: connectpsp.Payee{Name: f.name, Document: f.document,
				Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEVP, "123e4567-e89b-12d3-a456-426614174000")},
		}
		switch eventType {
		case webhook.CashOutCompleted:
			out.Status, out.CompletedAt = connectpsp.CashOutCompleted, at
		case webhook.CashOutFailed:
			out.Status, out.FailedAt = connectpsp.CashOutFailed, at
			out.Failure = &connectpsp.Failure{Code: connectpsp.FailureCode(f.failureCode), Message: "a test"}
		default:
			out.Status, out.CompletedAt, out.RefundedAt = connectpsp.CashOutRefunded, at, at
		}
		data = out
	}
	body, err := json.Marshal(map[string]any{"eventType": eventType, "eventAt": at.UTC(), "data": data})
	return testEvent{id, reference, amount, body}, err
}

// endToEndID makes an id of the form E or D, ISPB, minute, suffix.
func endToEndID(kind byte, at time.Time) string {
	return string(kind) + "99999999" + at.UTC().Format("200601021504") + randomText(11)
}

func randomText(length int) string {
	return strings.ToLower(rand.Text() + rand.Text())[:length]
}

// sendResult is the JSON of webhook send.
type sendResult struct {
	EventType         string         `json:"eventType"`
	TransactionID     string         `json:"transactionId"`
	ExternalReference string         `json:"externalReference"`
	MadeUp            []string       `json:"madeUp,omitzero"` // the flags whose values no command line gave
	Copies            int            `json:"copies"`
	Responses         map[string]int `json:"responses"`             // by status
	NoResponse        int            `json:"noResponse"`            // copies without a response, within 5 seconds or at all
	Error             string         `json:"error,omitzero"`        // of one of those
	Slowest           int64          `json:"slowestInMilliseconds"` // of the responses
}

// sendCopies posts a body so many times, and so many at a time.
func sendCopies(ctx context.Context, target string, body []byte, signature string, times, parallel int) *sendResult {
	r := &sendResult{Responses: map[string]int{}}
	client := &http.Client{
		Timeout:       responseTime,
		Transport:     &http.Transport{MaxIdleConnsPerHost: parallel},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, parallel)
	for range times {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-places }()
			begun := time.Now()
			status, err := postCopy(ctx, client, target, body, signature)
			mu.Lock()
			defer mu.Unlock()
			r.Copies++
			if err != nil {
				r.NoResponse++
				r.Error = oneLine(noResponse(err))
				return
			}
			r.Responses[strconv.Itoa(status)]++
			r.Slowest = max(r.Slowest, time.Since(begun).Milliseconds())
		})
	}
	all.Wait()
	return r
}

func postCopy(ctx context.Context, client *http.Client, target string, body []byte, signature string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.GetBody = nil // a copy is sent once
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(webhook.SignatureHeader, signature)
	request.Header.Set(webhook.EventIDHeader, uuid.NewString())
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// noResponse says why there is no response to a webhook.
func noResponse(err error) string {
	var failed *url.Error
	switch {
	case errors.As(err, &failed) && failed.Timeout():
		return "none came within 5 s, which the gateway waits"
	case errors.As(err, &failed):
		return failed.Err.Error()
	default:
		return err.Error()
	}
}

func (r *sendResult) rows() []row {
	rows := []row{{"event", r.EventType}, {"reference", r.ExternalReference}, {"transaction", r.TransactionID}}
	if len(r.MadeUp) > 0 {
		rows = append(rows, row{"made up", "the values of " + strings.Join(r.MadeUp, " and ") + ", which were not given"})
	}
	for _, status := range slices.Sorted(maps.Keys(r.Responses)) {
		rows = append(rows, row{"status " + status, strconv.Itoa(r.Responses[status])})
	}
	if r.NoResponse > 0 {
		rows = append(rows, row{"no response", strconv.Itoa(r.NoResponse)})
	}
	return append(rows, row{"slowest", fmt.Sprint(time.Duration(r.Slowest) * time.Millisecond)})
}

// verdict returns an error unless the receiver responded as it should.
func (r *sendResult) verdict(tampered bool) error {
	accepted := 0
	for status, n := range r.Responses {
		if status[0] == '2' {
			accepted += n
		}
	}
	switch {
	case r.NoResponse > 0:
		return fmt.Errorf("%d of %d copies got no response: %s", r.NoResponse, r.Copies, r.Error)
	case tampered && accepted > 0:
		return fmt.Errorf("the receiver accepted %d of %d copies with a wrong signature: it must verify the raw body", accepted, r.Copies)
	case !tampered && r.Responses["200"] != r.Copies:
		return fmt.Errorf("%d of %d copies got a status that is not 200: the gateway would send them again", r.Copies-r.Responses["200"], r.Copies)
	}
	return nil
}
