package conformance_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/conformance"
	"github.com/connectpsp/connectpsp-go/signing"
)

// receiver is a receiver as people write it by hand, with one flaw or none.
type receiver struct {
	flaw   string
	late   time.Duration // from the response to the credit
	secret string

	mu       sync.Mutex
	expected map[string]pix.Amount // by reference
	seen     map[string]bool
	status   map[string]string // by transaction
	credited map[string]pix.Amount
}

func (r *receiver) expect(_ context.Context, charge *connectpsp.CashIn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected[charge.ExternalReference] = charge.Amount
	return nil
}

func (r *receiver) creditOf(_ context.Context, reference string) (pix.Amount, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.credited[reference], nil
}

// event is what the receiver reads of an event.
type event struct {
	EventType string
	EventAt   time.Time
	Data      *struct {
		TransactionID, ExternalReference string
		Amount                           pix.Amount
	}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.WriteHeader(r.receive(w, request))
}

func (r *receiver) receive(w http.ResponseWriter, request *http.Request) int {
	if r.flaw != "waits for slow bodies" && r.flaw != "reads everything" {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
	}
	reading := io.Reader(request.Body)
	if r.flaw != "reads everything" {
		reading = http.MaxBytesReader(w, request.Body, 64<<10)
	}
	body, err := io.ReadAll(reading)
	if err != nil {
		return http.StatusRequestTimeout
	}
	signature := request.Header.Get("X-Connect-Signature")
	signed := signature == hex.EncodeToString(signing.Sum(r.secret, body))
	if r.flaw == "skips a missing signature" && signature == "" {
		signed = true
	}
	if !signed && r.flaw != "verifies nothing" {
		return http.StatusUnauthorized
	}
	var event event
	if json.Unmarshal(body, &event) != nil {
		return http.StatusOK
	}
	if event.Data == nil && r.flaw != "panics" {
		return http.StatusOK
	}
	late := r.late
	if event.EventType == "CASHIN_UNDER_REVIEW" && r.flaw == "credits unknown types, and later" {
		late *= 2
	}
	if late == 0 {
		return r.process(request.Header.Get("X-Event-Id"), event)
	}
	time.AfterFunc(late, func() { r.process(request.Header.Get("X-Event-Id"), event) })
	return http.StatusOK
}

// process credits what an event says, and returns the status of the response.
func (r *receiver) process(id string, event event) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flaw == "works before it responds" {
		time.Sleep(200 * time.Millisecond)
	}
	if r.flaw == "refuses old events" && time.Since(event.EventAt) > 5*time.Minute {
		return http.StatusBadRequest
	}
	key := event.EventType + event.Data.TransactionID
	if r.flaw == "deduplicates by X-Event-Id" {
		key = id
	}
	if r.seen[key] {
		return http.StatusOK
	}
	r.seen[key] = true
	kind := event.EventType
	if strings.HasPrefix(r.flaw, "credits unknown types") && kind != "CASHIN_REFUNDED" {
		kind = "CASHIN_PAID"
	}
	switch kind {
	case "CASHIN_PAID":
		known := r.expected[event.Data.ExternalReference]
		switch {
		case r.status[event.Data.TransactionID] != "" && r.flaw != "ignores the order":
		case known != event.Data.Amount && r.flaw != "trusts the amount":
		default:
			sum := r.credited[event.Data.ExternalReference]
			r.credited[event.Data.ExternalReference] = pix.Centavos(sum.Centavos() + event.Data.Amount.Centavos())
		}
	case "CASHIN_REFUNDED":
		r.status[event.Data.TransactionID] = "REFUNDED"
	default:
		if r.flaw == "refuses unknown types" {
			return http.StatusBadRequest
		}
	}
	if r.flaw == "responds 204" {
		return http.StatusNoContent
	}
	return http.StatusOK
}

func newReceiver(gateway *sandbox.Sandbox, flaw string) *receiver {
	return &receiver{flaw: flaw, secret: gateway.Config().CryptoToken.Reveal(), expected: map[string]pix.Amount{}, seen: map[string]bool{},
		status: map[string]string{}, credited: map[string]pix.Amount{}}
}

