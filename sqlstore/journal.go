package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/observe/journalwrite"
)

// Journal is a [connectpsp.Journal] that any number of processes share. [Store.Journal] returns it.
// Goroutines may share it, and so may the clients of a process.
//
// Each payment belongs to the process that sends it, which holds a lease on it: two minutes from
// each attempt, by the database's clock. Begin writes nothing. The first Sent writes the intent and
// takes the lease, in one commit, and each later one renews the lease; Finish ends both in another
// commit. A process that was frozen, or cut off from the database, sends nothing more if another
// process has taken the payment since the lease expired.
//
// A call for a payment that another process has waits for the outcome, and returns the same; a
// refund does not wait, and its outcome is unknown. [connectpsp.Client.Recover] takes only payments
// whose lease has expired, so call it about every minute, in one process or in all.
//
// Two processes that refund one charge at the same time, under two of its ids, both send a request.
// The gateway rejects the second.
type Journal struct {
	store *Store

	mu    sync.Mutex
	begun map[string]attempt // by idempotency key
	count int64              // of attempts so far
	swept time.Time
}

var _ connectpsp.Journal = (*Journal)(nil)

// ErrLeaseLost is returned by a [Journal] if another process has the payment by now. The attempt
// was not sent. The outcome of the payment is that of the other process.
var ErrLeaseLost = errors.New("sqlstore: another process has the payment, and its outcome is the payment's: " +
	"call again with the same request, or wait for the webhook")

var (
	errPaid      = errors.New("sqlstore: the payment was accepted, and cannot be rejected")
	errNotBegun  = errors.New("sqlstore: no payment with this idempotency key was begun here")
	errRejected  = errors.New("sqlstore: another process got a rejection of the payment meanwhile")
	errForbidden = errors.New("sqlstore: an idempotency key is missing, or a text of the payment is no UTF-8 or holds a NUL")
	errRefunding = errors.New("sqlstore: another process requests the refund just now")
)

// refusals are the errors of a journal in working order.
var refusals = []error{ErrLeaseLost, errPaid, errNotBegun, errRejected, errForbidden, errRefunding}

// marked marks the error of a write that was refused, by the journal or by the user's function.
func marked(err error, declined bool) error {
	if declined || slices.ContainsFunc(refusals, func(refusal error) bool { return errors.Is(err, refusal) }) {
		return journalwrite.Refused(err)
	}
	return err
}

// noting notes whether the user's function has declined.
func noting(also func(*sql.Tx) error, declined *bool) func(*sql.Tx) error {
	if also == nil {
		return nil
	}
	return func(tx *sql.Tx) error {
		err := also(tx)
		*declined = err != nil
		return err
	}
}

const (
	// paymentLease is longer than a client goes on between two attempts, which is 90 seconds, and
	// than an attempt takes with what follows it.
	paymentLease = 2 * time.Minute
	// remembered is how many sweeps, a minute apart at least, an attempt is known here for: longer
	// than a call lasts. Time alone does not count: the process may have been frozen meanwhile.
	remembered = 5

	shortestPoll = 20 * time.Millisecond
	longestPoll  = 500 * time.Millisecond
)

// attempt is what this process knows of a call, or of one that has ended.
type attempt struct {
	intent connectpsp.Intent
	sweeps int   // that it has outlived
	epoch  int64 // of the row that Begin saw, 0 if there was none, or since leased that this process wrote
	next   int64 // the epoch that it writes: no other attempt of this process does, see remember
	open   bool  // Begin saw a row that is open
	leased bool  // this process has the lease
}

func newJournal(s *Store) *Journal { return &Journal{store: s, begun: map[string]attempt{}} }

// Begin looks an intent up, and remembers it until Sent writes it. While another process has the
// payment it waits. See [connectpsp.Journal].
func (j *Journal) Begin(ctx context.Context, intent connectpsp.Intent) (earlier *connectpsp.Intent, err error) {
	err = journalwrite.Observe(ctx, j.store.observers, journalwrite.Begin, func(ctx context.Context) error {
		earlier, err = j.begin(ctx, intent)
		return marked(err, false)
	})
	return earlier, err
}

