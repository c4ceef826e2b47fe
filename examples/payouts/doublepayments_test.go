package main

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
)

// naive is how a payout is often written: a status, a refund if it fails, a new try under a new
// key.
type naive struct {
	t       *testing.T
	bank    *bank
	client  *connectpsp.Client
	mu      sync.Mutex
	refunds int
}

func newNaive(t *testing.T, options ...sandbox.Option) *naive {
	bank, err := startBank(options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bank.Close()) })
	return &naive{t: t, bank: bank, client: newNaiveClient(t, bank)}
}

func newNaiveClient(t *testing.T, bank *bank) *connectpsp.Client {
	client, err := connectpsp.New(bank.Config(), connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}),
		connectpsp.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	return client
}

// send pays under a reference, with a new idempotency key each time.
func (n *naive) send(client *connectpsp.Client, reference string) error {
	w := newWithdrawal(reference)
	_, err := client.CreateCashOut(n.t.Context(), connectpsp.CashOutRequest{
		Amount: w.amount, ExternalReference: w.reference, Payee: w.payee}, connectpsp.WithIdempotencyKey(uuid.NewString()))
	return err
}

func (n *naive) refund() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refunds++
}

// given is how often the player got the amount.
func (n *naive) given() int { return n.refunds + n.bank.transactions() }

func (p *platform) given(t *testing.T) int {
	return p.bank.transactions() + p.number(t, "SELECT count(*) FROM entry WHERE phase = 'VOIDED'")
}

var noMoney = sandbox.WithBalance(pix.Centavos(0), pix.Centavos(1_000_00))

// fund tops the account up from which payouts are made.
func fund(t *testing.T, bank *bank) {
	t.Helper()
	client, err := connectpsp.New(bank.Config())
	require.NoError(t, err)
	_, err = client.RebalanceAccount(t.Context(), pix.Centavos(500_00))
	require.NoError(t, err)
}

