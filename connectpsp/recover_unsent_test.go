package connectpsp_test

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

func TestRecoverReportsAnUnsentPaymentAndDoesNotSendIt(t *testing.T) {
	journal := newNotebook()
	journal.put(with(func(i *connectpsp.Intent) { i.SentAt = time.Time{} }))
	gateway := newGateway(t)
	client := gateway.memoryClient(connectpsp.WithJournal(journal))
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	assert.Equal(t, rejected, outcomeOf(recovered[0].Err))
	assert.ErrorIs(t, recovered[0].Err, connectpsp.ErrNotSent)
	assert.EqualError(t, recovered[0].Err, "connectpsp: createCashOut: this call sent nothing (it was written to the journal and never sent); "+
		"it is safe to call again with the same request")
	assert.Empty(t, gateway.requests())
	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	assert.Empty(t, recovered)
}

func TestRecoverSkipsAnUnsentPaymentThatChangedMeanwhile(t *testing.T) {
	unsent := with(func(i *connectpsp.Intent) { i.SentAt = time.Time{} })
	sent, another := unsent, unsent
	sent.SentAt = time.Now()
	another.BegunAt = another.BegunAt.Add(time.Second)
	for name, now := range map[string][]connectpsp.Intent{"it was sent": {sent}, "it was begun anew": {another}, "it was ended": nil} {
		t.Run(name, func(t *testing.T) {
			notebook := newNotebook()
			journal := changingJournal{notebook, &[][]connectpsp.Intent{{unsent}, now}}
			recovered, err := newGateway(t).memoryClient(connectpsp.WithJournal(journal)).Recover(t.Context())
			require.NoError(t, err)
			assert.Empty(t, recovered)
			assert.Empty(t, notebook.steps, "another call ends it")
		})
	}
}

// changingJournal is a journal whose Pending returns another result for each call.
type changingJournal struct {
	*notebook
	told *[][]connectpsp.Intent
}

func (c changingJournal) Pending(context.Context) ([]connectpsp.Intent, error) {
	pending := (*c.told)[0]
	*c.told = (*c.told)[1:]
	return pending, nil
}

func TestACancelledRecoverKeepsUnsentPayments(t *testing.T) {
	journal := newNotebook()
	journal.put(with(func(i *connectpsp.Intent) { i.SentAt = time.Time{} }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client := newGateway(t).memoryClient(connectpsp.WithJournal(journal))
	recovered, err := client.Recover(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, recovered)
	recovered, err = client.Recover(t.Context())
	require.NoError(t, err)
	assert.Len(t, recovered, 1)
}

// A payment that was not sent yet when Recover began is refused, and paid by another attempt, while
// Recover waits for the response to a second payment.
func TestRecoverDoesNotReportAPaymentAsNotSentThatWasPaidMeanwhile(t *testing.T) {
	file := must(journal.Open(filepath.Join(t.TempDir(), "p.journal")))
	defer file.Close()
	other := with(func(i *connectpsp.Intent) {
		i.IdempotencyKey, i.ExternalReference = "5f0f1d2c-0000-4000-8000-0000000000ff", "withdrawal-41"
		i.Body = bytes.ReplaceAll(i.Body, []byte("withdrawal-42"), []byte("withdrawal-41"))
	})
	_, err := file.Begin(t.Context(), other)
	require.NoError(t, err)
	require.NoError(t, file.Sent(t.Context(), other.IdempotencyKey, other.BegunAt))

	tokens := newGatedToken()
	recovering, paid := make(chan struct{}), make(chan struct{})
	client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		close(recovering)
		<-paid
		replyJSON(202, `{"transactionId":"`+cashOutID+`","externalReference":"withdrawal-41","amount":50.00}`)(w, r)
	}, problem(422, "INSUFFICIENT_FUNDS"), replyJSON(202, cashOutAccepted)).
		memoryClient(connectpsp.WithJournal(file), connectpsp.WithTokenSource(tokens))
	first := make(chan error, 1)
	go func() { first <- second(client.CreateCashOut(t.Context(), cashOutRequest())) }()
	receive(t, tokens.asked) // begun, not sent
	done := make(chan []connectpsp.Recovered, 1)
	go func() {
		recovered, err := client.Recover(t.Context())
		assert.NoError(t, err)
		done <- recovered
	}()
	receive(t, recovering)
	close(tokens.give)
	require.Equal(t, rejected, outcomeOf(receive(t, first)))
	_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithAttempt(1))
	require.NoError(t, err)
	close(paid)
	recovered := receive(t, done)
	require.Len(t, recovered, 1, "withdrawal-42 was paid by its own call")
	assert.Equal(t, "withdrawal-41", recovered[0].ExternalReference)
	assert.NoError(t, recovered[0].Err)
}

