package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

var nothing = pix.Centavos(0)

func TestAWithdrawalIsPaidAndConfirmedByTheWebhook(t *testing.T) {
	p := newPlatform(t)
	url := p.startReceiver(t)
	inBackground(t, func(ctx context.Context) error {
		return p.work(ctx, workerSettings{url, 4, false, defaultTimeouts})
	})
	p.request(t, reference)
	eventually(t, func() bool { return len(p.bank.paid(reference)) == 1 }, "it is not paid")
	require.NoError(t, p.bank.CompleteCashOut(p.bank.paid(reference)[0]))
	eventually(t, func() bool { return p.state(t, reference) == statePosted }, "it is not posted")
	p.requireBooks(t, nothing, nothing, amount)
}

func TestAWithdrawalIsDebitedRecordedAndQueuedTogetherOrNotAtAll(t *testing.T) {
	p := newPlatform(t)
	require.NoError(t, p.books.deposit(t.Context(), player, amount))
	for _, table := range []string{"withdrawal", "entry", "river_job"} {
		t.Run(table, func(t *testing.T) {
			p.execute(t, "ALTER TABLE "+table+" ADD CONSTRAINT fault CHECK (false) NOT VALID")
			defer p.execute(t, "ALTER TABLE "+table+" DROP CONSTRAINT fault")
			_, err := p.books.withdraw(t.Context(), newWithdrawal(reference))
			require.Error(t, err)
			assert.Zero(t, p.number(t, "SELECT count(*) FROM withdrawal"))
			assert.Zero(t, p.number(t, "SELECT count(*) FROM entry WHERE phase = 'PENDING'"))
			assert.Zero(t, p.number(t, "SELECT count(*) FROM river_job"))
			p.requireBooks(t, amount, nothing, nothing)
		})
	}
	_, err := p.books.withdraw(t.Context(), newWithdrawal(reference))
	require.NoError(t, err)
	assert.Equal(t, 1, p.number(t, "SELECT count(*) FROM withdrawal"))
	assert.Equal(t, 1, p.number(t, "SELECT count(*) FROM entry WHERE phase = 'PENDING'"))
	assert.Equal(t, 1, p.number(t, "SELECT count(*) FROM river_job"))
	p.requireBooks(t, nothing, amount, nothing)
}

// River's uniqueness would have ended in each of these cases.
func TestAWithdrawalThatIsRequestedAgainIsPaidOnce(t *testing.T) {
	for name, change := range map[string]string{
		"while its job is there":              "SELECT 1",
		"after River's cleaner has run":       "DELETE FROM river_job",
		"after River has discarded its job":   "UPDATE river_job SET state = 'discarded', finalized_at = now()",
		"after an operator has cancelled it":  "UPDATE river_job SET state = 'cancelled', finalized_at = now()",
		"after the job was inserted by hand":  `INSERT INTO river_job (kind, args, queue, max_attempts) SELECT kind, args, queue, max_attempts FROM river_job`,
		"after the queue was lost altogether": "TRUNCATE river_job",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			p.request(t, reference)
			require.Zero(t, pay(t, newPayer(t, p.app, "")))
			p.execute(t, change)
			require.NoError(t, p.books.deposit(t.Context(), player, amount))
			state, err := p.books.withdraw(t.Context(), newWithdrawal(reference))
			require.NoError(t, err)
			assert.Equal(t, statePending, state)
			require.Zero(t, pay(t, newPayer(t, p.newProcess(t), "")))
			assert.Len(t, p.bank.paid(reference), 1)
			p.requireBooks(t, amount, amount, nothing)
		})
	}
}

// A client that has lost the connection asks again while its first request is still under way.
func TestAWithdrawalThatIsRequestedSeveralTimesAtOnceIsDebitedOnce(t *testing.T) {
	p := newPlatform(t)
	require.NoError(t, p.books.deposit(t.Context(), player, amount))
	var requests sync.WaitGroup
	for range 8 {
		requests.Go(func() {
			state, err := p.books.withdraw(t.Context(), newWithdrawal(reference))
			assert.NoError(t, err)
			assert.Equal(t, statePending, state)
		})
	}
	requests.Wait()
	p.requireBooks(t, nothing, amount, nothing)
}