func (j *Journal) begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	if err := validate(intent); err != nil {
		return nil, err
	}
	j.remember(intent, nil) // Finish may come although the look-up fails
	waited := false
	for poll := shortestPoll; ; poll = min(2*poll, longestPoll) {
		found, err := j.find(ctx, intent)
		switch {
		case err != nil:
			return nil, err
		case found == nil, found.Outcome == connectpsp.OutcomeRejected && !waited:
			j.remember(intent, found)
			return nil, nil
		case found.Outcome != "" || !found.Leased:
			j.remember(intent, found)
			return &found.Intent, nil
		case intent.Operation == connectpsp.OperationRefundCashIn:
			return &found.Intent, errRefunding // one that waits here would hold up all others
		}
		waited = true
		if err := sleep(ctx, poll); err != nil {
			return &found.Intent, err
		}
	}
}

func validate(intent connectpsp.Intent) error {
	text := strings.Join([]string{intent.IdempotencyKey, intent.ExternalReference, intent.ChargeID, intent.TransactionID, intent.ClientID,
		intent.BaseURL}, " ")
	if intent.IdempotencyKey == "" || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		return errForbidden
	}
	return nil
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remember notes that an intent was begun, and forgets those of calls that have ended. No two
// attempts of a process write the same epoch: a write that seems to fail may be made later, and
// must not be taken for one of the next attempt.
func (j *Journal) remember(intent connectpsp.Intent, found *row) {
	a := attempt{intent: intent}
	if found != nil {
		a.epoch, a.open = found.epoch, found.Outcome == ""
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count++
	a.next = a.epoch + j.count
	if time.Since(j.swept) > time.Minute {
		for key, old := range j.begun {
			if old.sweeps++; old.sweeps > remembered {
				delete(j.begun, key)
			} else {
				j.begun[key] = old
			}
		}
		j.swept = time.Now()
	}
	j.begun[intent.IdempotencyKey] = a
}

// attemptOf returns the attempt that was begun with a key.
func (j *Journal) attemptOf(key string) (a attempt, known bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a, known = j.begun[key]
	return a, known
}

// update replaces what is known of an attempt. The client makes the calls with one key one after
// the other, so that nothing is lost.
func (j *Journal) update(a attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.begun[a.intent.IdempotencyKey] = a
}

// Find looks an intent up. See [connectpsp.Journal].
func (j *Journal) Find(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	found, err := j.find(ctx, intent)
	if err != nil || found == nil || found.Outcome == connectpsp.OutcomeRejected {
		return nil, err
	}
	return &found.Intent, nil
}

// Sent writes an intent with its lease, or renews the lease. It waits while another process has the
// payment. See [connectpsp.Journal].
func (j *Journal) Sent(ctx context.Context, key string, at time.Time) error {
	return j.SentWith(ctx, key, at, nil)
}

// SentWith is Sent, and calls also in the database transaction of its write. If also returns an
// error nothing is written, and SentWith returns that error: the attempt is not sent. When SentWith
// returns nil, also has returned nil and its writes are committed. Call it in the Sent of a Journal
// that embeds this one, to send a payment only as long as your own tables allow it. Give all
// clients of a process the same value of that Journal: they lock each payment by it.
//
// Also must not commit the transaction or roll it back, and writes through it only: it holds the
// payment's lock. It must return the errors of its statements. After an error of the database its
// writes may have been committed. A nil also does nothing.
func (j *Journal) SentWith(ctx context.Context, key string, at time.Time, also func(*sql.Tx) error) error {
	return journalwrite.Observe(ctx, j.store.observers, journalwrite.Sent, func(ctx context.Context) error {
		declined := false
		err := j.send(ctx, key, at, noting(also, &declined))
		return marked(err, declined)
	})
}

func (j *Journal) send(ctx context.Context, key string, at time.Time, also func(*sql.Tx) error) error {
	a, known := j.attemptOf(key)
	if !known {
		return errNotBegun
	}
	if a.leased {
		return j.renew(ctx, a, also)
	}
	taken, err := j.take(ctx, a, at, also)
	switch {
	case err != nil:
		return err
	case taken == 1:
		j.lease(a)
		return nil
	default:
		return j.conflict(ctx, a, also)
	}
}

// lease notes that this process has the lease. The request is in the database now.
func (j *Journal) lease(a attempt) attempt {
	a.leased, a.epoch, a.intent.Body = true, a.next, nil
	j.update(a)
	return a
}

// take writes the intent, or takes over the one that Begin saw open. It changes nothing if the row
// is no longer as Begin saw it.
func (j *Journal) take(ctx context.Context, a attempt, at time.Time, also func(*sql.Tx) error) (taken int64, err error) {
	if a.open {
		return j.store.changeWith(ctx, also, takeOver, a.intent.Payment(), a.epoch, j.store.owner, paymentLease.Microseconds(), a.next)
	}
	sent := a.intent.SentAt
	if sent.IsZero() {
		sent = at
	}
	arguments := append(j.identity(a.intent), a.intent.Body, ago(a.intent.BegunAt), ago(sent),
		j.store.owner, paymentLease.Microseconds(), a.epoch, a.next)
	return j.store.changeWith(ctx, also, writeIntent, arguments...)
}

// conflict returns why an intent could not be written, nil if it may be sent all the same.
func (j *Journal) conflict(ctx context.Context, a attempt, also func(*sql.Tx) error) error {
	for poll := shortestPoll; ; poll = min(2*poll, longestPoll) {
		found, err := j.find(ctx, a.intent)
		switch {
		case err != nil:
			return err
		case found == nil, found.Outcome == connectpsp.OutcomeRejected:
			return errRejected
		case found.isOf(j.store.owner, a.next):
			return j.renew(ctx, j.lease(a), also) // a write of ours was made that seemed to fail
		case found.Outcome == connectpsp.OutcomeAccepted && found.sameAs(a.intent) && time.Since(found.SentAt) < paymentLease:
			return j.store.with(ctx, also) // the gateway repeats its response to the same key
		case a.open, !found.Leased, found.Outcome != "":
			return ErrLeaseLost
		}
		if err := sleep(ctx, poll); err != nil {
			return errors.Join(ErrLeaseLost, err)
		}
	}
}

// renew renews the lease before another attempt.
func (j *Journal) renew(ctx context.Context, a attempt, also func(*sql.Tx) error) error {
	renewed, err := j.store.changeWith(ctx, also, renewLease, a.intent.Payment(), a.epoch, paymentLease.Microseconds())
	if err != nil || renewed == 1 {
		return err
	}
	found, err := j.find(ctx, a.intent)
	switch {
	case err != nil:
		return err
	case found != nil && found.Outcome == connectpsp.OutcomeAccepted && found.epoch == a.epoch:
		return j.store.with(ctx, also) // a webhook has told of it, and the gateway repeats its response
	default:
		return ErrLeaseLost
	}
}

// Finish writes a certain outcome and erases the request. Any process may write that a payment was
// accepted: the gateway says so. A rejection is written by the process that has the lease, or by
// any once it is over. See [connectpsp.Journal].
func (j *Journal) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	return j.FinishWith(ctx, key, outcome, transactionID, nil)
}

