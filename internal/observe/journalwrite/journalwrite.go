// Package journalwrite shows the writes of a journal to observers.
package journalwrite

import (
	"context"
	"errors"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/observe"
)

// The steps of a payment.
const (
	Begin  = "begin"
	Sent   = "sent"
	Finish = "finish"
)

// Observe calls write, and shows its begin and its end as a [connectpsp.JournalWrite]. Write gets
// the context of the observers. With a nil Guard it allocates nothing.
func Observe(ctx context.Context, guard *observe.Guard, step string, write func(context.Context) error) error {
	activity := connectpsp.JournalWrite{Step: step}
	ctx, span := observe.Begin(ctx, guard, activity)
	activity.Failed = true // if write panics
	defer func() {
		activity.Duration = span.Duration()
		observe.End(span, activity)
	}()
	err := write(ctx)
	if err == nil {
		activity.Failed = false
		return nil // before the variable, which is allocated
	}
	var refused *refusal
	if errors.As(err, &refused) {
		err = refused.error
	}
	left := errors.Is(ctx.Err(), context.Canceled) && errors.Is(err, context.Canceled) // the caller has
	activity.Failed = refused == nil && !left
	return err
}

// refusal is the error of a journal in working order.
type refusal struct{ error }

// Refused marks the error of a write that the journal refuses, such as that of a payment that
// another process has. [Observe] takes the mark off, and does not show the write as failed.
func Refused(err error) error { return &refusal{err} }