func TestAReferenceIsNotUsedForAnotherWithdrawal(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference)
	require.NoError(t, p.books.deposit(t.Context(), player, amount))
	other := newWithdrawal(reference)
	other.amount = pix.Centavos(49_99)
	_, err := p.books.withdraw(t.Context(), other)
	require.ErrorIs(t, err, errReused)
	p.requireBooks(t, amount, amount, nothing)
}

func TestAPlayerCannotWithdrawMoreThanThereIs(t *testing.T) {
	p := newPlatform(t)
	require.NoError(t, p.books.deposit(t.Context(), player, amount))
	results := make(chan error)
	for n := range 8 {
		go func() {
			_, err := p.books.withdraw(t.Context(), newWithdrawal(string(rune('a'+n))))
			results <- err
		}()
	}
	debited := 0
	for range 8 {
		if err := <-results; err == nil {
			debited++
		} else {
			require.ErrorIs(t, err, errNoFunds)
		}
	}
	assert.Equal(t, 1, debited)
	p.requireBooks(t, nothing, amount, nothing)
}

func TestACertainRejectionGivesTheMoneyBackOnceAndClosesTheWithdrawal(t *testing.T) {
	p := newPlatform(t, sandbox.WithBalance(nothing, pix.Centavos(1_000_00)))
	p.request(t, reference)
	worker := newPayer(t, p.app, "")
	require.Zero(t, pay(t, worker))
	assert.Equal(t, stateVoided, p.state(t, reference))
	p.requireBooks(t, amount, nothing, nothing)

	// Now there is money at the gateway, and River hands the job out again.
	_, err := p.client.RebalanceAccount(t.Context(), pix.Centavos(500_00))
	require.NoError(t, err)
	asked := p.bank.asked()
	require.Zero(t, pay(t, worker))
	state, err := p.books.withdraw(t.Context(), newWithdrawal(reference))
	require.NoError(t, err)
	assert.Equal(t, stateVoided, state)
	assert.Equal(t, asked, p.bank.asked())
	assert.Empty(t, p.bank.paid(reference))
	p.requireBooks(t, amount, nothing, nothing)
}

func TestAnUnknownOutcomeStaysInFlightUntilTheNextCallTells(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference)
	p.bank.loseAnswers(4)
	worker := newPayer(t, p.app, "")
	assert.Equal(t, whenDoubted, pay(t, worker))
	assert.Equal(t, statePending, p.state(t, reference))
	p.requireBooks(t, nothing, amount, nothing)
	assert.Zero(t, pay(t, worker))
	assert.Len(t, p.bank.paid(reference), 1)
}

func TestAPaymentIsAcceptedInTheJournalAndInTheBooksOrInNeither(t *testing.T) {
	const open, accepted = "SELECT count(*) FROM connectpsp_payment WHERE outcome = ''", "SELECT count(*) FROM connectpsp_payment WHERE outcome = 'ACCEPTED'"
	p := newPlatform(t)
	p.request(t, reference)
	worker := newPayer(t, p.app, "")
	p.execute(t, "ALTER TABLE withdrawal ADD CONSTRAINT fault CHECK (transaction_id = '') NOT VALID")
	require.Equal(t, later, pay(t, worker))
	require.Equal(t, 1, p.number(t, open))
	p.execute(t, "ALTER TABLE withdrawal DROP CONSTRAINT fault")
	require.Zero(t, pay(t, worker))
	require.Equal(t, 1, p.number(t, accepted))
	require.Equal(t, 1, p.number(t, "SELECT count(*) FROM withdrawal WHERE transaction_id <> ''"))
	require.Len(t, p.bank.paid(reference), 1)
}

func TestAJobWithAnUnknownOutcomeIsSnoozedSoThatRiverCountsNoAttempt(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference)
	p.bank.loseAnswers(4)
	worker := newPayer(t, p.app, "")
	job := &river.Job[payout]{Args: payout{reference}}
	var snooze *river.JobSnoozeError
	require.ErrorAs(t, worker.Work(t.Context(), job), &snooze)
	assert.Equal(t, whenDoubted, snooze.Duration)
	require.NoError(t, worker.Work(t.Context(), job), "the next call tells that it was paid")
	assert.Len(t, p.bank.paid(reference), 1)
}

