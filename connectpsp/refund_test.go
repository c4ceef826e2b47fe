package connectpsp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

type slowBegin struct {
	*notebook
	charge string
}

func (s slowBegin) Begin(ctx context.Context, i connectpsp.Intent) (*connectpsp.Intent, error) {
	if i.ChargeID == s.charge {
		time.Sleep(10 * time.Second)
	}
	return s.notebook.Begin(ctx, i)
}

type panickyPending struct {
	*notebook
	n *atomic.Int32
}

func (p panickyPending) Pending(ctx context.Context) ([]connectpsp.Intent, error) {
	if p.n.Add(1) == 1 {
		panic("a bug in a journal")
	}
	return p.notebook.Pending(ctx)
}

func TestAnOpenRefundThatWaitsForAnotherChargeIsNotRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, redirect(303, "/"))
		client := gateway.memoryClient(connectpsp.WithJournal(slowBegin{newNotebook(), otherCharge}))
		require.Equal(t, unknown, outcomeOf(second(client.RefundCashIn(t.Context(), cashInID, fraud))))
		// The refund of the other charge reads that charge, and then waits in Begin.
		gateway.mu.Lock()
		gateway.steps = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				replyJSON(200, `{"transactionId":"`+otherCharge+`","status":"PAID","amount":10.50}`)(w, r)
				return
			}
			replyJSON(202, `{"transactionId":"`+otherCharge+`"}`)(w, r)
		}}
		gateway.mu.Unlock()
		go func() { _, _ = client.RefundCashIn(t.Context(), otherCharge, fraud) }()
		synctest.Wait()
		ctx, cancel := timeout(t, time.Second)
		defer cancel()
		_, err := client.RefundCashIn(ctx, cashInID, fraud)
		assert.Equal(t, unknown, outcomeOf(err), "%v", err)
		time.Sleep(time.Minute)
	})
}

func TestARefundIsNotSentAgainAfterTheReplayWindow(t *testing.T) {
	for _, first := range []string{"open", "accepted"} {
		t.Run(first, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				known := map[string]time.Time{}
				made := 0
				client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet {
						replyJSON(200, chargeAnswer)(w, r)
						return
					}
					key := r.Header.Get("X-Idempotency-Key")
					if at, found := known[key]; !found || time.Since(at) > 30*time.Minute {
						known[key] = time.Now()
						made++
					}
					if made == 1 && first == "open" {
						redirect(303, "/")(w, r)
						return
					}
					replyJSON(202, refundAccepted)(w, r)
				}).memoryClient()
				_, _ = client.RefundCashIn(t.Context(), cashInID, fraud)
				time.Sleep(40 * time.Minute)
				_, err := client.RefundCashIn(t.Context(), cashInID, fraud)
				assert.Equal(t, unknown, outcomeOf(err))
				assert.Equal(t, 1, made)
			})
		})
	}
}

func TestAnAcceptedRefundIsNotMadeTwiceUnderAnotherID(t *testing.T) {
	posts := map[string]bool{}
	gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			replyJSON(200, chargeAnswer)(w, r) // still PAID: the refund has not settled
			return
		}
		posts[r.Header.Get("X-Idempotency-Key")] = true
		replyJSON(202, refundAccepted)(w, r)
	})
	client := gateway.memoryClient()
	require.NoError(t, second(client.RefundCashIn(t.Context(), chargeCode, fraud)))
	_, err := client.RefundCashIn(t.Context(), cashInID, fraud)
	assert.Equal(t, unknown, outcomeOf(err))
	assert.Len(t, posts, 1, "the customer gets the money twice")
}

// The gateway refuses a second refund, and the charge cannot be read to see that it is the second.
func TestARefundIsNotRejectedWhileAnAcceptedOneMayBeOfTheSameCharge(t *testing.T) {
	posts := 0
	gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			html(503)(w, r)
			return
		}
		if posts++; posts == 1 {
			replyJSON(202, refundAccepted)(w, r)
			return
		}
		problem(422, "INSUFFICIENT_FUNDS")(w, r)
	})
	client := gateway.memoryClient()
	require.NoError(t, second(client.RefundCashIn(t.Context(), chargeCode, fraud)))
	_, err := client.RefundCashIn(t.Context(), chargeE2E, fraud)
	assert.Equal(t, 2, posts)
	assert.Equal(t, unknown, outcomeOf(err), "the customer has the money")
}

func TestAChargeIDIsComparedWithoutCase(t *testing.T) {
	gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			redirect(303, "/")(w, r)
			return
		}
		replyJSON(200, chargeAnswer)(w, r)
	})
	client := gateway.memoryClient()
	require.Equal(t, unknown, outcomeOf(second(client.RefundCashIn(t.Context(), strings.ToLower(chargeCode), fraud))))
	_, _ = client.RefundCashIn(t.Context(), cashInID, fraud)
	n := 0
	for _, r := range gateway.requests() {
		if r.method == http.MethodPost {
			n++
		}
	}
	assert.Equal(t, 1, n)
}

