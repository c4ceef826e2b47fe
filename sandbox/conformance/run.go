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
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
)

const (
	responseTime = 5 * time.Second  // in which the gateway wants its 200
	creditTime   = 20 * time.Second // in which a receiver has to credit a payment
	pollPause    = 50 * time.Millisecond

	// After the last event of all cases, a wrong credit gets patience times as long as the slowest
	// right one took, and quiet at least.
	patience = 3
	quiet    = 2 * time.Second
)

// suite is a run of cases against one receiver.
type suite struct {
	gateway  *sandbox.Sandbox
	client   *connectpsp.Client
	sender   *http.Client // of deliveries: each has a connection of its own
	receiver Receiver
	secret   string
	slowest  atomic.Int64 // how long the slowest credit took, a [time.Duration]
}

func newSuite(gateway *sandbox.Sandbox, receiver Receiver) (*suite, error) {
	config := gateway.Config()
	client, err := connectpsp.New(config, connectpsp.WithHTTPClient(gateway.HTTPClient()))
	if err != nil {
		return nil, err
	}
	sender := gateway.HTTPClient()
	sender.Transport.(*http.Transport).DisableKeepAlives = true
	sender.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // as the gateway
	return &suite{gateway: gateway, client: client, sender: sender, receiver: receiver, secret: config.CryptoToken.Reveal()}, nil
}

// check runs cases at once.
func (s *suite) check(ctx context.Context, cases []Case) []*run {
	runs := make([]*run, len(cases))
	var running sync.WaitGroup
	for n, c := range cases {
		runs[n] = &run{suite: s}
		running.Go(func() { runs[n].do(ctx, c.check) })
	}
	running.Wait()
	return runs
}

// settle checks the credits of all cases once more, when a wrong one has had the time to come.
func (s *suite) settle(ctx context.Context, runs []*run) {
	passed := slices.DeleteFunc(slices.Clone(runs), func(r *run) bool { return r.err != nil })
	if len(passed) == 0 {
		return
	}
	timer := time.NewTimer(max(quiet, patience*time.Duration(s.slowest.Load())))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	var running sync.WaitGroup
	for _, r := range passed {
		running.Go(func() { r.do(ctx, (*run).compare) })
	}
	running.Wait()
}

// took records how long a credit took.
func (s *suite) took(credit time.Duration) {
	for {
		slowest := s.slowest.Load()
		if int64(credit) <= slowest || s.slowest.CompareAndSwap(slowest, int64(credit)) {
			return
		}
	}
}

// run is one run of a case. It is used by the goroutine of the case, except for post.
type run struct {
	*suite
	ctx  context.Context
	stop context.CancelCauseFunc
	kept []kept
	err  error // nil if the case has passed so far
}

// kept is a charge, and the amounts of which one may be credited for it at the end.
type kept struct {
	charge *connectpsp.CashIn
	right  []pix.Amount
}

// do calls a part of the case, and sets r.err.
func (r *run) do(ctx context.Context, part func(*run)) {
	r.ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		part(r)
	}()
	<-ended
	r.err = context.Cause(r.ctx)
}

// failf ends the part of the case: its goroutine goes no further.
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

// post makes one delivery and returns the status.
func (r *run) post(header http.Header, body io.Reader) (status int, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, responseTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.receiver.URL, body)
	if err != nil {
		return 0, err
	}
	request.Header = header
	response, err := r.sender.Do(request)
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

var errNoResponse = errors.New("the receiver did not respond to a valid event")

// acknowledges posts a signed event, and returns an error unless the receiver responds with 200 in
// time. The error wraps errNoResponse if it does not respond at all.
func (r *run) acknowledges(body []byte) error {
	status, err := r.post(sign(body, r.secret), bytes.NewReader(body))
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("%w within %v", errNoResponse, responseTime)
	case err != nil:
		return fmt.Errorf("%w: %w", errNoResponse, err)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("the receiver responded %d to a valid event: it must verify signatures with the CryptoToken of this sandbox", status)
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return fmt.Errorf("the receiver responded %d to a valid event: the URL must be that of its endpoint for webhooks", status)
	case status != http.StatusOK:
		return fmt.Errorf("the receiver responded %d to a valid event, and only 200 counts", status)
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
	if err != nil {
		r.failf("the receiver does not say how much it has credited: %w", err)
	}
	return amount
}

// credits waits until the receiver has credited charges in full.
func (r *run) credits(charges ...*connectpsp.CashIn) {
	begun := time.Now()
	for _, charge := range charges {
		for got := r.credited(charge); got != charge.Amount; got = r.credited(charge) {
			switch {
			case got.Centavos() > charge.Amount.Centavos():
				r.failf("the receiver credited R$ %v for a payment of R$ %v", got, charge.Amount)
			case time.Since(begun) > creditTime:
				r.failf("the receiver credited R$ %v for a payment of R$ %v, after %v", got, charge.Amount, creditTime)
			}
			r.pause()
		}
		r.took(time.Since(begun))
		r.kept = append(r.kept, kept{charge, []pix.Amount{charge.Amount}})
	}
}

// keeps checks that one of some amounts is credited for a charge, when the receiver has credited
// another payment that came after it. It is checked again when all cases have ended.
func (r *run) keeps(charge *connectpsp.CashIn, right ...pix.Amount) {
	r.works()
	r.kept = append(r.kept, kept{charge, right})
	r.compare()
}

// compare compares all that is credited in the case with what is right.
func (r *run) compare() {
	for _, k := range r.kept {
		if got := r.credited(k.charge); !slices.Contains(k.right, got) {
			r.failf("the receiver credited R$ %v for a charge, and R$ %v is right", got, k.right[len(k.right)-1])
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

// works checks that the receiver credits a payment.
func (r *run) works() {
	charge := r.paid()
	r.deliver(r.paidEvent(charge))
	r.credits(charge)
}
