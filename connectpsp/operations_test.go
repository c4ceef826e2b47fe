package connectpsp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/api"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestEveryOperationOfTheDescriptionHasAConstant(t *testing.T) {
	var ids []connectpsp.Operation
	for _, operation := range api.Operations {
		ids = append(ids, operation.ID)
	}
	assert.ElementsMatch(t, ids, []connectpsp.Operation{
		connectpsp.OperationAuthToken, connectpsp.OperationCreateCashIn, connectpsp.OperationGetCashIn, connectpsp.OperationRefundCashIn,
		connectpsp.OperationCreateCashOut, connectpsp.OperationGetCashOut, connectpsp.OperationGetBalance, connectpsp.OperationRebalanceAccount,
	})
}

func TestEveryOperationSendsWhatTheDescriptionAsksFor(t *testing.T) {
	refund := connectpsp.RefundRequest{Reason: connectpsp.RefundCustomerRequest, Description: "Order cancelled"}
	account := connectpsp.BankAccount{ISPB: "18236120", Branch: "0001", Account: "947710840", AccountType: connectpsp.AccountTypePayment}
	toAccount := cashOutRequest()
	toAccount.Payee.Destination = connectpsp.ToBankAccount(account)
	openFinance := cashInRequest()
	openFinance.OpenFinance = &connectpsp.OpenFinance{RedirectURL: "https://merchant.example/back"}
	openFinance.ExpirationInMinutes = 30
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		call   func(*connectpsp.Client) (any, error)
		line   string
		body   string
		signed bool
	}{
		"createCashIn": {replyJSON(201, cashInAccepted), func(c *connectpsp.Client) (any, error) {
			return c.CreateCashIn(t.Context(), cashInRequest())
		}, "POST /cash-in", `{"amount":10.50,"externalReference":"order-1","payer":{"document":"12345678909","name":"Test User"}}`, false},
		"createCashIn by OpenFinance": {replyJSON(201, cashInAccepted), func(c *connectpsp.Client) (any, error) {
			return c.CreateCashIn(t.Context(), openFinance)
		}, "POST /cash-in", `{"amount":10.50,"expirationInMinutes":30,"externalReference":"order-1",` +
			`"openFinance":{"redirectUrl":"https://merchant.example/back"},"payer":{"document":"12345678909","name":"Test User"}}`, false},
		"getCashIn": {replyJSON(200, cashInAccepted), func(c *connectpsp.Client) (any, error) {
			return c.GetCashIn(t.Context(), cashInID)
		}, "GET /cash-in/" + cashInID, "", false},
		"refundCashIn": {replyJSON(202, refundAccepted), func(c *connectpsp.Client) (any, error) {
			return c.RefundCashIn(t.Context(), cashInID, refund)
		}, "POST /cash-in/" + cashInID + "/refund", `{"description":"Order cancelled","reason":"CUSTOMER_REQUEST"}`, true},
		"createCashOut to a key": {replyJSON(202, cashOutAccepted), func(c *connectpsp.Client) (any, error) {
			return c.CreateCashOut(t.Context(), cashOutRequest())
		}, "POST /cash-out", `{"amount":50.00,"externalReference":"withdrawal-42","payee":{"destination":{"pixKey":"12345678909",` +
			`"pixKeyType":"CPF","type":"PIX"},"document":"12345678909","name":"Maria Silva"},` +
			`"webhookUrl":"https://merchant.example/webhooks/connectpsp"}`, true},
		"createCashOut to an account": {replyJSON(202, cashOutAccepted), func(c *connectpsp.Client) (any, error) {
			return c.CreateCashOut(t.Context(), toAccount)
		}, "POST /cash-out", `{"amount":50.00,"externalReference":"withdrawal-42","payee":{"destination":{"bankAccount":` +
			`{"account":"947710840","accountType":"PAYMENT","branch":"0001","ispb":"18236120"},"type":"BANK_ACCOUNT"},` +
			`"document":"12345678909","name":"Maria Silva"},"webhookUrl":"https://merchant.example/webhooks/connectpsp"}`, true},
		"getCashOut": {replyJSON(200, cashOutAccepted), func(c *connectpsp.Client) (any, error) {
			return c.GetCashOut(t.Context(), cashOutID)
		}, "GET /cash-out/" + cashOutID, "", false},
		"getBalance": {replyJSON(200, balanceAnswer), func(c *connectpsp.Client) (any, error) {
			return c.GetBalance(t.Context())
		}, "GET /account/balance", "", false},
		"rebalanceAccount": {replyJSON(200, `{"success":true,"message":"done"}`), func(c *connectpsp.Client) (any, error) {
			return c.RebalanceAccount(t.Context(), pix.Centavos(25000000))
		}, "POST /account/rebalance", `{"targetAmount":250000.00}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := newGateway(t, c.answer)
			result, err := c.call(gateway.client())
			require.NoError(t, err)
			assert.NotNil(t, result)
			require.Len(t, gateway.requests(), 1)
			sent := gateway.requests()[0]
			assert.Equal(t, c.line, sent.method+" "+sent.path)
			assert.Equal(t, c.body, sent.body)
			assert.Equal(t, applicationToken, sent.header.Get("ApplicationToken"))
			assert.Equal(t, "Bearer header.payload-1.signature", sent.header.Get("Authorization"))
			assert.Equal(t, c.signed, sent.header.Get("DigitalSignature") != "")
		})
	}
}

func TestOutcomeOfACashIn(t *testing.T) {
	for name, c := range map[string]struct {
		steps []http.HandlerFunc
		want  string
	}{
		"accepted":                   {[]http.HandlerFunc{replyJSON(201, cashInAccepted)}, accepted},
		"no response, then accepted": {[]http.HandlerFunc{drop, replyJSON(201, cashInAccepted)}, accepted},
		"refused":                    {[]http.HandlerFunc{problem(422, "X")}, rejected},
		"refused after no response":  {[]http.HandlerFunc{drop, problem(422, "X")}, unknown},
		"conflict":                   {[]http.HandlerFunc{problem(409, "X")}, conflict},
		"another amount":             {[]http.HandlerFunc{replyJSON(201, strings.Replace(cashInAccepted, "10.50", "10.51", 1))}, unknown},
		"redirect":                   {[]http.HandlerFunc{redirect(302, "/")}, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := newGateway(t, c.steps...)
			_, err := gateway.client().CreateCashIn(t.Context(), cashInRequest())
			assert.Equal(t, c.want, outcomeOf(err), "%v", err)
			requireSameIntent(t, gateway.requests())
		})
	}
}

func TestARefundThatWasDoneBeforeIsReportedFromTheCharge(t *testing.T) {
	refund := connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}
	already := problem(422, "CASH_IN_ALREADY_REFUNDED")

	gateway := newGateway(t, drop, already, replyJSON(200, cashInWithStatus("REFUNDED")))
	done, err := gateway.client().RefundCashIn(t.Context(), cashInID, refund)
	require.NoError(t, err)
	assert.Equal(t, "D1393589320260310183012345678901", done.EndToEndID)
	assert.Equal(t, connectpsp.CashInRefunded, done.Status)

	gateway = newGateway(t, drop, already, replyJSON(200, cashInWithStatus("PAID")))
	_, err = gateway.client().RefundCashIn(t.Context(), cashInID, refund)
	assert.Equal(t, unknown, outcomeOf(err), "the charge does not say so yet")

	gateway = newGateway(t, drop, already, problem(404, "X"))
	_, err = gateway.client().RefundCashIn(t.Context(), cashInID, refund)
	assert.Equal(t, unknown, outcomeOf(err))

	gateway = newGateway(t, already)
	_, err = gateway.client().RefundCashIn(t.Context(), cashInID, refund)
	assert.Equal(t, conflict, outcomeOf(err), "it may have been this very payment, in another process")
	assert.ErrorIs(t, err, connectpsp.CodeCashInAlreadyRefunded)

	gateway = newGateway(t, replyJSON(202, `{"endToEndId":"D1"}`))
	_, err = gateway.client().RefundCashIn(t.Context(), cashInID, refund)
	assert.Equal(t, unknown, outcomeOf(err), "a response without a transactionId proves nothing")
}

func TestADeclinedRebalanceIsRejected(t *testing.T) {
	_, err := newGateway(t, replyJSON(200, `{"success":false,"message":"no funds"}`)).client().RebalanceAccount(t.Context(), pix.Centavos(1))
	require.Equal(t, rejected, outcomeOf(err))
	var refusal *connectpsp.APIError
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, "no funds", refusal.Detail)

	_, err = newGateway(t, replyJSON(200, `{}`)).client().RebalanceAccount(t.Context(), pix.Centavos(1))
	assert.Equal(t, unknown, outcomeOf(err))
	assert.ErrorContains(t, err, "read the balance")

	gateway := newGateway(t, drop, html(503), replyJSON(200, `{"success":true}`))
	_, err = gateway.client().RebalanceAccount(t.Context(), pix.Amount{})
	assert.NoError(t, err)
	assert.Len(t, gateway.requests(), 3)
}

func TestRebalancesAreSentOneAtATime(t *testing.T) {
	var running, most atomic.Int32
	gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		if now > most.Load() {
			most.Store(now)
		}
		replyJSON(200, `{"success":true}`)(w, r)
	})
	client := gateway.client()
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			_, err := client.RebalanceAccount(t.Context(), pix.Centavos(100))
			assert.NoError(t, err)
		})
	}
	group.Wait()
	assert.EqualValues(t, 1, most.Load())
}

func TestARebalanceThatWaitsForAnotherEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, silence)
		client := gateway.memoryClient(connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}))
		first, cancelFirst := timeout(t, 20*time.Second)
		defer cancelFirst()
		go func() { _, _ = client.RebalanceAccount(first, pix.Centavos(1)) }()
		synctest.Wait()
		second, cancelSecond := timeout(t, time.Second)
		defer cancelSecond()
		begun := time.Now()
		_, err := client.RebalanceAccount(second, pix.Centavos(2))
		assert.ErrorIs(t, err, connectpsp.ErrNotSent)
		assert.Equal(t, time.Second, time.Since(begun))
		assert.Len(t, gateway.requests(), 1)
	})
}

func TestTheRawResponseIsReturnedEvenWhenTheCallFails(t *testing.T) {
	var raw connectpsp.RawResponse
	body := `{"transactionId":"` + cashOutID + `","fieldOfTomorrow":{"a":1}}`
	_, err := newGateway(t, replyJSON(202, body)).client().CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithRawResponse(&raw))
	require.NoError(t, err)
	assert.Equal(t, 202, raw.StatusCode)
	assert.Equal(t, "application/json", raw.Header.Get("Content-Type"))
	assert.Equal(t, body, string(raw.Body))

	_, err = newGateway(t, html(403)).client().CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithRawResponse(&raw))
	require.Error(t, err)
	assert.Equal(t, 403, raw.StatusCode)
	assert.Contains(t, string(raw.Body), "proxy")
}

// Some services write one before every response: of a token, of a refusal, of a balance.
func TestAByteOrderMarkBeforeAResponseIsIgnored(t *testing.T) {
	marked := func(gateway *gateway) *connectpsp.Client {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			gateway.handler.ServeHTTP(recorder, r)
			w.WriteHeader(recorder.Code)
			_, _ = io.WriteString(w, "\ufeff"+recorder.Body.String())
		}))
		t.Cleanup(server.Close)
		return newClient(t, server.URL)
	}
	cashOut, err := marked(newGateway(t, replyJSON(202, cashOutAccepted))).CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	assert.Equal(t, cashOutID, cashOut.TransactionID)
	assert.Equal(t, pix.Centavos(5000), cashOut.Amount)

	_, err = marked(newGateway(t, problem(422, "INSUFFICIENT_FUNDS"))).CreateCashOut(t.Context(), cashOutRequest())
	assert.ErrorIs(t, err, connectpsp.CodeInsufficientFunds)
	assert.NotErrorIs(t, err, connectpsp.ErrUnknownOutcome)

	balance, err := marked(newGateway(t, replyJSON(200, balanceAnswer))).GetBalance(t.Context())
	require.NoError(t, err)
	assert.Equal(t, pix.Centavos(150000000), balance.Consolidated.TotalBalance)
}

func TestConcurrentCallsShareOneTokenRequest(t *testing.T) {
	gateway := newGateway(t, replyJSON(200, balanceAnswer))
	client := gateway.client()
	for range 2 {
		var group sync.WaitGroup
		for range 32 {
			group.Go(func() {
				_, err := client.GetBalance(t.Context())
				assert.NoError(t, err)
			})
		}
		group.Wait()
		assert.Equal(t, 1, gateway.tokenRequests())
	}
}

func TestAnExpiredTokenIsReplacedOnceAndTheCallSignedAgain(t *testing.T) {
	gateway := newGateway(t, problem(401, "TOKEN_EXPIRED"), replyJSON(202, cashOutAccepted))
	once := connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1})
	_, err := gateway.client(once).CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err, "a new token is no retry")
	assert.Equal(t, 2, gateway.tokenRequests())
	requests := gateway.requests()
	assert.NotEqual(t, requests[0].header.Get("Authorization"), requests[1].header.Get("Authorization"))
	assert.NotEqual(t, requests[0].header.Get("DigitalSignature"), requests[1].header.Get("DigitalSignature"))
	requireSameIntent(t, requests)
}

func TestARefusedSignatureIsRetriedIfTheTokenHasChanged(t *testing.T) {
	source := &changingTokens{}
	gateway := newGateway(t, problem(422, "INVALID_SIGNATURE"), replyJSON(202, cashOutAccepted))
	_, err := gateway.client(connectpsp.WithTokenSource(source)).CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	requireSameIntent(t, gateway.requests())
}

func TestAFailedTokenRequestIsRetried(t *testing.T) {
	var asked atomic.Int32
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	inner := gateway.handler
	gateway.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/token" && asked.Add(1) < 3 {
			html(503)(w, r)
			return
		}
		inner.ServeHTTP(w, r)
	})
	_, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	assert.EqualValues(t, 3, asked.Load())
	assert.Len(t, gateway.requests(), 1)
}
