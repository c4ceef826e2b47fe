package connectpsp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestOutcomeOfACashOut(t *testing.T) {
	accept := replyJSON(202, cashOutAccepted)
	insufficient := problem(422, "INSUFFICIENT_FUNDS")
	cases := []struct {
		name  string
		steps []http.HandlerFunc
		want  string
		sends int
		code  connectpsp.ErrorCode // of the APIError, if it is rejected
	}{
		{"accepted at once", []http.HandlerFunc{accept}, accepted, 1, ""},
		{"another 2xx is accepted too", []http.HandlerFunc{replyJSON(200, cashOutAccepted)}, accepted, 1, ""},
		{"no response, then accepted", []http.HandlerFunc{drop, accept}, accepted, 2, ""},
		{"never a response", []http.HandlerFunc{drop}, unknown, 4, ""},
		{"500 with a problem", []http.HandlerFunc{problem(500, "INTERNAL")}, unknown, 4, ""},
		{"500, then accepted", []http.HandlerFunc{problem(500, "INTERNAL"), accept}, accepted, 2, ""},
		{"502 with a proxy's page", []http.HandlerFunc{html(502)}, unknown, 4, ""},
		{"503 with a problem, then accepted", []http.HandlerFunc{problem(503, "UNAVAILABLE"), accept}, accepted, 2, ""},
		{"504 with an empty body", []http.HandlerFunc{reply(504, "", "")}, unknown, 4, ""},
		{"202 cut in half, then whole", []http.HandlerFunc{cut(202, cashOutAccepted), accept}, accepted, 2, ""},
		{"202 always cut in half", []http.HandlerFunc{cut(202, cashOutAccepted)}, unknown, 4, ""},
		{"202 that is not JSON", []http.HandlerFunc{replyJSON(202, "ok")}, unknown, 4, ""},
		{"202 that is JSON but no object", []http.HandlerFunc{replyJSON(202, "null")}, unknown, 4, ""},
		{"202 without a transaction id", []http.HandlerFunc{replyJSON(202, "{}")}, unknown, 4, ""},
		{"204", []http.HandlerFunc{reply(204, "", "")}, unknown, 4, ""},
		{"200 with a captive portal's page", []http.HandlerFunc{html(200)}, unknown, 4, ""},
		{"202 about another reference", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","externalReference":"other"}`)}, unknown, 1, ""},
		{"202 about another amount", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":5.00}`)}, unknown, 1, ""},
		{"202 about an amount of zero", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":0}`)}, unknown, 1, ""},
		{"202 that leaves all but the id out", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`"}`)}, accepted, 1, ""},
		{"302", []http.HandlerFunc{redirect(302, "/elsewhere")}, unknown, 1, ""},
		{"303", []http.HandlerFunc{redirect(303, "/elsewhere")}, unknown, 1, ""},
		{"307", []http.HandlerFunc{redirect(307, "/elsewhere")}, unknown, 1, ""},
		{"308", []http.HandlerFunc{redirect(308, "/elsewhere")}, unknown, 1, ""},
		{"401 expired token, then accepted", []http.HandlerFunc{problem(401, "TOKEN_EXPIRED"), accept}, accepted, 2, ""},
		{"401 expired token twice", []http.HandlerFunc{problem(401, "TOKEN_EXPIRED")}, rejected, 2, connectpsp.CodeTokenExpired},
		{"401 of an unknown code, then accepted", []http.HandlerFunc{problem(401, "TOKEN_REVOKED"), accept}, accepted, 2, ""},
		{"401 credentials", []http.HandlerFunc{problem(401, "INVALID_CREDENTIALS")}, rejected, 1, connectpsp.CodeInvalidCredentials},
		{"401 application token", []http.HandlerFunc{problem(401, "INVALID_APPLICATION_TOKEN")}, rejected, 1, connectpsp.CodeInvalidApplicationToken},
		{"no response, then 401 application token", []http.HandlerFunc{drop, problem(401, "INVALID_APPLICATION_TOKEN")}, unknown, 2, ""},
		{"no response, then 401 expired token, then accepted", []http.HandlerFunc{drop, problem(401, "TOKEN_EXPIRED"), accept}, accepted, 3, ""},
		{"no response, then 401 always", []http.HandlerFunc{drop, problem(401, "TOKEN_EXPIRED")}, unknown, 3, ""},
		{"422 signature", []http.HandlerFunc{problem(422, "INVALID_SIGNATURE")}, rejected, 1, connectpsp.CodeInvalidSignature},
		{"no response, then 422 signature", []http.HandlerFunc{drop, problem(422, "INVALID_SIGNATURE")}, unknown, 2, ""},
		{"400", []http.HandlerFunc{problem(400, "INVALID_REQUEST")}, rejected, 1, "INVALID_REQUEST"},
		{"404", []http.HandlerFunc{problem(404, "NOT_FOUND")}, rejected, 1, "NOT_FOUND"},
		{"422 insufficient funds", []http.HandlerFunc{insufficient}, rejected, 1, connectpsp.CodeInsufficientFunds},
		{"422 of an unpublished code", []http.HandlerFunc{problem(422, "LIMIT_OF_THE_NIGHT")}, rejected, 1, "LIMIT_OF_THE_NIGHT"},
		{"no response, then 422 insufficient funds", []http.HandlerFunc{drop, insufficient}, unknown, 2, ""},
		{"500, then 400", []http.HandlerFunc{problem(500, "INTERNAL"), problem(400, "INVALID_REQUEST")}, unknown, 2, ""},
		{"409 duplicate reference", []http.HandlerFunc{problem(409, "DUPLICATE_EXTERNAL_REFERENCE")}, conflict, 1, ""},
		{"409 without a body", []http.HandlerFunc{reply(409, "", "")}, conflict, 1, ""},
		{"no response, then 409", []http.HandlerFunc{drop, problem(409, "DUPLICATE_EXTERNAL_REFERENCE")}, unknown, 2, ""},
		{"409 key in use, then accepted", []http.HandlerFunc{problem(409, "IDEMPOTENCY_KEY_IN_USE"), accept}, accepted, 2, ""},
		{"409 key in use always", []http.HandlerFunc{problem(409, "IDEMPOTENCY_KEY_IN_USE")}, unknown, 4, ""},
		{"409 key in use, then 429", []http.HandlerFunc{problem(409, "IDEMPOTENCY_KEY_IN_USE"), problem(429, "RATE_LIMITED")}, unknown, 4, ""},
		{"409 key in use, then 422", []http.HandlerFunc{problem(409, "IDEMPOTENCY_KEY_IN_USE"), insufficient}, unknown, 2, ""},
		{"429 key in use, then 422", []http.HandlerFunc{problem(429, "IDEMPOTENCY_KEY_IN_USE"), insufficient}, unknown, 2, ""},
		{"401 duplicate, then 422", []http.HandlerFunc{problem(401, "DUPLICATE_REQUEST"), insufficient}, unknown, 2, ""},
		{"422 cut in half, then accepted", []http.HandlerFunc{cut(422, `{"code":"DUPLICATE_EXTERNAL_REFERENCE"}`), accept}, accepted, 2, ""},
		{"422 always cut in half", []http.HandlerFunc{cut(422, `{"code":"INSUFFICIENT_FUNDS"}`)}, unknown, 4, ""},
		{"429 cut in half", []http.HandlerFunc{cut(429, `{"status":409,"code":"DUPLICATE_EXTERNAL_REFERENCE"}`)}, unknown, 4, ""},
		{"401 cut in half", []http.HandlerFunc{cut(401, `{"status":409,"code":"DUPLICATE_EXTERNAL_REFERENCE"}`)}, unknown, 5, ""},
		{"409 cut in half", []http.HandlerFunc{cut(409, `{"code":"DUPLICATE_EXTERNAL_REFERENCE"}`)}, conflict, 1, ""},
		{"422 of a code that sounds like a duplicate", []http.HandlerFunc{problem(422, "DUPLICATED_REFERENCE")}, conflict, 1, ""},
		{"202 about another amount, in another notation", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":5e0}`)}, unknown, 1, ""},
		{"202 about parts of a centavo", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":49.999999}`)}, unknown, 1, ""},
		{"202 about an absurd amount", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":1e999999999}`)}, unknown, 1, ""},
		{"202 about zero, in quotes", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":"0.00"}`)}, unknown, 1, ""},
		{"202 about another amount, in quotes", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":"5e0"}`)}, unknown, 1, ""},
		{"202 about an amount with a comma", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":"5,00"}`)}, unknown, 1, ""},
		{"202 about an amount with its currency", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":"R$ 5,00"}`)}, unknown, 1, ""},
		{"202 about the same amount, in another notation, in quotes", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":"5e1"}`)}, accepted, 1, ""},
		{"202 with an empty amount", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":""}`)}, accepted, 1, ""},
		{"202 with an amount of no kind", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":[]}`)}, accepted, 1, ""},
		{"202 about the same amount, in another notation", []http.HandlerFunc{replyJSON(202, `{"transactionId":"`+cashOutID+`","amount":5e1}`)}, accepted, 1, ""},
		{"422 key used with another body", []http.HandlerFunc{problem(422, "IDEMPOTENCY_KEY_REUSED")}, conflict, 1, ""},
		{"429, then accepted", []http.HandlerFunc{problem(429, "RATE_LIMITED"), accept}, accepted, 2, ""},
		{"429 always", []http.HandlerFunc{problem(429, "RATE_LIMITED")}, rejected, 4, "RATE_LIMITED"},
		{"no response, then 429 always", []http.HandlerFunc{drop, problem(429, "RATE_LIMITED")}, unknown, 4, ""},
		{"408", []http.HandlerFunc{html(408)}, unknown, 4, ""},
		{"425", []http.HandlerFunc{html(425)}, unknown, 4, ""},
		{"499", []http.HandlerFunc{html(499)}, unknown, 4, ""},
		{"403 with a firewall's page", []http.HandlerFunc{html(403)}, unknown, 4, ""},
		{"404 with an ingress's page, then accepted", []http.HandlerFunc{html(404), accept}, accepted, 2, ""},
		{"418 with a firewall's page, then insufficient funds", []http.HandlerFunc{html(418), insufficient}, unknown, 2, ""},
		{"no response, then 403 with a firewall's page", []http.HandlerFunc{drop, html(403)}, unknown, 4, ""},
		{"400 with JSON that is no problem", []http.HandlerFunc{replyJSON(400, `{"message":"Bad Request"}`)}, unknown, 4, ""},
		{"422 with nothing but a published code", []http.HandlerFunc{replyJSON(422, `{"code":"INSUFFICIENT_FUNDS"}`)}, rejected, 1, connectpsp.CodeInsufficientFunds},
		{"403 with a firewall's code", []http.HandlerFunc{replyJSON(403, `{"code":"FORBIDDEN","message":"blocked"}`)}, unknown, 4, ""},
		{"403 with a problem that has no code", []http.HandlerFunc{replyJSON(403, `{"title":"Forbidden","status":403}`)}, unknown, 4, ""},
		{"403 with the problem of a 500", []http.HandlerFunc{replyJSON(403, `{"title":"x","status":500,"code":"INTERNAL"}`)}, unknown, 4, ""},
		{"422 that breaks off without a length", []http.HandlerFunc{replyJSON(422, `{"status":422,"code":"INSUFFICIENT_FUN`)}, unknown, 4, ""},
		{"401 with a proxy's page", []http.HandlerFunc{html(401)}, rejected, 2, ""},
		{"429 with a proxy's page", []http.HandlerFunc{html(429)}, rejected, 4, ""},
		{"422 of a code that says that it exists already", []http.HandlerFunc{problem(422, "EXTERNAL_REFERENCE_ALREADY_EXISTS")}, conflict, 1, ""},
		{"422 of a refund in progress", []http.HandlerFunc{problem(422, "REFUND_IN_PROGRESS")}, conflict, 1, ""},
		{"422 of a code that says that something does not exist", []http.HandlerFunc{problem(422, "PIX_KEY_NOT_EXISTS")}, rejected, 1, "PIX_KEY_NOT_EXISTS"},
		{"an unknown status", []http.HandlerFunc{html(799)}, unknown, 1, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			gateway := newGateway(t, c.steps...)
			result, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest())
			require.Equal(t, c.want, outcomeOf(err), "%v", err)
			assert.Equal(t, c.want == accepted, result != nil)
			assert.Len(t, gateway.requests(), c.sends)
			requireSameIntent(t, gateway.requests())

			var doubt *connectpsp.UnknownOutcomeError
			var apiError *connectpsp.APIError
			switch c.want {
			case accepted:
				assert.Equal(t, cashOutID, result.TransactionID)
			case unknown:
				require.ErrorAs(t, err, &doubt)
				assert.Equal(t, "createCashOut", doubt.Operation)
				assert.Equal(t, gateway.requests()[0].header.Get("X-Idempotency-Key"), doubt.IdempotencyKey)
				assert.Equal(t, "withdrawal-42", doubt.ExternalReference)
				assert.Equal(t, pix.Centavos(5000), doubt.Amount)
				assert.Equal(t, c.sends, doubt.Attempts)
				assert.False(t, doubt.FirstSentAt.IsZero())
				assert.False(t, errors.Is(err, connectpsp.CodeInsufficientFunds), "a refusal after an unknown attempt must not look like a rejection")
				if !errors.As(err, &apiError) {
					break
				}
				assert.ErrorIs(t, apiError, connectpsp.ErrUnknownOutcome, "an APIError whose outcome is unknown is a conflict")
			default:
				require.ErrorAs(t, err, &apiError)
				assert.Equal(t, gateway.requests()[0].header.Get("X-Idempotency-Key"), apiError.IdempotencyKey)
				if c.code != "" {
					assert.ErrorIs(t, err, c.code)
				}
			}
		})
	}
}

func TestALaterRefusalDoesNotSettleAnUnknownOutcome(t *testing.T) {
	gateway := newGateway(t, drop, problem(422, "INSUFFICIENT_FUNDS"))
	_, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest())
	var doubt *connectpsp.UnknownOutcomeError
	require.ErrorAs(t, err, &doubt)
	require.NotNil(t, doubt.Refusal)
	assert.Equal(t, connectpsp.CodeInsufficientFunds, doubt.Refusal.Code)
	assert.Equal(t, 422, doubt.StatusCode)
}

func TestAKeyThatStaysInUseIsReportedWithTheUnknownOutcome(t *testing.T) {
	_, err := newGateway(t, problem(409, "IDEMPOTENCY_KEY_IN_USE")).client().CreateCashOut(t.Context(), cashOutRequest())
	var doubt *connectpsp.UnknownOutcomeError
	require.ErrorAs(t, err, &doubt)
	require.NotNil(t, doubt.Refusal)
	assert.Equal(t, 409, doubt.Refusal.StatusCode)
}

func TestAResponseCountsAsAnAttemptEvenIfTheBodyWasNotRead(t *testing.T) {
	early := roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 500, Header: http.Header{}, Body: http.NoBody}, nil
	})
	client := newClient(t, memoryURL, connectpsp.WithHTTPClient(&http.Client{Transport: early}),
		connectpsp.WithTokenSource(fixedToken("header.payload.signature")))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	var doubt *connectpsp.UnknownOutcomeError
	require.ErrorAs(t, err, &doubt)
	assert.Equal(t, 4, doubt.Attempts)
}

func TestAResponseAboutAnotherPaymentYieldsNoTransactionID(t *testing.T) {
	for _, about := range []string{`"amount":5.00`, `"externalReference":"withdrawal-41","amount":50.00`} {
		gateway := newGateway(t, replyJSON(202, `{"transactionId":"`+cashOutID+`",`+about+`}`))
		_, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest())
		var doubt *connectpsp.UnknownOutcomeError
		require.ErrorAs(t, err, &doubt)
		assert.Empty(t, doubt.TransactionID)
		assert.NotContains(t, err.Error(), cashOutID)
	}
}

func TestAnInvalidTransactionIDIsNotReported(t *testing.T) {
	for _, id := range []string{"../account/balance", "a b", "12345678909 Maria", "-1"} {
		_, err := newGateway(t, replyJSON(202, `{"transactionId":"`+id+`","amount":5.00}`)).client().CreateCashOut(t.Context(), cashOutRequest())
		assert.Empty(t, must2(asUnknown(err)).TransactionID, id)
		assert.NotContains(t, err.Error(), id)
	}
}

func TestARefusedConnectionIsReportedAsNotSent(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	client := newClient(t, "http://"+closed.Addr().String(), connectpsp.WithTokenSource(fixedToken("header.payload.signature")))

	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, rejected, outcomeOf(err))
	assert.ErrorIs(t, err, connectpsp.ErrNotSent)
	var network *net.OpError
	assert.ErrorAs(t, err, &network)
}

func TestACallWhoseContextHasEndedSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, options := range map[string][]connectpsp.Option{
		"without a journal": nil, "with a journal that heeds contexts": {connectpsp.WithJournal(newNotebook())},
	} {
		gateway := newGateway(t)
		_, err := gateway.client(options...).CreateCashOut(ctx, cashOutRequest())
		require.Equal(t, rejected, outcomeOf(err), name)
		assert.ErrorIs(t, err, connectpsp.ErrNotSent, name)
		assert.ErrorIs(t, err, context.Canceled, name)
		assert.Zero(t, gateway.tokenRequests(), name)
	}
}

func TestATimeoutAfterSendingHasAnUnknownOutcome(t *testing.T) {
	gateway := newGateway(t, silence)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := gateway.client().CreateCashOut(ctx, cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestATransportThatReadTheBodyMayHaveSentIt(t *testing.T) {
	for _, read := range []bool{true, false} {
		broken := roundTripper(func(r *http.Request) (*http.Response, error) {
			if read {
				_, _ = r.Body.Read(make([]byte, 1))
			}
			return nil, errors.New("broken")
		})
		client := newClient(t, memoryURL, connectpsp.WithHTTPClient(&http.Client{Transport: broken}),
			connectpsp.WithTokenSource(fixedToken("header.payload.signature")))
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, read, errors.Is(err, connectpsp.ErrUnknownOutcome))
		assert.Equal(t, !read, errors.Is(err, connectpsp.ErrNotSent))
	}
}

// A circuit breaker, for one, returns when the context ends while the transport below it is still
// dialling.
func TestARequestReportedAsNotSentIsNeverSentLater(t *testing.T) {
	var whole atomic.Int32 // requests whose body arrived to its end
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			whole.Add(1)
		}
	}))
	dialling, proceed, finished := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	slow := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		close(dialling)
		<-proceed
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	defer slow.CloseIdleConnections()
	impatient := roundTripper(func(r *http.Request) (*http.Response, error) {
		go func() {
			response, err := slow.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
			if err == nil {
				err = response.Body.Close()
			}
			finished <- err
		}()
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-dialling; cancel() }()
	client := newClient(t, server.URL, connectpsp.WithHTTPClient(&http.Client{Transport: impatient}),
		connectpsp.WithTokenSource(fixedToken("header.payload.signature")))
	_, err := client.CreateCashOut(ctx, cashOutRequest())
	require.ErrorIs(t, err, connectpsp.ErrNotSent)
	close(proceed)
	assert.Error(t, receive(t, finished))
	server.Close() // waits for its handlers
	assert.Zero(t, whole.Load())
}

