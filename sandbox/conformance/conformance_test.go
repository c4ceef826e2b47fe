package conformance_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
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
	var event struct {
		EventType string
		EventAt   time.Time
		Data      *struct {
			TransactionID, ExternalReference string
			Amount                           pix.Amount
		}
	}
	if json.Unmarshal(body, &event) != nil {
		return http.StatusOK
	}
	if event.Data == nil && r.flaw != "panics" {
		return http.StatusOK
	}
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
		key = request.Header.Get("X-Event-Id")
	}
	if r.seen[key] {
		return http.StatusOK
	}
	r.seen[key] = true
	switch event.EventType {
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

// open starts a receiver with a flaw, and the sandbox that it belongs to.
func open(t *testing.T, flaw string) (*sandbox.Sandbox, conformance.Receiver) {
	gateway, err := sandbox.Start(sandbox.WithMiddleware(contract.New(t).Middleware))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, gateway.Close()) })
	r := &receiver{flaw: flaw, secret: gateway.Config().CryptoToken.Reveal(), expected: map[string]pix.Amount{}, seen: map[string]bool{},
		status: map[string]string{}, credited: map[string]pix.Amount{}}
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
	flaws := map[string]string{ // by the case that finds it
		"an event is acknowledged and credited":                           "responds 204",
		"an event that is repeated is credited once":                      "deduplicates by X-Event-Id",
		"an event that comes late is credited":                            "refuses old events",
		"a payment that is told after its return is not credited":         "ignores the order",
		"an event that was changed is refused":                            "verifies nothing",
		"an event without a valid signature is refused":                   "skips a missing signature",
		"an event that contradicts the charge does not credit its amount": "trusts the amount",
		"an event of an unknown type is acknowledged and credits nothing": "refuses unknown types",
		"hostile bodies get a response and leave the receiver working":    "panics",
		"a huge body is cut off":                                          "reads everything",
		"slow requests are cut off and hold nothing up":                   "waits for slow bodies",
		"many events at once are acknowledged in time and credited":       "works before it responds",
	}
	for _, c := range conformance.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			flaw := flaws[c.Name]
			require.NotEmpty(t, flaw)
			gateway, receiver := open(t, flaw)
			err := c.Check(t.Context(), gateway, receiver)
			require.Error(t, err)
			assert.Contains(t, err.Error(), "the receiver ")
			assert.NotEmpty(t, c.Why)
		})
	}
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