func TestAnUnknownOutcomeOfTwoDaysIsNeitherSentAgainNorDiscarded(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference)
	p.bank.loseAnswers(4)
	worker := newPayer(t, p.app, "")
	require.Equal(t, whenDoubted, pay(t, worker))
	p.execute(t, "UPDATE withdrawal SET doubt_since = doubt_since - interval '48 hours'")
	asked := p.bank.asked()
	for range 100 {
		require.Equal(t, whenLost, pay(t, worker))
	}
	assert.Equal(t, asked, p.bank.asked())
	p.requireBooks(t, nothing, amount, nothing)
}

// Whatever is wrong with us and not with the withdrawal does not end it.
func TestARejectionThatIsNotAboutTheWithdrawalIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		void bool
	}{
		"not sent":           {&connectpsp.APIError{Err: connectpsp.ErrNotSent}, false},
		"token refused":      {&connectpsp.APIError{StatusCode: 401, Code: connectpsp.CodeTokenExpired}, false},
		"signature refused":  {&connectpsp.APIError{StatusCode: 422, Code: connectpsp.CodeInvalidSignature}, false},
		"too many requests":  {&connectpsp.APIError{StatusCode: 429}, false},
		"insufficient funds": {&connectpsp.APIError{StatusCode: 422, Code: connectpsp.CodeInsufficientFunds}, true},
		"invalid request":    {&connectpsp.ValidationError{Field: "payee.document", Reason: "wrong"}, true},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.void, concernsWithdrawal(c.err)) })
	}
}

func TestAPaymentThatFailsAfterItWasAcceptedIsGivenBack(t *testing.T) {
	p := newPlatform(t)
	url := p.startReceiver(t)
	p.request(t, reference)
	require.Zero(t, pay(t, newPayer(t, p.app, url)))
	id := p.bank.paid(reference)[0]
	require.NoError(t, p.bank.FailCashOut(id, "PIX_KEY_NOT_FOUND", "there is no such key"))
	eventually(t, func() bool { return p.state(t, reference) == stateVoided }, "it is not voided")
	p.requireBooks(t, amount, nothing, nothing)
	require.NoError(t, p.bank.Redeliver(id))
	require.NoError(t, p.bank.WaitWebhooks(t.Context()))
	p.requireBooks(t, amount, nothing, nothing)
}

func TestAPaymentThatComesBackRaisesAnAlarmAndMovesNothing(t *testing.T) {
	p := newPlatform(t)
	url := p.startReceiver(t)
	p.request(t, reference)
	require.Zero(t, pay(t, newPayer(t, p.app, url)))
	id := p.bank.paid(reference)[0]
	require.NoError(t, p.bank.CompleteCashOut(id))
	require.NoError(t, p.bank.ReturnCashOut(id))
	eventually(t, func() bool { return p.number(t, "SELECT count(*) FROM alarm") == 1 }, "no alarm")
	p.requireBooks(t, nothing, nothing, amount)
}

func TestAContradictionRaisesAnAlarmFreezesThePlayerAndMovesNothing(t *testing.T) {
	p := newPlatform(t)
	url := p.startReceiver(t)
	p.request(t, reference)
	worker := newPayer(t, p.app, url)
	require.Zero(t, pay(t, worker))
	// An operator has given the money back by hand, and then the payment completes.
	p.execute(t, "UPDATE withdrawal SET state = 'HELD'")
	require.NoError(t, p.books.refuse(t.Context(), reference, "the player called"))
	require.NoError(t, p.bank.CompleteCashOut(p.bank.paid(reference)[0]))
	eventually(t, func() bool { return p.number(t, "SELECT count(*) FROM alarm") == 1 }, "no alarm")
	p.requireBooks(t, amount, nothing, nothing)
	_, err := p.books.withdraw(t.Context(), newWithdrawal("withdrawal-2"))
	require.ErrorIs(t, err, errFrozen)
}

func TestAWithdrawalOfAFrozenPlayerIsHeldIfItWasNeverSent(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference)
	p.execute(t, "UPDATE player SET frozen = 'suspicious'")
	require.Zero(t, pay(t, newPayer(t, p.app, "")))
	assert.Equal(t, stateHeld, p.state(t, reference))
	assert.Zero(t, p.bank.asked())
	require.ErrorIs(t, p.books.release(t.Context(), reference), errFrozen)
	p.execute(t, "UPDATE player SET frozen = ''")
	require.NoError(t, p.books.release(t.Context(), reference))
	require.Zero(t, pay(t, newPayer(t, p.app, "")))
	assert.Len(t, p.bank.paid(reference), 1)
}