func TestARefusalIsReportedIfTheRetryCannotBeSent(t *testing.T) {
	source := &fallibleTokens{}
	gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		source.fail(t, problem(401, "INVALID_CREDENTIALS"))
		problem(429, "RATE_LIMITED")(w, r)
	})
	_, err := gateway.client(connectpsp.WithTokenSource(source)).CreateCashOut(t.Context(), cashOutRequest())
	var refusal *connectpsp.APIError
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, 429, refusal.StatusCode)
	assert.NotErrorIs(t, err, connectpsp.ErrNotSent)
}

// A token source may ask a service of its own with the context of the call, which traces requests.
func TestRequestsOfTheTokenSourceDoNotCountAsSendingThePayment(t *testing.T) {
	service := httptest.NewServer(tokenAnswer("a.b.c", 3600))
	defer service.Close()
	source := tokenService(service.URL)
	gateway := newGateway(t, problem(422, "INSUFFICIENT_FUNDS"))
	_, err := gateway.client(connectpsp.WithTokenSource(source)).CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, rejected, outcomeOf(err))
}

func TestA101ResponseDoesNotBlockTheCall(t *testing.T) {
	switching := func(w http.ResponseWriter, r *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			_, _ = connection.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"))
			t.Cleanup(func() { _ = connection.Close() })
		}
	}
	_, err := newGateway(t, switching).client().CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
}

