package connectpsp_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
)

var (
	socketSchedules = flag.Int("sockets.n", 3000, "how many orders are paid over real sockets")
	socketSeed      = flag.Uint64("sockets.seed", rand.Uint64(), "what the faults on real sockets are drawn from")
)

const (
	overHTTP  = "HTTP/1.1"
	overTLS   = "HTTP/1.1 over TLS"
	overHTTP2 = "HTTP/2"
)

// TestOverRealSocketsAnOrderIsPaidOnceAndReportedRight pays orders over connections that are kept,
// cut, reset and closed at the wrong moment, many at once through few clients. After a rejection the
// caller pays again under a new reference or with WithAttempt. After an unknown outcome the caller
// repeats the call. Every order is paid once, no executed payment is reported as rejected, no other
// is reported as accepted, and the gateway receives only requests of the SDK.
func TestOverRealSocketsAnOrderIsPaidOnceAndReportedRight(t *testing.T) {
	t.Logf("-sockets.n=%d -sockets.seed=%d", *socketSchedules, *socketSeed)
	const batch = 200 // orders of one client: so many failures that its budget for retries is used, and not spent
	for i, protocol := range []string{overHTTP, overTLS, overHTTP2} {
		t.Run(protocol, func(t *testing.T) {
			var total socketFigures
			last := (i + 1) * *socketSchedules / 3
			for from := i * *socketSchedules / 3; from < last && !t.Failed(); from += batch {
				total.add(paySocketBatch(t, protocol, from, min(from+batch, last), total.orders < 200))
			}
			t.Log(total)
			for _, outcome := range []string{accepted, rejected, unknown} {
				assert.NotZero(t, total.outcomes[outcome], "it was never seen: %s", outcome)
			}
			assert.Less(t, 2*total.connections, total.requests, "connections are kept")
		})
	}
}

// socketFigures tell what a test did.
type socketFigures struct {
	orders, unsettled     int
	requests, connections int64
	outcomes              map[string]int
}

func (f *socketFigures) add(more socketFigures) {
	f.orders += more.orders
	f.unsettled += more.unsettled
	f.requests += more.requests
	f.connections += more.connections
	if f.outcomes == nil {
		f.outcomes = map[string]int{}
	}
	for outcome, n := range more.outcomes {
		f.outcomes[outcome] += n
	}
}

func (f socketFigures) String() string {
	text := fmt.Sprintf("%d orders, %d requests, %d connections, %d orders open in the end; outcomes of calls:",
		f.orders, f.requests, f.connections, f.unsettled)
	for _, outcome := range slices.Sorted(maps.Keys(f.outcomes)) {
		text += fmt.Sprintf(" %d %s,", f.outcomes[outcome], outcome)
	}
	return strings.TrimSuffix(text, ",")
}

// paySocketBatch pays some orders at once through one client, and judges them.
func paySocketBatch(t *testing.T, protocol string, from, to int, checked bool) socketFigures {
	const callers = 24
	gateway := newSocketGateway(t, protocol, checked)
	transport := connectpsp.NewTransport()
	if protocol != overHTTP {
		transport.TLSClientConfig.RootCAs = gateway.server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	attempts := &attemptCounter{}
	client, err := connectpsp.New(config(gateway.server.URL),
		connectpsp.WithHTTPClient(&http.Client{Transport: transport}),
		connectpsp.WithLogger(slog.New(attempts)),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Nanosecond, MaxDelay: time.Nanosecond}),
	)
	require.NoError(t, err)

	orders := make([]*socketCaller, to-from)
	for n := range orders {
		orders[n] = newSocketCaller(t, client, gateway, from+n)
	}
	together := func(do func(*socketCaller)) {
		var next atomic.Int64
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for n := int(next.Add(1)) - 1; n < len(orders); n = int(next.Add(1)) - 1 {
					do(orders[n])
				}
			})
		}
		all.Wait()
	}
	together(func(order *socketCaller) { order.pay(5) })
	gateway.calm.Store(true)
	together(func(order *socketCaller) { order.pay(5) })
	gateway.close()

	figures := socketFigures{orders: len(orders), requests: gateway.requests.Load(), connections: gateway.connections.Load(),
		outcomes: map[string]int{}}
	for _, order := range orders {
		order.judge(attempts.of(order.name))
		if order.open {
			figures.unsettled++
		}
		for _, claim := range order.claims {
			figures.outcomes[claim.outcome]++
		}
	}
	return figures
}