func TestAWithdrawalOverALimitIsHeldAndNotRefused(t *testing.T) {
	for name, limit := range map[string]string{"of the player": "player_limit", "of the hour": "hour_limit"} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			p.execute(t, "UPDATE control SET "+limit+" = $1", amount.Centavos())
			p.request(t, reference)
			require.NoError(t, p.books.deposit(t.Context(), player, amount))
			state, err := p.books.withdraw(t.Context(), newWithdrawal("withdrawal-2"))
			require.NoError(t, err)
			assert.Equal(t, stateHeld, state)
			assert.Equal(t, 1, p.number(t, "SELECT count(*) FROM river_job"))
			p.requireBooks(t, nothing, pix.Centavos(100_00), nothing)
			require.NoError(t, p.books.refuse(t.Context(), "withdrawal-2", "too much"))
			p.requireBooks(t, amount, amount, nothing)
			require.ErrorIs(t, p.books.refuse(t.Context(), "withdrawal-2", "again"), errNotHeld)
			require.ErrorIs(t, p.books.release(t.Context(), "withdrawal-2"), errNotHeld)
		})
	}
}

func TestTimeoutsAreOrderedSoThatTwoWorkersDoNotSendAtTheSameTime(t *testing.T) {
	config := queueConfig(defaultTimeouts, nil, 1, false, nil)
	assert.Equal(t, 150*time.Second, config.JobTimeout)
	assert.Equal(t, 180*time.Second, config.RescueStuckJobsAfter)
	call := defaultTimeouts.call
	assert.GreaterOrEqual(t, call, 90*time.Second+30*time.Second, "a call retries for 90 s, and its last attempt takes up to 30 s")
	assert.Less(t, defaultTimeouts.wait+call+defaultTimeouts.book, config.JobTimeout, "a call ends, and is booked, before its job does")
	assert.Less(t, config.JobTimeout, config.RescueStuckJobsAfter, "a job ends before another worker gets it")
	assert.Greater(t, payout{}.InsertOpts().MaxAttempts, 1000, "kills do not discard a job")
	assert.Zero(t, payout{}.InsertOpts().UniqueOpts, "the withdrawal's row is unique, and not its job")
}

func TestAPendingWithdrawalWithoutAJobGetsOne(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference, "withdrawal-2", "withdrawal-3")
	p.execute(t, "UPDATE withdrawal SET requested_at = requested_at - interval '2 minutes'")
	inserted, err := p.books.requeue(t.Context())
	require.NoError(t, err)
	require.Zero(t, inserted, "each has a job")
	require.Zero(t, pay(t, newPayer(t, p.app, ""))) // the first is accepted and needs none
	p.execute(t, "UPDATE river_job SET state = 'discarded', finalized_at = now() WHERE args->>'reference' <> 'withdrawal-3'")
	inserted, err = p.books.requeue(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, inserted)
}

func TestAPaymentOfWhichNoWebhookTellsIsReadFromTheGateway(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference)
	require.Zero(t, pay(t, newPayer(t, p.app, ""))) // without an address for webhooks
	require.NoError(t, p.bank.CompleteCashOut(p.bank.paid(reference)[0]))
	p.execute(t, "UPDATE withdrawal SET requested_at = requested_at - interval '6 minutes'")
	for range 2 {
		require.NoError(t, (&reconciler{books: p.books, worker: p.worker}).Work(t.Context(), nil))
	}
	require.Equal(t, 2, p.number(t, "SELECT count(*) FROM connectpsp_queue"), "a poll, and the due time")
	p.execute(t, "UPDATE connectpsp_queue SET due_at = 0")
	p.startReceiver(t)
	eventually(t, func() bool { return p.state(t, reference) == statePosted }, "it is not posted")
	p.requireBooks(t, nothing, nothing, amount)
}

func TestAWithdrawalThatIsLateStaysDebited(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference, "withdrawal-2")
	p.execute(t, "UPDATE withdrawal SET requested_at = requested_at - interval '121 minutes' WHERE reference = $1", reference)
	require.Zero(t, pay(t, newPayer(t, p.app, ""))) // without an address for webhooks
	require.Equal(t, 1, p.number(t, "SELECT count(*) FROM connectpsp_payment WHERE due_by < sent_at"))
	require.NoError(t, (&reconciler{books: p.books, worker: p.worker}).Work(t.Context(), nil))
	var status strings.Builder
	require.NoError(t, p.books.status(t.Context(), &status))
	assert.Regexp(t, `(?m)^overdue +1$`, status.String())
	_, err := p.worker.Work(t.Context()) // at the due time
	require.NoError(t, err)
	assert.EqualValues(t, 1, p.worker.Counts().Applied)
	assert.Equal(t, statePending, p.state(t, reference))
}

