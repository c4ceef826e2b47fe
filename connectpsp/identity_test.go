package connectpsp_test

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
)

const (
	chargeCode  = "US7B1JQ"
	chargeE2E   = "E1393589320260310182712345678901"
	otherCharge = "zz6g232xel65a0daee4dd13kk2912714999"
)

// chargeAnswer is what GET /cash-in/{id} says of the charge under all three of its ids.
const chargeAnswer = `{"transactionId":"` + cashInID + `","internalCode":"` + chargeCode + `","endToEndId":"` + chargeE2E + `","status":"PAID","amount":10.50}`

var fraud = connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}

// journals are the ways in which a client may remember.
var journals = map[string]func(*testing.T) []connectpsp.Option{
	"in memory": func(*testing.T) []connectpsp.Option { return nil },
	"in a file": func(t *testing.T) []connectpsp.Option {
		file := must(journal.Open(filepath.Join(t.TempDir(), "p.journal")))
		t.Cleanup(func() { assert.NoError(t, file.Close()) })
		return []connectpsp.Option{connectpsp.WithJournal(file)}
	},
}

// A wallet gives the money back when it is told of a rejection. As long as an attempt may have been
// executed that is wrong, whatever the call was that heard it.
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

// An order that is configured for another integration is still the same order.
func TestAnOrderThatIsOpenUnderAnotherClientIDIsNotSent(t *testing.T) {
	book := newNotebook()
	gateway := newGateway(t, redirect(303, "/"))
	_, err := gateway.memoryClient(connectpsp.WithJournal(book)).CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	other := config(memoryURL)
	other.ClientID = "2048"
	client := must(connectpsp.New(other, memory(gateway), connectpsp.WithJournal(book)))
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	assert.Equal(t, clientID, must2(asUnknown(err)).ClientID, "who made the payment")
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	assert.Equal(t, clientID, must2(asUnknown(recovered[0].Err)).ClientID)
	_, err = client.ResolveCashOut(t.Context(), must2(asUnknown(recovered[0].Err)), cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
	assert.Len(t, gateway.requests(), 1)
}

func TestOneGatewayMayBeWrittenInManyWays(t *testing.T) {
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

func TestARefundIsRecognisedUnderEachOfTheChargesIDs(t *testing.T) {
	for kept, options := range journals {
		for _, id := range []string{chargeCode, chargeE2E} {
			t.Run(kept+"/"+id, func(t *testing.T) {
				readable := true
				var mu sync.Mutex
				gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					switch {
					case r.Method == http.MethodPost:
						redirect(303, "/")(w, r)
					case readable && strings.HasSuffix(r.URL.Path, otherCharge):
						replyJSON(200, `{"transactionId":"`+otherCharge+`","status":"PAID","amount":10.50}`)(w, r)
					case readable:
						replyJSON(200, chargeAnswer)(w, r)
					default:
						html(503)(w, r)
					}
				})
				client := gateway.memoryClient(append(options(t), connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}))...)
				posts := func() (n int) {
					for _, r := range gateway.requests() {
						if r.method == http.MethodPost {
							n++
						}
					}
					return n
				}
				_, err := client.RefundCashIn(t.Context(), cashInID, fraud)
				require.Equal(t, unknown, outcomeOf(err))
				require.Equal(t, 1, posts())

				_, err = client.RefundCashIn(t.Context(), id, fraud)
				require.Equal(t, unknown, outcomeOf(err))
				assert.Equal(t, cashInID, must2(asUnknown(err)).TransactionID, "the id to call again with")
				assert.Equal(t, 1, posts(), "it is the same refund")

				_, err = client.RefundCashIn(t.Context(), otherCharge, fraud)
				require.Equal(t, unknown, outcomeOf(err))
				assert.Equal(t, 2, posts(), "the refund of another charge is sent")

				mu.Lock()
				readable = false
				mu.Unlock()
				_, err = client.RefundCashIn(t.Context(), "AnotherCode", fraud)
				require.Equal(t, unknown, outcomeOf(err), "it may be the open refund")
				assert.Equal(t, 2, posts())
			})
		}
	}
}