// socketCaller is the program that has an order to pay.
type socketCaller struct {
	t       *testing.T
	client  *connectpsp.Client
	name    string
	gateway *socketOrder
	chance  *rand.Rand

	amount    pix.Amount
	reference int // how many references were used before
	attempt   int // for WithAttempt
	claims    []socketClaim
	open      bool
	doubt     *connectpsp.UnknownOutcomeError // of this reference and attempt, nil if there was none
}

// socketClaim is what the SDK said of one call, or of two that were made at once.
type socketClaim struct {
	reference string
	attempt   int
	outcome   string
}

func newSocketCaller(t *testing.T, client *connectpsp.Client, gateway *socketGateway, n int) *socketCaller {
	chance := rand.New(rand.NewPCG(*socketSeed, uint64(n)))
	order := &socketOrder{
		chance:     rand.New(rand.NewPCG(chance.Uint64(), 0)),
		forgetful:  chance.IntN(4) == 0,
		keys:       map[string]bool{},
		references: map[string]bool{},
	}
	name := fmt.Sprintf("order-%d", n)
	gateway.orders.Store(name, order)
	return &socketCaller{t: t, client: client, name: name, gateway: order, chance: chance, amount: pix.Centavos(1 + int64(n)), open: true}
}

func (c *socketCaller) request() connectpsp.CashOutRequest {
	request := cashOutRequest()
	request.ExternalReference = fmt.Sprintf("%s/%d", c.name, c.reference)
	request.Amount = c.amount
	return request
}

// pay does what the SDK says until the order is paid, in so many calls at most.
func (c *socketCaller) pay(calls int) {
	for ; c.open && calls > 0; calls-- {
		request := c.request()
		var err error
		if c.doubt != nil && c.chance.IntN(3) == 0 {
			_, err = c.client.ResolveCashOut(c.t.Context(), throughJSON(c.t, c.doubt), request)
		} else {
			err = c.call(request)
		}
		outcome := outcomeOf(err)
		c.claims = append(c.claims, socketClaim{request.ExternalReference, c.attempt, outcome})
		c.open = outcome != accepted
		switch {
		case outcome != rejected:
			errors.As(err, &c.doubt)
		case errors.Is(err, connectpsp.ErrNotSent) && c.chance.IntN(2) == 0: // the same again
		case c.chance.IntN(2) == 0:
			c.attempt++
		default:
			c.reference, c.attempt = c.reference+1, 0
		}
	}
}

// call makes the call once, or twice at the same time. If either may have paid, so may both.
func (c *socketCaller) call(request connectpsp.CashOutRequest) error {
	attempt := connectpsp.WithAttempt(c.attempt)
	if c.chance.IntN(8) != 0 {
		_, err := c.client.CreateCashOut(c.t.Context(), request, attempt)
		return err
	}
	second := make(chan error)
	go func() {
		_, err := c.client.CreateCashOut(c.t.Context(), request, attempt)
		second <- err
	}()
	_, err := c.client.CreateCashOut(c.t.Context(), request, attempt)
	other := <-second
	if err == nil || outcomeOf(err) != rejected && other != nil {
		return err
	}
	return other
}

func throughJSON(t *testing.T, doubt *connectpsp.UnknownOutcomeError) *connectpsp.UnknownOutcomeError {
	read := new(connectpsp.UnknownOutcomeError)
	written, err := json.Marshal(doubt)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(written, read))
	return read
}

// judge compares what the caller was told with what the gateway did.
func (c *socketCaller) judge(attempts int) {
	gateway := c.gateway
	gateway.mu.Lock()
	defer gateway.mu.Unlock()
	wrong := func(format string, arguments ...any) {
		c.t.Errorf("%s %s; told: %v; faults: %v", c.name, fmt.Sprintf(format, arguments...), c.claims, gateway.story)
	}
	if gateway.executed > 1 {
		wrong("was paid %d times", gateway.executed)
	}
	if gateway.received > attempts {
		wrong("was received %d times, and sent %d times", gateway.received, attempts)
	}
	if c.open && !gateway.forgetful {
		wrong("did not settle")
	}
	for i, claim := range c.claims {
		key := idempotency.DeriveKey(clientID, "createCashOut", claim.reference, claim.attempt)
		again := slices.ContainsFunc(c.claims[i+1:], func(later socketClaim) bool {
			return later.reference == claim.reference && later.attempt == claim.attempt
		})
		switch {
		case claim.outcome == rejected && !again && gateway.keys[key]:
			wrong("was rejected as %v, and executed", claim)
		case claim.outcome == accepted && !gateway.references[claim.reference]:
			wrong("was accepted as %v, and not executed", claim)
		case !slices.Contains([]string{accepted, rejected, unknown, conflict}, claim.outcome):
			wrong("ended in none of the outcomes")
		}
	}
}