func TestRecoverReportsARejectedRefundWhenTheGatewayIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newNotebook()
		ended := func(n int, charge string, outcome connectpsp.Outcome) {
			book.put(with(func(i *connectpsp.Intent) {
				i.Operation, i.ExternalReference, i.ChargeID, i.TransactionID = "refundCashIn", "", charge, charge
				i.IdempotencyKey = fmt.Sprintf("5f0f1d2c-0000-4000-8000-%012d", n)
				i.Outcome, i.Body, i.EndedAt = outcome, nil, time.Now().Add(-time.Second)
			}))
		}
		ended(1, cashInID, connectpsp.OutcomeAccepted)
		ended(2, otherCharge, connectpsp.OutcomeRejected)
		client := newGateway(t, html(503)).memoryClient(connectpsp.WithJournal(book))
		var told []string
		for range 2 {
			recovered, err := client.Recover(t.Context())
			require.NoError(t, err)
			for _, one := range recovered {
				told = append(told, one.ChargeID)
			}
		}
		assert.Contains(t, told, otherCharge, "its rejection is never reported otherwise")
	})
}

func TestRecoverDoesNotRejectARefundThatWasMadeUnderAnotherIDSinceTheLastRecover(t *testing.T) {
	book := newNotebook()
	client := newGateway(t, replyJSON(200, chargeAnswer)).memoryClient(connectpsp.WithJournal(book))
	put := func(n int, charge string, change func(*connectpsp.Intent)) {
		book.put(with(func(i *connectpsp.Intent) {
			i.Operation, i.ExternalReference, i.ChargeID, i.TransactionID = "refundCashIn", "", charge, ""
			i.IdempotencyKey = fmt.Sprintf("5f0f1d2c-0000-4000-8000-%012d", n)
			change(i)
		}))
	}
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	require.Empty(t, recovered)
	put(1, cashInID, func(i *connectpsp.Intent) { i.SentAt = time.Time{} })
	put(2, chargeCode, func(i *connectpsp.Intent) {
		i.Outcome, i.Body, i.EndedAt = connectpsp.OutcomeAccepted, nil, time.Now()
	})
	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered, "the money went back, so no refund of the charge is reported as rejected")
}

// Recover reads the charge of each rejected refund, and has ten seconds for all of them.
func TestRecoverReportsAllRejectedRefunds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newNotebook()
		for n := range 300 {
			book.put(with(func(i *connectpsp.Intent) {
				charge := fmt.Sprint("charge", n)
				i.Operation, i.ExternalReference, i.ChargeID, i.TransactionID = "refundCashIn", "", charge, charge
				i.IdempotencyKey = fmt.Sprintf("5f0f1d2c-0000-4000-8000-%012d", n)
				i.Outcome, i.Body, i.EndedAt = connectpsp.OutcomeRejected, nil, time.Now().Add(-time.Second)
				if n == 0 {
					i.Outcome = connectpsp.OutcomeAccepted
				}
			}))
		}
		client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(50 * time.Millisecond)
			id := r.URL.Path[len("/cash-in/"):]
			replyJSON(200, `{"transactionId":"`+id+`","internalCode":"C`+id+`","status":"AWAITING_PAYMENT","amount":10.50}`)(w, r)
		}).memoryClient(connectpsp.WithJournal(book))
		recovered, err := client.Recover(t.Context())
		require.NoError(t, err)
		assert.Len(t, recovered, 300)
	})
}

func TestAPanicReleasesTheLockOfRefunds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, replyJSON(202, `{"transactionId":"`+otherCharge+`"}`))
		client := gateway.memoryClient(connectpsp.WithJournal(panickyPending{newNotebook(), new(atomic.Int32)}))
		assert.Panics(t, func() { _, _ = client.RefundCashIn(t.Context(), cashInID, fraud) })
		ctx, cancel := timeout(t, time.Hour)
		defer cancel()
		_, err := client.RefundCashIn(ctx, otherCharge, fraud)
		assert.NoError(t, err, "the refund of another charge")
	})
}

func TestAnUnknownRefundIsNotReportedAsNotSent(t *testing.T) {
	book := newNotebook()
	_, err := newGateway(t, redirect(303, "/")).memoryClient(connectpsp.WithJournal(book)).RefundCashIn(t.Context(), cashInID, fraud)
	require.Equal(t, unknown, outcomeOf(err))
	for k, i := range book.intents {
		i.BaseURL = "http://127.0.0.1:1"
		book.intents[k] = i
	}
	client := newClient(t, "http://127.0.0.1:1", connectpsp.WithJournal(book), connectpsp.WithTokenSource(fixedToken("a.b.c")))
	_, err = client.RefundCashIn(t.Context(), chargeCode, fraud)
	require.Equal(t, unknown, outcomeOf(err))
	assert.NotErrorIs(t, err, connectpsp.ErrNotSent)
	var refusal *connectpsp.APIError
	assert.False(t, errors.As(err, &refusal), "UnknownOutcomeError: its type is not found by errors.As, unless it is a conflict")
}