// Two workers refund one charge at the same time, one by its transaction id, one by its end-to-end
// id.
func TestRefundsOfOneChargeUnderTwoIDsAreSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				time.Sleep(10 * time.Second) // so that each is asked for while the others are
				replyJSON(200, chargeAnswer)(w, r)
				return
			}
			time.Sleep(time.Second)
			replyJSON(202, refundAccepted)(w, r)
		})
		client := gateway.memoryClient(connectpsp.WithJournal(slowJournal{newNotebook()}))
		var all sync.WaitGroup
		outcomes := make([]string, 3)
		for i, id := range []string{cashInID, chargeE2E, chargeCode} {
			all.Go(func() { outcomes[i] = outcomeOf(second(client.RefundCashIn(t.Context(), id, fraud))) })
		}
		all.Wait()
		slices.Sort(outcomes)
		assert.Equal(t, []string{accepted, unknown, unknown}, outcomes)
		sent := slices.DeleteFunc(slices.Clone(gateway.requests()), func(r request) bool { return r.method == http.MethodGet })
		assert.Len(t, sent, 1)
	})
}

// A gateway may take a second refund under another key as long as the first has not settled.
func TestARefundWhoseResponseWasLostIsMadeOnce(t *testing.T) {
	gateway := newGateway(t, drop, problem(400, "X"), replyJSON(202, refundAccepted))
	client := gateway.client(connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}))
	_, err := client.RefundCashIn(t.Context(), cashInID, fraud)
	require.Equal(t, unknown, outcomeOf(err))
	_, err = client.RefundCashIn(t.Context(), cashInID, fraud)
	require.Equal(t, unknown, outcomeOf(err), "a refusal of the second call is no rejection of the first")
	_, err = client.RefundCashIn(t.Context(), cashInID, fraud)
	require.NoError(t, err)
	requireSameIntent(t, gateway.requests())
}

func TestTwoPaymentsUnderOneKeyAreNotSentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			body := must(io.ReadAll(r.Body))
			if strings.Contains(string(body), "withdrawal-42") {
				replyJSON(202, cashOutAccepted)(w, r)
				return
			}
			replyJSON(202, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-43"}`)(w, r)
		})
		client := gateway.memoryClient()
		key := connectpsp.WithIdempotencyKey("5f0f1d2c-0000-4000-8000-000000000099")
		other := cashOutRequest()
		other.ExternalReference = "withdrawal-43"
		var all sync.WaitGroup
		for _, payment := range []connectpsp.CashOutRequest{cashOutRequest(), other} {
			all.Go(func() { _, _ = client.CreateCashOut(t.Context(), payment, key) })
		}
		all.Wait()
		assert.Len(t, gateway.requests(), 1, "the second payment would get the first one's response")
	})
}

func TestAFaultyCallThatWaitsHearsTheOutcomeOfTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			redirect(303, "/")(w, r)
		})
		client := gateway.memoryClient()
		go func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) }()
		synctest.Wait()
		typo := cashOutRequest()
		typo.Payee.Document = "111"
		_, err := client.CreateCashOut(t.Context(), typo)
		assert.Equal(t, unknown, outcomeOf(err), "the other call's payment may be made")
		ctx, cancel := timeout(t, 0)
		defer cancel()
		_, err = client.CreateCashOut(ctx, typo)
		assert.Equal(t, unknown, outcomeOf(err))
	})
}

// The program dies after the client has recorded the outcome and before the program has stored it.
func TestRecoverReportsWhatEndedBeforeTheProcessDidOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.journal")
	file := must(journal.Open(path))
	gateway := newGateway(t, replyJSON(202, cashOutAccepted), problem(422, "INSUFFICIENT_FUNDS"), replyJSON(202, refundAccepted))
	client := gateway.memoryClient(connectpsp.WithJournal(file))
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)
	refused := cashOutRequest()
	refused.ExternalReference = "withdrawal-43"
	_, err = client.CreateCashOut(t.Context(), refused)
	require.Equal(t, rejected, outcomeOf(err))
	_, err = client.RefundCashIn(t.Context(), chargeE2E, fraud)
	require.NoError(t, err)
	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered, "the callers of this process know")
	require.NoError(t, file.Close())

	file = must(journal.Open(path))
	defer file.Close()
	client = newGateway(t).memoryClient(connectpsp.WithJournal(file))
	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 3)
	assert.NoError(t, recovered[0].Err)
	assert.Equal(t, "withdrawal-42", recovered[0].ExternalReference)
	assert.Equal(t, cashOutID, recovered[0].TransactionID)
	assert.Equal(t, "withdrawal-43", recovered[1].ExternalReference)
	assert.Equal(t, rejected, outcomeOf(recovered[1].Err))
	assert.NotErrorIs(t, recovered[1].Err, connectpsp.ErrNotSent)
	assert.NoError(t, recovered[2].Err)
	assert.Equal(t, chargeE2E, recovered[2].ChargeID)
	assert.Equal(t, cashInID, recovered[2].TransactionID)
	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered)
}