func TestTwoRecoversReportAnUnsentPaymentOnce(t *testing.T) {
	book := &heldPending{notebook: newNotebook(), read: make(chan struct{}), goOn: make(chan struct{})}
	book.put(with(func(i *connectpsp.Intent) { i.SentAt = time.Time{} }))
	client := newGateway(t).memoryClient(connectpsp.WithJournal(book))
	done := make(chan []connectpsp.Recovered, 1)
	go func() { r, _ := client.Recover(t.Context()); done <- r }()
	receive(t, book.read)
	second, err := client.Recover(t.Context())
	require.NoError(t, err)
	close(book.goOn)
	assert.Len(t, append(second, receive(t, done)...), 1, "given back twice")
}

// heldPending is a journal whose first Pending waits for goOn before it returns.
type heldPending struct {
	*notebook
	once sync.Once
	read chan struct{}
	goOn chan struct{}
}

func (h *heldPending) Pending(ctx context.Context) ([]connectpsp.Intent, error) {
	found, err := h.notebook.Pending(ctx)
	first := false
	h.once.Do(func() { first = true })
	if first {
		close(h.read)
		<-h.goOn
	}
	return found, err
}

func TestAJournalMayReturnAnIntentThatWasNeverSent(t *testing.T) {
	book := newNotebook()
	gateway := newGateway(t, redirect(303, "/"))
	client := gateway.memoryClient(connectpsp.WithJournal(returnsUnsent{book}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	book.fail["REJECTED"] = errDiskFull // the process dies between Begin and Finish
	_, err := client.CreateCashOut(ctx, cashOutRequest())
	require.Error(t, err)
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	require.Error(t, err)
	require.Len(t, gateway.requests(), 1)
	assert.NotEmpty(t, book.open(), "it was sent, and the journal has no mark of it")
	delete(book.fail, "REJECTED")
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	assert.Equal(t, unknown, outcomeOf(recovered[0].Err), "it was sent")
}

// returnsUnsent is a journal whose Begin returns an earlier intent even if it was never sent.
type returnsUnsent struct{ *notebook }

func (r returnsUnsent) Begin(ctx context.Context, i connectpsp.Intent) (*connectpsp.Intent, error) {
	r.mu.Lock()
	earlier, found := r.intents[i.IdempotencyKey]
	r.mu.Unlock()
	if found && earlier.Outcome == "" {
		return &earlier, nil
	}
	return r.notebook.Begin(ctx, i)
}

// A journal of the caller's may keep an attempt that was not sent beside one that was.
func TestRecoverReportsAPaymentAsNotSentOnlyIfNoAttemptWasSent(t *testing.T) {
	for want, outcome := range map[string]connectpsp.Outcome{unknown: "", accepted: connectpsp.OutcomeAccepted} {
		t.Run(want, func(t *testing.T) {
			book := newNotebook()
			book.put(with(func(i *connectpsp.Intent) {
				i.IdempotencyKey, i.SentAt = "5f0f1d2c-0000-4000-8000-0000000000aa", time.Time{}
			}))
			book.put(with(func(i *connectpsp.Intent) { i.Outcome = outcome }))
			recovered, err := newGateway(t, redirect(303, "/")).memoryClient(connectpsp.WithJournal(book)).Recover(t.Context())
			require.NoError(t, err)
			require.Len(t, recovered, 1)
			assert.Equal(t, want, outcomeOf(recovered[0].Err))
		})
	}
}
