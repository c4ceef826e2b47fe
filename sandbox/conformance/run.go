package conformance

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
)

const (
	answerTime = 5 * time.Second  // in which the gateway wants its 200
	creditTime = 20 * time.Second // in which a receiver has to credit a payment
	quiet      = 2 * time.Second  // after which nothing more is credited
	pollPause  = 50 * time.Millisecond
)

// run is one run of a case. It is used by the goroutine of the case, except for post.
type run struct {
	ctx      context.Context
	stop     context.CancelCauseFunc
	gateway  *sandbox.Sandbox
	client   *connectpsp.Client
	receiver Receiver
	secret   string
}

// failf ends the case: its goroutine goes no further.
func (r *run) failf(format string, arguments ...any) {
	r.stop(fmt.Errorf(format, arguments...))
	runtime.Goexit()
}

// must ends the case after an error that is not the receiver's.
func (r *run) must(err error) {
	if err != nil {
		r.failf("the case could not be run: %w", err)
	}
}

// charge creates a charge that the receiver expects. The sandbox sends no webhooks for it.
func (r *run) charge(amount pix.Amount) *connectpsp.CashIn {
	charge, err := r.client.CreateCashIn(r.ctx, connectpsp.CashInRequest{
		Amount: amount, ExternalReference: "conformance-" + uuid.NewString(),
		Payer: connectpsp.Payer{Name: "Test User", Document: "12345678909"},
	})
	r.must(err)
	if r.receiver.Expect != nil {
		r.must(r.receiver.Expect(r.ctx, charge))
	}
	return charge
}

// paid creates a charge of R$ 12.34 and pays it.
func (r *run) paid() *connectpsp.CashIn {
	charge := r.charge(pix.Centavos(12_34))
	r.must(r.gateway.PayCashIn(charge.TransactionID))
	return charge
}

// event returns the body of an event of a charge as it is now.
func (r *run) event(eventType string, charge *connectpsp.CashIn, at time.Time) []byte {
	var response connectpsp.RawResponse
	_, err := r.client.GetCashIn(r.ctx, charge.TransactionID, connectpsp.WithRawResponse(&response))
	r.must(err)
	body, err := json.Marshal(map[string]any{
		"eventType": eventType, "eventAt": at.UTC().Truncate(time.Second), "data": json.RawMessage(response.Body),
	})
	r.must(err)
	return body
}

func (r *run) paidEvent(charge *connectpsp.CashIn) []byte {
	return r.event("CASHIN_PAID", charge, r.gateway.Now())
}

// sign returns the header of a delivery with a secret.
func sign(body []byte, secret string) http.Header {
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("X-Event-Id", uuid.NewString())
	header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(secret, body)))
	return header
}

// post makes one delivery and returns the status, as the gateway does: it follows no redirect.
func (r *run) post(header http.Header, body io.Reader) (status int, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, answerTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.receiver.URL, body)
	if err != nil {
		return 0, err
	}
	request.Header = header
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, err
}

// deliver posts a signed event, which the receiver must acknowledge.
func (r *run) deliver(body []byte) {
	if err := r.acknowledges(body); err != nil {
		r.failf("%w", err)
	}
}

// acknowledges posts a signed event, and returns an error unless the receiver responds with 200 in
// time.
func (r *run) acknowledges(body []byte) error {
	status, err := r.post(sign(body, r.secret), bytes.NewReader(body))
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("the receiver did not respond to an event within %v", answerTime)
	case err != nil:
		return fmt.Errorf("the receiver did not respond to an event: %w", err)
	case status != http.StatusOK:
		return fmt.Errorf("the receiver responded %d to an event, and only 200 counts", status)
	}
	return nil
}

// refuses posts a delivery that the receiver must not acknowledge.
func (r *run) refuses(what string, header http.Header, body []byte) {
	status, err := r.post(header, bytes.NewReader(body))
	if err == nil && status/100 == 2 {
		r.failf("the receiver responded %d to %s", status, what)
	}
}

func (r *run) credited(charge *connectpsp.CashIn) pix.Amount {
	amount, err := r.receiver.Credited(r.ctx, charge.ExternalReference)
	r.must(err)
	return amount
}

// credits waits until the receiver has credited an amount for a charge, and checks that it does not
// credit more.
func (r *run) credits(charge *connectpsp.CashIn, want pix.Amount) {
	for begun := time.Now(); r.credited(charge) != want; r.pause() {
		switch got := r.credited(charge); {
		case got.Centavos() > want.Centavos():
			r.failf("the receiver credited R$ %v for a payment of R$ %v", got, want)
		case time.Since(begun) > creditTime:
			r.failf("the receiver credited R$ %v for a payment of R$ %v, after %v", got, want, creditTime)
		}
	}
	r.keeps(charge, want)
}

// keeps checks for a moment that what is credited for a charge does not change.
func (r *run) keeps(charge *connectpsp.CashIn, want pix.Amount) {
	for begun := time.Now(); time.Since(begun) < quiet; r.pause() {
		if got := r.credited(charge); got != want {
			r.failf("the receiver credited R$ %v where R$ %v are right", got, want)
		}
	}
}

func (r *run) pause() {
	timer := time.NewTimer(pollPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ctx.Done():
		runtime.Goexit()
	}
}

// works checks that the receiver still credits a payment.
func (r *run) works() {
	charge := r.paid()
	r.deliver(r.paidEvent(charge))
	r.credits(charge, charge.Amount)
}
