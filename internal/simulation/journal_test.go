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
	errDiskFull = errors.New("no space left on device")
	errAccepted = errors.New("it was accepted")
)

// journalDisk is the disk of a journal. It survives the processes that write to it.
type journalDisk struct {
	faulty  bool // an access may fail, and the process may die before or after it
	intents map[string]connectpsp.Intent
	rows    map[string]*row // of a journal that processes share, by payment; nil for another
}

func (d *journalDisk) String() string {
	switch {
	case d == nil:
		return "no journal"
	case d.rows != nil && d.faulty:
		return "a faulty journal that they share"
	case d.rows != nil:
		return "a journal that they share"
	case d.faulty:
		return "a faulty journal"
	default:
		return "a journal"
	}
}

// loseUnsent drops the intents that a journal need not have kept when its process dies: those that
// were not marked as sent.
func (d *journalDisk) loseUnsent() {
	maps.DeleteFunc(d.intents, func(_ string, intent connectpsp.Intent) bool { return intent.SentAt.IsZero() })
}

// journalWriter is the [connectpsp.Journal] of one process.
type journalWriter struct {
	schedule *schedule
	process  *process
}

// access reads or writes the disk with do. If the disk is faulty, it waits until the scheduler has
// decided how the access ends. Only one goroutine is in do at a time.
func (j *journalWriter) access(ctx context.Context, name string, do func()) error {
	s := j.schedule
	if !s.disk.faulty && !s.isFleet() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if j.process.dead {
			return errDead
		}
		do()
		return nil
	}
	return s.park(ctx, &pendingStep{process: j.process, call: callOf(ctx), name: name, access: do}).err
}

// journalResults are the ways in which an access to the journal may end.
var journalResults = []string{
	"done", "failed", "done, and reported as failed", "reported as failed, and done later",
	"the process died before it", "the process died after it",
}

const (
	journalDone = iota
	journalFailed
	journalDoneButFailed
	journalDoneLater // by a database; a file fails for good
	journalDiedBefore
	journalDiedAfter
)

// accessJournal decides how an access ends.
func (s *schedule) accessJournal(access *pendingStep) {
	results := journalDiedBefore
	if s.settings.crashes > 0 {
		results = len(journalResults)
	}
	result := journalDone
	switch {
	case time.Until(access.process.cutOffUntil) > 0:
		result = journalFailed
	case s.disk.faulty:
		result = s.choices.choose(results, 12)
	}
	if result == journalDoneLater && !access.writes {
		result = journalFailed
	}
	access.carriedOut = true
	s.nextNumber()
	s.counters.add("journal", journalResults[result])
	if s.tracing {
		s.note("%s: %s", access.title(), journalResults[result])
	}
	switch result {
	case journalDone, journalDoneButFailed, journalDiedAfter:
		access.access()
	case journalDoneLater:
		s.later(s.drawDelay(10*time.Minute), access.access)
	}
	switch result {
	case journalDone:
		s.resume(access, stepResult{})
	case journalDiedBefore, journalDiedAfter:
		s.crash(access.process)
		s.resume(access, stepResult{err: errDead})
	default:
		s.resume(access, stepResult{err: errDiskFull})
	}
}

func (j *journalWriter) Begin(ctx context.Context, intent connectpsp.Intent) (earlier *connectpsp.Intent, err error) {
	j.schedule.checker.begins(intent)
	err = j.access(ctx, "begin "+intent.IdempotencyKey, func() {
		intents := j.schedule.disk.intents
		if earlier = earlierOf(intents, intent); earlier == nil {
			intents[intent.IdempotencyKey] = intent
		}
	})
	return earlier, err
}

func (j *journalWriter) Find(ctx context.Context, intent connectpsp.Intent) (earlier *connectpsp.Intent, err error) {
	err = j.access(ctx, "find "+intent.Payment(), func() { earlier = earlierOf(j.schedule.disk.intents, intent) })
	return earlier, err
}

func (j *journalWriter) Ended(ctx context.Context) (ended []connectpsp.Intent, err error) {
	err = j.access(ctx, "ended", func() { ended = endedOf(j.schedule.disk.intents) })
	return ended, err
}

func (j *journalWriter) Sent(ctx context.Context, key string, at time.Time) error {
	return j.access(ctx, "sent "+key, func() {
		if intent, found := j.schedule.disk.intents[key]; found && intent.SentAt.IsZero() {
			intent.SentAt = at
			j.schedule.disk.intents[key] = intent
		}
	})
}

func (j *journalWriter) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	var contradicts bool
	err := j.access(ctx, "finish "+key, func() {
		intent, found := j.schedule.disk.intents[key]
		if !found || intent.Outcome != "" {
			contradicts = intent.Outcome == connectpsp.OutcomeAccepted && outcome == connectpsp.OutcomeRejected
			return
		}
		intent.Outcome, intent.TransactionID, intent.Body = outcome, cmp.Or(transactionID, intent.TransactionID), nil
		intent.EndedAt = time.Now()
		j.schedule.disk.intents[key] = intent
		if outcome == connectpsp.OutcomeRejected {
			delete(j.schedule.checker.firstSent, key)
		}
	})
	if contradicts {
		return errAccepted
	}
	return err
}

func (j *journalWriter) Pending(ctx context.Context) (pending []connectpsp.Intent, err error) {
	err = j.access(ctx, "pending", func() {
		for _, intent := range j.schedule.disk.intents {
			if intent.Outcome == "" {
				pending = append(pending, intent)
			}
		}
	})
	slices.SortFunc(pending, func(a, b connectpsp.Intent) int {
		return cmp.Or(a.BegunAt.Compare(b.BegunAt), strings.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	return pending, err
}

// earlierOf returns the intent that Begin and Find return.
func earlierOf(intents map[string]connectpsp.Intent, intent connectpsp.Intent) *connectpsp.Intent {
	counts := func(i connectpsp.Intent) bool { return !i.SentAt.IsZero() && i.Outcome != connectpsp.OutcomeRejected }
	for _, earlier := range intents {
		if counts(earlier) && earlier.Payment() == intent.Payment() {
			return &earlier
		}
	}
	if earlier := intents[intent.IdempotencyKey]; counts(earlier) {
		return &earlier
	}
	return nil
}

// endedOf returns the intents that Ended returns.
func endedOf(intents map[string]connectpsp.Intent) (ended []connectpsp.Intent) {
	all := slices.Collect(maps.Values(intents))
	for _, intent := range all {
		begunAgain := func(other connectpsp.Intent) bool {
			return other.Payment() == intent.Payment() && other.BegunAt.After(intent.BegunAt)
		}
		superseded := intent.Outcome == connectpsp.OutcomeRejected && slices.ContainsFunc(all, begunAgain)
		if intent.Outcome != "" && !superseded {
			ended = append(ended, intent)
		}
	}
	slices.SortFunc(ended, func(a, b connectpsp.Intent) int {
		return cmp.Or(a.EndedAt.Compare(b.EndedAt), strings.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	return ended
}
