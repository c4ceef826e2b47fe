package connectpsp_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// book is what a journal has on its disk. It outlives the processes that write it.
type book struct {
	faulty  bool // its steps may fail, and the process may die around them
	intents map[string]connectpsp.Intent
}

// lose drops, if it is so decided, what a journal need not have kept when its process dies.
func (b *book) lose(unsent bool) {
	for key, intent := range b.intents {
		if unsent && intent.SentAt.IsZero() {
			delete(b.intents, key)
		}
	}
}

// pen is how one process writes in the book.
type pen struct {
	world   *world
	process *process
}

// do takes one step of the journal. Only one goroutine touches the book at a time, and no two of
// them the same key.
func (p *pen) do(ctx context.Context, name string, write func()) error {
	return p.look(ctx, name, func() {}, write)
}

// look is do with something to read first.
func (p *pen) look(ctx context.Context, name string, read, write func()) error {
	w := p.world
	if !w.book.faulty {
		w.mu.Lock()
		defer w.mu.Unlock()
		if p.process.dead {
			return errDead
		}
		read()
		write()
		return nil
	}
	s := &step{process: p.process, name: name, read: read, write: write}
	s.run, _ = ctx.Value(runKey{}).(*run)
	return w.park(ctx, s).err
}

// record decides how a step of the journal goes.
func (w *world) record(s *step) {
	n := 3
	if w.rules.crashes > 0 {
		n = 5
	}
	how := w.choices.choose(n, 12)
	s.carried = true
	result := [...]string{"done", "failed", "done, and reported as failed", "crash before", "crash after"}[how]
	w.figures.add("journal", result)
	if w.tracing {
		w.note("%v: journal %.12s: %s", w.nameOf(s), s.name, result)
	}
	if how != 1 && how != 3 {
		s.read()
	}
	if how == 0 || how == 2 || how == 4 {
		s.write()
	}
	switch how {
	case 0:
		w.answer(s, wireReply{})
	case 1, 2:
		w.answer(s, wireReply{err: errDiskFull})
	default:
		w.crash()
		w.answer(s, wireReply{err: errDead})
	}
}

func (p *pen) Begin(ctx context.Context, intent connectpsp.Intent) (earlier *connectpsp.Intent, err error) {
	book := p.world.book
	var found *connectpsp.Intent
	err = p.look(ctx, "begin "+intent.IdempotencyKey, func() { found = earlierOf(book.intents, intent) }, func() {
		if found == nil {
			book.intents[intent.IdempotencyKey] = intent
			p.world.judge.references[intent.IdempotencyKey] = chargeOf(cmp.Or(intent.ExternalReference, intent.ChargeID))
		}
	})
	return found, err
}

func (p *pen) Find(ctx context.Context, intent connectpsp.Intent) (earlier *connectpsp.Intent, err error) {
	err = p.do(ctx, "find "+intent.Payment(), func() { earlier = earlierOf(p.world.book.intents, intent) })
	return earlier, err
}

func (p *pen) Ended(ctx context.Context) (ended []connectpsp.Intent, err error) {
	err = p.do(ctx, "ended", func() { ended = endedOf(p.world.book.intents) })
	return ended, err
}

func (p *pen) Sent(ctx context.Context, key string, at time.Time) error {
	return p.do(ctx, "sent "+key, func() {
		if intent := p.world.book.intents[key]; intent.SentAt.IsZero() {
			intent.SentAt = at
			p.world.book.intents[key] = intent
		}
	})
}

func (p *pen) Finish(ctx context.Context, key string, outcome connectpsp.Outcome, transactionID string) error {
	var refused bool
	err := p.do(ctx, "finish "+key, func() {
		intent, found := p.world.book.intents[key]
		switch {
		case !found || intent.Outcome != "":
			refused = intent.Outcome == connectpsp.OutcomeAccepted && outcome == connectpsp.OutcomeRejected
		default:
			p.world.book.intents[key] = end(intent, outcome, transactionID)
			if outcome == connectpsp.OutcomeRejected {
				delete(p.world.judge.first, key)
			}
		}
	})
	if refused {
		return errAccepted
	}
	return err
}

func (p *pen) Pending(ctx context.Context) (pending []connectpsp.Intent, err error) {
	err = p.do(ctx, "pending", func() {
		for _, intent := range p.world.book.intents {
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

// booth gives out tokens, for all processes. Each is the number of those that were given back
// before it, and one more.
type booth struct{ returned atomic.Int32 }

func (b *booth) Token(context.Context) (auth.Secret, error) {
	return tokenNumber(b.returned.Load()), nil
}

// Invalidate makes the next token the one to give out, if it is told of the one that is given out
// now.
func (b *booth) Invalidate(token auth.Secret) {
	returned := b.returned.Load()
	if token.Reveal() == tokenNumber(returned).Reveal() {
		b.returned.CompareAndSwap(returned, returned+1)
	}
}

func tokenNumber(returned int32) auth.Secret {
	return auth.NewSecret(fmt.Sprintf("header.payload.%d", returned+1))
}
