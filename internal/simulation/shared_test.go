package simulation

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

var (
	errLeaseLost = errors.New("another process has the payment")
	errRejected  = errors.New("another process got a rejection of the payment")
	errRefunding = errors.New("another process requests the refund just now")
	errEnded     = errors.New("the order has ended")
	errNotBegun  = errors.New("no payment with this key was begun here")
)

// row is a payment in a journal that processes share: its last attempt, and the lease on it. Each
// process that takes the payment raises the epoch.
type row struct {
	connectpsp.Intent
	owner       *process
	epoch       int
	leasedSince int // the schedule's number then
	leasedUntil time.Time
}

// attempt is what a process knows of a call: what Begin saw.
type attempt struct {
	intent connectpsp.Intent
	epoch  int  // of the row, 0 if there was none
	next   int  // the epoch that it writes: no other attempt of the process does
	open   bool // the row was open
}

// sharedJournal is the [connectpsp.Journal] of one process of a fleet, as that of package sqlstore:
// the first Sent takes a lease on the payment, by the journal's clock.
type sharedJournal struct {
	journalWriter
	begun map[string]*attempt // by key; guarded by schedule.mu
	count int                 // of them
}

func (j *sharedJournal) remember(a attempt) {
	j.schedule.mu.Lock()
	defer j.schedule.mu.Unlock()
	j.count++
	a.next = a.epoch + j.count
	j.begun[a.intent.IdempotencyKey] = &a
}

// attemptOf returns the attempt that was begun with a key, nil if there is none.
func (j *sharedJournal) attemptOf(key string) *attempt {
	j.schedule.mu.Lock()
	defer j.schedule.mu.Unlock()
	return j.begun[key]
}

func (j *sharedJournal) now() time.Time { return time.Now() }

// seen returns a row as this process sees it.
func (j *sharedJournal) seen(r *row) *connectpsp.Intent {
	intent := r.Intent
	intent.Leased = j.isOthers(r)
	return &intent
}

// isOthers reports whether another process has the payment.
func (j *sharedJournal) isOthers(r *row) bool {
	return r.owner != j.process && j.now().Before(r.leasedUntil)
}

// lease gives the process the payment, or more time with it.
func (j *sharedJournal) lease(r *row) {
	j.schedule.checker.leased(r, j.process)
	if r.owner != j.process || !time.Now().Before(r.leasedUntil) {
		r.leasedSince = j.schedule.lastNumber
	}
	r.owner, r.leasedUntil = j.process, j.now().Add(leaseTime)
}

// find returns the row of a payment that is open or accepted, else of the same key, else the
// rejected one of the payment, else nil.
func (d *journalDisk) find(intent connectpsp.Intent) *row {
	same := d.rows[intent.Payment()]
	if same != nil && same.Outcome != connectpsp.OutcomeRejected {
		return same
	}
	if other := d.rowOf(intent.IdempotencyKey); other != nil && other.Outcome != connectpsp.OutcomeRejected {
		return other
	}
	return same
}

func (d *journalDisk) rowOf(key string) *row {
	for _, r := range d.rows {
		if r.IdempotencyKey == key {
			return r
		}
	}
	return nil
}

// intentOf returns the intent with a key, the zero one if there is none.
func (d *journalDisk) intentOf(key string) connectpsp.Intent {
	if r := d.rowOf(key); r != nil {
		return r.Intent
	}
	return d.intents[key]
}

// hasAccepted reports whether a payment with a key has ended as accepted.
func (d *journalDisk) hasAccepted(key string) bool {
	r := d.rowOf(key)
	return r != nil && r.Outcome == connectpsp.OutcomeAccepted
}