func TestARefusedTokenRequestIsARejectionWithItsCode(t *testing.T) {
	for _, doubtFirst := range []bool{false, true} {
		refuse := problem(401, "INVALID_CREDENTIALS")
		source := &fallibleTokens{}
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			source.fail(t, refuse)
			drop(w, r)
		})
		if !doubtFirst {
			source.fail(t, refuse)
		}
		_, err := gateway.client(connectpsp.WithTokenSource(source)).CreateCashOut(t.Context(), cashOutRequest())
		if doubtFirst {
			assert.Equal(t, unknown, outcomeOf(err))
			continue
		}
		require.Equal(t, rejected, outcomeOf(err))
		assert.ErrorIs(t, err, connectpsp.CodeInvalidCredentials)
		assert.ErrorIs(t, err, connectpsp.ErrNotSent)
		assert.EqualError(t, err, "connectpsp: authToken: 401 INVALID_CREDENTIALS: this call sent nothing: check ClientID and ClientSecret")
		assert.Empty(t, gateway.requests())
	}
}

func TestAMalformedFieldDoesNotUndoAnAcceptance(t *testing.T) {
	id := `"transactionId":"` + cashOutID + `"`
	for _, body := range []string{
		`{` + id + `,"requestedAt":"yesterday"}`,
		`{` + id + `,"requestedAt":17}`,
		`{` + id + `,"status":"ON_ITS_WAY"}`,
		`{` + id + `,"status":null,"amount":null,"externalReference":null,"payee":null}`,
		`{` + id + `,"status":5,"internalCode":{"a":1},"failure":"none"}`,
		`{"payee":{"name":7,"destination":[]},` + id + `}`,
		`{"amount":"50.00",` + id + `}`,
		`{"amount":5e1,` + id + `,"externalReference":"withdrawal-42"}`,
		`{"amount":{"value":50},"internalCode":4,` + id + `}`,
		`{"somethingNew":{"deep":[1,2,{}]},` + id + `}`,
	} {
		t.Run(body, func(t *testing.T) {
			gateway := newGateway(t, replyJSON(202, body))
			cashOut, err := gateway.client().CreateCashOut(t.Context(), cashOutRequest())
			require.NoError(t, err)
			assert.Equal(t, cashOutID, cashOut.TransactionID)
			assert.Len(t, gateway.requests(), 1)
		})
	}
}

func TestAnAttemptWithoutAResponseTimesOutAndIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, silence, replyJSON(202, cashOutAccepted))
		begun := time.Now()
		_, err := gateway.memoryClient().CreateCashOut(t.Context(), cashOutRequest())
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(begun), 30*time.Second)
		requireSameIntent(t, gateway.requests())
	})
}

func TestACallWithoutAnyResponseEndsWithinTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, silence)
		begun := time.Now()
		_, err := gateway.memoryClient().CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.LessOrEqual(t, time.Since(begun), 2*time.Minute)
	})
}