// open starts a receiver with a flaw, and the sandbox that it belongs to.
func open(t *testing.T, flaw string) (*sandbox.Sandbox, conformance.Receiver) {
	gateway, err := sandbox.Start(sandbox.WithMiddleware(contract.New(t).Middleware))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, gateway.Close()) })
	r := newReceiver(gateway, flaw)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return gateway, conformance.Receiver{URL: server.URL, Expect: r.expect, Credited: r.creditOf}
}

func TestAReceiverWithoutFlawsPasses(t *testing.T) {
	t.Parallel()
	gateway, receiver := open(t, "")
	conformance.Run(t, gateway, receiver)
}

func TestEachFlawOfAReceiverIsFound(t *testing.T) {
	flaws := map[string]struct{ flaw, says string }{ // by the case that finds it
		"an event is acknowledged and credited":                           {"responds 204", "responded 204 to a valid event"},
		"an event that is repeated is credited once":                      {"deduplicates by X-Event-Id", "credited R$ 61.70 for a payment of R$ 12.34"},
		"an event that comes late is credited":                            {"refuses old events", "responded 400"},
		"a payment that is told after its return is not credited":         {"ignores the order", "credited R$ 12.34 for a charge, and R$ 0.00 is right"},
		"an event that was changed is refused":                            {"verifies nothing", "responded 200 to an event whose amount was changed"},
		"an event without a valid signature is refused":                   {"skips a missing signature", "responded 200 to an event without a signature"},
		"an event that contradicts the charge does not credit its amount": {"trusts the amount", "credited R$ 1234.00 for a charge, and R$ 12.34 is right"},
		"an event of an unknown type is acknowledged and credits nothing": {"refuses unknown types", "responded 400"},
		"hostile bodies get a response and leave the receiver working":    {"panics", "did not respond to a signed body "},
		"a huge body is cut off":                                          {"reads everything", "16 MiB"},
		"slow requests are cut off and hold nothing up":                   {"waits for slow bodies", "waited for a body for longer than 20s"},
		"many events at once are acknowledged in time and credited":       {"works before it responds", "a listen backlog of 50 or more"},
	}
	for _, c := range conformance.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			flaw := flaws[c.Name]
			require.NotEmpty(t, flaw)
			gateway, receiver := open(t, flaw.flaw)
			err := c.Check(t.Context(), gateway, receiver)
			require.ErrorContains(t, err, "the receiver ")
			assert.ErrorContains(t, err, flaw.says)
			assert.NotEmpty(t, c.Why)
		})
	}
}

// inMemory tests a receiver in a bubble, where waiting takes no time. The receiver may be changed
// before.
func inMemory(t *testing.T, change func(*receiver, *conformance.Receiver), check func(*testing.T, *sandbox.Sandbox, conformance.Receiver)) {
	synctest.Test(t, func(t *testing.T) {
		gateway, err := sandbox.Start(sandbox.WithMemoryNetwork(), sandbox.WithMiddleware(contract.New(t).Middleware))
		require.NoError(t, err)
		defer func() { assert.NoError(t, gateway.Close()) }()
		r := newReceiver(gateway, "")
		tested := conformance.Receiver{URL: "http://127.0.0.1:8080/hooks", Expect: r.expect, Credited: r.creditOf}
		change(r, &tested)
		listener, err := gateway.Listen("127.0.0.1:8080")
		require.NoError(t, err)
		endpoint := http.NewServeMux()
		endpoint.Handle("POST /hooks", r)
		server := &http.Server{Handler: endpoint}
		defer server.Close()
		go func() { _ = server.Serve(listener) }()
		check(t, gateway, tested)
		time.Sleep(time.Minute) // every timer of the receiver has ended
	})
}

func TestAReceiverThatCreditsLateAndHasNoFlawsPasses(t *testing.T) {
	inMemory(t, func(r *receiver, _ *conformance.Receiver) { r.late = 15 * time.Second },
		func(t *testing.T, gateway *sandbox.Sandbox, receiver conformance.Receiver) {
			results := conformance.CheckAll(t.Context(), gateway, receiver)
			assert.Len(t, results, len(conformance.Cases()))
			for _, result := range results {
				assert.NoError(t, result.Err, result.Name)
			}
		})
}