// Begin writes nothing. While another process has the payment it waits, unless that is a refund.
func (j *sharedJournal) Begin(ctx context.Context, intent connectpsp.Intent) (*connectpsp.Intent, error) {
	waited := false
	j.schedule.checker.begins(intent)
	j.remember(attempt{intent: intent}) // Finish may come although this fails
	for poll := 20 * time.Millisecond; ; poll *= 2 {
		var earlier *connectpsp.Intent
		var refused error
		err := j.access(ctx, "begin "+intent.IdempotencyKey, func() {
			if !waited {
				refused = j.schedule.claim(callOf(ctx))
			}
			found := j.schedule.disk.find(intent)
			if found == nil || found.Outcome == connectpsp.OutcomeRejected && !waited {
				found = &row{epoch: epochOf(found)}
			}
			if found.IdempotencyKey != "" {
				earlier = j.seen(found)
			}
			if earlier != nil && earlier.Leased && earlier.Outcome == "" {
				j.schedule.counters.add("fleet", "a call met another process")
				j.schedule.checker.recovers(callOf(ctx), found)
			} else {
				j.remember(attempt{intent: intent, epoch: found.epoch, open: found.isOpen()})
			}
			if c := callOf(ctx); c != nil && earlier != nil && earlier.Outcome == connectpsp.OutcomeRejected {
				c.recordedAt = j.schedule.lastNumber
			}
		})
		switch {
		case err != nil, refused != nil:
			return nil, cmp.Or(err, refused)
		case earlier == nil, earlier.Outcome != "", !earlier.Leased:
			return earlier, nil
		case intent.Operation == connectpsp.OperationRefundCashIn:
			return earlier, errRefunding
		}
		waited = true
		if err := j.wait(ctx, poll, intent.IdempotencyKey); err != nil {
			return earlier, err
		}
	}
}

func epochOf(r *row) int {
	if r == nil {
		return 0
	}
	return r.epoch
}

func (r *row) isOpen() bool { return r.IdempotencyKey != "" && r.Outcome == "" }

// wait waits before the journal is asked again.
func (j *sharedJournal) wait(ctx context.Context, poll time.Duration, key string) error {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		time.Sleep((&pendingStep{call: callOf(ctx), name: key}).turn())
		return ctx.Err()
	}
}

// claim notes that a call begins the payment of its order, which the owner's books must not have
// ended by now.
func (s *schedule) claim(c *call) error {
	switch {
	case c == nil || c.order == nil:
		return nil
	case c.order.closed || c.order.debits != c.debit:
		return errEnded
	}
	c.order.claimed = s.lastNumber
	return nil
}

func (j *sharedJournal) Find(ctx context.Context, intent connectpsp.Intent) (earlier *connectpsp.Intent, err error) {
	err = j.access(ctx, "find "+intent.Payment(), func() {
		if found := j.schedule.disk.find(intent); found != nil && found.Outcome != connectpsp.OutcomeRejected {
			earlier = j.seen(found)
		}
	})
	return earlier, err
}

// Sent takes the lease, or renews it. It waits while another process has the payment.
func (j *sharedJournal) Sent(ctx context.Context, key string, at time.Time) error {
	for poll := 20 * time.Millisecond; ; poll *= 2 {
		var refused error
		wait := false
		if err := j.change(ctx, "sent", key, func(a *attempt) { wait, refused = j.take(a, at) }); err != nil {
			return err
		}
		switch {
		case refused != nil:
			return refused
		case !wait:
			j.schedule.mu.Lock()
			defer j.schedule.mu.Unlock()
			j.process.announced[key] = true
			return nil
		}
		if err := j.wait(ctx, poll, key); err != nil {
			return errors.Join(errLeaseLost, err)
		}
	}
}

// takeAnnounced reports whether the journal has let a process send an attempt with a key, and that
// has not been sent yet.
func (s *schedule) takeAnnounced(p *process, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	announced := p.announced[key]
	delete(p.announced, key)
	return announced
}

// change writes to the disk with do, for the call that was begun with a key.
func (j *sharedJournal) change(ctx context.Context, name, key string, do func(*attempt)) error {
	a := j.attemptOf(key)
	return j.schedule.park(ctx, &pendingStep{
		process: j.process, call: callOf(ctx), name: name + " " + key, writes: true, access: func() { do(a) },
	}).err
}

// take writes an attempt with its lease, or renews the lease. It changes nothing if the row is not
// as Begin saw it, and reports whether to wait for another process.
func (j *sharedJournal) take(a *attempt, at time.Time) (wait bool, refused error) {
	if a == nil {
		return false, errNotBegun
	}
	rows, payment := j.schedule.disk.rows, a.intent.Payment()
	r := rows[payment]
	switch {
	case j.isOwn(r, a) && r.isOpen():
		j.lease(r)
	case a.open && r.isOpen() && r.epoch == a.epoch && !j.isOthers(r):
		r.epoch = a.next
		j.lease(r)
	case !a.open && (r == nil || r.Outcome == connectpsp.OutcomeRejected && r.epoch == a.epoch):
		j.write(a, cmp.Or(a.intent.SentAt, at))
	case r == nil, r.Outcome == connectpsp.OutcomeRejected:
		return false, errRejected
	case r.Outcome == connectpsp.OutcomeAccepted && r.IdempotencyKey == a.intent.IdempotencyKey:
		return false, nil // the gateway repeats its response
	case a.open, r.Outcome != "", !j.isOthers(r):
		return false, errLeaseLost
	default:
		return true, nil
	}
	return false, nil
}