// FinishWith is Finish, and calls also in the database transaction of its write, as
// [Journal.SentWith] does: to record the outcome in your own tables. It calls also for an outcome
// that was recorded before, too, so also must do no harm when it is called twice. If also returns
// an error the outcome is not recorded, and the payment stays open. The client then reports a
// rejection as unknown, and what was accepted as accepted.
func (j *Journal) FinishWith(
	ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string, also func(*sql.Tx) error,
) error {
	return journalwrite.Observe(ctx, j.store.observers, journalwrite.Finish, func(ctx context.Context) error {
		declined := false
		err := j.finish(ctx, key, outcome, transactionID, noting(also, &declined))
		return marked(err, declined)
	})
}

func (j *Journal) finish(
	ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string, also func(*sql.Tx) error,
) error {
	a, known := j.attemptOf(key)
	switch outcome {
	case connectpsp.OutcomeAccepted:
		// The attempt stays known: a webhook may tell of it between two attempts of a call.
		return j.accept(ctx, a, known, key, transactionID, also)
	case connectpsp.OutcomeRejected:
		err := j.reject(ctx, a, known, key, also)
		if err == nil {
			j.mu.Lock()
			defer j.mu.Unlock()
			delete(j.begun, key)
		}
		return err
	default:
		return errors.New("sqlstore: the outcome of a payment is accepted or rejected")
	}
}

