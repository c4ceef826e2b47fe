package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/metrics"
	"github.com/connectpsp/connectpsp-go/pix"
)

// canaries are the secrets, the personal data and the ids of the calls of the storm.
var canaries = []string{
	"Maria", "12345678909", "maria@example.com", "ref-canary", "client-secret", "application-token", "crypto-token", "access-token",
	"0b07e8a5e4f84b9d8a7b2b52b6e5c1f3", "9a3c1d52-6f0e-4a55-8a6d-0d7c6b1f2e11", "E1393589320260310182712345678901",
}

// raceDetector says that the test runs under it.
var raceDetector bool

// A series costs memory in Prometheus for as long as it is kept, and a label is shown to everyone.
func TestAHundredThousandRandomCallsMakeFewSeriesWithoutAnyData(t *testing.T) {
	const clients = 20
	calls := 5000
	if raceDetector {
		calls = 500 // it is ten times slower, and finds a race as well
	}
	m := metrics.New()
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		for n := range clients {
			all.Go(func() { storm(t, m, rand.New(rand.NewPCG(1, uint64(n))), calls) })
		}
		all.Wait()
	})
	text := scrapeText(t, m)
	for _, canary := range canaries {
		assert.NotContains(t, text, canary)
	}
	series, counted := 0, 0.0
	outcomes := map[string]bool{}
	for name, value := range valuesOf(t, text) {
		if !strings.HasPrefix(name, "connectpsp_webhook_") && !strings.HasPrefix(name, "connectpsp_gauge_") {
			series++
		}
		if _, labels, is := strings.Cut(name, "client_calls_total"); is && value > 0 {
			counted += value
			_, outcome, _ := strings.Cut(labels, "outcome=")
			outcomes[outcome] = true
		}
		assert.NotContains(t, name, `"other"`)
	}
	assert.Less(t, series, 200)
	assert.GreaterOrEqual(t, counted, float64(clients*calls))
	assert.GreaterOrEqual(t, len(outcomes), 6, "the calls end in many ways: %v", outcomes)
}

// storm makes random calls through a network with random faults.
func storm(t *testing.T, m *metrics.Metrics, random *rand.Rand, calls int) {
	client, err := connectpsp.New(connectpsp.Config{
		ClientID: "1024", ClientSecret: auth.NewSecret("client-secret"), ApplicationToken: auth.NewSecret("application-token"),
		CryptoToken: auth.NewSecret("crypto-token"), BaseURL: "https://maria.example",
	}, connectpsp.WithObserver(m), connectpsp.WithHTTPClient(&http.Client{Transport: faulty{new(sync.Mutex), rand.New(rand.NewPCG(random.Uint64(), 2))}}),
		connectpsp.WithLogger(slog.New(slog.DiscardHandler)))
	if !assert.NoError(t, err) {
		return
	}
	for n := range calls {
		randomCall(t.Context(), client, random, fmt.Sprintf("ref-canary-%d", n/2))
		m.End(t.Context(), connectpsp.JournalWrite{Step: []string{"begin", "sent", "finish"}[n%3], Failed: n%7 == 0})
	}
	_, _ = client.Recover(t.Context())
}

func randomCall(ctx context.Context, client *connectpsp.Client, random *rand.Rand, reference string) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(60_000)-1000)*time.Millisecond)
	defer cancel()
	payment, id := withdrawal(reference), canaries[len(canaries)-1-random.IntN(3)]
	switch random.IntN(50) {
	case 0:
		payment.Payee.Document = "Maria" // not valid
	case 1:
		payment.Payee.Destination = connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")
	}
	switch random.IntN(7) {
	case 0:
		_, _ = client.CreateCashIn(ctx, charge(reference))
	case 1:
		_, _ = client.CreateCashOut(ctx, payment)
	case 2:
		_, _ = client.RefundCashIn(ctx, id, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	case 3:
		_, _ = client.GetCashIn(ctx, id)
	case 4:
		_, _ = client.GetCashOut(ctx, id)
	case 5:
		_, _ = client.GetBalance(ctx)
	case 6:
		_, _ = client.RebalanceAccount(ctx, pix.Centavos(random.Int64N(2)*100_00))
	}
}

// faulty is a network and a gateway that do anything. The requests for a token use it beside those
// of the calls.
type faulty struct {
	mu     *sync.Mutex
	random *rand.Rand
}

func (f faulty) RoundTrip(request *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if request.Body != nil {
		_ = request.Body.Close()
	}
	fault, token := f.random.IntN(30), request.URL.Path == "/auth/token"
	switch {
	case token && f.random.IntN(100) > 0: // after a refusal the client asks for no token for a while
		return f.respond(request, 200, `{"accessToken":"access-token","tokenType":"Bearer","expiresIn":60}`), nil
	case fault == 0:
		return nil, errors.New("Maria 12345678909")
	case fault == 1:
		return nil, &net.OpError{Op: "dial", Net: "Maria", Err: errors.New("Maria")}
	case fault == 2:
		return nil, io.ErrUnexpectedEOF
	case fault == 3:
		f.mu.Unlock()
		defer f.mu.Lock()
		<-request.Context().Done()
		return nil, request.Context().Err()
	case fault < 12:
		return f.respond(request, 100+f.random.IntN(500), f.problem()), nil
	case fault == 12:
		return f.respond(request, 200, `{"transactionId":"Maria 12345678909",`), nil
	case fault == 13:
		return f.respond(request, 200, "<html>Maria 12345678909</html>"), nil
	default:
		return f.respond(request, 200, f.transaction()), nil
	}
}

func (f faulty) respond(request *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {"1"}, "Location": {"https://maria.example/Maria"}},
		Body:   io.NopCloser(strings.NewReader(body)),
	}
}

func (f faulty) problem() string {
	codes := []string{"INSUFFICIENT_FUNDS", "CASH_IN_NOT_PAID", "TOKEN_EXPIRED", "INVALID_SIGNATURE", "Maria 12345678909", ""}
	return fmt.Sprintf(`{"type":"Maria","title":"Maria","status":400,"detail":"12345678909","code":%q}`, codes[f.random.IntN(len(codes))])
}

// transaction is a response to any operation.
func (f faulty) transaction() string {
	id, status := canaries[len(canaries)-1-f.random.IntN(3)], []string{"PAID", "Maria", "COMPLETED"}[f.random.IntN(3)]
	return fmt.Sprintf(`{"transactionId":%q,"internalCode":"Maria","status":%q,"amount":10.50,"success":true,`+
		`"payer":{"name":"Maria","document":"12345678909"},"consolidated":{"totalBalance":1.00}}`, id, status)
}