// Each of these was found in public code that moves money. The player is to get the amount once:
// paid, or given back.
func TestDoublePaymentsThatOthersMadeAreNotMadeHere(t *testing.T) {
	for name, c := range map[string]struct {
		options []sandbox.Option
		naive   func(*testing.T, *naive)
		ours    func(*testing.T, *platform)
	}{
		"a rejection gives the money back, and the queue tries the job again": {
			[]sandbox.Option{noMoney},
			func(t *testing.T, n *naive) {
				require.ErrorIs(t, n.send(n.client, reference), connectpsp.CodeInsufficientFunds)
				n.refund() // and returns the error, so that the queue tries again
				fund(t, n.bank)
				require.NoError(t, n.send(n.client, reference))
			},
			func(t *testing.T, p *platform) {
				require.Zero(t, pay(t, newPayer(t, p.app, "")))
				fund(t, p.bank)
				require.Zero(t, pay(t, newPayer(t, p.app, "")))
			},
		},
		"a rejected withdrawal is requested again as if it were still debited": {
			[]sandbox.Option{noMoney},
			func(t *testing.T, n *naive) {
				require.Error(t, n.send(n.client, reference))
				n.refund()
				fund(t, n.bank)
				require.NoError(t, n.send(n.client, reference+"-retry")) // the row says that it was debited
			},
			func(t *testing.T, p *platform) {
				require.Zero(t, pay(t, newPayer(t, p.app, "")))
				fund(t, p.bank)
				_, err := p.books.withdraw(t.Context(), newWithdrawal(reference))
				require.NoError(t, err)
				require.Zero(t, pay(t, newPayer(t, p.app, "")))
			},
		},
		"a sweeper takes what is in flight for stuck": {
			nil,
			func(t *testing.T, n *naive) {
				n.bank.loseAnswers(4)
				require.Error(t, n.send(n.client, reference)) // and the process dies
				n.refund()                                    // UPDATE … SET state = 'FAILED' WHERE state = 'PROCESSING' AND …
			},
			func(t *testing.T, p *platform) {
				p.bank.loseAnswers(4)
				require.Equal(t, whenDoubted, pay(t, newPayer(t, p.app, "")))
				p.execute(t, "TRUNCATE river_job")
				p.execute(t, "UPDATE withdrawal SET requested_at = requested_at - interval '1 hour'")
				swept, err := p.books.requeue(t.Context())
				require.NoError(t, err)
				require.Equal(t, 1, swept)
				require.Zero(t, pay(t, newPayer(t, p.newProcessLater(t), "")))
			},
		},
		"two workers check the status, and then both act": {
			nil,
			func(t *testing.T, n *naive) {
				var workers sync.WaitGroup
				for _, try := range []string{"-1", "-2"} { // both have read PENDING
					workers.Go(func() { assert.NoError(t, n.send(newNaiveClient(t, n.bank), reference+try)) })
				}
				workers.Wait()
			},
			func(t *testing.T, p *platform) {
				var workers sync.WaitGroup
				for range 2 {
					worker := newPayer(t, p.newProcess(t), "")
					workers.Go(func() { _, _ = worker.pay(t.Context(), reference) })
				}
				workers.Wait()
			},
		},
		"each try makes a new key and a new reference": {
			nil,
			func(t *testing.T, n *naive) {
				n.bank.FailNext("createCashOut", sandbox.LoseAnswer)
				require.Error(t, n.send(n.client, uuid.NewString()))
				require.NoError(t, n.send(n.client, uuid.NewString()))
			},
			func(t *testing.T, p *platform) {
				p.bank.loseAnswers(4)
				require.Equal(t, whenDoubted, pay(t, newPayer(t, p.app, "")))
				require.Zero(t, pay(t, newPayer(t, p.newProcessLater(t), "")))
			},
		},
		"a time-out is taken for a failure": {
			nil,
			func(t *testing.T, n *naive) {
				n.bank.FailNext("createCashOut", sandbox.UnavailableAfterExecution)
				require.Error(t, n.send(n.client, reference))
				n.refund()
			},
			func(t *testing.T, p *platform) {
				fault := sandbox.UnavailableAfterExecution
				p.bank.FailNext("createCashOut", fault, fault, fault, fault)
				require.Equal(t, whenDoubted, pay(t, newPayer(t, p.app, "")))
			},
		},
		"one job is given to two workers, and the first wakes up when the second has given the money back": {
			[]sandbox.Option{noMoney},
			func(t *testing.T, n *naive) {
				// The first worker has read PENDING, and is frozen.
				require.Error(t, n.send(newNaiveClient(t, n.bank), reference))
				n.refund()
				fund(t, n.bank)
				require.NoError(t, n.send(n.client, reference))
			},
			func(t *testing.T, p *platform) {
				first := newPayer(t, p.newProcess(t), "")
				claim, err := p.books.claim(t.Context(), reference)
				require.NoError(t, err)
				require.Zero(t, pay(t, newPayer(t, p.newProcess(t), "")))
				fund(t, p.bank)
				asked := p.bank.asked()
				_, err = first.send(t.Context(), claim)
				require.ErrorIs(t, err, connectpsp.ErrNotSent)
				require.Equal(t, asked, p.bank.asked())
				again, _ := first.book(t.Context(), claim, nil, err)
				require.Equal(t, later, again)
				require.Zero(t, pay(t, first))
			},
		},
		"the answer of COMMIT is lost, and the withdrawal is made anew": {
			nil,
			func(t *testing.T, n *naive) { // debited and queued, reported as failed, and asked for once more
				require.NoError(t, n.send(n.client, uuid.NewString()))
				require.NoError(t, n.send(n.client, uuid.NewString()))
			},
			func(t *testing.T, p *platform) {
				require.NoError(t, p.books.deposit(t.Context(), player, amount))
				_, err := p.books.withdraw(t.Context(), newWithdrawal(reference))
				require.NoError(t, err)
				require.Zero(t, pay(t, newPayer(t, p.app, "")))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNaive(t, c.options...)
			c.naive(t, n)
			assert.Equal(t, 2, n.given(), "the naive way")
			p := newPlatform(t, c.options...)
			p.request(t, reference)
			c.ours(t, p)
			assert.Equal(t, 1, p.given(t), "ours")
			assert.NoError(t, p.books.audit(t.Context()))
		})
	}
}

