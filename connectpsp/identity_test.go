package connectpsp_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// A wallet gives the money back on a rejection, which is wrong as long as any attempt may have been
// executed.
func TestNoCallForAnOpenOrAcceptedPaymentEndsInARejection(t *testing.T) {
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	typo, dearer := cashOutRequest(), cashOutRequest()
	typo.Payee.Document = "111"
	dearer.Amount = pix.Centavos(5001)
	calls := map[string]func(*connectpsp.Client) error{
		"the same": func(c *connectpsp.Client) error { return second(c.CreateCashOut(t.Context(), cashOutRequest())) },
		"another attempt": func(c *connectpsp.Client) error {
			return second(c.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(1)))
		},
		"no attempt": func(c *connectpsp.Client) error {
			return second(c.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(-1)))
		},
		"another key": func(c *connectpsp.Client) error {
			return second(c.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithIdempotencyKey("5f0f1d2c-0000-4000-8000-000000000099")))
		},
		"no key": func(c *connectpsp.Client) error {
			return second(c.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithIdempotencyKey("")))
		},
		"a key with a newline": func(c *connectpsp.Client) error {
			return second(c.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithIdempotencyKey("5f0f1d2c-0000-4000-8000-000000000099\n")))
		},
		"both options": func(c *connectpsp.Client) error {
			return second(c.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(1),
				connectpsp.WithIdempotencyKey("5f0f1d2c-0000-4000-8000-000000000099")))
		},
		"a typo":         func(c *connectpsp.Client) error { return second(c.CreateCashOut(t.Context(), typo)) },
		"another amount": func(c *connectpsp.Client) error { return second(c.CreateCashOut(t.Context(), dearer)) },
		"a dead context": func(c *connectpsp.Client) error { return second(c.CreateCashOut(dead, cashOutRequest())) },
	}
	for kept, options := range journals {
		for state, first := range map[string]http.HandlerFunc{"open": redirect(303, "/"), "accepted": replyJSON(202, cashOutAccepted)} {
			for name, call := range calls {
				t.Run(kept+"/"+state+"/"+name, func(t *testing.T) {
					gateway := newGateway(t, first, problem(422, "INSUFFICIENT_FUNDS"))
					client := gateway.memoryClient(options(t)...)
					err := second(client.CreateCashOut(t.Context(), cashOutRequest()))
					require.Equal(t, map[string]string{"open": unknown, "accepted": accepted}[state], outcomeOf(err))
					err = call(client)
					require.Equal(t, unknown, outcomeOf(err))
					assert.NotErrorIs(t, err, connectpsp.ErrNotSent)
					assert.Equal(t, keyOf(gateway.requests()[0]), must2(asUnknown(err)).IdempotencyKey, "the key to call again with")
					for _, sent := range gateway.requests() {
						assert.Equal(t, keyOf(gateway.requests()[0]), keyOf(sent), "nothing is sent under another key")
					}
				})
			}
		}
	}
}

// The same order, sent with the configuration of another integration, is still the same payment.
func TestAPaymentThatIsOpenUnderAnotherClientIDIsNotSentAgain(t *testing.T) {
	book := newNotebook()
	gateway := newGateway(t, redirect(303, "/"))
	_, err := gateway.memoryClient(connectpsp.WithJournal(book)).CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	other := config(memoryURL)
	other.ClientID = "2048"
	client := must(connectpsp.New(other, memory(gateway), connectpsp.WithJournal(book)))
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	assert.Equal(t, clientID, must2(asUnknown(err)).ClientID, "the ClientID that made the payment")
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	assert.Equal(t, clientID, must2(asUnknown(recovered[0].Err)).ClientID)
	_, err = client.ResolveCashOut(t.Context(), must2(asUnknown(recovered[0].Err)), cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
	assert.Len(t, gateway.requests(), 1)
}

func TestSpellingsOfABaseURLAreOneGateway(t *testing.T) {
	first, err := connectpsp.New(config("https://gateway.example"))
	require.NoError(t, err)
	book := newNotebook()
	gateway := newGateway(t, redirect(303, "/"), replyJSON(202, cashOutAccepted))
	_, err = must(connectpsp.New(config("https://gateway.example"), memory(gateway), connectpsp.WithJournal(book))).
		CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	doubt := must2(asUnknown(err))
	for _, url := range []string{"https://gateway.example/", "HTTPS://Gateway.Example:443", "https://gateway.example://"} {
		doubt.BaseURL = url
		_, err := first.ResolveCashOut(t.Context(), doubt, connectpsp.CashOutRequest{})
		assert.ErrorContains(t, err, "the request is not the one", "%s is the gateway, and only the request is another", url)
		recovered, err := must(connectpsp.New(config(url), memory(gateway), connectpsp.WithJournal(book))).Recover(t.Context())
		require.NoError(t, err)
		require.Len(t, recovered, 1)
		assert.NoError(t, recovered[0].Err, "%s", url)
	}
	doubt.BaseURL = "https://gateway.example/other"
	_, err = first.ResolveCashOut(t.Context(), doubt, connectpsp.CashOutRequest{})
	assert.ErrorContains(t, err, "another ClientID or BaseURL")
}