func TestEntriesAreNeverChanged(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference)
	for _, statement := range []string{"UPDATE entry SET centavos = 1", "DELETE FROM entry", "TRUNCATE entry"} {
		_, err := p.db.ExecContext(t.Context(), statement)
		assert.ErrorContains(t, err, "entries are never changed", statement)
	}
}

func TestTheAuditFindsWhatDiffers(t *testing.T) {
	for name, c := range map[string]struct{ change, want string }{
		"a balance": {"UPDATE player SET balance = balance + 1", "player ana has a balance of 1 and entries of 0"},
		"a state":   {"UPDATE withdrawal SET state = 'POSTED'", "withdrawal withdrawal-1 is POSTED and has the entries PENDING 5000"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			p.request(t, reference)
			p.execute(t, c.change)
			assert.EqualError(t, p.books.audit(t.Context()), c.want)
		})
	}
}

func TestAWithdrawalEndsOnce(t *testing.T) {
	p := newPlatform(t)
	p.request(t, reference)
	for _, phase := range []phase{phasePosted, phaseVoided} {
		_, err := p.db.ExecContext(t.Context(), `INSERT INTO entry (withdrawal, phase, from_account, to_account, centavos) VALUES ($1, $2, 'a', 'b', 1)`, reference, phase)
		if phase == phasePosted {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, "entry_once")
		}
	}
}

// The steps are those of docs/fleet.md.
func TestAfterARestoreFromABackupNothingIsPaidTwice(t *testing.T) {
	p := newPlatform(t)
	p.request(t, "paid-since", "failed-since", "never-sent")
	p.close() // a database is copied without connections
	backup := p.backUp(t)
	p.app = p.newProcess(t)
	p.request(t, "requested-since")
	listener, url := listen(t)
	for _, reference := range []string{"paid-since", "failed-since", "requested-since"} {
		_, err := newPayer(t, p.app, url).pay(t.Context(), reference)
		require.NoError(t, err)
	}

	p.database = backup
	p.app = p.newProcess(t)
	p.execute(t, "UPDATE control SET stopped = 'restored from a backup'")
	p.execute(t, "UPDATE withdrawal SET doubt_since = 'epoch' WHERE state IN ('HELD', 'PENDING') AND transaction_id = ''")
	asked := p.bank.asked()
	worker := newPayer(t, p.app, url)
	for _, reference := range []string{"paid-since", "failed-since", "never-sent"} {
		again, _ := worker.pay(t.Context(), reference)
		require.Equal(t, whenLost, again)
	}
	require.Equal(t, asked, p.bank.asked())

	inBackground(t, func(ctx context.Context) error { return p.receive(ctx, listener, p.bank.Config()) })
	require.NoError(t, p.bank.CompleteCashOut(p.bank.paid("paid-since")[0]))
	require.NoError(t, p.bank.FailCashOut(p.bank.paid("failed-since")[0], "PIX_KEY_NOT_FOUND", "there is no such key"))
	require.NoError(t, p.bank.CompleteCashOut(p.bank.paid("requested-since")[0]))
	eventually(t, func() bool { return p.state(t, "paid-since") == statePosted }, "it is not posted")
	eventually(t, func() bool { return p.state(t, "failed-since") == stateVoided }, "it is not voided")
	eventually(t, func() bool { return p.number(t, "SELECT count(*) FROM alarm WHERE reference = 'requested-since'") == 1 }, "no alarm")

	p.execute(t, "UPDATE withdrawal SET doubt_since = NULL WHERE reference = 'never-sent'")
	again, err := worker.pay(t.Context(), "never-sent")
	require.NoError(t, err)
	require.Zero(t, again)
	for _, reference := range []string{"paid-since", "failed-since", "requested-since", "never-sent"} {
		assert.Len(t, p.bank.paid(reference), 1, reference)
	}
	p.requireBooks(t, amount, amount, amount)
}