// A worker is rejected and stops before it gives the money back; meanwhile another sends the
// payment.
func TestARejectionGivesNothingBackOnceAnotherWorkerHasSentThePayment(t *testing.T) {
	p := newPlatform(t, noMoney)
	p.request(t, reference)
	slow, fast := newPayer(t, p.newProcess(t), ""), newPayer(t, p.newProcess(t), "")
	first, err := p.books.claim(t.Context(), reference)
	require.NoError(t, err)
	_, rejection := slow.send(t.Context(), first)
	require.ErrorIs(t, rejection, connectpsp.CodeInsufficientFunds)
	second, err := p.books.claim(t.Context(), reference)
	require.NoError(t, err)
	_, repeated := fast.send(t.Context(), second)
	require.ErrorIs(t, repeated, connectpsp.CodeInsufficientFunds)
	again, err := slow.book(t.Context(), first, nil, rejection)
	require.NoError(t, err)
	require.Zero(t, again)
	require.Equal(t, statePending, p.state(t, reference))
	again, err = fast.book(t.Context(), second, nil, repeated)
	require.NoError(t, err)
	require.Zero(t, again)
	require.Equal(t, stateVoided, p.state(t, reference))
	require.Equal(t, 1, p.given(t))
}

func TestOfTwoWorkersWithOneClaimTheSecondSendsNothing(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference)
	first, err := p.books.claim(t.Context(), reference)
	require.NoError(t, err)
	second, err := p.books.claim(t.Context(), reference)
	require.NoError(t, err)
	p.bank.loseAnswers(4)
	_, err = newPayer(t, p.newProcess(t), "").send(t.Context(), first)
	require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
	const open = "SELECT epoch FROM connectpsp_payment WHERE outcome = ''"
	asked, epoch := p.bank.asked(), p.number(t, open)
	_, err = newPayer(t, p.newProcessLater(t), "").send(t.Context(), second)
	require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
	require.ErrorIs(t, err, errClaimLost)
	require.Equal(t, asked, p.bank.asked())
	require.Equal(t, epoch, p.number(t, open), "the journal is as the first left it")
}

// stopping is a journal whose process stops before it asks the database for the lease.
type stopping struct {
	connectpsp.Journal
	meanwhile func()
}

// Sent implements [connectpsp.Journal].
func (s *stopping) Sent(ctx context.Context, idempotencyKey string, at time.Time) error {
	s.meanwhile()
	return s.Journal.Sent(ctx, idempotencyKey, at)
}

func TestAWorkerThatStopsJustBeforeItSendsDoesNotSendWhatAnotherHasGivenBack(t *testing.T) {
	p := newPlatform(t, noMoney)
	p.request(t, reference)
	stopped := p.newProcess(t)
	store, err := sqlstore.Open(t.Context(), stopped.db, sqlstore.PostgreSQL)
	require.NoError(t, err)
	journal := &stopping{fence{store.Journal()}, func() { require.Zero(t, pay(t, newPayer(t, p.app, ""))) }}
	stopped.client, err = connectpsp.New(p.bank.Config(), connectpsp.WithJournal(journal))
	require.NoError(t, err)
	require.Equal(t, later, pay(t, newPayer(t, stopped, "")))
	assert.Equal(t, 1, p.bank.asked(), "the other worker's request, which was rejected")
	p.requireBooks(t, amount, nothing, nothing)
}