// write writes an attempt with its lease.
func (j *sharedJournal) write(a *attempt, sentAt time.Time) *row {
	r := &row{Intent: a.intent, epoch: a.next}
	r.SentAt = sentAt
	j.lease(r)
	j.schedule.disk.rows[a.intent.Payment()] = r
	return r
}

// Finish writes an outcome. An acceptance is the gateway's word. A rejection is written by the
// process that has the lease, or by any once it is over.
func (j *sharedJournal) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) (refused error) {
	err := j.change(ctx, "finish", key, func(a *attempt) {
		refused = j.end(a, key, outcome, transactionID)
		if c := callOf(ctx); c != nil {
			c.recordedAt = j.schedule.lastNumber
		}
	})
	return cmp.Or(err, refused)
}

func (j *sharedJournal) end(a *attempt, key string, outcome connectpsp.Outcome, transactionID string) error {
	r := j.schedule.disk.rowOf(key)
	rejected := outcome == connectpsp.OutcomeRejected
	switch {
	case r != nil && r.isOpen() && (!rejected || j.isOwn(r, a) || (a == nil || a.open) && !j.isOthers(r)):
	case a != nil && !a.open && j.isFree(a):
		// It was not written, and must not be written any more by any process that has begun it.
		a.next = max(a.next, 1+epochOf(j.schedule.disk.rows[a.intent.Payment()]))
		r = j.write(a, a.intent.SentAt)
	default:
		if r = j.schedule.disk.find(cmp.Or(a, &attempt{intent: connectpsp.Intent{IdempotencyKey: key}}).intent); r == nil || !rejected ||
			r.Outcome == connectpsp.OutcomeRejected {
			return nil
		}
		if r.Outcome == connectpsp.OutcomeAccepted {
			return errAccepted
		}
		return errLeaseLost
	}
	r.Outcome, r.Body, r.EndedAt = outcome, nil, time.Now()
	if rejected {
		delete(j.schedule.checker.firstSent, key)
	} else {
		r.TransactionID = cmp.Or(transactionID, r.TransactionID)
	}
	if r.owner == j.process {
		j.lease(r) // until its caller has been told
	}
	return nil
}

// isOwn reports whether a row was written by an attempt of this process.
func (j *sharedJournal) isOwn(r *row, a *attempt) bool {
	return r != nil && a != nil && r.owner == j.process && r.epoch == a.next
}

// isFree reports whether the payment is neither open nor accepted.
func (j *sharedJournal) isFree(a *attempt) bool {
	r := j.schedule.disk.rows[a.intent.Payment()]
	return r == nil || r.Outcome == connectpsp.OutcomeRejected
}

func (j *sharedJournal) Pending(ctx context.Context) ([]connectpsp.Intent, error) {
	return j.list(ctx, "pending", func(r *row) bool { return r.Outcome == "" })
}

func (j *sharedJournal) Ended(ctx context.Context) ([]connectpsp.Intent, error) {
	return j.list(ctx, "ended", func(r *row) bool { return r.Outcome != "" && j.now().Sub(r.EndedAt) < time.Hour })
}

// list returns some of the payments, in the order in which they ended or began.
func (j *sharedJournal) list(ctx context.Context, name string, contains func(*row) bool) (intents []connectpsp.Intent, err error) {
	err = j.access(ctx, name, func() {
		for r := range maps.Values(j.schedule.disk.rows) {
			if contains(r) {
				intents = append(intents, *j.seen(r))
			}
		}
	})
	slices.SortFunc(intents, func(a, b connectpsp.Intent) int {
		return cmp.Or(a.EndedAt.Compare(b.EndedAt), a.BegunAt.Compare(b.BegunAt), strings.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	return intents, err
}
