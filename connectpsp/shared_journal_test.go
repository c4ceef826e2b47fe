package connectpsp_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// sharedNotebook is a journal that another process uses too.
type sharedNotebook struct {
	*notebook
	begun   *connectpsp.Intent // what Begin returns, nil for what the notebook does
	sent    func(n int) error  // what the n-th Sent returns
	sents   int
	refused bool // Finish refuses a rejection: another has the intent
}

var errLeaseLost = errors.New("the lease is over, and another process has the payment")

func (s *sharedNotebook) Begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	if s.begun != nil {
		return s.begun, nil
	}
	return s.notebook.Begin(ctx, intent)
}

func (s *sharedNotebook) Sent(ctx context.Context, key string, at time.Time) error {
	s.sents++
	if s.sent != nil {
		if err := s.sent(s.sents); err != nil {
			return err
		}
	}
	return s.notebook.Sent(ctx, key, at)
}

func (s *sharedNotebook) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	if s.refused && outcome == connectpsp.OutcomeRejected {
		return errLeaseLost
	}
	return s.notebook.Finish(ctx, key, outcome, transactionID)
}

func TestACallWhoseLeaseIsLostSendsNothingMoreAndIsUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		replies []http.HandlerFunc
		lost    int // the attempt before which it is lost
	}{
		"before the first attempt":           {nil, 1},
		"after one that was refused":         {[]http.HandlerFunc{problem(429, "TOO_MANY_REQUESTS")}, 2},
		"after one that is in doubt":         {[]http.HandlerFunc{html(503)}, 2},
		"after two, the second one in doubt": {[]http.HandlerFunc{problem(429, "TOO_MANY_REQUESTS"), html(503)}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			journal := &sharedNotebook{notebook: newNotebook(), refused: true, sent: func(n int) error {
				if n == c.lost {
					return errLeaseLost
				}
				return nil
			}}
			gateway := newGateway(t, append(c.replies, replyJSON(202, cashOutAccepted))...)
			_, err := gateway.client(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
			assert.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
			assert.ErrorIs(t, err, errLeaseLost)
			assert.Len(t, gateway.requests(), c.lost-1)
		})
	}
}

// beginsNothing is a journal whose Begin fails.
type beginsNothing struct{ *sharedNotebook }

func (beginsNothing) Begin(context.Context, connectpsp.Intent) (*connectpsp.Intent, error) {
	return nil, errors.New("the connection was lost")
}

func TestACallThatCouldNotBeginIsUnknownIfAnotherProcessPaysMeanwhile(t *testing.T) {
	for _, anotherPays := range []bool{true, false} {
		journal := beginsNothing{&sharedNotebook{notebook: newNotebook(), refused: anotherPays}}
		gateway := newGateway(t)
		_, err := gateway.client(connectpsp.WithJournal(journal)).CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, anotherPays, errors.Is(err, connectpsp.ErrUnknownOutcome), "%v", err)
		assert.Equal(t, !anotherPays, errors.Is(err, connectpsp.ErrNotSent), "%v", err)
		assert.ErrorContains(t, err, "the connection was lost")
		assert.Empty(t, gateway.requests())
	}
}

func TestACallThatWaitedForAnotherProcessReportsItsRejection(t *testing.T) {
	journal := &sharedNotebook{notebook: newNotebook()}
	gateway := newGateway(t)
	client := gateway.client(connectpsp.WithJournal(journal))
	now := time.Now()
	journal.begun = &connectpsp.Intent{
		Operation: connectpsp.OperationCreateCashOut, ExternalReference: "withdrawal-42", IdempotencyKey: "another",
		BegunAt: now, SentAt: now, EndedAt: now, Outcome: connectpsp.OutcomeRejected,
	}
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	var rejection *connectpsp.APIError
	require.ErrorAs(t, err, &rejection)
	assert.NotErrorIs(t, err, connectpsp.ErrUnknownOutcome)
	assert.Equal(t, "another", rejection.IdempotencyKey)
	assert.Empty(t, gateway.requests())
}

func TestRecoverLeavesThePaymentsOfAnotherProcessAlone(t *testing.T) {
	gateway := newGateway(t, html(307))
	journal := newNotebook()
	client := gateway.client(connectpsp.WithJournal(journal))
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
	for _, outcome := range []connectpsp.Outcome{connectpsp.OutcomeAccepted, connectpsp.OutcomeRejected, ""} {
		for key, intent := range journal.intents {
			intent.Leased, intent.Outcome, intent.EndedAt = true, outcome, time.Now()
			journal.intents[key] = intent
		}
		recovered, err := client.Recover(t.Context())
		require.NoError(t, err)
		assert.Empty(t, recovered, outcome)
		assert.Len(t, gateway.requests(), 1)
	}
}

func TestRecoverReportsAPaymentThatEndedBeforeTheClientWasMadeAfterItsLeaseExpires(t *testing.T) {
	journal := newNotebook()
	now := time.Now()
	journal.intents["key"] = connectpsp.Intent{
		Operation: connectpsp.OperationCreateCashOut, ExternalReference: "withdrawal-42", IdempotencyKey: "key", ClientID: clientID,
		BaseURL: "https://gateway.example", BegunAt: now, SentAt: now, EndedAt: now, Outcome: connectpsp.OutcomeRejected, Leased: true,
	}
	client := newClient(t, "https://gateway.example", connectpsp.WithJournal(journal))
	for _, c := range []struct {
		leased bool
		want   int
	}{{true, 0}, {false, 1}, {false, 0}} {
		intent := journal.intents["key"]
		intent.Leased = c.leased
		journal.intents["key"] = intent
		recovered, err := client.Recover(t.Context())
		require.NoError(t, err)
		assert.Len(t, recovered, c.want)
	}
}

// rejectedOnce is a journal whose first Begin waits for another process, which is rejected.
type rejectedOnce struct {
	*notebook
	waited bool
}

func (r *rejectedOnce) Begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	if !r.waited {
		r.waited = true
		intent.Outcome = connectpsp.OutcomeRejected
		return &intent, nil
	}
	return r.notebook.Begin(ctx, intent)
}

func TestAPaymentThatWasReadAsAcceptedIsRememberedThoughAnotherProcessWasRejected(t *testing.T) {
	doubt := doubtAbout(t, redirect(303, "/"))
	doubt.TransactionID = cashOutID
	gateway := newGateway(t, replyJSON(200, cashOutCompleted))
	client := gateway.memoryClient(connectpsp.WithJournal(&rejectedOnce{notebook: newNotebook()}))
	_, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
	require.NoError(t, err)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(1))
	assert.Equal(t, unknown, outcomeOf(err), "%v", err)
	assert.Len(t, gateway.requests(), 1, "nothing is sent for it")
}