func TestAnUnknownRecoveredRefundIsNotReportedAsNotSent(t *testing.T) {
	book := newNotebook()
	put := func(n int, charge string, sent bool) {
		i := with(func(i *connectpsp.Intent) {
			i.Operation, i.ExternalReference, i.ChargeID, i.TransactionID = "refundCashIn", "", charge, charge
			i.IdempotencyKey = fmt.Sprintf("5f0f1d2c-0000-4000-8000-%012d", n)
			i.BaseURL = "http://127.0.0.1:1"
			if !sent {
				i.SentAt = time.Time{}
			} else {
				i.Outcome, i.EndedAt = connectpsp.OutcomeAccepted, time.Now().Add(-time.Second)
			}
		})
		book.put(i)
	}
	put(1, cashInID, true)
	put(2, otherCharge, false)
	recovered, err := newClient(t, "http://127.0.0.1:1", connectpsp.WithJournal(book), connectpsp.WithTokenSource(fixedToken("a.b.c"))).Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 2)
	assert.NoError(t, recovered[0].Err)
	assert.Equal(t, unknown, outcomeOf(recovered[1].Err))
	assert.NotErrorIs(t, recovered[1].Err, connectpsp.ErrNotSent)
}

func TestAResponseAboutAnotherEndToEndIDIsAnError(t *testing.T) {
	_, err := newGateway(t, replyJSON(200, `{"transactionId":"other","internalCode":"OTHER","endToEndId":"E00416968202603101827cemeFscF6AG","status":"PAID","amount":1}`)).client().GetCashIn(t.Context(), chargeE2E)
	assert.Error(t, err)
}

func TestAResponseAboutAnotherChargeLeavesTheRefundUnknown(t *testing.T) {
	for id, body := range map[string]string{
		cashInID:   `{"transactionId":"` + otherCharge + `","internalCode":"OTHER"}`,
		chargeCode: `{"transactionId":"` + otherCharge + `","internalCode":"OTHER"}`,
		chargeE2E:  `{"transactionId":"` + otherCharge + `","endToEndId":"D1","originalEndToEndId":"E1"}`,
	} {
		refund, err := newGateway(t, replyJSON(202, body)).client().RefundCashIn(t.Context(), id, fraud)
		assert.Equal(t, unknown, outcomeOf(err), id)
		assert.Nil(t, refund, id)
	}
}

func TestTheErrorOfARefundNamesNoExternalReference(t *testing.T) {
	client := newGateway(t, redirect(303, "/")).memoryClient()
	_, _ = client.RefundCashIn(t.Context(), cashInID, fraud)
	_, err := client.RefundCashIn(t.Context(), cashInID, fraud, connectpsp.WithAttempt(1))
	assert.NotContains(t, err.Error(), "externalReference")
}

func TestAFailingJournalIsNotReportedAsOpenRefunds(t *testing.T) {
	book := newNotebook()
	book.fail["pending"] = errDiskFull
	_, err := newGateway(t).memoryClient(connectpsp.WithJournal(book)).RefundCashIn(t.Context(), cashInID, fraud)
	assert.NotContains(t, err.Error(), "refunds are open")
}

// The gateway answers both the GET and the POST with 404.
func TestARefundOfAnUnknownChargeIsRejectedBesideAcceptedOnes(t *testing.T) {
	gateway := newGateway(t, replyJSON(202, refundAccepted), problem(404, "TRANSACTION_NOT_FOUND"))
	client := gateway.memoryClient()
	require.NoError(t, second(client.RefundCashIn(t.Context(), cashInID, fraud)))
	assert.Equal(t, rejected, outcomeOf(second(client.RefundCashIn(t.Context(), otherCharge, fraud))))
}

func TestARefundOfAnotherChargeUnderAnOpenKeyIsNotSent(t *testing.T) {
	book := newNotebook()
	const key = "5f0f1d2c-0000-4000-8000-000000000077"
	gateway := newGateway(t, redirect(303, "/"), replyJSON(202, `{"transactionId":"zz"}`))
	client := gateway.memoryClient(connectpsp.WithJournal(book))
	reason := connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}
	_, err := client.RefundCashIn(t.Context(), cashInID, reason, connectpsp.WithIdempotencyKey(key))
	require.Equal(t, unknown, outcomeOf(err))
	_, err = client.RefundCashIn(t.Context(), "zz6g232xel65a0daee4dd13kk2912714999", reason, connectpsp.WithIdempotencyKey(key))
	assert.Error(t, err)
	assert.Len(t, gateway.requests(), 1, "another refund was sent under an open key")
	assert.Len(t, book.open(), 1, "the first refund is lost")
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

type slowJournal struct{ *notebook }

func (s slowJournal) Find(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	time.Sleep(time.Second)
	return s.notebook.Find(ctx, intent)
}

func TestARefundIsRecognisedUnderEveryIDOfTheCharge(t *testing.T) {
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
