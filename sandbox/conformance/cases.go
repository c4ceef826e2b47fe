package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

var cases = []Case{{
	Name:  "an event is acknowledged and credited",
	Why:   "Any other status than 200 within five seconds makes the gateway send the event again and again.",
	check: first,
}, {
	Name:  "an event that is repeated is credited once",
	Why:   "The gateway repeats an event until it gets its 200, with a new X-Event-Id each time, and two may arrive at once.",
	check: repeated,
}, {
	Name:  "an event that comes late is credited",
	Why:   "The gateway repeats for hours what was not acknowledged. A receiver that refuses old events loses deposits.",
	check: late,
}, {
	Name:  "a payment that is told after its return is not credited",
	Why:   "Events arrive in any order. The payer has the money back already.",
	check: reordered,
}, {
	Name:  "an event that was changed is refused",
	Why:   "Anybody who can reach the endpoint could credit any amount.",
	check: tampered,
}, {
	Name:  "an event without a valid signature is refused",
	Why:   "Anybody who can reach the endpoint could credit any amount.",
	check: unsigned,
}, {
	Name:  "an event that contradicts the charge does not credit its amount",
	Why:   "An amount that the charge does not have comes from a leaked CryptoToken or a fault: compare it with the order, or read the charge.",
	check: contradicting,
}, {
	Name:  "an event of an unknown type is acknowledged and credits nothing",
	Why:   "The provider may add types. A receiver that refuses them gets them again for hours.",
	check: unknownType,
}, {
	Name:  "hostile bodies get a response and leave the receiver working",
	Why:   "A receiver that panics drops the events beside them.",
	check: hostile,
}, {
	Name:  "a huge body is cut off",
	Why:   "An event has about a thousand bytes. A receiver that reads everything runs out of memory.",
	check: huge,
}, {
	Name:  "slow requests are cut off and hold nothing up",
	Why:   "A few hundred connections that send a byte a second take all of a receiver's memory or workers.",
	check: slow,
}, {
	Name:  "many events at once are acknowledged in time and credited",
	Why:   "After an outage the gateway sends everything at once. What is not acknowledged within five seconds comes again.",
	check: many,
}}

func first(r *run) {
	charge := r.charge(pix.Centavos(12_34))
	if got := r.credited(charge); !got.IsZero() {
		r.failf("the receiver says that it has credited R$ %v for a charge that is not paid yet", got)
	}
	r.must(r.gateway.PayCashIn(charge.TransactionID))
	r.deliver(r.paidEvent(charge))
	r.credits(charge)
}

func repeated(r *run) {
	charge := r.paid()
	body := r.paidEvent(charge)
	if _, err := together(5, func(int) error { return r.acknowledges(body) }); err != nil {
		r.failf("%w", err)
	}
	r.credits(charge)
	for range 3 {
		r.deliver(body)
	}
	r.keeps(charge, charge.Amount)
}

// together calls do n times at once. It returns how many calls failed, and the error of one.
func together(n int, do func(n int) error) (failed int, err error) {
	results := make(chan error, n)
	for n := range n {
		go func() { results <- do(n) }()
	}
	for range n {
		if failure := <-results; failure != nil {
			failed, err = failed+1, failure
		}
	}
	return failed, err
}

func late(r *run) {
	charge := r.paid()
	r.deliver(r.event("CASHIN_PAID", charge, r.gateway.Now().Add(-72*time.Hour)))
	r.credits(charge)
}

func reordered(r *run) {
	charge := r.paid()
	payment := r.paidEvent(charge)
	_, err := r.client.RefundCashIn(r.ctx, charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundCustomerRequest})
	r.must(err)
	r.must(r.gateway.SettleRefund(charge.TransactionID))
	r.deliver(r.event("CASHIN_REFUNDED", charge, r.gateway.Now()))
	r.keeps(charge, pix.Centavos(0)) // the return has been processed, too
	r.deliver(payment)
	r.keeps(charge, pix.Centavos(0))
}

func tampered(r *run) {
	charge := r.paid()
	body := r.paidEvent(charge)
	changed := bytes.Replace(body, []byte("12.34"), []byte("1234.00"), 1)
	r.refuses("an event whose amount was changed after it was signed", sign(body, r.secret), changed)
	r.deliver(body)
	r.credits(charge)
}

func unsigned(r *run) {
	charge := r.paid()
	body := r.paidEvent(charge)
	without, empty, of := sign(body, r.secret), sign(body, r.secret), sign(body, r.secret)
	without.Del("X-Connect-Signature")
	empty.Set("X-Connect-Signature", "")
	of.Set("X-Connect-Signature", sign([]byte(without.Get("X-Event-Id")), r.secret).Get("X-Connect-Signature"))
	r.refuses("an event without a signature", without, body)
	r.refuses("an event with an empty signature", empty, body)
	r.refuses("an event with the signature of other bytes", of, body)
	r.refuses("an event that is signed with another CryptoToken", sign(body, uuid.NewString()), body)
	r.refuses("an event that is signed with an empty CryptoToken", sign(body, ""), body)
	r.keeps(charge, pix.Centavos(0))
}