func (j *Journal) accept(ctx context.Context, a attempt, known bool, key, transactionID string, also func(*sql.Tx) error) error {
	a.intent.TransactionID = cmp.Or(transactionID, a.intent.TransactionID)
	for {
		accepted, err := j.store.changeWith(ctx, also, acceptOpen, key, transactionID, j.store.owner, paymentLease.Microseconds())
		if err == nil && accepted == 0 && known && !a.leased && !a.open {
			accepted, err = j.endUnsent(ctx, a, connectpsp.OutcomeAccepted, also)
		}
		if err != nil || accepted > 0 {
			return err
		}
		if !known {
			return j.store.with(ctx, also) // it was accepted before
		}
		found, err := j.find(ctx, a.intent)
		switch {
		case err != nil:
			return err
		case found != nil && found.Outcome == connectpsp.OutcomeRejected: // by another process, which had not sent it or took it over
			a.follow(found)
		case found != nil && found.Outcome == "" && found.IdempotencyKey == key:
			// Another process has sent it just now.
		default: // it was accepted before, or a later attempt is open
			return j.store.with(ctx, also)
		}
	}
}

// follow makes an attempt, as if it was never written, take the place of a row.
func (a *attempt) follow(r *row) {
	if a.leased || a.open {
		a.leased, a.open, a.intent.SentAt = false, false, r.SentAt
	}
	a.epoch, a.next = r.epoch, max(a.next, r.epoch+1)
}

func (j *Journal) reject(ctx context.Context, a attempt, known bool, key string, also func(*sql.Tx) error) error {
	for {
		var rejected int64
		var err error
		switch {
		case known && !a.leased && !a.open: // no process that has begun it may send it any more, this one included
			rejected, err = j.endUnsent(ctx, a, connectpsp.OutcomeRejected, also)
		case a.leased:
			rejected, err = j.store.changeWith(ctx, also, rejectLeased, a.intent.Payment(), a.epoch, paymentLease.Microseconds())
		default:
			rejected, err = j.store.changeWith(ctx, also, rejectFree, key, j.store.owner)
		}
		if err != nil || rejected > 0 {
			return err
		}
		a.intent.IdempotencyKey = key
		found, err := j.find(ctx, a.intent)
		switch {
		case err != nil:
			return err
		case found != nil && found.Outcome == connectpsp.OutcomeAccepted:
			return errPaid
		case found != nil && found.Outcome == "":
			return ErrLeaseLost
		case found == nil || !known:
			return j.store.with(ctx, also)
		}
		a.follow(found) // another process was rejected meanwhile
	}
}

// endUnsent writes the outcome of an attempt that was not written before.
func (j *Journal) endUnsent(ctx context.Context, a attempt, outcome connectpsp.Outcome, also func(*sql.Tx) error) (int64, error) {
	var sent any // never
	if !a.intent.SentAt.IsZero() {
		sent = ago(a.intent.SentAt)
	}
	arguments := append(j.identity(a.intent), string(outcome), ago(a.intent.BegunAt), sent,
		j.store.owner, paymentLease.Microseconds(), a.epoch, a.next)
	return j.store.changeWith(ctx, also, writeEnd, arguments...)
}

// Pending returns the intents without an outcome. See [connectpsp.Journal].
func (j *Journal) Pending(ctx context.Context) ([]connectpsp.Intent, error) {
	return j.list(ctx, selectPending)
}

// countOpen reads the index of the open payments, and their rows.
const countOpen = `SELECT count(*), count(sent_at), NOW - min(sent_at), count(CASE WHEN due_by < NOW THEN sent_at END)
FROM connectpsp_payment WHERE outcome = ''`

// OpenPayments counts the payments of all processes that have no outcome. Begun is 0, because Begin
// writes nothing. See [connectpsp.Client.OpenPayments].
func (j *Journal) OpenPayments(ctx context.Context) (connectpsp.OpenPayments, error) {
	var open int
	var oldest sql.NullInt64
	var payments connectpsp.OpenPayments
	err := j.store.db.QueryRowContext(ctx, j.store.text(countOpen)).Scan(&open, &payments.Sent, &oldest, &payments.Overdue)
	payments.Begun, payments.OldestSentAt = open-payments.Sent, localTime(oldest, time.Now())
	return payments, wrap(err)
}

// Ended returns the intents that ended within an hour before the latest end. See
// [connectpsp.Journal].
func (j *Journal) Ended(ctx context.Context) ([]connectpsp.Intent, error) {
	return j.list(ctx, selectEnded)
}
