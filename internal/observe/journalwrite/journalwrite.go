// Package journalwrite shows the writes of a journal to observers.
package journalwrite

import (
	"context"

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
	activity.Failed = err != nil
	return err
}