func contradicting(r *run) {
	charge := r.paid()
	body := bytes.Replace(r.paidEvent(charge), []byte("12.34"), []byte("1234.00"), 1)
	_, _ = r.post(sign(body, r.secret), bytes.NewReader(body)) // any response will do
	r.keeps(charge, pix.Centavos(0), charge.Amount)
}

func unknownType(r *run) {
	charge := r.charge(pix.Centavos(12_34))
	r.deliver(r.event("CASHIN_UNDER_REVIEW", charge, r.gateway.Now()))
	r.keeps(charge, pix.Centavos(0))
}

func hostile(r *run) {
	for what, body := range map[string]string{
		"that is empty": "", "that is no JSON": "\x00\xff<html>", "of null": "null", "of an array": "[]", "of a number": "1e400",
		"of an object without members": "{}",
		"with null as data":            `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":null}`,
		"with text as data":            `{"eventType":"CASHIN_PAID","data":"x"}`,
		"with an amount as text":       `{"eventType":"CASHIN_PAID","data":{"transactionId":"1","amount":"NaN","status":"PAID"}}`,
		"with a negative amount":       `{"eventType":"CASHIN_PAID","data":{"transactionId":"1","externalReference":"x","amount":-1e300,"status":"PAID"}}`,
		"nested ten thousand deep":     strings.Repeat(`{"data":`, 5000) + strings.Repeat("[", 5000),
	} {
		if _, err := r.post(sign([]byte(body), r.secret), strings.NewReader(body)); err != nil {
			r.failf("the receiver did not respond to a signed body %s: %w", what, err)
		}
	}
	r.works()
}

// tooMuch is more than a receiver has any reason to read.
const tooMuch = 16 << 20

func huge(r *run) {
	body := &spaces{left: tooMuch}
	status, err := r.post(sign(nil, uuid.NewString()), io.MultiReader(body)) // its length is not told
	switch {
	case err == nil && status/100 == 2:
		r.failf("the receiver responded %d to %d MiB", status, tooMuch>>20)
	case body.read() >= tooMuch:
		r.failf("the receiver read all of %d MiB", tooMuch>>20)
	}
	r.works()
}

// spaces is a body that counts what is read of it.
type spaces struct {
	mu         sync.Mutex
	done, left int
}

func (s *spaces) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(p), s.left)
	if n == 0 {
		return 0, io.EOF
	}
	for i := range p[:n] {
		p[i] = ' '
	}
	s.done, s.left = s.done+n, s.left-n
	return n, nil
}

func (s *spaces) read() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// longestBody is the time for which a receiver may wait for a body.
const longestBody = 20 * time.Second

func slow(r *run) {
	const connections = 20
	ended := make(chan error, connections)
	for range connections {
		go func() { ended <- r.trickle() }()
	}
	r.works()
	for range connections {
		if err := <-ended; err != nil {
			r.failf("%w", err)
		}
	}
}

// trickle sends a byte a second, and returns an error if the receiver waits for too long.
func (r *run) trickle() error {
	body, writer := io.Pipe()
	defer writer.Close()
	request, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.receiver.URL, body)
	if err != nil {
		return err
	}
	request.ContentLength, request.Header = 1000, sign(nil, r.secret)
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		response, err := r.sender.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
	}()
	return r.feed(writer, cut)
}

// feed writes a byte a second until the request has ended.
func (r *run) feed(body io.Writer, ended <-chan struct{}) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	limit := time.NewTimer(longestBody)
	defer limit.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-second.C:
			go func() { _, _ = body.Write([]byte(" ")) }() // it waits while the receiver does not read
		case <-limit.C:
			return fmt.Errorf("the receiver waited for a body for longer than %v", longestBody)
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
}

func many(r *run) {
	const events = 50
	var charges []*connectpsp.CashIn
	var bodies [][]byte
	for range events {
		charge := r.paid()
		charges, bodies = append(charges, charge), append(bodies, r.paidEvent(charge))
	}
	failed, err := together(events, func(n int) error { return r.acknowledges(bodies[n]) })
	switch {
	case errors.Is(err, errNoResponse):
		r.failf("%d of %d events that came at once, each on a connection of its own, failed: %w; respond before the work is done, "+
			"and have a listen backlog of %d or more (Python's request_queue_size is 5)", failed, events, err, events)
	case err != nil:
		r.failf("%d of %d events that came at once failed: %w", failed, events, err)
	}
	r.credits(charges...)
}