func TestAFinalStatusEndsTheOpenPaymentInTheJournal(t *testing.T) {
	charge := func(status string) string {
		return `{"transactionId":"` + cashInID + `","internalCode":"` + chargeCode + `","externalReference":"order-1","endToEndId":"D1",` +
			`"originalEndToEndId":"` + chargeE2E + `","status":"` + status + `","amount":10.50}`
	}
	payment := func(status string) string {
		return `{"transactionId":"` + cashOutID + `","externalReference":"withdrawal-42","status":"` + status + `","amount":50.00}`
	}
	for name, c := range map[string]struct {
		open func(*connectpsp.Client) error
		read func(*connectpsp.Client) error
		says string
		ends bool
	}{
		"a payment that completed": {openCashOut(t), readCashOut(t), payment("COMPLETED"), true},
		"a payment that failed":    {openCashOut(t), readCashOut(t), payment("FAILED"), true},
		"a payment under way":      {openCashOut(t), readCashOut(t), payment("PROCESSING"), false},
		"another amount":           {openCashOut(t), readCashOut(t), strings.Replace(payment("COMPLETED"), "50.00", "5.00", 1), false},
		"a charge that was paid": {
			func(c *connectpsp.Client) error { return second(c.CreateCashIn(t.Context(), cashInRequest())) },
			readCashIn(t), charge("PAID"), true,
		},
		"a charge that is awaited": {
			func(c *connectpsp.Client) error { return second(c.CreateCashIn(t.Context(), cashInRequest())) },
			readCashIn(t), charge("AWAITING_PAYMENT"), false,
		},
		"a refund by transaction id": {openRefund(t, cashInID), readCashIn(t), charge("REFUNDED"), true},
		"a refund by code":           {openRefund(t, chargeCode), readCashIn(t), charge("REFUNDED"), true},
		"a refund by end-to-end id":  {openRefund(t, chargeE2E), readCashIn(t), charge("REFUNDED"), true},
		"a refund that is not done":  {openRefund(t, cashInID), readCashIn(t), charge("PAID"), false},
	} {
		t.Run(name, func(t *testing.T) {
			book := newNotebook()
			gateway := newGateway(t, redirect(303, "/"), replyJSON(200, c.says))
			client := gateway.memoryClient(connectpsp.WithJournal(book))
			require.Equal(t, unknown, outcomeOf(c.open(client)))
			require.NoError(t, c.read(client))
			require.Equal(t, c.ends, len(book.open()) == 0)
			for _, intent := range book.intents {
				assert.Equal(t, c.ends, intent.Body == nil, "personal data of a payment that ended")
			}
		})
	}
}

func openCashOut(t *testing.T) func(*connectpsp.Client) error {
	return func(c *connectpsp.Client) error { return second(c.CreateCashOut(t.Context(), cashOutRequest())) }
}

func openRefund(t *testing.T, id string) func(*connectpsp.Client) error {
	return func(c *connectpsp.Client) error { return second(c.RefundCashIn(t.Context(), id, fraud)) }
}

func readCashOut(t *testing.T) func(*connectpsp.Client) error {
	return func(c *connectpsp.Client) error { return second(c.GetCashOut(t.Context(), cashOutID)) }
}

func readCashIn(t *testing.T) func(*connectpsp.Client) error {
	return func(c *connectpsp.Client) error { return second(c.GetCashIn(t.Context(), cashInID)) }
}

// A journal of the caller's may panic, and a server of net/http goes on after that.
func TestACallThatPanicsLeavesThePaymentToTheNextOne(t *testing.T) {
	book := panickyJournal{newNotebook(), new(bool)}
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient(connectpsp.WithJournal(book))
	*book.panics = true
	assert.Panics(t, func() { _, _ = client.CreateCashOut(t.Context(), cashOutRequest()) })
	assert.Panics(t, func() {
		_, _ = client.CreateCashOut(t.Context(), connectpsp.CashOutRequest{ExternalReference: "withdrawal-42"})
	})
	*book.panics = false
	ctx, cancel := timeout(t, 5*time.Second)
	defer cancel()
	_, err := client.CreateCashOut(ctx, cashOutRequest())
	assert.NoError(t, err)
}

type slowJournal struct{ *notebook }

func (s slowJournal) Find(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	time.Sleep(time.Second)
	return s.notebook.Find(ctx, intent)
}

type panickyJournal struct {
	*notebook
	panics *bool
}

func (p panickyJournal) Sent(ctx context.Context, key string, at time.Time) error {
	if *p.panics {
		panic("a bug in the journal")
	}
	return p.notebook.Sent(ctx, key, at)
}

func (p panickyJournal) Find(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	if *p.panics {
		panic("a bug in the journal")
	}
	return p.notebook.Find(ctx, intent)
}
