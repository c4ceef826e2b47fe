package sandbox_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/idempotency"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestThePaymentsOfAKeyAreCountedInOneLine(t *testing.T) {
	g := start(t)
	for i, amount := range []string{"30.00", "30.01"} {
		g.post("/cash-out", cashOutBody(fmt.Sprint("withdrawal-", i), amount, "")).into(202, &connectpsp.CashOut{})
	}
	assert.Len(t, g.CashOuts().ByKey("maria@example.com").ByAmount(pix.Centavos(3000)), 1)
	assert.Len(t, g.CashOuts().ByReference("withdrawal-1").ByStatus(connectpsp.CashOutProcessing), 1)
	assert.Empty(t, g.CashOuts().ByKey("joana@example.com"))
	assert.Empty(t, g.CashOuts().ByStatus(connectpsp.CashOutFailed))

	charge := g.newCashIn("order-1", "")
	g.newCashIn("order-2", "")
	require.NoError(t, g.PayCashIn(charge.TransactionID))
	assert.Equal(t, sandbox.CashIns{g.cashIn(charge.TransactionID)}, g.CashIns().ByStatus(connectpsp.CashInPaid))
	assert.Len(t, g.CashIns().ByReference("order-2").ByAmount(pix.Centavos(1050)).ByPayer("12345678909"), 1)
	assert.Empty(t, g.CashIns().ByReference("order-3"))
	require.NoError(t, g.ExpireCashIn(g.CashIns()[1].TransactionID))
	assert.Equal(t, connectpsp.CashInExpired, g.CashIns()[1].Status)
}

func TestRequestsAreKeptAsTheyCame(t *testing.T) {
	g := start(t, sandbox.WithTime(noon))
	once, body := idempotency.NewKey(), cashOutBody("withdrawal-1", "50.00", "")
	require.NoError(t, g.FailNext("createCashOut", sandbox.LoseAnswer))
	_, err := g.attempt(http.MethodPost, "/cash-out", body, key(once))
	require.Error(t, err)
	g.post("/cash-out", body, key(once)).into(202, &connectpsp.CashOut{})
	g.cashOut(g.CashOuts()[0].InternalCode)

	paid := g.Requests().ByOperation("createCashOut").ByReference("withdrawal-1")
	require.Len(t, paid, 2)
	assert.Equal(t, sandbox.LoseAnswer, paid[0].Fault)
	assert.Zero(t, paid[0].StatusCode)
	assert.Zero(t, paid[1].Fault)
	assert.Equal(t, 202, paid[1].StatusCode)
	for _, request := range paid {
		assert.Equal(t, noon, request.Time)
		assert.Equal(t, once, request.IdempotencyKey)
		assert.Equal(t, "POST", request.Method)
		assert.Equal(t, "/cash-out", request.Path)
		assert.Equal(t, body, string(request.Body()))
		assert.Equal(t, "Bearer "+g.token, request.Header().Get("Authorization"))
		request.Header().Set("Authorization", "changed")
		request.Body()[0] = 'x'
		assert.Equal(t, body, string(request.Body()), "the caller owns the copies")
		assert.Equal(t, "Bearer "+g.token, request.Header().Get("Authorization"))
	}
	assert.Len(t, g.Requests(), 4, "with the token's and the read")
	assert.Empty(t, g.Requests().ByOperation("getBalance"))
	assert.Nil(t, sandbox.Request{}.Header())
	assert.Nil(t, sandbox.Request{}.Body())
}

func TestAPrintedRequestShowsNoSecretAndNobodysData(t *testing.T) {
	g := startUnchecked(t)
	g.newCashIn("order-1", "http://127.0.0.1:9/?secret=hook-secret")
	g.post("/cash-out", `{"amount":1,"externalReference":"withdrawal-1","payee":{"name":"ACME","document":"00000000000191",
		"destination":{"type":"BANK_ACCOUNT","bankAccount":{"ispb":"18236120","branch":"0001","account":"947710840","accountType":"PAYMENT"}}},
		"12345678909":"x","list":["joana@example.com",12345678909,null,true]}`).into(202, &connectpsp.CashOut{})
	g.post("/cash-out", `{"name":"Maria Silva"`)
	g.get("/cash-in/12345678909")
	g.get("/12345678909/x")
	requests := g.Requests()
	require.Len(t, requests, 6)
	encoded, err := json.Marshal(requests)
	require.NoError(t, err)
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("requests", "first", requests[0], "all", requests)
	config := g.Config()
	for _, printed := range []string{
		fmt.Sprint(requests), fmt.Sprintf("%+v", requests), fmt.Sprintf("%#v", requests), fmt.Sprintf("%s %d %x", requests[0], requests[1], requests[2]),
		string(encoded), logged.String(),
	} {
		for _, private := range []string{
			config.ClientSecret.Reveal(), config.ApplicationToken.Reveal(), config.CryptoToken.Reveal(), g.token, "Maria", "12345678909",
			"hook-secret", "ACME", "00000000000191", "947710840", "joana",
		} {
			assert.NotContains(t, printed, private)
		}
	}
	assert.Contains(t, requests[2].String(), `"externalReference":"withdrawal-1"`)
	assert.Contains(t, requests[2].String(), "POST /cash-out -> 202")
	assert.Contains(t, requests[2].String(), `"ispb":"18236120"`)
	assert.Contains(t, string(encoded), `"Operation":"createCashOut"`)
	assert.Contains(t, fmt.Sprint(requests[3]), "bytes that are not JSON")
}

func TestOnlyTheLatestRequestsAreKept(t *testing.T) {
	g := startUnchecked(t)
	for i := range 2*sandbox.MaxRequests + 5 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprint(g.URL(), "/", i), nil)
		require.NoError(t, err)
		g.ServeHTTP(discard{}, request)
	}
	requests := g.Requests()
	require.Len(t, requests, sandbox.MaxRequests)
	assert.Equal(t, fmt.Sprint("/", 2*sandbox.MaxRequests+4), requests[len(requests)-1].Path)
}

// discard is a response that no one reads.
type discard struct{}

func (discard) Header() http.Header            { return http.Header{} }
func (discard) WriteHeader(int)                {}
func (discard) Write(data []byte) (int, error) { return len(data), nil }

func TestAMiddlewareWithoutAStatusResponds200(t *testing.T) {
	g, err := sandbox.Start(sandbox.WithMiddleware(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
	}))
	require.NoError(t, err)
	defer g.Close()
	response, err := http.Get(g.URL() + "/account/balance")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, 200, g.Requests()[0].StatusCode)
}
