package journalwrite_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/observe"
	"github.com/connectpsp/connectpsp-go/internal/observe/journalwrite"
)

type last struct{ write connectpsp.JournalWrite }

func (l *last) Begin(ctx context.Context, _ any) context.Context { return ctx }

func (l *last) End(_ context.Context, activity any) { l.write = activity.(connectpsp.JournalWrite) }

// An alert on failed writes says that the disk or the database is at fault.
func TestOnlyAJournalThatCannotWriteHasFailed(t *testing.T) {
	full, taken := errors.New("the disk is full"), errors.New("another process has the payment")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	for name, c := range map[string]struct {
		ctx    context.Context
		err    error
		want   error
		failed bool
	}{
		"written":                   {t.Context(), nil, nil, false},
		"full":                      {t.Context(), full, full, true},
		"full, and cancelled":       {cancelled, full, full, true},
		"refused":                   {t.Context(), journalwrite.Refused(taken), taken, false},
		"cancelled":                 {cancelled, context.Canceled, context.Canceled, false},
		"too slow for the deadline": {late, context.DeadlineExceeded, context.DeadlineExceeded, true},
	} {
		seen := new(last)
		err := journalwrite.Observe(c.ctx, observe.New(slog.Default(), seen), journalwrite.Sent, func(context.Context) error { return c.err })
		assert.Equal(t, c.want, err, name)
		assert.Equal(t, c.failed, seen.write.Failed, name)
		assert.Equal(t, "sent", seen.write.Step, name)
	}
}