func TestEachFlawOfAReceiverThatCreditsLateIsFound(t *testing.T) {
	for flaw, found := range map[string]string{ // by the case that finds it
		"deduplicates by X-Event-Id":       "an event that is repeated is credited once",
		"ignores the order":                "a payment that is told after its return is not credited",
		"trusts the amount":                "an event that contradicts the charge does not credit its amount",
		"credits unknown types":            "an event of an unknown type is acknowledged and credits nothing",
		"credits unknown types, and later": "an event of an unknown type is acknowledged and credits nothing",
	} {
		for _, late := range []time.Duration{time.Second, 3 * time.Second, 19 * time.Second} {
			t.Run(fmt.Sprint(flaw, " after ", late), func(t *testing.T) {
				inMemory(t, func(r *receiver, _ *conformance.Receiver) { r.flaw, r.late = flaw, late },
					func(t *testing.T, gateway *sandbox.Sandbox, receiver conformance.Receiver) {
						for _, result := range conformance.CheckAll(t.Context(), gateway, receiver) {
							if result.Name != found {
								assert.NoError(t, result.Err, result.Name)
								continue
							}
							assert.ErrorContains(t, result.Err, "the receiver credited R$ ")
							assert.ErrorContains(t, result.Check(t.Context(), gateway, receiver), "the receiver credited R$ ", "the case alone")
						}
					})
			})
		}
	}
}

func TestAReceiverThatCreditsNoEventIsTestedNoFurther(t *testing.T) {
	for says, change := range map[string]func(*receiver, *conformance.Receiver){
		"nothing listens on 127.0.0.1:3000":                         func(_ *receiver, r *conformance.Receiver) { r.URL = "http://127.0.0.1:3000/hooks" },
		"404 to a valid event: the URL must be that of":             func(_ *receiver, r *conformance.Receiver) { r.URL = "http://127.0.0.1:8080/" },
		"401 to a valid event: it must verify signatures with the ": func(r *receiver, _ *conformance.Receiver) { r.secret = "another" },
		"responded 204 to a valid event":                            func(r *receiver, _ *conformance.Receiver) { r.flaw = "responds 204" },
		"credited R$ 0.00 for a payment of R$ 12.34, after 20s":     func(r *receiver, _ *conformance.Receiver) { r.late = 25 * time.Second },
		"does not say how much it has credited: no such reference": func(_ *receiver, r *conformance.Receiver) {
			r.Credited = func(context.Context, string) (pix.Amount, error) {
				return pix.Amount{}, errors.New("no such reference")
			}
		},
		"has credited R$ 5.00 for a charge that is not paid yet": func(_ *receiver, r *conformance.Receiver) {
			r.Credited = func(context.Context, string) (pix.Amount, error) { return pix.Centavos(5_00), nil }
		},
	} {
		t.Run(says, func(t *testing.T) {
			inMemory(t, change, func(t *testing.T, gateway *sandbox.Sandbox, receiver conformance.Receiver) {
				results := conformance.CheckAll(t.Context(), gateway, receiver)
				require.Len(t, results, 1)
				assert.ErrorContains(t, results[0].Err, says)
				assert.NotContains(t, results[0].Err.Error(), "\n")
			})
		})
	}
}

func TestTheCheckEndsWithItsContext(t *testing.T) {
	inMemory(t, func(r *receiver, _ *conformance.Receiver) { r.late = 10 * time.Second },
		func(t *testing.T, gateway *sandbox.Sandbox, receiver conformance.Receiver) {
			for _, after := range []time.Duration{time.Second, 15 * time.Second} { // in the case, and while it waits for wrong credits
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				begun := time.Now()
				assert.ErrorIs(t, conformance.Cases()[0].Check(ctx, gateway, receiver), context.DeadlineExceeded)
				assert.Equal(t, after, time.Since(begun))
			}
		})
}

// A receiver that acknowledges everything and credits nothing.
func ExampleCase_Check() {
	gateway, err := sandbox.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	receiver := conformance.Receiver{
		URL:      server.URL,
		Credited: func(context.Context, string) (pix.Amount, error) { return pix.Amount{}, nil },
	}
	for _, c := range conformance.Cases() {
		if !strings.Contains(c.Name, "was changed") {
			continue // and only for this example
		}
		if err := c.Check(context.Background(), gateway, receiver); err != nil {
			fmt.Println(c.Name+":", err)
			fmt.Println(c.Why)
		}
	}
	// Output:
	// an event that was changed is refused: the receiver responded 200 to an event whose amount was changed after it was signed
	// Anybody who can reach the endpoint could credit any amount.
}
