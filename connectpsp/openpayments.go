package connectpsp

import (
	"context"
	"time"
)

// OpenPayments counts the payments without an outcome in a [Journal], for metrics and alarms. All
// processes that share a journal count the same: over them, take the maximum and not the sum.
type OpenPayments struct {
	// Begun counts the payments that were begun and never sent. A journal that writes nothing
	// before a payment is sent, as that of package sqlstore, has none.
	Begun int
	// Sent counts the payments that were sent and have no outcome, those that a call is sending
	// just now included.
	Sent int
	// OldestSentAt is when the oldest of these was first sent, by the local clock. It is zero if
	// Sent is 0.
	OldestSentAt time.Time
	// Overdue counts those of Sent whose time of [WithDueBy] has passed. They may have been made.
	Overdue int
}

// add counts one more payment that has no outcome.
func (o *OpenPayments) add(intent *Intent, now time.Time) {
	if intent.SentAt.IsZero() {
		o.Begun++
		return
	}
	o.Sent++
	if o.OldestSentAt.IsZero() || intent.SentAt.Before(o.OldestSentAt) {
		o.OldestSentAt = intent.SentAt
	}
	if isOverdue(intent.DueBy, now) {
		o.Overdue++
	}
}

// isOverdue reports whether there is a due time that has passed.
func isOverdue(dueBy, now time.Time) bool { return !dueBy.IsZero() && now.After(dueBy) }

// OpenPayments counts the payments in the client's [Journal] that have no outcome. An old one has
// an unknown outcome, and waits for [Client.Recover] or a webhook. OpenPayments sends nothing to
// the gateway. The error is the journal's.
//
// A journal may have a method OpenPayments like this one, which those of packages journal and
// sqlstore have. For one that has none, OpenPayments counts what Pending returns.
func (c *Client) OpenPayments(ctx context.Context) (OpenPayments, error) {
	return openPayments(ctx, c.journal)
}

func openPayments(ctx context.Context, journal Journal) (open OpenPayments, err error) {
	if counting, ok := journal.(interface {
		OpenPayments(ctx context.Context) (OpenPayments, error)
	}); ok {
		return counting.OpenPayments(ctx)
	}
	pending, err := journal.Pending(ctx)
	if err != nil {
		return OpenPayments{}, err
	}
	now := time.Now()
	for _, intent := range pending {
		open.add(&intent, now)
	}
	return open, nil
}

func (d detachedJournal) OpenPayments(ctx context.Context) (OpenPayments, error) {
	return openPayments(ctx, d.Journal)
}

func (m *memoryJournal) OpenPayments(context.Context) (open OpenPayments, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, intent := range m.open.byPayment {
		open.add(&intent.Intent, now)
	}
	return open, nil
}
